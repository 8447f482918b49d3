"""A plan keeps every rule, beats doing nothing by its own forecast, and says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from agent.export import plan_session
from agent.export.plan_problem import LEAST_WINDOW_WH, Aim, Costs, Problem, costs, refill_cost
from agent.export.plan_rollout import (
    KEEP_OFF,
    Action,
    Proposal,
    exported_by_day_wh,
)
from agent.export.plan_session import SolverError
from agent.export.planner import Method, carried_on, goes_on, make_plan, running_in
from tests.export.plan_cases import (
    HALF_HOUR,
    MIDNIGHT,
    SMALL,
    broken_rules,
    day,
    problem,
    slot_at,
    windows_wh,
)


def actions(asked: Problem, **how: object) -> dict[str, Action]:
    """Return what is done when, by `HH:MM`."""
    steps = make_plan(asked, **how).steps  # type: ignore[arg-type]
    return {f"{step.slot.begins:%H:%M}": step.action for step in steps}


def test_charges_when_cheap_and_sells_when_dear() -> None:
    plan = make_plan(problem())
    assert plan.method is Method.SOLVER
    charged = [w for w in plan.windows if w.action is Action.CHARGE]
    sold = [w for w in plan.windows if w.action is Action.DISCHARGE]
    assert charged
    assert sold
    assert all(window.ends.hour <= 5 for window in charged)
    assert all(16 <= window.begins.hour < 19 for window in sold)
    assert plan.gain > 0


def test_for_carbon_it_sells_when_the_grid_is_dirtiest() -> None:
    plan = make_plan(problem(aim=Aim.CARBON))
    sold = [w for w in plan.windows if w.action is Action.DISCHARGE]
    assert {window.carbon_g_per_kwh for window in sold} == {260.0}


def test_a_price_on_carbon_moves_the_plan_from_money_to_carbon() -> None:
    """Dear and clean at 17:00, cheap and dirty at 20:00: who is paid for carbon waits."""
    slots = list(day())
    slots[34] = replace(slots[34], sell_per_kwh=0.50, carbon_g_per_kwh=20.0)
    slots[40] = replace(slots[40], sell_per_kwh=0.20, carbon_g_per_kwh=900.0)
    few = {"max_discharge_w": 2000.0, "stored_wh": 3200.0, "charge_to_wh": 3200.0, "can_hold": True}
    shut = [replace(s, may_charge=False, pv_w=0.0) for s in slots]
    money = problem(shut, Aim.MONEY, produced_wh=5000.0, **few)
    both = problem(shut, Aim.BOTH, produced_wh=5000.0, carbon_price_per_kg=2.0, **few)
    assert actions(money)["17:00"] is Action.DISCHARGE
    assert actions(both)["20:00"] is Action.DISCHARGE
    assert actions(both)["17:00"] is not Action.DISCHARGE


def test_every_window_says_why_with_the_figures_that_were_weighed() -> None:
    plan = make_plan(problem(currency="GBP"))
    texts = {window.reason.code: window.reason.text for window in plan.windows}
    assert "0.280 GBP per kWh" in texts["best_hours"]
    assert "0.070 GBP per kWh" in texts["cheapest_hours"]
    assert all(window.reason.text.endswith(".") for window in plan.windows)


def test_case_38_never_buys_and_sells_in_one_slot_though_selling_is_dearer() -> None:
    slots = [replace(slot, buy_per_kwh=0.10, sell_per_kwh=0.30) for slot in day()]
    asked = problem(slots, produced_wh=20_000.0)
    plan = make_plan(asked)
    assert plan.method is Method.SOLVER
    for step in plan.steps:
        # One meter: what a slot exports beyond the sun comes out of the battery.
        assert step.battery_export_wh <= max(0.0, step.battery_w) * step.slot.hours + 0.5
    assert not broken_rules(asked, plan.steps)


def test_case_38_negative_prices_are_used_and_nothing_is_burnt() -> None:
    slots = [replace(s, buy_per_kwh=-0.10, sell_per_kwh=-0.12) if 2 <= s.begins.hour < 4 else s
             for s in day(pv_w=0.0)]  # fmt: skip
    asked = problem(slots)
    plan = make_plan(asked)
    assert Action.CHARGE in {a for at, a in actions(asked).items() if "02:00" <= at < "04:00"}
    assert max(step.stored_wh for step in plan.steps if step.slot.begins.hour < 4) > 9990
    assert not broken_rules(asked, plan.steps)


def test_case_38_a_slot_without_a_price_is_not_commanded_in() -> None:
    slots = list(day())
    for hour in (2, 3, 17):
        for number in (hour * 2, hour * 2 + 1):
            slots[number] = replace(slots[number], buy_per_kwh=None)
    found = actions(problem(slots))
    for at in ("02:00", "02:30", "03:00", "03:30", "17:00", "17:30"):
        assert found[at] is Action.SELF_CONSUMPTION


def test_case_38_slots_of_a_quarter_of_an_hour() -> None:
    quarter = timedelta(minutes=15)
    slots = [
        replace(slot, begins=slot.begins + half * quarter, ends=slot.begins + (half + 1) * quarter)
        for slot in day()
        for half in (0, 1)
    ]
    asked = problem(slots)
    plan = make_plan(asked)
    assert plan.method is Method.SOLVER
    assert not broken_rules(asked, plan.steps)


def fails(_problem: Problem, _priced: Sequence[Costs], _limit_s: float = 0) -> Sequence[Proposal]:
    raise SolverError("the solver ended with Infeasible")


def test_case_39_a_failed_solver_is_replaced_by_the_rule_of_thumb() -> None:
    plan = make_plan(problem(), solver=fails)
    assert plan.method is Method.GREEDY
    assert plan.reason.code == "solver_failed"
    assert plan.windows
    assert not broken_rules(problem(), plan.steps)


def test_case_39_when_everything_fails_nothing_is_commanded() -> None:
    plan = make_plan(problem(), solver=fails, fallback=fails)
    assert plan.method is Method.SELF_CONSUMPTION
    assert plan.reason.code == "plan_failed"
    assert plan.step_at(MIDNIGHT) is None
    assert plan.window_at(MIDNIGHT) is None


@pytest.mark.parametrize("count", [0, 3, 49])
def test_case_39_an_answer_of_the_wrong_length_is_a_failure(count: int) -> None:
    plan = make_plan(problem(), solver=lambda *_: [KEEP_OFF] * count)
    assert plan.method is Method.GREEDY


def test_case_39_a_power_that_is_no_number_is_a_failure() -> None:
    wild = [Proposal(Action.DISCHARGE, float("nan"))] * 48
    assert make_plan(problem(), solver=lambda *_: wild).method is Method.GREEDY


def test_case_39_a_solver_out_of_time_leaves_the_rule_of_thumb() -> None:
    plan = make_plan(problem(), time_limit_s=0.0)
    assert plan.method in {Method.GREEDY, Method.SELF_CONSUMPTION}
    assert plan.reason.code == "solver_failed"


def test_case_39_a_missing_solver_is_told_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> object:
        raise ImportError(f"no module {name}")

    monkeypatch.setattr(plan_session.importlib, "import_module", nowhere)
    plan = make_plan(problem())
    assert plan.method is Method.GREEDY
    assert "cannot be loaded" in plan.reason.text


def test_case_40_with_a_flat_tariff_the_battery_is_used_and_not_hoarded() -> None:
    flat = [slot_at(number, buy=0.2, sell=0.1) for number in range(48)]
    assert make_plan(problem(flat)).method is Method.SELF_CONSUMPTION


def test_case_40_wear_and_losses_are_worth_more_than_a_small_difference() -> None:
    """Bought at 0.20 and used at 0.22: 0.2166 with losses of 4 % each way, and 0.03 of wear."""
    slots = [slot_at(n, buy=0.20 if n < 10 else 0.22, sell=0.05) for n in range(48)]
    cheap = problem(slots, stored_wh=400.0, wear_per_kwh=0.0, charge_efficiency=0.99,
                    discharge_efficiency=0.99)  # fmt: skip
    assert Action.CHARGE in actions(cheap).values()
    worn = replace(cheap, objective=replace(cheap.objective, wear_per_kwh=0.03))
    assert Action.CHARGE not in actions(worn).values()


def test_case_40_what_is_left_is_worth_its_refill_and_is_neither_hoarded_nor_dumped() -> None:
    asked = problem()
    assert refill_cost(asked, costs(asked)) == pytest.approx(0.07 / 0.95)
    last = make_plan(asked).steps[-1]
    assert 400 <= last.stored_wh < 6000


def test_case_22_sun_that_will_spill_is_counted_before_the_battery_is_sold() -> None:
    """The whole day stays within what the sun gives, though the battery could add 8 kWh."""
    asked = problem(day(pv_w=900.0), stored_wh=10_000.0)
    plan = make_plan(asked)
    produced_wh = sum(slot.pv_w * slot.hours for slot in asked.slots)
    (exported_wh,) = exported_by_day_wh(plan.steps).values()
    assert exported_wh <= produced_wh + 0.5
    assert not broken_rules(asked, plan.steps)


def test_an_account_that_is_overdrawn_still_has_a_plan() -> None:
    asked = problem(exported_wh=9000.0, margin_wh=500.0)
    plan = make_plan(asked)
    assert plan.method is Method.SOLVER
    assert not broken_rules(asked, plan.steps)


def test_the_reserve_is_kept_from_the_grid_and_given_to_the_house() -> None:
    night = [slot_at(n, load_w=800.0, buy=0.3, sell=0.29) for n in range(36, 48)]
    asked = problem(night, stored_wh=3000.0, produced_wh=9000.0, end_value_per_kwh=0.0)
    plan = make_plan(asked)
    assert not broken_rules(asked, plan.steps)
    assert plan.steps[-1].stored_wh < asked.battery.reserve_wh


def test_charge_from_the_grid_ends_at_its_target() -> None:
    asked = problem(day(pv_w=0.0), charge_to_wh=6000.0)
    plan = make_plan(asked)
    assert max(step.stored_wh for step in plan.steps) <= 6000.5
    assert Action.CHARGE in {step.action for step in plan.steps}


def test_an_inverter_that_cannot_rest_is_never_told_to() -> None:
    found = set(actions(problem(can_hold=False)).values())
    assert not found & {Action.HOLD, Action.SHARE_SUN}


def test_no_window_is_planned_for_less_than_a_start_is_worth() -> None:
    """A grey day gave 0.1 kWh by noon; to sell that in the evening is one start for nothing."""
    slots = day(first=24, pv_w=0.0)
    bare = problem(slots, produced_wh=100.0, least_window_wh=0.0)
    assert windows_wh(make_plan(bare)) == [pytest.approx(100.0, abs=SMALL)]
    asked = problem(slots, produced_wh=100.0)
    assert asked.site.least_window_wh == LEAST_WINDOW_WH
    plan = make_plan(asked)
    assert plan.windows == ()
    assert plan.reason.code == "nothing_better"
    more = problem(slots, produced_wh=160.0)
    assert windows_wh(make_plan(more)) == [pytest.approx(160.0, abs=SMALL)]


def test_what_runs_already_goes_on_for_as_little_as_is_left() -> None:
    """The tail of a window takes no start."""
    slots = day(first=37, last=47, pv_w=0.0)
    asked = problem(slots, produced_wh=100.0, least_window_wh=LEAST_WINDOW_WH)
    assert Action.DISCHARGE not in {step.action for step in make_plan(asked).steps}
    going = make_plan(replace(asked, goes_on=Action.DISCHARGE.value))
    assert going.steps[0].action is Action.DISCHARGE
    assert 0 < going.steps[0].battery_export_wh < LEAST_WINDOW_WH


def test_what_was_carried_out_until_now_is_known_from_the_plan_of_before() -> None:
    plan = make_plan(problem())
    selling = next(w for w in plan.windows if w.action is Action.DISCHARGE)
    assert goes_on(plan, selling.begins + timedelta(minutes=5)) == "discharge"
    assert goes_on(plan, selling.ends + timedelta(seconds=2)) == "discharge"
    assert goes_on(plan, selling.begins + timedelta(seconds=2)) != "discharge"
    assert goes_on(None, selling.begins) == ""


def test_the_running_slot_is_kept_and_the_rest_is_planned_around_it() -> None:
    """At 17:10 a charge is running; whatever the forecast says now, it ends with its slot."""
    slots = day(first=34, last=60)
    asked = problem(slots, produced_wh=15_000.0)
    kept = make_plan(asked, running=Proposal(Action.CHARGE, -2000.0))
    assert kept.steps[0].action is Action.CHARGE
    assert Action.DISCHARGE in {step.action for step in kept.steps[1:4]}
    assert not broken_rules(asked, kept.steps)


def test_a_slot_is_kept_only_after_its_first_minute() -> None:
    plan = make_plan(problem())
    begin = next(w for w in plan.windows if w.action is Action.DISCHARGE).begins
    assert running_in(plan, begin + timedelta(seconds=20)) is None
    running = running_in(plan, begin + timedelta(minutes=5))
    assert running
    assert running.action is Action.DISCHARGE
    assert running_in(None, begin) is None
    assert running_in(plan, begin + timedelta(days=3)) is None


def test_a_window_that_goes_on_keeps_its_begin() -> None:
    old = make_plan(problem())
    selling = next(w for w in old.windows if w.action is Action.DISCHARGE)
    now = selling.begins + HALF_HOUR / 2
    first = (now - MIDNIGHT) // HALF_HOUR
    slots = day(first=first, last=first + 48)
    later = (replace(slots[0], begins=now), *slots[1:])
    asked = problem(later, produced_wh=18_000.0, stored_wh=8000.0)
    new = make_plan(asked, running=running_in(old, now))
    assert new.windows[0].begins == now
    current = carried_on(new, old, now).window_at(now)
    assert current
    assert current.begins == selling.begins
