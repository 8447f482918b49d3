"""
Rows of what may still leave the house, and of what the battery does about it.

Words are those of Energy Export Monitor; where it showed True and False as text, the text stays
for its users and a binary sensor stands beside it.

Source: export_monitor.md 1.4; D-40, D-41, D-48.
"""

from __future__ import annotations

from agent.export.snapshot import GuardSnapshot, Phase
from agent.surface.entities_model import Attributes, Entity, binary, kwh, rounded, sensor

_MINUTES_PER_HOUR = 60


def discharging(snapshot: GuardSnapshot) -> bool:
    """Return True while a discharge of ours runs, or may still run."""
    # Not the phase alone: an error state hides what runs below it.
    return snapshot.phase is Phase.DISCHARGE_ACTIVE or _lease(snapshot) == "discharge"


def _charging(snapshot: GuardSnapshot) -> bool:
    return snapshot.phase is Phase.CHARGE_ACTIVE or _lease(snapshot) == "charge"


def _lease(snapshot: GuardSnapshot) -> str | None:
    return snapshot.lease.kind if snapshot.lease else None


def _discharge_status(snapshot: GuardSnapshot) -> str:
    if discharging(snapshot):
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
    if snapshot.wish == "discharge" or discharging(snapshot):
        return "In Progress"
    if snapshot.completed or snapshot.phase is Phase.DISCHARGE_COMPLETE:
        return "Complete"
    return "Unknown" if snapshot.energy.headroom_wh is None else "Not Started"


def _reserve_status(snapshot: GuardSnapshot) -> str:
    if not snapshot.observe_reserve_soc:
        return "Monitoring Disabled"
    words = {None: "Unknown", True: "Limit Reached", False: "Normal"}
    return words[snapshot.reserve_reached]


GUARD_ENTITIES: tuple[Entity, ...] = (
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
        "What may be exported in the local day; the attribute says which period sets it.",
        value=lambda snapshot: kwh(snapshot.energy.allowance_wh),
        attributes=lambda snapshot: {"period": snapshot.energy.period},
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
    binary(
        "discharge_active",
        "mdi:battery-arrow-down",
        "A discharge of ours runs, or may still run.",
        discharging,
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
