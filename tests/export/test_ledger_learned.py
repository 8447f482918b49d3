"""What the account learns of a counter and of a house: within bounds, and only to be safer."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.export import memory
from agent.export.lateness import MOST_LAG_S, Lateness, ticked, watched
from agent.export.leakage import Leakage, first_wh
from agent.export.ledger import Flow, Ledger, advance
from agent.house.readings import Quality, Reading
from tests.export.bench import CONFIG, Bench
from tests.export.test_ledger import BEGIN, EXPORT, LIFETIME_PV, PV, at

QUIET = Flow(0.0, 0.0, 0.0)
BRIDGE = replace(EXPORT, poll_s=6.0)
HOUR_S = 3600.0


def ran(late_s: float, power_w: float, seconds: float, *, poll_s: float = 6.0) -> Lateness:
    """Return what is known after an export out of rest, whose counter is so many seconds late."""
    late, told_wh, shown_wh = Lateness(), 0.0, 0.0
    for second in range(round(200 + 2 * poll_s + seconds)):
        flows = second - 200 - 2 * poll_s
        exported_w = power_w if flows > 0 else 0.0
        late = watched(late, exported_w, exported_w / HOUR_S, float(second), poll_s)
        if second % poll_s == 0:
            shown_wh = max(0.0, flows - late_s) * power_w / HOUR_S // 10 * 10
        if shown_wh > told_wh:
            late = ticked(late, shown_wh - told_wh, 10.0, float(second - second % poll_s))
            told_wh = shown_wh
    return late


@pytest.mark.parametrize("power_w", [1200.0, 2500.0, 5000.0])
@pytest.mark.parametrize("poll_s", [6.0, 60.0])
def test_a_counter_that_tells_at_once_is_not_late(power_w: float, poll_s: float) -> None:
    assert ran(0, power_w, 900, poll_s=poll_s).learned_s == 0


@pytest.mark.parametrize("power_w", [1500.0, 2500.0, 5000.0])
def test_a_counter_that_tells_a_minute_late_is_found_out(power_w: float) -> None:
    assert 60 <= ran(60, power_w, 300).learned_s <= MOST_LAG_S


def test_one_tick_that_came_late_proves_nothing() -> None:
    late = Lateness(measured_wh=60.0, curve=((0.0, 0.0), (30.0, 20.0), (60.0, 40.0), (90.0, 60.0)))
    once = ticked(late, 10.0, 10.0, 90.0)
    assert once.suspected_s > 0
    assert once.learned_s == 0
    assert ticked(once, 10.0, 10.0, 91.0).learned_s > 0


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.floats(0, 20_000)), st.floats(0, 300), st.floats(0, 500)),
        max_size=40,
    )
)
def test_no_lag_is_ever_learned_beyond_its_bound(
    steps: list[tuple[float | None, float, float]],
) -> None:
    late, now_s = Lateness(), 0.0
    for power_w, pause_s, told_wh in steps:
        now_s += pause_s
        late = watched(late, power_w, (power_w or 0.0) * pause_s / HOUR_S, now_s, 6.0)
        before_s = late.learned_s
        if told_wh > 0:
            late = ticked(late, told_wh, 10.0, now_s)
        assert before_s <= late.learned_s <= MOST_LAG_S


def exported(lag_s: float) -> Ledger:
    """Return the account after a minute of discharge with a counter that ticks honestly."""
    rules = (replace(BRIDGE, lag_s=lag_s), PV)
    ledger = Ledger(BEGIN.date(), 0.0)
    for second in range(0, 66, 2):
        read_s = float(second - second % 6)
        value = max(0.0, read_s) * 3600 / HOUR_S // 10 * 10
        counters = (
            Reading(value, Quality.GOOD, "sensor.x", read_s, read_s),
            Reading(0.0, Quality.GOOD, "sensor.y", read_s, read_s),
        )
        flow = Flow(3600.0, 0.0, 3600.0) if second else QUIET
        ledger = advance(ledger, at(second), counters, rules, flow)
    return ledger


def test_the_bound_grows_by_what_may_have_flowed_in_the_counters_lag() -> None:
    prompt, late = exported(0.0), exported(30.0)
    assert prompt.exported.day_wh == late.exported.day_wh
    assert late.exported_upper_wh(10) - prompt.exported_upper_wh(10) >= 20
    assert late.exported_upper_wh(10) >= 64


def test_what_a_tick_hides_is_no_more_than_flowed_since_the_read_before() -> None:
    ledger = exported(0.0)
    assert ledger.rest_wh is not None
    assert ledger.rest_wh <= 8  # six seconds, and a piece
    assert ledger.exported_upper_wh(10) >= 64  # what has really flowed


def test_a_tick_hides_a_whole_step_where_no_command_bounds_the_power() -> None:
    ledger = Ledger(BEGIN.date(), 0.0)
    for second, value in ((0, 0.0), (6, 0.0), (12, 10.0)):
        counters = (
            Reading(value, Quality.GOOD, "sensor.x", float(second), float(second)),
            Reading(0.0, Quality.GOOD, "sensor.y", float(second), float(second)),
        )
        ledger = advance(ledger, at(second), counters, (BRIDGE, PV), QUIET)
    assert ledger.exported_upper_wh(10) == 20


def test_the_lag_that_commissioning_found_leaves_less_for_the_next_lease() -> None:
    def used_wh(lag_s: float) -> float:
        rules = replace(CONFIG.exported_rules, lag_s=lag_s)
        bench = Bench(replace(CONFIG, exported_rules=rules), produced_wh=700)
        assert bench.start().accepted
        bench.run_until(lambda: bench.state.completed is not None, 3600)
        bench.run(300)
        return bench.exported_today_wh

    assert used_wh(60.0) < used_wh(0.0) <= 700


def evening(known: Leakage, leaked_wh: float) -> Leakage:
    """Return what is known after one more evening from 18 h on."""
    sun, dark = Flow(0.0, 500.0, 0.0), Flow(0.0, 0.0, 0.0)
    known = known.passed(sun, 1.0, 7 * HOUR_S)
    known = known.passed(dark, 0.0, 6 * HOUR_S).told(10.0)
    for n in range(60):
        known = known.passed(dark, 0.1, (6 - n / 10) * HOUR_S)
    return known.told(leaked_wh).closed()


def test_a_house_that_leaks_more_keeps_more_from_the_first_evening_on() -> None:
    assert evening(Leakage(), 90.0).reserve_wh(5 * HOUR_S) > 1.5 * first_wh(5 * HOUR_S)


def test_a_tight_house_is_believed_after_some_evenings_only() -> None:
    known = Leakage()
    for _ in range(4):
        known = evening(known, 0.0)
        assert known.reserve_wh(5 * HOUR_S) >= first_wh(5 * HOUR_S)
    assert 0 < evening(known, 0.0).reserve_wh(5 * HOUR_S) < first_wh(5 * HOUR_S)


def test_the_reserve_never_passes_the_leakiest_houses_known() -> None:
    assert evening(Leakage(), 5000.0).reserve_wh(4 * HOUR_S) == 15 + 12 * 4


def test_what_a_command_lets_out_is_no_leak() -> None:
    known = Leakage().passed(Flow(0.0, 0.0, 3000.0), 1.0, 4 * HOUR_S).told(3000.0)
    known = known.passed(QUIET, 0.1, 3 * HOUR_S).told(10.0)
    assert known.leaked_wh == 0


def test_what_was_learned_survives_a_restart_through_json() -> None:
    bench = Bench()
    ledger = replace(
        bench.state.ledger, late=Lateness(61.0), leakage=Leakage((1.5, 0.4), 20.0, 9.0)
    )
    bench.state = replace(bench.state, ledger=ledger)
    again = memory.recalled(json.loads(json.dumps(bench.kill())), bench.now(), bench.config).ledger
    assert again.late.learned_s == 61
    assert again.leakage.evenings == (1.5, 0.4)
    assert (again.leakage.leaked_wh, again.leakage.expected_wh) == (20.0, 9.0)


def produced(first_flow_wh: float) -> Ledger:
    """A lifetime PV counter on the second day, after so much was hidden in its step at midnight."""
    rules, ledger = (EXPORT, LIFETIME_PV), Ledger(BEGIN.date(), 0.0)
    begin_s = 12 * HOUR_S  # BEGIN is noon

    def look(second: float, value: float, power_w: float) -> None:
        nonlocal ledger
        counters = (
            Reading(0.0, Quality.GOOD, "sensor.x", second, second),
            Reading(value, Quality.GOOD, "sensor.y", second, second),
        )
        flow = Flow(0.0, power_w, 0.0, power_w)
        ledger = advance(ledger, at(second), counters, rules, flow)

    for n in range(12):  # Ticks; what was not seen of the beginning wears off.
        look(n * 360.0, 500_000.0 + 100.0 * n, 1000.0 if n else 0.0)
    look(4000.0, 501_100.0, 0.0)
    look(5000.0, 501_100.0, first_flow_wh * 3.6)
    look(begin_s + 60, 501_100.0, 0.0)
    assert ledger.produced.day_wh == 0
    look(begin_s + 7 * HOUR_S, 501_100.0, 0.0)
    look(begin_s + 7 * HOUR_S + 360, 501_200.0, (100 - first_flow_wh) * 10)
    return ledger


@pytest.mark.parametrize("hidden_wh", [0.0, 40.0, 95.0])
def test_the_first_step_of_a_day_grants_nothing_of_yesterdays_sun(hidden_wh: float) -> None:
    ledger = produced(hidden_wh)
    assert ledger.produced_wh <= 100 - hidden_wh + 1
    assert ledger.produced_wh >= 100 - 1.1 * hidden_wh - 6
