"""Once the allowance was used up, a little new sun does not start the battery again and again."""

from __future__ import annotations

from dataclasses import replace

from tests.export.bench import Bench


def leave(bench: Bench, wh: float) -> None:
    """Have this much left of the day's allowance."""
    rule = bench.config.allowance
    more_wh = wh - (bench.view().energy.left_wh or 0.0)
    allowance = replace(rule, tolerance_wh=rule.tolerance_wh + more_wh)
    bench.config = replace(bench.config, allowance=allowance)


def used_up() -> Bench:
    bench = Bench(produced_wh=400, load_w=300)
    assert bench.start().accepted
    bench.run_until(lambda: bench.state.completed is not None, 2000)
    assert bench.state.completed is not None
    assert bench.state.completed.code == "allowance_used"
    bench.run_until(lambda: not bench.dispatching and bench.state.stopping is None, 120)
    bench.run(120)
    return bench


def test_a_discharge_that_used_the_allowance_up_begins_again_only_above_60_wh() -> None:
    bench = used_up()
    leave(bench, 50)
    answer = bench.start()
    assert (answer.accepted, answer.code) == (False, "allowance_used")
    assert "begins again from 60 Wh" in answer.text
    leave(bench, 70)
    assert bench.start().accepted


def test_a_first_discharge_of_the_day_needs_no_more_than_its_own_worst_case() -> None:
    bench = Bench(produced_wh=400)
    leave(bench, 40)
    assert bench.start().accepted
