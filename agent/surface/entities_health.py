"""
Rows of the guard's own state: its health, what failed, what it did, what waits for a person.

None of them is ever unavailable because an input is: they exist to say so.

Source: export_monitor.md 1.4; D-46, D-48.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC

from agent.export.snapshot import ErrorState, GuardSnapshot, HealthStatus
from agent.surface.entities_guard import discharging
from agent.surface.entities_model import Attributes, Entity, binary, rounded, sensor, short


def _system_health_attributes(snapshot: GuardSnapshot) -> Attributes:
    return {
        "error_state": snapshot.error_state.value,
        "data_age_seconds": rounded(snapshot.data_staleness_s, 1),
        "circuit_breaker_failures": snapshot.breaker.failures,
        "discharge_active": discharging(snapshot),
        "mode": snapshot.mode.value,
        "problems": [problem.text for problem in snapshot.problems],
        "commissioning": _commissioning(snapshot),
    }


def _commissioning(snapshot: GuardSnapshot) -> dict[str, object]:
    """Return the record of the commissioning test, with every figure that it has."""
    test = snapshot.commissioning
    return {
        "passed": test.passed,
        "text": test.text,
        "at": test.at.astimezone(UTC).isoformat() if test.at else None,
        "dead_time_s": rounded(test.dead_s, 1),
        "delay_s": rounded(test.delay_s, 1),
        "exit_lag_s": rounded(test.exit_lag_s, 1),
        "gain": rounded(test.gain, 2),
        "counter_lag_s": rounded(test.counter_lag_s, 0),
        "rewrite_extends": test.rewrite_extends,
        "firmware": test.firmware,
        "checks": {check.code: check.verdict for check in test.checks},
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


HEALTH_ENTITIES: tuple[Entity, ...] = (
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
)
