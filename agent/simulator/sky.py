"""
A sky that makes photovoltaic power jump the way real clouds do.

What an export limiter has to survive is not the average yield but the cloud edge: full sun to a
third within seconds, and back with a little more than full sun. So the sky has three regimes
(clear, broken, overcast) that last for minutes, and within broken sky single clouds that last
for seconds.

Source: control.md, section 4.1.
"""

from __future__ import annotations

import math
import random
from enum import StrEnum

SECONDS_PER_DAY = 86_400


class Weather(StrEnum):
    """What the sky is like for the next minutes."""

    CLEAR = "clear"
    BROKEN = "broken"
    OVERCAST = "overcast"
    MIXED = "mixed"
    """Changes between the other three by itself."""


_REGIMES = (Weather.CLEAR, Weather.BROKEN, Weather.BROKEN, Weather.OVERCAST)
_REGIME_S = (600.0, 3600.0)
_EDGE_S = (3.0, 8.0)
"""Time for a cloud's edge to pass over a roof."""


class Sky:
    """Lets through a share of the clear-sky power that changes with the clouds."""

    __slots__ = ("_in_sun", "_left_s", "_random", "_rate", "_regime", "_regime_left_s", "_target",
                 "share", "weather")  # fmt: skip

    def __init__(self, source: random.Random, weather: Weather) -> None:
        self._random = source
        self.weather = weather
        self._regime = weather
        self._regime_left_s = 0.0
        self._left_s = 0.0
        self._in_sun = True
        self._target = 1.0
        self._rate = 1.0
        self.share = 1.0

    def step(self, dt_s: float) -> float:
        """Move the clouds on and return the share of the clear-sky power that arrives."""
        self._left_s -= dt_s
        self._regime_left_s -= dt_s
        if self._regime_left_s <= 0.0:
            self._next_regime()
        if self._left_s <= 0.0:
            self._next_cloud()
        gap = self._target - self.share
        if gap:
            most = self._rate * dt_s
            self.share += max(-most, min(most, gap))
        return self.share

    def _next_regime(self) -> None:
        drawn = self._random.choice(_REGIMES)
        self._regime_left_s = self._random.uniform(*_REGIME_S)
        self._regime = drawn if self.weather is Weather.MIXED else self.weather
        self._left_s = 0.0

    def _next_cloud(self) -> None:
        draw = self._random.uniform
        if self._regime is Weather.CLEAR:
            self._target, self._left_s = draw(0.97, 1.0), draw(30.0, 300.0)
        elif self._regime is Weather.OVERCAST:
            self._target, self._left_s = draw(0.08, 0.3), draw(60.0, 300.0)
        else:
            self._in_sun = not self._in_sun
            # Light reflected by the edges of clouds adds to direct sun: more than a clear sky.
            self._target = draw(0.95, 1.12) if self._in_sun else draw(0.2, 0.45)
            self._left_s = draw(15.0, 180.0)
        self._rate = max(0.02, abs(self._target - self.share) / draw(*_EDGE_S))


def clear_sky_share(seconds_of_day: float, sunrise_s: float, sunset_s: float) -> float:
    """Return the share of the peak power that a cloudless sky gives at this time of day."""
    if not sunrise_s < seconds_of_day < sunset_s:
        return 0.0
    height = math.sin(math.pi * (seconds_of_day - sunrise_s) / (sunset_s - sunrise_s))
    return height * math.sqrt(height)
