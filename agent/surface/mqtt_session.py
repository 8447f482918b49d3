"""
One connection to the broker, from the first packet to the last.

paho does its network work in a thread of its own. Every callback crosses into the event loop by
`call_soon_threadsafe`, and there everything is told and every command is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.surface.desk import GuardDesk
from agent.surface.discovery import (
    OFFLINE,
    ONLINE,
    ROUND_S,
    Message,
    StateBook,
    Topics,
    announcement,
    farewell,
)
from agent.surface.entities_model import Entity
from agent.surface.mqtt_commands import Commands
from agent.surface.mqtt_fleet import FleetTold

_LOGGER = logging.getLogger(__name__)

QOS = 1
CONNECT_DEADLINE_S = 10.0
FAREWELL_S = 2.0
AUTH_REFUSALS = frozenset({"Bad user name or password", "Not authorized", "Banned"})


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is and how it knows us."""

    host: str
    port: int = 1883
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False


class MqttStatus(StrEnum):
    """How it stands with the broker."""

    STARTING = "starting"
    NOT_CONFIGURED = "not_configured"
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    AUTH_FAILED = "auth_failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class MqttState:
    """The status and, for a person, what happened and what to do next."""

    status: MqttStatus
    text: str = ""


@dataclass(frozen=True, slots=True)
class MqttNames:
    """Under which names we appear."""

    topics: Topics = field(default_factory=Topics)
    version: str = "0.1.0"
    keepalive_s: int = 30


class SessionError(Exception):
    """This connection is over, or never was; carries the state to show."""

    def __init__(self, state: MqttState) -> None:
        super().__init__(state.text)
        self.state = state


class Session:
    """One connection, from the first packet to the last."""

    def __init__(
        self,
        desk: GuardDesk,
        address: BrokerAddress,
        names: MqttNames,
        entities: Sequence[Entity],
        commands: Commands,
        prefix: str | None = None,
        fleet: FleetTold | None = None,
    ) -> None:
        self._desk = desk
        self._address = address
        self._names = names
        self._topics = names.topics
        self._fleet = fleet
        heard = fleet.subscriptions if fleet else ()
        self._subscriptions = (
            *names.topics.commands,
            names.topics.birth,
            names.topics.status,
            *heard,
        )
        self._entities = entities
        self._commands = commands
        self.prefix = prefix
        """Of the ids that Core was told; `None` when that is not known."""
        self._loop = asyncio.get_running_loop()
        self._book = StateBook(entities, names.topics)
        self._round: asyncio.TimerHandle | None = None
        self._last_round_s = float("-inf")
        self._unsubscribe: Callable[[], None] = lambda: None
        self._looping = False
        self._up = False
        self._closed = False
        # Results, not exceptions: nobody may be waiting any more when they come.
        self._opened: asyncio.Future[MqttState] = self._loop.create_future()
        self._subscribed: asyncio.Future[MqttState] = self._loop.create_future()
        self._ended: asyncio.Future[MqttState] = self._loop.create_future()
        self._client = self._make_client()

    async def open(self) -> None:
        """Connect and tell everything; raises `SessionError` with what went wrong."""
        where = f"{self._address.host}:{self._address.port}"
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await asyncio.to_thread(self._thread_connect)
                self._client.loop_start()
                self._looping = True
                opened = await self._opened
                if opened.status is MqttStatus.CONNECTED:
                    # Heard first, shown later: a button that is available is one that works.
                    self._client.subscribe([(topic, QOS) for topic in self._subscriptions])
                    opened = await self._subscribed
        except TimeoutError as error:
            text = f"The MQTT broker at {where} did not answer; check host and port. Trying again."
            raise SessionError(MqttState(MqttStatus.UNREACHABLE, text)) from error
        except (OSError, ValueError) as error:  # ValueError: paho does not like the host or port
            text = f"The MQTT broker at {where} cannot be reached ({error}). Trying again."
            raise SessionError(MqttState(MqttStatus.UNREACHABLE, text)) from error
        if opened.status is not MqttStatus.CONNECTED:
            raise SessionError(opened)
        self._up = True
        self._tell_everything()
        self._unsubscribe = self._desk.subscribe(self._wake)
        self._commands.tell = self._tell_again

    async def ended(self) -> MqttState:
        """Wait until the connection is lost and return what to show."""
        return await self._ended

    async def close(self) -> None:
        """Say goodbye if there is anyone to hear it, and end the network thread for sure."""
        self._closed = True
        self._unsubscribe()
        if self._fleet:
            self._fleet.end()
        if self._round:
            self._round.cancel()
        if self._up and not self._ended.done():
            self._up = False
            farewell = self._client.publish(self._topics.status, OFFLINE, QOS, retain=True)
            with contextlib.suppress(RuntimeError, ValueError):  # lost meanwhile: the will speaks
                await asyncio.to_thread(farewell.wait_for_publish, FAREWELL_S)
            self._client.disconnect()
            await asyncio.wait([self._ended], timeout=FAREWELL_S)
        if self._looping:
            # A broker that keeps the socket open and reads nothing must not keep the thread.
            self._end_socket()
            await asyncio.to_thread(self._client.loop_stop)

    def _make_client(self) -> paho.Client:
        # One fixed id: when we return before the broker noticed that we were gone, it ends the old
        # session at once. With a new id each time the old one's will would come a minute late and
        # take us offline.
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{self._topics.base}-guard",
            clean_session=True,
            reconnect_on_failure=False,
        )
        if self._address.username:
            client.username_pw_set(self._address.username, self._address.password)
        if self._address.tls:
            client.tls_set()
        client.will_set(self._topics.status, OFFLINE, qos=QOS, retain=True)
        client.on_connect = self._thread_connected
        client.on_subscribe = self._thread_subscribed
        client.on_disconnect = self._thread_disconnected
        client.on_message = self._thread_message
        return client

    # What follows runs in threads: paho's own, or the one that connects.

    def _thread_connect(self) -> None:
        self._client.connect(self._address.host, self._address.port, self._names.keepalive_s)
        if self._closed:  # nobody waited for it
            self._end_socket()

    def _end_socket(self) -> None:
        connection = self._client.socket()
        if isinstance(connection, socket.socket):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _call(self, callback: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(callback, *args)

    def _thread_connected(
        self,
        _client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        state = MqttState(MqttStatus.CONNECTED)
        if reason.is_failure and str(reason) in AUTH_REFUSALS:
            state = MqttState(
                MqttStatus.AUTH_FAILED,
                f"The MQTT broker refused our login ({reason}); check mqtt_username and "
                "mqtt_password, or restart the Mosquitto app. Trying again.",
            )
        elif reason.is_failure:
            state = MqttState(
                MqttStatus.UNREACHABLE,
                f"The MQTT broker refused the connection ({reason}). Trying again.",
            )
        self._call(_resolve, self._opened, state)

    def _thread_subscribed(
        self,
        _client: paho.Client,
        _userdata: object,
        _message_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        state = MqttState(MqttStatus.CONNECTED)
        if any(reason.is_failure for reason in reasons):
            state = MqttState(
                MqttStatus.AUTH_FAILED,
                "The MQTT broker does not let us subscribe; allow our user to read "
                f"{', '.join(self._subscriptions)}. Trying again.",
            )
        self._call(_resolve, self._subscribed, state)

    def _thread_disconnected(
        self,
        _client: paho.Client,
        _userdata: object,
        _flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        text = f"The connection to the MQTT broker was lost ({reason}). Trying again."
        state = MqttState(MqttStatus.UNREACHABLE, text)
        for future in (self._opened, self._subscribed, self._ended):
            self._call(_resolve, future, state)

    def _thread_message(
        self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage
    ) -> None:
        self._call(self._take, message.topic, message.payload, message.retain)

    # What follows runs in the event loop.

    def _publish(self, message: Message) -> None:
        self._client.publish(message.topic, message.payload, QOS, retain=True)

    def _tell_everything(self) -> None:
        self._announce()
        self._book.forget()
        self._tell_states()
        if self._fleet:
            self._fleet.begin(self._publish)
        # After the states, or Core would show those of our last life for a moment.
        self._publish(Message(self._topics.status, ONLINE))

    def _announce(self) -> None:
        wanted = self._commands.settings()["entity_prefix"]
        if self.prefix not in (None, wanted):
            # Core renames nothing that it knows: what is gone comes back under its new id.
            for entity in self._entities:
                self._publish(farewell(entity, self._topics))
        self.prefix = wanted
        for entity in self._entities:
            self._publish(announcement(entity, self._topics, wanted, self._names.version))

    def _tell_states(self) -> None:
        if self._round:
            self._round.cancel()
            self._round = None
        self._last_round_s = self._loop.time()
        settings = self._commands.settings()
        if settings["entity_prefix"] != self.prefix:
            self._announce()
        said = self._book.round(
            self._desk.snapshot(), self._last_round_s, settings, self._commands.answers
        )
        for message in said:
            self._publish(message)

    def _tell_again(self, entity: Entity, changed: bool) -> None:
        if not self._up or self._closed:
            return
        self._book.retell(entity)
        if changed:
            self._tell_states()
        else:
            self._wake()

    def _wake(self) -> None:
        if not self._up:
            return
        if self._book.urgent(self._desk.snapshot()):
            self._tell_states()
        elif self._round is None:
            self._round = self._loop.call_at(self._last_round_s + ROUND_S, self._tell_states)

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:
        if self._closed:
            return
        if self._commands.take(topic, payload, retained=retained):
            return
        if self._fleet and self._fleet.take(topic, payload, retained=retained):
            return
        if self._up and topic == self._topics.birth and payload == ONLINE.encode():
            self._tell_everything()
        elif self._up and topic == self._topics.status and payload == OFFLINE.encode():
            # The will of our last life, come late.
            self._publish(Message(self._topics.status, ONLINE))


def _resolve(future: asyncio.Future[MqttState], state: MqttState) -> None:
    if not future.done():
        future.set_result(state)
