"""What every peer process needs: a port from the system, a wait that ends, an end that is sure."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"
POLL_S = 0.02
_GIVEN: set[int] = set()


class PeerError(Exception):
    """A peer did not come up or died; the message ends with the last lines of its log."""


def free_port() -> int:
    """Return a TCP port that is free now; the peer that gets it keeps it over restarts."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        # Until its peer listens the system may hand it out again: two devices at one port.
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port


def accepts(port: int) -> bool:
    """Whether something listens on that port of the loopback."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


def tail(log: Path, lines: int = 20) -> str:
    """Return the last lines of a log."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def wait_ready(
    process: subprocess.Popen[bytes], ready: Callable[[], bool], timeout_s: float, log: Path
) -> float:
    """Wait until the peer is ready and return the seconds it took; a dead peer ends it at once."""
    began = time.monotonic()
    while not ready():
        if process.poll() is not None:
            raise PeerError(f"ended with {process.returncode}:\n{tail(log)}")
        if time.monotonic() - began > timeout_s:
            raise PeerError(f"not ready after {timeout_s} s:\n{tail(log)}")
        time.sleep(POLL_S)
    return time.monotonic() - began


def end(process: subprocess.Popen[bytes] | None, signum: signal.Signals, timeout_s: float) -> None:
    """Signal the peer's whole session and reap it; what outlives the timeout is killed."""
    if process is None:
        return
    for each in (signum, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, each)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
            break
    if process.stdin:
        process.stdin.close()


class PeerProcess:
    """A peer that is one process; as a context it runs for the block and dies with it."""

    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again, and return when it is ready."""
        raise NotImplementedError

    def kill(self) -> None:
        """End it as a power cut would, without a word to anyone."""
        end(self._process, signal.SIGKILL, 10)
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
