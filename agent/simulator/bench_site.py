"""
What one simulated day is: a house, a sky, an inverter with its habits, a window, a limit.

A day is drawn from seed and number alone, so that any day of a campaign can be run again by
itself. The draws are wide on purpose: batteries from 8 to 20 kWh, limits from 2.5 to 5 kW, dead
times to 4 s, windows before sunset, and some to midnight. Batteries are full or nearly so when
the window opens, so that on most days the allowance is what ends the export.

Source: control.md, sections 4.1 and 4.4; ARCHITECTURE, paths to the inverter.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from agent.clock import Instant
from agent.export.allowance import AllowanceRule
from agent.export.commissioning import Commissioning, Stage
from agent.export.freshness import Thresholds
from agent.export.lease import DIRECT, HA_HELPERS, HA_REGISTER, CommandPath, measured
from agent.export.ledger import CounterRules
from agent.export.replacing import quick
from agent.export.snapshot import Mode
from agent.export.states import GuardConfig
from agent.house.readings import CounterKind
from agent.simulator.dispatch import DispatchSettings
from agent.simulator.plant import PlantSettings
from agent.simulator.sky import Weather

ZONE = ZoneInfo("Europe/London")
_MIDNIGHT = time()
DAY_S = 86_400.0
HOUR_S = 3600.0
TAIL_S = 1500.0
"""A day is followed this far past its midnight: no lease of any path outlives it."""
MONOTONIC_S = 1000.0
"""Monotonic time at the day's first midnight; anything but 0, so that a mix-up shows."""
MIN_SOC_PERCENT = 15.0
_CONNECTION_W = 15_000.0
_IDENTITY = "bench"
_LATE_WINDOW_S = 3 * HOUR_S


@dataclass(frozen=True, slots=True)
class Way:
    """How values arrive and commands leave on one path, in seconds; pairs are drawn between."""

    name: str
    path: CommandPath
    power_s: tuple[float, float]
    """Between two polls of grid and battery."""
    late_s: float
    """Longest that a poll comes late behind other ones."""
    pv_s: float
    soc_s: float
    counters_s: float
    dispatch_s: float
    answer_s: tuple[float, float]
    """From a command to its frame at the inverter."""
    shown_s: tuple[float, float]
    """From that frame to the read-back that follows a write."""
    kind: CounterKind
    stale_after_s: float
    readback_poll_s: float
    write_deadline_s: float
    waits_s: float
    """Longest that a command which is not answered may wait and run all the same, on a good day."""
    through_core: bool


_HA = Way(
    "ha_register", HA_REGISTER, power_s=(5, 10), late_s=5, pv_s=10, soc_s=10, counters_s=60,
    dispatch_s=5, answer_s=(1, 6), shown_s=(2, 6), kind=CounterKind.DAILY, stale_after_s=30,
    readback_poll_s=10, write_deadline_s=30, waits_s=30, through_core=True,
)  # fmt: skip
WAYS = {
    "bridge": Way(
        "bridge", DIRECT, power_s=(2, 2), late_s=0, pv_s=4, soc_s=2, counters_s=6, dispatch_s=6,
        answer_s=(1, 1), shown_s=(1, 1), kind=CounterKind.LIFETIME, stale_after_s=18,
        readback_poll_s=6, write_deadline_s=4, waits_s=4, through_core=False,
    ),
    "ha_register": _HA,
    "ha_helpers": replace(_HA, name="ha_helpers", path=HA_HELPERS, readback_poll_s=15),
}  # fmt: skip
"""The paths of ARCHITECTURE's table."""


@dataclass(frozen=True, slots=True)
class Day:
    """One drawn day: everything but its faults."""

    seed: str
    """Of all draws of this day."""
    way: Way
    date: date
    plant: PlantSettings
    power_s: float
    """Poll period of the powers on this day."""
    report_times: bool
    """The source tells when it vouched for a value; Core before 2024.8 does not."""
    limit_w: float
    target_w: float
    opens_s: float
    closes_s: float
    """The window, in seconds since the day's midnight."""
    window_soc_percent: float
    """Charge when the window opens; how it came in is not simulated."""
    forecast_error: float
    """Forecast of the day over what it became."""
    length_s: float = DAY_S
    """Until the next local midnight: an hour less or more where the clock changes."""

    def instant(self, second: float) -> Instant:
        """Return the moment, from seconds since the day's local midnight."""
        moment = _midnight(self.date) + timedelta(seconds=second)
        return _instant(MONOTONIC_S + second, moment.astimezone(ZONE))


_instant = quick(Instant)


@cache
def _midnight(day: date) -> datetime:
    return datetime.combine(day, _MIDNIGHT, ZONE).astimezone(UTC)


def with_clock_change(day: Day, *, forward: bool, to_midnight: bool) -> Day:
    """
    Return the day on which the clock changes, its window at the same times of the wall.

    Args:
        day: any other day.
        forward: 23 hours, in March; else 25 hours, in October.
        to_midnight: the window lasts until the day's end, which is where a day that is taken for
            24 hours goes wrong.
    """
    when = date(2026, 3, 29) if forward else date(2026, 10, 25)
    length_s = (_midnight(when + timedelta(days=1)) - _midnight(when)).total_seconds()
    shift_s = length_s - DAY_S
    opens_s = day.opens_s + shift_s
    if to_midnight:
        opens_s = max(opens_s, length_s - _LATE_WINDOW_S)
    return replace(
        day,
        date=when,
        length_s=length_s,
        opens_s=opens_s,
        closes_s=length_s if to_midnight else day.closes_s + shift_s,
    )


def draw_day(seed: int, number: int, way: Way) -> Day:
    """Return the day of this number; the same seed and number give the same day on any path."""
    key = f"{seed}/{number}"
    source = random.Random(f"day {key}")  # noqa: S311 - weather, not keys
    draw = source.uniform
    # Days of 23 and 25 hours are classes of their own.
    when = date(2026, 1, 1) + timedelta(
        days=source.choice([d for d in range(365) if d not in _DST])
    )
    daylight_s = (12.2 - 4.4 * math.cos(2 * math.pi * (when.timetuple().tm_yday + 10) / 365)) * 3600
    noon_s = draw(12.0, 13.2) * HOUR_S
    limit_w = source.choice([2500.0, 3680.0, 5000.0])
    opens_s, closes_s = _window(source)
    plant = PlantSettings(
        seed=source.randrange(2**31),
        start_s=0.0,
        sunrise_s=noon_s - daylight_s / 2,
        sunset_s=noon_s + daylight_s / 2,
        weather=source.choice(list(Weather)),
        pv_peak_w=draw(1200, 4500),
        base_load_w=draw(120, 500),
        capacity_wh=draw(8000, 20_000),
        soc_percent=draw(50, 100),
        floor_soc_percent=5.0,
        lag_s=draw(0.8, 2.0),
        gain=draw(0.98, 1.02),
        dispatch=DispatchSettings(dead_time_s=float(source.randint(1, 4))),
    )
    return Day(
        seed=key,
        way=way,
        date=when,
        plant=plant,
        power_s=float(round(draw(*way.power_s))),
        report_times=not way.through_core or source.random() < 0.75,  # noqa: PLR2004 - share
        limit_w=limit_w,
        target_w=limit_w * source.choice([0.6, 0.8, 1.0]),
        opens_s=opens_s,
        closes_s=closes_s,
        window_soc_percent=draw(85, 100),
        forecast_error=draw(0.7, 1.3),
    )


_DST = frozenset({86, 87, 296, 297})


def _window(source: random.Random) -> tuple[float, float]:
    kind = source.random()
    if kind < 0.1:  # noqa: PLR2004 - one in ten
        return source.uniform(20.5, 22.5) * HOUR_S, DAY_S
    early = kind < 0.25  # noqa: PLR2004 - and one in seven
    opens = source.uniform(10.0, 13.0) if early else source.uniform(16.5, 19.5)
    return opens * HOUR_S, min(23.9, opens + source.uniform(3.0, 5.0)) * HOUR_S


def config_of(day: Day, source: random.Random) -> GuardConfig:
    """Return the site's choices, with the path as a commissioning test would have measured it."""
    way, plant = day.way, day.plant
    seen_s = sum(way.answer_s) / 2 + plant.dispatch.dead_time_s + source.uniform(0, day.power_s)
    path = measured(way.path, seen_s, plant.dispatch.exit_lag_s, plant.gain + source.gauss(0, 0.01))

    def counter(step_wh: float, *, up: bool) -> CounterRules:
        return CounterRules(way.kind, step_wh, way.counters_s, _CONNECTION_W, conservative_up=up)

    return GuardConfig(
        mode=Mode.CONTROL,
        path=path,
        path_identity=_IDENTITY,
        export_limit_w=day.limit_w,
        target_export_w=day.target_w,
        min_soc_percent=MIN_SOC_PERCENT,
        observe_reserve_soc=False,
        charge_power_w=3000,
        charge_target_soc_percent=100,
        allowance=AllowanceRule(safety_margin_wh=0, tolerance_wh=0),
        thresholds=Thresholds(
            stale_after_s=way.stale_after_s, battery_capacity_wh=plant.capacity_wh
        ),
        exported_rules=counter(10, up=True),
        produced_rules=counter(100, up=False),
        readback_poll_s=way.readback_poll_s,
        breaker_failures=5,
        breaker_pause_s=60,
        minimum_off_s=60,
        write_deadline_s=way.write_deadline_s,
    )


COMMISSIONED = Commissioning(Stage.PASSED, "", path=_IDENTITY, delay_s=3, exit_lag_s=2, gain=1.0)
