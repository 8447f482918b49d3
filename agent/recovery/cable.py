"""
`Cable` of the running agent: what the command line has, with releases that are looked up at the
moment of writing, and a log of each job.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.firmware.image.models import ImageFacts
from agent.firmware.image.store import BlobStore
from agent.firmware.job.cable_models import Trouble
from agent.firmware.job.models import Request
from agent.firmware.job.over_the_cable import Looked, OverTheCable
from agent.firmware.job.ports import Hear
from agent.firmware.policy.models import Decision
from agent.firmware.serial.boot_log import BootReport
from agent.firmware.serial.driver import SerialDriver
from agent.firmware.serial.models import FlashPlan, Progress, SerialDevice
from agent.flashing.looking import Found
from agent.fleet.identity import Mac, written
from agent.recovery.log import CableLog
from agent.recovery.policy import CableLookout
from agent.watchdog_thread import Holds

MOST_LOGS = 5
LONGEST_WRITE_S = 1800.0
"""Above what the driver's own deadlines add up to on the slowest line."""


class AgentCable(OverTheCable):
    """Carries jobs over the cable and hears what is said on the way."""

    def __init__(
        self,
        driver: SerialDriver,
        store: BlobStore,
        data: Path,
        lookout: CableLookout,
        job_of: Callable[[Mac], str],
        holds: Holds,
    ) -> None:
        """
        Prepare.

        Args:
            driver: talks to ports.
            store: where images are.
            data: the data directory.
            lookout: releases and policy.
            job_of: the open job of a bridge.
            holds: takes that a bridge is being written, so that nobody ends the agent meanwhile.
        """
        super().__init__(driver, store, data, self._examine, looks=True)
        self.driver = driver
        self.lookout = lookout
        self._job_of = job_of
        self._holds = holds
        self._devices: dict[Mac, SerialDevice] = {}
        self._facts: dict[str, ImageFacts] = {}
        self._found: Found | str = "Nobody has looked for its release yet."
        self.logs: dict[str, CableLog] = {}
        """By job, the newest few."""

    async def judge(self, request: Request, facts: ImageFacts) -> Decision | str:
        """Return the policy's word with what the file says of itself, or why there is none."""
        device = self._devices.get(request.mac)
        found = await self.lookout.again(request)
        if isinstance(found, str) or device is None:
            return found if isinstance(found, str) else "Nobody has asked the chip yet."
        self._facts = {request.release.digest: facts}
        return self.lookout.decision(device, found, request.acks, request.reason, facts)

    async def identify(self, request: Request, hear: Hear) -> SerialDevice:
        """Return what is on the port; see `Cable`."""
        device = await super().identify(request, self._noting(request, hear))
        self._devices[request.mac] = device
        return device

    async def plan(self, request: Request, device: SerialDevice) -> FlashPlan | Trouble:
        """Look the release up again and ask policy and guards; see `Cable`."""
        self._found = await self.lookout.again(request)
        return await super().plan(request, device)

    async def holds(self, request: Request, plan: FlashPlan, hear: Hear) -> bool:
        """Return whether it is all there already; see `Cable`."""
        return await super().holds(request, plan, self._noting(request, hear))

    async def backup(self, request: Request, device: SerialDevice, hear: Hear) -> None:
        """Copy what the request says; see `Cable`."""
        await super().backup(request, device, self._noting(request, hear))

    async def write(self, request: Request, plan: FlashPlan, hear: Hear) -> None:
        """Carry the plan out; see `Cable`."""
        with self._holds.hold(f"writing {written(request.mac)} over USB", LONGEST_WRITE_S):
            await super().write(request, plan, self._noting(request, hear))

    async def verify(self, request: Request, plan: FlashPlan, hear: Hear) -> None:
        """Compare the flash with the image; see `Cable`."""
        await super().verify(request, plan, self._noting(request, hear))

    async def observe(self, request: Request, hear: Hear) -> BootReport:
        """Start the bridge and hear how that goes; see `Cable`."""
        report = await super().observe(request, self._noting(request, hear))
        log = self._log(request)
        for line in report.lines:
            log.add(f"bridge: {line}")
        return report

    def _examine(self, request: Request, device: SerialDevice) -> Looked | str:
        found = self._found
        if isinstance(found, str):
            return found
        facts = self._facts.get(request.release.digest)
        decision = self.lookout.decision(device, found, request.acks, request.reason, facts)
        return Looked(found.release, found.image, facts, decision)

    def _noting(self, request: Request, hear: Hear) -> Hear:
        log = self._log(request)

        def heard(now: Progress) -> None:
            log.enter(str(now.phase))
            if now.text:
                log.add(now.text)
            hear(now)

        return heard

    def _log(self, request: Request) -> CableLog:
        job = self._job_of(request.mac)
        if job not in self.logs:
            while len(self.logs) >= MOST_LOGS:
                del self.logs[next(iter(self.logs))]
            self.logs[job] = CableLog()
        return self.logs[job]
