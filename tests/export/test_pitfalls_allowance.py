"""
Allowance: cases 19 to 23 of control.md and D-11 and D-17, lived through in a simulated house.

`docs/cases.md` has the whole table.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agent.export.allowance import AllowanceBasis, AllowanceRule
from agent.export.requests import RequestKind
from agent.export.snapshot import ErrorState
from agent.house.readings import Quality, Reading
from tests.export.bench import CONFIG, Bench

METER_WH = 10.0
CLASSIC = replace(CONFIG, allowance=AllowanceRule(AllowanceBasis.CLASSIC, safety_margin_wh=0))


def forecast(bench: Bench, value_wh: float | None, quality: Quality = Quality.GOOD) -> None:
    """Let the forecast of today say something."""
    bench.values["forecast_today_wh"] = Reading(value_wh, quality, "sensor.solcast", bench.now_s)


def greedy(bench: Bench, seconds: int) -> None:
    """Ask for a discharge each minute, as an automation would that never learns."""
    for _ in range(seconds // 60):
        bench.start()
        bench.run(60)


def test_case_19_a_forecast_revised_below_what_is_exported_stops_and_buys_nothing_back() -> None:
    """Case 19: with the classic rule the forecast is trusted, until it is revised."""
    bench = Bench(CLASSIC, produced_wh=200)
    forecast(bench, 4000)
    assert bench.start().accepted
    bench.run_until(lambda: bench.exported_today_wh > 600, 1800)
    forecast(bench, 500)
    bench.run_until(lambda: not bench.dispatching, 60)
    assert bench.view().reason.code == "over_export"
    assert bench.state.error is ErrorState.OVER_EXPORT
    bench.run(60)
    bench.ask(RequestKind.ACKNOWLEDGE)
    greedy(bench, 900)
    assert not bench.dispatching
    assert bench.start().code == "allowance_used"
    assert bench.view().energy.allowance_wh == 500
    assert all(block.power_w >= 0 for _, block in bench.writes), "energy was bought back"


def test_case_20_a_forecast_that_is_away_for_a_moment_pauses_the_classic_rule_and_is_no_alarm() -> (
    None
):
    """Case 20: nobody can tell whether it was too much; what was not produced is not leased."""
    bench = Bench(CLASSIC, produced_wh=200)
    forecast(bench, 4000)
    assert bench.start().accepted
    bench.run_until(lambda: bench.exported_today_wh > 600, 1800)
    forecast(bench, None, Quality.UNAVAILABLE)
    bench.run_until(lambda: not bench.dispatching, 60)
    bench.run(60)
    assert bench.state.error is ErrorState.NONE
    assert bench.start().code == "allowance_used"
    forecast(bench, 4000)
    assert bench.start().accepted


@pytest.mark.parametrize(
    ("value_wh", "quality"),
    [(None, Quality.MISSING), (None, Quality.UNAVAILABLE), (90_000.0, Quality.GOOD)],
    ids=["missing", "unavailable", "ten times too high"],
)
def test_case_20_whatever_the_forecast_says_only_what_was_produced_counts(
    value_wh: float | None, quality: Quality
) -> None:
    """Case 20: the usual rule does not look at the forecast at all."""
    bench = Bench(produced_wh=500)
    forecast(bench, value_wh, quality)
    greedy(bench, 1200)
    assert 300 < bench.exported_today_wh <= 500 + METER_WH


def test_case_20_without_a_forecast_the_classic_rule_counts_what_was_produced() -> None:
    bench = Bench(CLASSIC, produced_wh=700)
    forecast(bench, None, Quality.UNAVAILABLE)
    bench.run(5)
    assert bench.view().energy.allowance_wh == 700


def test_case_20_yesterdays_forecast_is_not_todays_until_it_is_told_anew() -> None:
    """Case 20: at ten past midnight a sensor still shows the total of the day before."""
    bench = Bench(CLASSIC, begin=datetime(2026, 7, 1, 22, 50, tzinfo=UTC), produced_wh=4000)
    forecast(bench, 9000)
    bench.run(60)
    assert bench.view().energy.allowance_wh == 9000
    bench.run(1200)
    assert bench.view().energy.day == "2026-07-02"
    assert bench.view().energy.allowance_wh == 0
    assert not bench.start().accepted
    forecast(bench, 6000)
    bench.run(5)
    assert bench.view().energy.allowance_wh == 6000


def test_case_21_d11_sun_that_spills_over_a_full_battery_later_still_fits() -> None:
    """Case 21, D-11: all is exported by noon; then the full battery lets the sun out by itself."""
    bench = Bench(produced_wh=800, soc_percent=95, load_w=300)
    greedy(bench, 1200)
    assert bench.exported_today_wh > 600
    bench.plant.soc_percent = 100
    for pv_w in (2500.0, 4000.0, 1500.0):
        bench.plant.pv_override_w = pv_w
        greedy(bench, 600)
        assert bench.exported_today_wh <= bench.produced_today_wh + METER_WH
    for load_w in (2800.0, 300.0) * 4:
        # Each load that goes off leaks a little before the inverter follows.
        bench.plant.pv_override_w, bench.plant.load_override_w = 0.0, load_w
        greedy(bench, 180)
    assert bench.exported_today_wh <= bench.produced_today_wh + METER_WH


def test_case_22_a_recharge_from_the_grid_grants_nothing_to_export() -> None:
    """Case 22: early export, grid recharge, then sun that spills: the total holds."""
    bench = Bench(produced_wh=600, soc_percent=60)
    greedy(bench, 900)
    assert bench.exported_today_wh > 450
    bench.ask(RequestKind.STOP_DISCHARGE)
    bench.run(90)
    assert bench.ask(RequestKind.START_CHARGE).accepted
    bench.run_until(lambda: bench.plant.battery_w < -1000, 60)
    bench.run(1200)
    bench.ask(RequestKind.STOP_CHARGE)
    bench.run(90)
    assert bench.plant.soc_percent > 60
    greedy(bench, 600)
    assert bench.exported_today_wh <= 600 + METER_WH, "bought energy was exported"
    bench.plant.soc_percent = 100
    bench.plant.pv_override_w = 3500.0
    greedy(bench, 900)
    assert bench.exported_today_wh <= bench.produced_today_wh + METER_WH


def test_case_23_a_larger_margin_never_exports_more() -> None:
    """Case 23: the old `safety_margin` was added; ours is only ever taken away."""
    exported = []
    for margin_wh in (0, 200, 500):
        rule = AllowanceRule(safety_margin_wh=margin_wh)
        bench = Bench(replace(CONFIG, allowance=rule), produced_wh=700)
        greedy(bench, 900)
        assert bench.exported_today_wh <= 700 - margin_wh + METER_WH
        exported.append(bench.exported_today_wh)
    assert exported == sorted(exported, reverse=True)
    assert exported[0] > exported[1] > exported[2]


@pytest.mark.parametrize(
    ("value_wh", "quality"),
    [(None, Quality.INVALID), (-5000.0, Quality.GOOD), (1e30, Quality.GOOD)],
)
def test_d17_a_bad_forecast_payload_never_switches_the_supervision_off(
    value_wh: float | None, quality: Quality
) -> None:
    """D-17: one `intensity: null` ended the old poll, and with it every protective stop."""
    bench = Bench(produced_wh=500)
    assert bench.start().accepted
    bench.run_until(lambda: bench.dispatching, 30)
    forecast(bench, value_wh, quality)
    bench.run(60)
    assert bench.dispatching
    bench.twists["soc_percent"] = lambda r: Reading(None, Quality.INVALID, r.source)
    bench.run_until(lambda: not bench.dispatching, 60)
