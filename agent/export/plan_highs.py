"""
The best plan for a forecast: a linear programme over all slots, solved by HiGHS.

Charge, discharge, import, export and content of every slot are chosen together, so that energy
is kept for the best hour and the cheapest hour refills it. A linear programme cheats where that
pays: it buys and sells in one slot when selling is dearer, burns energy by charging and
discharging at once when there is too much of it, and sells the reserve. Such a slot, and only
such a slot, gets a binary choice, and the programme is solved again.

Source: control.md, finding 10 and section 4.7 (binaries only where needed, terminal value).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from agent.export.plan_problem import (
    WH_PER_KWH,
    Costs,
    Problem,
    Slot,
    allowance_starts_wh,
    end_value,
)
from agent.export.plan_rollout import KEEP_OFF, Action, Proposal
from agent.export.plan_session import Model, Session

_TOLERANCE_KWH = 0.002
_SAME_EVENING = timedelta(hours=12)
_ROUNDS = 12
_ROUNDS_WITH_CHOICES = 3
_ROUNDS_EXACT = 60
_TIE = 1e-5
"""Share of the dearest price that decides between equals: earlier, and with less moved."""
_CHARGE, _DISCHARGE, _IMPORT, _EXPORT, _STORED, _LEFT = range(6)
_COLUMNS = 6


class _Trick:
    """The ways in which a linear programme cheats in a slot."""

    BUY_AND_SELL = "buy_and_sell"
    BURN = "burn"
    RESERVE = "reserve"
    NO_SALE = "no_sale"
    """Sells the reserve where an earlier slot gives as much: then that one is enough."""
    RESERVE_OR_SALE = "reserve_or_sale"
    """The same as a choice: sell, or go below the reserve."""
    OVERCHARGE = "overcharge"


_CHOSEN = {_Trick.RESERVE: _Trick.RESERVE_OR_SALE}
_BOUNDED = frozenset({_Trick.RESERVE, _Trick.NO_SALE, _Trick.OVERCHARGE})
"""These are forbidden by bounds, so that the solver goes on from where it was."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """Most that may flow in one slot, in kWh."""

    need: float
    """The load beyond the sun."""
    spill: float
    """The sun beyond the load."""
    imports: float
    exports: float
    charge: float
    discharge: float


def solve(
    problem: Problem, priced: Sequence[Costs], time_limit_s: float, *, exact: bool = False
) -> tuple[Proposal, ...]:
    """
    Return what the battery should do in each slot.

    Args:
        problem: the question; it has at least one slot.
        priced: what each slot's energy is worth.
        time_limit_s: for each of the few runs of the solver.
        exact: keep the reserve by choices instead of bounds. That takes seconds instead of
            milliseconds and gains little; it is the yardstick of the benchmark.

    Raises:
        SolverError: the solver is not installed, or found nothing in its time.
    """
    tricks: set[tuple[int, str]] = set()
    limits = [
        _limits(problem, slot, cost.known) for slot, cost in zip(problem.slots, priced, strict=True)
    ]
    model = _model(problem, priced, limits, tricks)
    session = Session(model, time_limit_s)
    found = session.run()
    choices = 0
    for _ in range(_ROUNDS_EXACT if exact else _ROUNDS):
        played = _tricks_played(problem, found) - tricks
        if exact:
            played = {(at, _CHOSEN.get(trick, trick)) for at, trick in played} - tricks
        else:
            played = _better_earlier(problem, priced, played, tricks)
        bounded = {trick for trick in played if trick[1] in _BOUNDED}
        if not played or (choices == _ROUNDS_WITH_CHOICES and not exact):
            break
        # Bounds first: solving them again takes a millisecond, a choice takes ten.
        chosen = bounded if bounded and not choices else played
        tricks |= chosen
        if chosen <= bounded:
            for index, trick in sorted(chosen):
                session.tighten(*_bound(model, problem, index, trick, limits))
        else:
            model = _model(problem, priced, limits, tricks)
            session = Session(model, time_limit_s)
        choices += bool(model.whole)
        found = session.run()
    # What is left after the last round is cut by the rollout, at some loss.
    return tuple(
        _proposal(problem, slot, index, found) if cost.known else KEEP_OFF
        for index, (slot, cost) in enumerate(zip(problem.slots, priced, strict=True))
    )


def _limits(problem: Problem, slot: Slot, known: bool) -> _Limits:
    site, battery, hours_k = problem.site, problem.battery, slot.hours / WH_PER_KWH
    need_w, spill_w = max(0.0, slot.net_w), slot.spill_w
    imports_w = max(site.import_limit_w, need_w) if slot.may_charge and known else need_w
    exports_w = max(site.export_limit_w, spill_w) if slot.may_discharge and known else spill_w
    discharge_w = min(battery.max_discharge_w, max(0.0, battery.ac_limit_w - slot.pv_w))
    # One meter: more than load and charge together is never bought. The tighter, the less there
    # is to cheat with, and the faster a choice is found.
    imports_w = min(imports_w, need_w + battery.max_charge_w)
    exports_w = min(exports_w, spill_w + discharge_w)
    return _Limits(
        need_w * hours_k,
        spill_w * hours_k,
        imports_w * hours_k,
        exports_w * hours_k,
        battery.max_charge_w * hours_k,
        discharge_w * hours_k,
    )


def _model(
    problem: Problem,
    priced: Sequence[Costs],
    limits: Sequence[_Limits],
    tricks: set[tuple[int, str]],
) -> Model:
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
            if trick in _BOUNDED:
                _bound(model, problem, index, trick, limits)
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


def _forbid(model: Model, problem: Problem, index: int, trick: str, most: _Limits) -> None:
    """Add the binary choice that makes this trick impossible in this slot."""
    at = index * _COLUMNS
    free = float("-inf")
    choice = model.column(0.0, 0.0, 1.0, whole=True)
    match trick:
        case _Trick.BUY_AND_SELL:
            model.row(free, 0.0, (at + _IMPORT, 1.0), (choice, -most.imports))
            model.row(free, most.exports, (at + _EXPORT, 1.0), (choice, most.exports))
        case _Trick.BURN:
            model.row(free, 0.0, (at + _CHARGE, 1.0), (choice, -most.charge))
            model.row(free, most.discharge, (at + _DISCHARGE, 1.0), (choice, most.discharge))
        case _:
            floor = min(problem.battery.floor_wh, problem.battery.stored_wh) / WH_PER_KWH
            above = problem.battery.reserve_wh / WH_PER_KWH - floor
            beyond = max(0.0, most.exports - most.spill)
            model.row(free, most.spill, (at + _EXPORT, 1.0), (choice, -beyond))
            model.row(floor, float("inf"), (at + _STORED, 1.0), (choice, -above))


def _bound(
    model: Model, problem: Problem, index: int, trick: str, limits: Sequence[_Limits]
) -> tuple[int, float, float]:
    """
    Forbid a trick with the content by a plain bound; a choice would cost far more time.

    Who would sell in a slot keeps the reserve to its end, whether it sells in the end or not, and
    where the reserve is out of reach it does not sell. The same for charge beyond its target.
    Returns the column that was bounded, with its bounds.
    """
    battery, at, most = problem.battery, index * _COLUMNS, limits[index]
    reserve, target = battery.reserve_wh / WH_PER_KWH, battery.forced_charge_limit_wh / WH_PER_KWH
    column = at + _STORED
    in_reach = _reachable_kwh(problem, limits[: index + 1]) >= reserve
    if trick == _Trick.RESERVE and in_reach:
        model.low[column] = max(model.low[column], reserve)
    elif trick in {_Trick.RESERVE, _Trick.NO_SALE}:
        column = at + _EXPORT
        model.high[column] = min(model.high[column], most.spill)
    elif battery.stored_wh <= battery.forced_charge_limit_wh:
        model.high[column] = min(model.high[column], target)
    else:
        column = at + _IMPORT
        model.high[column] = min(model.high[column], most.need)
    return column, model.low[column], model.high[column]


def _reachable_kwh(problem: Problem, limits: Sequence[_Limits]) -> float:
    """Return the most that the battery can hold after these slots."""
    battery = problem.battery
    stored = battery.stored_wh / WH_PER_KWH
    for most in limits:
        charge = min(most.charge, most.spill + most.imports - most.need)
        stored += charge * battery.charge_efficiency
    return min(battery.forced_charge_limit_wh / WH_PER_KWH, stored)


def _tricks_played(problem: Problem, found: Sequence[float]) -> set[tuple[int, str]]:
    battery, played = problem.battery, set()
    for index, slot in enumerate(problem.slots):
        charge, discharge, imports, exports, stored, _ = _slot_values(found, index)
        hours_k = slot.hours / WH_PER_KWH
        if min(imports, exports) > _TOLERANCE_KWH:
            played.add((index, _Trick.BUY_AND_SELL))
        if min(charge, discharge) > _TOLERANCE_KWH:
            played.add((index, _Trick.BURN))
        sold = exports - slot.spill_w * hours_k
        if sold > _TOLERANCE_KWH and stored < battery.reserve_wh / WH_PER_KWH - _TOLERANCE_KWH:
            played.add((index, _Trick.RESERVE))
        bought = imports - max(0.0, slot.net_w) * hours_k
        target = battery.forced_charge_limit_wh / WH_PER_KWH
        if bought > _TOLERANCE_KWH and stored > target + _TOLERANCE_KWH:
            played.add((index, _Trick.OVERCHARGE))
    return played


def _better_earlier(
    problem: Problem,
    priced: Sequence[Costs],
    played: set[tuple[int, str]],
    before: set[tuple[int, str]],
) -> set[tuple[int, str]]:
    """
    Return the tricks, with the sale forbidden where an earlier slot gives as much.

    To keep the reserve to the end of a late slot, the house would have to buy all evening for
    the sake of a small sale.
    """
    selling = sorted(index for index, trick in played | before if trick == _Trick.RESERVE)
    found = set()
    for index, trick in played:
        earlier = (
            other
            for other in selling
            if other < index
            and problem.slots[index].begins - problem.slots[other].begins <= _SAME_EVENING
            and priced[other].sell >= priced[index].sell
        )
        sold_out = trick == _Trick.RESERVE and next(earlier, None) is not None
        found.add((index, _Trick.NO_SALE if sold_out else trick))
    return found - before


def _slot_values(found: Sequence[float], index: int) -> Sequence[float]:
    return found[index * _COLUMNS : (index + 1) * _COLUMNS]


def _proposal(problem: Problem, slot: Slot, index: int, found: Sequence[float]) -> Proposal:
    """Translate a slot's energies into the few things that a battery can be told."""
    charge, discharge, imports, exports, stored, _ = _slot_values(found, index)
    hours_k = slot.hours / WH_PER_KWH
    need, spill = max(0.0, slot.net_w) * hours_k, slot.spill_w * hours_k
    battery_w = (discharge - charge) / hours_k
    if exports > spill + _TOLERANCE_KWH and discharge > charge:
        return Proposal(Action.DISCHARGE, battery_w)
    if imports > need + _TOLERANCE_KWH and charge > discharge:
        return Proposal(Action.CHARGE, battery_w)
    if spill > _TOLERANCE_KWH:
        full = stored >= problem.battery.capacity_wh / WH_PER_KWH - _TOLERANCE_KWH
        if full or charge >= min(spill, problem.battery.max_charge_w * hours_k) - _TOLERANCE_KWH:
            return KEEP_OFF
        return Proposal(Action.SHARE_SUN, min(0.0, battery_w))
    # A part of the load cannot be asked for: the house takes all of it from the battery or none.
    return KEEP_OFF if discharge >= need / 2 else Proposal(Action.HOLD)
