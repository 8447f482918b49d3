"""The planner's benchmark measures what it says: same physics for all, and a true optimum."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.export.plan_problem import Aim
from benchmarks.planner_days import (
    Life,
    classic,
    classic_allows,
    cost,
    end_value,
    live,
    nobody,
    optimum,
    ours,
    produced,
)
from benchmarks.planner_homes import HOMES, SEASONS, Block, block


@pytest.fixture(scope="module", params=[0, 1], ids=[home.name for home in HOMES])
def days(request: pytest.FixtureRequest) -> Block:
    """One spring day of a home, and the day after it to look forward to."""
    return block(HOMES[request.param], SEASONS[1], 1, seed=7)


@pytest.fixture(scope="module")
def lives(days: Block) -> dict[str, Life]:
    made = {
        "nobody": live(days, nobody, produced),
        "greedy": live(days, classic, classic_allows),
        "greedy kept": live(days, classic, produced),
    }
    for aim in (Aim.CARBON, Aim.MONEY):
        made[aim] = live(days, ours(aim), produced)
    return made


@pytest.mark.parametrize("aim", [Aim.CARBON, Aim.MONEY])
def test_ours_gains_more_than_nobody_and_never_more_than_who_knew_everything(
    days: Block, lives: dict[str, Life], aim: Aim
) -> None:
    value = end_value(days, aim)
    paid: Callable[[Life], float] = lambda life: cost(days, life, aim, value)  # noqa: E731
    best = paid(optimum(days, aim, value, cumulative=False))
    same_rule = paid(optimum(days, aim, value, cumulative=True))
    slack = 0.01 * abs(best - paid(lives["nobody"]))
    assert best <= same_rule + slack <= paid(lives[aim]) + 2 * slack
    assert paid(lives[aim]) < paid(lives["nobody"])


def test_a_guard_that_counts_what_was_produced_lets_no_plan_over_it(
    lives: dict[str, Life],
) -> None:
    kept = [life for name, life in lives.items() if name != "greedy"]
    assert {life.days_over for life in kept} == {0}
    assert all(life.most_over_wh < 1 for life in kept)


def test_the_old_rule_goes_over_it_and_the_benchmark_sees_that(lives: dict[str, Life]) -> None:
    assert lives["greedy"].days_over == 1


def test_the_same_seed_is_the_same_weather(days: Block) -> None:
    again = block(days.home, SEASONS[1], 1, seed=7)
    assert (again.pv_w, again.load_w, again.carbon, again.buy) == (
        days.pv_w, days.load_w, days.carbon, days.buy)  # fmt: skip
    assert block(days.home, SEASONS[1], 1, seed=8).pv_w != days.pv_w


def test_a_forecast_is_wrong_and_more_so_far_ahead(days: Block) -> None:
    now = days.carbon_forecast(0)
    errors = [abs(now.stretches[at].value / days.carbon[at] - 1) for at in range(96)]
    assert 0 < sum(errors[:4]) / 4 < sum(errors[24:]) / 72 < 0.3
