"""Starts and stops are counted once each, by what they were for, and over restarts."""

from __future__ import annotations

import dataclasses

from agent.export.requests import RequestKind
from agent.export.snapshot import StatisticsView
from agent.house.port import WriteStatus
from tests.export.bench import CONFIG, Bench


def ran(bench: Bench) -> StatisticsView:
    return bench.view().statistics


def test_a_start_and_its_stop_are_counted_once_each() -> None:
    bench = Bench()
    bench.start()
    bench.run_until(lambda: ran(bench).start_discharge_success == 1, 60)
    bench.run(60)
    bench.ask(RequestKind.STOP_DISCHARGE)
    bench.run_until(lambda: bench.state.stopping is None, 60)
    assert ran(bench) == StatisticsView(start_discharge_success=1, stop_discharge_success=1)
    last = bench.view().last_action
    assert last is not None
    assert (last.action, last.purpose, last.reason) == ("stop", "discharge", "requested")


def test_a_charge_is_counted_as_a_charge() -> None:
    bench = Bench()
    bench.ask(RequestKind.START_CHARGE)
    bench.run_until(lambda: ran(bench).start_charge_success == 1, 60)
    bench.ask(RequestKind.STOP_CHARGE)
    bench.run_until(lambda: bench.state.stopping is None, 60)
    assert ran(bench) == StatisticsView(start_charge_success=1, stop_charge_success=1)


def test_a_start_that_never_shows_is_counted_as_failed() -> None:
    bench = Bench()
    bench.fate = lambda block: (False, WriteStatus.DELIVERED)
    bench.start()
    bench.run_until(lambda: ran(bench).start_discharge_fail == 1, 180)
    assert ran(bench).start_discharge_success == 0


def test_a_refused_start_and_a_commissioning_test_count_nothing() -> None:
    refused = Bench(dataclasses.replace(CONFIG, target_export_w=0))
    assert not refused.start().accepted
    tested = Bench(commissioned=False)
    tested.ask(RequestKind.COMMISSION)
    tested.run(120)
    assert ran(refused) == ran(tested) == StatisticsView()


def test_statistics_and_last_action_survive_a_restart_and_are_reset_on_request() -> None:
    bench = Bench()
    bench.start()
    bench.run_until(lambda: ran(bench).start_discharge_success == 1, 60)
    before = bench.view()
    bench.restart(bench.kill())
    after = bench.view()
    assert after.statistics == before.statistics
    assert after.last_action == before.last_action
    assert bench.ask(RequestKind.RESET_STATISTICS).accepted
    assert ran(bench) == StatisticsView(since=bench.now().local)
    assert bench.view().last_action is None
    bench.restart(bench.kill())
    assert ran(bench).since is not None


def test_a_journal_that_never_counted_is_taken_up_with_zeros() -> None:
    bench = Bench()
    journaled = bench.kill()
    del journaled["statistics"], journaled["last_action"]
    bench.restart(journaled)
    assert ran(bench) == StatisticsView()
