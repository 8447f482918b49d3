"""
Makes daily counters of an inverter's lifetime ones.

An inverter counts from its first day on; the allowance is of one day. What the counters showed
last before midnight is the next day's zero.
"""

from __future__ import annotations

from datetime import date


class DayCounters:
    """Turns lifetime counters into ones that start at each local midnight."""

    def __init__(self, base: tuple[float, float], day: date) -> None:
        self._base = {"exported_wh": base[0], "produced_wh": base[1]}
        self._last = dict(self._base)
        self._day = day

    def daily(self, lifetime: dict[str, float], day: date) -> dict[str, float]:
        """Return the counters since midnight; the last value of a day is the next day's base."""
        if day != self._day:
            self._day, self._base = day, dict(self._last)
        self._last.update(lifetime)
        return {name: value - self._base[name] for name, value in lifetime.items()}
