"""
The agent inside this process, with a virtual ESP on a pseudo terminal and real esptool beside it.

Only the list of ports is told, because the kernel knows no USB device behind a pseudo terminal, and
what takes minutes with a person takes parts of a second here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from aiohttp import ClientSession

from agent.app import App, Place, opened
from agent.firmware.image.store import BlobStore
from agent.firmware.job import runner
from agent.firmware.job.models import Patience
from agent.firmware.serial import hotplug
from agent.firmware.serial.pace import LADDER
from agent.firmware.serial.ports import SerialPort, Usb
from agent.flashing import rooms
from agent.options import Options
from agent.releases import rooms as release_rooms
from agent.releases.service import Setup
from tests.acceptance.parts import WRITE
from tests.cable_help import (
    MAC,
    PLUGGED,
    PROJECT,
    QUICK,
    VERSION,
    CableBench,
    Starter,
    cable_bench,
    listed,
)
from tests.firmware.serial.boards import COMMAND

STICK = SerialPort("/dev/ttyUSB9", Usb(0x10C4, 0xEA60, "7", "ITead", "Sonoff Zigbee 3.0"))
NOBODY = "http://127.0.0.1:9"


@dataclass
class Agent:
    """The agent and the bridge on its cable."""

    bench: CableBench
    app: App
    url: str
    http: ClientSession
    running: asyncio.Task[None]
    wish: dict[str, Any] = field(default_factory=dict)

    @property
    def plugged(self) -> SerialPort:
        """The port of the bridge, as the kernel would tell it."""
        return listed(self.bench.port.path)

    async def shown(self) -> dict[str, Any]:
        """Return what the page is shown of cables."""
        async with self.http.get(f"{self.url}/api/recovery") as answer:
            return dict(await answer.json())

    async def posts(self, what: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """Ask as the page does."""
        url = f"{self.url}/api/recovery/{what}"
        async with self.http.post(url, json=body, headers=WRITE) as answer:
            return answer.status, await answer.json()

    async def until(
        self, holds: Callable[[dict[str, Any]], Any], what: str, within_s: float = 30
    ) -> Any:
        """Return what holds of the picture once it does."""
        began_s = time.monotonic()
        while not (found := holds(await self.shown())):
            assert time.monotonic() < began_s + within_s, f"{what}: {await self.shown()}"
            await asyncio.sleep(0.03)
        return found

    async def identified(self) -> dict[str, Any]:
        """Have the chip asked who it is, and return what it said."""
        port = self.bench.port.path
        status, answer = await self.posts("identify", port=port)
        assert status == 200, answer
        lines = lambda it: [line for line in it["ports"] if line["port"] == port]  # noqa: E731
        found = await self.until(
            lambda it: [
                one["device"] for one in lines(it) if (one["device"] or {}).get("releases")
            ],
            "it is identified, and releases are known",
        )
        return dict(found[0])

    async def checked(self, **changes: Any) -> dict[str, Any]:
        """Have the release of the bench checked, and keep what there is to confirm."""
        wish = {
            "port": self.bench.port.path,
            "mac": MAC,
            "channel": "stable",
            "project": PROJECT,
            "version": VERSION,
            "reason": "it is dead",
            "backup": "none",
        }
        self.wish = wish | changes
        status, answer = await self.posts("check", **self.wish)
        assert status == 200, answer
        self.wish["digest"] = answer.get("digest", "")
        return answer

    async def ended(self) -> dict[str, Any]:
        """Return the newest job once it has ended."""
        done = lambda it: [job for job in it["jobs"][:1] if not job["open"]]  # noqa: E731
        return dict((await self.until(done, "the job has ended", 60))[0])


def _setup(bundle: Path, data: Path) -> Setup:
    return Setup(data, bundle, settle_s=0.0)


@asynccontextmanager
async def recovering(folder: Path, **bench: Any) -> AsyncIterator[Agent]:
    """Start an agent for a bridge that hangs on its cable."""
    async with cable_bench(folder, **bench) as made:
        made.data.mkdir(exist_ok=True)
        BlobStore(made.data / "blobs").add(made.content)
        driver = partial(Starter, made.port, QUICK, LADDER, COMMAND)
        waits = partial(Patience, settle_s=0.2, network_s=0.5)
        with (
            mock.patch.object(hotplug, "list_ports", side_effect=lambda *_: tuple(PLUGGED)),
            mock.patch.object(rooms, "SerialDriver", driver),
            mock.patch.object(runner, "Patience", waits),
            mock.patch.object(
                release_rooms.ReleaseRooms,
                "__init__",
                _prepared(release_rooms.ReleaseRooms.__init__, folder / "bundle"),
            ),
        ):
            async with _started(made) as agent:
                yield agent


def _prepared(init: Callable[..., None], bundle: Path) -> Callable[..., None]:
    def prepared(self: Any, setup: Setup, *rest: Any) -> None:
        init(self, _setup(bundle, setup.data_dir), *rest)

    return prepared


@asynccontextmanager
async def _started(bench: CableBench) -> AsyncIterator[Agent]:
    options = Options(ha_url=NOBODY, ha_token="token")
    opening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    place = Place(bench.data, port=0, bundle=bench.folder / "bundle")
    async with opened(options, place) as app, ClientSession(headers=WRITE) as http:
        running = asyncio.create_task(app.run(opening.set_result))
        await asyncio.wait({running, opening}, return_when=asyncio.FIRST_COMPLETED)
        agent = Agent(bench, app, f"http://127.0.0.1:{await opening}", http, running)
        try:
            await agent.until(lambda it: it["ports"], "the port is listed")
            yield agent
        finally:
            app.stopping.set()
            await asyncio.wait_for(running, 60)
