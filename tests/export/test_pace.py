"""At most 260 writes in an hour of discharge: what must come early comes, what follows waits."""

from __future__ import annotations

from dataclasses import replace

from agent.export.lease import DIRECT
from agent.export.pace import WritePace
from agent.house.alphaess import RESET_BLOCK
from agent.house.port import WriteStatus
from tests.export.bench import CONFIG, Bench

RENEWALS_AN_HOUR = 232
MOST_AN_HOUR = 260
_BRIDGE = replace(CONFIG, path=replace(DIRECT, gain=1.0), target_export_w=3680.0,
                  readback_poll_s=2)  # fmt: skip


def at_the_limit(load_w: float = 1600) -> Bench:
    bench = Bench(_BRIDGE, produced_wh=30_000, load_w=load_w, max_discharge_w=8000.0,
                  ac_limit_w=8000.0, capacity_wh=50_000.0)  # fmt: skip
    bench.polls_s["dispatch"] = 2
    bench.write_delay_s = 1.0
    assert bench.start().accepted
    bench.run(700)
    return bench


def starts_of(bench: Bench) -> list[float]:
    """Return when leases were written that follow a stop, or nothing."""
    before = [RESET_BLOCK, *(block for _, block in bench.writes)]
    return [at_s for (at_s, block), last in zip(bench.writes, before, strict=False)
            if block.start and not last.start]  # fmt: skip


def test_renewals_in_time_stay_even() -> None:
    pace = WritePace()
    for n in range(RENEWALS_AN_HOUR):
        pace = pace.written(n * 15.6, ran=n > 0)
    assert pace.ahead == 1.0
    assert pace.even_s <= pace.at_s
    assert pace.wait_s(pace.at_s) == 0.0


def test_a_write_before_its_time_is_made_good_by_later_ones() -> None:
    pace = WritePace(ahead=10.0, at_s=100.0)
    early = pace.written(103.0, ran=True)
    assert early.ahead > pace.ahead
    assert early.even_s > early.at_s + 20
    late = pace.written(120.0, ran=True)
    assert late.ahead < pace.ahead


def test_used_up_writes_come_back_slowly_while_nothing_runs() -> None:
    pace = WritePace(ahead=20.0, at_s=100.0)
    wait_s = pace.wait_s(100.0)
    assert wait_s > 0
    assert pace.wait_s(100.0 + wait_s - 1) > 0
    assert pace.wait_s(100.0 + wait_s) == 0.0


def test_renewals_come_every_15_s_where_nothing_came_early() -> None:
    bench = at_the_limit()
    begun, count = bench.now_s, len(bench.writes)
    bench.run(600)
    times = [at_s for at_s, _ in bench.writes[count:]]
    assert len(times) >= 600 // 15 - 1
    assert max(b - a for a, b in zip([begun, *times], times, strict=False)) <= 16


def test_a_load_that_falls_step_by_step_costs_no_more_than_260_writes_an_hour() -> None:
    """Each step back to the limit comes at once; the renewal that would follow makes it good."""
    bench = at_the_limit(load_w=3500)
    count, begun_s, longest_s = len(bench.writes), bench.now_s, 0
    for _ in range(40):
        bench.plant.load_override_w = (bench.plant.load_override_w or 0.0) - 70.0
        above_s = 0
        for _ in range(19):
            bench.run(1)
            above_s = above_s + 1 if -bench.plant.true_grid_w > 3680 + 50 else 0
            longest_s = max(longest_s, above_s)
    hours = (bench.now_s - begun_s) / 3600
    assert len(bench.writes) - count <= MOST_AN_HOUR * hours
    assert longest_s <= 9


def test_pauses_of_a_discharge_are_made_good_by_its_renewals() -> None:
    bench = at_the_limit()
    assert bench.state.net.lowest_w is not None
    bench.state = replace(bench.state, pace=WritePace(12.0, bench.now_s))
    count = len(bench.writes)
    bench.run(180)
    assert len(bench.writes) - count <= 180 // 20 + 1
    bench.run(900)
    assert bench.state.pace.ahead < 5.0
    last = [at_s for at_s, _ in bench.writes[-4:]]
    assert last[-1] - last[0] <= 3 * 17


def test_a_discharge_that_is_interrupted_each_minute_waits_once_its_writes_are_used() -> None:
    bench = at_the_limit()
    count, ran_s, waited_s = len(bench.writes), 0, 0
    for second in range(3600):
        if second % 90 == 0:
            bench.twists["grid_w"] = lambda reading: replace(reading, value=None)
        elif second % 90 == 20:
            bench.twists.clear()
        bench.run(1)
        ran_s += bench.dispatching
        waited_s += bench.view().reason.code == "writes_spared"
    assert waited_s > 600
    # What was earned while it ran and while it did not, the spare ones, and a start with its stop.
    assert len(bench.writes) - count <= ran_s / 15.5 + (3600 - ran_s) / 240 + 16 + 12


def test_who_asks_for_a_start_does_not_wait_even_where_none_arrives() -> None:
    """Failed starts are the circuit breaker's to stop (production guide, scenario 4)."""
    bench = Bench(_BRIDGE, produced_wh=30_000)
    bench.state = replace(bench.state, pace=WritePace(30.0, bench.now_s))
    bench.fate = lambda _: (False, WriteStatus.DELIVERED)
    for _ in range(3):
        count = len(starts_of(bench))
        assert bench.start().accepted
        bench.run(60)
        assert len(starts_of(bench)) > count


def test_a_person_is_told_why_it_waits_and_can_go_on_at_once() -> None:
    bench = at_the_limit()
    bench.state = replace(bench.state, pace=WritePace(30.0, bench.now_s))
    bench.twists["grid_w"] = lambda reading: replace(reading, value=None)
    bench.run_until(lambda: not bench.dispatching, 30)
    bench.twists.clear()
    bench.run_until(lambda: bench.view().reason.code == "writes_spared", 120)
    bench.run(30)
    assert not bench.dispatching
    bench.start()
    bench.run_until(lambda: bench.dispatching, 10)


def test_a_stop_waits_for_no_pace() -> None:
    bench = at_the_limit()
    bench.state = replace(bench.state, pace=WritePace(200.0, bench.now_s))
    count = len(bench.writes)
    bench.linked = True
    bench.twists["grid_w"] = lambda reading: replace(reading, value=None)
    bench.run_until(lambda: not bench.dispatching, 30)
    assert any(not block.start for _, block in bench.writes[count:])


def test_a_lease_that_the_registers_do_not_show_is_renewed_in_time() -> None:
    bench = at_the_limit()
    bench.state = replace(bench.state, pace=WritePace(15.0, bench.now_s))
    bench.fate = lambda _: (False, WriteStatus.DELIVERED)
    count = len(bench.writes)
    bench.run(36)
    times = [at_s for at_s, _ in bench.writes[count:]]
    assert times[1] - times[0] <= 16


def test_a_restart_hands_no_writes_back() -> None:
    bench = at_the_limit()
    bench.state = replace(bench.state, pace=WritePace(17.0, bench.now_s))
    journaled = bench.kill()
    bench.restart(journaled)
    assert bench.state.pace.ahead == 17.0
    journaled.pop("writes_ahead")
    bench.restart(journaled)
    assert bench.state.pace.ahead == 0.0
