"""Once the allowance was used up, a little new sun does not start the battery again and again."""

from __future__ import annotations

from dataclasses import replace

from agent.export.lease import DIRECT
from tests.export.bench import CONFIG, Bench


def leave(bench: Bench, wh: float) -> None:
    """Have this much left of the day's allowance."""
    rule = bench.config.allowance
    more_wh = wh - (bench.view().energy.left_wh or 0.0)
    allowance = replace(rule, tolerance_wh=rule.tolerance_wh + more_wh)
    bench.config = replace(bench.config, allowance=allowance)


def used_up(pv_w: float) -> Bench:
    bench = Bench(produced_wh=400, load_w=300, pv_w=pv_w)
    assert bench.start().accepted
    bench.run_until(lambda: bench.state.completed is not None, 2000)
    assert bench.state.completed is not None
    assert bench.state.completed.code == "allowance_used"
    bench.run_until(lambda: not bench.dispatching and bench.state.stopping is None, 120)
    bench.run(120)
    return bench


def test_a_discharge_that_used_the_allowance_up_begins_again_only_above_60_wh() -> None:
    bench = used_up(pv_w=50)
    leave(bench, 50)
    answer = bench.start()
    assert (answer.accepted, answer.code) == (False, "allowance_used")
    assert "begins again from 60 Wh" in answer.text
    leave(bench, 70)
    assert bench.start().accepted


def test_in_the_dark_it_begins_again_from_a_short_lease_on() -> None:
    """What was kept for leaks, or told late, comes once; no sun follows that starts it anew."""
    bench = used_up(pv_w=0)
    leave(bench, 25)
    answer = bench.start()
    assert (answer.accepted, answer.code) == (False, "allowance_used")
    assert "begins again from 29 Wh" in answer.text
    leave(bench, 35)
    before_wh = bench.exported_today_wh
    assert bench.start().accepted
    bench.run_until(lambda: bench.dispatching, 30)
    bench.run_until(lambda: not bench.dispatching and bench.state.stopping is None, 400)
    assert bench.exported_today_wh - before_wh > 5
    assert bench.exported_today_wh <= 400 + bench.config.allowance.tolerance_wh


def test_a_lease_that_the_house_would_draw_whole_is_not_written() -> None:
    """It would let nothing out and still be charged, until a tick that does not come."""
    bench = Bench(produced_wh=10_000, load_w=2500)
    leave(bench, 35)
    answer = bench.start()
    assert (answer.accepted, answer.code) == (False, "allowance_used")
    bench.plant.load_override_w = 300.0
    bench.run(60)
    leave(bench, 35)
    assert bench.start().accepted
    bench.run_until(lambda: bench.dispatching, 30)


def test_a_weak_lease_that_the_house_draws_whole_is_not_renewed_and_saves_the_rest() -> None:
    config = replace(CONFIG, path=replace(DIRECT, gain=1.0))
    bench = Bench(config, produced_wh=400, load_w=2500)
    assert bench.start().accepted
    bench.run_until(lambda: bench.state.completed is not None, 2000)
    assert bench.state.completed is not None
    assert bench.state.completed.code == "allowance_used"
    assert (bench.view().energy.left_wh or 0.0) > 20


def test_a_load_beyond_the_battery_refuses_no_discharge_that_is_paid_for() -> None:
    bench = Bench(produced_wh=10_000, load_w=6500)
    assert bench.start().accepted
    bench.run_until(lambda: bench.dispatching, 30)


def test_a_first_discharge_of_the_day_needs_no_more_than_its_own_worst_case() -> None:
    bench = Bench(produced_wh=400)
    leave(bench, 40)
    assert bench.start().accepted
