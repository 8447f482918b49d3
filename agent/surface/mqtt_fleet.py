"""
The bridges over MQTT: their rows go out beside the guard's, and commands about them come in.

They share the guard's connection and its last will. What changes is told at most once a second;
a figure that always moves, such as an uptime, is looked at more seldom. As everywhere a retained
command is ignored, and an answer stands where the command was given.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agent.fleet.identity import Mac
from agent.surface.desk import FleetDesk
from agent.surface.discovery import PRESS, ROUND_S, Message, Topics
from agent.surface.discovery_fleet import INSTALL, FleetBook, FleetTopics
from agent.surface.entities_model import LONGEST_STATE
from agent.surface.entities_release import FLEET_ROWS
from agent.surface.mqtt_commands import BY

FIGURES_S = 15.0
"""How often values are looked at that nobody announces."""
_LOGGER = logging.getLogger(__name__)
Publish = Callable[[Message], None]


class FleetTold:
    """Tells of the bridges while there is a connection; outlives each."""

    def __init__(self, desk: FleetDesk, topics: Topics) -> None:
        self._desk = desk
        self._topics = FleetTopics(topics)
        self._rows = {
            self._topics.of_fleet(row, "press" if row.press else "set"): row
            for row in FLEET_ROWS
            if row.press or row.options
        }
        self._book = FleetBook(self._topics)
        self._publish: Publish | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._round: asyncio.TimerHandle | None = None
        self._round_at_s = 0.0
        self._last_s = float("-inf")

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Return the topics that are to be heard."""
        return self._topics.subscriptions

    def begin(self, publish: Publish) -> None:
        """Tell everything, and from now on what changes."""
        self.end()
        self._publish = publish
        self._book.forget()
        self._tell()
        self._unsubscribe = self._desk.subscribe(self._wake)

    def end(self) -> None:
        """Tell nothing any more: the connection is gone."""
        self._unsubscribe()
        self._unsubscribe = lambda: None
        self._publish = None
        if self._round:
            self._round.cancel()
            self._round = None

    def take(self, topic: str, payload: bytes, *, retained: bool) -> bool:
        """Take one message; False if its topic is none of ours."""
        mac = self._topics.kept(topic)
        if mac is not None:
            if retained and payload:
                self._book.keeps(mac)
            return True
        mac = self._topics.installs(topic)
        if mac is not None:
            self._install(mac, payload, retained=retained)
            return True
        row = self._rows.get(topic)
        if row is None:
            return False
        if not payload:
            return True  # somebody clears a retained command
        if retained:
            _LOGGER.warning("MQTT: ignored a retained command to %s; clear that topic", row.key)
        elif row.press is None:
            self._desk.choose(payload.decode("utf-8", "replace")[:LONGEST_STATE], BY)
            self._book.retell(row)  # Core shows what is in force, also after a refusal
        elif payload == PRESS.encode():
            asked = self._desk.press(row.press, BY)
            _LOGGER.info("MQTT: %s: %s", row.key, asked.error or asked.state.value)
        else:
            _LOGGER.warning("MQTT: ignored a press of %s with an unknown payload", row.key)
        self._wake()
        return True

    def _install(self, mac: Mac, payload: bytes, *, retained: bool) -> None:
        if retained or payload != INSTALL.encode():
            if payload:
                _LOGGER.warning("MQTT: ignored a retained or unknown command to install; clear it")
            return
        asked = self._desk.install(mac, BY)
        _LOGGER.info("MQTT: update of %s: %s", mac, asked.error or asked.state.value)

    def _wake(self) -> None:
        self._due(self._last_s + ROUND_S)

    def _due(self, at_s: float) -> None:
        if self._publish is None or (self._round is not None and self._round_at_s <= at_s):
            return
        if self._round is not None:
            self._round.cancel()
        self._round_at_s = at_s
        self._round = asyncio.get_running_loop().call_at(at_s, self._tell)

    def _tell(self) -> None:
        if self._round:
            self._round.cancel()
            self._round = None
        if self._publish is None:
            return
        self._last_s = asyncio.get_running_loop().time()
        for message in self._book.round(self._desk.view()):
            self._publish(message)
        self._due(self._last_s + (ROUND_S if self._book.again else FIGURES_S))
