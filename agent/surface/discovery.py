"""
What Home Assistant is told about the entities, and what was last said about their states.

Core registers an entity's id once. To get the documented id from every version since 2024.1, one
retained topic per entity names it twice: `object_id` for Core before 2025.10, `default_entity_id`
for the later ones; each ignores the other's word without a warning.

All of this is text in, text out; `mqtt.py` carries it.

Source: ha_e2e.md section 3 (table of ids), ha_platform.md section 7.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.export.snapshot import GuardSnapshot
from agent.surface.entities import Entity

NODE = "pv_edge_agent"
ONLINE, OFFLINE = "online", "offline"
PRESS = "PRESS"
ROUND_S = 1.0
"""Shortest time between two rounds of states."""


@dataclass(frozen=True, slots=True)
class Message:
    """One topic and its text."""

    topic: str
    payload: str


@dataclass(frozen=True, slots=True)
class Topics:
    """Where everything is said; `base` belongs to this agent alone."""

    base: str = NODE
    discovery: str = "homeassistant"
    """Core's discovery prefix; its birth message is `<prefix>/status`."""

    @property
    def status(self) -> str:
        """Return the topic of our last will."""
        return f"{self.base}/status"

    @property
    def birth(self) -> str:
        """Return the topic on which Core says that it has started."""
        return f"{self.discovery}/status"

    @property
    def presses(self) -> str:
        """Return the subscription that catches every press of a button."""
        return f"{self.base}/+/press"

    def state(self, entity: Entity) -> str:
        """Return the topic of the state."""
        return f"{self.base}/{entity.key}/state"

    def attributes(self, entity: Entity) -> str:
        """Return the topic of the attributes."""
        return f"{self.base}/{entity.key}/attributes"

    def press(self, entity: Entity) -> str:
        """Return the topic on which a button is pressed."""
        return f"{self.base}/{entity.key}/press"


def announcement(entity: Entity, topics: Topics, prefix: str, version: str) -> Message:
    """
    Return the discovery message of one entity.

    The topic carries the bare key: with the id's prefix in it, a changed prefix would leave the old
    retained message behind, and Core would meet one unique id twice.
    """
    object_id = f"{prefix}_{entity.key}"
    payload: dict[str, Any] = {
        "name": entity.name,
        "unique_id": f"{NODE}_{entity.key}",
        "object_id": object_id,
        "default_entity_id": f"{entity.platform.value}.{object_id}",
        "icon": entity.icon,
        "availability": [{"topic": topics.status}],
        "device": {
            "identifiers": [NODE],
            # `export_monitor` gives "Export Monitor": an id made of names comes out the same.
            "name": prefix.replace("_", " ").title(),
            "manufacturer": "PV Edge Agent",
            "model": "Export guard",
            "sw_version": version,
        },
        "origin": {"name": "PV Edge Agent", "sw_version": version},
    }
    optional = {
        "unit_of_measurement": entity.unit,
        "device_class": entity.device_class,
        "state_class": entity.state_class,
        "entity_category": entity.category,
        "options": list(entity.options),
        "state_topic": topics.state(entity) if entity.value else None,
        "json_attributes_topic": topics.attributes(entity) if entity.attributes else None,
        "command_topic": topics.press(entity) if entity.request else None,
        "payload_press": PRESS if entity.request else None,
    }
    payload.update({key: value for key, value in optional.items() if value})
    topic = f"{topics.discovery}/{entity.platform.value}/{NODE}/{entity.key}/config"
    return Message(topic, json.dumps(payload))


def state_text(entity: Entity, snapshot: GuardSnapshot) -> str | None:
    """Return the state as Core wants it; `None` for an entity without a state."""
    if entity.value is None:
        return None
    value = entity.value(snapshot)
    return "None" if value is None else str(value)


@dataclass(slots=True)
class _Said:
    texts: tuple[str, ...]
    at_s: float


class StateBook:
    """
    Remembers what the broker was told, so that only changes are told again.

    An entity held back by its `every_s` speaks in a later round; the guard makes a snapshot at
    every tick, so there always is one.
    """

    def __init__(self, entities: Sequence[Entity], topics: Topics) -> None:
        self._entities = [entity for entity in entities if entity.value]
        self._topics = topics
        self._said: dict[str, _Said] = {}
        self._told: tuple[object, ...] | None = None

    def forget(self) -> None:
        """Forget everything: the next round tells it all again."""
        self._said.clear()
        self._told = None

    def urgent(self, snapshot: GuardSnapshot) -> bool:
        """Tell whether something changed that nobody should wait for."""
        return self._told != _summary(snapshot)

    def round(self, snapshot: GuardSnapshot, now_s: float) -> list[Message]:
        """Return what has to be said now, and take it as said."""
        urgent = self.urgent(snapshot)
        self._told = _summary(snapshot)
        messages = []
        for entity in self._entities:
            said = self._said.get(entity.key)
            if said and not urgent and now_s - said.at_s < entity.every_s:
                continue
            said_now = self._texts(entity, snapshot)
            changed = [
                message
                for index, message in enumerate(said_now)
                if said is None or said.texts[index] != message.payload
            ]
            if changed:
                texts = tuple(message.payload for message in said_now)
                self._said[entity.key] = _Said(texts, now_s)
                messages += changed
        return messages

    def _texts(self, entity: Entity, snapshot: GuardSnapshot) -> list[Message]:
        messages = []
        if entity.attributes:
            attributes = json.dumps(dict(entity.attributes(snapshot)))
            messages.append(Message(self._topics.attributes(entity), attributes))
        text = state_text(entity, snapshot)
        if text is not None:
            messages.append(Message(self._topics.state(entity), text))
        return messages


def _summary(snapshot: GuardSnapshot) -> tuple[object, ...]:
    return (
        snapshot.phase,
        snapshot.health,
        snapshot.error_state,
        snapshot.breaker.is_open,
        snapshot.latched,
        snapshot.mode,
    )
