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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.export.snapshot import GuardSnapshot
from agent.setting_fields import plain
from agent.surface.entities_model import Entity, Value, on_off

NODE = "pv_edge_agent"
ONLINE, OFFLINE = "online", "offline"
PRESS = "PRESS"
ROUND_S = 1.0
"""Shortest time between two rounds of states."""

Settings = Mapping[str, Any]
"""Every setting by its key."""
Answers = Mapping[str, Mapping[str, Any]]
"""What was last answered to a command, by the slot of its entity."""


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
    def commands(self) -> tuple[str, str]:
        """Return the subscriptions that catch every press of a button and every new value."""
        return f"{self.base}/+/press", f"{self.base}/+/set"

    def state(self, entity: Entity) -> str:
        """Return the topic of the state."""
        return f"{self.base}/{entity.slot}/state"

    def attributes(self, entity: Entity) -> str:
        """Return the topic of the attributes."""
        return f"{self.base}/{entity.slot}/attributes"

    def command(self, entity: Entity) -> str:
        """Return the topic on which a button is pressed, or a new value is set."""
        return f"{self.base}/{entity.slot}/{'press' if entity.request else 'set'}"

    def config(self, entity: Entity) -> str:
        """
        Return the topic of the discovery message.

        It carries no part of the id's prefix: with that in it, a changed prefix would leave the old
        retained message behind, and Core would meet one unique id twice.
        """
        return f"{self.discovery}/{entity.platform.value}/{NODE}/{entity.key}/config"


def announcement(entity: Entity, topics: Topics, prefix: str, version: str) -> Message:
    """Return the discovery message of one entity."""
    object_id = f"{prefix}_{entity.key}"
    payload: dict[str, Any] = {
        "name": entity.name,
        "unique_id": unique_id(entity),
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
    optional: dict[str, object] = {
        "unit_of_measurement": entity.unit,
        "device_class": entity.device_class,
        "state_class": entity.state_class,
        "entity_category": entity.category,
        "options": list(entity.options),
        "state_topic": topics.state(entity) if _has_state(entity) else None,
        "json_attributes_topic": topics.attributes(entity) if _has_attributes(entity) else None,
        "command_topic": topics.command(entity) if entity.commands else None,
        "payload_press": PRESS if entity.request else None,
    }
    if entity.span:
        span = entity.span
        optional |= {"min": span.minimum, "max": span.maximum, "step": span.step, "mode": span.mode}
    payload.update({key: value for key, value in optional.items() if value not in (None, [])})
    return Message(topics.config(entity), json.dumps(payload))


def farewell(entity: Entity, topics: Topics) -> Message:
    """Return the message that takes the entity out of Core's registry."""
    return Message(topics.config(entity), "")


def unique_id(entity: Entity) -> str:
    """Return what Core knows the entity by, whatever it is called."""
    return f"{NODE}_{entity.slot}"


def _has_state(entity: Entity) -> bool:
    return entity.value is not None or entity.setting is not None


def _has_attributes(entity: Entity) -> bool:
    return entity.attributes is not None or entity.commands


def state_text(
    entity: Entity, snapshot: GuardSnapshot, settings: Settings | None = None
) -> str | None:
    """Return the state as Core wants it; `None` for an entity without a state."""
    value: Value
    if entity.setting is not None:
        value = _word((settings or {}).get(entity.setting))
    elif entity.value is not None:
        value = entity.value(snapshot)
    else:
        return None
    return "None" if value is None else str(value)


def _word(value: Any) -> str | None:
    return on_off(value) if isinstance(value, bool) else None if value is None else plain(value)


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
        self._entities = [e for e in entities if _has_state(e) or _has_attributes(e)]
        self._topics = topics
        self._said: dict[str, _Said] = {}
        self._told: tuple[object, ...] | None = None

    def forget(self) -> None:
        """Forget everything: the next round tells it all again."""
        self._said.clear()
        self._told = None

    def retell(self, entity: Entity) -> None:
        """Have this entity told again in the next round, changed or not."""
        self._said.pop(entity.slot, None)

    def urgent(self, snapshot: GuardSnapshot) -> bool:
        """Tell whether something changed that nobody should wait for."""
        return self._told != _summary(snapshot)

    def round(
        self,
        snapshot: GuardSnapshot,
        now_s: float,
        settings: Settings | None = None,
        answers: Answers | None = None,
    ) -> list[Message]:
        """Return what has to be said now, and take it as said."""
        urgent = self.urgent(snapshot)
        self._told = _summary(snapshot)
        messages = []
        for entity in self._entities:
            said = self._said.get(entity.slot)
            if said and not urgent and now_s - said.at_s < entity.every_s:
                continue
            said_now = self._texts(entity, snapshot, settings, answers or {})
            changed = [
                message
                for index, message in enumerate(said_now)
                if said is None or said.texts[index] != message.payload
            ]
            if changed:
                texts = tuple(message.payload for message in said_now)
                self._said[entity.slot] = _Said(texts, now_s)
                messages += changed
        return messages

    def _texts(
        self,
        entity: Entity,
        snapshot: GuardSnapshot,
        settings: Settings | None,
        answers: Answers,
    ) -> list[Message]:
        messages = []
        if _has_attributes(entity):
            feed = entity.attributes
            attributes = feed(snapshot) if feed else answers.get(entity.slot, {})
            messages.append(Message(self._topics.attributes(entity), json.dumps(dict(attributes))))
        text = state_text(entity, snapshot, settings)
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
