"""
What a day's export was worth beside its limits: the report for whoever granted the connection.

A day is told by what was recorded of it: the samples of the history (every five seconds) say how
much power left the house beside the limit of that moment, and how much energy beside the allowance;
the events of the journal say what the agent did and why it ended. What was not recorded is not
guessed: `recorded_s` says for how much of the day there is a record.

A stretch above the limit counts as a breach when it lasts longer than the slowest path needs to
end it. Sun above the limit is reported and not prevented (docs/guide.md), so its cause is named.

Source: control.md, T1 and T2; docs/logging.md (kinds of events).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo

from agent.journal import Event, Sample

PATH_S = 60.0
"""The slowest path, through Core, needs so long to end what is above the limit."""
METER_STEP_W = 50.0
"""Above the limit by less is the meter's noise."""
LONGEST_STEP_S = 15.0
"""Between two samples further apart nothing is known."""
MOST_BREACHES = 50
"""Listed of one day; the rest is counted."""
OPERATIONS = frozenset(
    {"discharge_started", "charge_started", "rest_started", "share_sun_started", "adopted"}
)
FAULTS = frozenset(
    {"error", "breaker_opened", "input_lost", "start_failed", "stop_by_timer", "foreign_dispatch",
     "yielded", "lease_ran_out"}
)  # fmt: skip
KINDS = OPERATIONS | FAULTS | {"stop", "stop_verified"}
"""Everything that the report reads."""
_OVER_EXPORT = "over_export"


@dataclass(frozen=True, slots=True)
class Breach:
    """One time a limit was passed."""

    at: datetime
    of: str
    """`power` or `energy`."""
    cause: str
    """`dispatch`, `sun`, or the reason's code."""
    seconds: float | None
    most_w: float | None
    text: str


@dataclass(frozen=True, slots=True)
class DayReport:
    """One local day; `None` for what was not recorded."""

    day: date
    recorded_s: float
    limit_w: float | None
    """The lowest that was in force."""
    most_export_w: float | None
    margin_w: float | None
    """The smallest distance to the limit; negative above it."""
    over_limit_s: float
    allowance_wh: float | None
    """At the end of the day, the safety margin already taken off."""
    exported_wh: float | None
    margin_wh: float | None
    """What was left of the allowance."""
    operations: dict[str, int]
    stops: dict[str, int]
    """By the reason's code."""
    stops_verified: int
    faults: dict[str, int]
    """By their kind, or by the reason's code where there is one."""
    breaches: list[Breach]
    breaches_left_out: int


@dataclass(slots=True)
class _Stretch:
    """Time above the limit without a break."""

    began_s: float
    until_s: float
    most_w: float
    dispatched: bool


@dataclass(slots=True)
class _Day:
    recorded_s: float = 0.0
    limit_w: float | None = None
    most_export_w: float | None = None
    margin_w: float | None = None
    over_limit_s: float = 0.0
    allowance_wh: float | None = None
    exported_wh: float | None = None
    operations: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    stops_verified: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    breaches: list[Breach] = field(default_factory=list)
    left_out: int = 0


class Tally:
    """Counts samples, in the order of their time, and events into days."""

    def __init__(self, days: Iterable[date], zone: tzinfo) -> None:
        self._zone = zone
        self._days = {day: _Day() for day in days}
        self._now: _Day | None = None
        self._span_s = (0.0, 0.0)
        self._last_s = float("-inf")
        self._stretch: _Stretch | None = None

    def samples(self, points: Iterable[Sample]) -> None:
        """Count some points of the history."""
        for point in points:
            self._point(point)

    def event(self, event: Event) -> None:
        """Count one event of the journal."""
        day = self._days.get(event.at.astimezone(self._zone).date())
        if day is None:
            return
        reason = str(event.data.get("reason") or event.data.get("code") or "")
        if event.kind in OPERATIONS:
            day.operations[event.kind] += 1
        elif event.kind == "stop":
            day.stops[reason or "unknown"] += 1
        elif event.kind == "stop_verified":
            day.stops_verified += 1
        elif event.kind in FAULTS:
            day.faults[f"{event.kind}: {reason}" if reason else event.kind] += 1
        if event.kind == "stop" and reason == _OVER_EXPORT:
            text = str(event.data.get("text", ""))
            self._add(day, Breach(event.at, "energy", reason, None, None, text))

    def reports(self) -> list[DayReport]:
        """Return every day, oldest first."""
        self._end_stretch()
        return [_told(day, found) for day, found in sorted(self._days.items())]

    def _point(self, point: Sample) -> None:
        if not self._span_s[0] <= point.at < self._span_s[1]:
            self._end_stretch()
            self._turn_to(point.at)
        day = self._now
        if day is None:
            return
        step_s = point.at - self._last_s
        step_s = step_s if 0 < step_s <= LONGEST_STEP_S else 0.0
        self._last_s = point.at
        if point.allowance_wh is not None:
            day.allowance_wh = point.allowance_wh
        if point.exported_wh is not None:
            day.exported_wh = point.exported_wh
        if point.grid_w is None:
            self._end_stretch()
            return
        day.recorded_s += step_s
        export_w = max(0.0, -point.grid_w)
        if day.most_export_w is None or export_w > day.most_export_w:
            day.most_export_w = export_w
        if point.limit_w is None:
            self._end_stretch()
            return
        self._beside(day, point, export_w, step_s)

    def _beside(self, day: _Day, point: Sample, export_w: float, step_s: float) -> None:
        limit_w = point.limit_w or 0.0
        margin_w = limit_w - export_w
        day.limit_w = limit_w if day.limit_w is None else min(day.limit_w, limit_w)
        day.margin_w = margin_w if day.margin_w is None else min(day.margin_w, margin_w)
        if margin_w >= -METER_STEP_W:
            self._end_stretch()
            return
        day.over_limit_s += step_s
        stretch = self._stretch
        if stretch is None or not step_s:
            self._end_stretch()
            stretch = self._stretch = _Stretch(point.at, point.at, 0.0, dispatched=False)
        stretch.until_s = point.at
        stretch.most_w = max(stretch.most_w, export_w)
        stretch.dispatched |= (point.commanded_w or 0.0) > 0

    def _end_stretch(self) -> None:
        stretch, self._stretch = self._stretch, None
        if stretch is None or self._now is None:
            return
        seconds = stretch.until_s - stretch.began_s
        if seconds <= PATH_S:
            return
        cause = "dispatch" if stretch.dispatched else "sun"
        at = datetime.fromtimestamp(stretch.began_s, self._zone)
        text = f"For {seconds:.0f} s up to {stretch.most_w:.0f} W left the house, above the limit."
        self._add(self._now, Breach(at, "power", cause, seconds, stretch.most_w, text))

    def _turn_to(self, at_s: float) -> None:
        day = datetime.fromtimestamp(at_s, self._zone).date()
        begin, end = (
            datetime.combine(each, time(), self._zone).timestamp()
            for each in (day, day + timedelta(days=1))
        )
        self._now, self._span_s, self._last_s = self._days.get(day), (begin, end), float("-inf")

    def _add(self, day: _Day, breach: Breach) -> None:
        if len(day.breaches) < MOST_BREACHES:
            day.breaches.append(breach)
        else:
            day.left_out += 1


def _told(day: date, found: _Day) -> DayReport:
    both = found.allowance_wh is not None and found.exported_wh is not None
    return DayReport(
        day=day,
        recorded_s=found.recorded_s,
        limit_w=found.limit_w,
        most_export_w=found.most_export_w,
        margin_w=found.margin_w,
        over_limit_s=found.over_limit_s,
        allowance_wh=found.allowance_wh,
        exported_wh=found.exported_wh,
        margin_wh=(found.allowance_wh or 0.0) - (found.exported_wh or 0.0) if both else None,
        operations=dict(found.operations),
        stops=dict(found.stops),
        stops_verified=found.stops_verified,
        faults=dict(found.faults),
        breaches=sorted(found.breaches, key=lambda breach: breach.at),
        breaches_left_out=found.left_out,
    )
