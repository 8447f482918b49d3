"""The bench lets days happen as they are drawn, catches what it has to, and can fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.export.decide import step
from agent.export.states import GuardConfig, GuardState, Look, Step
from agent.house.alphaess import DispatchBlock
from agent.simulator.bench import Bench
from agent.simulator.bench_faults import CLASSES, Moment, draw_faults
from agent.simulator.bench_guard import Controller, GuardController
from agent.simulator.bench_measure import DayResult, Excursion, Judge, lockouts
from agent.simulator.bench_site import HOUR_S, WAYS, Day, draw_day, with_clock_change
from agent.simulator.classic import classic_of
from agent.simulator.plant import Plant
from tests.simulator.short_days import shortened

STOPPED_WITHIN_S = 30.0
"""From bad data to the end of the forced discharge, on the bridge path (T6)."""


def short_day(path: str = "bridge", *, seed: int = 5, hours: float = 0.7) -> Day:
    """A day with little allowance, so that a short window spends it."""
    return shortened(draw_day(seed, 0, WAYS[path]), hours)


def run(fault: str, path: str = "bridge", **options: float) -> DayResult:
    return Bench(short_day(path, **options), 0, fault).run()  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", ["none", *CLASSES])
def test_no_fault_class_makes_the_guard_breach(fault: str) -> None:
    result = run(fault)
    assert result.leased, result.events
    if result.ours:
        assert result.over_wh <= 10, (result.over_wh, result.over_at_s, result.events)
    if fault != "freeze_counter":  # which has a bound of its own, by what has flowed
        assert max(result.stop_s, default=0.0) <= STOPPED_WITHIN_S, result.stop_s
    assert result.writes_idle == 0
    assert result.writes_unneeded == 0


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


@pytest.mark.parametrize(("forward", "hours"), [(True, 23), (False, 25)])
def test_a_day_on_which_the_clock_changes_ends_at_its_own_midnight(
    forward: bool, hours: int
) -> None:
    day = with_clock_change(short_day(), forward=forward, to_midnight=True)
    assert day.length_s == day.closes_s == hours * HOUR_S
    assert day.instant(0).local.hour == day.instant(day.length_s).local.hour == 0
    assert day.instant(day.length_s - 1).day == day.date
    assert day.instant(day.length_s).day > day.date


def test_a_window_keeps_its_times_of_the_wall_when_the_clock_changes() -> None:
    day = short_day()
    changed = with_clock_change(day, forward=True, to_midnight=False)
    assert changed.instant(changed.opens_s).local.time() == day.instant(day.opens_s).local.time()
    assert changed.closes_s == day.closes_s - HOUR_S


def test_no_repeated_hour_is_passed_twice_by_the_monotonic_clock() -> None:
    day = with_clock_change(short_day(), forward=False, to_midnight=False)
    shown = [day.instant(hour * HOUR_S).local for hour in range(26)]
    assert [moment.hour for moment in shown].count(1) == 2
    assert [shown[n + 1].timestamp() - shown[n].timestamp() for n in range(25)] == [HOUR_S] * 25


def test_a_guard_that_takes_each_day_for_24_hours_is_caught() -> None:
    """The classes of clock changes have to be able to fail: here the account turns an hour late."""

    def careless(state: GuardState, look: Look, config: GuardConfig) -> Step:
        late = replace(look.now, local=look.now.local - timedelta(hours=1))
        return step(state, replace(look, now=late), config)

    def broken(config: GuardConfig, day: Day, _: Plant) -> Controller:
        return GuardController(config, day.instant(0.0), careless)

    day = with_clock_change(short_day(), forward=True, to_midnight=True)
    day = replace(
        day,
        plant=replace(day.plant, pv_peak_w=3000.0),
        opens_s=day.length_s - 600,
        closes_s=day.length_s + 600,
    )
    assert Bench(day, 0, "none", broken).run().over_wh > 50
    assert Bench(day, 0).run().over_wh <= 10


def test_forecasts_are_revised_about_eight_times_and_absurdly() -> None:
    days = [draw_day(1, number, WAYS["bridge"]) for number in range(40)]
    drawn = [draw_faults("forecast_flaps", day) for day in days]
    shown = [fault.amount for faults in drawn for fault in faults]
    assert all(6 <= len(faults) <= 10 for faults in drawn)
    assert min(shown) < 0 < max(shown)
    assert 0.0 in shown
    assert any(
        fault.amount > 3 * day.plant.pv_peak_w * 8
        for day, faults in zip(days, drawn, strict=True)
        for fault in faults
    )


def test_a_forecast_that_flaps_reaches_the_guard() -> None:
    seen: set[float | None] = set()

    def noting(state: GuardState, look: Look, config: GuardConfig) -> Step:
        seen.add(look.sample.forecast_today_wh.value)
        return step(state, look, config)

    def noted(config: GuardConfig, day: Day, _: Plant) -> Controller:
        return GuardController(config, day.instant(0.0), noting)

    Bench(short_day(), 0, "forecast_flaps", noted).run()
    assert len(seen) >= 4


def test_a_stop_that_never_came_is_counted_when_the_data_are_back() -> None:
    """It was dropped: a guard that never noticed a frozen meter showed no figure at all."""
    plant = Plant(draw_day(1, 0, WAYS["bridge"]).plant)
    result = DayResult(0, "freeze_power", True)
    judge = Judge(plant, 3680.0, result)
    plant.load_override_w = plant.pv_override_w = 0.0
    plant.dispatch.write(0, DispatchBlock(True, 3000, 10, 60).registers())
    plant.step(20.0)
    assert judge.forcing
    judge.data_went_bad(100.0)
    judge.data_are_back(130.0)
    assert result.stop_s == []  # so short a fault need not be noticed
    judge.data_went_bad(200.0)
    judge.data_are_back(500.0)
    assert result.stop_s == [300.0]
    assert result.stop_wh == [0.0]  # as nothing has moved the plant meanwhile


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
