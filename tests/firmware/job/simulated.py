"""
Simulated bridges with jobs on them: our uploader over the wire, a journal on the disk, and kills.

The bridge is the one that ESPHome's own uploader judges. It has no native API, so what is seen of
it comes from itself; how a connection sees a real device is shown with real ones.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent.clock import SystemClock
from agent.firmware.job.models import BuildId, Check, Patience, ReleaseRef, Request
from agent.firmware.job.over_the_air import OverTheAir, Place
from agent.firmware.job.ports import Ports, Seen, Told
from agent.firmware.job.runner import FlashJobs
from agent.firmware.ota.driver import Limits
from agent.firmware.ota.models import Secrets
from agent.fleet.contact import ContactState
from agent.fleet.identity import Mac
from agent.journal import Journal
from agent.simulator.ota_boot import Fate, Flash, Image, Timing
from agent.simulator.ota_bridge import LOOPBACK, OtaBridge
from agent.simulator.ota_rules import OtaRules
from tests.firmware.job.scene import PROJECT, Moments, Store

FAST = Timing(closes_s=0.02, boots_s=0.03, fails_after_s=0.08, watchdog_s=0.2, good_after_s=0.2)
PATIENCE = Patience(
    moment_s=3.0, moment_every_s=0.05, margin_s=0.35, settle_s=0.25, return_s=0.5, deadline_s=2.0
)


def made(version: str, fate: Fate = Fate.GOOD) -> bytes:
    """Return an image that says what it is and how it does."""
    return f"{version}|{fate}|".encode() + bytes(range(256)) * 160


def read(image: bytes) -> Image:
    """Return what such an image is."""
    version, fate, _ = image.split(b"|", 2)
    return Image(hashlib.sha256(image).hexdigest(), version.decode(), Fate(fate.decode()))


def release_of(image: bytes, version: str) -> ReleaseRef:
    digest = hashlib.sha256(image).hexdigest()
    return ReleaseRef(PROJECT, version, 1, digest, len(image), "esp32", confirm_after_s=0)


class Bridge(OtaBridge):
    """A simulated bridge that can be watched."""

    def __init__(
        self, number: int, rules: OtaRules | None = None, *, rollback: bool = True
    ) -> None:
        first = read(made("1.0.0"))
        super().__init__(
            Flash(first, rollback=rollback),
            rules or OtaRules(),
            timing=FAST,
            read=read,
            changed=self._turned,
        )
        self.mac = Mac(f"02005e30{number:04x}")
        self.wakes: list[Callable[[], None]] = []
        self._was: object = None
        self._since_s = time.monotonic()

    def _turned(self, _: OtaBridge) -> None:
        now = (self.is_up, self.flash.safe_mode, self.flash.boots)
        if now != self._was:
            self._was, self._since_s = now, time.monotonic()
        for wake in tuple(self.wakes):
            wake()

    def seen(self) -> Seen:
        """Return how a connection to it would see it."""
        if self.flash.safe_mode:
            return Seen(ContactState.SAFE_MODE, self._since_s)
        if not self.is_up:
            return Seen(ContactState.UNREACHABLE, self._since_s)
        return Seen(ContactState.ONLINE, self._since_s, self.build, frozenset(), True)

    @property
    def build(self) -> BuildId | None:
        """Return what it says it runs."""
        return BuildId(PROJECT, self.flash.running.version) if self.is_up else None


class _Watching:
    def __init__(self, bridge: Bridge, tell: Callable[[Seen], None]) -> None:
        self._bridge = bridge
        self._tell = tell
        bridge.wakes.append(self._changed)

    def _changed(self) -> None:
        self._tell(self._bridge.seen())

    def look(self) -> Seen:
        return self._bridge.seen()

    def end(self) -> None:
        self._bridge.wakes.remove(self._changed)


@dataclass
class Site:
    """Simulated bridges and the agent's room of jobs; the agent can be killed anywhere."""

    directory: Path
    bridges: Mapping[Mac, Bridge]
    secrets: Mapping[Mac, Secrets] = field(default_factory=dict)
    places: int = 50
    store: Store = field(default_factory=Store)
    moments: Moments = field(default_factory=Moments)
    kill_at: int = 0
    """The boundary at which it dies; 0 for none."""
    points: list[str] = field(default_factory=list)
    """The boundaries that were passed, by name."""
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: dict[Mac, str] = field(default_factory=dict)

    async def point(self, name: str) -> None:
        """Pass a boundary, or die there: nothing after it happens in this process."""
        self.points.append(name)
        if len(self.points) == self.kill_at:
            self.dead.set()
            await asyncio.Event().wait()

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[FlashJobs]:
        """Run an agent on what the journal holds; leaving it is the agent's sudden end."""
        async with await Journal.open(self.directory / "journal.sqlite3") as journal:
            watched = _Killable(journal, self)
            air = OverTheAir(
                self._place,
                lambda mac: self.secrets.get(mac, Secrets()),
                self.store.payload,
                limits=Limits(connect_s=1, answer_s=1, extra_attempts=0),
            )
            self.air = air
            ports = Ports(self, self, self, self, self)
            clock = SystemClock(ZoneInfo("Europe/London"))
            jobs = FlashJobs(
                watched,  # type: ignore[arg-type]
                ports,
                clock,
                places=self.places,
                patience=PATIENCE,
            )
            await jobs.recall()
            running = asyncio.create_task(jobs.run())
            try:
                yield jobs
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    def _place(self, mac: Mac) -> Place | None:
        return Place((LOOPBACK,), self.bridges[mac].port)

    async def _acted(self, name: str, act: Callable[[], Awaitable[Any]]) -> Any:
        await self.point(f"before {name}")
        found = await act()
        await self.point(f"after {name}")
        return found

    # The ports, each with a boundary before and after.

    async def hold(self, mac: Mac) -> str:
        told: str = await self._acted("hold", lambda: self.moments.hold(mac))
        return told

    def release(self, mac: Mac) -> None:
        self.moments.release(mac)

    async def check(self, request: Request) -> Check:
        async def look() -> Check:
            refused = self.refusals.get(request.mac)
            build = self.bridges[request.mac].build
            return Check(time.monotonic(), (refused,) if refused else (), build, "gates_failed")

        told: Check = await self._acted("check", look)
        return told

    async def fetch(self, release: ReleaseRef, told: Told) -> Any:
        return await self._acted("fetch", lambda: self.store.fetch(release, told))

    async def verify(self, request: Request) -> Any:
        return await self._acted("verify", lambda: self.store.verify(request))

    async def contains(self, release: ReleaseRef, text: str) -> bool | None:
        return await self.store.contains(release, text)

    async def upload(self, request: Request, told: Told) -> Any:
        return await self._acted("upload", lambda: self.air.upload(request, told))

    def watch(
        self, mac: Mac, tell: Callable[[Seen], None], hear: Callable[[str], None]
    ) -> _Watching:
        return _Watching(self.bridges[mac], tell)


class _Killable:
    """The real journal, with a boundary before and after each line."""

    def __init__(self, journal: Journal, site: Site) -> None:
        self._journal = journal
        self._site = site

    async def append(self, kind: str, data: Mapping[str, object], at: datetime) -> int:
        name = f"{data['line']} {data.get('stage', data.get('mark', ''))}".strip()
        await self._site.point(f"before the line {name}")
        number = await self._journal.append(kind, data, at)
        await self._site.point(f"after the line {name}")
        return number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)
