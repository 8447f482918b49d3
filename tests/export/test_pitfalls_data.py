"""
Units and data: cases 9, 10 and 12 to 18 of control.md, from the meter to the day's end.

What a value's unit or text may be is in `tests/house`; `docs/cases.md` has the whole table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.export.allowance import AllowanceRule
from agent.export.lease import DIRECT
from agent.export.ledger import CounterRules
from agent.house.alphaess import LONGEST_DISPATCH_S, POWER_OFFSET, DispatchBlock
from agent.house.readings import CounterKind, Quality, Reading
from agent.simulator.dispatch import DispatchSettings
from tests.export.bench import CONFIG, Bench

STOP_WITHIN_S = 60
METER_WH = 10.0


def running(bench: Bench) -> Bench:
    """Start, and wait until it is well under way."""
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 1000, 60)
    bench.run(70)
    return bench


def greedy(bench: Bench, seconds: int) -> None:
    """Ask for a discharge each minute, as an automation would that never learns."""
    for _ in range(seconds // 60):
        bench.start()
        bench.run(60)


def problems(bench: Bench) -> set[str]:
    """Return the codes of everything that is wrong now."""
    return {reason.code for reason in bench.view().problems}


class Metered(Bench):
    """A house whose export counter shows something of its own."""

    def __init__(self, shown: Callable[[Metered], float], **house: Any) -> None:
        self.shown = shown
        super().__init__(**house)

    def _raw(self, name: str) -> float:
        return self.shown(self) if name == "exported_wh" else super()._raw(name)


@pytest.mark.parametrize("produced_wh", [300, 9000])
def test_case_09_with_import_and_export_counter_swapped_the_discharge_ends(
    produced_wh: float,
) -> None:
    """Case 9: an export step has to move the export counter, whoever wrote the register map."""

    def imported_wh(bench: Metered) -> float:
        return (bench.plant.true_imported_wh - 2_345_670) // 10 * 10

    bench = Metered(imported_wh, produced_wh=produced_wh)
    assert bench.start().accepted
    bench.run_until(lambda: bench.dispatching, 30)
    bench.run_until(lambda: not bench.dispatching, 300)
    if produced_wh > 1000:
        assert "exported_counter_frozen" in problems(bench)
    greedy(bench, 600)
    assert bench.exported_today_wh <= produced_wh + METER_WH


@given(
    st.builds(
        DispatchBlock,
        start=st.booleans(),
        power_w=st.integers(1 - POWER_OFFSET, POWER_OFFSET - 1),
        cutoff_soc_percent=st.floats(0, 100),
        duration_s=st.integers(1, LONGEST_DISPATCH_S),
    )
)
def test_case_10_no_block_ever_carries_raw_power_zero_nor_a_time_without_end(
    block: DispatchBlock,
) -> None:
    """Case 10: raw 0 is -32 kW, and neutral is 32000 in both powers."""
    words = block.registers()
    assert words[1] * 65536 + words[2] - POWER_OFFSET == block.power_w
    assert words[2] > 0
    assert words[3:5] == [0, POWER_OFFSET]
    assert 0 < words[7] * 65536 + words[8] <= LONGEST_DISPATCH_S


@pytest.mark.parametrize("scale", [0.3, 0.392, 0.4])
def test_case_10_whatever_scale_the_inverter_reads_the_floor_is_kept(scale: float) -> None:
    """Case 10: the cut-off in the register is a second line; the agent watches the charge."""
    bench = Bench(soc_percent=23, produced_wh=9000, dispatch=DispatchSettings(soc_scale=scale))
    assert bench.start().accepted
    bench.run_until(lambda: bench.dispatching, 30)
    bench.run_until(lambda: not bench.dispatching, 600)
    bench.run(60)
    assert bench.plant.soc_percent >= CONFIG.min_soc_percent
    assert bench.view().reason.code == "soc_at_minimum"


NAMES = ("grid_w", "battery_w", "soc_percent", "exported_wh", "produced_wh")


@pytest.mark.parametrize("name", NAMES)
def test_case_12_an_unavailable_value_that_somebody_turned_into_zero_ends_the_discharge(
    name: str,
) -> None:
    """Case 12: `| float(0)` in a template is the commonest way to lie."""
    bench = running(Bench(produced_wh=900, exported_wh=300))
    begun_s = bench.now_s
    bench.twists[name] = lambda reading: replace(reading, value=0.0, changed_s=begun_s)
    bench.run_until(lambda: not bench.dispatching, STOP_WITHIN_S)
    greedy(bench, 300)
    assert bench.exported_today_wh <= 900 + METER_WH


@pytest.mark.parametrize("quality", [Quality.UNAVAILABLE, Quality.MISSING, Quality.INVALID])
def test_case_12_a_value_that_is_not_there_is_neither_zero_nor_the_last_one(
    quality: Quality,
) -> None:
    """Case 12: without the counters there is no allowance, and none is remembered as free."""
    bench = Bench(produced_wh=900, exported_wh=300)
    before = bench.view().energy
    for name in ("exported_wh", "produced_wh"):
        bench.twists[name] = lambda r: Reading(None, quality, r.source, r.changed_s, r.reported_s)
    greedy(bench, 180)
    after = bench.view().energy
    assert not bench.writes
    assert bench.state.ledger.exported.fault is None, "nothing was read as a fall to zero"
    assert after.allowance_wh == before.allowance_wh
    assert after.exported_wh == pytest.approx(before.exported_wh, abs=METER_WH)


@pytest.mark.parametrize(
    "frozen",
    [{"grid_w", "battery_w"}, {"exported_wh"}, {"grid_w", "battery_w", "exported_wh"}],
    ids=["power", "counter", "both"],
)
def test_case_13_values_that_look_fresh_and_stand_still_do_not_cost_a_breach(
    frozen: set[str],
) -> None:
    """Case 13: frozen for twenty minutes with a used-up allowance in reach."""
    bench = running(Bench(produced_wh=500))
    bench.frozen |= frozen
    within_s = STOP_WITHIN_S if "grid_w" in frozen else 300
    bench.run_until(lambda: not bench.dispatching, within_s)
    greedy(bench, 1200)
    assert bench.exported_today_wh <= 500 + METER_WH


@pytest.mark.parametrize(
    ("name", "within_s"),
    [("grid_w", 60), ("battery_w", 60), ("soc_percent", 180), ("dispatch", 90)],
)
def test_case_14_a_source_that_falls_silent_while_the_others_report_is_found(
    name: str, within_s: int
) -> None:
    """Case 14: the old detector watched its own loop, which ran on."""
    bench = running(Bench(produced_wh=9000))
    del bench.polls_s[name]
    begun_s = bench.now_s
    bench.run_until(lambda: bool(bench.state.lost), within_s)
    bench.run_until(lambda: not bench.dispatching, 15)
    assert bench.now_s - begun_s <= within_s
    expected = {"grid_w": "grid_power", "battery_w": "battery_power", "soc_percent": "soc"}
    assert f"{expected.get(name, name)}_stale" in problems(bench)


def test_case_15_each_required_input_alone_ends_a_discharge_and_the_optional_ones_do_not() -> None:
    """Case 15: the old integration raised `UpdateFailed` and left the dispatch running."""
    for name in (*NAMES, "start", "pv_w"):
        bench = running(Bench(produced_wh=9000, exported_wh=100))
        bench.twists[name] = lambda r: Reading(None, Quality.UNAVAILABLE, r.source, r.changed_s)
        bench.run(STOP_WITHIN_S)
        assert bench.dispatching is (name == "pv_w"), name


def today(bench: Metered) -> float:
    return bench.exported_today_wh // 10 * 10


def coarse(bench: Metered) -> float:
    return bench.exported_today_wh // 100 * 100


def glitch(bench: Metered) -> float:
    return today(bench) - 700 if 1400 <= bench.now_s < 1440 else today(bench)


def spike(bench: Metered) -> float:
    return today(bench) + 3000 if 1400 <= bench.now_s < 1440 else today(bench)


def reset(bench: Metered) -> float:
    if bench.now_s >= 1320 and not hasattr(bench, "lost_wh"):
        bench.lost_wh = today(bench)
    return today(bench) - getattr(bench, "lost_wh", 0.0)


def rollover(bench: Metered) -> float:
    return (999_800 + today(bench)) % 1_000_000


def replaced(bench: Metered) -> float:
    return today(bench) + (50_000 if bench.now_s < 1320 else 7_654_320)


LIFETIME = CounterRules(CounterKind.LIFETIME, 10, 60, 10_000, conservative_up=True)
COARSE = CounterRules(CounterKind.DAILY, 100, 60, 10_000, conservative_up=True)
METERS = [
    (glitch, CONFIG.exported_rules),
    (spike, CONFIG.exported_rules),
    (reset, CONFIG.exported_rules),
    (coarse, COARSE),
    (rollover, LIFETIME),
    (replaced, LIFETIME),
]


@pytest.mark.parametrize(("shown", "rules"), METERS, ids=[shown.__name__ for shown, _ in METERS])
def test_case_16_whatever_the_export_counter_does_the_allowance_holds(
    shown: Callable[[Metered], float], rules: CounterRules
) -> None:
    """Case 16: negative jump, spike, reset, steps of 0.1 kWh, rollover, a replaced meter."""
    config = replace(CONFIG, exported_rules=rules)
    bench = Metered(shown, config=config, produced_wh=1200)
    greedy(bench, 1800)
    assert 200 < bench.exported_today_wh <= 1200 + METER_WH


def test_case_16_a_counter_that_was_away_catches_up_and_nothing_is_granted_twice() -> None:
    """Case 16: a late catch-up after an outage is counted once, and for what it is."""
    bench = running(Bench(produced_wh=1200))
    bench.twists["exported_wh"] = lambda r: Reading(
        None, Quality.UNAVAILABLE, r.source, r.changed_s
    )
    greedy(bench, 600)
    bench.twists.clear()
    greedy(bench, 1200)
    assert 800 < bench.exported_today_wh <= 1200 + METER_WH


def test_case_16_a_counter_that_is_a_minute_late_costs_no_more_than_that_minute() -> None:
    """Case 16: hidden lag; the counter shows what was, and looks fresh."""
    past: list[float] = []

    def late(bench: Metered) -> float:
        past.append(today(bench))
        return past[max(0, len(past) - 2)]

    bench = Metered(late, produced_wh=1200)
    greedy(bench, 1800)
    assert 300 < bench.exported_today_wh <= 1200 + METER_WH


class SlowGrid(Bench):
    """A house whose grid power arrives twelve seconds late, as behind a busy Core."""

    late_s = 12

    def _poll(self, name: str) -> None:
        if name != "grid_w":
            super()._poll(name)
            return
        past = self.__dict__.setdefault("past", [])
        past.append((self.now_s, self._raw(name)))
        known = [value for at_s, value in past if at_s <= self.now_s - self.late_s]
        self._take(name, (known or [past[0][1]])[-1])


def test_case_17_powers_read_at_different_moments_do_not_make_the_battery_swing() -> None:
    """Case 17: a load summed of grid and battery seconds apart is a ghost that is chased."""
    config = replace(CONFIG, path=DIRECT, readback_poll_s=6, target_export_w=1500)
    bench = SlowGrid(config, produced_wh=9000)
    bench.run(30)
    running(bench)
    turns = 0
    for load_w in (2200.0, 400.0, 3000.0, 400.0):
        bench.plant.load_override_w = load_w
        begun = len(bench.writes)
        bench.run(180)
        powers = [block.power_w for _, block in bench.writes[begun:] if block.start]
        steps = [after - before for before, after in pairwise(powers) if abs(after - before) > 150]
        turns += sum(before * after < 0 for before, after in pairwise(steps))
    assert turns <= 1


def test_case_18_the_usual_margin_covers_a_meter_that_reads_two_percent_less() -> None:
    """Case 18: the billing meter says 10.2 kWh where the inverter's own says 10."""
    rule = AllowanceRule()
    bench = Bench(replace(CONFIG, allowance=rule), produced_wh=10_000, exported_wh=9000)
    greedy(bench, 1200)
    assert bench.view().reason.code == "allowance_used"
    assert bench.exported_today_wh > 9300
    assert 1.02 * bench.exported_today_wh <= 10_000
