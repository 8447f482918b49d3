"""Days with little allowance, so that a short window spends it."""

from __future__ import annotations

from dataclasses import replace

from agent.simulator.bench_site import HOUR_S, Day
from agent.simulator.sky import Weather


def shortened(day: Day, hours: float) -> Day:
    """Return the day with a little sun and a window of so many hours before midnight."""
    plant = replace(
        day.plant,
        sunrise_s=8 * HOUR_S,
        sunset_s=16 * HOUR_S,
        weather=Weather.CLEAR,
        pv_peak_w=450.0,
        base_load_w=300.0,
        capacity_wh=15_000.0,
    )
    return replace(
        day,
        plant=plant,
        limit_w=3680.0,
        target_w=3680.0,
        opens_s=(23.8 - hours) * HOUR_S,
        closes_s=23.8 * HOUR_S,
        window_soc_percent=90.0,
    )
