"""
What the house will use, learned from what it has used: the usual power of each half hour.

No forecast knows when the kettle is switched on. The average of the same half hour on the last
days is what remains true of it, with newer days counting more. Half hours that were never seen
take the average of all that were.

Source: control.md, section 4.7 (loads), case 40.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from agent.house.series import Series, Stretch, empty, series

HALF_HOURS = 48
_HALF_HOUR = timedelta(minutes=30)
_ENOUGH = 180
"""Points of a half hour, of the 360 that there are at one every five seconds."""
NEW_DAY_COUNTS = 0.15
"""Weight of the newest day: most of what is remembered is of the last two weeks."""


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """Usual load of each half hour of the site's day, in W; `None` until it was seen."""

    usual_w: tuple[float | None, ...] = (None,) * HALF_HOURS

    def learned(self, half_hour: int, load_w: float) -> LoadProfile:
        """
        Return the profile with one more half hour.

        Args:
            half_hour: of the site's day by the clock on the wall, 0 to 47.
            load_w: average over it.

        Raises:
            ValueError: there is no such half hour, or the load is negative.
        """
        if not 0 <= half_hour < HALF_HOURS or load_w < 0:
            raise ValueError(f"no half hour {half_hour} with a load of {load_w} W")
        before = self.usual_w[half_hour]
        new = load_w if before is None else before + NEW_DAY_COUNTS * (load_w - before)
        changed = (*self.usual_w[:half_hour], new, *self.usual_w[half_hour + 1 :])
        return LoadProfile(changed)


def half_hour_of(moment: datetime, zone: ZoneInfo) -> int:
    """Return the half hour of the site's day, by the clock on the wall."""
    local = moment.astimezone(zone)
    return local.hour * 2 + local.minute // 30


def learn(means: Iterable[tuple[datetime, float]], zone: ZoneInfo) -> LoadProfile:
    """Return the profile of half hours with their average load in W, oldest first."""
    profile = LoadProfile()
    for begins, load_w in means:
        profile = profile.learned(half_hour_of(begins, zone), load_w)
    return profile


class HalfHours:
    """Adds up the load of half hours, from points in any order and any number of pieces."""

    def __init__(self) -> None:
        self._sums: dict[float, tuple[float, int]] = {}

    def add(self, at: float, load_w: float | None) -> None:
        """Take a moment in seconds since the epoch, and the load then in W if it was known."""
        if load_w is not None:
            begins = at - at % _HALF_HOUR.total_seconds()
            total, count = self._sums.get(begins, (0.0, 0))
            self._sums[begins] = total + load_w, count + 1

    def means(self) -> Iterator[tuple[datetime, float]]:
        """Yield begin in UTC and average of each half hour seen for half of it, oldest first."""
        for begins, (total, count) in sorted(self._sums.items()):
            if count >= _ENOUGH:
                yield datetime.fromtimestamp(begins, UTC), total / count


def expected(
    profile: LoadProfile, now: datetime, until: datetime, zone: ZoneInfo, recent_w: float | None
) -> Series:
    """
    Return the expected load in W.

    Args:
        profile: what is usual.
        now: the present moment; the series begins with its half hour.
        until: end of what is wanted.
        zone: the site's.
        recent_w: average of the last minutes; blended into the running half hour, because what is
            switched on now is likely to stay on for a while.
    """
    seen = [usual for usual in profile.usual_w if usual is not None]
    if not seen and recent_w is None:
        return empty("W", "load profile", "no load was seen yet; wait half an hour")
    otherwise = sum(seen) / len(seen) if seen else recent_w or 0.0
    begins = now.astimezone(UTC)
    begins = begins.replace(minute=begins.minute // 30 * 30, second=0, microsecond=0)
    stretches, running = [], True
    while begins < until:
        usual = profile.usual_w[half_hour_of(begins, zone)]
        value = otherwise if usual is None else usual
        if running and recent_w is not None:
            value = (value + recent_w) / 2
        stretches.append(Stretch(begins, begins + _HALF_HOUR, value))
        begins, running = begins + _HALF_HOUR, False
    return series("W", "load profile", stretches)
