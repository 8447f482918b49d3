"""A guard that is killed at the worst instants has paid for everything that still leaves (T5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.export.decide import step
from agent.export.states import GuardConfig, GuardState, Look, Step
from agent.simulator import bench
from agent.simulator.bench_guard import Controller, GuardController
from agent.simulator.bench_kills import kills
from agent.simulator.bench_site import Day
from agent.simulator.plant import Plant


def test_no_kill_at_a_bad_instant_takes_the_day_over_its_allowance() -> None:
    found = kills("bridge", seed=3, count=16)
    assert len(found) >= 16
    assert min(kill.left_wh for kill in found) < 100
    assert max(kill.over_wh for kill in found) <= 10
    assert max(kill.runs_on_s for kill in found) <= 60 + 4 + 4
    assert 10 < max(kill.forced_wh for kill in found) <= 81 * 1.1


def test_a_lease_that_was_not_paid_for_shows_in_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep has to be able to fail: here 2 kWh more than the sun gave may leave."""

    def careless(state: GuardState, look: Look, config: GuardConfig) -> Step:
        generous = replace(config.allowance, tolerance_wh=2000.0)
        return step(state, look, replace(config, allowance=generous))

    def broken(config: GuardConfig, day: Day, _: Plant) -> Controller:
        return GuardController(config, day.instant(0.0), careless)

    monkeypatch.setattr(bench.Bench.__init__, "__defaults__", ("none", broken))
    assert max(kill.over_wh for kill in kills("bridge", seed=3, count=16)) > 10
