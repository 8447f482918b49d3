"""The app as a Supervisor runs it: its container, the Supervisor's stand-in, a real broker."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from agent.surface.discovery import Topics
from tests.acceptance.parts import events_of, eventually
from tests.addon.repository import ROOT
from tests.flashing.scene import Installer
from tests.peers import containers
from tests.peers.containers import Container
from tests.peers.hassio_network import APP, HOST, SUPERVISOR
from tests.peers.mosquitto import Broker
from tests.peers.supervisor import BROKER, SupervisorStandIn
from tests.surface.mqtt_scene import Watcher

USER = {"X-Remote-User-Id": "4711", "X-Remote-User-Name": "anna", "X-Ingress-Path": "/api/x/y"}
STOP = {"X-Requested-With": "pv-edge-agent"}
HEALTHY_WITHIN_S = 60
STATUS = Topics().status
SETTINGS = {"export_limit_w": 1234.0, "tolerance_kwh": 0.5}
OPTIONS = {"log_level": "debug"}


@dataclass
class App:
    """The app in its container, and everybody around it."""

    image: str
    network: str
    data: Path
    supervisor: SupervisorStandIn
    broker: Broker
    watcher: Watcher
    stack: AsyncExitStack
    container: Container = field(init=False)

    def launch(self) -> None:
        """Make a container and start it, with a new token each time, as the Supervisor does."""
        self.supervisor.token = secrets.token_hex(28)
        options = [
            f"--network=ns:{self.network}",
            f"--add-host=supervisor:{SUPERVISOR}",
            f"--volume={self.data}:/data",
            "--tmpfs=/tmp",
            f"--env=SUPERVISOR_TOKEN={self.supervisor.token}",
        ]
        name = f"pv-edge-{secrets.token_hex(4)}"
        made = Container(name, self.image, *options)
        self.container = self.stack.enter_context(made.running())

    async def healthy(self) -> None:
        async def asked() -> bool:
            return self.health().returncode == 0

        await eventually(asked, HEALTHY_WITHIN_S, "healthy", self._said)

    def health(self) -> Any:
        return containers.podman("healthcheck", "run", self.container.name, check=False)

    async def on_the_broker(self, status: str) -> None:
        async def told() -> bool:
            return self.watcher.last.get(STATUS) == status

        await eventually(told, HEALTHY_WITHIN_S, f"{status} on the broker", self._said)

    async def wrote(self, kind: str, action: str) -> None:
        async def written() -> bool:
            events = events_of(self.data)
            return (kind, action) in [(it["kind"], it.get("action")) for it in events]

        await eventually(written, 10, f"{kind} of {action}", self._said)

    async def _said(self) -> str:
        return self.container.log()[-2000:]

    async def get(self, path: str, source: str = SUPERVISOR) -> tuple[int, str]:
        async with _from(source) as http, http.get(path, headers=USER) as answer:
            return answer.status, await answer.text()

    async def emergency_stop(self) -> int:
        wish = {"kind": "emergency_stop"}
        async with (
            _from(SUPERVISOR) as http,
            http.post("/api/requests", json=wish, headers={**USER, **STOP}) as answer,
        ):
            return answer.status


def _from(source: str) -> aiohttp.ClientSession:
    """Return a client that has this address, as the Supervisor's ingress or another app has."""
    connector = aiohttp.TCPConnector(local_addr=(source, 0))
    return aiohttp.ClientSession(f"http://{APP}:8099", connector=connector)


@asynccontextmanager
async def installed(image: str, network: str, folder: Path) -> AsyncIterator[App]:
    """Install and start the app as a Supervisor would, with a user's own options and settings."""
    data = folder / "data"
    data.mkdir()
    (data / "options.json").write_text(json.dumps(OPTIONS))
    (data / "options.json").chmod(0o600)
    (data / "settings.json").write_text(json.dumps(SETTINGS))
    supervisor = SupervisorStandIn()
    supervisor.host, supervisor.port = SUPERVISOR, 80
    broker = Broker(folder / "broker")
    broker.host = "0.0.0.0"  # noqa: S104 - of a network namespace without a way out
    async with AsyncExitStack() as stack:
        stack.enter_context(broker)
        login = {"username": broker.username, "password": broker.password}
        supervisor.broker = {**BROKER, "host": HOST, "port": broker.port, **login}
        await stack.enter_async_context(supervisor)
        watcher = Watcher(broker, Topics().base)
        await watcher.open()
        stack.callback(watcher.close)
        app = App(image, network, data, supervisor, broker, watcher, stack)
        app.launch()
        yield app


class InContainer(Installer):
    """The started agent of the flash tests, but the one of the image."""

    image: str
    names: list[str]
    """Of its containers; they outlive a command that was killed."""

    async def start(self) -> float:
        """Start it in the network of whoever tests, with the tests' own release of firmware."""
        began_s = time.monotonic()
        self.names.append(f"pv-edge-{secrets.token_hex(4)}")
        folder = self.data.parent
        told = {k: v for k, v in self.environment.items() if os.environ.get(k) != v}
        words = ["run", "--rm", f"--name={self.names[-1]}", "--init", "--network=host"]
        words += [*containers.ULIMITS, "--no-healthcheck", "--workdir=/repo"]
        words += [f"--volume={folder}:{folder}", f"--volume={ROOT / 'tests'}:/repo/tests:ro"]
        words += [f"--env={key}={value}" for key, value in told.items()]
        agent = ["python", "-m", "tests.flashing.on_trial", "run"]
        agent += [f"--data={self.data}", "--port=0"]
        command = containers.command("podman", [*words, self.image, *agent])
        await self.opens(self.spawn(command, self.environment))
        return time.monotonic() - began_s


@contextmanager
def of_image(image: str) -> Iterator[type[InContainer]]:
    """Return the agent of that image; at the end of the block none of its containers is left."""
    names: list[str] = []
    try:
        yield type("InContainer", (InContainer,), {"image": image, "names": names})
    finally:
        for name in names:
            containers.podman("rm", "--force", "--ignore", "--time=0", name, check=False)
