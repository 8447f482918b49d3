"""
An agent's room of jobs in a process of its own, which kills itself where it is told.

The bridge lives on in the test: the image goes to it over the wire, and what a connection would
see of it comes as lines over another one. Nothing of a killed process survives but its journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.firmware.job.models import BuildId, Request
from agent.firmware.job.over_the_air import Place
from agent.firmware.job.ports import Seen
from agent.fleet.contact import ContactState
from agent.instance import sole_owner
from agent.simulator.ota_boot import Fate
from tests.firmware.job.scene import PROJECT, ended
from tests.firmware.job.simulated import LOOPBACK, PATIENCE, Bridge, Site, made, release_of

STARTING = multiprocessing.get_context("forkserver")
STARTING.set_forkserver_preload([__name__])
JOB = "job"
PATIENT = replace(PATIENCE, margin_s=1.0, settle_s=0.6, return_s=3.0, deadline_s=10.0)
"""The bridge lives in another process, which may have to wait for this one."""


@dataclass(frozen=True)
class Told:
    """What a process is told."""

    directory: Path
    mac: str
    upload_port: int
    state_port: int
    fate: Fate
    kill_at: str
    """The boundary at which it dies; "" for none."""


@dataclass
class FarBridge:
    """A bridge in another process."""

    port: int
    now: Seen | None = None
    wakes: list[Callable[[], None]] = field(default_factory=list)

    @property
    def build(self) -> BuildId | None:
        return self.now.build if self.now else None

    def seen(self) -> Seen:
        assert self.now is not None
        return self.now

    async def follow(self, state_port: int, known: asyncio.Event) -> None:
        """Take in how it stands, until cancelled."""
        reader, _ = await asyncio.open_connection(LOOPBACK, state_port)
        while line := await reader.readline():
            told = json.loads(line)
            build = BuildId(PROJECT, told["version"]) if told["version"] else None
            since_s = time.monotonic() - told["for_s"]
            self.now = Seen(ContactState(told["state"]), since_s, build, frozenset(), True)
            known.set()
            for wake in tuple(self.wakes):
                wake()


class Doomed(Site):
    """A site whose process dies at a boundary, by name."""

    die_at = ""

    async def point(self, name: str) -> None:
        if name == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _place(self, mac: Any) -> Place | None:
        return Place((LOOPBACK,), self.bridges[mac].port)


def process(told: Told) -> None:
    """Be the agent: hold the directory, carry the job to its end."""
    asyncio.run(_agent(told))


async def _agent(told: Told) -> None:
    bridge: Any = FarBridge(told.upload_port)
    known = asyncio.Event()
    following = asyncio.create_task(bridge.follow(told.state_port, known))
    await known.wait()
    site = Doomed(told.directory, {told.mac: bridge})  # type: ignore[dict-item]
    site.die_at = told.kill_at
    site.patience = PATIENT
    image = made("1.1.0", told.fate)
    site.store.put(image)
    with sole_owner(told.directory):
        async with site.agent() as jobs:
            asked = await jobs.start(
                Request(told.mac, release_of(image, "1.1.0"), "Ada"),  # type: ignore[arg-type]
                JOB,
            )
            assert asked.id == JOB  # type: ignore[union-attr]
            await ended(jobs, JOB, 20)
    following.cancel()


@contextlib.asynccontextmanager
async def shown(bridge: Bridge) -> AsyncIterator[int]:
    """Tell whoever connects how the bridge stands; yields the port."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        changed = asyncio.Event()
        bridge.wakes.append(changed.set)
        try:
            while not writer.is_closing():
                changed.clear()
                writer.write(json.dumps(_line(bridge.seen())).encode() + b"\n")
                await writer.drain()
                await changed.wait()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            bridge.wakes.remove(changed.set)
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _line(seen: Seen) -> Mapping[str, object]:
    version = seen.build.version if seen.build else None
    return {"state": seen.state, "for_s": time.monotonic() - seen.since_s, "version": version}


async def ran(told: Told) -> int | None:
    """Run a process to its end and return its exit code, negative by a signal."""
    running = STARTING.Process(target=process, args=(told,))
    running.start()
    await asyncio.to_thread(running.join, 40)
    if running.exitcode is None:
        running.kill()
    return running.exitcode
