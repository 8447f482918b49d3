"""
Every entity that Home Assistant shows, in one table.

A row says what an entity is called and which function of the snapshot feeds it; publishing knows
nothing else. A new entity is a new row. Ids, names and words are those of Energy Export Monitor,
so dashboards and automations of its users go on working.

Numeric rows may be `None`: it is published as the text "None", which Core shows as `unknown`
from 2024.1 on. Text rows always have a text, because Core would show the word. Nothing here is
ever unavailable because an input is: the health entities exist to say so.

Source: export_monitor.md 1.4 (ids and words), ha_e2e.md section 3 (what Core makes of payloads).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.export.requests import RequestKind
from agent.export.snapshot import ErrorState, GuardSnapshot, HealthStatus, Phase

AttributeValue = str | int | float | bool | None | list[str]
Value = str | float | None
Attributes = Mapping[str, AttributeValue]
WH_PER_KWH = 1000


class Platform(StrEnum):
    """The Home Assistant platform of an entity."""

    SENSOR = "sensor"
    BUTTON = "button"


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity: its identity, its clothes and what feeds it."""

    platform: Platform
    key: str
    """Object id without the prefix; also the stable part of its unique id."""
    name: str
    """Without the device's name, which Core puts in front."""
    icon: str
    value: Callable[[GuardSnapshot], Value] | None = None
    attributes: Callable[[GuardSnapshot], Attributes] | None = None
    request: RequestKind | None = None
    """What pressing it asks of the guard."""
    unit: str | None = None
    device_class: str | None = None
    state_class: str | None = None
    category: str | None = None
    options: tuple[str, ...] = ()
    """All words that an enum sensor may show."""
    every_s: float = 1
    """Shortest time between two reports, so that a value that always moves does not fill the
    recorder's database. A change of phase or health is reported at once whatever this says."""

    @property
    def numeric(self) -> bool:
        """Whether Core expects a number, and may be told that there is none."""
        return bool(self.unit or self.state_class) or self.device_class not in {None, "enum"}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)


def _kwh(wh: float | None) -> float | None:
    return None if wh is None else _rounded(wh / WH_PER_KWH, 3)


def _discharging(snapshot: GuardSnapshot) -> bool:
    return snapshot.phase is Phase.DISCHARGE_ACTIVE


def _system_health_attributes(snapshot: GuardSnapshot) -> Attributes:
    return {
        "error_state": snapshot.error_state.value,
        "data_age_seconds": _rounded(snapshot.data_staleness_s, 1),
        "circuit_breaker_failures": snapshot.breaker.failures,
        "discharge_active": _discharging(snapshot),
        "mode": snapshot.mode.value,
        "problems": [problem.text for problem in snapshot.problems],
    }


def _error_state_attributes(snapshot: GuardSnapshot) -> Attributes:
    return {
        "acknowledge_needed": snapshot.latched,
        "reason": snapshot.reason.text,
    }


def _data_staleness_attributes(snapshot: GuardSnapshot) -> Attributes:
    grid = next((view for view in snapshot.readings if view.name == "grid_w"), None)
    return {
        "is_stale": grid is None or not grid.fresh,
        "threshold_seconds": snapshot.stale_after_s,
        "source": None if grid is None else grid.source,
    }


def _breaker_attributes(snapshot: GuardSnapshot) -> Attributes:
    breaker = snapshot.breaker
    return {
        "failure_count": breaker.failures,
        "last_failure_time": breaker.last_failure.isoformat() if breaker.last_failure else None,
        "can_attempt": not breaker.is_open,
    }


def _discharge_status(snapshot: GuardSnapshot) -> str:
    if _discharging(snapshot):
        return "Active"
    return "Needed" if snapshot.phase is Phase.DISCHARGE_NEEDED else "Idle"


def _discharge_status_attributes(snapshot: GuardSnapshot) -> Attributes:
    return {
        "phase": snapshot.phase.value,
        "reason": snapshot.reason.text,
        "reason_code": snapshot.reason.code,
        "mode": snapshot.mode.value,
        "commanded_power": _rounded(snapshot.power.commanded_w, 0),
        "blockers": [blocker.text for blocker in snapshot.blockers],
    }


def _discharge_needed_w(snapshot: GuardSnapshot) -> float | None:
    """Return the wanted power while there is something to export, else 0, as users know it."""
    if snapshot.energy.headroom_wh is None or snapshot.soc_percent is None:
        return None
    wanted = snapshot.phase in {Phase.DISCHARGE_NEEDED, Phase.DISCHARGE_ACTIVE}
    return _rounded(snapshot.power.target_w, 0) if wanted else 0


def _button(key: str, name: str, icon: str) -> Entity:
    return Entity(Platform.BUTTON, key, name, icon, request=RequestKind(key))


ENTITIES: tuple[Entity, ...] = (
    Entity(
        Platform.SENSOR,
        "system_health",
        "System Health",
        "mdi:heart-pulse",
        value=lambda snapshot: snapshot.health.value,
        attributes=_system_health_attributes,
        device_class="enum",
        category="diagnostic",
        options=tuple(status.value for status in HealthStatus),
        every_s=10,
    ),
    Entity(
        Platform.SENSOR,
        "error_state",
        "Error State",
        "mdi:alert-circle-outline",
        value=lambda snapshot: snapshot.error_state.value,
        attributes=_error_state_attributes,
        device_class="enum",
        category="diagnostic",
        options=tuple(state.value for state in ErrorState),
    ),
    Entity(
        Platform.SENSOR,
        "data_staleness",
        "Data Staleness",
        "mdi:timer-sand",
        value=lambda snapshot: _rounded(snapshot.data_staleness_s, 1),
        attributes=_data_staleness_attributes,
        unit="s",
        category="diagnostic",
        every_s=10,
    ),
    Entity(
        Platform.SENSOR,
        "circuit_breaker_status",
        "Circuit Breaker Status",
        "mdi:electric-switch",
        value=lambda snapshot: "Open" if snapshot.breaker.is_open else "Closed",
        attributes=_breaker_attributes,
        device_class="enum",
        category="diagnostic",
        options=("Open", "Closed"),
    ),
    Entity(
        Platform.SENSOR,
        "discharge_status",
        "Discharge Status",
        "mdi:battery-sync",
        value=_discharge_status,
        attributes=_discharge_status_attributes,
        device_class="enum",
        options=("Active", "Needed", "Idle"),
    ),
    Entity(
        Platform.SENSOR,
        "discharge_needed",
        "Discharge Needed",
        "mdi:battery-arrow-down",
        value=_discharge_needed_w,
        unit="W",
        device_class="power",
        state_class="measurement",
    ),
    Entity(
        Platform.SENSOR,
        "export_headroom",
        "Export Headroom",
        "mdi:transmission-tower-export",
        value=lambda snapshot: _kwh(snapshot.energy.headroom_wh),
        unit="kWh",
        device_class="energy",
        every_s=10,
    ),
    Entity(
        Platform.SENSOR,
        "exported_today",
        "Exported Today",
        "mdi:transmission-tower",
        value=lambda snapshot: _kwh(snapshot.energy.exported_wh),
        unit="kWh",
        device_class="energy",
        state_class="total_increasing",
        every_s=10,
    ),
    Entity(
        Platform.SENSOR,
        "export_allowed",
        "Export Allowed",
        "mdi:scale-balance",
        value=lambda snapshot: _kwh(snapshot.energy.allowance_wh),
        unit="kWh",
        device_class="energy",
        category="diagnostic",
        every_s=10,
    ),
    Entity(
        Platform.SENSOR,
        "current_soc",
        "Current SOC",
        "mdi:battery",
        value=lambda snapshot: _rounded(snapshot.soc_percent, 1),
        unit="%",
        device_class="battery",
        state_class="measurement",
        category="diagnostic",
    ),
    _button("start_discharge", "Start Discharge", "mdi:battery-arrow-up"),
    _button("stop_discharge", "Stop Discharge", "mdi:battery-arrow-down"),
    _button("emergency_stop", "Emergency Stop", "mdi:alert-octagon"),
    _button("acknowledge", "Acknowledge", "mdi:check-circle-outline"),
)
