"""Counters as they come: coarse, late, replaced, rolled over, and a clock that is set."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent.clock import Instant
from agent.export.day_clock import BELIEVED_AFTER_S, DayClock, believed, watch
from agent.export.ledger import CounterFault, CounterRules, Flow, Ledger, advance
from agent.house.readings import CounterKind
from tests.export.bench import CONFIG, LONDON, Bench
from tests.export.test_ledger import (
    EXPORT,
    LIFETIME,
    LIFETIME_PV,
    NO_FLOW,
    PV,
    account,
    at,
    reading,
)

ROLLS_WH = 2**32 * 10.0
RUNNING = Flow(3000.0, 0.0, 3300.0)


@pytest.mark.parametrize("step_wh", [10.0, 100.0])
def test_a_coarse_counter_is_never_behind_what_may_have_left(step_wh: float) -> None:
    rules = (CounterRules(CounterKind.DAILY, step_wh, 6, 15_000, conservative_up=True), PV)
    ledger, true_wh = account((0, 0, 0, NO_FLOW), rules=rules), 0.0
    for second in range(2, 1200, 2):
        true_wh += 3000 * 2 / 3600
        value = true_wh // step_wh * step_wh
        ledger = advance(ledger, at(second), (reading(value), reading(0)), rules, RUNNING)
        assert ledger.exported_upper_wh(step_wh) >= true_wh
    assert ledger.exported.fault is None


def test_a_lifetime_counter_that_rolls_over_goes_on() -> None:
    rules = (LIFETIME, LIFETIME_PV)
    ledger = account((0, ROLLS_WH - 20, 0, NO_FLOW), (60, ROLLS_WH - 10, 0, RUNNING), rules=rules)
    ledger = advance(ledger, at(90), (reading(20), reading(0)), rules, RUNNING)
    assert ledger.exported.fault is None
    assert ledger.exported.day_wh == 40


def test_a_daily_counter_does_not_roll_over() -> None:
    ledger = account((0, ROLLS_WH - 20, 0, NO_FLOW), (60, 20, 0, RUNNING))
    assert ledger.exported.fault is CounterFault.FELL


def test_a_replaced_meter_that_shows_more_is_charged_what_the_connection_carries() -> None:
    rules = (LIFETIME, LIFETIME_PV)
    steps = [(float(n), 5_000_000.0, 0.0, NO_FLOW) for n in range(60, 1100, 60)]
    ledger = account((0, 1000, 0, NO_FLOW), *steps, rules=rules)
    assert ledger.exported.fault is None
    assert 0 < ledger.exported.day_wh <= 10_000 * 1020 / 3600
    ledger = advance(ledger, at(1110), (reading(5_000_010), reading(0)), rules, NO_FLOW)
    assert ledger.exported.fault is None


def test_a_replaced_meter_that_shows_less_hands_nothing_back() -> None:
    rules = (LIFETIME, LIFETIME_PV)
    ledger = account(
        (0, 90_000, 0, NO_FLOW), (2, 90_030, 0, RUNNING), (60, 0, 0, RUNNING), rules=rules
    )
    assert ledger.exported.fault is CounterFault.FELL
    before_wh = ledger.exported_upper_wh(10)
    for second in (120, 600, 1000, 1060):
        ledger = advance(ledger, at(second), (reading(0), reading(0)), rules, NO_FLOW)
    assert ledger.exported.fault is None
    assert ledger.exported_upper_wh(10) >= before_wh


def test_a_negative_counter_is_a_fall() -> None:
    ledger = account((0, 500, 900, NO_FLOW), (10, -4000, 900, NO_FLOW))
    assert ledger.exported.fault is CounterFault.FELL
    assert ledger.exported_wh == 500


def test_a_counter_whose_lag_is_known_is_given_that_time_to_move() -> None:
    steps = [(float(n), 0.0, 0.0, RUNNING) for n in range(2, 220, 2)]
    assert account((0, 0, 0, NO_FLOW), *steps).exported.fault is CounterFault.STANDS_STILL
    rules = (replace(EXPORT, lag_s=60), PV)
    assert account((0, 0, 0, NO_FLOW), *steps, rules=rules).exported.fault is None


def moments(*jumps: tuple[float, float], begin: datetime) -> list[Ledger]:
    """Return the account each minute, while the wall clock is moved at some seconds."""
    ledger, clock, found = Ledger(begin.date(), 0.0), DayClock(), []
    for second in range(0, 7200, 60):
        moved_s = sum(by_s for at_s, by_s in jumps if second >= at_s)
        wall = (begin + timedelta(seconds=second + moved_s)).astimezone(LONDON)
        counters = (reading(500.0), reading(900.0))
        now = Instant(second, wall)
        clock = watch(clock, now)
        ledger = advance(ledger, believed(clock, now), counters, (LIFETIME, LIFETIME_PV), NO_FLOW)
        found.append(ledger)
    return found


BEFORE_MIDNIGHT = datetime(2026, 7, 1, 22, 30, tzinfo=LONDON)


def test_a_clock_that_runs_turns_the_day_at_midnight() -> None:
    found = moments(begin=BEFORE_MIDNIGHT)
    assert [each.day.day for each in found][88:92] == [1, 1, 2, 2]


def test_a_clock_that_jumps_ahead_turns_the_day_only_when_it_stays_there() -> None:
    found = moments((600, 7200), begin=BEFORE_MIDNIGHT)
    turned = next(n for n, each in enumerate(found) if each.day.day == 2)
    assert turned * 60 - 600 == BELIEVED_AFTER_S + 60


def test_a_clock_that_jumps_ahead_and_back_turns_nothing() -> None:
    found = moments((600, 7200), (840, -7200), begin=BEFORE_MIDNIGHT)
    assert all(each.day.day == 1 for each in found[:89])
    assert found[-1].day.day == 2  # at the real midnight, which is not doubted any more


def test_a_clock_set_back_before_midnight_grants_no_day_twice() -> None:
    found = moments((5700, -7200), begin=BEFORE_MIDNIGHT)
    assert found[-1].day.day == 2


def test_a_discharge_waits_until_a_jumped_clock_is_sure_of_its_day() -> None:
    late = datetime(2026, 7, 1, 21, 30, tzinfo=UTC)
    bench = Bench(CONFIG, begin=late, produced_wh=9000)
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 1000, 60)
    bench.begin += timedelta(hours=2)
    bench.run_until(lambda: not bench.dispatching, 60)
    assert "clock_jumped" in {reason.code for reason in bench.state.lost}


@pytest.mark.parametrize(
    ("month", "day", "hours"), [(3, 29, 22.5), (10, 25, 24.5)], ids=["23 hours", "25 hours"]
)
def test_a_day_lasts_as_long_as_it_does(month: int, day: int, hours: float) -> None:
    now = Instant(0.0, datetime(2026, month, day, 0, 30, tzinfo=LONDON))
    assert now.day_left_s == hours * 3600


def test_the_hour_that_comes_twice_grants_nothing_twice() -> None:
    begin = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # 01:00 in summer time
    ledger, seen = Ledger(begin.astimezone(LONDON).date(), 0.0), []
    for minute in range(0, 180, 10):
        wall = (begin + timedelta(minutes=minute)).astimezone(LONDON)
        counters = (reading(500.0 + minute), reading(900.0))
        flow = Flow(60.0, 0.0, 0.0)
        ledger = advance(ledger, Instant(minute * 60.0, wall), counters, (EXPORT, PV), flow)
        seen.append(ledger.exported.day_wh)
    assert seen == sorted(seen)
    assert ledger.day.day == 25
