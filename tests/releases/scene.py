"""The rooms of the releases over a real publisher's repository, mirror and worker."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.fleet.identity import Mac
from agent.fleet.record import Fleet
from agent.fleet.sighting import Source
from agent.journal import Event, Journal
from agent.releases.rooms import ReleaseRooms
from agent.releases.service import ReleaseService, Setup
from agent.settings import SettingsStore
from agent.surface.release_view import BridgeOffer
from tests.firmware.https import HttpsServer
from tests.firmware.repo import BUILT, PROJECT, Repo, day
from tests.fleet.devices import fleet_of, mac, word


def bridge(number: int = 1, **said: Any) -> Fleet:
    """Return a fleet of one bridge that we are connected to."""
    told = {
        "name": f"bridge-{number}",
        "project_name": PROJECT,
        "project_version": "1.0.0",
        "platform": "ESP32",
        "board": "esp32dev",
    }
    return fleet_of(word(number, Source.CONNECTION, **{**told, **said}))


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return a ZIP archive of these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return packed.getvalue()


@dataclass
class Scene:
    """One agent's rooms of the releases, a clock that a test moves, and the publisher."""

    folder: Path
    store: SettingsStore
    journal: Journal
    repo: Repo
    allow_development: bool = False
    ca_file: str | None = None
    now: datetime = field(default_factory=lambda: day(1))
    fleet: Fleet = field(default_factory=bridge)
    rooms: ReleaseRooms = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Start the rooms, as a process does."""
        setup = Setup(
            self.folder,
            self.folder / "bundle",
            BUILT,
            self.allow_development,
            self.ca_file,
            settle_s=0.0,
        )
        self.rooms = ReleaseRooms(setup, self.store, self.journal, lambda: self.now)
        self.service.fleet = lambda: self.fleet

    @property
    def service(self) -> ReleaseService:
        return self.rooms.service

    def offer(self, number: int = 1) -> BridgeOffer:
        return self.service.offers()[Mac(mac(number))]

    async def events(self, *kinds: str) -> list[Event]:
        return await self.journal.events(kinds=kinds)

    async def until(self, holds: Callable[[], object]) -> None:
        changed = asyncio.Event()
        end = self.service.subscribe(changed.set)
        try:
            async with asyncio.timeout(30):
                while not holds():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            raise AssertionError(self.rooms.desk.shown()) from None
        finally:
            end()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.service.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    def serve(self, server: HttpsServer) -> None:
        """Let a mirror deliver what is published now."""
        server.files = {f"/{path}": data for path, data in self.repo.files.items()}


@asynccontextmanager
async def scene(folder: Path, repo: Repo | None = None, **more: Any) -> AsyncIterator[Scene]:
    """Make a scene whose app came with what is published at its beginning."""
    published = repo or Repo()
    published.save(folder / "bundle")
    journal = await Journal.open(folder / "journal.sqlite3")
    try:
        yield Scene(folder, SettingsStore(folder), journal, published, **more)
    finally:
        await journal.close()
