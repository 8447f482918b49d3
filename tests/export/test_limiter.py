"""The limit at the connection point comes before the wanted export, down at once and up slowly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.export.limiter import (
    GUARD_BAND_W,
    NetLoad,
    PowerRule,
    PowerSample,
    cap_w,
    discharge_power_w,
    observe,
)

RULE = PowerRule(export_limit_w=3680, target_export_w=3000, max_discharge_w=5000, gain=1.0)


def net(*values: float) -> NetLoad:
    """Return what is seen of these net loads, with a battery at rest."""
    seen = observe(NetLoad(), PowerSample(0, 99, 0, 99), 0, 99)
    for number, value in enumerate(values):
        now_s = 100.0 + 15 * number
        seen = observe(seen, PowerSample(value, now_s, 0, now_s), 0, now_s)
    return seen


def power(rule: PowerRule, seen: NetLoad, **kwargs: float) -> float:
    at_rest_w = 0.0 if kwargs.get("last_w") else seen.newest_w or 0.0
    values = {"grid_w": at_rest_w, "flows_w": 0.0, "last_w": 0.0, "elapsed_s": 60.0} | kwargs
    return discharge_power_w(
        rule, seen, values["grid_w"], values["flows_w"], values["last_w"], values["elapsed_s"]
    )


def test_the_load_is_served_on_top_of_the_wanted_export() -> None:
    assert power(RULE, net(400)) == 3400


def test_the_lowest_load_of_the_window_counts_for_the_cap() -> None:
    seen = net(400, 2500)
    assert power(PowerRule(3000, 3000, 5000, 1.0), seen) == 3000 - GUARD_BAND_W + 400


def test_after_a_pause_a_load_that_went_off_meanwhile_is_not_believed_any_more() -> None:
    """A start of 3.9 kW against a load of 0.3 kW stayed above the limit for a minute."""
    assert power(PowerRule(2500, 2500, 5000, 1.0), net(1427), grid_w=1) == 2500 - GUARD_BAND_W + 1


def test_with_a_limit_of_zero_the_dispatch_never_exceeds_the_net_load() -> None:
    assert power(PowerRule(0, 3000, 5000, 1.0), net(700)) == 700 - GUARD_BAND_W


def test_sun_that_exports_already_leaves_less_for_the_battery() -> None:
    assert power(RULE, net(-2500)) == 500
    assert power(RULE, net(-4000)) == 0


def test_a_measured_excess_is_taken_off_what_flows() -> None:
    reduced = power(RULE, net(3000), grid_w=-4000, flows_w=4500, last_w=4500)
    assert reduced == 4500 - 1.2 * 320 - GUARD_BAND_W


def test_power_is_raised_by_a_ramp_and_lowered_at_once() -> None:
    assert power(RULE, net(400), last_w=1000, elapsed_s=2) == 1800
    assert power(RULE, net(-2500), last_w=3400, elapsed_s=0) == 500


def test_nothing_is_commanded_before_the_net_load_is_known() -> None:
    assert power(RULE, NetLoad()) == 0


def test_a_grid_reading_counts_only_between_two_battery_readings_that_agree() -> None:
    """Grid and battery are read at different instants: added up in a ramp they make a ghost."""
    seen = net(400)
    only_grid = observe(seen, PowerSample(-900, 130, 0, 100), 0, 130)
    assert only_grid == seen
    ramping = observe(seen, PowerSample(-900, 130, 2000, 131), 0, 131)
    assert ramping.newest_w == 400
    steady = observe(ramping, PowerSample(-1600, 132, 2050, 133), 0, 133)
    assert steady.newest_w == 450


def test_what_the_battery_gives_beyond_its_command_is_no_load_to_be_exported_against() -> None:
    first = PowerSample(-3700, 100, 4100, 100)
    seen = observe(NetLoad(last=first), PowerSample(-3700, 102, 4100, 102), 0, 102, 3730)
    assert seen.newest_w == 400
    assert seen.lowest_w == 30
    assert cap_w(RULE, seen.lowest_w) == 3680 - GUARD_BAND_W + 30


@given(told=st.floats(0, 10_000), battery=st.floats(-5000, 5000), grid=st.floats(-9000, 9000))
def test_a_command_never_makes_the_net_load_higher_than_it_was_measured(
    told: float, battery: float, grid: float
) -> None:
    first = NetLoad(last=PowerSample(grid, 100, battery, 100))
    sample = PowerSample(grid, 102, battery, 102)
    lowest_w = observe(first, sample, 0, 102, told).lowest_w
    measured_w = observe(first, sample, 0, 102).lowest_w
    assert lowest_w is not None
    assert measured_w is not None
    assert lowest_w <= measured_w


def test_samples_far_apart_or_unsettled_make_no_net_load() -> None:
    first = observe(NetLoad(), PowerSample(500, 100, 0, 100), 0, 100)
    apart = observe(first, PowerSample(500, 130, 0, 130), 0, 130)
    unsettled = observe(first, PowerSample(500, 103, 0, 103), 101, 103)
    assert apart.newest_w is None
    assert unsettled.newest_w is None


def test_the_window_forgets() -> None:
    seen = net(100)
    seen = observe(seen, PowerSample(900, 798, 0, 798), 0, 798)
    later = observe(seen, PowerSample(900, 800, 0, 800), 0, 800)
    assert later.lowest_w == 900


@given(
    limit=st.floats(0, 10_000),
    target=st.floats(0, 5000),
    load=st.floats(-10_000, 10_000),
    gain=st.floats(1, 1.25),
)
def test_never_above_the_limit_by_the_lowest_net_load(
    limit: float, target: float, load: float, gain: float
) -> None:
    watts = power(PowerRule(limit, target, 5000, gain), net(load))
    assert 0 <= watts <= 5000
    if watts > 0:
        assert watts * gain - load <= limit
