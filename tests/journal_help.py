"""What the tests of the journal share: a look at its files, and patience."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.journal import Journal

NOON = datetime(2026, 6, 1, 12, tzinfo=ZoneInfo("Europe/London"))
PATIENCE_S = 20


async def everything(journal: Journal) -> list[dict[str, object]]:
    return [event.data for event in await journal.events(limit=1_000_000, after_id=0)]


async def until(condition: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, f"gave up waiting: {what}"
        await asyncio.sleep(0.005)


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


def set_mode(path: Path, mode: int) -> None:
    path.chmod(mode)


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
