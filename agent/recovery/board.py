"""
The ports as a person sees them come and go, with who uses each.

Read from the kernel's files alone; a plug is seen within two seconds. Who uses a port is asked
when the list has changed, and now and then while there is one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agent.firmware.serial import hotplug
from agent.firmware.serial.ports import SerialPort
from agent.homeassistant.websocket import CoreConnection
from agent.recovery.usage import Users, users_of

LOG = logging.getLogger(__name__)
USERS_EVERY_S = 30.0
AGAIN_S = 10.0


class PortBoard:
    """Which ports there are now."""

    def __init__(self, core: CoreConnection | None = None) -> None:
        """
        Prepare; `run` looks.

        Args:
            core: knows which of its integrations use a port; `None` if there is no Core.
        """
        self._core = core
        self._moved = asyncio.Event()
        self._wakes: list[Callable[[], None]] = []
        self.ports: tuple[SerialPort, ...] = ()
        self.users: Users = {}

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._ask())

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when something was plugged in, pulled out or taken; the result ends it."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake) if wake in self._wakes else None

    async def look(self) -> None:
        """Ask again who uses which port."""
        ports = self.ports
        users = await users_of(ports, self._core)
        if ports == self.ports and users != self.users:
            self.users = users
            self._changed()

    async def _follow(self) -> None:
        while True:
            try:
                async for ports in hotplug.watch_ports():
                    for it in set(ports) - set(self.ports):
                        LOG.info("port_appeared: %s (%s)", it.title, it.path)
                    for it in set(self.ports) - set(ports):
                        LOG.info("port_vanished: %s (%s)", it.title, it.path)
                    there = {it.path for it in ports}
                    self.users = {path: who for path, who in self.users.items() if path in there}
                    self.ports = ports
                    self._changed()
                    self._moved.set()
            except OSError as error:
                LOG.warning("the serial ports cannot be listed: %s", error)
                await asyncio.sleep(AGAIN_S)

    async def _ask(self) -> None:
        while True:
            await self.look()
            try:
                async with asyncio.timeout(USERS_EVERY_S if self.ports else None):
                    await self._moved.wait()
            except TimeoutError:
                continue
            self._moved.clear()

    def _changed(self) -> None:
        for wake in tuple(self._wakes):
            wake()
