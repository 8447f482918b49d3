"""
What people and Home Assistant meet: the page, MQTT, the notifications.

All of it lasts as long as the process, whatever house is guarded meanwhile, and stands on one
desk. It is built here from the rooms that the composition root made, and decides nothing.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent import __version__
from agent.auditing import Audit
from agent.bridge_rooms import BridgeRooms
from agent.brokers import find_broker
from agent.desks import HISTORY_EVERY_S, Reception, SettingsCounter
from agent.doctor_ahead import Ahead
from agent.flashing.bus import BusTeller
from agent.flashing.rooms import FlashRooms
from agent.fleet.keys import KeyFile
from agent.homeassistant.errors import CoreError
from agent.homeassistant.websocket import CoreConnection
from agent.house.port import SiteMeter
from agent.journal import Journal
from agent.migration.desk import Migration
from agent.options import SUPERVISOR_CORE_URL, Options, has_supervisor
from agent.place import Place
from agent.records import Records
from agent.recovery.rooms import RecoveryRooms
from agent.releases.rooms import ReleaseRooms
from agent.settings import SettingsStore
from agent.stdin_commands import StdinCommands, source
from agent.support import Support
from agent.surface import bridge_notifications, flash_notifications, release_notifications
from agent.surface.discovery_ids import watch_ids
from agent.surface.entities import ENTITIES
from agent.surface.mqtt import BrokerAddress, MqttNames, MqttPublisher
from agent.surface.notification_rules import Notification
from agent.surface.notifications import Notifier
from agent.surface.web.api import Desks
from agent.surface.web.auth import Gate, LookupFailedError, Policy
from agent.surface.web.server import WebServer

ALSO_IDS = (
    bridge_notifications.ID_PREFIX,
    release_notifications.ID_PREFIX,
    flash_notifications.ID_PREFIX,
)
Work = Coroutine[Any, Any, None]


@dataclass(frozen=True, slots=True)
class Rooms:
    """What page and MQTT stand on."""

    options: Options
    place: Place
    store: SettingsStore
    journal: Journal
    audit: Audit
    keys: KeyFile
    meter: Callable[[], SiteMeter]
    """Of the house in use."""
    core: CoreConnection | None = None
    bridges: BridgeRooms | None = None
    releases: ReleaseRooms | None = None
    flashing: FlashRooms | None = None
    recovery: RecoveryRooms | None = None
    migration: Migration | None = None


class Serving:
    """Page, MQTT and notifications over one desk."""

    def __init__(self, rooms: Rooms, desk: Reception, ahead: Ahead) -> None:
        """
        Prepare; `open` opens the page, and the caller runs the `lasting` work.

        Args:
            rooms: what there is.
            desk: the guard, whoever it is at the moment.
            ahead: what plans are made from, for the doctor.
        """
        self._rooms = rooms
        self._desk = desk
        self._ahead = ahead
        self._counter = SettingsCounter(rooms.store, desk.wake)
        bridges = rooms.bridges
        self._publisher = MqttPublisher(
            desk,
            self._broker,
            MqttNames(version=__version__),
            settings=self._counter,
            audit=rooms.audit,
            fleet=bridges.work if bridges else None,
        )
        self._notifier: Notifier | None = None
        if rooms.core is not None:
            self._notifier = Notifier(desk, rooms.core, also=self._also, also_ids=ALSO_IDS)

    def lasting(self) -> Mapping[str, Work]:
        """Begin the work that runs until the process ends; return it by its name."""
        store, core = self._rooms.store, self._rooms.core
        work: dict[str, Work] = {"history": self._remember(), "mqtt": self._publisher.run()}
        if self._notifier is not None:
            work["notifications"] = self._notifier.run()
        supervised = has_supervisor() and self._rooms.place.demo is None
        pipe = source(getattr(sys.stdin, "buffer", None), supervised=supervised)
        if pipe is not None:
            work["stdin"] = StdinCommands(self._desk, self._rooms.audit, pipe).run()
        if core is not None:
            prefix = lambda: store.current.entity_prefix  # noqa: E731 - a name for one line
            work["ids"] = watch_ids(core, ENTITIES, prefix, self._desk.notice)
            if (bridges := self._rooms.bridges) is not None:
                bus = BusTeller(bridges.work.view, bridges.work.subscribe, core)
                work["bus"] = bus.run()
        return work

    async def open(self, doors: AsyncExitStack) -> int:
        """Open the page until `doors` close; return its port."""
        rooms, bridges = self._rooms, self._rooms.bridges
        support = Support(
            rooms.options,
            rooms.place.data_dir,
            rooms.store,
            rooms.journal,
            self._desk,
            rooms.meter,
            self._publisher,
            rooms.core,
            self._notifier,
            self._ahead,
            rooms.keys,
            bridges.bridges if bridges else None,
        )
        supervised = rooms.options.ha_url == SUPERVISOR_CORE_URL
        token = rooms.options.access_token.get_secret_value()
        web = WebServer(
            self._desk,
            self._counter,
            Gate(Policy(supervised, token), self._is_admin),
            rooms.audit,
            desks=Desks(
                support,
                bridges.desks if bridges else None,
                rooms.releases.desk if rooms.releases else None,
                rooms.flashing.desk if rooms.flashing else None,
                rooms.recovery.desk if rooms.recovery else None,
                rooms.migration,
                records=Records(rooms.journal, rooms.store, self._local, rooms.meter, rooms.core),
                plan=self._desk,
            ),
        )
        doors.push_async_callback(web.stop)
        return await web.start(rooms.place.host, rooms.place.port)

    def _local(self) -> datetime:
        return self._desk.snapshot().at

    def _also(self) -> Mapping[str, Notification]:
        """Return what else belongs on Home Assistant's wall."""
        bridges, releases = self._rooms.bridges, self._rooms.releases
        told = bridges.notifications() if bridges else {}
        flashed = self._rooms.flashing.notifications() if self._rooms.flashing else {}
        return {**told, **flashed, **(releases.service.notifications() if releases else {})}

    async def _remember(self) -> None:
        while True:
            self._desk.remember()
            await asyncio.sleep(HISTORY_EVERY_S)

    async def _is_admin(self, user_id: str) -> bool:
        core = self._rooms.core
        if core is None:
            return False
        try:
            async with asyncio.timeout(self._rooms.store.current.service_timeout_s):
                user = await core.get_user(user_id)
        except (CoreError, TimeoutError) as error:
            raise LookupFailedError(str(error)) from error
        return user is not None and user.active and user.admin

    async def _broker(self) -> BrokerAddress | None:
        """Return the broker of the options, else the Supervisor's, else none."""
        options = self._rooms.options
        return await find_broker(options, lambda: options.core_token().get_secret_value())
