"""
Actuation: cases 24 to 32 and 40 of control.md, lived through in a simulated house.

`docs/cases.md` has the whole table.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from agent.export.commitments import Status, exposure_w
from agent.export.requests import RequestKind
from agent.export.snapshot import ErrorState, Phase
from agent.house.alphaess import DispatchBlock
from agent.house.port import WriteStatus
from agent.house.readings import Reading
from agent.simulator.dispatch import DispatchSettings
from tests.export.bench import CONFIG, Bench

METER_WH = 10.0
LIMIT_W = 3680


def running(bench: Bench) -> Bench:
    """Start, and wait until it is well under way."""
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 1000, 60)
    bench.run(60)
    return bench


def powers(bench: Bench) -> list[int]:
    """Return the powers that were commanded, in order; a stop is 0."""
    return [block.power_w for _, block in bench.writes]


def test_case_24_a_lost_reduction_is_paid_for_at_the_old_power_until_it_is_seen() -> None:
    """Case 24: P_worst keeps the larger of the two until the registers tell."""
    bench = running(Bench(produced_wh=9000))
    old_w = bench.state.commitments[-1].block.power_w
    bench.fate = lambda _: (False, WriteStatus.DELIVERED)
    bench.config = replace(bench.config, target_export_w=1000)
    bench.run_until(lambda: bench.state.commitments[-1].block.power_w < old_w - 1000, 40)
    bench.run(15)
    reduced = bench.state.commitments[-1]
    assert reduced.status is not Status.CONFIRMED
    assert exposure_w(bench.state.commitments, 1.0) >= old_w
    bench.fate = lambda _: (True, WriteStatus.DELIVERED)
    bench.run_until(lambda: exposure_w(bench.state.commitments, 1.0) < old_w - 1000, 60)


def test_case_24_whatever_half_of_the_commands_is_lost_the_allowance_holds() -> None:
    """Case 24: lost starts, reductions, renewals and stops, in a fixed shuffle."""
    bench = Bench(produced_wh=900)
    count = 0

    def fate(_: DispatchBlock) -> tuple[bool, WriteStatus]:
        nonlocal count
        count += 1
        statuses = (WriteStatus.DELIVERED, WriteStatus.UNCONFIRMED)
        return count * 7 % 5 > 1, statuses[count * 3 % 2]

    bench.fate = fate
    for _ in range(30):
        bench.start()
        bench.run(60)
    assert count > 20
    assert bench.exported_today_wh <= 900 + METER_WH


def test_case_25_a_power_that_the_inverter_clamped_is_ours_and_not_a_foreign_controller() -> None:
    """Case 25: our time and cut-off with another power is neither confirmed nor foreign."""
    bench = Bench(produced_wh=9000)

    def clamped(reading: Reading) -> Reading:
        return replace(reading, value=min(reading.value or 0.0, 2500.0))

    bench.twists["power_w"] = clamped
    assert bench.start().accepted
    bench.run_until(lambda: bench.state.error is not ErrorState.NONE, 120)
    assert bench.state.error is ErrorState.DISCHARGE_START_FAILED
    bench.run_until(lambda: not bench.dispatching, 60)
    assert "foreign_dispatch" not in bench.kinds()
    assert "discharge_started" not in bench.kinds()


@pytest.mark.parametrize("mode", [1.0, 3.0, 19.0])
def test_case_25_another_mode_than_the_written_one_is_no_confirmation(mode: float) -> None:
    """Case 25: load following with our numbers in it does not do what was commanded."""
    bench = Bench(produced_wh=9000)
    bench.twists["mode"] = lambda reading: replace(reading, value=mode)
    assert bench.start().accepted
    bench.run_until(lambda: bench.state.error is ErrorState.DISCHARGE_START_FAILED, 120)
    assert "discharge_started" not in bench.kinds()
    bench.run_until(lambda: not bench.dispatching, 60)


@pytest.mark.parametrize(
    "quirk",
    [
        DispatchSettings(timer_step_s=60),
        DispatchSettings(shortest_s=60),
        DispatchSettings(exit_lag_s=8),
        DispatchSettings(counts_down=True),
    ],
    ids=["whole minutes", "clamped upwards", "exits late", "counts down"],
)
def test_case_26_whatever_the_inverter_makes_of_the_time_the_allowance_holds(
    quirk: DispatchSettings,
) -> None:
    """Case 26: durations are rounded up, and the last lease is the shortest."""
    bench = Bench(produced_wh=500, dispatch=quirk)
    for _ in range(20):
        bench.start()
        bench.run(60)
    assert bench.exported_today_wh <= 500 + METER_WH
    # A time that counts down proves no lease: the agent takes such a dispatch for another's.
    assert bench.exported_today_wh > (0 if quirk.counts_down else 300)
    assert all(0 < block.duration_s <= CONFIG.path.lease_s for _, block in bench.writes)


def test_case_27_a_toggle_that_an_automation_flips_back_is_answered_seldom_and_then_left() -> None:
    """Case 27: no ping-pong, whoever it is: cloud, VPP, a second Home Assistant, the app."""
    bench = running(Bench(produced_wh=9000))
    begun = len(bench.writes)
    for _ in range(120):
        if bench.dispatching:
            bench.plant.dispatch.write(0, [0, 0, 32000, 0, 32000, 0, 0, 0, 90])
        bench.run(5)
    starts = [at_s for at_s, block in bench.writes[begun:] if block.start]
    assert len(starts) <= 4
    assert all(after - before >= 10 for before, after in pairwise(starts))
    assert bench.state.error is ErrorState.FOREIGN_CONTROLLER
    assert bench.state.wish is None


def test_case_29_a_battery_that_refuses_is_not_wound_up_and_comes_back_within_the_limit() -> None:
    """Case 29: EPS, a BMS limit of 0, a fault; then it suddenly delivers again."""
    bench = running(Bench(replace(CONFIG, target_export_w=3600), produced_wh=9000))
    before_w = max(powers(bench))
    bench.plant.gain = 0.0
    bench.run_until(lambda: bench.state.error is ErrorState.DISCHARGE_START_FAILED, 120)
    assert max(powers(bench)) <= before_w, "it was wound up"
    bench.plant.gain = 1.0
    bench.run(120)
    assert not bench.dispatching, "it was retried by itself"
    bench.ask(RequestKind.ACKNOWLEDGE)
    assert bench.start().accepted
    for _ in range(120):
        bench.run(1)
        assert -bench.plant.true_grid_w <= LIMIT_W
    assert bench.dispatching


@pytest.mark.parametrize("gain", [0.93, 1.0, 1.1])
def test_case_30_whatever_the_inverter_delivers_of_it_the_limit_holds_in_the_end(
    gain: float,
) -> None:
    """Case 30: a gain of 0.93 to 1.10, at a target that is the limit itself."""
    bench = Bench(replace(CONFIG, target_export_w=5000), produced_wh=9000, gain=gain)
    assert bench.start().accepted
    bench.run(60)
    over_s = 0
    for load_w in (400.0, 1800.0, 300.0):
        bench.plant.load_override_w = load_w
        for _ in range(120):
            bench.run(1)
            over_s += -bench.plant.true_grid_w > LIMIT_W
    assert over_s <= 20
    assert -bench.plant.true_grid_w > 2500


def test_case_30_at_the_ac_limit_nothing_is_saved_up_for_later() -> None:
    """Case 30: sun and battery share 5 kW; when the sun goes, the command is no surprise."""
    config = replace(CONFIG, export_limit_w=6000, target_export_w=5000)
    bench = running(Bench(config, produced_wh=9000, pv_w=3000))
    bench.run(120)
    commanded_w = bench.state.commitments[-1].block.power_w
    bench.plant.pv_override_w = 0.0
    for _ in range(120):
        bench.run(1)
        assert -bench.plant.true_grid_w <= 5000 + 100
    assert commanded_w <= CONFIG.path.max_discharge_w


def test_case_31_around_the_useful_minimum_the_battery_rests_between_two_starts() -> None:
    """Case 31: the power that is left swings about `min_discharge_w` all the time."""
    config = replace(CONFIG, export_limit_w=700, target_export_w=200)
    bench = Bench(config, produced_wh=9000, load_w=300)
    bench.start()
    begun: list[float] = []
    for n in range(90):
        bench.plant.load_override_w = 60.0 + 120.0 * (n % 2)
        for _ in range(13):
            known = bench.kinds().count("lease")
            bench.run(1)
            if bench.kinds().count("lease") > known:
                begun.append(bench.now_s)
    assert len(begun) > 2, "the scene does not swing about the minimum"
    assert all(after - before >= CONFIG.minimum_off_s for before, after in pairwise(begun))
    assert len(bench.writes) <= 130, "more than 260 writes an hour"


def test_case_31_around_the_floor_a_discharge_ends_once() -> None:
    """Case 31: the charge recovers by a percent as soon as the battery rests."""
    bench = Bench(produced_wh=9000, soc_percent=22)
    assert bench.start().accepted
    bench.run_until(lambda: bench.view().phase is Phase.DISCHARGE_COMPLETE, 900)
    bench.plant.soc_percent = 22.5
    bench.run(900)
    assert bench.kinds().count("lease") == 1
    assert not bench.dispatching


def test_case_31_a_safety_stop_waits_for_no_minimum_time_and_no_ramp() -> None:
    """Case 31: one second after the start, and in one step."""
    bench = Bench(produced_wh=9000)
    assert bench.start().accepted
    bench.run_until(lambda: bench.dispatching, 30)
    bench.ask(RequestKind.EMERGENCY_STOP)
    bench.run_until(lambda: not bench.dispatching, 5)
    assert powers(bench)[-1] == 0


def test_case_32_a_stopped_or_finished_discharge_does_not_arm_itself_again() -> None:
    """Case 32: the old toggle enforcement began the same slot anew with a fresh target."""
    bench = running(Bench(produced_wh=9000))
    bench.ask(RequestKind.STOP_DISCHARGE)
    bench.run(60)
    written = len(bench.writes)
    bench.restart(bench.kill())
    bench.run(900)
    assert len(bench.writes) == written
    done = Bench(produced_wh=300)
    done.start()
    done.run_until(lambda: done.view().phase is Phase.DISCHARGE_COMPLETE, 1800)
    written = len(done.writes)
    done.restart(done.kill())
    done.run(900)
    assert [block.start for _, block in done.writes[written:]].count(True) == 0


def test_case_40_what_a_load_spike_cost_is_never_caught_up_above_target_or_limit() -> None:
    """Case 40: a kettle takes the export away; afterwards it is not a watt higher than before."""
    bench = running(Bench(produced_wh=9000))
    bench.run(120)
    usual_w = -bench.plant.true_grid_w
    bench.plant.load_override_w = 5000.0
    bench.run(300)
    bench.plant.load_override_w = 400.0
    bench.run(60)
    for _ in range(300):
        bench.run(1)
        assert -bench.plant.true_grid_w <= usual_w + 100
