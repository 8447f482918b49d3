"""A link to a Core for a test, and waits that end with the event and not with the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from agent.homeassistant.link import Backoff, Link, LinkState
from agent.homeassistant.websocket import CoreConnection, Timing

QUICK = Timing(
    ping_s=0.3, pong_s=0.5, backoff=Backoff(first_s=0.1, longest_s=0.5), refused_retry_s=0.3
)


@asynccontextmanager
async def linked(
    url: str, token: Callable[[], str], timing: Timing = QUICK, *watched: str
) -> AsyncIterator[CoreConnection]:
    """Run a link until the block ends; it may not be up yet."""
    connection = CoreConnection(url, token, timing=timing)
    connection.watch(watched)
    running = asyncio.create_task(connection.run())
    try:
        yield connection
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until_link(connection: CoreConnection, wanted: LinkState, timeout_s: float = 60) -> Link:
    """Wait until the link is in that state."""
    reached = asyncio.Event()
    end = connection.subscribe_link(lambda link: reached.set() if link.state is wanted else None)
    try:
        if connection.link.state is not wanted:
            async with asyncio.timeout(timeout_s):
                await reached.wait()
    finally:
        end()
    return connection.link


async def until(
    subscribe: Callable[[Callable[..., None]], Callable[[], None]],
    holds: Callable[[], bool],
    timeout_s: float = 60,
) -> None:
    """Wait until a condition holds, looking again whenever the subscription calls."""
    came = asyncio.Event()
    end = subscribe(lambda *_: came.set())
    try:
        async with asyncio.timeout(timeout_s):
            while not holds():
                came.clear()
                await came.wait()
    finally:
        end()
