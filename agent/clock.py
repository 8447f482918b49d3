"""
One place that knows the time, so that every decision can be given it.

Ages and deadlines use the monotonic clock, which no NTP step or daylight saving change
moves. Days, windows and plans use the site's local time. Decisions take an `Instant`; only
the outermost rooms own a `Clock`, and tests own theirs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Instant:
    """The same moment on two clocks."""

    monotonic_s: float
    """Seconds on a clock that never jumps; only differences mean anything."""
    local: datetime
    """Aware, in the site's time zone."""

    @property
    def day(self) -> date:
        """The site's local day, the one the allowance belongs to."""
        return self.local.date()


class Clock(Protocol):
    """Tells the time; the tests own one that stands still until told."""

    def now(self) -> Instant:
        """Return the present moment on both clocks."""
        ...


class SystemClock:
    """The machine's clocks, read in the site's time zone."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        """May be set when Home Assistant tells the site's zone."""

    def now(self) -> Instant:
        """Return the present moment on both clocks."""
        return Instant(time.monotonic(), datetime.now(UTC).astimezone(self.zone))
