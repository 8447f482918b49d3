"""
Real bridges with jobs on them: the fleet's own connections, our uploader, a journal on the disk.

What stands in for the rest of the house are the words of gates and guard, which have tests of
their own; whatever touches a bridge or the disk is what the agent runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.clock import SystemClock
from agent.firmware.job import recovery
from agent.firmware.job.models import (
    Check,
    FileWord,
    JobState,
    Patience,
    ReleaseRef,
    Request,
)
from agent.firmware.job.observer import FleetWatcher, build_of
from agent.firmware.job.over_the_air import OverTheAir, Place
from agent.firmware.job.ports import Ports, Told
from agent.firmware.job.preflight import Looked, checked
from agent.firmware.job.runner import FlashJobs, Refused
from agent.firmware.manifest.models import Health, ImageKind, Release, ReleaseImage
from agent.firmware.ota.driver import Limits
from agent.firmware.ota.models import Secrets
from agent.firmware.ota.payload import Payload
from agent.firmware.policy.models import Decision
from agent.fleet.evidence import Around, evidence_of
from agent.fleet.gate_models import Rules
from agent.fleet.identity import Mac
from agent.fleet.keeper import Keeper
from agent.fleet.probe import ports
from agent.fleet.record import BridgeRecord
from agent.journal import Journal
from tests.fleet.houses import by_hand
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import API_KEY
from tests.peers.process import LOOPBACK

QUICK = Patience(margin_s=1.5, settle_s=1.5, return_s=4.0, deadline_s=12.0)
UPLOADS = Limits(connect_s=2.0, answer_s=1.5, extra_attempts=0)
PROJECT = "pv-edge.alphaess-bridge"


def release_of(image: bytes, version: str, **said: object) -> ReleaseRef:
    digest = hashlib.sha256(image).hexdigest()
    told: dict[str, object] = {"confirm_after_s": 5, "expect_entities": ("sensor.beat",), **said}
    return ReleaseRef(PROJECT, version, 1, digest, len(image), "esp32", **told)  # type: ignore[arg-type]


class Store:
    """`Images`, in memory; the real one has its own tests."""

    def __init__(self) -> None:
        self.images: dict[str, bytes] = {}

    def put(self, image: bytes) -> None:
        self.images[hashlib.sha256(image).hexdigest()] = image

    async def fetch(self, release: ReleaseRef, told: Told) -> FileWord:
        told(release.size_bytes, release.size_bytes)
        return FileWord(release.digest in self.images, "It is not in the store.", network=True)

    async def verify(self, request: Request) -> FileWord:
        image = self.images.get(request.release.digest, b"")
        return FileWord(hashlib.sha256(image).hexdigest() == request.release.digest, "Damaged.")

    async def contains(self, release: ReleaseRef, text: str) -> bool | None:
        image = self.images.get(release.digest)
        return None if image is None else text.encode() in image

    async def payload(self, release: ReleaseRef) -> Payload:
        return Payload(self.images[release.digest])


@dataclass
class Moments:
    """`SafeMoment`: a guard that says when."""

    held: set[Mac] = field(default_factory=set)
    waits: dict[Mac, str] = field(default_factory=dict)
    log: list[tuple[str, Mac]] = field(default_factory=list)

    async def hold(self, mac: Mac) -> str:
        self.log.append(("hold", mac))
        if mac in self.waits:
            return self.waits[mac]
        self.held.add(mac)
        return ""

    def release(self, mac: Mac) -> None:
        self.log.append(("release", mac))
        self.held.discard(mac)


class Scene:
    """Devices, their connections and the jobs."""

    def __init__(self, journal: Journal, *devices: Device) -> None:
        self.devices = {Mac(it.mac): it for it in devices}
        self.store = Store()
        self.moments = Moments()
        self.ports: dict[Mac, int] = {Mac(it.mac): it.ota_port for it in devices}
        self.secrets: dict[Mac, Secrets] = {}
        self.journal = journal
        self.wakes: list[Callable[[], None]] = []
        self.keeper = Keeper(
            keys=lambda mac: self.devices[mac].key if mac in self.devices else API_KEY,
            on_event=lambda _: None,
            on_change=lambda _: self._changed(),
            upload_ports=lambda mac: self.ports.get(mac, 1) if mac else 1,
        )
        self.jobs = self.make_jobs()

    def record(self, mac: Mac) -> BridgeRecord | None:
        """Return what the fleet knows of a bridge."""
        return self.keeper.fleet.records.get(mac)

    def make_jobs(self) -> FlashJobs:
        """Return the jobs of an agent that starts."""
        watcher = FleetWatcher(self.record, self.keeper.bridge, self._subscribe, time.monotonic)
        air = OverTheAir(
            self._place, lambda mac: self.secrets[mac], self.store.payload, limits=UPLOADS
        )
        rooms = Ports(self.moments, self, self.store, air, watcher)
        clock = SystemClock(ZoneInfo("Europe/London"))
        return FlashJobs(self.journal, rooms, clock, places=50, patience=QUICK)

    async def check(self, request: Request) -> Check:
        record = self.keeper.fleet.records.get(request.mac)
        contact = record.contact if record else None
        if record is not None and recovery.in_safe_mode(record):
            return checked(request, await self._looked(record, request))
        if record is None or contact is None or not contact.online:
            detail = contact.detail if contact else "It was never seen."
            return Check(time.monotonic(), (detail,), code="gates_failed")
        return Check(time.monotonic(), (), build_of(record))

    def _place(self, mac: Mac) -> Place | None:
        record = self.keeper.fleet.records.get(mac)
        if record is not None and recovery.in_safe_mode(record):
            if not recovery.may_send(self.jobs.jobs, mac):
                return None
            records = self.keeper.fleet.records.values()
            own = recovery.own_addresses(record, records)
            return Place(own, self.ports[mac], in_safe_mode=True)
        if record is None or build_of(record) is None:
            return None
        return Place((LOOPBACK,), self.ports[mac])

    async def _looked(self, record: BridgeRecord, request: Request) -> Looked:
        """Gather for a bridge in safe mode; of gates and policy the release is ours to make up."""
        mac, ref, told = request.mac, request.release, record.told
        image = ReleaseImage(ImageKind.OTA, ref.chip, "ota.bin", ref.size_bytes, ref.digest)
        at = datetime.now(UTC)
        release = Release(
            ref.project, ref.version, 1, at, "", (image,), Health(5), (told.board or "",)
        )
        # All these devices are one compiled program: whose key is whose is tried elsewhere.
        secrets, records = {mac: self.secrets[mac]}, self.keeper.fleet.records.values()
        known = recovery.known_of(record, records, self.jobs.jobs, secrets)
        looks = await ports((LOOPBACK,), told.api_port, self.ports[mac], 1.0)
        around = Around(upload_port=looks.upload, discharging_through=frozenset())
        now_s = time.monotonic()
        seen = evidence_of(record, {}, frozenset(), around, now_s, at)
        return Looked(seen, release, image, Decision(()), Rules(), now_s, known)

    def _subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        self.wakes.append(wake)
        return lambda: self.wakes.remove(wake)

    def _changed(self) -> None:
        for wake in tuple(self.wakes):
            wake()

    async def online(self, *macs: Mac) -> None:
        """Return when these are connected."""

        def away() -> dict[Mac, object]:
            contacts = {mac: (it := self.record(mac)) and it.contact for mac in macs}
            return {mac: it for mac, it in contacts.items() if it is None or not it.online}

        try:
            await self.until(lambda: not away())
        except TimeoutError:
            raise AssertionError(f"not online: {away()}") from None

    async def until(self, holds: Callable[[], object]) -> None:
        """Return when it is so."""
        came = asyncio.Event()
        end = self._subscribe(came.set)
        try:
            async with asyncio.timeout(15):
                while not holds():
                    came.clear()
                    await came.wait()
        finally:
            end()

    async def verdict(self, asked: JobState | Refused) -> JobState:
        """Return the job once it has ended."""
        assert isinstance(asked, JobState), asked
        return await ended(self.jobs, asked.id)


async def ended(jobs: FlashJobs, job: str, timeout_s: float = 60) -> JobState:
    """Return the job once it has ended."""
    await becomes(jobs, lambda: not jobs.jobs.by_id[job].open, timeout_s)
    return jobs.jobs.by_id[job]


async def becomes(jobs: FlashJobs, holds: Callable[[], object], timeout_s: float = 60) -> None:
    """Return when it is so."""
    changed = asyncio.Event()
    end = jobs.subscribe(changed.set)
    try:
        async with asyncio.timeout(timeout_s):
            while not holds():
                changed.clear()
                await changed.wait()
    finally:
        end()


@asynccontextmanager
async def scene(directory: Path, *devices: Device) -> AsyncIterator[Scene]:
    """Run the connections to these devices and the jobs."""
    async with await Journal.open(directory / "journal.sqlite3") as journal:
        it = Scene(journal, *devices)
        running = [asyncio.create_task(it.keeper.run()), asyncio.create_task(it.jobs.run())]
        for device in devices:
            it.keeper.word(by_hand(device, mac=Mac(device.mac)))
        try:
            yield it
        finally:
            for task in running:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
