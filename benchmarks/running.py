"""
What the benchmarks run: the agent as its own process, and the peers they install by themselves.

The agent is never imported into the process that measures: what it costs is what a house pays.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Self

from tests.peers.install import OLDEST, MissingPeerError, install
from tests.peers.process import LOOPBACK, PeerError, end, tail

ROOT = Path(__file__).parents[1]
_BEGAN_S = time.monotonic()
_POLL_S = 0.002
_STARTS_WITHIN_S = 60.0


def note(text: str) -> None:
    """Tell the person who waits what happens; the result goes to standard output alone."""
    print(f"[{time.monotonic() - _BEGAN_S:6.1f} s] {text}", file=sys.stderr, flush=True)


def need_core(version: str = OLDEST) -> str:
    """
    Install Home Assistant Core unless it is there, and return its version.

    Raises:
        MissingPeerError: this machine cannot have it.
    """
    # The installer tells its progress on standard output, where only our result belongs.
    with contextlib.redirect_stdout(sys.stderr):
        found = install(version)
    if found is None:
        raise MissingPeerError(f"Home Assistant {version} cannot be installed here")
    return version


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without what would make each start compile again."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PV_EDGE_")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env | variables


class Program:
    """One process with its output in a file, told to end when the block ends."""

    def __init__(self, command: list[str], env: Mapping[str, str], log: Path) -> None:
        self._command = command
        self._env = dict(env)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.began_s = 0.0
        """When it was executed, on the monotonic clock."""

    @property
    def pid(self) -> int:
        """The process while it runs."""
        if self._process is None:
            raise RuntimeError("it does not run")
        return self._process.pid

    def __enter__(self) -> Self:
        with self._log.open("ab") as output:
            self.began_s = time.monotonic()
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process, signal.SIGTERM, 30)
        self._process = None

    def answers(self, port: int, path: str) -> float:
        """Wait until it answers 200 there; return the seconds since it was executed."""
        while not _is_ok(port, path):
            gone = self._process is None or self._process.poll() is not None
            if gone or time.monotonic() - self.began_s > _STARTS_WITHIN_S:
                raise PeerError(f"{self._command[1:4]} does not answer:\n{tail(self._log)}")
            time.sleep(_POLL_S)
        return time.monotonic() - self.began_s

    def said(self) -> str:
        """Return the end of what it said."""
        return tail(self._log)


def agent(data: Path, port: int, url: str, token: str, **options: str) -> Program:
    """Return the agent for a Core at that address, not yet started; `options` are its own."""
    command = [sys.executable, "-m", "agent", "run", "--data", str(data), "--port", str(port)]
    named = {f"PV_EDGE_{name.upper()}": value for name, value in options.items()}
    env = environment(PV_EDGE_HA_URL=url, PV_EDGE_HA_TOKEN=token, **named)
    return Program(command, env, data.parent / f"{data.name}.log")


@contextlib.asynccontextmanager
async def alongside(program: Program) -> AsyncIterator[Program]:
    """Run a program without holding up the event loop while it starts and ends."""
    await asyncio.to_thread(program.__enter__)
    try:
        yield program
    finally:
        await asyncio.to_thread(program.__exit__)


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """Give a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pv-edge-bench-") as found:
        yield Path(found)


def snapshot(port: int) -> dict[str, object]:
    """Return what the agent's page shows."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/api/state")
        found: dict[str, object] = json.loads(connection.getresponse().read())
        return found


def percentile(values: list[float], percent: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * int(percent * 10) // 1000) - 1)]


def _is_ok(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    return False
