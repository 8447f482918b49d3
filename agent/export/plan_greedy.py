"""
A plan by rule of thumb, for when there is no solver: sell in the best slots, fill in the cheapest.

It knows no look-ahead beyond one comparison: a slot is worth selling in when it gives more than
filling up again costs, and worth buying in when the best hour still to come gives more than that.
The rollout cuts what does not fit, so it is never more than allowed, only less than possible.

Source: export_monitor.md, 2.6 and 2.8 (the greedy plans replaced); D-10 and D-33.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.export.plan_problem import Costs, Problem, refill_cost
from agent.export.plan_rollout import KEEP_OFF, Action, Proposal


def propose(problem: Problem, priced: Sequence[Costs]) -> tuple[Proposal, ...]:
    """
    Return what the battery should do in each slot, by price alone.

    Args:
        problem: the question.
        priced: what each slot's energy is worth.
    """
    battery = problem.battery
    there_and_back = battery.charge_efficiency * battery.discharge_efficiency
    refill = refill_cost(problem, tuple(priced))
    wear = problem.objective.wear_per_kwh
    proposals = [KEEP_OFF] * len(problem.slots)
    for index in _best_first(problem, priced, refill / battery.discharge_efficiency + wear):
        proposals[index] = Proposal(Action.DISCHARGE, battery.max_discharge_w)
    needed_wh = battery.forced_charge_limit_wh - battery.stored_wh
    for index in _cheapest_first(problem, priced):
        later = [_worth(problem, priced, at) for at in range(index + 1, len(priced))]
        dear = max(later, default=0.0)
        if needed_wh <= 0 or priced[index].buy / there_and_back + wear >= dear:
            break
        if proposals[index] is KEEP_OFF:
            proposals[index] = Proposal(Action.CHARGE, -battery.max_charge_w)
            hours = problem.slots[index].hours
            needed_wh -= battery.max_charge_w * hours * battery.charge_efficiency
    return tuple(proposals)


def _worth(problem: Problem, priced: Sequence[Costs], index: int) -> float:
    """Return what a kWh from the battery saves or earns in a slot."""
    return priced[index].buy if problem.slots[index].net_w > 0 else priced[index].sell


def _best_first(problem: Problem, priced: Sequence[Costs], least: float) -> list[int]:
    """Return slots worth selling in, best first, until the battery would be empty."""
    battery = problem.battery
    usable_wh = (battery.stored_wh - battery.reserve_wh) * battery.discharge_efficiency
    found: list[int] = []
    order = sorted(range(len(priced)), key=lambda index: (-priced[index].sell, index))
    for index in order:
        if usable_wh <= 0 or priced[index].sell <= least:
            break
        slot = problem.slots[index]
        if slot.may_discharge and priced[index].known:
            found.append(index)
            power_w = min(battery.max_discharge_w, slot.net_w + problem.site.export_limit_w)
            usable_wh -= max(0.0, power_w) * slot.hours
    return found


def _cheapest_first(problem: Problem, priced: Sequence[Costs]) -> list[int]:
    may = (
        index for index, slot in enumerate(problem.slots) if slot.may_charge and priced[index].known
    )
    return sorted(may, key=lambda index: (priced[index].buy, index))
