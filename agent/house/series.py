"""
What is known about the hours to come: one type for sun, carbon and money.

A series is a run of half-open stretches of time, each with a value; what no stretch covers is
not known, and not known is never zero. Stretches come sorted and without overlap, whatever the
source sent. Times are UTC inside, so a day with 23 or 25 hours is just a shorter or longer run;
days are cut where the site's midnight is.

Source: control.md, cases 2, 12, 20 and 38; export_monitor.md, section 5 and D-35.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True, order=True)
class Stretch:
    """A value that holds from `begins` until just before `ends`."""

    begins: datetime
    ends: datetime
    value: float
    """In the unit of its series."""
    low: float | None = field(default=None, compare=False)
    """Pessimistic value, the 10th percentile, where the source gives one."""
    high: float | None = field(default=None, compare=False)
    """Optimistic value, the 90th percentile, where the source gives one."""
    word: str = field(default="", compare=False)
    """The source's own word for it, as `very low`."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values over time from one source, or the reason why there are none."""

    unit: str
    """`W` (average power), `gCO2/kWh`, or a currency per kWh as `GBP/kWh`."""
    source: str
    """Entity or service, as a person would look it up."""
    stretches: tuple[Stretch, ...] = ()
    reason: str = ""
    """Why it is empty, or what was left out of it; empty when there is nothing to say."""

    def __bool__(self) -> bool:
        return bool(self.stretches)

    @property
    def ends(self) -> datetime | None:
        """Return until when something is known; `None` when nothing is."""
        return self.stretches[-1].ends if self.stretches else None

    def at(self, moment: datetime) -> Stretch | None:
        """Return the stretch that holds at this moment, or `None`."""
        index = bisect_right(self.stretches, moment, key=lambda each: each.begins) - 1
        if index < 0 or moment >= self.stretches[index].ends:
            return None
        return self.stretches[index]

    def mean(self, begins: datetime, ends: datetime) -> Stretch | None:
        """
        Return the average over a time, or `None` unless the whole of it is known.

        Raises:
            ValueError: the time is empty or runs backwards.
        """
        if ends <= begins:
            raise ValueError(f"no time from {begins.isoformat()} to {ends.isoformat()}")
        sums, weight_s = [0.0, 0.0, 0.0], 0.0
        first = bisect_right(self.stretches, begins, key=lambda each: each.begins) - 1
        for each in self.stretches[max(0, first) :]:
            if each.begins >= ends:
                break
            seconds = (min(each.ends, ends) - max(each.begins, begins)).total_seconds()
            if seconds > 0:
                weight_s += seconds
                low = each.value if each.low is None else each.low
                high = each.value if each.high is None else each.high
                for index, value in enumerate((each.value, low, high)):
                    sums[index] += value * seconds
        if weight_s < (ends - begins).total_seconds():
            return None
        value, low, high = (each / weight_s for each in sums)
        return Stretch(begins, ends, value, low, high)

    def energy_wh(self, begins: datetime, ends: datetime) -> float | None:
        """Return the energy of a power series over a time; `None` unless all of it is known."""
        mean = self.mean(begins, ends)
        if mean is None:
            return None
        return mean.value * (ends - begins).total_seconds() / SECONDS_PER_HOUR

    def scaled(self, factor: float, unit: str) -> Series:
        """Return the same in another unit."""

        def by(value: float | None) -> float | None:
            return None if value is None else value * factor

        stretches = tuple(
            replace(each, value=each.value * factor, low=by(each.low), high=by(each.high))
            for each in self.stretches
        )
        return replace(self, unit=unit, stretches=stretches)

    def repeated(self, until: datetime) -> Series:
        """
        Return the series continued by its own last day, as the best guess of what comes.

        Day-ahead prices are published in the afternoon; until then tomorrow's are like today's.
        """
        day = timedelta(days=1)
        stretches = list(self.stretches)
        for each in self.stretches:
            if not stretches or each.ends + day <= stretches[-1].ends:
                continue
            begins = max(each.begins + day, stretches[-1].ends)
            if begins >= until:
                break
            stretches.append(replace(each, begins=begins, ends=min(each.ends + day, until)))
        return replace(self, stretches=tuple(stretches))

    def then(self, later: Series) -> Series:
        """Return this series, completed by another where this one knows nothing."""
        stretches = list(self.stretches)
        for each in later.stretches:
            stretches.extend(_uncovered(each, self.stretches))
        reason = "; ".join(dict.fromkeys(r for r in (self.reason, later.reason) if r))
        return replace(self, stretches=tuple(sorted(stretches)), reason=reason)


def _uncovered(one: Stretch, known: tuple[Stretch, ...]) -> list[Stretch]:
    begins, left = one.begins, []
    for each in known:
        if each.ends <= begins or each.begins >= one.ends:
            continue
        if each.begins > begins:
            left.append(replace(one, begins=begins, ends=each.begins))
        begins = max(begins, each.ends)
    if begins < one.ends:
        left.append(replace(one, begins=begins))
    return left


def empty(unit: str, source: str, reason: str) -> Series:
    """Return a series that knows nothing, and says why."""
    return Series(unit, source, (), reason)


def series(
    unit: str, source: str, found: Iterable[Stretch], left_out: int = 0, nothing: str = ""
) -> Series:
    """
    Return a series of stretches in any order, with duplicates and overlaps.

    Where two overlap, the one that begins later cuts the earlier short; of two that begin at the
    same moment the one given last counts, because sources append corrections.

    Args:
        unit: of the values.
        source: entity or service.
        found: what was read; stretches that are empty or not finite are left out.
        left_out: rows that could not be read, for the reason.
        nothing: reason to give when nothing is left.
    """
    by_start: dict[datetime, Stretch] = {}
    for each in found:
        if each.begins < each.ends and math.isfinite(each.value):
            begins, ends = each.begins.astimezone(UTC), each.ends.astimezone(UTC)
            by_start[begins] = replace(each, begins=begins, ends=ends)
        else:
            left_out += 1
    ordered = sorted(by_start.values())
    cut = [replace(one, ends=min(one.ends, after.begins)) for one, after in pairwise(ordered)]
    kept = (*cut, *ordered[-1:])
    if not kept:
        return empty(unit, source, nothing or "it holds no row that can be read")
    reason = f"{left_out} rows could not be read" if left_out else ""
    return Series(unit, source, kept, reason)
