"""A plan keeps the reserve from the grid in the way that costs least."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

import pytest

from agent.export.plan_highs import solve
from agent.export.plan_problem import Aim, Problem
from agent.export.plan_rollout import Action
from agent.export.planner import make_plan
from tests.export.plan_cases import broken_rules, problem, slot_at

EXACT = partial(solve, exact=True)


def evening(seed: int, aim: Aim) -> Problem:
    """Return 36 hours of a house that draws much at night, with prices that climb and fall."""
    draw = random.Random(seed)  # noqa: S311 - prices, not keys
    slots = []
    for number in range(28, 100):
        hour = number / 2 % 24
        dear = 0.12 + 0.2 * (16 <= hour < 21) + draw.gauss(0, 0.02)
        slots.append(
            slot_at(
                number,
                pv_w=max(0.0, 3500 - 700 * abs(hour - 13)),
                load_w=500 + 900 * (17 <= hour < 23) + draw.uniform(0, 400),
                buy=dear + 0.01,
                sell=dear,
                carbon=dear * 1000,
            )
        )
    shut = [replace(slot, may_charge=False) for slot in slots]
    return problem(
        shut, aim, stored_wh=draw.uniform(3500, 8000), produced_wh=9000.0, can_hold=True,
        least_window_wh=0.0, min_command_w=0.0,
    )  # fmt: skip


def test_the_house_buys_nothing_for_the_sake_of_a_small_sale_late_in_the_evening() -> None:
    """Who keeps the reserve for a sale at 20:30 buys the dear load of the hours before it."""
    late = [
        slot_at(n, load_w=400.0, buy=0.60 if n < 41 else 0.10, sell=0.20) for n in range(34, 48)
    ]
    late = [replace(slot, may_charge=False) for slot in late]
    late[2] = replace(late[2], sell_per_kwh=0.31)
    late[7] = replace(late[7], sell_per_kwh=0.32)
    asked = problem(
        late, stored_wh=3600.0, produced_wh=9000.0, end_value_per_kwh=0.0, can_hold=True
    )
    plan = make_plan(asked)
    assert [step.slot for step in plan.steps if step.action is Action.DISCHARGE] == [late[2]]
    assert plan.steps[-1].stored_wh < asked.battery.reserve_wh
    assert not broken_rules(asked, plan.steps)


@pytest.mark.parametrize("aim", [Aim.CARBON, Aim.MONEY])
def test_bounds_find_nearly_what_choices_find(aim: Aim) -> None:
    asked = [evening(seed, aim) for seed in range(8)]
    quick = sum(make_plan(each).gain for each in asked)
    exact = sum(make_plan(each, solver=EXACT, time_limit_s=10.0).gain for each in asked)
    assert quick >= 0.99 * exact > 0


def test_a_reserve_that_is_out_of_reach_forbids_every_sale() -> None:
    night = [slot_at(n, load_w=300.0, buy=0.3, sell=0.5) for n in range(36, 48)]
    night = [replace(slot, may_charge=False) for slot in night]
    asked = problem(night, stored_wh=1500.0, produced_wh=9000.0, end_value_per_kwh=0.0)
    assert asked.battery.stored_wh < asked.battery.reserve_wh
    steps = make_plan(asked).steps
    assert not [step for step in steps if step.action is Action.DISCHARGE]
