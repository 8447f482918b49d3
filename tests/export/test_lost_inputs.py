"""A lost or stale input means an active, verified stop; nothing new starts; the input is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.export.requests import RequestKind
from agent.export.snapshot import ErrorState, HealthStatus
from agent.house.port import WriteStatus
from agent.house.readings import Quality, Reading
from agent.simulator.dispatch import DispatchSettings
from tests.export.bench import Bench

STOP_WITHIN_S = 60


def unavailable(reading: Reading) -> Reading:
    return replace(reading, value=None, quality=Quality.UNAVAILABLE, detail="it is unavailable")


def invalid(reading: Reading) -> Reading:
    return replace(reading, value=None, quality=Quality.INVALID, detail="it says nonsense")


def jumped(reading: Reading) -> Reading:
    return replace(reading, value=(reading.value or 0.0) + 5000.0)


def fallen(reading: Reading) -> Reading:
    return replace(reading, value=max(0.0, (reading.value or 0.0) - 400.0))


CASES: list[tuple[str, Callable[[Reading], Reading], str]] = [
    ("grid_w", unavailable, "grid_power_unavailable"),
    ("grid_w", invalid, "grid_power_invalid"),
    ("battery_w", unavailable, "battery_power_unavailable"),
    ("soc_percent", unavailable, "soc_unavailable"),
    ("soc_percent", invalid, "soc_invalid"),
    ("exported_wh", unavailable, "exported_unavailable"),
    ("exported_wh", jumped, "exported_counter_jumped"),
    ("exported_wh", fallen, "exported_counter_fell"),
    ("produced_wh", invalid, "produced_invalid"),
    ("produced_wh", jumped, "produced_counter_jumped"),
    ("produced_wh", fallen, "produced_counter_fell"),
    ("start", unavailable, "dispatch_unavailable"),
]


def running(**kwargs: object) -> Bench:
    bench = Bench(produced_wh=8000, exported_wh=1000, **kwargs)  # type: ignore[arg-type]
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 1000, 60)
    bench.run(70)
    return bench


@pytest.mark.parametrize(("name", "twist", "code"), CASES, ids=[case[2] for case in CASES])
def test_a_bad_value_stops_the_discharge_and_is_named(
    name: str, twist: Callable[[Reading], Reading], code: str
) -> None:
    bench = running()
    bench.twists[name] = twist
    bench.run_until(lambda: not bench.dispatching, STOP_WITHIN_S)
    assert code in {reason.code for reason in bench.view().problems}
    assert bench.view().health is HealthStatus.ERROR
    assert bench.state.error is ErrorState.LOST_INPUT
    before = len([block for _, block in bench.writes if block.start])
    bench.run(300)
    assert len([block for _, block in bench.writes if block.start]) == before
    assert code in {reason.code for reason in bench.view().blockers}


@pytest.mark.parametrize("report_times", [True, False], ids=["re-reported", "no report times"])
@pytest.mark.parametrize("name", ["grid_w", "battery_w"])
def test_a_frozen_power_stops_the_discharge(name: str, report_times: bool) -> None:
    bench = running(report_times=report_times)
    bench.frozen.add(name)
    bench.run_until(lambda: not bench.dispatching, STOP_WITHIN_S)
    bench.frozen.clear()
    bench.run_until(lambda: "stop_verified" in bench.kinds(), STOP_WITHIN_S)


def test_a_grid_power_that_contradicts_the_rest_does_not_keep_a_stop_from_being_verified() -> None:
    """It shows 6 kW of export when the registers have long shown that nothing runs."""
    bench = running()
    bench.twists["grid_w"] = lambda reading: replace(reading, value=(reading.value or 0.0) - 9000)
    bench.run_until(lambda: not bench.dispatching, 30)
    bench.plant.load_override_w = 2000  # the battery covers the house
    bench.run_until(lambda: "stop_verified" in bench.kinds(), STOP_WITHIN_S)
    assert bench.state.error is not ErrorState.DISCHARGE_STOP_FAILED
    assert "grid_power_unbalanced" in {reason.code for reason in bench.view().problems}


def test_a_full_battery_stands_still_by_right_and_can_be_started() -> None:
    """Where nothing vouches for an unchanged value, 0 W for an hour is still a battery at rest."""
    bench = Bench(soc_percent=100, pv_w=3000, report_times=False)
    bench.frozen.add("battery_w")  # the plant's own meter has noise at rest
    bench.run(1800)
    bench.plant.load_override_w = 1500
    bench.run(1800)
    assert abs(bench.values["battery_w"].value or 0) < 50
    assert not bench.view().problems
    assert bench.start().accepted
    bench.run_until(lambda: bench.dispatching, 20)
    wanted_w = bench.writes[-1][1].power_w
    assert wanted_w == pytest.approx(1500, abs=200), "it did not see what the house draws now"
    bench.frozen.clear()
    bench.run(120)
    assert bench.dispatching


def test_a_battery_meter_stuck_at_zero_ends_the_discharge_and_is_not_believed_again() -> None:
    bench = Bench(soc_percent=100, pv_w=3000, report_times=False)
    bench.frozen.add("battery_w")
    bench.run(60)
    assert bench.start().accepted
    bench.run_until(lambda: bench.dispatching, 20)
    bench.run(20)
    assert bench.dispatching, "a meter has 30 s to move"
    bench.run_until(lambda: not bench.dispatching, STOP_WITHIN_S)
    leases = bench.kinds().count("lease")
    bench.run(1800)
    assert not bench.dispatching
    assert bench.kinds().count("lease") == leases, "it was tried again and again"
    bench.frozen.clear()
    bench.run_until(lambda: bench.dispatching, 120)


def test_a_grid_meter_that_is_frozen_is_not_tried_again_and_again() -> None:
    bench = running()
    bench.frozen.add("grid_w")
    bench.run_until(lambda: not bench.dispatching, STOP_WITHIN_S)
    leases = bench.kinds().count("lease")
    bench.run(1800)
    assert bench.kinds().count("lease") == leases


def test_a_frozen_state_of_charge_is_contradicted_by_the_energy() -> None:
    bench = running(report_times=False)
    bench.frozen.add("soc_percent")
    bench.run_until(lambda: not bench.dispatching, 400)
    assert "soc_frozen" in {r.code for r in bench.view().problems}


def test_a_frozen_export_counter_is_found_by_the_power() -> None:
    bench = running()
    bench.frozen.add("exported_wh")
    bench.run_until(lambda: not bench.dispatching, 240)
    assert "exported_counter_frozen" in {r.code for r in bench.view().problems}


@pytest.mark.parametrize("phase_s", range(0, 60, 10))
def test_a_counter_that_rested_does_not_end_the_discharge_before_its_poll(phase_s: int) -> None:
    bench = Bench(soc_percent=90)
    bench.run(600 + phase_s)
    assert bench.start().accepted
    bench.run(240)
    assert "input_lost" not in bench.kinds()


def test_an_old_pv_counter_only_under_allows() -> None:
    bench = running()
    bench.frozen.add("produced_wh")
    bench.run(600)
    assert bench.dispatching


def test_the_discharge_goes_on_when_the_input_is_back() -> None:
    bench = running()
    bench.twists["grid_w"] = unavailable
    bench.run_until(lambda: not bench.dispatching, STOP_WITHIN_S)
    bench.run(90)
    bench.twists.clear()
    assert bench.run_until(lambda: bench.dispatching, 30) <= 15


def test_with_the_link_down_the_lease_ends_by_itself_and_is_renewed_afterwards() -> None:
    bench = running()
    bench.linked = False
    bench.run_until(lambda: not bench.dispatching, 95)
    assert not bench.view().linked
    bench.run(40)
    assert "stop_by_timer" in bench.kinds()
    bench.linked = True
    bench.plant.dispatch.write(0, [0, 0, 32000, 0, 32000, 0, 0, 0, 90])
    assert bench.run_until(lambda: bench.dispatching, 40) <= 20


def test_a_mute_inverter_leaves_calls_unconfirmed_and_the_lease_ends() -> None:
    bench = running()
    bench.fate = lambda _: (False, WriteStatus.UNCONFIRMED)
    bench.frozen.update({"grid_w", "battery_w", "soc_percent", "dispatch"})
    bench.run(100)
    assert not bench.dispatching
    assert bench.state.stopping is not None or bench.state.hold is not None
    assert bench.state.error is not ErrorState.NONE
    assert "stop_verified" not in bench.kinds()


def test_a_start_with_a_bad_state_of_charge_is_refused_with_its_name() -> None:
    bench = Bench()
    bench.twists["soc_percent"] = invalid
    bench.run(3)
    answer = bench.start()
    assert not answer.accepted
    assert answer.code == "soc_invalid"
    assert bench.state.error is ErrorState.SOC_READ_FAILED


def test_five_failures_open_the_breaker_for_new_operations_only() -> None:
    bench = Bench()
    bench.twists["soc_percent"] = unavailable
    bench.run(60)
    assert bench.view().breaker.is_open
    bench.twists.clear()
    bench.run(8)
    assert not bench.view().breaker.is_open


def test_an_open_breaker_never_keeps_a_stop_back() -> None:
    bench = running()
    bench.twists["soc_percent"] = unavailable
    bench.run(70)
    assert bench.view().breaker.is_open
    assert not bench.dispatching


def test_a_slow_stop_is_not_written_a_third_time_where_nobody_vouches_again() -> None:
    """Each repetition asked for one more fall of a register that had fallen already."""
    bench = Bench(report_times=False, dispatch=DispatchSettings(dead_time_s=8))
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 1000, 60)
    bench.ask(RequestKind.STOP_DISCHARGE)
    bench.run_until(lambda: bench.state.stopping is None, 60)
    bench.run(30)
    assert not bench.dispatching
    assert sum(not block.start for _, block in bench.writes) <= 2
