"""
The linear programme of a plan: its columns and rows, and what forbids the solver to cheat.

Six columns for each slot: charge, discharge, import, export, content, and what is left of the
day's allowance, all in kWh. A way to cheat is forbidden by a bound on a column where that is
enough, so that the solver goes on from where it was, and by a binary choice elsewhere.

Source: control.md, finding 10 and section 4.7 (binaries only where needed, terminal value).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.export.plan_problem import (
    WH_PER_KWH,
    Costs,
    Problem,
    Slot,
    allowance_starts_wh,
    end_value,
)
from agent.export.plan_session import Model

TOLERANCE_KWH = 0.002
_TIE = 1e-5
"""Share of the dearest price that decides between equals: earlier, and with less moved."""
_CHARGE, _DISCHARGE, _IMPORT, _EXPORT, _STORED, _LEFT = range(6)
_COLUMNS = 6


class Trick:
    """The ways in which a linear programme cheats in a slot."""

    BUY_AND_SELL = "buy_and_sell"
    BURN = "burn"
    RESERVE = "reserve"
    NO_SALE = "no_sale"
    """Sells after the last slot that may: nothing may be sold then."""
    RESERVE_OR_SALE = "reserve_or_sale"
    """The same as a choice: sell, or go below the reserve."""
    OVERCHARGE = "overcharge"


CHOSEN = {Trick.RESERVE: Trick.RESERVE_OR_SALE}
BOUNDED = frozenset({Trick.RESERVE, Trick.NO_SALE, Trick.OVERCHARGE})
"""These are forbidden by bounds, so that the solver goes on from where it was."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Most that may flow in one slot, in kWh."""

    need: float
    """The load beyond the sun."""
    spill: float
    """The sun beyond the load."""
    imports: float
    exports: float
    charge: float
    discharge: float


def limits_of(problem: Problem, slot: Slot, known: bool) -> Limits:
    """Return the most that may flow in a slot; nothing is commanded where no price is known."""
    site, battery, hours_k = problem.site, problem.battery, slot.hours / WH_PER_KWH
    need_w, spill_w = max(0.0, slot.net_w), slot.spill_w
    imports_w = max(site.import_limit_w, need_w) if slot.may_charge and known else need_w
    exports_w = max(site.export_limit_w, spill_w) if slot.may_discharge and known else spill_w
    discharge_w = min(battery.max_discharge_w, max(0.0, battery.ac_limit_w - slot.pv_w))
    # One meter: more than load and charge together is never bought. The tighter, the less there
    # is to cheat with, and the faster a choice is found.
    imports_w = min(imports_w, need_w + battery.max_charge_w)
    exports_w = min(exports_w, spill_w + discharge_w)
    return Limits(
        need_w * hours_k,
        spill_w * hours_k,
        imports_w * hours_k,
        exports_w * hours_k,
        battery.max_charge_w * hours_k,
        discharge_w * hours_k,
    )


def programme(
    problem: Problem,
    priced: Sequence[Costs],
    limits: Sequence[Limits],
    tricks: set[tuple[int, str]],
) -> Model:
    """Return the programme that makes the objective small and forbids these tricks."""
    model, battery = Model(), problem.battery
    floor = min(battery.floor_wh, battery.stored_wh) / WH_PER_KWH
    capacity = battery.capacity_wh / WH_PER_KWH
    dearest = max((abs(price) for cost in priced for price in (cost.buy, cost.sell)), default=1.0)
    at_end = end_value(problem, tuple(priced))
    allowed = _allowed_kwh(problem)
    last = len(problem.slots) - 1
    for index, (most, cost) in enumerate(zip(limits, priced, strict=True)):
        tie = dearest * _TIE
        later = tie * index / (last + 1)
        model.column(tie + later, 0.0, most.charge)
        model.column(problem.objective.wear_per_kwh + tie + later, 0.0, most.discharge)
        model.column(cost.buy + tie, 0.0, most.imports)
        model.column(tie - cost.sell, 0.0, most.exports)
        model.column(-at_end if index == last else 0.0, floor, capacity)
        model.column(0.0, 0.0, float("inf"))
    for index, most in enumerate(limits):
        _rows(model, problem, index, allowed[index])
        for trick in sorted(name for at, name in tricks if at == index):
            if trick in BOUNDED:
                column, low, high = bound(model, problem, index, trick, limits)
                model.low[column], model.high[column] = low, high
            else:
                _forbid(model, problem, index, trick, most)
    return model


def _rows(model: Model, problem: Problem, index: int, allowed_kwh: float) -> None:
    battery, slot = problem.battery, problem.slots[index]
    at = index * _COLUMNS
    before = at - _COLUMNS
    net = slot.net_w * slot.hours / WH_PER_KWH
    model.row(
        net, net, (at + _DISCHARGE, 1.0), (at + _CHARGE, -1.0), (at + _IMPORT, 1.0),
        (at + _EXPORT, -1.0),
    )  # fmt: skip
    content = [
        (at + _STORED, 1.0),
        (at + _CHARGE, -battery.charge_efficiency),
        (at + _DISCHARGE, 1.0 / battery.discharge_efficiency),
    ]
    begin = battery.stored_wh / WH_PER_KWH
    if index:
        content.append((before + _STORED, -1.0))
        begin = 0.0
    model.row(begin, begin, *content)
    # What is left of the day's allowance after this slot; never below zero.
    left = [(at + _LEFT, 1.0), (at + _EXPORT, 1.0)]
    if index and problem.slots[index - 1].day == slot.day:
        left.append((before + _LEFT, -1.0))
    model.row(allowed_kwh, allowed_kwh, *left)


def _allowed_kwh(problem: Problem) -> list[float]:
    """
    Return what each slot adds to what its day may have exported by its end.

    The sun's surplus may always leave, also while the day's account is overdrawn: it is the most
    of the allowance and of what would have left without a battery.
    """
    starts = allowance_starts_wh(problem)
    allowed: list[float] = []
    produced_wh = spilled_wh = bound_wh = 0.0
    for index, slot in enumerate(problem.slots):
        if index == 0 or problem.slots[index - 1].day != slot.day:
            produced_wh, spilled_wh, bound_wh = starts[slot.day], 0.0, 0.0
        produced_wh += slot.counted_pv_w * slot.hours
        spilled_wh += slot.spill_w * slot.hours
        now_wh = max(produced_wh, spilled_wh, bound_wh)
        allowed.append((now_wh - bound_wh) / WH_PER_KWH)
        bound_wh = now_wh
    return allowed


def _forbid(model: Model, problem: Problem, index: int, trick: str, most: Limits) -> None:
    """Add the binary choice that makes this trick impossible in this slot."""
    at = index * _COLUMNS
    free = float("-inf")
    choice = model.column(0.0, 0.0, 1.0, whole=True)
    match trick:
        case Trick.BUY_AND_SELL:
            model.row(free, 0.0, (at + _IMPORT, 1.0), (choice, -most.imports))
            model.row(free, most.exports, (at + _EXPORT, 1.0), (choice, most.exports))
        case Trick.BURN:
            model.row(free, 0.0, (at + _CHARGE, 1.0), (choice, -most.charge))
            model.row(free, most.discharge, (at + _DISCHARGE, 1.0), (choice, most.discharge))
        case _:
            floor = min(problem.battery.floor_wh, problem.battery.stored_wh) / WH_PER_KWH
            above = problem.battery.reserve_wh / WH_PER_KWH - floor
            beyond = max(0.0, most.exports - most.spill)
            model.row(free, most.spill, (at + _EXPORT, 1.0), (choice, -beyond))
            model.row(floor, float("inf"), (at + _STORED, 1.0), (choice, -above))


def bound(
    model: Model, problem: Problem, index: int, trick: str, limits: Sequence[Limits]
) -> tuple[int, float, float]:
    """
    Return the column whose bounds forbid a trick with the content, and these bounds.

    Who sells in a slot keeps the reserve to its end; where the reserve is out of reach it does not
    sell. The same for charge beyond its target. A choice would cost far more time.
    """
    battery, at, most = problem.battery, index * _COLUMNS, limits[index]
    reserve, target = battery.reserve_wh / WH_PER_KWH, battery.forced_charge_limit_wh / WH_PER_KWH
    column = at + _STORED
    low, high = model.low[column], model.high[column]
    in_reach = _reachable_kwh(problem, limits[: index + 1]) >= reserve
    if trick == Trick.RESERVE and in_reach:
        return column, max(low, reserve), high
    if trick == Trick.OVERCHARGE and battery.stored_wh <= battery.forced_charge_limit_wh:
        return column, low, min(high, target)
    column, bound_kwh = at + _EXPORT, most.spill
    if trick == Trick.OVERCHARGE:
        column, bound_kwh = at + _IMPORT, most.need
    return column, model.low[column], min(model.high[column], bound_kwh)


def _reachable_kwh(problem: Problem, limits: Sequence[Limits]) -> float:
    """Return the most that the battery can hold after these slots."""
    battery = problem.battery
    stored = battery.stored_wh / WH_PER_KWH
    for most in limits:
        charge = min(most.charge, most.spill + most.imports - most.need)
        stored += charge * battery.charge_efficiency
    return min(battery.forced_charge_limit_wh / WH_PER_KWH, stored)


def tricks_played(problem: Problem, found: Sequence[float]) -> set[tuple[int, str]]:
    """Return the slots in which a solution cheats, and how."""
    battery, played = problem.battery, set()
    for index, slot in enumerate(problem.slots):
        charge, discharge, imports, exports, stored, _ = slot_values(found, index)
        hours_k = slot.hours / WH_PER_KWH
        if min(imports, exports) > TOLERANCE_KWH:
            played.add((index, Trick.BUY_AND_SELL))
        if min(charge, discharge) > TOLERANCE_KWH:
            played.add((index, Trick.BURN))
        sold = exports - slot.spill_w * hours_k
        if sold > TOLERANCE_KWH and stored < battery.reserve_wh / WH_PER_KWH - TOLERANCE_KWH:
            played.add((index, Trick.RESERVE))
        bought = imports - max(0.0, slot.net_w) * hours_k
        target = battery.forced_charge_limit_wh / WH_PER_KWH
        if bought > TOLERANCE_KWH and stored > target + TOLERANCE_KWH:
            played.add((index, Trick.OVERCHARGE))
    return played


def slot_values(found: Sequence[float], index: int) -> Sequence[float]:
    """Return charge, discharge, import, export, content at its end, and what is left, in kWh."""
    return found[index * _COLUMNS : (index + 1) * _COLUMNS]
