"""
Whatever the readings, times and replies: the guard never raises and never breaches.

Faults are thrown in any order at the simulated house; the meter of the house, not the guard's
own account, says what left it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.clock import Instant
from agent.export import memory, view
from agent.export.advice import Advice
from agent.export.allowance import AllowancePeriod, AllowanceRule
from agent.export.commitments import Purpose
from agent.export.decide import step
from agent.export.requests import Answer, Request, RequestKind
from agent.export.snapshot import ErrorState
from agent.export.states import GuardState, Look, Reply
from agent.export.turn import Turn
from agent.house.port import WriteOutcome, WriteStatus
from agent.house.readings import CounterKind, DispatchReadings, HouseSample, Quality, Reading
from tests.export.bench import CONFIG, LONDON, NOON, Bench
from tests.export.worst import span_of, worst_of_all_wh

VALUES = ("grid_w", "battery_w", "soc_percent", "exported_wh", "produced_wh")

faults = st.one_of(
    st.tuples(st.just("freeze"), st.sampled_from(VALUES)),
    st.tuples(st.just("heal"), st.sampled_from(VALUES)),
    st.tuples(st.just("unlink"), st.just("")),
    st.tuples(st.just("link"), st.just("")),
    st.tuples(st.just("lose"), st.just("")),
    st.tuples(st.just("unconfirm"), st.just("")),
    st.tuples(st.just("late"), st.just("")),
    st.tuples(st.just("deliver"), st.just("")),
    st.tuples(st.just("restart"), st.just("")),
    st.tuples(st.just("reset"), st.just("")),
    st.tuples(st.just("load"), st.sampled_from(["100", "700", "2500"])),
    st.tuples(st.just("sun"), st.sampled_from(["0", "800", "3500"])),
    st.tuples(st.just("ask"), st.sampled_from([kind.value for kind in RequestKind])),
)


FATES = {
    "deliver": (True, WriteStatus.DELIVERED),
    "lose": (False, WriteStatus.DELIVERED),
    "unconfirm": (False, WriteStatus.UNCONFIRMED),
    "late": (True, WriteStatus.UNCONFIRMED),
}


def throw(bench: Bench, fault: str, what: str) -> None:
    """Let one thing happen to the house."""
    if fault in FATES:
        bench.fate = lambda _: FATES[fault]
        return
    match fault:
        case "freeze":
            bench.frozen.add(what)
        case "heal":
            bench.frozen.discard(what)
        case "unlink" | "link":
            bench.linked = fault == "link"
        case "restart":
            bench.restart(bench.kill())
        case "reset":
            bench.plant.dispatch.write(0, [0, 0, 32000, 0, 32000, 0, 0, 0, 90])
        case "load":
            bench.plant.load_override_w = float(what)
        case "sun":
            bench.plant.pv_override_w = float(what)
        case _:
            bench.look(RequestKind(what))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(faults, st.integers(1, 90)), min_size=3, max_size=14),
    st.sampled_from([100.0, 300.0, 700.0]),
    st.booleans(),
)
def test_no_sequence_of_faults_breaches_while_a_lease_is_open(
    sequence: list[tuple[tuple[str, str], int]], produced_wh: float, report_times: bool
) -> None:
    bench = Bench(produced_wh=produced_wh, report_times=report_times)
    bench.start()
    for (fault, what), seconds in sequence:
        throw(bench, fault, what)
        for _ in range(seconds):
            bench.run(1)
            if bench.dispatching and bench.plant.dispatch.power_w > 0:
                over_wh = bench.exported_today_wh - max(produced_wh, bench.produced_today_wh)
                assert over_wh <= 10, f"{over_wh:.0f} Wh too much after {fault} {what}"
        assert all(block.duration_s <= 90 for _, block in bench.writes)


TWISTS: dict[str, Callable[[Reading], Reading]] = {
    "gone": lambda r: replace(r, value=None, quality=Quality.UNAVAILABLE),
    "zero": lambda r: replace(r, value=0.0),
    "negative": lambda r: replace(r, value=-(r.value or 0.0) - 1.0),
    "spike": lambda r: replace(r, value=(r.value or 0.0) + 7000.0),
    "half": lambda r: replace(r, value=(r.value or 0.0) / 2),
    "old": lambda r: replace(r, changed_s=r.changed_s - 300, reported_s=r.changed_s - 300),
}


class Priced(Bench):
    """A house in which every command is held against the allowance before it leaves."""

    priced = 0

    def look(self, *kinds: RequestKind, by: str = "test") -> tuple[Answer, ...]:
        written = len(self.writes)
        answers = super().look(*kinds, by=by)
        newest = self.state.commitments[-1] if self.state.commitments else None
        # A rest in the dark adds nothing to what was paid for before.
        paid = newest is not None and newest.lets_out and newest.worst_case_wh > 0
        if paid and any(block.start for _, block in self.writes[written:]):
            self.hold_against_the_allowance()
        return answers

    def hold_against_the_allowance(self) -> None:
        turn = Turn(Look(self.now(), self.sample()), self.config, self.state)
        path, step_wh = self.config.path, self.config.exported_rules.step_wh
        spans = [span_of(each, path, self.now_s) for each in self.state.commitments]
        worst_wh = worst_of_all_wh(spans[-5:], path, turn.pv_bound_w(), self.now_s)
        upper_wh = self.state.ledger.exported_upper_wh(step_wh)
        assert upper_wh + worst_wh <= self.state.ledger.produced_wh + 1e-6
        self.priced += 1


PLANNED = {"rest": (Purpose.REST, 0.0), "share": (Purpose.SHARE_SUN, 500.0)}


def planned(what: str) -> Callable[[datetime], Advice | None]:
    """Return a plan that wants this for the next two hours, or nothing."""
    if what not in PLANNED:
        return lambda _: Advice()
    purpose, power_w = PLANNED[what]
    return lambda now: Advice(
        purpose, power_w, now + timedelta(hours=2), now + timedelta(hours=1), "test"
    )


disturbances = st.one_of(
    faults,
    st.tuples(st.just("plan"), st.sampled_from([*PLANNED, "nothing"])),
    st.tuples(st.sampled_from(sorted(TWISTS)), st.sampled_from((*VALUES, "pv_w"))),
    st.tuples(st.just("untwist"), st.just("")),
    st.tuples(st.just("clock"), st.sampled_from(["-7200", "7200", "86400"])),
    st.tuples(st.just("pause"), st.sampled_from(["40", "400", "4000"])),
)


def disturb(bench: Bench, fault: str, what: str) -> None:
    """Let one thing happen to the house, to what is read of it, or to the time."""
    if fault in TWISTS:
        bench.twists[what] = TWISTS[fault]
    elif fault == "plan":
        bench.advise = planned(what)
    elif fault == "untwist":
        bench.twists.clear()
    elif fault == "clock":
        bench.begin += timedelta(seconds=float(what))
    elif fault == "pause":
        bench.now_s += float(what)  # The process slept; the house went on, unseen.
        bench.plant.step(float(what))
    else:
        throw(bench, fault, what)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(
    [(("unlink", ""), 5), (("pause", "400"), 5), (("link", ""), 60), (("ask", "commission"), 60)],
    100.0,
    True,
)
@given(
    st.lists(st.tuples(disturbances, st.integers(1, 90)), min_size=3, max_size=14),
    st.sampled_from([100.0, 300.0, 700.0]),
    st.booleans(),
)
def test_what_was_and_what_may_still_come_never_exceeds_the_allowance(
    sequence: list[tuple[tuple[str, str], int]], produced_wh: float, report_times: bool
) -> None:
    """Upper bound of exported + worst case of every command that may still run <= allowance."""
    bench = Priced(produced_wh=produced_wh, report_times=report_times)
    bench.start()
    for (fault, what), seconds in sequence:
        disturb(bench, fault, what)
        bench.run(seconds)


def test_the_property_is_put_to_the_test_by_a_quiet_discharge() -> None:
    bench = Priced(produced_wh=700)
    bench.start()
    bench.run_until(lambda: bench.state.completed is not None, 3600)
    assert bench.priced > 20


@pytest.mark.parametrize("what", PLANNED)
def test_the_property_is_put_to_the_test_by_a_rest_in_the_sun(what: str) -> None:
    sun_w = 350.0 if what == "rest" else 2500.0
    bench = Priced(produced_wh=2000, pv_w=sun_w, soc_percent=50)
    bench.advise = planned(what)
    bench.run(1200)
    assert bench.priced > 5


def test_the_property_can_fail() -> None:
    """A guard that believes in more than was produced is caught at once."""
    bench = Priced(replace(CONFIG, allowance=AllowanceRule(tolerance_wh=5000)), produced_wh=100)
    with pytest.raises(AssertionError):
        bench.start()


readings = st.builds(
    Reading,
    st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32)),
    st.sampled_from(list(Quality)),
    st.just("sensor.x"),
    st.floats(0, 2000),
    st.one_of(st.none(), st.floats(0, 2000)),
)
samples = st.builds(
    HouseSample,
    linked=st.booleans(),
    grid_w=readings,
    battery_w=readings,
    pv_w=readings,
    soc_percent=readings,
    exported_wh=readings,
    produced_wh=readings,
    forecast_today_wh=readings,
    reserve_soc_percent=readings,
    dispatch=st.builds(DispatchReadings, readings, readings, readings, readings, readings),
)
Answered = tuple[int, WriteStatus]
looks = st.tuples(
    st.floats(0, 600),
    st.sampled_from([0.0, 0.0, -7200.0, 7200.0, 1e6]),
    samples,
    st.lists(st.sampled_from(list(RequestKind)), max_size=2),
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from(list(WriteStatus))), max_size=2),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(looks, min_size=1, max_size=12),
    st.booleans(),
    st.sampled_from(list(AllowancePeriod)),
    st.sampled_from(list(CounterKind)),
)
def test_no_reading_time_or_reply_makes_the_guard_raise(
    sequence: list[tuple[float, float, HouseSample, list[RequestKind], list[Answered]]],
    reserve: bool,
    period: AllowancePeriod,
    kind: CounterKind,
) -> None:
    now = Instant(1000.0, NOON.astimezone(LONDON))
    config = replace(
        CONFIG,
        observe_reserve_soc=reserve,
        allowance=AllowanceRule(period=period, forecast_credit=0.5),
        exported_rules=replace(CONFIG.exported_rules, kind=kind, lag_s=60.0),
        produced_rules=replace(CONFIG.produced_rules, kind=kind),
    )
    state: GuardState = memory.fresh(now)
    for pause_s, wall_s, sample, kinds, replies in sequence:
        local = now.local + timedelta(seconds=pause_s + wall_s)
        now = Instant(now.monotonic_s + pause_s, local)
        look = Look(
            now,
            sample,
            tuple(Request(kind, "test") for kind in kinds),
            tuple(Reply(number, WriteOutcome(status, "x")) for number, status in replies),
        )
        result = step(state, look, config)
        assert len(result.answers) == len(kinds)
        assert result.wake_s > now.monotonic_s
        view.snapshot(result.state, look, config)
        state = memory.recalled(memory.journaled(result.state, now), now, config)


def test_an_acknowledged_over_export_is_over_and_the_next_one_is_another() -> None:
    granted = replace(CONFIG, allowance=AllowanceRule(tolerance_wh=5000))
    strict = replace(CONFIG, allowance=AllowanceRule())
    bench = Bench(granted, produced_wh=1000, exported_wh=1500)
    for _ in range(2):
        bench.config = granted
        assert bench.start().accepted
        bench.run_until(lambda: bench.plant.battery_w > 1000, 60)
        bench.config = strict
        bench.run_until(lambda: bench.state.error is ErrorState.OVER_EXPORT, 30)
        bench.run_until(lambda: bench.state.stopping is None, 60)
        assert bench.view().energy.breach
        bench.ask(RequestKind.ACKNOWLEDGE)
        bench.run(90)
    bench.ask(RequestKind.EMERGENCY_STOP)
    bench.run(10)
    assert bench.view().latched
    assert not bench.view().energy.breach
