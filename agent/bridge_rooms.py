"""
Everything about bridges in one hand: finding them, their keys, the work on them, what is shown.

The composition root builds this and runs it; who commands the inverter through a bridge says so
here, and nothing else of the guard is known to the bridges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from agent.bridge_keys import BridgeKeys
from agent.bridge_work import Audit, BridgeWork
from agent.bridges import Bridges
from agent.dispatching import dispatching_through
from agent.fleet.identity import Mac, mac_of
from agent.fleet.keys import KeyFile, Keyring
from agent.fleet.record import Fleet
from agent.homeassistant.websocket import CoreConnection
from agent.journal import Journal
from agent.releases.service import ReleaseService
from agent.settings import SettingsStore
from agent.surface.bridge_notifications import bridges_due
from agent.surface.desk import BridgeDesks, GuardDesk
from agent.surface.notification_rules import Notification


class BridgeRooms:
    """The rooms of the bridges; `run` keeps them."""

    def __init__(
        self,
        store: SettingsStore,
        core: CoreConnection | None,
        keys: KeyFile,
        journal: Journal,
        now: Callable[[], datetime],
        audit: Audit,
        releases: ReleaseService | None = None,
    ) -> None:
        self.bridges = Bridges(store, core, keys, journal, now)
        self._keys = keys
        self.keys = BridgeKeys(keys, core, lambda: self.bridges.fleet, self.bridges.refresh)
        self.work = BridgeWork(self.bridges, store, keys, journal, now, self.through, audit)
        if releases is not None:
            # Each tells the other, and neither listens to what it has told.
            self.work.releases = releases
            releases.fleet = lambda: self.bridges.fleet
            releases.subscribe(self.work.wake)
            self.bridges.subscribe(releases.notice)
        self.guard: GuardDesk | None = None
        """Whoever commands the battery; set before anything is asked."""
        self.commanded: Callable[[], Mac | None] = lambda: mac_of(store.current.path_bridge)
        """The bridge that the guard's commands go through, if they go through one."""
        self._told: Mapping[str, Notification] = {}
        self._told_of: tuple[Fleet, Keyring] | None = None

    @property
    def desks(self) -> BridgeDesks:
        """Return what the page meets."""
        return BridgeDesks(self.bridges, self.keys, self.work)

    def notifications(self) -> Mapping[str, Notification]:
        """Return what a person should be told of bridges now, by the id on the wall."""
        of = self.bridges.fleet, self._keys.ring
        before = self._told_of
        if before is None or before[0] is not of[0] or before[1] is not of[1]:
            self._told_of = of
            self._told = bridges_due(self.work.view(), of[1].kept.keys())
        return self._told

    async def run(self) -> None:
        """Keep all of it until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.bridges.run())
            tasks.create_task(self.work.run())

    def through(self) -> frozenset[Mac] | None:
        """Return through which bridges a dispatch runs; `None` if nobody can say."""
        return dispatching_through(self.guard.snapshot() if self.guard else None, self.commanded())
