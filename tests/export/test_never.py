"""
Whatever the readings, times and replies: the guard never raises and never breaches.

Faults are thrown in any order at the simulated house; the meter of the house, not the guard's
own account, says what left it.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.clock import Instant
from agent.export import memory, view
from agent.export.allowance import AllowanceRule
from agent.export.decide import step
from agent.export.requests import Request, RequestKind
from agent.export.snapshot import ErrorState
from agent.export.states import GuardState, Look, Reply
from agent.house.port import WriteOutcome, WriteStatus
from agent.house.readings import DispatchReadings, HouseSample, Quality, Reading
from tests.export.bench import CONFIG, LONDON, NOON, Bench

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
looks = st.tuples(
    st.floats(0, 600),
    samples,
    st.lists(st.sampled_from(list(RequestKind)), max_size=2),
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from(list(WriteStatus))), max_size=2),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(looks, min_size=1, max_size=12), st.booleans())
def test_no_reading_time_or_reply_makes_the_guard_raise(
    sequence: list[tuple[float, HouseSample, list[RequestKind], list[tuple[int, WriteStatus]]]],
    reserve: bool,
) -> None:
    now = Instant(1000.0, NOON.astimezone(LONDON))
    config = replace(CONFIG, observe_reserve_soc=reserve)
    state: GuardState = memory.fresh(now)
    for pause_s, sample, kinds, replies in sequence:
        now = Instant(now.monotonic_s + pause_s, now.local)
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
