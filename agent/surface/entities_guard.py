"""
Rows of what the guard sees, decides and did.

Nothing here is ever unavailable because an input is: the health entities exist to say so. Words
are those of Energy Export Monitor; where it showed True and False as text, the text stays for its
users and a binary sensor stands beside it.

Source: export_monitor.md 1.4; D-40, D-41, D-46, D-48.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC

from agent.export.snapshot import ErrorState, GuardSnapshot, HealthStatus, Phase
from agent.surface.entities_model import (
    Attributes,
    Entity,
    binary,
    kwh,
    rounded,
    sensor,
    short,
)

_MINUTES_PER_HOUR = 60


def _discharging(snapshot: GuardSnapshot) -> bool:
    # Not the phase alone: an error state hides what runs below it.
    return snapshot.phase is Phase.DISCHARGE_ACTIVE or _lease(snapshot) == "discharge"


def _charging(snapshot: GuardSnapshot) -> bool:
    return snapshot.phase is Phase.CHARGE_ACTIVE or _lease(snapshot) == "charge"


def _lease(snapshot: GuardSnapshot) -> str | None:
    return snapshot.lease.kind if snapshot.lease else None


def _system_health_attributes(snapshot: GuardSnapshot) -> Attributes:
    return {
        "error_state": snapshot.error_state.value,
        "data_age_seconds": rounded(snapshot.data_staleness_s, 1),
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


def _stale(snapshot: GuardSnapshot) -> bool:
    grid = next((view for view in snapshot.readings if view.name == "grid_w"), None)
    return grid is None or not grid.fresh


def _data_staleness_attributes(snapshot: GuardSnapshot) -> Attributes:
    grid = next((view for view in snapshot.readings if view.name == "grid_w"), None)
    return {
        "is_stale": _stale(snapshot),
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
        "commanded_power": rounded(snapshot.power.commanded_w, 0),
        "blockers": [blocker.text for blocker in snapshot.blockers],
    }


def _wanted(snapshot: GuardSnapshot) -> bool | None:
    if snapshot.energy.headroom_wh is None or snapshot.soc_percent is None:
        return None
    return snapshot.phase in {Phase.DISCHARGE_NEEDED, Phase.DISCHARGE_ACTIVE}


def _discharge_needed_w(snapshot: GuardSnapshot) -> float | None:
    """Return the wanted power while there is something to export, else 0, as users know it."""
    wanted = _wanted(snapshot)
    return None if wanted is None else rounded(snapshot.power.target_w, 0) if wanted else 0


def _calculated_minutes(snapshot: GuardSnapshot) -> float | None:
    """Return how long the wanted power takes to use what is left, without the old 10 % on top."""
    wanted, left_wh, target_w = _wanted(snapshot), snapshot.energy.left_wh, snapshot.power.target_w
    if wanted is None or left_wh is None:
        return None
    if not wanted or not target_w > 0:
        return 0
    return rounded(max(0.0, left_wh) / target_w * _MINUTES_PER_HOUR, 1)


def _discharge_complete(snapshot: GuardSnapshot) -> str:
    if snapshot.wish == "discharge" or _discharging(snapshot):
        return "In Progress"
    if snapshot.completed or snapshot.phase is Phase.DISCHARGE_COMPLETE:
        return "Complete"
    return "Unknown" if snapshot.energy.headroom_wh is None else "Not Started"


def _reserve_status(snapshot: GuardSnapshot) -> str:
    if not snapshot.observe_reserve_soc:
        return "Monitoring Disabled"
    words = {None: "Unknown", True: "Limit Reached", False: "Normal"}
    return words[snapshot.reserve_reached]


def _last_action(snapshot: GuardSnapshot) -> str:
    last = snapshot.last_action
    return short(f"{_old_action(snapshot)} ({last.reason})") if last else "none"


def _old_action(snapshot: GuardSnapshot) -> str | None:
    """Return the old word: `stop_discharge` where the guard says `stop` and knows of what."""
    last = snapshot.last_action
    if last is None:
        return None
    return f"stop_{last.purpose}" if last.action == "stop" and last.purpose else last.action


def _last_action_attributes(snapshot: GuardSnapshot) -> Attributes:
    last = snapshot.last_action
    return {
        "action": _old_action(snapshot),
        "time": last.at.astimezone(UTC).isoformat() if last else None,
        "reason": last.reason if last else None,
        "by": last.by if last else None,
    }


def _statistics_attributes(snapshot: GuardSnapshot) -> Attributes:
    data = asdict(snapshot.statistics)
    since = data.pop("since")
    return {**data, "since": since.isoformat() if since else None}


GUARD_ENTITIES: tuple[Entity, ...] = (
    sensor(
        "system_health",
        "mdi:heart-pulse",
        "Whether the guard can do its work; the attributes name what is wrong.",
        value=lambda snapshot: snapshot.health.value,
        attributes=_system_health_attributes,
        device_class="enum",
        category="diagnostic",
        options=tuple(status.value for status in HealthStatus),
        every_s=10,
    ),
    sensor(
        "error_state",
        "mdi:alert-circle-outline",
        "What failed last; `none` as soon as its cause has gone or was acknowledged.",
        value=lambda snapshot: snapshot.error_state.value,
        attributes=_error_state_attributes,
        device_class="enum",
        category="diagnostic",
        options=tuple(state.value for state in ErrorState),
    ),
    sensor(
        "data_staleness",
        "mdi:timer-sand",
        "Age of the grid power.",
        value=lambda snapshot: rounded(snapshot.data_staleness_s, 1),
        attributes=_data_staleness_attributes,
        unit="s",
        device_class="duration",
        category="diagnostic",
        every_s=10,
    ),
    sensor(
        "circuit_breaker_status",
        "mdi:electric-switch",
        "Open: new operations wait; supervision and stops go on.",
        value=lambda snapshot: "Open" if snapshot.breaker.is_open else "Closed",
        attributes=_breaker_attributes,
        device_class="enum",
        category="diagnostic",
        options=("Open", "Closed"),
    ),
    sensor(
        "discharge_status",
        "mdi:battery-sync",
        "Active, Needed or Idle; the attributes say why, and why a start would be refused.",
        value=_discharge_status,
        attributes=_discharge_status_attributes,
        device_class="enum",
        options=("Active", "Needed", "Idle"),
    ),
    sensor(
        "discharge_complete",
        "mdi:battery-check",
        "Complete from the proper end of a discharge to the next start or the end of the day.",
        value=_discharge_complete,
        device_class="enum",
        options=("Unknown", "Not Started", "In Progress", "Complete"),
    ),
    sensor(
        "discharge_needed",
        "mdi:battery-arrow-down",
        "The wanted export while something may still leave the house, else 0.",
        value=_discharge_needed_w,
        unit="W",
        device_class="power",
        state_class="measurement",
    ),
    sensor(
        "calculated_duration",
        "mdi:clock-outline",
        "How long the wanted export takes to use what surely may still leave.",
        value=_calculated_minutes,
        unit="min",
        device_class="duration",
        state_class="measurement",
        every_s=10,
    ),
    sensor(
        "export_headroom",
        "mdi:transmission-tower-export",
        "Allowance minus exported today; negative when exceeded.",
        value=lambda snapshot: kwh(snapshot.energy.headroom_wh),
        unit="kWh",
        device_class="energy",
        every_s=10,
    ),
    sensor(
        "exported_today",
        "mdi:transmission-tower",
        "Exported in the site's local day.",
        value=lambda snapshot: kwh(snapshot.energy.exported_wh),
        unit="kWh",
        device_class="energy",
        state_class="total_increasing",
        every_s=10,
    ),
    sensor(
        "export_allowed",
        "mdi:scale-balance",
        "The day's allowance.",
        value=lambda snapshot: kwh(snapshot.energy.allowance_wh),
        unit="kWh",
        device_class="energy",
        category="diagnostic",
        every_s=10,
    ),
    sensor(
        "current_pv",
        "mdi:solar-power",
        "Power of the sun now.",
        value=lambda snapshot: rounded(snapshot.power.pv_w, 0),
        unit="W",
        device_class="power",
        state_class="measurement",
        category="diagnostic",
        every_s=5,
    ),
    sensor(
        "forecast_pv_today",
        "mdi:weather-partly-cloudy",
        "Forecast of the whole local day.",
        value=lambda snapshot: kwh(snapshot.energy.forecast_wh),
        unit="kWh",
        device_class="energy",
        category="diagnostic",
    ),
    sensor(
        "current_soc",
        "mdi:battery",
        "State of charge of the battery.",
        value=lambda snapshot: rounded(snapshot.soc_percent, 1),
        unit="%",
        device_class="battery",
        state_class="measurement",
        category="diagnostic",
    ),
    sensor(
        "minimum_soc",
        "mdi:battery-low",
        "State of charge below which nothing is discharged.",
        value=lambda snapshot: rounded(snapshot.min_soc_percent, 1),
        unit="%",
        device_class="battery",
        category="diagnostic",
    ),
    sensor(
        "reserve_soc_target",
        "mdi:battery-lock",
        "What the reserve's own entity asks for; unknown without one.",
        value=lambda snapshot: rounded(snapshot.reserve_soc_percent, 1),
        unit="%",
        state_class="measurement",
    ),
    sensor(
        "reserve_soc_status",
        "mdi:battery-lock-open",
        "Whether the observed reserve forbids a discharge.",
        value=_reserve_status,
        device_class="enum",
        options=("Unknown", "Monitoring Disabled", "Limit Reached", "Normal"),
    ),
    sensor(
        "observe_reserve_soc",
        "mdi:eye",
        "True or False; see the binary sensor of this name.",
        value=lambda snapshot: str(snapshot.observe_reserve_soc),
        category="diagnostic",
    ),
    sensor(
        "reserve_limit_reached",
        "mdi:battery-alert",
        "True or False (also while unknown); see the binary sensor of this name.",
        value=lambda snapshot: str(snapshot.reserve_reached is True),
        category="diagnostic",
    ),
    sensor(
        "last_auto_action",
        "mdi:history",
        "What the guard did last, by itself or as asked, and why; survives a restart.",
        value=_last_action,
        attributes=_last_action_attributes,
        category="diagnostic",
    ),
    sensor(
        "service_call_stats",
        "mdi:counter",
        "How many starts and stops failed; the attributes count each kind and its successes.",
        value=lambda snapshot: snapshot.statistics.failures,
        attributes=_statistics_attributes,
        category="diagnostic",
    ),
    binary(
        "discharge_active",
        "mdi:battery-arrow-down",
        "A discharge of ours runs, or may still run.",
        _discharging,
        device_class="running",
    ),
    binary(
        "charge_active",
        "mdi:battery-arrow-up",
        "A charge of ours runs, or may still run.",
        _charging,
        device_class="running",
    ),
    binary(
        "acknowledge_needed",
        "mdi:hand-back-left",
        "A safety stop waits for a person; nothing starts before.",
        lambda snapshot: snapshot.latched,
        device_class="problem",
    ),
    binary(
        "data_stale",
        "mdi:timer-alert",
        "The grid power is too old to act on.",
        _stale,
        device_class="problem",
        category="diagnostic",
    ),
    binary(
        "observe_reserve_soc",
        "mdi:eye",
        "The reserve's entity is observed.",
        lambda snapshot: snapshot.observe_reserve_soc,
        category="diagnostic",
    ),
    binary(
        "reserve_limit_reached",
        "mdi:battery-alert",
        "The observed reserve forbids a discharge; unknown while its entity is.",
        lambda snapshot: snapshot.reserve_reached,
        category="diagnostic",
    ),
)
