"""A publisher, an agent that is started, and real devices that take what is installed."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.firmware.image.store import BlobStore
from tests.acceptance.parts import WRITE, Json, eventually
from tests.firmware import repo
from tests.flashing.on_trial import BUNDLE, PROJECT
from tests.fleet.test_agent import Caretaker, caretaker, listed, sticker
from tests.peers.esphome import Device
from tests.peers.mosquitto import Broker

_OPEN = re.compile(r"open http://127\.0\.0\.1:(\d+)")


class Installer(Caretaker):
    """The started agent with what it says of updates, and its publisher."""

    bundle: Path
    published: repo.Repo

    async def start(self) -> float:
        began_s = time.monotonic()
        module = [sys.executable, "-m", "tests.flashing.on_trial"]
        command = [*module, "run", "--data", str(self.data), "--port", "0"]
        since = self.spawn(command, self.environment)
        await self.opens(since)
        return time.monotonic() - began_s

    async def opens(self, since: int) -> None:
        """Wait until the page is open; its output begins at `since` in the log."""
        self._url = f"http://127.0.0.1:{(await self.said(_OPEN, since, 30))[1]}"

    async def publishes(self, version: str, image: bytes, **changes: Any) -> None:
        """Release an image, keep it where a download would have put it, and have it looked for."""
        await asyncio.to_thread(self._publish, version, image, changes)
        if self.popen is not None:
            status, answer = await self.posts("releases/look", {})
            assert status == 200, answer

    def _publish(self, version: str, image: bytes, changes: dict[str, Any]) -> None:
        digest = BlobStore(self.data / "blobs").add(image)
        file = {
            "kind": "ota",
            "chip": "esp32",
            "file": f"bridge-{version}.ota.bin",
            "size": len(image),
            "sha256": digest,
            "md5": hashlib.md5(image, usedforsecurity=False).hexdigest(),
            "slot_size": len(image),
        }
        plain = {"hw": [], "boards": [], "min_chip_revision": 0, "trusts": [], "images": [file]}
        health = {"confirm_after_s": 5, "expect_entities": ["sensor.beat"]}
        self.published.release("stable", version, health=health, **{**plain, **changes})
        self.published.publish("stable")
        self.published.save(self.bundle)

    async def posts(self, what: str, body: Json) -> tuple[int, Json]:
        """Ask as the page does."""
        url = f"{self._url}/api/{what}"
        async with self._http.post(url, json=body, headers=WRITE) as answer:
            return answer.status, await answer.json()

    async def offered(self, device: Device) -> Json:
        """Return what a device is offered."""
        bridges = (await self.state())["releases"]["bridges"]
        return next((it for it in bridges if it["mac"] == sticker(device)), {})

    async def jobs(self) -> list[Json]:
        """Return the jobs, the newest first."""
        return list((await self.state())["flashing"]["jobs"])

    async def is_offered(self, device: Device, version: str) -> None:
        """Return when a connected device is offered a version, and could be flashed."""

        async def holds() -> bool:
            return (await self.offered(device)).get("latest") == version

        await eventually(holds, 20, f"{version} is offered", lambda: self.offered(device))
        await self.becomes({sticker(device): "online"}, 20)

    async def installs(self, device: Device, version: str, *acks: str) -> str:
        """Click, and return the job's name."""
        body = {"mac": sticker(device), "version": version, "acks": list(acks)}
        status, answer = await self.posts("flashing/install", body)
        assert status == 200, answer
        return str(answer["job"])

    async def job(self, name: str) -> Json:
        """Return one job."""
        return next(it for it in await self.jobs() if it["job"] == name)

    async def verdict(self, name: str, within_s: float = 60) -> Json:
        """Return the job once it has ended."""

        async def holds() -> bool:
            return not (await self.job(name))["open"]

        await eventually(holds, within_s, f"job {name} has ended", lambda: self.job(name))
        return await self.job(name)

    def story(self, name: str) -> list[str]:
        """Return what the journal says of a job: its stages and what was seen."""
        lines = [it for it in self.events() if it["kind"] == "flash_job" and it["job"] == name]
        return [str(it.get("stage") or it.get("mark") or it["line"]) for it in lines]


@asynccontextmanager
async def installing(
    folder: Path,
    *devices: Device,
    core: Any = None,
    broker: Broker | None = None,
    kind: type[Installer] = Installer,
    **settings: Any,
) -> AsyncIterator[Installer]:
    """Prepare an agent for these devices; start it when something is published."""
    keys = {it.mac: it.key or "" for it in devices}
    url, token = (core.url, core.token) if core else ("http://127.0.0.1:9", "token")
    given: dict[str, Any] = {"bridge_list": listed(*devices), **settings}
    async with caretaker(folder, url, token, keys, kind=kind, **given) as agent:
        assert isinstance(agent, Installer)
        agent.bundle = folder / "bundle"
        agent.published = repo.Repo(at=datetime.now(UTC), project=PROJECT)
        agent.environment[BUNDLE] = str(agent.bundle)
        if core is not None and broker is not None:
            agent.meet(core, broker)
        yield agent
