"""The last 24 hours are as strict as the day, and what is not known of them grants nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agent.export import memory
from agent.export.allowance import (
    AllowanceBasis,
    AllowancePeriod,
    AllowanceRule,
    allowance_wh,
    is_breach,
)
from agent.export.periods import accounts, tightest
from agent.export.rolling import PERIOD_S, Rolling
from agent.export.snapshot import ErrorState
from agent.house.readings import Quality, Reading
from tests.export.bench import CONFIG, Bench

HOUR_S = 3600.0
ROLLING = AllowanceRule(safety_margin_wh=0, period=AllowancePeriod.ROLLING_24H)
EVENING = datetime(2026, 7, 1, 19, 0, tzinfo=UTC)


def test_yesterdays_evening_counts_until_it_is_a_day_ago() -> None:
    past = Rolling().moved(0.0, 0.0, 5000.0, 0.0).moved(6 * HOUR_S, 4000.0, 0.0, 0.0)
    assert past.exported_wh(6 * HOUR_S + PERIOD_S - 1) == 4000
    assert past.exported_wh(6 * HOUR_S + PERIOD_S + 1000) == 0


def test_production_stops_counting_before_the_longest_lease_could_outlive_it() -> None:
    past = Rolling().moved(0.0, 0.0, 5000.0, 0.0)
    assert past.produced_wh(PERIOD_S - 901) == 5000
    assert past.produced_wh(PERIOD_S - 899) == 0


def test_a_step_of_the_sun_is_as_old_as_the_step_before() -> None:
    past = Rolling().moved(0.0, 10.0, 0.0, 0.0).moved(20 * HOUR_S, 0.0, 100.0, 600.0)
    assert past.produced_wh(20 * HOUR_S) == 100
    assert past.produced_wh(PERIOD_S) == 0


def test_a_step_after_more_than_a_day_grants_nothing() -> None:
    past = Rolling().moved(2 * PERIOD_S, 50.0, 3000.0, 0.5 * PERIOD_S)
    assert (past.exported_wh(2 * PERIOD_S), past.produced_wh(2 * PERIOD_S)) == (50, 0)


def test_the_past_is_bounded() -> None:
    past = Rolling()
    for n in range(2000):
        past = past.moved(60.0 * n, 10.0, 0.0, 0.0)
    assert len(past.quarters) <= 100


def house(period: AllowancePeriod, **known: float) -> Bench:
    """A house at 20 h; its ledger knows the last 24 hours where that is asked for."""
    rule = AllowanceRule(safety_margin_wh=0, period=period)
    bench = Bench(replace(CONFIG, allowance=rule), begin=EVENING, produced_wh=3000)
    if known:
        quarters = (
            (bench.now_s - 23 * HOUR_S, known["exported_wh"], 0.0),
            (bench.now_s - 6 * HOUR_S, 0.0, known["produced_wh"]),
        )
        past = Rolling(quarters, bench.now_s - 25 * HOUR_S)
        bench.state = replace(bench.state, ledger=replace(bench.state.ledger, rolling=past))
    return bench


def left_wh(bench: Bench) -> float:
    left = bench.view().energy.left_wh
    assert left is not None
    return left


def test_until_the_last_24_hours_are_known_the_day_counts_too() -> None:
    bench = house(AllowancePeriod.ROLLING_24H)
    found = accounts(ROLLING, bench.state.ledger, 10, None, bench.now_s)
    assert {account.period for account in found} == {
        AllowancePeriod.DAY,
        AllowancePeriod.ROLLING_24H,
    }
    assert tightest(found).left_wh == min(account.left_wh for account in found)


def test_what_left_the_house_yesterday_evening_is_missing_tonight() -> None:
    bench = house(AllowancePeriod.ROLLING_24H, exported_wh=2500.0, produced_wh=3000.0)
    assert left_wh(bench) <= 500
    assert bench.view().energy.period == "rolling_24h"


def test_the_smaller_headroom_of_two_periods_counts() -> None:
    tight_past = house(AllowancePeriod.BOTH, exported_wh=2500.0, produced_wh=3000.0)
    tight_day = house(AllowancePeriod.BOTH, exported_wh=0.0, produced_wh=9000.0)
    assert left_wh(tight_past) <= 500
    assert tight_past.view().energy.period == "rolling_24h"
    assert left_wh(tight_day) <= 3000
    assert tight_day.view().energy.period == "day"


def test_a_discharge_ends_where_the_last_24_hours_do() -> None:
    bench = house(AllowancePeriod.ROLLING_24H, exported_wh=2700.0, produced_wh=3000.0)
    assert bench.start().accepted
    bench.run_until(lambda: bench.state.completed is not None, 1800)
    bench.run(300)
    assert 100 < bench.exported_today_wh <= 300
    assert bench.state.error is ErrorState.NONE


def test_the_last_24_hours_survive_a_restart_through_json() -> None:
    bench = house(AllowancePeriod.ROLLING_24H, exported_wh=2500.0, produced_wh=3000.0)
    before = left_wh(bench)
    kept = json.loads(json.dumps(bench.kill()))
    bench.run(600)
    bench.restart(kept)
    bench.run(60)
    # The reserve for what still leaks today grows smaller with the day; nothing else has moved.
    assert left_wh(bench) <= before + 1


def test_an_old_backup_hands_nothing_back() -> None:
    """Three days old: what it knew has passed, so the day counts besides."""
    bench = house(AllowancePeriod.ROLLING_24H, exported_wh=0.0, produced_wh=9000.0)
    kept = bench.kill()
    bench.now_s += 3 * PERIOD_S
    bench.state = memory.recalled(kept, bench.now(), bench.config)
    assert bench.state.ledger.rolling.produced_wh(bench.now_s) == 0


def test_a_journal_of_a_version_without_a_past_begins_one() -> None:
    bench = Bench()
    kept = bench.kill()
    for key in ("rolling", "leakage", "lag_s"):
        del kept["ledger"][key]
    ledger = memory.recalled(kept, bench.now(), bench.config).ledger
    assert ledger.rolling == Rolling()
    assert ledger.late.learned_s == 0


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_forecast_counts_as_far_as_somebody_has_chosen(share: float) -> None:
    rule = AllowanceRule(safety_margin_wh=200, forecast_credit=share)
    assert allowance_wh(rule, 1000, 6000) == max(1000, share * 6000) - 200
    assert allowance_wh(rule, 1000, None) == 800
    assert not is_breach(rule, 1000, max(1000, share * 6000), 6000)
    assert is_breach(rule, 1000, max(1000, share * 6000) + 11, 6000)


def test_the_classic_rule_can_export_ahead_of_the_sun() -> None:
    """It was stopped as a breach as soon as it did what it is chosen for."""
    rule = AllowanceRule(AllowanceBasis.CLASSIC, safety_margin_wh=0)
    bench = Bench(replace(CONFIG, allowance=rule), produced_wh=100)
    bench.values["forecast_today_wh"] = Reading(900.0, Quality.GOOD, "sensor.solcast", 1.0)
    assert bench.start().accepted
    bench.run_until(lambda: bench.state.completed is not None, 3600)
    assert bench.state.error is ErrorState.NONE
    assert 700 < bench.exported_today_wh <= 900
