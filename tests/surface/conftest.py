"""A server with a desk made by hand, and what it audited."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import ClientSession

from agent.surface.web.auth import WRITE_HEADER, WRITE_HEADER_VALUE, Gate, Policy
from agent.surface.web.server import WebServer
from tests.surface.desks import HandGuard, HandSettings

WRITES = {WRITE_HEADER: WRITE_HEADER_VALUE}


async def never_asked(_user_id: str) -> bool:
    raise AssertionError("nobody should be looked up here")


@dataclass
class House:
    """One running server and everything around it."""

    guard: HandGuard
    settings: HandSettings
    server: WebServer
    audited: list[tuple[str, str, str]]
    port: int = 0
    client: ClientSession = field(default=None)  # type: ignore[assignment]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def make_house(folder: Path, gate: Gate | None = None, heartbeat_s: float = 15) -> House:
    guard, settings = HandGuard(), HandSettings(folder)
    audited: list[tuple[str, str, str]] = []
    server = WebServer(
        guard,
        settings,
        gate or Gate(Policy(supervised=False), never_asked),
        lambda *what: audited.append(what),
        heartbeat_s=heartbeat_s,
    )
    return House(guard, settings, server, audited)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = make_house(tmp_path, heartbeat_s=0.2)
    made.port = await made.server.start("127.0.0.1", 0)
    async with ClientSession(made.url, headers=WRITES) as made.client:
        yield made
    await made.server.stop()
