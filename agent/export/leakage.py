"""
What a house leaks to the grid while nobody commands its battery.

Each time a load goes off, an ordinary battery lets out some watt-hours before it follows; nothing
can stop that, so it has to stay unused until the day ends. Nearly all of it leaks while dinner is
cooked; how much differs from house to house. So the guard begins with what holds for the houses of
its bench, and scales that by what earlier evenings have shown, the leakiest of them and a little
more, never beyond the leakiest houses known.

Source: control.md, finding 5 (15 Wh + 12 Wh per hour holds every evening simulated there) and T2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent.export.replacing import replace

_LATE_WH_PER_H = 2.5
_DINNER_WH_PER_H = 15.0
_DINNER_ENDS_H = 4.0
"""Before midnight. From 20 h on the bench's houses leak 3 Wh at most, from 19 h on 33 Wh, from 18 h
on 47 Wh (80 houses; 22 and 41 Wh hold 97 % of them)."""
_FIRST_MOST_WH = 30.0
_BOUND_WH = 15.0
_BOUND_WH_PER_H = 12.0
_LEAST_SHARE = 0.2
_MORE = 1.25
_EVENINGS = 14
_ENOUGH_EVENINGS = 5
_TELLING_WH = 8.0
"""An evening of which less was expected, in the time that nobody commanded, shows nothing."""
_DARK_W = 30.0
_HOUR_S = 3600.0


class Passing(Protocol):
    """What of the flow between two looks matters here."""

    @property
    def worst_w(self) -> float:
        """Most that a command can let out."""

    @property
    def produced_w(self) -> float | None:
        """PV power."""


@dataclass(frozen=True, slots=True)
class Leakage:
    """What the evenings without a command have shown."""

    evenings: tuple[float, ...] = ()
    """What leaked over what was expected, newest last."""
    leaked_wh: float = 0.0
    """Of this evening so far, in the dark and without a command,"""
    expected_wh: float = 0.0
    """and what was expected of that time."""
    counting: bool = False
    """It is dark and no command runs."""
    quiet: bool = False
    """The last tick lies in such a time, so the next one tells a leak."""

    def passed(self, flow: Passing, hours: float, day_left_s: float) -> Leakage:
        """Return the leakage after some time, in hours, with so much of the day left."""
        if flow.produced_w is None or flow.produced_w > _DARK_W:
            # Only what comes after the last sun is an evening.
            dawns = flow.produced_w is not None and self.expected_wh > 0.0
            return Leakage(self.evenings) if dawns or self.counting else self
        if flow.worst_w > 0.0:
            return self if not self.counting else replace(self, counting=False, quiet=False)
        late = day_left_s <= _DINNER_ENDS_H * _HOUR_S
        rate = _LATE_WH_PER_H if late else _DINNER_WH_PER_H
        soon = first_wh(day_left_s) < _FIRST_MOST_WH
        added_wh = rate * hours if soon else 0.0
        if added_wh == 0.0 and self.counting:
            return self
        return replace(self, counting=True, expected_wh=self.expected_wh + added_wh)

    def told(self, energy_wh: float) -> Leakage:
        """Return the leakage after a tick of the export counter, in Wh."""
        if not self.counting:
            return self
        if not self.quiet:
            # The first tick still tells of a command or of the sun.
            return replace(self, quiet=True)
        return replace(self, leaked_wh=self.leaked_wh + energy_wh)

    def closed(self) -> Leakage:
        """Return the leakage at the end of the local day."""
        if self.expected_wh < _TELLING_WH:
            return Leakage(self.evenings)
        return Leakage((*self.evenings, self.leaked_wh / self.expected_wh)[-_EVENINGS:])

    def reserve_wh(self, day_left_s: float) -> float:
        """Return what may still leak until the local day ends, in Wh."""
        expected_wh = first_wh(day_left_s)
        if not self.evenings:
            return expected_wh
        share = max(_LEAST_SHARE, _MORE * max(self.evenings))
        if len(self.evenings) < _ENOUGH_EVENINGS:
            share = max(1.0, share)
        most_wh = _BOUND_WH + _BOUND_WH_PER_H * max(0.0, day_left_s) / _HOUR_S
        return min(most_wh, share * expected_wh)


def first_wh(day_left_s: float) -> float:
    """Return what a house is expected to leak until the day ends before it has shown it, in Wh."""
    hours = max(0.0, day_left_s) / _HOUR_S
    dinner_wh = _DINNER_WH_PER_H * max(0.0, hours - _DINNER_ENDS_H)
    return min(_FIRST_MOST_WH, _LATE_WH_PER_H * min(hours, _DINNER_ENDS_H) + dinner_wh)
