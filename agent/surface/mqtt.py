"""
Tells Home Assistant about the guard over MQTT, and takes what people set and press there.

The broker is a guest: the agent guards the same without one. So `MqttPublisher.run` never ends and
never raises for a broker that is away, mute, or does not want us; it says so in `status` and
tries again, each time with freshly asked parameters, because the Supervisor may have moved the
broker or changed its password meanwhile.

Availability is the last will and nothing else: a broker that loses us says `offline` for us.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import sleep
from collections.abc import Awaitable, Callable, Sequence

from agent.surface.desk import FleetDesk, GuardDesk, SettingsDesk
from agent.surface.entities import ENTITIES, Entity
from agent.surface.mqtt_commands import Audit, Commands
from agent.surface.mqtt_fleet import FleetTold
from agent.surface.mqtt_session import (
    BrokerAddress,
    MqttNames,
    MqttState,
    MqttStatus,
    Session,
    SessionError,
)

__all__ = ["BrokerAddress", "MqttNames", "MqttPublisher", "MqttState", "MqttStatus"]

_LOGGER = logging.getLogger(__name__)

BACKOFF_FIRST_S, BACKOFF_LONGEST_S = 1.0, 60.0
SETTLED_S = 30.0
"""A connection that held this long was a good one: the next attempt comes soon again."""


class MqttPublisher:
    """Publishes the entity table, and hands commands to guard and settings."""

    def __init__(
        self,
        desk: GuardDesk,
        address: Callable[[], Awaitable[BrokerAddress | None]],
        names: MqttNames | None = None,
        *,
        settings: SettingsDesk,
        audit: Audit | None = None,
        entities: Sequence[Entity] = ENTITIES,
        fleet: FleetDesk | None = None,
    ) -> None:
        """
        Prepare; nothing is sent before `run`.

        Args:
            desk: what is shown, and who answers presses.
            address: asked before each attempt; `None` when no broker is configured. May raise
                `OSError` or `TimeoutError` when it cannot find out.
            names: topics and version.
            settings: what numbers and switches show and change; also the prefix of all ids.
            audit: told of every change of a setting, also of a refused one.
            entities: what is published.
            fleet: the bridges, which are published beside it.
        """
        self._desk = desk
        self._address = address
        self._names = names or MqttNames()
        self._entities = entities
        self._state = MqttState(MqttStatus.STARTING)
        self._commands = Commands(desk, settings, entities, self._names.topics, audit)
        self._fleet = FleetTold(fleet, self._names.topics) if fleet else None
        self._prefix: str | None = None
        """The one that was announced last, as far as this process knows."""

    @property
    def state(self) -> MqttState:
        """Return how it stands with the broker."""
        return self._state

    async def run(self) -> None:
        """Stay connected until cancelled; then say `offline` and leave."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._commands.run(), name="mqtt-commands")
            await self._stay_connected()

    async def _stay_connected(self) -> None:
        clock = asyncio.get_running_loop().time
        backoff_s = BACKOFF_FIRST_S
        try:
            while True:
                began_s = clock()
                try:
                    await self._attempt()
                except SessionError as ended:
                    self._show(ended.state)
                if clock() - began_s > SETTLED_S:
                    backoff_s = BACKOFF_FIRST_S
                await sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_LONGEST_S)
        finally:
            self._show(MqttState(MqttStatus.STOPPED))

    async def _attempt(self) -> None:
        try:
            address = await self._address()
        except OSError as error:  # TimeoutError is one
            raise SessionError(
                MqttState(
                    MqttStatus.UNREACHABLE,
                    f"Where the MQTT broker is could not be found out ({error}); asking again.",
                )
            ) from error
        if address is None:
            raise SessionError(
                MqttState(
                    MqttStatus.NOT_CONFIGURED,
                    "No MQTT broker: install the Mosquitto app or set mqtt_host. "
                    "The guard works without; Home Assistant shows no entities of it.",
                )
            )
        session = Session(
            self._desk,
            address,
            self._names,
            self._entities,
            self._commands,
            self._prefix,
            self._fleet,
        )
        try:
            await session.open()
            self._show(MqttState(MqttStatus.CONNECTED, f"{address.host}:{address.port}"))
            raise SessionError(await session.ended())
        finally:
            self._prefix = session.prefix
            await session.close()

    def _show(self, state: MqttState) -> None:
        if state != self._state:
            level = logging.INFO if state.status is MqttStatus.CONNECTED else logging.WARNING
            if state.status is MqttStatus.STOPPED:
                level = logging.DEBUG
            _LOGGER.log(level, "MQTT %s: %s", state.status.value, state.text)
        self._state = state
