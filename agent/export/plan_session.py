"""
The solver's side of a plan: a programme of columns and rows, solved and tightened.

HiGHS is imported when the first programme is solved: with numpy it takes 0.2 s and 20 MB, and a
house at rest makes no plan.

Source: HiGHS, `highspy`; control.md, section 4.7 (no modelling layer is needed above it).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_GAP = 1e-3


class SolverError(Exception):
    """No plan came out of the solver; the text says what it told. Use the fallback."""


@dataclass(slots=True)
class Model:
    """Columns and rows as HiGHS wants them."""

    cost: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    row_low: list[float] = field(default_factory=list)
    row_high: list[float] = field(default_factory=list)
    start: list[int] = field(default_factory=lambda: [0])
    index: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def column(self, cost: float, low: float, high: float, *, whole: bool = False) -> int:
        """Add a variable with its price and bounds, and return its number."""
        self.cost.append(cost)
        self.low.append(low)
        self.high.append(high)
        if whole:
            self.whole.append(len(self.cost) - 1)
        return len(self.cost) - 1

    def row(self, low: float, high: float, *terms: tuple[int, float]) -> None:
        """Add a condition: the sum of these columns, each times its factor, is between bounds."""
        self.row_low.append(low)
        self.row_high.append(high)
        for index, value in terms:
            self.index.append(index)
            self.value.append(value)
        self.start.append(len(self.index))


class Session:
    """One programme in the solver, which may be tightened and solved again."""

    def __init__(self, model: Model, time_limit_s: float) -> None:
        try:
            self._highs: Any = importlib.import_module("highspy")
        except ImportError as error:
            raise SolverError(f"the solver cannot be loaded: {error}") from error
        self._solver = self._highs.Highs()
        self._model = model
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("time_limit", time_limit_s),
            ("mip_rel_gap", _GAP),
            # For a handful of choices the search's own preparations take longer than the search.
            ("mip_heuristic_effort", 0.0),
            ("mip_heuristic_run_feasibility_jump", False),
            ("mip_allow_restart", False),
            ("mip_pool_soft_limit", 10),
        ):
            self._solver.setOptionValue(option, value)
        self._solver.passModel(self._programme(model))

    def _programme(self, model: Model) -> Any:
        highs, programme = self._highs, self._highs.HighsLp()
        columns, rows = len(model.cost), len(model.row_low)
        programme.num_col_, programme.num_row_ = columns, rows
        programme.col_cost_ = model.cost
        programme.col_lower_, programme.col_upper_ = model.low, model.high
        programme.row_lower_, programme.row_upper_ = model.row_low, model.row_high
        matrix = programme.a_matrix_
        matrix.format_ = highs.MatrixFormat.kRowwise
        matrix.num_col_, matrix.num_row_ = columns, rows
        matrix.start_, matrix.index_, matrix.value_ = model.start, model.index, model.value
        if model.whole:
            kinds = [highs.HighsVarType.kContinuous] * columns
            for column in model.whole:
                kinds[column] = highs.HighsVarType.kInteger
            programme.integrality_ = kinds
        return programme

    def tighten(self, column: int, low: float, high: float) -> None:
        """Change the bounds of a column; the solver goes on from its last solution."""
        self._model.low[column], self._model.high[column] = low, high
        self._solver.changeColBounds(column, low, high)

    def cost_with(self, bounds: Sequence[tuple[int, float, float]]) -> float:
        """
        Return what the programme would cost with these bounds; it keeps those that it has.

        Raises:
            SolverError: with them it has no solution.
        """
        model = self._model
        try:
            for column, low, high in bounds:
                self._solver.changeColBounds(column, low, high)
            self.run()
            return float(self._solver.getInfo().objective_function_value)
        finally:
            for column, _, _ in bounds:
                self._solver.changeColBounds(column, model.low[column], model.high[column])

    def run(self) -> list[float]:
        """Return the value of every column; raise `SolverError` where there is no solution."""
        self._solver.run()
        kinds = self._highs.HighsModelStatus
        status = self._solver.getModelStatus()
        solution = self._solver.getSolution()
        # Out of time, a programme with choices may still have found a good solution.
        in_time = status == kinds.kOptimal
        late = status == kinds.kTimeLimit and bool(self._model.whole) and solution.value_valid
        if not (in_time or late):
            said = self._solver.modelStatusToString(status)
            raise SolverError(f"the solver ended with {said}")
        return list(solution.col_value)
