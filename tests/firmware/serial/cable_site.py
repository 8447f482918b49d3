"""
Jobs over the cable around one virtual chip: journal, store and esptool's process are real.

What stands in for the rest of the house are the words of guard and policy, which have tests of
their own, and the network, on which nobody looks.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.clock import SystemClock
from agent.firmware.image.store import BlobStore
from agent.firmware.job.models import JobState, Patience, ReleaseRef, Request, Stage, Way
from agent.firmware.job.observer import FleetWatcher
from agent.firmware.job.over_the_cable import BACKUPS, Looked, OverTheCable
from agent.firmware.job.ports import Ports
from agent.firmware.job.runner import FlashJobs
from agent.firmware.manifest.models import Health, Release
from agent.firmware.policy.models import Decision
from agent.firmware.serial.models import SerialDevice
from agent.firmware.serial.ports import holders
from agent.fleet.identity import Mac
from agent.journal import Journal
from tests.firmware.job.scene import PROJECT, Moments, Store, becomes, ended
from tests.firmware.serial.boards import Board

WAITS = Patience(moment_every_s=0.05, settle_s=0.1, network_s=0.5)
LOOK_S = 0.002
SLOWEST_S = 5.0


def is_free(node: str) -> bool:
    """Whether nobody has the port open, and it can be opened and locked by one alone."""
    if holders(node):
        return False
    try:
        number = os.open(node, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(number)
    return True


async def freed_s(node: str) -> float:
    """Wait until a port is free, and return how long that took."""
    began = time.monotonic()
    while not is_free(node):
        assert time.monotonic() < began + SLOWEST_S, "the port is never freed"
        await asyncio.sleep(LOOK_S)
    return time.monotonic() - began


class CableSite:
    """One board, and the jobs on it."""

    def __init__(self, board: Board, folder: Path, journal: Journal) -> None:
        self.board = board
        self.blobs = BlobStore(folder / "blobs")
        self.digest = self.blobs.add(board.content)
        self.backups = folder / BACKUPS
        self.moments = Moments()
        self.running: asyncio.Future[None]
        self._upon: dict[Stage, Callable[[], object]] = {}
        images = Store()
        images.put(board.content)
        cable = self.cable = OverTheCable(board.driver, self.blobs, folder, self._look, looks=False)
        nobody = FleetWatcher(
            lambda _: None, lambda _: None, lambda _: lambda: None, time.monotonic
        )
        rooms = Ports(self.moments, None, images, None, nobody, cable)  # type: ignore[arg-type]
        clock = SystemClock(ZoneInfo("Europe/London"))
        self.jobs = FlashJobs(journal, rooms, clock, patience=WAITS)
        self.jobs.subscribe(self._changed)

    @property
    def mac(self) -> Mac:
        return Mac(self.board.esp.specimen.mac)

    @property
    def image(self) -> Path:
        """The file that is written."""
        return self.blobs.path(self.digest)

    def upon(self, stage: Stage, does: Callable[[], object]) -> None:
        """Have something happen when a job has entered a stage and done nothing of it yet."""
        self._upon[stage] = does

    def wish(self, *, erase: bool = False, backup: str = "none") -> Request:
        image = self.board.image
        release = ReleaseRef(PROJECT, "1.1.0", 1, self.digest, image.size, image.chip)
        return Request(
            *(self.mac, release, "Ann", "recovery"),
            reason="dead",
            way=Way.SERIAL,
            port=self.board.port.path,
            erase_settings=erase,
            backup=backup,
        )

    async def begin(self, wish: Request | None = None) -> str:
        """Ask for a job and return its name."""
        self.board.port.starts = False
        self._upon.setdefault(Stage.RESET, self._starts)
        asked = await self.jobs.start(wish or self.wish())
        assert isinstance(asked, JobState), asked
        return asked.id

    async def run(self, wish: Request | None = None) -> JobState:
        """Return a job once it has ended."""
        return await ended(self.jobs, await self.begin(wish))

    async def stop(self) -> None:
        """End the jobs as an agent does that is told to stop."""
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    async def at(self, job: str, stage: Stage) -> None:
        """Return when a job is in that stage and its process speaks to the chip."""
        await becomes(self.jobs, lambda: self.jobs.jobs.by_id[job].stage is stage)
        said = len(self.board.esp.commands)
        if stage is not Stage.CONNECT:
            await self.until(lambda: len(self.board.esp.commands) > said)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when it is so; neither the kernel nor the chip tells when."""
        async with asyncio.timeout(30):
            while not holds():  # noqa: ASYNC110 - see above
                await asyncio.sleep(LOOK_S)

    def _look(self, _: Request, device: SerialDevice) -> Looked:
        assert device.chip
        at, image = datetime.now(UTC), self.board.image
        release = Release(PROJECT, "1.1.0", 1, at, "", (image,), Health(5), ("",))
        return Looked(release, image, None, Decision(()))

    def _starts(self) -> None:
        self.board.port.starts = True

    def _changed(self) -> None:
        for state in self.jobs.jobs.open:
            self._upon.pop(state.stage, bool)()


@asynccontextmanager
async def cable_site(board: Board, folder: Path) -> AsyncIterator[CableSite]:
    """Run the jobs of a board."""
    async with await Journal.open(folder / "journal.sqlite3") as journal:
        site = CableSite(board, folder, journal)
        site.running = asyncio.create_task(site.jobs.run())
        try:
            yield site
        finally:
            await site.stop()
