"""
What Energy Export Monitor did wrong, one test each; every one fails on the old behaviour.

The numbers are those of the inventory of version 1.9.17. The adapter's own cases (D-07's ids,
D-21's units) are in `tests/house`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.export.allowance import AllowanceBasis, AllowanceRule
from agent.export.commitments import Purpose
from agent.export.requests import RequestKind
from agent.export.snapshot import ErrorState, Phase
from agent.house.alphaess import DispatchBlock
from agent.house.port import WriteStatus
from agent.house.readings import Quality, Reading
from tests.export.bench import CONFIG, NOON, Bench

METER_WH = 10.0


def starts(bench: Bench) -> int:
    """Count discharges that were begun, not renewed."""
    return bench.kinds().count("lease")


def discharge(bench: Bench) -> None:
    """Start, and wait until the registers and the battery show it."""
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 1000, 60)


def test_d01_the_safety_margin_is_subtracted() -> None:
    rule = AllowanceRule(safety_margin_wh=300)
    bench = Bench(replace(CONFIG, allowance=rule), produced_wh=600)
    discharge(bench)
    bench.run_until(lambda: bench.view().phase is Phase.DISCHARGE_COMPLETE, 1800)
    bench.run(300)
    assert bench.exported_today_wh <= 300 + METER_WH


def test_d02_a_restart_never_arms_the_inverter_for_longer_than_a_lease() -> None:
    bench = Bench(produced_wh=9000)
    discharge(bench)
    bench.restart(bench.kill())
    bench.run(300)
    assert bench.dispatching
    assert max(block.duration_s for _, block in bench.writes) <= CONFIG.path.lease_s


def test_d03_a_reserve_stop_is_not_undone_and_does_not_churn() -> None:
    bench = Bench(replace(CONFIG, observe_reserve_soc=True))
    bench.values["reserve_soc_percent"] = Reading(50.0, Quality.GOOD, "sensor.reserve", 1.0)
    discharge(bench)
    bench.values["reserve_soc_percent"] = Reading(90.0, Quality.GOOD, "sensor.reserve", 2.0)
    bench.run_until(lambda: not bench.dispatching, 60)
    written = len(bench.writes)
    bench.run(1800)
    assert bench.view().reason.code == "soc_at_reserve"
    assert len(bench.writes) <= written + 1
    assert not bench.dispatching


def test_d04_a_used_allowance_is_not_started_again() -> None:
    bench = Bench(produced_wh=400)
    discharge(bench)
    bench.run_until(lambda: bench.view().phase is Phase.DISCHARGE_COMPLETE, 1800)
    written = len(bench.writes)
    bench.run(1800)
    assert starts(bench) == 1
    assert len(bench.writes) <= written + 1
    assert bench.exported_today_wh <= 400 + METER_WH


def test_d05_a_restart_keeps_the_running_discharge_supervised() -> None:
    bench = Bench(produced_wh=500)
    discharge(bench)
    journaled = bench.kill()
    bench.run(20)
    bench.restart(journaled)
    bench.run_until(lambda: "adopted" in bench.kinds(), 30)
    bench.run_until(lambda: bench.view().phase is Phase.DISCHARGE_COMPLETE, 1800)
    bench.run(120)
    assert not bench.dispatching
    assert bench.exported_today_wh <= 500 + METER_WH


def test_d06_an_agent_that_leaves_gives_the_battery_back() -> None:
    bench = Bench()
    discharge(bench)
    bench.look(RequestKind.STOP_DISCHARGE, by="shutdown")
    bench.run_until(lambda: "stop_verified" in bench.kinds(), 30)
    assert not bench.dispatching


def test_d07_every_frame_carries_the_configured_cut_off() -> None:
    bench = Bench(replace(CONFIG, min_soc_percent=35))
    discharge(bench)
    bench.run(60)
    started = [block for _, block in bench.writes if block.start]
    assert started
    assert {block.cutoff_soc_percent for block in started} == {36.0}


def test_d08_a_refused_command_is_a_failed_start_not_a_warning() -> None:
    bench = Bench()
    bench.fate = lambda _: (False, WriteStatus.REFUSED)
    bench.start()
    bench.run_until(lambda: bench.state.error is ErrorState.DISCHARGE_START_FAILED, 30)
    bench.run(600)
    assert bench.state.wish is None
    assert not bench.dispatching
    with pytest.raises(ValueError, match="dispatch time"):
        DispatchBlock(True, 3000, 20, 790 * 60)


def test_d09_a_start_that_the_registers_never_show_is_a_failure() -> None:
    bench = Bench()
    bench.fate = lambda block: (not block.start, WriteStatus.DELIVERED)
    assert bench.start().accepted
    bench.run_until(lambda: bench.state.error is ErrorState.DISCHARGE_START_FAILED, 120)
    assert bench.view().phase is Phase.ERROR_STATE


def test_d09_a_stop_that_the_registers_never_show_is_not_called_a_success() -> None:
    bench = Bench()
    discharge(bench)
    bench.fate = lambda block: (block.start, WriteStatus.DELIVERED)
    bench.ask(RequestKind.STOP_DISCHARGE)
    bench.run(25)
    assert bench.dispatching
    assert "stop_verified" not in bench.kinds()
    bench.run_until(lambda: not bench.dispatching, 120)
    bench.run_until(lambda: "stop_verified" in bench.kinds(), 60)


@pytest.mark.parametrize("gain", [0.1, 1.6])
def test_d09_registers_alone_are_no_success_the_battery_has_to_follow(gain: float) -> None:
    bench = Bench(replace(CONFIG, target_export_w=2000))
    bench.plant.gain = gain
    bench.start()
    bench.run_until(lambda: bench.state.error is ErrorState.DISCHARGE_START_FAILED, 120)
    bench.run_until(lambda: not bench.dispatching, 30)
    assert "the battery delivers" in bench.view().reason.text


def test_d10_charge_and_discharge_exclude_each_other() -> None:
    bench = Bench()
    discharge(bench)
    answer = bench.ask(RequestKind.START_CHARGE)
    assert not answer.accepted
    assert answer.code == "discharge_active"
    bench.run(120)
    assert all(block.power_w >= 0 for _, block in bench.writes)


def test_d10_a_charge_keeps_a_discharge_out() -> None:
    bench = Bench(soc_percent=50)
    assert bench.ask(RequestKind.START_CHARGE).accepted
    bench.run_until(lambda: bench.plant.battery_w < -1000, 60)
    assert bench.start().code == "charge_active"
    assert {c.purpose for c in bench.state.commitments} == {Purpose.CHARGE}


def test_d15_a_forecast_grants_nothing_that_was_not_produced() -> None:
    bench = Bench(produced_wh=300)
    bench.values["forecast_today_wh"] = Reading(20_000.0, Quality.GOOD, "sensor.solcast", 1.0)
    discharge(bench)
    bench.run_until(lambda: bench.view().phase is Phase.DISCHARGE_COMPLETE, 1800)
    bench.run(300)
    assert bench.exported_today_wh <= 300 + METER_WH


def test_d15_the_classic_rule_still_subtracts_the_margin() -> None:
    rule = AllowanceRule(AllowanceBasis.CLASSIC, safety_margin_wh=200)
    bench = Bench(replace(CONFIG, allowance=rule), produced_wh=100)
    bench.values["forecast_today_wh"] = Reading(900.0, Quality.GOOD, "sensor.solcast", 1.0)
    bench.run(5)
    assert bench.view().energy.allowance_wh == 700


def test_d16_midnight_ends_a_discharge_that_the_new_day_does_not_allow() -> None:
    """23:58 local: yesterday's allowance is large, the new day has produced nothing."""
    begin = NOON.replace(hour=22, minute=58)
    bench = Bench(begin=begin, produced_wh=9000)
    discharge(bench)
    bench.run_until(lambda: bench.now().local.hour == 0, 180)
    bench.run_until(lambda: not bench.dispatching, 60)
    bench.run(1200)
    assert bench.view().energy.day == "2026-07-02"
    # What left between midnight and the stop is all there is; nothing was granted for it.
    assert bench.exported_today_wh < 60
    assert starts(bench) == 1


def test_d18_contradicting_requests_in_one_moment_leave_one_clear_state() -> None:
    bench = Bench()
    answers = bench.look(
        RequestKind.START_DISCHARGE,
        RequestKind.STOP_DISCHARGE,
        RequestKind.START_DISCHARGE,
        RequestKind.START_CHARGE,
        RequestKind.STOP_CHARGE,
    )
    assert [answer.accepted for answer in answers] == [True, True, True, False, True]
    bench.run(120)
    assert bench.state.wish is None
    assert not bench.dispatching
    assert not bench.state.commitments


def test_d18_never_two_commands_are_in_flight() -> None:
    bench = Bench()
    bench.write_delay_s = 12.0
    bench.start()
    for _ in range(240):
        bench.run(1)
        assert len([p for p in bench.pending if p.command.block.start]) <= 1


@pytest.mark.parametrize("pv_w", [0.0, 1500.0, 3000.0])
@pytest.mark.parametrize("load_w", [200.0, 1200.0])
def test_d19_the_limit_holds_at_the_connection_point(pv_w: float, load_w: float) -> None:
    bench = Bench(replace(CONFIG, target_export_w=5000), pv_w=pv_w, load_w=load_w)
    bench.start()
    worst_w = 0.0
    for _ in range(300):
        bench.run(1)
        worst_w = max(worst_w, -bench.plant.true_grid_w)
    assert worst_w <= 3680


@pytest.mark.parametrize("produced_wh", [150, 220, 310, 470, 1000])
def test_d20_a_counter_that_comes_every_minute_costs_no_overshoot(produced_wh: float) -> None:
    bench = Bench(produced_wh=produced_wh // 100 * 100)
    bench.start()
    bench.run(2400)
    assert not bench.dispatching
    assert bench.exported_today_wh <= produced_wh // 100 * 100 + METER_WH


def test_d22_a_dispatch_that_the_inverter_ended_is_not_shown_as_active() -> None:
    """Somebody resets it again and again: renewed three times, then yielded and shown."""
    bench = Bench()
    discharge(bench)
    for _ in range(4):
        bench.run_until(lambda: bench.dispatching, 90)
        bench.run(10)
        bench.plant.dispatch.write(0, [0, 0, 32000, 0, 32000, 0, 0, 0, 90])
        bench.run(20)
    bench.run(60)
    assert bench.state.wish is None
    assert bench.view().phase is not Phase.DISCHARGE_ACTIVE
    assert bench.kinds().count("reset_by_other") == 3
