"""The test that unlocks control proves the timer, the signs and the path, or says why not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.export.allowance import AllowanceRule
from agent.export.commissioning import Stage
from agent.export.requests import RequestKind
from agent.house.readings import Reading
from agent.simulator.dispatch import DispatchSettings
from tests.export.bench import CONFIG, Bench


def test_until_it_has_passed_nothing_starts() -> None:
    bench = Bench(commissioned=False)
    assert bench.start().code == "not_commissioned"
    assert bench.writes == []


@pytest.mark.parametrize("load_w", [0.0, 300.0, 900.0])
@pytest.mark.parametrize("pv_w", [0.0, 2000.0])
def test_it_passes_and_measures(load_w: float, pv_w: float) -> None:
    bench = Bench(commissioned=False, load_w=load_w, pv_w=pv_w)
    assert bench.ask(RequestKind.COMMISSION).accepted
    bench.run_until(lambda: bench.state.commissioning.stage is Stage.PASSED, 120)
    test = bench.state.commissioning
    assert len(bench.writes) == 1, "nothing but the one command: it has to end unaided"
    assert test.delay_s is not None
    assert 2 <= test.delay_s <= 12
    assert test.gain == pytest.approx(1.0, abs=0.05)
    assert bench.start().accepted


def test_it_passes_where_a_power_that_stands_is_not_reported_again() -> None:
    bench = Bench(commissioned=False, report_times=False, load_w=0.0)
    bench.polls_s |= {"grid_w": 9, "battery_w": 9}
    bench.ask(RequestKind.COMMISSION)
    bench.run_until(lambda: bench.state.commissioning.stage is Stage.PASSED, 120)
    assert len(bench.writes) == 1


def test_where_powers_come_slowly_it_is_repeated_for_longer() -> None:
    bench = Bench(commissioned=False)
    bench.polls_s |= {"grid_w": 29, "battery_w": 29}
    bench.run(40)
    bench.ask(RequestKind.COMMISSION)
    bench.run_until(lambda: bench.state.commissioning.stage is Stage.PASSED, 400)
    lengths_s = [block.duration_s for _, block in bench.writes if block.start]
    assert lengths_s[:2] == [30, 60]
    assert bench.kinds().count("commissioning_repeated") == len(lengths_s) - 1
    assert not bench.dispatching


@pytest.mark.parametrize(("produced_wh", "runs"), [(5, False), (200, True)])
def test_a_day_that_cannot_pay_for_it_has_no_test_and_the_margin_is_not_asked(
    produced_wh: float, runs: bool
) -> None:
    rule = AllowanceRule(safety_margin_wh=500)
    bench = Bench(
        replace(CONFIG, allowance=rule), commissioned=False, produced_wh=produced_wh, pv_w=0.0
    )
    bench.ask(RequestKind.COMMISSION)
    done = Stage.PASSED if runs else Stage.FAILED
    bench.run_until(lambda: bench.state.commissioning.stage is done, 120)
    assert bool(bench.writes) is runs
    assert runs or "Run it again when the sun has produced more." in bench.state.commissioning.text


def test_a_full_test_ends_after_its_first_part_where_the_day_pays_for_no_more() -> None:
    rule = AllowanceRule(tolerance_wh=15)
    bench = Bench(
        replace(CONFIG, allowance=rule), commissioned=False, produced_wh=5, pv_w=0.0, load_w=0.0
    )
    bench.ask(RequestKind.COMMISSION_FULL)
    bench.run_until(lambda: bench.state.commissioning.stage is Stage.PASSED, 300)
    assert len([block for _, block in bench.writes if block.start]) == 1
    assert "the full test was ended" in bench.state.commissioning.text


def test_an_inverter_that_ignores_the_timer_fails_and_is_stopped() -> None:
    bench = Bench(commissioned=False, dispatch=DispatchSettings(timer_ignored=True))
    bench.ask(RequestKind.COMMISSION)
    bench.run_until(lambda: bench.state.commissioning.stage is Stage.FAILED, 180)
    bench.run_until(lambda: not bench.dispatching, 30)
    assert "unaided" in bench.state.commissioning.text
    assert bench.start().code == "not_commissioned"


@pytest.mark.parametrize("name", ["grid_w", "battery_w"])
def test_a_wrong_sign_fails_with_words(name: str) -> None:
    bench = Bench(commissioned=False, load_w=0.0)

    def turned(reading: Reading) -> Reading:
        return replace(reading, value=-(reading.value or 0.0))

    bench.twists[name] = turned
    bench.run(4)
    bench.ask(RequestKind.COMMISSION)
    bench.run_until(lambda: bench.state.commissioning.stage is Stage.FAILED, 180)
    assert "sign" in bench.state.commissioning.text


def test_a_second_master_on_the_line_is_refused_and_ends_a_test_that_runs() -> None:
    bench = Bench(replace(CONFIG, foreign_requests=2), commissioned=False)
    answer = bench.ask(RequestKind.COMMISSION)
    assert (answer.accepted, answer.code) == (False, "second_master")
    assert "2 requests that are not its own" in answer.text
    bench.config = CONFIG
    assert bench.ask(RequestKind.COMMISSION).accepted
    bench.run_until(lambda: bench.dispatching, 60)
    bench.config = replace(CONFIG, foreign_requests=3)
    bench.run_until(lambda: not bench.dispatching, 20)
    test = bench.state.commissioning
    assert test.stage is Stage.FAILED
    assert [check.code for check in test.checks] == ["shared_bus"]


def test_another_mapping_needs_another_test() -> None:
    bench = Bench()
    bench.config = replace(bench.config, path_identity="other inputs")
    assert bench.start().code == "not_commissioned"


def test_a_stop_ends_the_test() -> None:
    bench = Bench(commissioned=False)
    bench.ask(RequestKind.COMMISSION)
    bench.run(12)
    bench.ask(RequestKind.STOP_DISCHARGE)
    bench.run_until(lambda: not bench.dispatching, 15)
    assert bench.state.commissioning.stage is Stage.FAILED


def test_a_restart_during_the_test_fails_it() -> None:
    bench = Bench(commissioned=False)
    bench.ask(RequestKind.COMMISSION)
    bench.run(12)
    bench.restart(bench.kill())
    assert bench.state.commissioning.stage is Stage.FAILED
    bench.run(120)
    assert not bench.dispatching
    assert bench.start().code == "not_commissioned"
