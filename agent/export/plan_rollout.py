"""
What a plan would do to the house: physics and permissions, slot by slot.

Whoever proposes actions, solver or rule of thumb, they pass through here, and what comes out is
what is shown and commanded. So no proposal can empty the battery into the grid below the reserve,
export more than the sun has given so far, or pass a limit: it is cut to what is allowed, and a
slot in which nothing useful remains is left to self-consumption.

Source: control.md, section 4.7 (cumulative produced-PV allowance) and cases 22, 39 and 40.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from agent.export.plan_problem import (
    WH_PER_KWH,
    Battery,
    Costs,
    Problem,
    Slot,
    allowance_starts_wh,
    end_value,
)

_SAME_W = 1.0
"""Powers nearer than this are the same; below every meter's resolution."""


class Action(StrEnum):
    """What the battery is told in a slot."""

    SELF_CONSUMPTION = "self_consumption"
    """Nothing: the inverter covers the load and stores the surplus by itself."""
    DISCHARGE = "discharge"
    """Feed the grid."""
    CHARGE = "charge"
    """Charge, from the sun and the grid."""
    HOLD = "hold"
    """Rest: keep what is stored; a charge whose target is already reached."""
    SHARE_SUN = "share_sun"
    """Store at most this much of the sun's surplus and let the rest leave; while there is no
    surplus, self-consumption: a cloud must not make the house import what it has stored."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What somebody would like the battery to do in a slot."""

    action: Action
    battery_w: float = 0.0
    """Positive discharges, negative charges; unused for self-consumption and hold."""


KEEP_OFF = Proposal(Action.SELF_CONSUMPTION)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens in one slot."""

    slot: Slot
    action: Action
    battery_w: float
    """Average; positive discharges, negative charges."""
    grid_w: float
    """Average; positive imports, negative exports."""
    stored_wh: float
    """Content at the end of the slot."""

    @property
    def exported_wh(self) -> float:
        """Energy that leaves the house in this slot."""
        return max(0.0, -self.grid_w) * self.slot.hours

    @property
    def battery_export_wh(self) -> float:
        """The part of it that would not have left by itself."""
        return max(0.0, self.exported_wh - self.slot.spill_w * self.slot.hours)

    @property
    def charged_wh(self) -> float:
        """Energy that goes into the battery, before its losses."""
        return max(0.0, -self.battery_w) * self.slot.hours

    @property
    def bought_wh(self) -> float:
        """The part of it that the sun does not give."""
        return max(0.0, self.charged_wh - self.slot.spill_w * self.slot.hours)


def rollout(
    problem: Problem, proposals: Sequence[Proposal], priced: Sequence[Costs]
) -> tuple[Step, ...]:
    """
    Return what these proposals come to, cut to what is allowed and possible.

    Args:
        problem: the question.
        proposals: one for each slot.
        priced: what each slot's energy is worth; where it is not known nothing is commanded.
    """
    stored_wh = problem.battery.stored_wh
    left_wh = allowance_starts_wh(problem)
    steps = []
    for slot, proposal, cost in zip(problem.slots, proposals, priced, strict=True):
        wanted = proposal if cost.known else KEEP_OFF
        left_wh[slot.day] += slot.counted_pv_w * slot.hours
        action, battery_w = _carried_out(problem, slot, wanted, stored_wh, left_wh[slot.day])
        stored_wh = _after(problem.battery, stored_wh, battery_w, slot.hours)
        step = Step(slot, action, battery_w, slot.net_w - battery_w, stored_wh)
        left_wh[slot.day] -= step.exported_wh
        steps.append(step)
    return tuple(steps)


def cost_of(problem: Problem, steps: Sequence[Step], priced: Sequence[Costs]) -> float:
    """Return what a rollout costs in the unit of the objective, less what is stored at its end."""
    total = 0.0
    for step, cost in zip(steps, priced, strict=True):
        hours_k = step.slot.hours / WH_PER_KWH
        price = cost.buy if step.grid_w > 0 else cost.sell
        wear = problem.objective.wear_per_kwh * max(0.0, step.battery_w)
        total += (step.grid_w * price + wear) * hours_k
    if steps:
        total -= end_value(problem, tuple(priced)) * steps[-1].stored_wh / WH_PER_KWH
    return total


def self_consumption_w(battery: Battery, slot: Slot, stored_wh: float) -> float:
    """Return the battery's power when nobody commands it."""
    if slot.net_w > 0:
        most_w = discharge_limit_w(battery, slot, stored_wh, battery.floor_wh)
        return min(slot.net_w, most_w)
    return -min(-slot.net_w, charge_limit_w(battery, slot, stored_wh, battery.capacity_wh))


def discharge_limit_w(battery: Battery, slot: Slot, stored_wh: float, down_to_wh: float) -> float:
    """Return the strongest discharge that keeps this content to the end of the slot."""
    usable_wh = max(0.0, stored_wh - down_to_wh) * battery.discharge_efficiency
    room_w = max(0.0, battery.ac_limit_w - slot.pv_w)
    return min(battery.max_discharge_w, room_w, usable_wh / slot.hours)


def charge_limit_w(battery: Battery, slot: Slot, stored_wh: float, up_to_wh: float) -> float:
    """Return the strongest charge that does not go beyond this content."""
    free_wh = max(0.0, up_to_wh - stored_wh) / battery.charge_efficiency
    return min(battery.max_charge_w, free_wh / slot.hours)


def _carried_out(
    problem: Problem, slot: Slot, wanted: Proposal, stored_wh: float, left_wh: float
) -> tuple[Action, float]:
    """Return action and battery power after everything that forbids or cuts it."""
    unasked_w = self_consumption_w(problem.battery, slot, stored_wh)
    nothing = Action.SELF_CONSUMPTION, unasked_w
    found: tuple[Action, float] = nothing
    match wanted.action:
        case Action.DISCHARGE:
            found = _discharge(problem, slot, wanted.battery_w, stored_wh, left_wh)
        case Action.CHARGE:
            found = _charge(problem, slot, -wanted.battery_w, stored_wh)
        case Action.HOLD if problem.site.can_hold and slot.net_w >= 0:
            found = Action.HOLD, 0.0
        case Action.SHARE_SUN if problem.site.can_hold and slot.spill_w > 0 and slot.may_discharge:
            found = _share_sun(problem, slot, -wanted.battery_w, stored_wh, left_wh)
        case _:
            pass
    action, battery_w = found
    if action is Action.SELF_CONSUMPTION or abs(battery_w - unasked_w) < _SAME_W:
        return nothing
    return action, battery_w


def _discharge(
    problem: Problem, slot: Slot, wanted_w: float, stored_wh: float, left_wh: float
) -> tuple[Action, float]:
    battery, site = problem.battery, problem.site
    most_w = min(
        wanted_w,
        discharge_limit_w(battery, slot, stored_wh, max(battery.reserve_wh, battery.floor_wh)),
        slot.net_w + site.export_limit_w,
        slot.net_w + max(0.0, left_wh) / slot.hours,
    )
    extra_w = most_w - max(0.0, slot.net_w)
    if not slot.may_discharge or extra_w < _SAME_W or most_w < site.min_command_w:
        return Action.SELF_CONSUMPTION, 0.0
    return Action.DISCHARGE, most_w


def _charge(
    problem: Problem, slot: Slot, wanted_w: float, stored_wh: float
) -> tuple[Action, float]:
    battery, site = problem.battery, problem.site
    most_w = min(
        wanted_w,
        charge_limit_w(battery, slot, stored_wh, battery.forced_charge_limit_wh),
        max(0.0, site.import_limit_w - slot.net_w),
    )
    from_grid = most_w > slot.spill_w + _SAME_W
    if not slot.may_charge or not from_grid or most_w < site.min_command_w:
        return Action.SELF_CONSUMPTION, 0.0
    return Action.CHARGE, -most_w


def _share_sun(
    problem: Problem, slot: Slot, wanted_w: float, stored_wh: float, left_wh: float
) -> tuple[Action, float]:
    battery, site = problem.battery, problem.site
    # Sun that leaves is never a breach, but it uses up what the day may export. So the share that
    # leaves is bounded like a discharge, and the battery takes the rest.
    leaves_w = min(slot.spill_w - wanted_w, site.export_limit_w, max(0.0, left_wh) / slot.hours)
    charge_w = charge_limit_w(battery, slot, stored_wh, battery.capacity_wh)
    return Action.SHARE_SUN, -min(max(0.0, slot.spill_w - leaves_w), charge_w)


def _after(battery: Battery, stored_wh: float, battery_w: float, hours: float) -> float:
    if battery_w > 0:
        stored_wh -= battery_w * hours / battery.discharge_efficiency
    else:
        stored_wh -= battery_w * hours * battery.charge_efficiency
    return min(battery.capacity_wh, max(0.0, stored_wh))


def exported_by_day_wh(steps: Sequence[Step]) -> dict[date, float]:
    """Return the energy that leaves the house on each local day of a rollout."""
    found: dict[date, float] = {}
    for step in steps:
        found[step.slot.day] = found.get(step.slot.day, 0.0) + step.exported_wh
    return found
