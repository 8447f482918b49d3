"""
A household that switches things on and off without asking.

Each local day is drawn as a list of switching events: fridge, kettle, hob, washer. The steps are
what matters: a kettle that goes off while the battery feeds 3 kW to the grid is the moment in
which an export limit is exceeded.

Source: control.md, section 4.1.
"""

from __future__ import annotations

import random

from agent.simulator.sky import SECONDS_PER_DAY

_HOUR_S = 3600.0
_HOB_PERIOD_S = 30.0


class Loads:
    """Draws the power of the house's appliances, step by step."""

    __slots__ = ("_at", "_base_w", "_delta_w", "_last_day", "_next", "_random", "power_w")

    def __init__(self, source: random.Random, base_w: float, time_s: float) -> None:
        self._random = source
        self._base_w = base_w
        self.rewind(time_s)

    def rewind(self, time_s: float) -> None:
        """Draw new days from this moment's day on, because the clock was set."""
        self._at: list[float] = []
        self._delta_w: list[float] = []
        self._last_day = int(time_s // SECONDS_PER_DAY) - 1
        self._next = 0
        self.power_w = self._base_w
        self._draw_next_day()
        self.step(time_s)

    def step(self, time_s: float) -> float:
        """Return the power at this time, counted in seconds since midnight of day 0."""
        if time_s >= (self._last_day + 1) * SECONDS_PER_DAY:
            self._draw_next_day()
            return self.step(time_s)
        at = self._at
        while self._next < len(at) and at[self._next] <= time_s:
            self.power_w += self._delta_w[self._next]
            self._next += 1
        return self.power_w

    def _draw_next_day(self) -> None:
        """Append a day; what is still on from the day before goes off in its own time."""
        self._last_day += 1
        midnight_s = self._last_day * SECONDS_PER_DAY
        draw, events = self._random.uniform, []

        def use(start_s: float, seconds: float, watts: float) -> None:
            events.append((midnight_s + start_s, watts))
            events.append((midnight_s + start_s + seconds, -watts))

        for hour in range(24):
            use(hour * _HOUR_S + draw(0, 1800), draw(600, 1200), 90.0)
        for _ in range(self._random.randint(4, 9)):
            use(draw(6, 22.5) * _HOUR_S, draw(90, 240), draw(2000, 2900))
        for meal in (7.2, 12.3, 18.5):
            start_s, watts = (meal + draw(-0.5, 0.7)) * _HOUR_S, draw(1200, 2100)
            for cycle in range(self._random.randint(10, 60)):
                use(start_s + cycle * _HOB_PERIOD_S, draw(8, 22), watts)
        if self._random.random() < 0.6:  # noqa: PLR2004 - washing days per day
            start_s = draw(8, 20) * _HOUR_S
            use(start_s, 4200, 180.0)
            use(start_s + 300, draw(600, 1000), 1900.0)
        pending = list(zip(self._at[self._next :], self._delta_w[self._next :], strict=True))
        merged = sorted(pending + events)
        self._at = [at for at, _ in merged]
        self._delta_w = [delta for _, delta in merged]
        self._next = 0
