"""Ctrl-C while a flash runs: the first asks for a safe end, a later one insists."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def pressed_by(
    work: Coroutine[Any, Any, T], stop: Callable[[], None], insist: Callable[[], bool]
) -> T:
    """
    Return what comes of the work.

    Args:
        work: the flash.
        stop: called at the first Ctrl-C or SIGTERM.
        insist: called at each later one; False leaves the work at once, without a verdict.
    """
    task = asyncio.ensure_future(work)
    presses = 0

    def pressed() -> None:
        nonlocal presses
        presses += 1
        if presses == 1:
            stop()
        elif not insist():
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(RuntimeError, ValueError):  # not in the main thread: nobody presses
            loop.add_signal_handler(number, pressed)
    return await task
