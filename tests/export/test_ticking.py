"""A frozen counter is found by the rhythm it had, and a living one is never taken for frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.export.lease import SECONDS_PER_HOUR
from agent.export.ledger import CounterFault
from agent.export.ticking import AT_REST, Ticking, moved, overdue, watch
from tests.export.bench import Bench
from tests.export.test_liveness import BRIDGE, house


@dataclass(frozen=True)
class Meter:
    """How a counter comes to know, and to tell."""

    step_wh: float = 10.0
    poll_s: int = 6
    late_s: int = 0
    """A constant lag."""
    held_s: int = 1
    """Its inverter refreshes it so seldom."""
    stops_s: int = 10**9


def told(
    meter: Meter, powers_w: list[tuple[float, int]], known_each_s: int = 2
) -> Iterator[tuple[int, Ticking]]:
    """Yield what is known of a counter, look for look, while these powers flow one by one."""
    true_wh = [0.0]
    flow = [power_w for power_w, lasts_s in powers_w for _ in range(lasts_s)]
    for power_w in flow:
        true_wh.append(true_wh[-1] + power_w / SECONDS_PER_HOUR)
    seen, shown_wh, since_wh = AT_REST, 0.0, 0.0
    for second in range(known_each_s, len(flow), known_each_s):
        hours = known_each_s / SECONDS_PER_HOUR
        seen = watch(seen, flow[second], hours, float(second), 0.0)
        since_wh += flow[second] * hours
        if second % meter.poll_s == 0 and second < meter.stops_s:
            refreshed_s = max(0, second - meter.late_s) // meter.held_s * meter.held_s
            value_wh = true_wh[refreshed_s] // meter.step_wh * meter.step_wh
            if value_wh != shown_wh:
                shown_wh, seen, since_wh = value_wh, moved(seen, since_wh), 0.0
        yield second, seen


def found_s(meter: Meter, power_w: float, seconds: int = 5000) -> float | None:
    """Return when a counter at this power is taken for frozen."""
    looks = told(meter, [(power_w, seconds)])
    return next((second for second, seen in looks if overdue(seen, meter.step_wh)), None)


@settings(max_examples=150, deadline=None)
@given(
    meter=st.builds(
        Meter,
        step_wh=st.sampled_from([1.0, 10.0, 100.0]),
        poll_s=st.sampled_from([2, 6, 10, 60]),
        late_s=st.sampled_from([0, 20, 60]),
        held_s=st.sampled_from([1, 10, 30, 60]),
    ).filter(lambda meter: meter.late_s + meter.held_s <= 62),
    powers_w=st.lists(st.tuples(st.floats(300, 8000), st.integers(10, 500)), max_size=8),
)
def test_a_counter_that_lives_is_never_overdue(
    meter: Meter, powers_w: list[tuple[float, int]]
) -> None:
    """Ticks of 1 to 100 Wh, up to a minute late or refreshed once a minute, powers that jump."""
    for second, seen in told(meter, powers_w):
        assert not overdue(seen, meter.step_wh), second


@pytest.mark.parametrize("power_w", [930, 2500, 3680, 5000])
def test_a_frozen_counter_shows_within_two_ticks_and_two_polls(power_w: float) -> None:
    for step_wh, poll_s in ((10.0, 6), (10.0, 60), (100.0, 6)):
        tick_s = step_wh * SECONDS_PER_HOUR / power_w
        stops_s = 1200 + 3 * int(tick_s)
        meter = Meter(step_wh, poll_s, stops_s=stops_s)
        late_s = found_s(meter, power_w)
        assert late_s is not None
        assert stops_s < late_s <= stops_s + 2 * tick_s + 2 * poll_s, (step_wh, poll_s)


def test_at_a_kilowatt_nobody_can_know_of_a_coarse_counter_sooner_than_its_tick() -> None:
    """100 Wh at 1 kW are six minutes."""
    late_s = found_s(Meter(100.0, 6, stops_s=1500), 1000)
    assert late_s is not None
    assert late_s >= 1440 + 360  # it had moved at 1440 s


def test_without_moves_to_judge_by_the_slower_rule_waits() -> None:
    assert found_s(Meter(stops_s=1), 3000) is None


def test_a_pause_of_the_export_forgets_the_rhythm() -> None:
    *_, (_, seen) = told(Meter(), [(3000.0, 300)])
    assert len(seen.moves_wh) > 3
    assert watch(seen, 100.0, 0.001, 301.0, 0.0) is AT_REST
    assert watch(seen, None, 0.001, 301.0, 0.0) is AT_REST


def discharging(path: str, **options: float) -> Bench:
    config = replace(BRIDGE, target_export_w=3000.0) if path == "bridge" else None
    bench = house(path, config, produced_wh=9000, **options)
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 1000, 60)
    return bench


STOPPED_S = {"bridge": 30, "ha_register": 105}
"""On the other path a poll of the counter alone takes 60 s, so nobody knows within 60."""


@pytest.mark.parametrize("path", ["bridge", "ha_register"])
@pytest.mark.parametrize("gain", [0.93, 1.0, 1.1])
def test_a_counter_that_freezes_in_a_steady_discharge_ends_it(path: str, gain: float) -> None:
    """It was found after 89 and 184 s; what flows meanwhile is in the account at once."""
    bench = discharging(path, gain=gain)
    bench.run(600)
    bench.frozen.add("exported_wh")
    waited_s, charged_wh = 0, []
    while bench.plant.dispatch.acting is not None:
        bench.run(1)
        waited_s += 1
        upper_wh = bench.state.ledger.exported_upper_wh(10)
        charged_wh.append(upper_wh - bench.exported_today_wh)
    assert waited_s <= STOPPED_S[path]
    assert bench.state.ledger.exported.fault is CounterFault.STANDS_STILL
    assert min(charged_wh) >= 0.0


@pytest.mark.parametrize("path", ["bridge", "ha_register"])
def test_a_restart_in_the_middle_of_a_frozen_counter_still_ends_the_discharge(path: str) -> None:
    """The rhythm is forgotten; four ticks, two polls and the slower rule's wait bound it."""
    bench = discharging(path)
    bench.run(600)
    bench.frozen.add("exported_wh")
    bench.run(10)
    bench.restart(bench.kill())
    assert bench.state.ledger.ticking is AT_REST
    waited_s = bench.run_until(lambda: bench.plant.dispatch.acting is None, 300)
    poll_s = bench.config.exported_rules.poll_s
    assert waited_s <= 4 * 10 * SECONDS_PER_HOUR / 2800 + 2 * poll_s + 15 + 25
    assert bench.state.ledger.exported_upper_wh(10) >= bench.exported_today_wh
