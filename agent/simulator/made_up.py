"""
Forecasts for the demo: made up, named so, and in step with the simulated house's own day.

Sun as on a half clear day, a grid that is dirty and dear in the evening and clean and cheap at
night. The simulated house begins in its late afternoon whatever the clock says, so these do too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from agent.house.forecast_grid import CARBON
from agent.house.forecast_pv import WATTS
from agent.house.series import Series, Stretch, series
from agent.plan_inputs import Known
from agent.simulator.plant import PlantSettings
from agent.simulator.sky import SECONDS_PER_DAY, clear_sky_share

NAME = "made up for the demo"
_HALF_HOUR = timedelta(minutes=30)
_AHEAD = timedelta(hours=48)
_CLOUDS = 0.6
_HOUR_S = 3600.0


class MadeUp:
    """`Sources` of a house that does not exist."""

    def __init__(self, midnight: datetime) -> None:
        """Take the moment of our clock at which the simulated house had its midnight."""
        self._midnight = midnight.astimezone(UTC)
        self._plant = PlantSettings()

    def known(self, now: datetime) -> Known:
        """Return the made-up outlook."""
        return Known(
            self._over(now, WATTS, self._pv_w),
            self._over(now, CARBON, _carbon_g),
            self._over(now, "GBP/kWh", _buy),
            self._over(now, "GBP/kWh", _sell),
        )

    async def refresh(self, now: datetime) -> datetime | None:
        """Ask nobody."""
        return None

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Never call: what is made up does not change."""
        return lambda: None

    def _over(self, now: datetime, unit: str, of_hour: Callable[[float], float]) -> Series:
        now = now.astimezone(UTC)
        begins = now.replace(minute=now.minute // 30 * 30, second=0, microsecond=0)
        stretches = []
        for number in range(_AHEAD // _HALF_HOUR):
            at = begins + number * _HALF_HOUR
            middle_s = (at + _HALF_HOUR / 2 - self._midnight).total_seconds() % SECONDS_PER_DAY
            stretches.append(Stretch(at, at + _HALF_HOUR, of_hour(middle_s / _HOUR_S)))
        return series(unit, NAME, stretches)

    def _pv_w(self, hour: float) -> float:
        plant = self._plant
        share = clear_sky_share(hour * _HOUR_S, plant.sunrise_s, plant.sunset_s)
        return round(_CLOUDS * plant.pv_peak_w * share)


def _bump(hour: float, middle: float, width: float) -> float:
    """Return 1 in the middle and nearly nothing some widths away, around the clock."""
    away = (hour - middle + 12) % 24 - 12
    return math.exp(-((away / width) ** 2))


def _carbon_g(hour: float) -> float:
    evening, night, noon = _bump(hour, 19.0, 2.0), _bump(hour, 3.0, 3.0), _bump(hour, 13.0, 3.0)
    return round(165 + 110 * evening - 75 * night - 45 * noon)


def _buy(hour: float) -> float:
    return 0.07 if 0.5 <= hour < 5.5 else 0.38 if 16 <= hour < 19 else 0.27  # noqa: PLR2004


def _sell(hour: float) -> float:
    return 0.26 if 16 <= hour < 19 else 0.12  # noqa: PLR2004
