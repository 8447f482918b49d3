"""
`Cable` of a flash job: esptool's process on the one port that a person chose.

Source: esptool.md, section 0.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.firmware.image.models import ImageFacts
from agent.firmware.image.store import BlobStore
from agent.firmware.job.cable_models import Trouble
from agent.firmware.job.models import Request
from agent.firmware.job.ports import Hear
from agent.firmware.manifest.models import Release, ReleaseImage
from agent.firmware.policy.models import Decision
from agent.firmware.serial.boot_log import BootReport
from agent.firmware.serial.driver import SerialDriver, partial_of
from agent.firmware.serial.errors import SerialCode, SerialError, words
from agent.firmware.serial.models import FlashPlan, SerialDevice
from agent.firmware.serial.plan import plan_flash

BACKUPS = "backups"
FRESH_S = 30.0
"""How long the answer of a chip that a person has just been shown is good for."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What is trusted now of a request's release, and the policy's word on it for one chip."""

    release: Release
    image: ReleaseImage
    facts: ImageFacts | None
    decision: Decision


Look = Callable[[Request, SerialDevice], Looked | str]


class OverTheCable:
    """`Cable`: over the serial driver and the store of images."""

    def __init__(
        self, driver: SerialDriver, store: BlobStore, data: Path, look: Look, *, looks: bool
    ) -> None:
        """
        Prepare.

        Args:
            driver: talks to ports.
            store: where the image is.
            data: the data directory; copies of bridges go into a folder of it, mode 0700.
            look: asks the policy about the chip that is there; a sentence if there is nothing.
            looks: somebody can see whether a bridge is on the network.
        """
        self._driver = driver
        self._store = store
        self._backups = data / BACKUPS
        self._look = look
        self.looks = looks
        self._known: tuple[str, SerialDevice, float] | None = None

    def remember(self, port: str, device: SerialDevice) -> None:
        """Spare the chip a second question: what is written later asks who it is anyway."""
        self._known = port, device, time.monotonic()

    async def identify(self, request: Request, hear: Hear) -> SerialDevice:
        """Return what is on the port; see `Cable`."""
        known, self._known = self._known, None
        if known and known[0] == request.port and time.monotonic() - known[2] < FRESH_S:
            return known[1]
        return await self._driver.identify(request.port, hear)

    async def plan(self, request: Request, device: SerialDevice) -> FlashPlan | Trouble:
        """Ask policy and guards about this chip; see `Cable`."""
        looked = self._look(request, device)
        if isinstance(looked, str):
            return Trouble("nothing-to-check", looked)
        if refusals := looked.decision.refusals:
            text = " ".join(f"{it.text} {it.next_step}".strip() for it in refusals)
            return Trouble(str(refusals[0].code), text)
        content = await asyncio.to_thread(self._store.read, request.release.digest)
        if content is None:
            raise SerialError(words(SerialCode.IMAGE_CHANGED))
        return await asyncio.to_thread(
            lambda: plan_flash(
                looked.image,
                content,
                device,
                facts=looked.facts,
                min_chip_revision=looked.release.min_chip_revision,
                erase_settings=request.erase_settings,
            )
        )

    async def holds(self, request: Request, plan: FlashPlan, hear: Hear) -> bool:
        """Return whether all of the plan is on the flash already; see `Cable`."""
        return await self._driver.holds(request.port, plan, self._file(request), hear)

    async def backup(self, request: Request, device: SerialDevice, hear: Hear) -> None:
        """Copy what the request says; see `Cable`."""
        self._backups.mkdir(mode=0o700, parents=True, exist_ok=True)
        full = request.backup == "full"
        path = self.backup_of(request)
        first = _first_of(path)
        if path.exists() and not first.exists():
            # It was taken before a job that did not end well, which may have left half an image.
            path.rename(first)
        await self._driver.backup(request.port, device, path, hear, full=full)

    async def write(self, request: Request, plan: FlashPlan, hear: Hear) -> None:
        """Carry the plan out; see `Cable`."""
        await self._driver.write(request.port, plan, self._file(request), hear)

    async def verify(self, request: Request, plan: FlashPlan, hear: Hear) -> None:
        """Compare the flash with the image; see `Cable`."""
        await self._driver.verify(request.port, plan, self._file(request), hear)

    async def observe(self, request: Request, hear: Hear) -> BootReport:
        """Start the bridge and hear how that goes; see `Cable`."""
        return await self._driver.observe(request.port, hear)

    async def restart(self, request: Request) -> None:
        """Let the bridge start its program again, if that can be done."""
        with suppress(SerialError):
            await self._driver.restart(request.port)

    def forget(self, request: Request) -> None:
        """Delete all copies of the bridge, which hold secrets, and what a dead agent left."""
        copy = self.backup_of(request)
        for file in (copy, _first_of(copy), partial_of(copy)):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def backup_of(self, request: Request) -> Path:
        """Return where the last copy of a bridge is; the first since it was well is beside it."""
        return self._backups / f"{request.mac}.bin"

    def _file(self, request: Request) -> Path:
        return self._store.path(request.release.digest)


def _first_of(backup: Path) -> Path:
    return backup.with_name(f"{backup.stem}.before{backup.suffix}")
