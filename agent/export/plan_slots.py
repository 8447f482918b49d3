"""
Cuts the hours to come into slots, and puts into each what is known about it.

The cuts are the half hours, the tariff's own, the edges of the site's windows and its midnights,
so that a slot lies wholly inside or outside of each. Windows are half-open, wrap past midnight and
follow the clock on the wall; the days of a clock change have 46 or 50 half hours.

Source: control.md, cases 1, 2, 6 and 38; D-12 to D-14, D-29, D-30, D-35, D-36.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from agent.clock import local_day
from agent.export.plan_problem import Slot
from agent.house.series import Series

_HALF_HOUR = timedelta(minutes=30)
LONGEST = timedelta(hours=36)
"""Farther ahead nothing changes what to do now, and every slot costs the solver time."""
_SHORTEST = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """A time of the site's day; equal ends mean the whole day, an earlier end wraps midnight."""

    begins: time = time()
    ends: time = time()

    def contains(self, local: time) -> bool:
        """Return True when this time of day lies in the window, its end excluded."""
        if self.begins == self.ends:
            return True
        if self.begins < self.ends:
            return self.begins <= local < self.ends
        return local >= self.begins or local < self.ends

    def edges(self, day: date, zone: ZoneInfo) -> Iterator[datetime]:
        """Yield where the window begins and ends on this day, in UTC."""
        for edge in (self.begins, self.ends):
            for fold in (0, 1):
                yield datetime.combine(day, edge.replace(fold=fold), zone).astimezone(UTC)


WHOLE_DAY = DailyWindow()


@dataclass(frozen=True, slots=True)
class Outlook:
    """Everything that is known of the hours to come."""

    pv: Series
    """In W."""
    load: Series
    """In W."""
    carbon: Series
    buy: Series
    sell: Series
    discharge_window: DailyWindow = WHOLE_DAY
    charge_window: DailyWindow = WHOLE_DAY
    cautious: bool = False
    """Let the allowance count on the pessimistic PV only."""


def slots(
    outlook: Outlook, now: datetime, zone: ZoneInfo, longest: timedelta = LONGEST
) -> tuple[Slot, ...]:
    """
    Return the slots from now on, as far as sun and load are known without a gap.

    The first one begins now and is what is left of the running half hour.

    Args:
        outlook: what is known.
        now: the present moment, aware.
        zone: the site's; it owns days and windows.
        longest: how far ahead.
    """
    now = now.astimezone(UTC)
    marks = sorted(set(_marks(outlook, now, zone, now + longest)))
    found: list[Slot] = []
    for begins, ends in pairwise(marks):
        if ends - now < _SHORTEST:
            continue
        slot = _slot(outlook, max(begins, now), ends, zone)
        if slot is None:
            break
        found.append(slot)
    return tuple(found)


def _marks(outlook: Outlook, now: datetime, zone: ZoneInfo, until: datetime) -> Iterator[datetime]:
    mark = now.replace(minute=now.minute // 30 * 30, second=0, microsecond=0)
    while mark < until:
        yield mark
        mark += _HALF_HOUR
    yield mark
    first, last = now - _HALF_HOUR, mark
    day = first.astimezone(zone).date()
    while local_day(day, zone)[0] < last:
        inside = [
            local_day(day, zone)[0],
            *outlook.discharge_window.edges(day, zone),
            *outlook.charge_window.edges(day, zone),
        ]
        yield from (edge for edge in inside if first < edge < last)
        day += timedelta(days=1)
    for series in (outlook.buy, outlook.sell, outlook.carbon):
        for stretch in series.stretches:
            yield from (e for e in (stretch.begins, stretch.ends) if now < e < last)


def _slot(outlook: Outlook, begins: datetime, ends: datetime, zone: ZoneInfo) -> Slot | None:
    pv, load = outlook.pv.mean(begins, ends), outlook.load.mean(begins, ends)
    if pv is None or load is None:
        return None
    local = begins.astimezone(zone)
    carbon, buy, sell = (
        None if (mean := series.mean(begins, ends)) is None else mean.value
        for series in (outlook.carbon, outlook.buy, outlook.sell)
    )
    return Slot(
        begins,
        ends,
        local.date(),
        pv_w=max(0.0, pv.value),
        load_w=max(0.0, load.value),
        buy_per_kwh=buy,
        sell_per_kwh=sell,
        carbon_g_per_kwh=carbon,
        may_discharge=outlook.discharge_window.contains(local.time()),
        may_charge=outlook.charge_window.contains(local.time()),
        pv_low_w=pv.low if outlook.cautious else None,
    )
