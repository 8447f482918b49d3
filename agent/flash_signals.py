"""Ctrl-C while a flash runs: the first asks for a safe end, a later one insists."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AbstractAsyncContextManager, suppress
from typing import Protocol

from agent.flash_models import Ended


class Pressable(Protocol):
    """A flash that can be asked to end."""

    async def run(self) -> Ended:
        """Return what became of it."""
        ...

    def stop(self) -> None:
        """End as safely as the moment allows; called at the first Ctrl-C or SIGTERM."""
        ...

    def leave(self) -> bool:
        """End all the same, at each later one; False leaves at once, without a verdict."""
        ...


async def pressed_by(opening: AbstractAsyncContextManager[Pressable]) -> Ended:
    """Open a flash, carry it out, and return what became of it; heed Ctrl-C all the while."""
    running: list[Pressable] = []
    presses = 0

    async def work() -> Ended:
        async with opening as flash:
            running.append(flash)
            return await flash.run()

    task = asyncio.ensure_future(work())

    def pressed() -> None:
        nonlocal presses
        presses += 1
        if presses == 1 and running:
            running[0].stop()
        elif not running or not running[0].leave():
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(RuntimeError, ValueError):  # not in the main thread: nobody presses
            loop.add_signal_handler(number, pressed)
    return await task
