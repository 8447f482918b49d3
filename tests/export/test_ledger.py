"""The day's account: ticks count, what has not ticked counts at worst, nothing is handed back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import Instant
from agent.export.ledger import (
    CounterFault,
    CounterRules,
    Flow,
    Ledger,
    advance,
    restored,
)
from agent.house.readings import CounterKind, Quality, Reading
from tests.export.bench import LONDON

EXPORT = CounterRules(CounterKind.DAILY, 10, 60, 10_000, conservative_up=True)
PV = CounterRules(CounterKind.DAILY, 100, 60, 10_000, conservative_up=False)
LIFETIME = CounterRules(CounterKind.LIFETIME, 10, 60, 10_000, conservative_up=True)
LIFETIME_PV = CounterRules(CounterKind.LIFETIME, 100, 60, 10_000, conservative_up=False)
BEGIN = datetime(2026, 7, 1, 12, tzinfo=LONDON)
NO_FLOW = Flow(0.0, 0.0, 0.0)


def at(seconds: float, begin: datetime = BEGIN) -> Instant:
    return Instant(seconds, begin + timedelta(seconds=seconds))


def reading(value: float | None, read_s: float = 1e9) -> Reading:
    """Return a counter that was read at this moment; by default just now."""
    quality = Quality.GOOD if value is not None else Quality.UNAVAILABLE
    return Reading(value, quality, "sensor.x", read_s, read_s)


def account(
    *steps: tuple[float, float | None, float | None, Flow],
    begin: datetime = BEGIN,
    rules: tuple[CounterRules, CounterRules] = (EXPORT, PV),
) -> Ledger:
    ledger = Ledger(begin.date(), 0.0)
    for seconds, exported, produced, flow in steps:
        readings = (reading(exported), reading(produced))
        ledger = advance(ledger, at(seconds, begin), readings, rules, flow)
    return ledger


def test_a_daily_counter_brings_the_morning_with_it() -> None:
    ledger = account((1, 1200, 4300, NO_FLOW))
    assert (ledger.exported_wh, ledger.produced_wh) == (1200, 4300)


def test_a_lifetime_counter_begins_at_zero() -> None:
    ledger = account((1, 1_234_560, 9_000_000, NO_FLOW), rules=(LIFETIME, LIFETIME_PV))
    assert (ledger.exported_wh, ledger.produced_wh) == (0, 0)


def test_what_may_have_flowed_since_the_last_tick_counts_as_exported() -> None:
    running = Flow(3000.0, 0.0, 4000.0)
    ledger = account((0, 0, 0, NO_FLOW), (36, 0, 0, running))
    assert ledger.exported_upper_wh(10) == pytest.approx(10 + 40)
    assert ledger.exported_wh == pytest.approx(30)
    ticked = advance(ledger, at(60), (reading(50), reading(0)), (EXPORT, PV), running)
    assert ticked.exported_upper_wh(10) == 60
    assert ticked.exported_wh == 50


def test_a_tick_proves_nothing_of_what_came_after_it_was_read() -> None:
    running = Flow(3000.0, 0.0, 4000.0)
    ledger = account((0, 0, 0, NO_FLOW), (36, 0, 0, running))
    old = reading(20, read_s=18)
    ledger = advance(ledger, at(36), (old, reading(0)), (EXPORT, PV), running)
    assert ledger.exported_upper_wh(10) == pytest.approx(20 + 10 + 40)


def test_an_unavailable_counter_changes_nothing_and_grants_nothing() -> None:
    ledger = account((0, 500, 900, NO_FLOW), (10, None, None, NO_FLOW))
    assert (ledger.exported_wh, ledger.produced_wh) == (500, 900)


def test_a_fall_is_named_and_hands_nothing_back() -> None:
    ledger = account((0, 5000, 9000, NO_FLOW), (10, 100, 9000, NO_FLOW))
    assert ledger.exported.fault is CounterFault.FELL
    assert ledger.exported_wh == 5000


def test_a_glitch_that_returns_is_forgiven() -> None:
    ledger = account((0, 5000, 9000, NO_FLOW), (10, 100, 9000, NO_FLOW), (20, 5000, 9000, NO_FLOW))
    assert ledger.exported.fault is None


def test_a_fall_that_stays_is_a_reset_and_still_hands_nothing_back() -> None:
    ledger = account(
        (0, 5000, 9000, NO_FLOW),
        (10, 100, 9000, NO_FLOW),
        (920, 100, 9000, NO_FLOW),
        (930, 110, 9000, NO_FLOW),
    )
    assert ledger.exported.fault is None
    assert ledger.exported_wh >= 5010


def test_a_jump_of_the_pv_counter_never_grants_allowance() -> None:
    ledger = account((0, 0, 1000, NO_FLOW), (10, 0, 9000, NO_FLOW), (2000, 0, 9000, NO_FLOW))
    assert ledger.produced_wh == 1000


def test_a_catch_up_after_an_outage_is_not_a_jump() -> None:
    blind = Flow(None, None, 0.0)
    ledger = account((0, 0, 1000, NO_FLOW), (1800, None, None, blind), (1801, 1500, 2500, blind))
    assert ledger.exported.fault is None
    assert ledger.exported_wh == 1500
    assert ledger.produced_wh == 2500


def test_a_counter_that_stands_still_while_power_flows_is_named() -> None:
    flowing = Flow(3000.0, 0.0, 0.0)
    ledger = account((0, 0, 0, NO_FLOW), (100, 0, 0, flowing), (240, 0, 0, flowing))
    assert ledger.exported.fault is CounterFault.STANDS_STILL
    ledger = advance(ledger, at(250), (reading(120), reading(0)), (EXPORT, PV), flowing)
    assert ledger.exported.fault is None


def test_what_flowed_since_an_old_reading_was_read_may_still_come() -> None:
    """After a restart Core first shows what it read a minute ago, then what there is now."""
    rules, blind = (EXPORT, PV), Flow(None, None, 0.0)
    ledger = account((0, 450, 0, NO_FLOW), (93, None, None, blind))
    old = advance(ledger, at(94), (reading(530, read_s=40), reading(0)), rules, NO_FLOW)
    assert old.exported.fault is None
    new = advance(old, at(94.1), (reading(580), reading(0)), rules, NO_FLOW)
    assert new.exported.fault is None
    assert new.exported_wh == pytest.approx(580, abs=1)
    jumped = advance(old, at(94.1), (reading(900), reading(0)), rules, NO_FLOW)
    assert jumped.exported.fault is CounterFault.JUMPED


def test_a_meter_that_looks_new_may_still_follow_its_source() -> None:
    """Seen after a restart of the agent: 780 Wh just reported, and 830 Wh two seconds later."""
    rules, blind = (EXPORT, PV), Flow(None, None, 0.0)
    ledger = account((0, 700, 0, NO_FLOW), (93, None, None, blind))
    ledger = advance(ledger, at(94), (reading(780), reading(0)), rules, NO_FLOW)
    ledger = advance(ledger, at(96), (reading(830), reading(0)), rules, NO_FLOW)
    assert ledger.exported.fault is None
    for n in range(8):  # the licence wears off with the steps
        value = 840 + 10 * n
        ledger = advance(ledger, at(100 + 60 * n), (reading(value), reading(0)), rules, NO_FLOW)
    jumped = advance(ledger, at(600), (reading(960), reading(0)), rules, NO_FLOW)
    assert jumped.exported.fault is CounterFault.JUMPED


def test_a_counter_that_rested_for_hours_has_its_polls_to_move() -> None:
    """What it should have shown counts from when it flowed, not from its last tick."""
    flowing = Flow(3000.0, 0.0, 0.0)
    ledger = account((0, 0, 0, NO_FLOW), (7200, 0, 0, NO_FLOW), (7260, 0, 0, flowing))
    assert ledger.exported.fault is None
    ledger = advance(ledger, at(7320), (reading(50), reading(0)), (EXPORT, PV), flowing)
    assert ledger.exported.fault is None
    assert ledger.exported_wh == 50


def test_what_a_restarted_meter_has_lost_is_charged_at_its_worst() -> None:
    """Core before 2026 forgets what flowed between its last poll and its restart."""
    flowing, blind = Flow(3000.0, 0.0, 3000.0), Flow(None, None, 3000.0)
    ledger = account((0, 0, 0, NO_FLOW), (54, 0, 0, flowing), (60, None, None, blind))
    upper_wh = ledger.exported_upper_wh(10)
    ledger = advance(ledger, at(90), (reading(None), reading(None)), (EXPORT, PV), NO_FLOW)
    ledger = advance(ledger, at(300), (reading(0), reading(0)), (EXPORT, PV), NO_FLOW)
    assert ledger.exported.fault is None
    assert ledger.exported_wh == pytest.approx(50)  # 45 Wh measured, 5 Wh while it was blind
    assert ledger.exported_upper_wh(10) >= upper_wh
    later = advance(ledger, at(3000), (reading(0), reading(0)), (EXPORT, PV), NO_FLOW)
    assert later.exported.fault is None


def test_a_meter_that_stands_still_does_not_forbid_the_rest_of_the_day() -> None:
    flowing = Flow(3000.0, 0.0, 0.0)
    steps = [(float(n), 0.0, 0.0, flowing) for n in range(0, 190, 2)]
    ledger = account(*steps, (240, 0, 0, NO_FLOW))
    assert ledger.exported.fault is CounterFault.STANDS_STILL
    measured_wh = ledger.exported.flow_wh
    ledger = advance(ledger, at(1080), (reading(0), reading(0)), (EXPORT, PV), NO_FLOW)
    assert ledger.exported.fault is CounterFault.STANDS_STILL
    ledger = advance(ledger, at(1100), (reading(0), reading(0)), (EXPORT, PV), NO_FLOW)
    assert ledger.exported.fault is None
    assert ledger.exported.day_wh == pytest.approx(measured_wh)


def test_midnight_starts_a_new_account() -> None:
    begin = datetime(2026, 7, 1, 23, 59, 50, tzinfo=LONDON)
    ledger = account(
        (0, 5000, 9000, NO_FLOW),
        (20, 5000, 9000, NO_FLOW),
        (30, 0, 0, NO_FLOW),
        (600, 10, 0, Flow(60.0, 600.0, 0.0, 600.0)),
        (640, 10, 100, Flow(60.0, 600.0, 0.0, 600.0)),
        begin=begin,
    )
    assert ledger.day.isoformat() == "2026-07-02"
    assert ledger.exported.day_wh == 10
    assert 80 <= ledger.produced_wh <= 100


def test_before_its_reset_yesterdays_pv_grants_nothing_today() -> None:
    begin = datetime(2026, 7, 1, 23, 59, 50, tzinfo=LONDON)
    ledger = account((0, 5000, 9000, NO_FLOW), (20, 5000, 9000, NO_FLOW), begin=begin)
    assert ledger.produced_wh == 0


def test_unverified_energy_is_charged_to_both_days() -> None:
    begin = datetime(2026, 7, 1, 23, 59, 50, tzinfo=LONDON)
    running = Flow(3600.0, 0.0, 3600.0)
    ledger = account((0, 0, 9000, NO_FLOW), (20, 0, 9000, running), begin=begin)
    assert ledger.exported_upper_wh(10) == pytest.approx(30)


def test_a_clock_set_back_grants_nothing_again() -> None:
    ledger = account((0, 500, 900, NO_FLOW))
    back = Instant(10, BEGIN - timedelta(days=1))
    again = advance(ledger, back, (reading(500), reading(900)), (EXPORT, PV), NO_FLOW)
    assert again.day == ledger.day
    assert again.exported_wh == 500


def test_a_restart_on_a_new_day_reads_a_daily_counter_afresh() -> None:
    """Yesterday ended at 3000 Wh; today the counter is at 4000: 4000 are today's, not 1000."""
    ledger = account((0, 3000, 9000, NO_FLOW))
    later = at(86_400)
    ledger = restored(ledger, later, 86_400, 0.0, (EXPORT, PV))
    ledger = advance(ledger, later, (reading(4000), reading(9500)), (EXPORT, PV), NO_FLOW)
    assert ledger.exported_wh == 4000
    assert ledger.produced_wh == 9500


def test_a_restart_charges_the_gap() -> None:
    ledger = account((0, 3000, 9000, NO_FLOW))
    ledger = restored(ledger, at(60), 60, 75.0, (EXPORT, PV))
    assert ledger.exported_upper_wh(10) == pytest.approx(3000 + 10 + 75)


@given(
    st.lists(
        st.tuples(
            st.floats(1, 3600),
            st.one_of(st.none(), st.floats(0, 50_000)),
            st.one_of(st.none(), st.floats(0, 50_000)),
        ),
        max_size=20,
    )
)
def test_within_a_day_the_upper_bound_of_a_believed_counter_never_falls(
    steps: list[tuple[float, float | None, float | None]],
) -> None:
    ledger, seconds, before = Ledger(BEGIN.date(), 0.0), 0.0, 0.0
    for pause_s, exported, produced in steps:
        seconds += pause_s
        readings = (reading(exported), reading(produced))
        ledger = advance(ledger, at(seconds % 40_000), readings, (EXPORT, PV), NO_FLOW)
        assert ledger.exported.day_wh >= before
        before = ledger.exported.day_wh
