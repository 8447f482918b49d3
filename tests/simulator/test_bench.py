"""The bench lets days happen as they are drawn, catches what it has to, and can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.export.decide import step
from agent.export.states import GuardConfig, GuardState, Look, Step
from agent.house.alphaess import DispatchBlock
from agent.simulator.bench import Bench
from agent.simulator.bench_faults import CLASSES, Moment, draw_faults
from agent.simulator.bench_guard import Controller, GuardController
from agent.simulator.bench_measure import DayResult, Excursion, lockouts
from agent.simulator.bench_site import HOUR_S, WAYS, Day, draw_day
from agent.simulator.classic import classic_of
from agent.simulator.plant import Plant
from agent.simulator.sky import Weather


def short_day(path: str = "bridge", *, seed: int = 5, hours: float = 0.7) -> Day:
    """A day with little allowance, so that a short window spends it."""
    day = draw_day(seed, 0, WAYS[path])
    plant = replace(
        day.plant,
        sunrise_s=8 * HOUR_S,
        sunset_s=16 * HOUR_S,
        weather=Weather.CLEAR,
        pv_peak_w=450.0,
        base_load_w=300.0,
        capacity_wh=15_000.0,
    )
    return replace(
        day,
        plant=plant,
        limit_w=3680.0,
        target_w=3680.0,
        opens_s=(23.8 - hours) * HOUR_S,
        closes_s=23.8 * HOUR_S,
        window_soc_percent=90.0,
    )


def run(fault: str, path: str = "bridge", **options: float) -> DayResult:
    return Bench(short_day(path, **options), 0, fault).run()  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", ["none", *CLASSES])
def test_no_fault_class_makes_the_guard_breach(fault: str) -> None:
    result = run(fault)
    assert result.leased, result.events
    if result.ours:
        assert result.over_wh <= 10, (result.over_wh, result.over_at_s, result.events)


@pytest.mark.parametrize("path", ["ha_register", "ha_helpers"])
def test_the_allowance_is_nearly_used_on_the_paths_through_core(path: str) -> None:
    result = run("none", path, hours=1.5)
    assert result.over_wh <= 10
    assert result.exported_wh > 0.85 * result.produced_wh


def test_the_same_seed_gives_the_same_day_to_the_last_bit() -> None:
    assert run("storm") == run("storm")


def test_another_seed_gives_another_day() -> None:
    assert run("none", seed=5) != run("none", seed=6)


def test_a_guard_whose_leases_nobody_pays_for_is_caught() -> None:
    """The bench has to be able to fail: here the allowance no longer limits a lease."""

    def careless(state: GuardState, look: Look, config: GuardConfig) -> Step:
        generous = replace(config.allowance, tolerance_wh=1e6)
        return step(state, look, replace(config, allowance=generous))

    def broken(config: GuardConfig, day: Day, _: Plant) -> Controller:
        return GuardController(config, day.instant(0.0), careless)

    assert Bench(short_day(), 0, "none", broken).run().over_wh > 100


def test_a_guard_that_never_renews_its_look_at_the_limit_is_caught() -> None:
    """Without the power limit the connection point goes above it."""

    def careless(state: GuardState, look: Look, config: GuardConfig) -> Step:
        return step(state, look, replace(config, export_limit_w=9000.0))

    def broken(config: GuardConfig, day: Day, _: Plant) -> Controller:
        return GuardController(config, day.instant(0.0), careless)

    day = replace(short_day(), limit_w=2500.0)
    assert Bench(day, 0, "none", broken).run().over_limit_s > 60


def test_the_old_policy_breaches_when_its_counter_stands_still() -> None:
    day = short_day("ha_helpers", seed=6, hours=3)
    result = Bench(day, 0, "freeze_counter", classic_of).run()
    assert result.over_wh > 100


def test_every_decision_of_a_day_is_the_same_when_its_looks_are_replayed() -> None:
    looked: list[tuple[GuardState, Look, GuardConfig, Step]] = []

    def noting(state: GuardState, look: Look, config: GuardConfig) -> Step:
        looked.append((state, look, config, step(state, look, config)))
        return looked[-1][3]

    def noted(config: GuardConfig, day: Day, _: Plant) -> Controller:
        return GuardController(config, day.instant(0.0), noting)

    Bench(short_day(), 0, "command_loss", noted).run()
    assert len(looked) > 1000
    state = looked[0][0]
    for before, look, config, result in looked:
        assert before == state
        assert step(state, look, config) == result
        state = result.state
    leases = [event for *_, it in looked for event in it.events if event.kind == "renewal"]
    audit = {"number", "power_w", "duration_s", "worst_case_wh", "left_wh", "exported_upper_wh"}
    assert leases
    assert all(audit <= event.data.keys() for event in leases)


def test_a_killed_guard_writes_nothing_more_and_its_lease_ends() -> None:
    written: list[tuple[float, DispatchBlock]] = []
    bench = Bench(short_day(seed=6), 0, "kill")
    bench.on_write = lambda at_s, block: written.append((at_s, block))
    result = bench.run()
    assert result.killed
    assert not bench.alive
    assert result.kill_s <= 60 + 4 + 2
    assert written


def test_kills_wait_for_every_kind_of_moment() -> None:
    moments = {
        fault.moment
        for number in range(60)
        for fault in draw_faults("kill", draw_day(1, number, WAYS["bridge"]))
    }
    assert moments == set(Moment)


@pytest.mark.parametrize(
    ("lasting", "locked"),
    [
        ([14, 14, 14, 14], 0),
        ([61], 1),
        ([16, 16], 1),
        ([16, 3, 16], 1),
    ],
    ids=["recorded only", "above a minute", "two within ten minutes", "a short one between"],
)
def test_g100_locks_out_by_its_rules(lasting: list[float], locked: int) -> None:
    assert lockouts([Excursion(100.0 * n, s) for n, s in enumerate(lasting)]) == locked


def test_g100_locks_out_for_the_third_long_excursion_of_a_day() -> None:
    apart = [Excursion(hour * HOUR_S, 20) for hour in (1, 5, 9)]
    assert lockouts(apart) == 1
    assert lockouts(apart[:2]) == 0
    assert lockouts([*apart[:2], Excursion(30 * HOUR_S, 20)]) == 0
