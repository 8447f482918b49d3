"""
How fast the connection point comes back under its limit when a load goes off or the sun comes out.

On random days the limiter does not chase loads that come and go within ten minutes, so its
reaction is seldom needed. Here it is: a load that has run for eleven minutes goes off, or the sun
comes out, while the battery exports at the limit; then the seconds above it are counted.

Source: control.md, section 4.4 (steps of 1.0 to 1.3 kW, dead time 1 to 4 s) and T3.
"""

from __future__ import annotations

import random
from dataclasses import replace

from agent.export.states import GuardConfig
from agent.simulator.bench import Bench
from agent.simulator.bench_guard import Controller, GuardController
from agent.simulator.bench_measure import LIMIT_SLACK_W
from agent.simulator.bench_site import HOUR_S, WAYS, Day, draw_day
from agent.simulator.plant import Plant

_SETTLED_S = 680.0
"""Longer than the limiter remembers a low net load."""
_WATCHED_S = 120.0
_BASE_W = 300.0


def step_times_s(path: str, seed: int, days: int, steps: int, first: int = 0) -> list[float]:
    """
    Return the seconds above the limit after each step; 0 where none was needed.

    Args:
        path: one of `WAYS`.
        seed: of houses and steps.
        days: houses, each with its own dead time and lag.
        steps: in each of them.
        first: number of the first house.

    Raises:
        ValueError: so many steps do not fit into one day of a house.
    """
    numbers = range(first, first + days)
    return [time_s for number in numbers for time_s in _steps_of(path, seed, number, steps)]


def _steps_of(path: str, seed: int, number: int, steps: int) -> list[float]:
    drawn = draw_day(seed, number, WAYS[path])
    source = random.Random(f"steps {drawn.seed}")  # noqa: S311 - loads, not keys
    plant = replace(drawn.plant, capacity_wh=200_000.0, ac_limit_w=8000.0, max_discharge_w=8000.0)
    opens_s = HOUR_S
    day = replace(
        drawn,
        plant=plant,
        limit_w=2500.0,
        target_w=2500.0,
        opens_s=opens_s,
        closes_s=drawn.length_s,
        window_soc_percent=100.0,
    )
    bench = Bench(day, number, controllers=_unbound)
    bench.plant.pv_override_w, bench.plant.load_override_w = 0.0, _BASE_W
    bench.start()
    bench.run_to(opens_s + 1.0)
    most = int((day.closes_s - opens_s) / (_SETTLED_S + _WATCHED_S + 60.0))
    if steps > most:
        raise ValueError(f"{steps} steps do not fit into one day; {most} do")
    return [_one_step(bench, source, sunny=n % 2 == 1) for n in range(steps)]


def _unbound(config: GuardConfig, day: Day, _: Plant) -> Controller:
    """Return a guard that has all the energy it wants: only power is looked at."""
    rule = replace(config.allowance, tolerance_wh=1e6)
    return GuardController(replace(config, allowance=rule), day.instant(0.0))


def _one_step(bench: Bench, source: random.Random, *, sunny: bool) -> float:
    plant, step_w = bench.plant, source.uniform(1000, 1300)
    plant.load_override_w, plant.pv_override_w = _BASE_W + step_w, 0.0
    bench.run_to(bench.now_s + _SETTLED_S + float(source.randint(0, 30)))
    if sunny:
        plant.pv_override_w = step_w
    else:
        plant.load_override_w = _BASE_W
    begins_s = last_s = bench.now_s
    for second in range(1, int(_WATCHED_S) + 1):
        bench.run_to(begins_s + second)
        if -plant.true_grid_w > bench.day.limit_w + LIMIT_SLACK_W:
            last_s = bench.now_s
    return last_s - begins_s
