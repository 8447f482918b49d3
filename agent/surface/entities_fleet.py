"""
The entities of PVAutonomy Ops, as a table.

Ids, states and attributes are those that dashboards of PVAutonomy Ops read; the button that its
guide and its code called by two names is there under both. Every row is always there and has all
of its attributes, whatever failed: before discovery, without a target, without a verdict.

Source: pvautonomy.md 1.1 to 1.3; its defects D-12, D-14, D-17.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.fleet import gates
from agent.fleet.gate_models import Result
from agent.fleet.identity import Kind, written
from agent.fleet.operations import Op, Operation, OpState
from agent.surface.entities_model import Attributes, Platform, Value, rounded
from agent.surface.fleet_view import NO_TARGET, FleetView, iso, label_of, labels, online, well

PREFIX = "pvautonomy_ops"
CONTRACT_VERSION = "v1.0.0"
_MS = 1000
Feed = Callable[[FleetView], Value]
Feeds = Callable[[FleetView], Attributes]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetEntity:
    """One entity of the fleet as a whole; always available."""

    platform: Platform
    key: str
    """Object id without the prefix."""
    name: str
    icon: str
    about: str
    value: Feed | None = None
    attributes: Feeds | None = None
    press: Op | None = None
    options: Callable[[FleetView], tuple[str, ...]] | None = None
    states: tuple[str, ...] = ()
    """All words that an enum sensor may show."""
    prefix: str = PREFIX

    @property
    def unique_id(self) -> str:
        """Return what Core knows it by."""
        return f"pv_edge_agent_fleet_{self.key}"

    @property
    def entity_id(self) -> str:
        """Return its id in Home Assistant."""
        return f"{self.platform.value}.{self.prefix}_{self.key}"


def _status(view: FleetView) -> str:
    if view.fault:
        return "error"
    if not view.sources_up:
        return "degraded"
    if view.discovered is None:
        return "initializing"
    return "ok" if view.ours and all(well(view, it) for it in view.ours) else "warn"


def _last_error(view: FleetView) -> tuple[str | None, datetime | None]:
    if view.fault:
        return view.fault, view.fault_at
    failed = [it for it in view.operations.values() if it.error]
    last = max(failed, key=lambda it: it.finished or it.started, default=None)
    return (last.error, last.finished) if last else (None, None)


def _status_attributes(view: FleetView) -> Attributes:
    healthy = sum(well(view, it) for it in view.ours)
    error, error_at = _last_error(view)
    record = view.fleet.records.get(view.target) if view.target else None
    kind = view.projects.kind(record.told.project_name) if record else None
    called = {mac: text for text, mac in labels(view.fleet).items()}
    factory, production = (
        sorted(called[it.mac] for it in view.of_kind(each))
        for each in (Kind.FACTORY, Kind.PRODUCTION)
    )
    return {
        "version": view.version,
        "contract_version": CONTRACT_VERSION,
        "last_discovery": iso(view.discovered),
        "devices_total": len(view.ours),
        "devices_online": healthy,
        "devices_offline": len(view.ours) - healthy,
        "active_device": label_of(view, view.target),
        "active_device_kind": kind.value if kind in {Kind.FACTORY, Kind.PRODUCTION} else None,
        "last_error": error,
        "last_error_time": iso(error_at),
        "factory_devices": factory,
        "production_devices": production,
        "factory_count": len(factory),
        "production_count": len(production),
        **_operation_attributes(view.latest),
        **gates.attributes(view.verdicts.get(view.target) if view.target else None),
        **_flash_attributes(view, view.operations.get(Op.FLASH)),
    }


def _operation_attributes(last: Operation | None) -> dict[str, object]:
    duration_s = last.duration_s if last else None
    return {
        "op_state": last.state.value if last else OpState.IDLE.value,
        "op_name": last.op.value if last else None,
        "op_started": iso(last.started) if last else None,
        "op_finished": iso(last.finished) if last else None,
        "op_progress": last.progress_percent if last else 0,
        "op_duration_ms": None if duration_s is None else round(duration_s * _MS),
        "last_action": last.op.value if last else None,
        "last_action_time": iso(last.started) if last else None,
    }


def _flash_attributes(view: FleetView, flash: Operation | None) -> dict[str, object]:
    details = flash.details if flash else {}
    done = flash is not None and flash.state is OpState.SUCCESS
    return {
        "flash_stage": details.get("stage"),
        "flash_version": details.get("version"),
        "flash_target_device": label_of(view, flash.target) if flash else None,
        "flash_last_success": iso(flash.finished) if flash and done else None,
        "flash_last_error": flash.error if flash else None,
        "flash_last_error_time": iso(flash.finished) if flash and flash.error else None,
    }


def _count_attributes(view: FleetView) -> Attributes:
    connected = sum(online(it) for it in view.ours)
    unknown = sum(it.contact is None for it in view.ours)
    return {
        "online": connected,
        "offline": len(view.ours) - connected - unknown,
        "unknown": unknown,
        "factory": len(view.of_kind(Kind.FACTORY)),
        "production": len(view.of_kind(Kind.PRODUCTION)),
    }


def _discover_attributes(view: FleetView) -> Attributes:
    asked = view.operations.get(Op.DISCOVER)
    return {
        "last_result": asked.result if asked else None,
        "devices_found": len(view.ours),
        "factory_count": len(view.of_kind(Kind.FACTORY)),
        "production_count": len(view.of_kind(Kind.PRODUCTION)),
        "duration_ms": _operation_attributes(asked)["op_duration_ms"],
        "error_message": asked.error if asked else None,
    }


def _gates_attributes(view: FleetView) -> Attributes:
    asked = view.operations.get(Op.RUN_GATES)
    target = asked.target if asked else None
    told = view.verdicts.get(target) if target else None
    found = {each: [str(it.gate) for it in told.of(each)] if told else [] for each in Result}
    return {
        "target_device": label_of(view, target),
        "last_result": asked.result if asked else None,
        "gates_total": len(told.gates) if told else 0,
        "gates_passed": len(found[Result.PASS]),
        "gates_failed": len(found[Result.FAIL]),
        "gates_warned": len(found[Result.WARN]),
        "failed_gates": found[Result.FAIL],
        "warned_gates": found[Result.WARN],
        "duration_ms": _operation_attributes(asked)["op_duration_ms"],
        "error_message": asked.error if asked else None,
    }


def _flash_button_attributes(view: FleetView) -> Attributes:
    asked = view.operations.get(Op.FLASH)
    return {
        "target_device": label_of(view, asked.target) if asked else None,
        "last_result": asked.result if asked else None,
        "firmware_version": asked.details.get("version") if asked else None,
        "flash_duration_sec": rounded(asked.duration_s, 1) if asked else None,
        "error_message": asked.error if asked else None,
        "block_reason": asked.block.value if asked and asked.block else None,
    }


def _restart_attributes(view: FleetView) -> Attributes:
    asked = view.operations.get(Op.RESTART)
    details = asked.details if asked else {}
    return {
        "target_device": label_of(view, asked.target) if asked else None,
        "last_result": asked.result if asked else None,
        "restart_duration_sec": rounded(asked.duration_s, 1) if asked else None,
        "offline_detected": details.get("offline_detected"),
        "online_detected": details.get("online_detected"),
        "error_message": asked.error if asked else None,
    }


def _target_attributes(view: FleetView) -> Attributes:
    known = view.target is not None and view.target in view.fleet.records
    return {
        "mac": written(view.target) if view.target and known else None,
        "error_message": view.choice_refused,
    }


def _row(platform: Platform, key: str, icon: str, about: str, **more: Any) -> FleetEntity:
    name = key.replace("_", " ").title()
    return FleetEntity(platform=platform, key=key, name=name, icon=icon, about=about, **more)


FLEET_ENTITIES: tuple[FleetEntity, ...] = (
    _row(
        Platform.SENSOR,
        "status",
        "mdi:factory",
        "How the bridges are; the attributes hold the newest operation, verdict and flash.",
        value=_status,
        attributes=_status_attributes,
        states=("initializing", "ok", "warn", "degraded", "error"),
    ),
    _row(
        Platform.SENSOR,
        "devices_count",
        "mdi:counter",
        "How many bridges of ours are known, factory and production.",
        value=lambda view: len(view.ours),
        attributes=_count_attributes,
    ),
    _row(
        Platform.BUTTON,
        "discover",
        "mdi:radar",
        "Asks every source again who is there.",
        attributes=_discover_attributes,
        press=Op.DISCOVER,
    ),
    _row(
        Platform.BUTTON,
        "run_gates",
        "mdi:clipboard-check-outline",
        "Judges whether the chosen bridge could be flashed now.",
        attributes=_gates_attributes,
        press=Op.RUN_GATES,
    ),
    _row(
        Platform.BUTTON,
        "flash_firmware",
        "mdi:upload",
        "Installs the release on the chosen bridge, if its gates allow that.",
        attributes=_flash_button_attributes,
        press=Op.FLASH,
    ),
    _row(
        Platform.BUTTON,
        "flash_production",
        "mdi:upload",
        "The same as `flash_firmware`, under its other name.",
        attributes=_flash_button_attributes,
        press=Op.FLASH,
    ),
    _row(
        Platform.BUTTON,
        "restart_device",
        "mdi:restart",
        "Restarts the chosen bridge, unless an image is on trial or a dispatch runs through it.",
        attributes=_restart_attributes,
        press=Op.RESTART,
    ),
    _row(
        Platform.SELECT,
        "target_device",
        "mdi:target",
        "The bridge that the buttons mean.",
        value=lambda view: label_of(view, view.target) or NO_TARGET,
        attributes=_target_attributes,
        options=lambda view: (NO_TARGET, *labels(view.fleet)),
    ),
)
