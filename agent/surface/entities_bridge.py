"""
A device in Home Assistant for each bridge: its rows, the same for all.

Each belongs to the full MAC: a bridge that is renamed keeps its entities, and two of one name have
each their own. What a bridge does not show is unknown, never zero.

Source: pvautonomy.md, sections 2 and 6 (D-08).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from agent.fleet import gates
from agent.fleet.evidence import OF_PROJECT
from agent.fleet.identity import Mac, label, written
from agent.fleet.record import BridgeRecord
from agent.surface.entities_model import Attributes, Platform, Value, on_off, rounded, short
from agent.surface.entities_release import offer_attributes
from agent.surface.fleet_view import FleetView, online
from agent.surface.release_view import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeEntity:
    """One entity of each bridge, on the bridge's own device."""

    platform: Platform
    key: str
    name: str
    about: str
    value: Callable[[FleetView, BridgeRecord], Value]
    attributes: Callable[[FleetView, BridgeRecord], Attributes] | None = None
    unit: str | None = None
    device_class: str | None = None
    category: str | None = "diagnostic"
    installs: bool = False
    """Home Assistant may install by it, where a person has allowed that."""

    def unique_id(self, mac: Mac) -> str:
        """Return what Core knows it by: the full MAC, never a name."""
        return f"pv_edge_agent_bridge_{mac}_{self.key}"

    def entity_id(self, mac: Mac) -> str:
        """Return its id in Home Assistant: of the MAC too, because names repeat and change."""
        return f"{self.platform.value}.pv_edge_bridge_{mac}_{self.key}"


def _contact_attributes(view: FleetView, record: BridgeRecord) -> Attributes:
    contact = record.contact
    told = record.told
    return {
        "mac": written(record.mac),
        "name": told.name,
        "address": told.addresses[0] if told.addresses else None,
        "state": contact.state.value if contact else None,
        "detail": contact.detail if contact else None,
        "kind": view.projects.kind(told.project_name).value,
        "findings": [it.text for it in view.remarkable.get(record.mac, ())],
    }


def _firmware_attributes(view: FleetView, record: BridgeRecord) -> Attributes:
    told = record.told
    return {
        "project": told.project_name,
        "esphome_version": told.esphome_version,
        "built": told.built,
        "board": told.board,
        **offer_attributes(view, record),
    }


def _shown(view: FleetView, record: BridgeRecord, entity: str | None) -> float | None:
    found = view.values.get(record.mac, {}).get(entity or "")
    value = found.value if found is not None else None
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return rounded(float(value), 0) if plain and value is not None else None


def _signal(view: FleetView, record: BridgeRecord) -> Value:
    shows = OF_PROJECT.get(record.told.project_name or "")
    return _shown(view, record, shows.signal if shows else None)


def _update(view: FleetView, record: BridgeRecord) -> Value:
    """Return the state of Core's update entity, in the JSON that its MQTT platform reads."""
    offer, flash = view.offers.get(record.mac), view.flashes.bridges.get(record.mac)
    release = offer.release if offer else None
    installed = record.told.project_version or None
    newer = offer is not None and offer.standing in {Standing.UPDATE, Standing.CHANGE}
    told: dict[str, object] = {
        "installed_version": installed,
        # Core offers whatever differs, so that nothing older is shown as something new.
        "latest_version": release.version if release and newer else installed,
        "title": label(release.project) if release else None,
        "release_summary": short(release.notes) if release else None,
        "release_url": release.notes_url if release else None,
    }
    told = {key: value for key, value in told.items() if value is not None}
    if flash is not None:
        # Core keeps what is left out: an update that has ended has to say so.
        told["in_progress"] = flash.running
        told["update_percentage"] = flash.percent if flash.running else None
    if flash is not None and flash.running:
        told["latest_version"] = flash.version
    return json.dumps(told)


def _update_attributes(view: FleetView, record: BridgeRecord) -> Attributes:
    flash = view.flashes.bridges.get(record.mac)
    return {
        "flash_stage": flash.stage if flash else None,
        "flash_version": flash.version if flash else None,
        "flash_progress": flash.percent if flash else None,
        "flash_result": flash.result if flash else None,
        "flash_text": flash.text if flash else None,
        "flash_next_step": flash.next_step if flash else None,
    }


def _verdict(view: FleetView, record: BridgeRecord) -> Value:
    told = view.verdicts.get(record.mac)
    return told.overall.value if told else "unknown"


BRIDGE_ENTITIES: tuple[BridgeEntity, ...] = (
    BridgeEntity(
        platform=Platform.BINARY_SENSOR,
        key="connectivity",
        name="Connectivity",
        about="Whether we are connected to it; the attributes say what else is remarkable.",
        value=lambda _view, record: on_off(online(record)),
        attributes=_contact_attributes,
        device_class="connectivity",
    ),
    BridgeEntity(
        platform=Platform.SENSOR,
        key="firmware",
        name="Firmware",
        about="The version that it runs, as it says itself; the attributes say what it is offered.",
        value=lambda _view, record: short(record.told.project_version or "unknown"),
        attributes=_firmware_attributes,
    ),
    BridgeEntity(
        platform=Platform.UPDATE,
        key="update",
        name="Update",
        about="What it runs and is offered, and how far an update is; the attributes hold its "
        "stage and verdict. Installs only where `flashing.mqtt_install` allows that.",
        value=_update,
        attributes=_update_attributes,
        device_class="firmware",
        category="config",
        installs=True,
    ),
    BridgeEntity(
        platform=Platform.SENSOR,
        key="signal",
        name="Signal",
        about="Strength of its Wi-Fi.",
        value=_signal,
        unit="dBm",
        device_class="signal_strength",
    ),
    BridgeEntity(
        platform=Platform.SENSOR,
        key="uptime",
        name="Uptime",
        about="Since its last boot, as it says itself.",
        value=lambda view, record: _shown(view, record, "sensor.uptime"),
        unit="s",
        device_class="duration",
    ),
    BridgeEntity(
        platform=Platform.SENSOR,
        key="last_verdict",
        name="Last verdict",
        about="What its gates said last; the attributes hold each of them.",
        value=_verdict,
        attributes=lambda view, record: gates.attributes(view.verdicts.get(record.mac)),
    ),
)
