"""Inputs that contradict each other are named; what only looks odd is left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.export.plausible import APART_S, LEARNED_AFTER_S, Watch, contradictions, watch
from agent.export.snapshot import ErrorState
from agent.house.readings import DispatchReadings, HouseSample, Quality, Reading, missing
from tests.export.bench import Bench

CAPACITY_WH = 10_000.0


def said(value: float | None, source: str) -> Reading:
    return Reading(value, Quality.GOOD if value is not None else Quality.UNAVAILABLE, source)


def house(grid_w: float, battery_w: float, pv_w: float | None, soc: float = 70) -> HouseSample:
    other = missing("")
    return HouseSample(
        linked=True,
        grid_w=said(grid_w, "sensor.grid"),
        battery_w=said(battery_w, "sensor.battery"),
        pv_w=said(pv_w, "sensor.pv"),
        soc_percent=said(soc, "sensor.soc"),
        exported_wh=other,
        produced_wh=other,
        forecast_today_wh=other,
        reserve_soc_percent=other,
        dispatch=DispatchReadings(other, other, other, other, other),
    )


def after(*steps: tuple[float, HouseSample], dispatching: bool = True) -> list[str]:
    """Return what is wrong at the end of these moments."""
    w = Watch()
    for now_s, sample in steps:
        w = watch(w, sample, CAPACITY_WH, now_s, dispatching=dispatching)
    now_s, sample = steps[-1]
    return [reason.code for reason in contradictions(w, sample, now_s)]


@pytest.mark.parametrize(
    ("sample", "code"),
    [
        (house(-18_000, 3000, 500), "grid_power_unbalanced"),
        (house(-2800, -3000, 500), "grid_power_unbalanced"),
        (house(-2800, 18_000, 500), "battery_power_implausible"),
        (house(-2800, 3000, None), ""),
        (house(-2800, 3000, 200), ""),
        (house(6000, -5000, 0), ""),
        (house(-8000, 0, 8100), ""),
    ],
)
def test_powers_that_cannot_be_together_are_named(sample: HouseSample, code: str) -> None:
    assert after((0, sample), (APART_S + 1, sample)) == ([code] if code else [])


def test_a_ramp_whose_readings_are_apart_is_no_contradiction() -> None:
    late = house(-3000, 0, 300)
    assert after((0, late), (APART_S - 1, late), (APART_S, house(300, 0, 300))) == []


def test_feed_in_that_no_input_counts_is_learned_at_rest() -> None:
    sunny = house(-2500, 0, 0)
    steps = [(float(n), sunny) for n in range(0, int(LEARNED_AFTER_S) + 10, 10)]
    assert after(*steps, dispatching=False) == ["grid_power_unbalanced"]
    later = [*steps, (400.0, sunny), (500.0, sunny)]
    assert after(*later, dispatching=False) == []
    assert after(*later, dispatching=True) == ["grid_power_unbalanced"]


def test_a_charge_that_jumps_is_named_until_it_returns_or_stays() -> None:
    high, low = house(0, 0, 300, soc=70), house(0, 0, 300, soc=25)
    assert after((0, high), (10, low)) == ["soc_jumped"]
    assert after((0, high), (10, low), (60, high)) == []
    assert after((0, high), (10, low), (10 + LEARNED_AFTER_S, low)) == ["soc_jumped"]
    assert after((0, high), (10, low), (11 + LEARNED_AFTER_S, low)) == []
    assert after((0, high), (7200, low)) == []


@given(
    moves=st.lists(st.floats(-5000, 5000), min_size=1, max_size=40),
    pv_w=st.floats(0, 8000),
    load_w=st.floats(0, 9000),
)
def test_a_house_that_obeys_physics_never_contradicts_itself(
    moves: list[float], pv_w: float, load_w: float
) -> None:
    w, soc = Watch(), 50.0
    for n, battery_w in enumerate(moves):
        now_s = n * 60.0
        soc = min(100.0, max(4.0, soc - battery_w / 60 / CAPACITY_WH * 100))
        sample = house(load_w - pv_w - battery_w, battery_w, pv_w, soc)
        w = watch(w, sample, CAPACITY_WH, now_s, dispatching=n % 2 == 0)
        assert list(contradictions(w, sample, now_s)) == []


@pytest.mark.parametrize(
    ("name", "lie", "code"),
    [
        ("grid_w", lambda value: value - 15_000, "grid_power_unbalanced"),
        ("battery_w", lambda value: value + 15_000, "battery_power_implausible"),
        ("battery_w", lambda value: -5 - abs(value), "grid_power_unbalanced"),
        ("soc_percent", lambda value: (value + 45) % 100, "soc_jumped"),
    ],
    ids=["grid jumps", "battery jumps", "battery negative", "charge jumps"],
)
def test_a_lie_ends_the_discharge_is_named_and_leaves_no_trace(
    name: str, lie: Callable[[float], float], code: str
) -> None:
    bench = Bench(soc_percent=80, pv_w=500)
    bench.start()
    bench.run_until(lambda: bench.dispatching, 20)
    bench.run(30)
    bench.twists[name] = lambda reading: replace(reading, value=lie(reading.value or 0.0))
    bench.run_until(lambda: not bench.dispatching, 60)
    leases = bench.kinds().count("lease")
    bench.run(20)
    assert any(f"sensor.{name}" in reason.text for reason in bench.view().problems)
    bench.run(120)
    assert not bench.dispatching
    assert bench.kinds().count("lease") == leases, "it was tried again and again"
    bench.twists.clear()
    bench.run(60)
    if name == "battery_w":  # whoever wants it asks again, and has read why it ended
        assert not bench.dispatching
        assert bench.state.error is ErrorState.LOST_INPUT
        assert bench.start().accepted
    bench.run_until(lambda: bench.dispatching, 120)
    assert bench.writes[-1][1].power_w > 2000, "the lie still counts as a net load"
