"""
What leaves the house when the guard is killed at the worst instants of a day.

A killed guard decides nothing more, so an instant is tried on a copy of the house: the day goes on
undisturbed, and each copy runs to its midnight by the inverter's own timer. Instants are those at
which a command has just left, or has not, or has just arrived; most of them with little left of the
allowance, where a lease that was not paid for would show.

Source: control.md, section 4.5 and T5 (700 adversarial instants).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

from agent.house.alphaess import DispatchBlock
from agent.simulator.bench import Bench
from agent.simulator.bench_measure import DayResult, Judge
from agent.simulator.bench_site import TAIL_S, WAYS, draw_day
from agent.simulator.bench_wire import Wire
from agent.simulator.plant import Plant

_BANDS = ((80.0, 0.5, 12), (300.0, 0.1, 6), (math.inf, 0.02, 6))
"""Below so many Wh left: the share of instants that is tried, and the most of one day, so that no
day with little sun stands for all."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One instant, and what came after it."""

    number: int
    """Of the day."""
    at_s: float
    left_wh: float
    """What the guard believed to be left of the allowance."""
    over_wh: float
    """Most that was exported above what was produced; below 0 where it never was."""
    forced_wh: float
    """Battery energy that the dispatch still sent to the grid."""
    runs_on_s: float


def kills(path: str, seed: int, count: int, first: int = 0) -> list[Kill]:
    """Return at least this many kills, on as many days from the first as they take."""
    found: list[Kill] = []
    number = first
    while len(found) < count:
        found += _kills_of(path, seed, number)
        number += 1
    return found


def _kills_of(path: str, seed: int, number: int) -> Iterator[Kill]:
    day = draw_day(seed, number, WAYS[path])
    source = random.Random(f"kills {day.seed}")  # noqa: S311 - moments, not keys
    bench = Bench(day, number)
    written: list[DispatchBlock] = []
    bench.on_write = lambda _, block: written.append(block)
    bench.start()
    under_way, tried = False, [0] * len(_BANDS)
    while bench.now_s < day.length_s:
        written.clear()
        bench.run_to(bench.now_s + 1.0)
        arrived, under_way = under_way and bench.wire.idle, not bench.wire.idle
        if not bench.controller.leased or not (written or arrived):
            continue
        left_wh = bench.controller.left_wh
        band = next(n for n, (below_wh, *_) in enumerate(_BANDS) if left_wh < below_wh)
        _, share, most = _BANDS[band]
        if tried[band] < most and source.random() < share:
            tried[band] += 1
            yield _killed(bench, left_wh, commands_leave=source.random() < 0.5)  # noqa: PLR2004


def _killed(bench: Bench, left_wh: float, *, commands_leave: bool) -> Kill:
    """Run a copy of the house to its midnight, without the guard."""
    plant, wire, judge = _copy(bench)
    wire.die(commands_leave=commands_leave)
    result, now_s = judge.result, bench.now_s
    result.over_wh = judge.exported_wh - judge.produced_wh
    judge.died(now_s)
    length_s = bench.day.length_s
    while now_s < length_s + TAIL_S:
        before_s, now_s = now_s, now_s + 1.0
        plant.step(1.0)
        wire.arrive(now_s)
        judge.tick(now_s, 1.0, leased=False)
        if before_s < length_s <= now_s:
            judge.midnight(now_s)
    return Kill(result.number, bench.now_s, left_wh, result.over_wh, result.kill_wh, result.kill_s)


def _copy(bench: Bench) -> tuple[Plant, Wire, Judge]:
    copied: tuple[Plant, Wire, Judge] = deepcopy((bench.plant, bench.wire, bench.judge))
    copied[2].result = DayResult(bench.result.number, "kill", True, leased=True)
    return copied
