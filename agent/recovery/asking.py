"""
Questions to chips: who are you? One at a time on each port, and only when a person asks.

The chip is reset for it and nothing on it is changed. What it said is kept until its port is
pulled out, and is in the journal with who asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from datetime import datetime

from agent.firmware.job.cable_models import trouble_of
from agent.firmware.serial.driver import SerialDriver
from agent.firmware.serial.errors import SerialError
from agent.firmware.serial.models import Progress, SerialDevice
from agent.firmware.serial.ports import SerialPort
from agent.fleet.identity import written
from agent.journal import Journal, JournalError
from agent.recovery.views import Asked, Identified
from agent.recovery.words import locks

LOG = logging.getLogger(__name__)
IDENTIFIED = "cable_identified"
"""Kind of the journal's event."""


class Asking:
    """What chips are asked, and what they have said."""

    def __init__(
        self,
        driver: SerialDriver,
        journal: Journal,
        now: Callable[[], datetime],
        known: Callable[[SerialDevice], tuple[str, bool]],
    ) -> None:
        """
        Prepare.

        Args:
            driver: talks to ports.
            journal: takes what they said.
            now: the site's time.
            known: returns what a bridge is called here, and whether it needs flashing.
        """
        self._driver = driver
        self._journal = journal
        self._now = now
        self._known = known
        self._asked: dict[str, Asked] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.changed: Callable[[], None] = lambda: None
        """Called after each change; set before anything is asked."""

    def of(self, path: str) -> Asked:
        """Return how the question on a port stands."""
        return self._asked.get(path, Asked())

    @property
    def under_way(self) -> tuple[str, ...]:
        """Return the ports on which a chip is being asked."""
        return tuple(self._tasks)

    def ask(self, port: SerialPort, by: str) -> bool:
        """Begin to ask; return False if it is being asked already."""
        path = port.path
        if path in self._tasks:
            return False
        self._set(path, Asked("connect"))
        task = asyncio.get_running_loop().create_task(self._ask(path, by))
        self._tasks[path] = task
        task.add_done_callback(lambda _: self._tasks.pop(path, None))
        return True

    def cancel(self, path: str) -> bool:
        """Ask no longer; return False if nobody does."""
        task = self._tasks.get(path)
        return task is not None and task.cancel()

    def keep(self, there: Collection[str]) -> None:
        """Forget what was said on other ports than these: another chip may come to them."""
        for path in self._asked.keys() - set(there):
            del self._asked[path]

    def forget(self, path: str) -> None:
        """Forget what was said there: the chip is about to become another one."""
        self._asked.pop(path, None)

    async def close(self) -> None:
        """End every question; the ports are free when this returns."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, path: str, by: str) -> None:
        def hear(now: Progress) -> None:
            self._set(path, Asked(str(now.phase)))

        try:
            device = await self._driver.identify(path, hear)
        except SerialError as error:
            trouble = trouble_of(error)
            LOG.info("cable_silent: %s: %s %s", path, error.code, error.detail)
            self._set(path, Asked("", trouble.code, trouble.text))
        except asyncio.CancelledError:
            self._set(path, Asked("", "cancelled", "It was asked no longer."))
            raise
        except Exception:
            LOG.exception("asking %s failed", path)
            text = "It failed by a fault of the agent; the log says more."
            self._set(path, Asked("", "fault", text))
        else:
            found = Identified(device, self._now(), *self._known(device))
            self._set(path, Asked(found=found))
            await self._note(path, found, by)

    async def _note(self, path: str, found: Identified, by: str) -> None:
        device = found.device
        LOG.info("cable_identified: %s: %s", path, device.mac)
        data = {
            "by": by,
            "port": path,
            "mac": written(device.mac) if device.mac else "",
            "chip": device.chip,
            "locks": list(locks(device)),
            "app": f"{device.app_name} {device.app_version}".strip(),
        }
        try:
            await self._journal.append(IDENTIFIED, data, found.at)
        except JournalError as error:
            LOG.error("not in the journal: %s (%s)", IDENTIFIED, error)  # noqa: TRY400 - its words are enough

    def _set(self, path: str, asked: Asked) -> None:
        if self._asked.get(path) != asked:
            self._asked[path] = asked
            self.changed()
