"""An agent's surface on a broker, and somebody who watches what it says there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.surface.discovery import Topics
from agent.surface.mqtt import BrokerAddress, MqttNames, MqttPublisher, MqttStatus
from tests.peers.mosquitto import Broker
from tests.surface.desks import HandFleet, HandGuard, HandSettings

PATIENCE_S = 20


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait for a condition that events of other tasks bring about."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - set by a thread of paho or a real broker
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"did not come: {what or condition}") from None


class Watcher:
    """Another client of the broker: keeps the last text of each topic and counts messages."""

    def __init__(self, broker: Broker, base: str) -> None:
        self._broker = broker
        self._base = base
        self.last: dict[str, str] = {}
        self.log: list[tuple[str, str]] = []
        self._subscribed = False
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.username_pw_set(broker.core_username, broker.core_password)
        self.client.on_message = self._message
        self.client.on_subscribe = self._ready

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.last[message.topic] = message.payload.decode()
        self.log.append((message.topic, message.payload.decode()))

    def _ready(self, *_: Any) -> None:
        self._subscribed = True

    async def open(self) -> None:
        self.client.connect(self._broker.host, self._broker.port)
        self.client.loop_start()
        # Not everything: a broker drops what it must queue beyond a thousand messages.
        self.client.subscribe(f"{self._base}/#", 1)
        await until(lambda: self._subscribed)

    def say(self, topic: str, text: str, *, retain: bool = False) -> None:
        self.client.publish(topic, text, 1, retain=retain).wait_for_publish(5)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@asynccontextmanager
async def watching(broker: Broker, base: str) -> AsyncIterator[Watcher]:
    watcher = Watcher(broker, base)
    await watcher.open()
    try:
        yield watcher
    finally:
        watcher.close()


class Agent:
    """A publisher that runs, with a desk made by hand; topics of its own on a shared broker."""

    keepalive_s = 2
    folder = Path()
    """Of its settings; set before each test."""

    def __init__(
        self,
        broker: Broker | None,
        base: str,
        password: str | None = None,
        settings: HandSettings | None = None,
        fleet: HandFleet | None = None,
    ) -> None:
        self.guard = HandGuard()
        self.topics = Topics(base=base, discovery=f"{base}/homeassistant")
        self.asked = 0
        self.address: BrokerAddress | None = None
        if broker:
            secret = broker.password if password is None else password
            self.address = BrokerAddress(broker.host, broker.port, broker.username, secret)
        names = MqttNames(topics=self.topics, keepalive_s=self.keepalive_s)
        self.settings = settings or HandSettings(self.folder)
        self.audited: list[tuple[str, str, str]] = []
        self.publisher = MqttPublisher(
            self.guard,
            self._ask,
            names,
            settings=self.settings,
            audit=lambda *what: self.audited.append(what),
            fleet=fleet,
        )
        self._task: asyncio.Task[None] | None = None

    async def _ask(self) -> BrokerAddress | None:
        self.asked += 1
        return self.address

    def start(self) -> None:
        self._task = asyncio.create_task(self.publisher.run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.wait([self._task])
            assert self._task.cancelled()
            self._task = None

    async def reaches(self, status: MqttStatus) -> None:
        await until(lambda: self.publisher.state.status is status, status)

    def state(self, key: str) -> str:
        return f"{self.topics.base}/{key}/state"

    def press(self, key: str) -> str:
        return f"{self.topics.base}/{key}/press"

    @property
    def connection(self) -> socket.socket:
        """The publisher's socket, to break it."""
        session = next(wake.__self__ for wake in self.guard._listeners if hasattr(wake, "__self__"))
        found = session._client.socket()
        assert isinstance(found, socket.socket)
        return found


@asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[Agent]:
    agent.start()
    try:
        await agent.reaches(MqttStatus.CONNECTED)
        yield agent
    finally:
        await agent.stop()
