"""
Each quirk of an inverter, and each input that is wired wrongly, is told by the commissioning test.

The quirks are those of the simulated inverter, the wrong inputs those that users of other
integrations have reported; a healthy house beside them passes with every check.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent.export import memory
from agent.export.commissioning import Commissioning, Stage
from agent.export.commissioning_checks import Check, Verdict
from agent.export.requests import RequestKind
from agent.house.alphaess import DispatchBlock
from agent.house.readings import Reading
from agent.settings import Settings
from agent.simulator.dispatch import DispatchSettings
from agent.site import command_path
from tests.export.bench import CONFIG, Bench
from tests.export.test_helper_path import HelperBench

FIRST_S, FULL_S = 180, 600


class Meters(Bench):
    """A bench whose export counter can be late, or count the import."""

    def __init__(self, *, late_s: int = 0, swapped: bool = False, **house: Any) -> None:
        self.told_wh: deque[float] = deque(maxlen=late_s + 1)
        self.swapped = swapped
        super().__init__(**house)

    def _second(self) -> None:
        super()._second()
        plant = self.plant
        begun = plant.settings.imported_start_wh
        counted = plant.true_imported_wh - begun if self.swapped else self.exported_today_wh
        self.told_wh.append(counted)

    def _raw(self, name: str) -> float:
        if name == "exported_wh" and self.told_wh:
            return self.told_wh[0] // 10 * 10
        return super()._raw(name)


def run_test(
    house: Bench, kind: RequestKind = RequestKind.COMMISSION, within_s: float = FIRST_S
) -> Commissioning:
    """Run the test to its end and return its record."""
    assert house.ask(kind).accepted
    house.run_until(lambda: not house.state.commissioning.busy, within_s)
    return house.state.commissioning


def fully(**house: Any) -> Commissioning:
    quick = {"exported_wh": 6, "dispatch": 5}
    bench = Meters(commissioned=False, load_w=400.0, **house)
    bench.polls_s |= quick
    bench.config = replace(
        CONFIG, exported_rules=replace(CONFIG.exported_rules, poll_s=6), readback_poll_s=6
    )
    return run_test(bench, RequestKind.COMMISSION_FULL, FULL_S)


def check(test: Commissioning, code: str) -> Check:
    (found,) = [each for each in test.checks if each.code == code]
    return found


def verdicts(test: Commissioning) -> dict[str, str]:
    return {each.code: each.verdict.value for each in test.checks}


def scaled(factor: float) -> Callable[[Reading], Reading]:
    return lambda reading: replace(reading, value=(reading.value or 0.0) * factor)


def wired(name: str, factor: float, **house: Any) -> Commissioning:
    bench = Bench(commissioned=False, **house)
    bench.twists[name] = scaled(factor)
    bench.run(4)
    return run_test(bench)


def test_a_healthy_inverter_passes_in_the_sun_with_every_input_told() -> None:
    test = run_test(Bench(commissioned=False, pv_w=900.0))
    assert test.stage is Stage.PASSED
    assert verdicts(test) == {
        "timer": "passed",
        "battery_power": "passed",
        "grid_power": "passed",
        "pv_power": "passed",
        "soc": "passed",
        "gain": "passed",
        "shared_bus": "passed",
        "exported_counter": "open",
        "rewrite": "open",
    }
    assert test.counter_lag_s is None


def test_a_cloud_during_the_test_is_not_taken_for_a_wrong_sign() -> None:
    """The demo's own house begins under one: 1.7 kW of sun, and 1.0 kW five seconds later."""
    bench = Bench(commissioned=False, pv_w=2400.0)
    bench.ask(RequestKind.COMMISSION)
    bench.plant.pv_override_w = 900.0
    bench.run_until(lambda: not bench.state.commissioning.busy, FIRST_S)
    assert bench.state.commissioning.stage is Stage.PASSED, bench.state.commissioning.text


def test_at_night_the_sun_stays_open_and_says_so() -> None:
    test = run_test(Bench(commissioned=False))
    assert test.stage is Stage.PASSED
    assert check(test, "pv_power").verdict is Verdict.OPEN
    assert "without sun" in check(test, "pv_power").text


@pytest.mark.parametrize("dead_s", [1.0, 6.0])
def test_the_dead_time_is_measured_apart_from_the_delay(dead_s: float) -> None:
    settings = DispatchSettings(dead_time_s=dead_s)
    test = run_test(Bench(commissioned=False, load_w=900.0, lag_s=4.0, dispatch=settings))
    assert test.dead_s is not None
    assert test.delay_s is not None
    assert test.dead_s == pytest.approx(2 + dead_s, abs=3)  # 2 s for the command, 2 s polls
    assert test.delay_s > test.dead_s


def test_a_timer_in_whole_minutes_is_told_and_paid_for() -> None:
    bench = Bench(commissioned=False, dispatch=DispatchSettings(timer_step_s=60))
    test = run_test(bench)
    assert test.stage is Stage.PASSED
    assert test.rounds_up
    assert "minute" in check(test, "timer").text
    path = command_path("ha_register", Settings(), test, test.path)
    assert path.exit_lag_s >= 59, "a lease of 61 s would run for 120 s"


def test_a_late_exit_is_no_rounding_and_goes_into_the_lease() -> None:
    test = run_test(Bench(commissioned=False, dispatch=DispatchSettings(exit_lag_s=20)))
    assert test.stage is Stage.PASSED
    assert not test.rounds_up
    assert test.exit_lag_s == pytest.approx(23, abs=4)
    assert command_path("ha_register", Settings(), test, test.path).exit_lag_s > 28


def test_an_ignored_timer_fails_with_the_next_step() -> None:
    bench = Bench(commissioned=False, dispatch=DispatchSettings(timer_ignored=True))
    test = run_test(bench)
    assert check(test, "timer").verdict is Verdict.FAILED
    assert "firmware" in check(test, "timer").next_step
    bench.run_until(lambda: not bench.dispatching, 30)


@pytest.mark.parametrize("gain", [0.93, 1.0, 1.10])
def test_the_gain_is_measured(gain: float) -> None:
    test = run_test(Bench(commissioned=False, load_w=900.0, gain=gain))
    assert test.stage is Stage.PASSED
    assert test.gain == pytest.approx(gain, abs=0.02)


def test_a_clipped_battery_is_told_from_a_deaf_one() -> None:
    clipped = run_test(Bench(commissioned=False, load_w=0.0, pv_w=0.0, max_discharge_w=150.0))
    assert "something limits it" in check(clipped, "battery_power").text
    bench = Bench(commissioned=False, load_w=0.0)
    really = bench.plant.dispatch.step
    bench.plant.dispatch.step = lambda *at: really(*at) and None  # type: ignore[method-assign]
    deaf = run_test(bench)
    assert deaf.stage is Stage.FAILED
    assert "obeys" in check(deaf, "battery_power").next_step


@pytest.mark.parametrize("load_w", [0.0, 900.0])
def test_a_battery_with_the_wrong_sign_is_named(load_w: float) -> None:
    test = wired("battery_w", -1, load_w=load_w)
    assert test.stage is Stage.FAILED
    assert "it has the wrong sign" in check(test, "battery_power").text


def test_a_grid_with_the_wrong_sign_is_named() -> None:
    test = wired("grid_w", -1, load_w=0.0)
    assert test.stage is Stage.FAILED
    assert "grid power has the wrong sign" in check(test, "grid_power").text
    assert check(test, "battery_power").verdict is Verdict.PASSED


def test_kilowatts_for_watts_are_named_for_battery_and_grid() -> None:
    battery = wired("battery_w", 0.001, load_w=0.0)
    assert "is in kW, not in W" in check(battery, "battery_power").text
    grid = wired("grid_w", 0.001, load_w=0.0)
    assert "in kW instead of W" in check(grid, "grid_power").text
    assert {battery.stage, grid.stage} == {Stage.FAILED}


def test_kilowatts_of_sun_are_named() -> None:
    test = wired("pv_w", 0.001, pv_w=2900.0, load_w=400.0, soc_percent=99.9, max_charge_w=200.0)
    assert test.stage is Stage.FAILED
    assert check(test, "pv_power").verdict is Verdict.FAILED


def test_a_sum_that_holds_the_battery_is_not_the_sun() -> None:
    bench = Bench(commissioned=False, load_w=900.0, pv_w=1500.0)
    bench.twists["pv_w"] = lambda reading: replace(
        reading, value=(reading.value or 0.0) + bench.values["battery_w"].value
    )
    bench.run(4)
    assert "whole power" in check(run_test(bench), "pv_power").text


def test_a_share_of_one_is_no_state_of_charge() -> None:
    bench = Bench(commissioned=False, soc_percent=0.8)
    test = run_test(bench)
    assert test.stage is Stage.FAILED
    assert "share of 1" in test.text
    assert bench.writes == [], "it is refused before anything is written"


def test_a_second_master_is_found_and_yielded_to() -> None:
    bench = Bench(commissioned=False)
    bench.ask(RequestKind.COMMISSION)
    bench.run_until(lambda: bench.state.commissioning.reached_s is not None, 40)
    bench.plant.dispatch.write(0, DispatchBlock(True, 500, 30, 120).registers())
    bench.run_until(lambda: not bench.state.commissioning.busy, 60)
    test = bench.state.commissioning
    assert test.stage is Stage.FAILED
    assert "Another master" in check(test, "shared_bus").text
    assert bench.start().code in {"foreign_controller", "not_commissioned"}


def test_a_second_master_that_only_moves_the_power_is_found_too() -> None:
    bench = Bench(commissioned=False)
    bench.ask(RequestKind.COMMISSION)
    bench.run_until(lambda: bench.state.commissioning.reached_s is not None, 40)
    bench.plant.dispatch.write(1, [0, 32_450])
    bench.run_until(lambda: not bench.state.commissioning.busy, 60)
    assert "without us" in check(bench.state.commissioning, "shared_bus").text


def test_an_inverter_that_changes_what_is_written_cannot_be_used() -> None:
    test = run_test(Bench(commissioned=False, dispatch=DispatchSettings(shortest_s=60)))
    assert test.stage is Stage.FAILED
    assert "the inverter itself changes" in check(test, "shared_bus").next_step


def test_the_full_test_proves_renewal_and_counter() -> None:
    test = fully()
    assert test.stage is Stage.PASSED, test.text
    assert test.rewrite_extends is True
    assert test.counter_lag_s == 0
    assert check(test, "strong_power").verdict is Verdict.PASSED
    assert Verdict.OPEN not in {each.verdict for each in test.checks if each.code != "pv_power"}


def test_the_full_test_through_helpers_never_repeats_a_slider() -> None:
    bench = HelperBench(commissioned=False)
    test = run_test(bench, RequestKind.COMMISSION_FULL, FULL_S)
    assert test.stage is Stage.PASSED, test.text
    assert test.rewrite_extends is True
    assert [block.duration_s for _, block in bench.writes if block.start] == [60, 60, 120]
    assert all(block.power_w % 100 == 0 for _, block in bench.writes)


@pytest.mark.parametrize("late_s", [30, 60])
def test_a_late_counter_is_measured_and_never_called_earlier(late_s: int) -> None:
    test = fully(late_s=late_s)
    assert test.stage is Stage.PASSED, test.text
    assert test.counter_lag_s is not None
    assert late_s - 3 <= test.counter_lag_s <= late_s + 25


def test_a_rewrite_that_does_not_extend_locks_control() -> None:
    test = fully(dispatch=DispatchSettings(rewrite_extends=False))
    assert test.stage is Stage.FAILED
    assert test.rewrite_extends is False
    assert "did not extend" in test.text


def test_swapped_counters_lock_control() -> None:
    test = fully(swapped=True)
    assert test.stage is Stage.FAILED
    assert "stood still" in check(test, "exported_counter").text
    assert "0x0010" in check(test, "exported_counter").text


def test_a_timer_in_minutes_does_not_look_like_a_rewrite_that_fails() -> None:
    test = fully(dispatch=DispatchSettings(timer_step_s=60))
    assert test.stage is Stage.PASSED, test.text
    assert test.rewrite_extends is True


def test_a_clipped_power_is_told_by_the_full_test() -> None:
    test = fully(max_discharge_w=1200.0)
    assert test.stage is Stage.PASSED, test.text
    assert "max_discharge_w" in check(test, "strong_power").next_step


def test_without_allowance_the_full_test_only_tries_the_rewrite() -> None:
    test = fully(produced_wh=150.0)
    assert test.stage is Stage.PASSED, test.text
    assert test.rewrite_extends is True
    assert test.counter_lag_s is None
    assert "allowance" in check(test, "exported_counter").text


def test_an_export_beyond_the_limit_ends_the_second_part_and_keeps_the_first() -> None:
    bench = Bench(commissioned=False, load_w=3000.0)
    bench.ask(RequestKind.COMMISSION_FULL)
    bench.run_until(lambda: bench.plant.true_battery_w > 4000, FIRST_S)
    bench.plant.load_override_w = 0.0
    bench.run_until(lambda: not bench.state.commissioning.busy, 20)
    assert bench.state.commissioning.stage is Stage.PASSED
    assert "more than the limit" in bench.state.commissioning.text
    bench.run_until(lambda: not bench.dispatching, 10)


def test_the_record_survives_a_restart_with_every_figure() -> None:
    bench = Meters(commissioned=False)
    run_test(bench, RequestKind.COMMISSION_FULL, FULL_S)
    before = bench.state.commissioning
    bench.restart(bench.kill())
    after = bench.state.commissioning
    for name in (
        *("stage", "text", "checks", "delay_s", "dead_s", "exit_lag_s", "gain", "rounds_up"),
        *("rewrite_extends", "counter_lag_s", "firmware", "path", "full", "at"),
    ):
        assert getattr(after, name) == getattr(before, name), name


def test_a_restart_in_the_second_part_keeps_the_first() -> None:
    bench = Bench(commissioned=False)
    bench.ask(RequestKind.COMMISSION_FULL)
    bench.run_until(lambda: bench.plant.true_battery_w > 1500, FIRST_S)
    bench.restart(bench.kill())
    assert bench.state.commissioning.passed_for("bench")
    bench.run_until(lambda: not bench.dispatching, 20)


def test_the_progress_of_a_full_test_never_goes_back() -> None:
    bench = Bench(commissioned=False)
    bench.ask(RequestKind.COMMISSION_FULL)
    seen = [0.0]
    while bench.state.commissioning.busy:
        bench.run(1)
        seen.append(bench.view().commissioning.progress_percent)
    assert seen == sorted(seen)
    assert seen[-1] == 100


def test_a_record_of_an_older_version_still_unlocks() -> None:
    bench = Bench()
    journaled = bench.kill()
    for name in ("dead_s", "rounds_up", "rewrite_extends", "counter_lag_s", "checks", "firmware"):
        del journaled["commissioning"][name]
    assert memory.recalled(journaled, bench.now(), CONFIG).commissioning.passed_for("bench")


def test_another_firmware_locks_control_until_the_test_has_passed_again() -> None:
    bench = Bench()
    bench.config = replace(CONFIG, firmware="1.08")
    bench.run(2)
    assert bench.state.commissioning.firmware == "1.08", "noted, because it was not known before"
    assert bench.start().accepted
    bench.run_until(lambda: bench.dispatching, 30)
    bench.config = replace(CONFIG, firmware="1.09")
    bench.run_until(lambda: not bench.dispatching, 30)
    assert bench.view().last_action.reason == "firmware_changed"  # type: ignore[union-attr]
    assert bench.start().code == "firmware_changed"
    assert "firmware_changed" in {problem.code for problem in bench.view().problems}
    assert not bench.view().commissioning.passed
    bench.run(90)
    assert run_test(bench).firmware == "1.09"
    assert bench.start().accepted


def test_a_part_of_the_firmware_that_is_read_later_joins_the_record() -> None:
    bench = Bench()
    for firmware in ("EMS 1.2.3", "inverter G1, EMS 1.2.3", "inverter G1"):
        bench.config = replace(CONFIG, firmware=firmware)
        bench.run(2)
        assert bench.start().accepted
        bench.ask(RequestKind.STOP_DISCHARGE)
    assert bench.state.commissioning.outdated_by("inverter G2")
    assert bench.state.commissioning.outdated_by("EMS 1.2.4")


def test_a_firmware_that_is_not_known_for_a_while_locks_nothing() -> None:
    bench = Bench()
    bench.config = replace(CONFIG, firmware="1.08")
    bench.run(2)
    bench.config = replace(CONFIG, firmware="")
    assert bench.start().accepted
