"""What the plans of Energy Export Monitor did wrong, one test each.

D-12 to D-14, D-29 and D-30 (windows) are in `test_plan_slots.py`, D-35, D-37 and D-38 (payloads)
in `tests/house/test_forecast.py`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from agent.export.plan_problem import Aim, Problem, Slot
from agent.export.plan_rollout import Action, exported_by_day_wh
from agent.export.planner import Plan, carried_on, make_plan, running_in
from tests.export.plan_cases import HALF_HOUR, broken_rules, day, problem

WEAK = 4000.0
"""Content that only a few half hours of discharge empty."""


def moved_on(asked: Problem, plan: Plan, minutes: float) -> Problem:
    """Return the question as it stands some minutes later, when all went as planned."""
    now = asked.slots[0].begins + timedelta(minutes=minutes)
    left = [slot for slot in asked.slots if slot.ends > now]
    begun: Slot = replace(left[0], begins=max(left[0].begins, now))
    step = plan.step_at(now)
    assert step
    hours_left = begun.hours
    stored_wh = step.stored_wh + step.battery_w * hours_left / 0.95
    battery = replace(asked.battery, stored_wh=min(10_000.0, max(0.0, stored_wh)))
    return replace(asked, slots=(begun, *left[1:]), battery=battery)


def test_d10_no_half_hour_is_for_charge_and_for_discharge() -> None:
    plan = make_plan(problem())
    for before, after in zip(plan.windows, plan.windows[1:], strict=False):
        assert before.ends <= after.begins


def test_d11_morning_discharge_leaves_room_for_the_sun_that_exports_by_itself() -> None:
    """Dear mornings and a small allowance: PV surplus still fits when the day is over."""
    slots = [replace(slot, sell_per_kwh=0.9) if 6 <= slot.begins.hour < 9 else slot
             for slot in day()]  # fmt: skip
    asked = problem(slots, stored_wh=10_000.0)
    plan = make_plan(asked)
    (exported_wh,) = exported_by_day_wh(plan.steps).values()
    assert exported_wh <= sum(slot.pv_w * slot.hours for slot in slots) + 0.5
    assert not broken_rules(asked, plan.steps)


def test_d31_a_window_keeps_its_begin_while_it_runs() -> None:
    """The old one began at `now`: another window each poll, and its target was never met."""
    asked = problem()
    plan = make_plan(asked)
    charge = next(window for window in plan.windows if window.action is Action.CHARGE)
    begin_min = (charge.begins - asked.slots[0].begins).total_seconds() / 60
    for minutes in (5, 12, 25, 34, 47):
        if charge.begins + timedelta(minutes=minutes) >= charge.ends:
            break
        later = moved_on(asked, plan, begin_min + minutes)
        now = later.slots[0].begins
        new = carried_on(make_plan(later, running=running_in(plan, now)), plan, now)
        current = new.window_at(now)
        assert current
        assert (current.action, current.begins) == (Action.CHARGE, charge.begins)
        plan = new
    assert begin_min + minutes > 5


def test_d32_windows_apart_from_each_other_have_each_their_own_power_and_time() -> None:
    """The old one armed one run of the summed length with the average power."""
    slots = list(day(pv_w=0.0))
    for number in (4, 5, 6):  # 02:00 to 03:30 is dear: two cheap stretches remain.
        slots[number] = replace(slots[number], buy_per_kwh=0.35)
    plan = make_plan(problem(slots, stored_wh=1000.0, max_charge_w=2500.0))
    charges = [window for window in plan.windows if window.action is Action.CHARGE]
    assert len(charges) >= 2
    for window in charges:
        hours = (window.ends - window.begins) / timedelta(hours=1)
        assert abs(-window.battery_w * hours - window.energy_wh) < 1
    gap = slots[5].begins
    assert all(not window.begins <= gap < window.ends for window in charges)


def test_d33_a_plan_sells_no_energy_that_the_battery_does_not_hold() -> None:
    dark = day(first=30, last=48, pv_w=0.0)
    asked = problem(dark, stored_wh=WEAK, produced_wh=20_000.0, end_value_per_kwh=0.0)
    plan = make_plan(asked)
    sold_wh = sum(window.energy_wh for window in plan.windows if window.action is Action.DISCHARGE)
    assert 0 < sold_wh <= (WEAK - asked.battery.reserve_wh) * 0.95
    assert not broken_rules(asked, plan.steps)


def test_d33_before_a_sunny_day_the_battery_is_not_filled_from_the_grid() -> None:
    """The old one charged to 100 % each night. Here the sun fills it, and only what the house
    needs until then, or what the evening pays for, is bought."""
    sunny, dark = day(last=60, pv_w=3500.0), day(last=60, pv_w=0.0)
    no_sale = {"export_limit_w": 0.0, "stored_wh": 3000.0}

    def bought_wh(slots: tuple[Slot, ...]) -> float:
        windows = make_plan(problem(slots, **no_sale)).windows
        tonight = slots[10].begins
        return sum(w.energy_wh for w in windows if w.action is Action.CHARGE and w.ends <= tonight)

    assert bought_wh(sunny) < 1500
    assert bought_wh(dark) > 2000


def test_d34_a_new_forecast_within_a_slot_does_not_switch_the_battery() -> None:
    """Near ties the old plan changed with each poll: start, stop, start."""
    slots = list(day(first=30, last=60, pv_w=0.0))
    asked = problem(slots, stored_wh=WEAK, produced_wh=9000.0)
    plan = make_plan(asked)
    selling = next(window for window in plan.windows if window.action is Action.DISCHARGE)
    done = set()
    for minutes, price in ((5, 0.2801), (10, 0.2799), (15, 0.30), (20, 0.05), (25, 0.28)):
        begin_min = (selling.begins - slots[0].begins).total_seconds() / 60
        later = moved_on(asked, plan, begin_min + minutes)
        flapping = (later.slots[0], *(replace(s, sell_per_kwh=price) for s in later.slots[1:]))
        now = later.slots[0].begins
        new = make_plan(replace(later, slots=flapping), running=running_in(plan, now))
        done.add(new.steps[0].action)
        plan = carried_on(new, plan, now)
    assert done == {Action.DISCHARGE}


def test_d34_the_plan_is_the_same_when_nothing_has_changed() -> None:
    assert make_plan(problem()) == make_plan(problem())


def test_d36_tomorrow_follows_the_same_rule_as_today() -> None:
    """The old one planned tomorrow by UTC and without the margin."""
    asked = problem(day(last=96, pv_w=1200.0), Aim.CARBON, margin_wh=500.0, tolerance_wh=200.0,
                    stored_wh=9000.0)  # fmt: skip
    plan = make_plan(asked)
    sold = dict.fromkeys(exported_by_day_wh(plan.steps), 0.0)
    for step in plan.steps:
        sold[step.slot.day] += step.battery_export_wh
    assert len(sold) == 2
    produced_wh = sum(slot.pv_w * slot.hours for slot in asked.slots[:48])
    for exported_wh in sold.values():
        assert 0 < exported_wh <= produced_wh - 500 + 200 + 0.5
    assert not broken_rules(asked, plan.steps)


def test_d36_midnight_gives_a_new_day_its_own_allowance_and_no_more() -> None:
    night = day(first=40, last=56, pv_w=0.0, peak_sell=0.9, night_buy=0.9)
    slots = [replace(slot, sell_per_kwh=0.9) for slot in night]
    asked = problem(slots, stored_wh=10_000.0, produced_wh=3000.0, end_value_per_kwh=0.0)
    plan = make_plan(asked)
    today, tomorrow = exported_by_day_wh(plan.steps).values()
    assert today <= 3000.5
    assert tomorrow == 0
    assert plan.steps[-1].slot.begins - plan.steps[0].slot.begins == 15 * HALF_HOUR
