"""
The inverter and the agent as processes of their own, and how to wait for what they do.

Both are met from outside only: the inverter by its control port, which tells the truth about
registers and energy; the agent by its page's API, its journal on disk, and signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.peers.homeassistant import Core
from tests.peers.mosquitto import Broker
from tests.peers.process import PeerError, end, tail

ROOT = Path(__file__).parents[2]
WRITE = {"X-Requested-With": "pv-edge-agent"}
POLL_S = 0.2
_OPEN = re.compile(r"open http://127\.0\.0\.1:(\d+)")

Json = dict[str, Any]


async def eventually(
    holds: Callable[[], Awaitable[object]],
    within_s: float,
    what: str,
    shown: Callable[[], Awaitable[object]] | None = None,
) -> float:
    """Wait until something holds and return the seconds it took; else fail, saying what is."""
    began_s = time.monotonic()
    while not await holds():
        if time.monotonic() - began_s > within_s:
            instead = await shown() if shown else ""
            raise AssertionError(f"not within {within_s:.0f} s: {what}. Instead: {instead}")
        await asyncio.sleep(POLL_S)
    return time.monotonic() - began_s


async def watched(
    holds: Callable[[], Awaitable[object]],
    for_s: float,
    what: str,
    shown: Callable[[], Awaitable[object]],
) -> None:
    """Watch that something goes on to hold; that nothing happens can only be seen over a time."""
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        assert await holds(), f"no longer: {what}. Instead: {await shown()}"
        await asyncio.sleep(POLL_S)


def events_of(data: Path, since: int = 0) -> list[Json]:
    """Return what a journal holds after that number, each with `id`, `at_s` and `kind`."""
    journal = sqlite3.connect(f"file:{data}/journal.sqlite3?mode=ro", uri=True)
    with contextlib.closing(journal):
        rows = journal.execute(
            "SELECT id, at_s, kind, data FROM events WHERE id > ? ORDER BY id", (since,)
        ).fetchall()
    return [{**json.loads(d), "id": n, "at_s": at, "kind": kind} for n, at, kind, d in rows]


class Process:
    """A child of the test with its output in a file, in a session of its own."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.popen: subprocess.Popen[bytes] | None = None

    def spawn(self, command: list[str], environment: Mapping[str, str]) -> int:
        """Start it and return where its output begins in the log."""
        already = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(  # noqa: S603
                command,
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return already

    async def said(self, pattern: re.Pattern[str], since: int, within_s: float) -> re.Match[str]:
        """Wait for a line of its output."""
        until_s = time.monotonic() + within_s
        while True:
            found = pattern.search(self.log.read_bytes()[since:].decode(errors="replace"))
            if found:
                return found
            if self.popen is None or self.popen.poll() is not None or time.monotonic() > until_s:
                raise PeerError(f"did not say {pattern.pattern!r}:\n{tail(self.log)}")
            await asyncio.sleep(POLL_S / 4)

    def kill(self) -> None:
        """End it without a word."""
        end(self.popen, signal.SIGKILL, 10)
        self.popen = None

    async def terminated(self, number: signal.Signals, within_s: float) -> tuple[int, float]:
        """Send a signal and return exit code and seconds."""
        if self.popen is None:
            raise RuntimeError("it does not run")
        began_s = time.monotonic()
        self.popen.send_signal(number)
        code = await asyncio.to_thread(self.popen.wait, within_s)
        self.popen = None
        return code, time.monotonic() - began_s

    async def interrupted(self, within_s: float) -> tuple[int, float]:
        """Do what Ctrl-C does in a terminal: interrupt all of it; return exit code and seconds."""
        if self.popen is None:
            raise RuntimeError("it does not run")
        began_s = time.monotonic()
        os.killpg(self.popen.pid, signal.SIGINT)
        code = await asyncio.to_thread(self.popen.wait, within_s)
        return code, time.monotonic() - began_s

    async def tail(self) -> str:
        """Return the last lines of its output."""
        return tail(self.log)


class Simulator(Process):
    """The inverter and its house, at the speed of real life."""

    modbus_port = 0
    _url = ""

    async def start(self, http: aiohttp.ClientSession, **plant: float) -> None:
        """Start it; `plant` are options of its command line."""
        self._http = http
        options = {"start-s": 43_200, "soc": 72, **plant}
        flags = [f"--{name.replace('_', '-')}={value:g}" for name, value in options.items()]
        since = self.spawn([sys.executable, "-m", "agent.simulator", *flags], os.environ)
        line = await self.said(re.compile(r'^\{"modbus_port.*\}$', re.MULTILINE), since, 20)
        ports = json.loads(line[0])
        self.modbus_port = ports["modbus_port"]
        self._url = f"http://127.0.0.1:{ports['control_port']}"

    async def state(self) -> Json:
        """Return the truth about the house."""
        async with self._http.get(f"{self._url}/state") as answer:
            return await answer.json()

    async def set(self, **wishes: Any) -> None:
        """Change what a test may change."""
        async with self._http.post(f"{self._url}/set", json=wishes) as answer:
            assert answer.status == 200, await answer.text()

    async def discharging(self) -> bool:
        """Whether its own registers show a discharge."""
        dispatch = (await self.state())["dispatch"]
        return bool(dispatch["active"] and dispatch["power_w"] > 0)

    async def idle(self) -> bool:
        """Whether its registers show no dispatch and nothing of the battery goes to the grid."""
        state = await self.state()
        return not state["dispatch"]["active"] and state["plant"]["true_grid_w"] > -100

    async def undispatched(self) -> bool:
        """Whether its registers show no dispatch."""
        return not (await self.state())["dispatch"]["active"]


class Agent(Process):
    """The agent as `python -m agent run` starts it, and its page's API."""

    def __init__(self, directory: Path, http: aiohttp.ClientSession) -> None:
        super().__init__(directory / "agent.log")
        self.data = directory / "data"
        self.environment = dict(os.environ)
        self._http = http
        self._url = ""

    def meet(self, core: Core, broker: Broker) -> None:
        """Tell it where Home Assistant and the broker are."""
        self.environment |= {
            "PV_EDGE_HA_URL": core.url,
            "PV_EDGE_HA_TOKEN": core.token,
            "PV_EDGE_MQTT_HOST": broker.host,
            "PV_EDGE_MQTT_PORT": str(broker.port),
            "PV_EDGE_MQTT_USERNAME": broker.username,
            "PV_EDGE_MQTT_PASSWORD": broker.password,
        }

    async def start(self) -> float:
        """Start, or start again on the same data, and return the seconds until its page is up."""
        began_s = time.monotonic()
        command = [sys.executable, "-m", "agent", "run", "--data", str(self.data), "--port", "0"]
        since = self.spawn(command, self.environment)
        port = (await self.said(_OPEN, since, 30))[1]
        self._url = f"http://127.0.0.1:{port}"
        return time.monotonic() - began_s

    async def state(self) -> Json:
        """Return the snapshot that the page shows."""
        async with self._http.get(f"{self._url}/api/state") as answer:
            return await answer.json()

    async def health(self) -> tuple[int, str]:
        """Return what the Supervisor's watchdog is told: status and words."""
        async with self._http.get(f"{self._url}/health") as answer:
            return answer.status, (await answer.json())["text"]

    async def request(self, kind: str) -> Json:
        """Ask as the page does."""
        async with self._http.post(
            f"{self._url}/api/requests", json={"kind": kind}, headers=WRITE
        ) as answer:
            return await answer.json()

    async def ask(self, op: str, mac: str) -> Json:
        """Ask for something about one bridge as the page does."""
        body = {"op": op, "mac": mac}
        async with self._http.post(
            f"{self._url}/api/bridges/ask", json=body, headers=WRITE
        ) as answer:
            return await answer.json()

    async def settings(self, **changes: Any) -> None:
        """Change settings as the page does."""
        async with self._http.patch(
            f"{self._url}/api/settings", json=changes, headers=WRITE
        ) as answer:
            assert answer.status == 200, await answer.text()

    async def setting_values(self) -> Json:
        """Return all settings as the page does."""
        async with self._http.get(f"{self._url}/api/settings") as answer:
            return await answer.json()

    def events(self, since: int = 0) -> list[Json]:
        """Return what the journal holds after that number."""
        return events_of(self.data, since)

    def last_event(self) -> int:
        """Return the number of the newest event."""
        return max((event["id"] for event in self.events()), default=0)

    async def wrote(self, kinds: str | set[str], since: int, within_s: float) -> Json:
        """Wait for an event of one of these kinds and return it."""
        wanted = {kinds} if isinstance(kinds, str) else kinds
        found: list[Json] = []

        async def holds() -> bool:
            found[:] = [event for event in self.events(since) if event["kind"] in wanted]
            return bool(found)

        async def shown() -> object:
            return [f"{event['kind']}: {event.get('text')}" for event in self.events(since)]

        await eventually(holds, within_s, f"{sorted(wanted)} in the journal", shown)
        return found[0]
