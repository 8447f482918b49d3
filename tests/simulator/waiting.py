"""Waiting for something to become true, with a limit that only a failure reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(true: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Return as soon as the condition holds; it is looked at often and costs nothing."""
    async with asyncio.timeout(limit_s):
        while not true():  # noqa: ASYNC110 - plain state has no event to wait for
            await asyncio.sleep(0.005)
