"""
One place that knows the time, so that every decision can be given it.

Ages and deadlines use the monotonic clock, which no NTP step or daylight saving change
moves. Days, windows and plans use the site's local time. Decisions take an `Instant`; only
the outermost rooms own a `Clock`, and tests own theirs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from datetime import time as time_of_day
from functools import lru_cache
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

    @property
    def day_begun_s(self) -> float:
        """Seconds since the site's local day began."""
        return (self.local - local_day(self.day, self.local.tzinfo)[0]).total_seconds()

    @property
    def day_left_s(self) -> float:
        """Seconds until the site's local day ends; not the wall clock's, which may change."""
        return (local_day(self.day, self.local.tzinfo)[1] - self.local).total_seconds()


@lru_cache(maxsize=64)
def local_day(day: date, zone: tzinfo | None) -> tuple[datetime, datetime]:
    """Return begin and end of a zone's day in UTC; 23, 24 or 25 hours apart."""
    begins, ends = (
        datetime.combine(each, time_of_day(), zone) for each in (day, day + timedelta(days=1))
    )
    return begins.astimezone(UTC), ends.astimezone(UTC)


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
