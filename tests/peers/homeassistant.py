"""
A real Home Assistant Core on loopback that tests start, ask, kill and start again.

Everything about a Core lies in its configuration directory: a killed Core that is started again
on the same directory is the same house after a power cut, with the same address and tokens. The
newest Core may live in a Debian of its own (see `install.py`); its mounts are private to the
process and end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.peers.ha_storage import MqttEntry, seed
from tests.peers.install import InstalledCore, installed_core, program
from tests.peers.mosquitto import Broker
from tests.peers.process import LOOPBACK, PeerError, PeerProcess, end, free_port, tail, wait_ready

HERE = Path(__file__).parent
FIRST_WITH_HTTP_STORE = (2026, 1)
IN_CHROOT = """
mount --bind "$1" "$2/config" && mount --bind "$3" "$2/launcher" &&
mount --rbind /proc "$2/proc" && mount --rbind /dev "$2/dev" &&
exec chroot "$2" "$4" -P -X faulthandler /launcher/ha_launcher.py --skip-pip -c /config
"""


class Core(PeerProcess):
    """
    One Core with its directory, port and tokens.

    Args:
        version: one of `install.CORES`; it must be installed.
        directory: the configuration directory; made here.
        broker: what Core's MQTT integration talks to; without one there is no such integration.
        packages: Home Assistant packages by name, as `hillview.package` makes them.
        configuration: further top-level keys of `configuration.yaml`.
        time_zone: the house's own.
        hears_announcements: Core joins mDNS on loopback, as it does in a house.
    """

    def __init__(
        self,
        version: str,
        directory: Path,
        *,
        broker: Broker | None = None,
        packages: Mapping[str, object] | None = None,
        configuration: Mapping[str, object] | None = None,
        time_zone: str = "Europe/London",
        hears_announcements: bool = False,
    ) -> None:
        installed = installed_core(version)
        if installed is None:
            raise LookupError(f"Home Assistant {version} is not installed; run script/setup")
        self.version = version
        self.directory = directory
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.started_in_s = 0.0
        self._installed: InstalledCore = installed
        self._hears = {"CORE_HEARS_ANNOUNCEMENTS": "1"} if hears_announcements else {}

        mqtt = None
        if broker is not None:
            mqtt = MqttEntry(broker.host, broker.port, broker.core_username, broker.core_password)
        year, month = version.split(".")[:2]
        http_store = (int(year), int(month)) >= FIRST_WITH_HTTP_STORE
        self.owner, self.resident = seed(directory, self.port, mqtt, http_store=http_store)
        self.token = self.owner.token

        yaml: dict[str, object] = {
            "homeassistant": {
                "name": "Test house",
                "latitude": 51.5,
                "longitude": -1.0,
                "elevation": 50,
                "unit_system": "metric",
                "time_zone": time_zone,
                "country": "GB",
                "currency": "GBP",
                "packages": dict(packages or {}),
            },
            "api": None,
            "config": None,
            "frontend": None,
            "websocket_api": None,
            "logger": {"default": "warning"},
            **(configuration or {}),
        }
        if not http_store:
            yaml["http"] = {"server_host": LOOPBACK, "server_port": self.port}
        # JSON is YAML.
        (directory / "configuration.yaml").write_text(json.dumps(yaml, indent=1))

    @property
    def pid(self) -> int | None:
        """The process of Core itself while it runs."""
        return self._process.pid if self._process else None

    def spawn(self) -> None:
        """Start the process and return at once; see `wait_running`."""
        if self._process is not None:
            raise RuntimeError(f"Core {self.version} runs already")
        env = dict(os.environ)
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # each start would compile Core again
        if self._installed.chroot:
            shell = [program("unshare") or "unshare", "--mount", "--propagation", "private"]
            mounts = [str(self.directory), self._installed.chroot, str(HERE)]
            command = [*shell, "sh", "-c", IN_CHROOT, "sh", *mounts, self._installed.python]
            paths = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/opt", "LANG": "C.UTF-8"}
            env = paths
        else:
            launcher = str(HERE / "ha_launcher.py")
            arguments = [launcher, "--skip-pip", "-c", str(self.directory)]
            # -P, because `homeassistant.py` here has the name of Core's own package.
            command = [self._installed.python, "-P", "-X", "faulthandler", *arguments]
        with (self.directory / "core.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,  # never written to: it ends when this process does
                stdout=log,
                stderr=log,
                env=env | self._hears,
                start_new_session=True,
            )

    def wait_running(self, timeout_s: float = 120) -> None:
        """Block until start-up is complete; the page answers well before that."""
        if self._process is None:
            raise RuntimeError(f"Core {self.version} was not started")
        log = self.directory / "core.log"
        try:
            self.started_in_s = wait_ready(self._process, self.is_running, timeout_s, log)
        except PeerError as error:
            end(self._process, signal.SIGABRT, 10)  # faulthandler writes where it hangs
            raise PeerError(f"{error}\n{tail(log, 60)}") from None

    def start(self, timeout_s: float = 120) -> None:
        """Start, or start again on the same directory and port, and wait until it runs."""
        self.spawn()
        self.wait_running(timeout_s)

    async def running(self, timeout_s: float = 120) -> None:
        """Wait as `wait_running` does, without holding up the event loop."""
        await asyncio.to_thread(self.wait_running, timeout_s)

    async def stopped(self, timeout_s: float = 120) -> None:
        """Stop as `stop` does, without holding up the event loop."""
        await asyncio.to_thread(self.stop, timeout_s)

    def stop(self, timeout_s: float = 120) -> None:
        """End it in order: Core says goodbye to MQTT and writes its stores."""
        end(self._process, signal.SIGTERM, timeout_s)
        self._process = None

    def let_go(self) -> None:
        """Do to this Core what the death of the test process would do."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def pause(self) -> None:
        """Freeze it: connections stay open and nobody answers."""
        os.kill(self._running_pid(), signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        os.kill(self._running_pid(), signal.SIGCONT)

    def log(self, lines: int = 10_000) -> str:
        """Return what this Core, over all its starts, has complained about."""
        return tail(self.directory / "core.log", lines)

    def is_running(self) -> bool:
        """Whether Core says of itself that its start-up is complete."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=5)
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(connection),
        ):
            headers = {"Authorization": f"Bearer {self.token}"}
            connection.request("GET", "/api/core/state", headers=headers)
            answer = connection.getresponse()
            return answer.status == http.HTTPStatus.OK and b'"RUNNING"' in answer.read()
        return False

    def _running_pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"Core {self.version} does not run")
        return self._process.pid

    async def __aenter__(self) -> Self:
        self.spawn()
        await self.running()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
