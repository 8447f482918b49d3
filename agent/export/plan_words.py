"""
A plan in words: runs of the same command, each with the reason that a person can check.

The reason names the two figures that were weighed against each other: what the energy gives in
this window, and what it costs to have it back, or what it will be worth later.

Source: D-32, D-48 (local times).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from agent.export.plan_problem import Aim, Costs, Problem, refill_cost
from agent.export.plan_rollout import Action, Step
from agent.export.snapshot import Reason


@dataclass(frozen=True, slots=True)
class Window:
    """A run of slots without a gap in which the battery is told the same."""

    action: Action
    begins: datetime
    ends: datetime
    energy_wh: float
    """Discharge: what the battery adds to the export. Charge, shared sun: what goes in."""
    battery_w: float
    """Average; positive discharges, negative charges."""
    stored_wh: float
    """Expected content at the end."""
    price: float
    """By the objective, per kWh: what it costs (charge, hold) or gives (discharge, shared sun)."""
    carbon_g_per_kwh: float | None
    reason: Reason


def windows(problem: Problem, steps: Sequence[Step], priced: Sequence[Costs]) -> tuple[Window, ...]:
    """
    Return the commanded runs of a rollout, in the order of time.

    Args:
        problem: the question.
        steps: the rollout.
        priced: what each slot's energy is worth.
    """
    return tuple(_window(problem, steps, priced, indexes) for indexes in commanded_runs(steps))


def commanded_runs(steps: Sequence[Step]) -> Iterator[list[int]]:
    """Yield the indexes of each run of the same command without a gap, in the order of time."""
    for key, run in groupby(range(len(steps)), key=lambda index: _run_key(steps, index)):
        if key[0] is not Action.SELF_CONSUMPTION:
            yield list(run)


def _run_key(steps: Sequence[Step], index: int) -> tuple[Action, int]:
    """Return action and number of gaps before: a gap in the forecast ends a window."""
    gaps = sum(steps[at].slot.begins != steps[at - 1].slot.ends for at in range(1, index + 1))
    return steps[index].action, gaps


def _window(
    problem: Problem, steps: Sequence[Step], priced: Sequence[Costs], indexes: list[int]
) -> Window:
    run = [steps[index] for index in indexes]
    hours = sum(step.slot.hours for step in run)
    action = run[0].action
    energy_wh = 0.0
    if action is Action.DISCHARGE:
        energy_wh = sum(step.battery_export_wh for step in run)
    elif action in {Action.CHARGE, Action.SHARE_SUN}:
        energy_wh = sum(step.charged_wh for step in run)
    known = [step.slot.carbon_g_per_kwh for step in run if step.slot.carbon_g_per_kwh is not None]
    return Window(
        action,
        run[0].slot.begins,
        run[-1].slot.ends,
        energy_wh,
        sum(step.battery_w * step.slot.hours for step in run) / hours,
        run[-1].stored_wh,
        _price(action, priced, indexes),
        sum(known) / len(known) if known else None,
        _reason(problem, steps, priced, indexes),
    )


def _price(action: Action, priced: Sequence[Costs], indexes: list[int]) -> float:
    sells = action in {Action.DISCHARGE, Action.SHARE_SUN}
    values = [priced[index].sell if sells else priced[index].buy for index in indexes]
    return sum(values) / len(values)


def _reason(
    problem: Problem, steps: Sequence[Step], priced: Sequence[Costs], indexes: list[int]
) -> Reason:
    action, last = steps[indexes[0]].action, indexes[-1]
    here = _price(action, priced, indexes)
    if action is Action.DISCHARGE:
        refill = refill_cost(problem, tuple(priced))
        refill /= problem.battery.discharge_efficiency
        if here > refill:
            return Reason(
                "best_hours",
                f"Exports at {_said(problem, here)}; to fill up again costs "
                f"{_said(problem, refill)}, losses included.",
            )
        return Reason(
            "makes_room",
            f"Makes room at {_said(problem, here)} for what would find the battery full later.",
        )
    later = _best_use(steps, priced, last)
    if action is Action.CHARGE:
        return Reason(
            "cheapest_hours", f"Charges at {_said(problem, here)}{_for_later(problem, later)}."
        )
    if action is Action.SHARE_SUN:
        return Reason(
            "sun_sold",
            f"Lets sun leave at {_said(problem, here)}; later sun fills the battery.",
        )
    return Reason(
        "kept_for_later",
        f"Keeps what is stored while the grid costs {_said(problem, here)}"
        f"{_for_later(problem, later)}.",
    )


def _best_use(
    steps: Sequence[Step], priced: Sequence[Costs], after: int
) -> tuple[datetime, float] | None:
    """Return when the stored energy is worth most later in the plan, and how much."""
    best: tuple[datetime, float] | None = None
    for step, cost in zip(steps[after + 1 :], priced[after + 1 :], strict=True):
        if step.battery_w > 0:
            worth = cost.sell if step.action is Action.DISCHARGE else cost.buy
            if best is None or worth > best[1]:
                best = step.slot.begins, worth
    return best


def _for_later(problem: Problem, later: tuple[datetime, float] | None) -> str:
    if later is None:
        return ""
    when = later[0].astimezone(problem.zone)
    return f", for {when:%H:%M}, when it is worth {_said(problem, later[1])}"


def _said(problem: Problem, value: float) -> str:
    objective = problem.objective
    if objective.aim is Aim.CARBON:
        return f"{value:.0f} g/kWh"
    unit = f" {objective.currency}" if objective.currency else ""
    return f"{value:.3f}{unit} per kWh"
