"""
The best plan for a forecast: a linear programme over all slots, solved by HiGHS.

Charge, discharge, import, export and content of every slot are chosen together, so that energy
is kept for the best hour and the cheapest hour refills it. A linear programme cheats where that
pays: it buys and sells in one slot when selling is dearer, burns energy by charging and
discharging at once when there is too much of it, and sells the reserve. The first two get a binary
choice in such a slot, and only there. For the reserve every last sale of an evening is tried: after
it the house has the rest for itself.

Source: control.md, finding 10 and section 4.7 (binaries only where needed, terminal value).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.export.plan_model import (
    BOUNDED,
    CHOSEN,
    TOLERANCE_KWH,
    Limits,
    Trick,
    bound,
    limits_of,
    programme,
    slot_values,
    tricks_played,
)
from agent.export.plan_problem import WH_PER_KWH, Costs, Problem, Slot
from agent.export.plan_rollout import KEEP_OFF, Action, Proposal
from agent.export.plan_session import Model, Session, SolverError

_ROUNDS = 12
_ROUNDS_WITH_CHOICES = 3
_ROUNDS_EXACT = 60
_MOST_TRIED = 6
"""Slots that are tried as an evening's last sale; each takes about a millisecond."""


@dataclass(slots=True)
class _Search:
    """One question on its way to a solution that does not cheat."""

    problem: Problem
    priced: Sequence[Costs]
    limits: Sequence[Limits]
    time_limit_s: float
    tricks: set[tuple[int, str]]
    model: Model
    session: Session

    def forbid(self, tricks: set[tuple[int, str]]) -> None:
        """Take these ways to cheat away; by bounds alone the solver goes on from where it was."""
        self.tricks |= tricks
        if all(trick in BOUNDED for _, trick in tricks):
            for bounds in self.bounds(tricks):
                self.session.tighten(*bounds)
        else:
            self.model = programme(self.problem, self.priced, self.limits, self.tricks)
            self.session = Session(self.model, self.time_limit_s)

    def bounds(self, tricks: set[tuple[int, str]]) -> list[tuple[int, float, float]]:
        """Return the bounds that forbid these tricks."""
        return [
            bound(self.model, self.problem, index, trick, self.limits)
            for index, trick in sorted(tricks)
        ]


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
    limits = [
        limits_of(problem, slot, cost.known)
        for slot, cost in zip(problem.slots, priced, strict=True)
    ]
    model = programme(problem, priced, limits, set())
    session = Session(model, time_limit_s)
    search = _Search(problem, priced, limits, time_limit_s, set(), model, session)
    found = _exactly(search) if exact else _quickly(search)
    # What is left after the last round is cut by the rollout, at some loss.
    return tuple(
        _proposal(problem, slot, index, found) if cost.known else KEEP_OFF
        for index, (slot, cost) in enumerate(zip(problem.slots, priced, strict=True))
    )


def _exactly(search: _Search) -> Sequence[float]:
    found = search.session.run()
    for _ in range(_ROUNDS_EXACT):
        played = tricks_played(search.problem, found)
        played = {(at, CHOSEN.get(trick, trick)) for at, trick in played} - search.tricks
        if not played:
            break
        search.forbid(played)
        found = search.session.run()
    return found


def _quickly(search: _Search) -> Sequence[float]:
    found = search.session.run()
    choices = 0
    for _ in range(_ROUNDS):
        played = tricks_played(search.problem, found) - search.tricks
        if not played or choices == _ROUNDS_WITH_CHOICES:
            break
        bounded = {trick for trick in played if trick[1] in BOUNDED}
        selling = [index for index, trick in bounded if trick == Trick.RESERVE]
        # Bounds first: solving them again takes a millisecond, a choice takes ten.
        if selling and not choices:
            search.forbid(_last_sale(search, found, min(selling)))
        else:
            search.forbid(bounded if bounded and not choices else played)
        choices += bool(search.model.whole)
        found = search.session.run()
    return found


def _last_sale(search: _Search, found: Sequence[float], cheats_at: int) -> set[tuple[int, str]]:
    """
    Return what keeps the reserve around a slot that sells it: no sale after the best last one.

    To keep the reserve to the end of a late slot, the house would have to buy all evening for the
    sake of a small sale; so each slot of the stretch below the reserve is tried, and the one
    before.
    """
    first, last = _below_reserve(search.problem, found, cheats_at)
    least = float("inf")
    best = {(index, Trick.NO_SALE) for index in range(first, last + 1)}
    for keeps in _last_sales(search, first, last):
        tricks = {(index, Trick.NO_SALE) for index in range(max(first, keeps + 1), last + 1)}
        if keeps >= first:
            tricks.add((keeps, Trick.RESERVE))
        try:
            cost = search.session.cost_with(search.bounds(tricks - search.tricks))
        except SolverError:
            continue
        if cost < least:
            least, best = cost, tricks
    return best


def _below_reserve(problem: Problem, found: Sequence[float], at: int) -> tuple[int, int]:
    """Return first and last slot of the stretch around this one that ends below the reserve."""
    reserve = problem.battery.reserve_wh / WH_PER_KWH - TOLERANCE_KWH
    below = [slot_values(found, index)[4] < reserve for index in range(len(problem.slots))]
    first = last = at
    while first > 0 and below[first - 1]:
        first -= 1
    while last + 1 < len(below) and below[last + 1]:
        last += 1
    return first, last


def _last_sales(search: _Search, first: int, last: int) -> Iterator[int]:
    """Yield the slots that may be the last to sell; the one before the stretch stands for none."""
    yield first - 1
    prices = [search.priced[index].sell for index in range(first, last + 1)]
    dearest = sorted(range(first, last + 1), key=lambda index: -prices[index - first])
    yield from sorted(dearest[:_MOST_TRIED])


def _proposal(problem: Problem, slot: Slot, index: int, found: Sequence[float]) -> Proposal:
    """Translate a slot's energies into the few things that a battery can be told."""
    charge, discharge, imports, exports, stored, _ = slot_values(found, index)
    hours_k = slot.hours / WH_PER_KWH
    need, spill = max(0.0, slot.net_w) * hours_k, slot.spill_w * hours_k
    battery_w = (discharge - charge) / hours_k
    if exports > spill + TOLERANCE_KWH and discharge > charge:
        return Proposal(Action.DISCHARGE, battery_w)
    if imports > need + TOLERANCE_KWH and charge > discharge:
        return Proposal(Action.CHARGE, battery_w)
    if spill > TOLERANCE_KWH:
        full = stored >= problem.battery.capacity_wh / WH_PER_KWH - TOLERANCE_KWH
        if full or charge >= min(spill, problem.battery.max_charge_w * hours_k) - TOLERANCE_KWH:
            return KEEP_OFF
        return Proposal(Action.SHARE_SUN, min(0.0, battery_w))
    # A part of the load cannot be asked for: the house takes all of it from the battery or none.
    return KEEP_OFF if discharge >= need / 2 else Proposal(Action.HOLD)
