"""What the bench found late in the day: the last lease, the leak, the rest of a counter's step."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agent.export.allowance import AllowanceRule, leak_reserve_wh
from agent.export.leakage import Leakage
from agent.export.lease import DIRECT, HA_REGISTER, longest_affordable
from tests.export.bench import CONFIG, Bench

BEFORE_MIDNIGHT = datetime(2026, 7, 1, 22, 50, tzinfo=UTC)
"""23:50 in London, in summer."""


def at_night(**options: object) -> Bench:
    bench = Bench(begin=BEFORE_MIDNIGHT, produced_wh=9000, **options)  # type: ignore[arg-type]
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 1000, 60)
    return bench


def new_day_wh(bench: Bench) -> float:
    bench.run_until(lambda: bench.now().local.hour == 0, 700)
    bench.run(300)
    return bench.exported_today_wh


def test_every_lease_is_over_before_midnight() -> None:
    bench = at_night()
    assert new_day_wh(bench) < 1
    begun_s, path = bench.now_s, bench.config.path
    midnight_s = begun_s - (bench.now().local.minute * 60 + bench.now().local.second)
    for at_s, block in bench.writes:
        if block.start:
            ends_s = at_s + path.command_delay_s + block.duration_s + path.exit_lag_s
            assert ends_s <= midnight_s + 1


@pytest.mark.parametrize("before_s", [100, 60, 20, 3])
def test_a_kill_just_before_midnight_leaves_nothing_for_the_new_day(before_s: int) -> None:
    bench = at_night()
    bench.run_until(lambda: bench.now().local.strftime("%H:%M:%S") >= "23:58:20", 700)
    bench.run(100 - before_s)
    bench.kill()
    assert new_day_wh(bench) < 1


def test_a_lease_crosses_midnight_where_the_contract_pays_for_it() -> None:
    bench = at_night()
    rule = AllowanceRule(safety_margin_wh=0, tolerance_wh=2000)
    bench.config = replace(CONFIG, allowance=rule)
    assert new_day_wh(bench) > 100
    assert bench.dispatching


def test_a_start_in_the_last_seconds_of_the_day_is_refused() -> None:
    late = datetime(2026, 7, 1, 22, 59, 20, tzinfo=UTC)
    answer = Bench(begin=late, produced_wh=9000).start()
    assert (answer.accepted, answer.code) == (False, "allowance_used")
    assert "until midnight" in answer.text


def test_a_lease_is_as_short_as_the_day_asks_for() -> None:
    lease = longest_affordable(3000, 9000, 0, 0, DIRECT, over_within_s=50)
    assert lease is not None
    assert lease.duration_s == 50 - 4 - 8
    assert longest_affordable(3000, 9000, 0, 0, DIRECT, over_within_s=40) is None
    assert longest_affordable(3000, 9000, 0, 0, HA_REGISTER, over_within_s=60) is None


def test_what_a_battery_leaks_in_its_own_control_is_kept_until_the_day_ends() -> None:
    bare = AllowanceRule(safety_margin_wh=0)
    assert leak_reserve_wh(bare, Leakage(), 2 * 3600) == 5
    assert leak_reserve_wh(bare, Leakage(), 20 * 3600) == 30
    assert leak_reserve_wh(AllowanceRule(safety_margin_wh=25), Leakage(), 20 * 3600) == 5
    assert leak_reserve_wh(AllowanceRule(), Leakage(), 20 * 3600) == 0


def test_a_discharge_leaves_room_for_the_leak_of_the_evening() -> None:
    bench = Bench(produced_wh=1000)
    assert bench.start().accepted
    bench.run_until(lambda: bench.state.completed is not None, 3600)
    bench.run(300)
    assert bench.exported_today_wh <= 1000 - 30


def test_a_stop_that_frozen_powers_cannot_show_is_not_written_for_hours() -> None:
    """The registers read back show it; a meter that stands at 3 kW shows what was."""
    bench = Bench(produced_wh=9000)
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 1000, 60)
    bench.run(60)
    bench.frozen |= {"grid_w", "battery_w"}
    bench.run_until(lambda: not bench.dispatching, 60)
    written = len(bench.writes)
    bench.run(1800)
    assert len(bench.writes) - written <= 1
    assert "stop_verified" in bench.kinds()


def shine(bench: Bench, pv_w: float, seconds: int) -> None:
    """A live meter moves."""
    for second in range(seconds):
        bench.plant.pv_override_w = pv_w + second % 5
        bench.run(1)


def test_sun_that_the_counter_has_not_yet_counted_may_be_exported_too() -> None:
    """The counter moves in steps of 100 Wh; on average 50 Wh of the day are not in it."""
    bench = Bench(produced_wh=1000, pv_w=2000)
    shine(bench, 2000, 90)  # 50 Wh
    assert bench.state.ledger.produced.day_wh == 1000
    assert 40 <= bench.state.ledger.produced_wh - 1000 <= 0.9 * (bench.produced_today_wh - 1000)


@pytest.mark.parametrize("pv_w", [0.0, 20.0], ids=["night", "an inverter's own watts"])
def test_no_sun_is_no_production(pv_w: float) -> None:
    bench = Bench(produced_wh=1000, pv_w=pv_w)
    bench.run(7200)
    assert bench.state.ledger.produced_wh == 1000


def test_a_frozen_pv_meter_produces_nothing_in_the_dark() -> None:
    bench = Bench(produced_wh=1000, pv_w=2000)
    shine(bench, 2000, 20)
    bench.frozen.add("pv_w")
    bench.plant.pv_override_w = 0.0
    bench.run(7200)
    assert 0 < bench.state.ledger.produced_wh - 1000 <= 2000 * 55 / 3600


def test_what_is_sure_of_a_step_never_passes_it_and_ends_with_it() -> None:
    bench = Bench(produced_wh=1000, pv_w=3000)
    for _ in range(60):
        shine(bench, 3000, 10)
        assert bench.state.ledger.produced_wh <= bench.produced_today_wh


def test_a_load_that_goes_off_below_the_limit_waits_for_the_renewal() -> None:
    """To follow every kettle towards the wanted export would cost a write each time."""
    bench = Bench(produced_wh=9000, load_w=2400)
    bench.config = replace(bench.config, target_export_w=1500)
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 3000, 120)
    bench.run(60)
    written = len(bench.writes)
    bench.plant.load_override_w = 1500.0
    begun_s = bench.now_s
    bench.run_until(lambda: bench.writes[-1][1].power_w < 3300, 60)
    assert bench.now_s - begun_s <= 30
    assert len(bench.writes) - written <= 2
    assert -bench.plant.true_grid_w <= CONFIG.export_limit_w  # type: ignore[operator]


def test_a_load_that_goes_off_at_the_limit_does_not_wait() -> None:
    bench = Bench(produced_wh=9000, load_w=1600)
    bench.config = replace(bench.config, target_export_w=3680)
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 4700, 120)
    bench.run(660)
    bench.plant.load_override_w = 400.0
    begun_s, power_w = bench.now_s, bench.writes[-1][1].power_w
    bench.run_until(lambda: bench.writes[-1][1].power_w < power_w - 800, 60)
    assert bench.now_s - begun_s <= 6
