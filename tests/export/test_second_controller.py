"""While another controller is active and nobody has chosen, nothing is commanded."""

from __future__ import annotations

from dataclasses import replace

from agent.export.requests import RequestKind
from tests.export.bench import CONFIG, Bench

RIVAL = "Energy Export Monitor is active in Home Assistant."
BESIDE = replace(CONFIG, rival=RIVAL)


def test_a_start_a_test_and_a_charge_are_refused_with_the_reason_and_nothing_is_written() -> None:
    bench = Bench(BESIDE)
    bench.run(10)
    assert (bench.start().code, bench.start().text) == ("second_controller", RIVAL)
    assert bench.ask(RequestKind.START_CHARGE).code == "second_controller"
    assert bench.ask(RequestKind.COMMISSION).code == "second_controller"
    assert bench.view().blockers[0].code == "second_controller"
    bench.run(60)
    assert bench.writes == []


def test_a_discharge_that_runs_when_it_appears_is_stopped_and_stays_stopped() -> None:
    bench = Bench()
    bench.start()
    bench.run_until(lambda: "discharge_started" in bench.kinds(), 60)
    bench.config = BESIDE
    bench.run_until(lambda: "stop_verified" in bench.kinds(), 60)
    written = len(bench.writes)
    bench.run(120)
    assert len(bench.writes) == written
    assert not bench.dispatching


def test_a_stop_is_never_refused_beside_it() -> None:
    bench = Bench(BESIDE)
    bench.run(5)
    assert bench.ask(RequestKind.EMERGENCY_STOP).accepted


def test_once_a_person_has_chosen_a_start_runs() -> None:
    bench = Bench(BESIDE)
    bench.run(10)
    bench.config = CONFIG
    assert bench.start().accepted
    bench.run_until(lambda: "discharge_started" in bench.kinds(), 60)
