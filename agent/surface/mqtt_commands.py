"""
What Home Assistant may tell the agent over MQTT: presses of buttons, new values of settings.

A command is for the moment in which it is given. A retained one was meant for some earlier moment
and would come again at every reconnection, so it is ignored. What is taken goes the way of
everybody else: wishes to the guard, values to the settings, which check them; nothing is decided
here. The answer stands in the attributes of the entity that was used, so that a refusal is seen
where it happened, and its state is told again whether it changed or not.

Values of one entity that come faster than they can be stored replace each other: the newest wins.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.export.requests import Request
from agent.settings import SettingError
from agent.surface.desk import GuardDesk, SettingsDesk
from agent.surface.discovery import PRESS, Answers, Topics
from agent.surface.entities_model import OFF, ON, Entity, Platform

BY = "mqtt"
LONGEST_VALUE = 64
_SWITCHED = {ON: True, OFF: False}
_LOGGER = logging.getLogger(__name__)

Tell = Callable[[Entity, bool], None]
"""Takes the entity to be told again, and whether its state may have changed."""
Audit = Callable[[str, str, str], None]
"""Takes who, what and the outcome, as the page's own audit does."""


class Commands:
    """Takes commands and remembers the answers; outlives every connection."""

    def __init__(
        self,
        desk: GuardDesk,
        settings: SettingsDesk,
        entities: Sequence[Entity],
        topics: Topics,
        audit: Audit | None = None,
    ) -> None:
        self._audit = audit
        self._desk = desk
        self._settings = settings
        self._by_topic = {topics.command(entity): entity for entity in entities if entity.commands}
        self._answers: dict[str, Mapping[str, Any]] = {}
        self._wanted: dict[str, tuple[Entity, bytes]] = {}
        self._came = asyncio.Event()
        self.tell: Tell = _to_nobody

    @property
    def answers(self) -> Answers:
        """Return the last answer to each entity, by its slot, ready to be its attributes."""
        return self._answers

    def settings(self) -> Mapping[str, Any]:
        """Return the settings in force."""
        return self._settings.current()

    def take(self, topic: str, payload: bytes, *, retained: bool) -> bool:
        """Take one message; False if its topic is none of ours."""
        entity = self._by_topic.get(topic)
        if entity is None:
            return False
        if not payload:
            pass  # somebody clears a retained command
        elif retained:
            _LOGGER.warning("MQTT: ignored a retained command to %s; clear that topic", entity.slot)
        elif entity.request is not None:
            self._press(entity, payload)
        else:
            self._wanted[entity.slot] = (entity, payload)
            self._came.set()
        return True

    async def run(self) -> None:
        """Carry out new values, one after the other, until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._wanted:
                entity, payload = self._wanted.pop(next(iter(self._wanted)))
                await self._change(entity, payload)

    def _press(self, entity: Entity, payload: bytes) -> None:
        if entity.request is None or payload != PRESS.encode():
            _LOGGER.warning("MQTT: ignored a press of %s with an unknown payload", entity.slot)
            return
        answer = self._desk.request(Request(entity.request, by=BY))
        _LOGGER.info("MQTT: %s: %s", entity.request.value, answer.text)
        self._answered(entity, answer.accepted, answer.code, answer.text)
        self.tell(entity, False)

    async def _change(self, entity: Entity, payload: bytes) -> None:
        key = entity.setting or ""
        given = payload[:LONGEST_VALUE].decode("utf-8", "replace")
        try:
            await self._settings.update({key: _value(entity, given)}, by=BY)
        except SettingError as error:
            _LOGGER.warning("MQTT: %s: refused: %s", entity.slot, error)
            self._answered(entity, False, "refused", str(error))
            outcome = f"invalid: {error}"
        else:
            text = f"{key} is {self._settings.current().get(key)}."
            self._answered(entity, True, "changed", text)
            outcome = "changed"
        if self._audit:
            self._audit(BY, f"settings {json.dumps({key: given})}", outcome)
        self.tell(entity, True)

    def _answered(self, entity: Entity, accepted: bool, code: str, text: str) -> None:
        self._answers[entity.slot] = {
            "last_answer": text,
            "last_accepted": accepted,
            "last_code": code,
            "last_at": self._desk.snapshot().at.isoformat(),
        }


def _value(entity: Entity, text: str) -> str | bool:
    """Return what the settings may check; raises `SettingError` for what cannot be a value."""
    if entity.platform is not Platform.SWITCH:
        return text
    if text not in _SWITCHED:
        raise SettingError(
            entity.setting or "",
            f"{entity.setting}: {text!a} is not {ON} or {OFF}; for example {OFF}",
        )
    return _SWITCHED[text]


def _to_nobody(_entity: Entity, _changed: bool) -> None:
    """Stands in while there is no connection; the next one tells everything."""
