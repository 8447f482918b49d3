"""
When jobs may begin: windows of the local day, blackout dates, and the sun.

A window is half-open and may wrap midnight; it belongs to the day on which it begins, also past
midnight. The hour that is repeated in autumn is in a window twice, the one that is skipped in
spring is in none: what counts is the local clock, as people read it.

Pure functions.

Source: signing.md 6.3; the rules on days and windows in the house's architecture.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo

from agent.firmware.campaign.models import Calendar, Window

LOOK_AHEAD = timedelta(days=40)
_STEP = timedelta(minutes=1)


def may_begin(calendar: Calendar, at: datetime, zone: tzinfo) -> bool:
    """Return whether a job may begin at that moment, by the calendar alone."""
    local = at.astimezone(zone)
    if local.date() in calendar.blackout:
        return False
    return not calendar.windows or any(_within(it, local) for it in calendar.windows)


def next_opening(calendar: Calendar, after: datetime, zone: tzinfo) -> datetime | None:
    """
    Return the first moment from then on at which a job may begin, in UTC.

    `None` if there is none within 40 days: a calendar that never opens is a mistake to be shown.
    """
    if may_begin(calendar, after, zone):
        return after.astimezone(UTC)
    first = after.astimezone(zone).date() - timedelta(days=1)
    found = [
        moment
        for number in range(LOOK_AHEAD.days + 1)
        for moment in _edges(calendar, first + timedelta(days=number), zone)
        if moment > after and may_begin(calendar, moment, zone)
    ]
    return min(found, default=None)


def _within(window: Window, local: datetime) -> bool:
    clock, day = local.time(), local.weekday()
    if window.begins == window.ends:
        return day in window.days
    if window.begins < window.ends:
        return window.begins <= clock < window.ends and day in window.days
    yesterday = (day - 1) % 7
    return (clock >= window.begins and day in window.days) or (
        clock < window.ends and yesterday in window.days
    )


def _edges(calendar: Calendar, day: date, zone: tzinfo) -> list[datetime]:
    """Return the moments of a local day at which something may open: windows, and midnight."""
    clocks = {it.begins for it in calendar.windows} | {datetime.min.time()}
    found = []
    for clock in clocks:
        for fold in (0, 1):  # the repeated hour opens twice
            local = datetime.combine(day, clock, zone).replace(fold=fold)
            found.append(local.astimezone(UTC))
    # A begin that falls into the skipped hour comes into its window when that hour is over.
    found += [_after_gap(it, zone) for it in list(found)]
    return found


def _after_gap(moment: datetime, zone: tzinfo) -> datetime:
    """Return the end of a gap in the local clock that begins within three hours, or the moment."""
    offset = moment.astimezone(zone).utcoffset()
    for hours in range(-3, 4):
        other = moment + timedelta(hours=hours)
        if other.astimezone(zone).utcoffset() != offset:
            low, high = sorted((moment, other))
            while high - low > _STEP:
                middle = low + (high - low) / 2
                same = middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            return high.replace(second=0, microsecond=0)
    return moment
