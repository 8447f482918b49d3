"""
A value is only as good as its time, its source and its unit.

Every number that enters a decision is a `Reading`: canonical unit (told by the field's name in
`HouseSample`), the moment its source last vouched for it, who said so, and whether it may be
used. A missing value is never zero and never "no change".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Quality(StrEnum):
    """Whether a reading may be used, and if not, why."""

    GOOD = "good"
    MISSING = "missing"
    """Never delivered: no such entity, not configured, or the agent has just started."""
    UNAVAILABLE = "unavailable"
    """The source itself says that it does not know, or the link to it is down."""
    INVALID = "invalid"
    """Not a number, outside the possible range, or in a unit that cannot be converted."""


GOOD = Quality.GOOD
"""Looked up once: through the class it would cost more than all else in `good` (Python 3.11)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one source."""

    value: float | None
    """In the unit that the field's name tells; `None` unless the quality is good."""
    quality: Quality
    source: str
    """Entity id or register name, as a person would look it up."""
    changed_s: float = 0.0
    """Monotonic: when the value last became a different one."""
    reported_s: float | None = None
    """Monotonic: when the source last vouched for the value, also an unchanged one. `None` where
    the source cannot tell (Core before 2024.8 keeps no such time)."""
    detail: str = ""
    """Why the reading is not good, and what to do, in one sentence."""

    @property
    def good(self) -> bool:
        """True when the value may be used."""
        return self.quality is GOOD and self.value is not None

    @property
    def vouched_s(self) -> float:
        """Monotonic: when the source last vouched for the value; the change time where unknown."""
        reported_s, changed_s = self.reported_s, self.changed_s
        return changed_s if reported_s is None or reported_s < changed_s else reported_s

    def age_s(self, now_s: float) -> float:
        """Seconds since the source last vouched for the value."""
        return max(0.0, now_s - self.vouched_s)


def missing(source: str, detail: str = "") -> Reading:
    """Return the reading of a source that has never spoken."""
    return Reading(None, Quality.MISSING, source, detail=detail)


class CounterKind(StrEnum):
    """When an energy counter starts again from zero."""

    DAILY = "daily"
    """At the site's local midnight, like Home Assistant's daily utility meters."""
    LIFETIME = "lifetime"
    """Never, but for a replaced meter or a rollover."""


@dataclass(frozen=True, slots=True)
class SourceTraits:
    """What an adapter can promise about the values it delivers."""

    path: str
    """`ha_register`, `ha_helpers`, `bridge` or `direct`."""
    exported_kind: CounterKind
    exported_step_wh: float
    """Resolution of the export counter."""
    produced_kind: CounterKind
    produced_step_wh: float
    power_poll_s: float
    """Longest usual time between two reports of a power value."""
    counter_poll_s: float
    readback_poll_s: float


@dataclass(frozen=True, slots=True)
class DispatchReadings:
    """The dispatch block as the inverter reports it, each register with its own time."""

    start: Reading
    """1 while a dispatch runs, 0 otherwise."""
    power_w: Reading
    """Positive discharges, negative charges."""
    mode: Reading
    cutoff_soc_percent: Reading
    duration_s: Reading
    """The duration that was written; it does not count down."""


@dataclass(frozen=True, slots=True)
class HouseSample:
    """Everything the guard knows of the house, at one moment."""

    linked: bool
    """The way to the source stands (websocket authenticated, Modbus connected)."""
    grid_w: Reading
    """At the connection point; positive imports, negative exports."""
    battery_w: Reading
    """Positive discharges, negative charges."""
    pv_w: Reading
    """All generators together, never negative."""
    soc_percent: Reading
    exported_wh: Reading
    """Counter of the energy fed to the grid; its kind is told by the source's traits."""
    produced_wh: Reading
    """Counter of the energy from PV; its kind is told by the source's traits."""
    forecast_today_wh: Reading
    """Whole local day; missing where no forecast is configured."""
    reserve_soc_percent: Reading
    """An external 'keep at least this' value; missing where none is configured."""
    dispatch: DispatchReadings
