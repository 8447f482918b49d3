"""
Lifecycle: cases 33 to 37 of control.md, lived through in a simulated house.

What the disk does is in `tests/test_journal_damage.py`; `docs/cases.md` has the whole table.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent.export import memory
from agent.export.allowance import AllowanceRule
from agent.export.ledger import CounterRules
from agent.export.snapshot import Mode
from agent.export.states import GuardConfig
from agent.house.readings import CounterKind, Quality, Reading
from tests.export.bench import CONFIG, Bench

METER_WH = 10.0
LIFETIME = replace(
    CONFIG,
    exported_rules=CounterRules(CounterKind.LIFETIME, 10, 60, 10_000, conservative_up=True),
    produced_rules=CounterRules(CounterKind.LIFETIME, 100, 60, 10_000, conservative_up=False),
)


def running(bench: Bench) -> Bench:
    """Start, and wait until it is well under way."""
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 1000, 60)
    bench.run(60)
    return bench


def greedy(bench: Bench, seconds: int) -> None:
    """Ask for a discharge each minute, as an automation would that never learns."""
    for _ in range(seconds // 60):
        bench.start()
        bench.run(60)


@pytest.mark.parametrize("config", [CONFIG, LIFETIME], ids=["daily counters", "lifetime counters"])
def test_case_33_a_journal_from_this_mornings_backup_hands_nothing_back(
    config: GuardConfig,
) -> None:
    """Case 33: the backup knows of nothing exported; the counters do."""
    bench = Bench(config, produced_wh=0)
    bench.plant.pv_override_w = 4000.0
    bench.run(900)
    backup = bench.kill()
    bench.alive = True
    bench.plant.pv_override_w = 0.0
    greedy(bench, 1800)
    assert bench.exported_today_wh > 500
    bench.kill()
    bench.run(60)
    bench.restart(backup)
    greedy(bench, 1800)
    assert bench.exported_today_wh <= bench.produced_today_wh + METER_WH


def test_case_33_a_kill_at_any_second_around_a_write_costs_at_most_one_lease() -> None:
    """Case 33: between the journal and the write, and between the write and its answer."""
    for after_s in range(9):
        bench = Bench(produced_wh=400)
        bench.start()
        bench.run(30 + after_s)
        journaled = bench.kill()
        bench.run(200)
        assert not bench.dispatching
        bench.restart(journaled)
        greedy(bench, 600)
        assert bench.exported_today_wh <= 400 + METER_WH


def test_case_34_values_restored_by_a_started_core_are_not_taken_for_new_ones() -> None:
    """Case 34: unknown, then the old value with a new timestamp, then the real one."""
    bench = running(Bench(produced_wh=900))
    held = {name: bench.values[name] for name in ("grid_w", "battery_w", "soc_percent", "start")}
    bench.linked = False
    bench.run(150)
    assert not bench.dispatching
    bench.linked = True
    back_s = bench.now_s
    for name, reading in held.items():
        bench.twists[name] = lambda _, old=reading: replace(  # type: ignore[misc]
            old, changed_s=back_s, reported_s=back_s
        )
    begun = len(bench.writes)
    bench.run(120)
    assert not [block for _, block in bench.writes[begun:] if block.start]
    bench.twists.clear()
    greedy(bench, 1200)
    assert bench.exported_today_wh <= 900 + METER_WH


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"mode": Mode.OBSERVE}, "observe_mode"),
        ({"target_export_w": 0.0}, "target_is_zero"),
        ({"export_limit_w": None}, "export_limit_unset"),
        ({"min_soc_percent": 90.0}, "soc_at_minimum"),
        ({"allowance": AllowanceRule(safety_margin_wh=8000)}, "allowance_used"),
    ],
)
def test_case_35_an_option_that_is_changed_mid_lease_counts_from_the_next_look(
    change: dict[str, object], code: str
) -> None:
    """Case 35: nobody has to wait for a lease to end."""
    bench = running(Bench(produced_wh=2000))
    bench.config = replace(bench.config, **change)  # type: ignore[arg-type]
    bench.run_until(lambda: not bench.dispatching, 40)
    assert bench.view().reason.code == code or code in {b.code for b in bench.view().blockers}


def test_case_35_a_limit_that_is_lowered_mid_lease_is_kept_within_seconds() -> None:
    bench = running(Bench(produced_wh=9000))
    bench.config = replace(bench.config, export_limit_w=1500)
    bench.run_until(lambda: -bench.plant.true_grid_w <= 1500, 15)
    for _ in range(60):
        bench.run(1)
        assert -bench.plant.true_grid_w <= 1500


def test_case_35_an_update_during_an_export_goes_on_where_it_was() -> None:
    """Case 35: the new version finds no dispatch, because the old one gave the battery back."""
    bench = running(Bench(produced_wh=900))
    before_wh = bench.exported_today_wh
    journaled = bench.kill()
    bench.run(20)
    bench.restart(journaled)
    greedy(bench, 1500)
    assert before_wh < bench.exported_today_wh <= 900 + METER_WH


def test_case_36_an_unknown_dispatch_at_the_start_is_charged_and_ends_in_no_lease() -> None:
    """Case 36: 2.5 kW that nobody journaled; all of it counts, seen or not."""
    bench = Bench(produced_wh=1000)
    journaled = bench.kill()
    bench.plant.dispatch.write(0, [1, 0, 34500, 0, 32000, 2, 51, 0, 600])
    bench.run(30)
    bench.restart(journaled)
    bench.run(30)
    assert "foreign_dispatch" in bench.kinds()
    bench.twists["grid_w"] = lambda r: Reading(None, Quality.UNAVAILABLE, r.source, r.changed_s)
    bench.frozen.add("exported_wh")
    bench.run(120)
    assert "adopted" not in bench.kinds()
    assert not [block for _, block in bench.writes if block.start]
    upper_wh = bench.state.ledger.exported_upper_wh(METER_WH)
    assert upper_wh >= bench.exported_today_wh


def test_case_37_an_open_breaker_skips_no_supervision() -> None:
    """Case 37: five failures, and in the same minute the limit is broken by a load that ends."""
    bench = running(Bench(replace(CONFIG, target_export_w=3600), produced_wh=9000, load_w=400))
    breaker = bench.state.breaker
    for _ in range(CONFIG.breaker_failures):
        breaker = breaker.failed(bench.now_s, bench.now().local)
    bench.state = replace(bench.state, breaker=breaker)
    assert bench.view().breaker.is_open
    bench.plant.pv_override_w = 1500.0
    bench.run_until(lambda: -bench.plant.true_grid_w <= 3680, 15)
    bench.twists["soc_percent"] = lambda r: Reading(None, Quality.UNAVAILABLE, r.source)
    bench.run_until(lambda: not bench.dispatching, 30)


def test_case_33_a_journal_of_tomorrow_grants_no_second_tomorrow() -> None:
    """Case 33: written by a clock that ran a day ahead; the day is not counted down again."""
    bench = Bench(begin=datetime(2026, 7, 2, 11, tzinfo=UTC), produced_wh=400)
    greedy(bench, 900)
    used_wh = bench.state.ledger.exported.day_wh
    journaled = memory.journaled(bench.state, bench.now())
    bench.begin = bench.begin.replace(day=1)
    bench.restart(journaled)
    bench.run(60)
    assert bench.state.ledger.exported.day_wh >= used_wh
    greedy(bench, 900)
    assert used_wh > 250
    assert bench.exported_today_wh <= 400 + METER_WH


@pytest.mark.parametrize("away_s", [86_400, 1200, -1200])
def test_a_journal_from_a_backup_arms_no_dispatch_of_then(away_s: int) -> None:
    """Taken while it discharged, restored a day later, or by a machine whose clock is behind."""
    bench = running(Bench(produced_wh=9000))
    backup = bench.kill()
    bench.run_until(lambda: not bench.dispatching, 120)
    backup["at"] = (bench.now().local - timedelta(seconds=away_s)).isoformat()
    begun = len(bench.writes)
    bench.restart(backup)
    bench.run(300)
    assert not [block for _, block in bench.writes[begun:] if block.start]
    assert bench.state.wish is None
    assert bench.kinds().count("discharge_started") == 1
