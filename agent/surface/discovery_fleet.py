"""
What Home Assistant is told about the bridges: the fleet as one device, and each bridge as its own.

A bridge's device belongs to its MAC and has nothing in common with the one that the ESPHome
integration may have of it. One that is removed is taken out of Home Assistant with everything
that the broker keeps of it, also when that happened while nobody was connected.

All of this is text in, text out; `mqtt_fleet.py` carries it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from agent.fleet.identity import Mac, mac_of
from agent.fleet.record import BridgeRecord
from agent.surface.discovery import NODE, PRESS, Message, Topics
from agent.surface.entities_bridge import BRIDGE_ENTITIES, BridgeEntity
from agent.surface.entities_fleet import FleetEntity
from agent.surface.entities_model import Attributes, Platform, Value
from agent.surface.entities_release import FLEET_ROWS
from agent.surface.fleet_view import FleetView

FLEET_DEVICE = f"{NODE}_fleet"
BRIDGES_A_ROUND = 25
"""Brokers drop what they must queue beyond a thousand messages; a bridge's first words are 16."""
INSTALL = "INSTALL"
_UPDATE = "update"
_ALIVE = "connectivity"
"""The row whose state every bridge has: it tells of whom the broker still knows."""


class FleetTopics:
    """Where everything about the bridges is said."""

    def __init__(self, topics: Topics) -> None:
        self._base = topics.base
        self._discovery = topics.discovery
        self.status = topics.status

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Return what catches every command, and what the broker keeps of bridges."""
        return (
            f"{self._base}/fleet/+/press",
            f"{self._base}/fleet/+/set",
            f"{self._base}/bridge/+/{_ALIVE}/state",
            f"{self._base}/bridge/+/{_UPDATE}/install",
        )

    def of_fleet(self, row: FleetEntity, what: str) -> str:
        """Return a topic of one row: `state`, `attributes`, `press` or `set`."""
        return f"{self._base}/fleet/{row.key}/{what}"

    def of_bridge(self, row: BridgeEntity, mac: Mac, what: str) -> str:
        """Return a topic of one row of one bridge."""
        return f"{self._base}/bridge/{mac}/{row.key}/{what}"

    def fleet_config(self, row: FleetEntity) -> str:
        """Return the topic of a discovery message."""
        return f"{self._discovery}/{row.platform.value}/{NODE}/fleet_{row.key}/config"

    def bridge_config(self, row: BridgeEntity, mac: Mac) -> str:
        """Return the topic of a discovery message of one bridge."""
        return f"{self._discovery}/{row.platform.value}/{NODE}/bridge_{mac}_{row.key}/config"

    def kept(self, topic: str) -> Mac | None:
        """Return the bridge whose last state this is the topic of."""
        parts = topic.split("/")
        state = parts[-4:-3] == ["bridge"] and parts[-2:] == [_ALIVE, "state"]
        return mac_of(parts[-3]) if state else None

    def installs(self, topic: str) -> Mac | None:
        """Return the bridge on which this is the topic of an install."""
        parts = topic.split("/")
        wish = parts[-4:-3] == ["bridge"] and parts[-2:] == [_UPDATE, "install"]
        return mac_of(parts[-3]) if wish else None


class FleetBook:
    """Remembers what the broker was told, so that only changes are told again."""

    def __init__(self, topics: FleetTopics) -> None:
        self._topics = topics
        self._said: dict[str, str] = {}
        self._prints: dict[Mac, tuple[Any, ...]] = {}
        """What the rows of a bridge were made of; the same makes the same again."""
        self._kept: set[Mac] = set()
        """Bridges of whom the broker keeps something."""
        self.again = False
        """Another round is due though nothing changes: not all was said, or Core needs time."""

    def forget(self) -> None:
        """Forget what was told: the next round tells it all again."""
        self._said.clear()
        self._prints.clear()

    def keeps(self, mac: Mac) -> None:
        """Take note that the broker keeps something of a bridge."""
        self._kept.add(mac)

    def retell(self, row: FleetEntity) -> None:
        """Have a row's state told again, changed or not."""
        self._said.pop(self._topics.of_fleet(row, "state"), None)

    def round(self, view: FleetView) -> list[Message]:
        """Return what has to be said now, and take it as said."""
        self.again = False
        told = list(self._changed(self._fleet(view)))
        for row in FLEET_ROWS:
            renewed = any(it.topic == self._topics.fleet_config(row) for it in told)
            if row.options and renewed:
                # Core takes new options in its own time, and refuses a state that is none of them.
                self.retell(row)
                self.again = True
        told += self._bridges(view)
        if view.complete:
            for mac in self._kept - view.fleet.records.keys():
                told += self._farewell(mac)
        return told

    def _bridges(self, view: FleetView) -> Iterator[Message]:
        changed = 0
        for mac, record in view.fleet.records.items():
            prints = _prints(view, record)
            if self._prints.get(mac) == prints:
                continue
            if changed == BRIDGES_A_ROUND:
                self.again = True
                return
            changed += 1
            self._prints[mac] = prints
            self._kept.add(mac)
            yield from self._changed(self._bridge(view, record))

    def _changed(self, messages: Iterator[Message]) -> Iterator[Message]:
        for it in messages:
            if self._said.get(it.topic) != it.payload:
                self._said[it.topic] = it.payload
                yield it

    def _fleet(self, view: FleetView) -> Iterator[Message]:
        for row in FLEET_ROWS:
            yield fleet_announcement(row, view, self._topics)
            if row.attributes:
                yield _attributes(self._topics.of_fleet(row, "attributes"), row.attributes(view))
            if row.value:
                yield Message(self._topics.of_fleet(row, "state"), _word(row.value(view)))

    def _bridge(self, view: FleetView, record: BridgeRecord) -> Iterator[Message]:
        for row in BRIDGE_ENTITIES:
            yield bridge_announcement(row, record, view, self._topics)
            if row.attributes:
                at = self._topics.of_bridge(row, record.mac, "attributes")
                yield _attributes(at, row.attributes(view, record))
            state = self._topics.of_bridge(row, record.mac, "state")
            yield Message(state, _word(row.value(view, record)))

    def _farewell(self, mac: Mac) -> Iterator[Message]:
        """Yield what takes a bridge out of Home Assistant and off the broker."""
        self._kept.discard(mac)
        self._prints.pop(mac, None)
        for row in BRIDGE_ENTITIES:
            topics = [
                self._topics.bridge_config(row, mac),
                self._topics.of_bridge(row, mac, "attributes"),
                self._topics.of_bridge(row, mac, "state"),
            ]
            for topic in topics:
                self._said.pop(topic, None)
                yield Message(topic, "")


def fleet_announcement(row: FleetEntity, view: FleetView, topics: FleetTopics) -> Message:
    """Return the discovery message of one row of the fleet."""
    device = {
        "identifiers": [FLEET_DEVICE],
        "name": "PVAutonomy Ops",
        "manufacturer": "PV Edge Agent",
        "model": "Bridges of the house",
        "sw_version": view.version,
    }
    payload = _common(row.name, row.unique_id, row.entity_id, device, view.version, topics)
    options = row.options(view) if row.options else row.states
    payload |= {
        "icon": row.icon,
        "state_topic": topics.of_fleet(row, "state") if row.value else None,
        "json_attributes_topic": topics.of_fleet(row, "attributes") if row.attributes else None,
        "options": list(options) or None,
        "device_class": "enum" if row.states else None,
    }
    if row.press:
        payload |= {"command_topic": topics.of_fleet(row, "press"), "payload_press": PRESS}
    elif row.options:
        payload["command_topic"] = topics.of_fleet(row, "set")
    return _config(topics.fleet_config(row), payload)


def bridge_announcement(
    row: BridgeEntity, record: BridgeRecord, view: FleetView, topics: FleetTopics
) -> Message:
    """Return the discovery message of one row of one bridge."""
    mac, told = record.mac, record.told
    # A field that a Core does not know, such as serial_number in 2024.1, costs the whole entity.
    # No connection by MAC: Core would make one device of it and that of the ESPHome integration.
    device = {
        "identifiers": [f"{NODE}_bridge_{mac}"],
        "name": record.title,
        "manufacturer": "ESPHome",
        "model": told.project_name or told.board or "ESPHome device",
        "sw_version": told.project_version or told.esphome_version,
        "via_device": FLEET_DEVICE,
    }
    device = {key: value for key, value in device.items() if value}
    unique, entity_id = row.unique_id(mac), row.entity_id(mac)
    payload = _common(row.name, unique, entity_id, device, view.version, topics)
    payload |= {
        "state_topic": topics.of_bridge(row, mac, "state"),
        "json_attributes_topic": topics.of_bridge(row, mac, "attributes")
        if row.attributes
        else None,
        "unit_of_measurement": row.unit,
        "device_class": row.device_class,
        "entity_category": row.category,
    }
    if row.installs and view.flashes.mqtt_install:
        payload |= {
            "command_topic": topics.of_bridge(row, mac, "install"),
            "payload_install": INSTALL,
        }
    return _config(topics.bridge_config(row, mac), payload)


def _common(
    name: str,
    unique_id: str,
    entity_id: str,
    device: dict[str, Any],
    version: str,
    topics: FleetTopics,
) -> dict[str, Any]:
    return {
        "name": name,
        "unique_id": unique_id,
        "object_id": entity_id.partition(".")[2],
        "default_entity_id": entity_id,
        "availability": [{"topic": topics.status}],
        "device": device,
        "origin": {"name": "PV Edge Agent", "sw_version": version},
    }


def _config(topic: str, payload: dict[str, Any]) -> Message:
    return Message(
        topic, json.dumps({key: value for key, value in payload.items() if value is not None})
    )


def _attributes(topic: str, attributes: Attributes) -> Message:
    return Message(topic, json.dumps(dict(attributes)))


def _word(value: Value) -> str:
    return "None" if value is None else str(value)


def _prints(view: FleetView, record: BridgeRecord) -> tuple[Any, ...]:
    return (
        record,
        view.verdicts.get(record.mac),
        view.remarkable.get(record.mac),
        view.offers.get(record.mac),
        view.flashes.bridges.get(record.mac),
        view.flashes.mqtt_install,
        *(row.value(view, record) for row in BRIDGE_ENTITIES if row.platform is Platform.SENSOR),
    )
