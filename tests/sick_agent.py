"""
The agent as it is started, with an inverter outside of it and an illness that a signal brings on.

`python -m tests.sick_agent demo --data …`: the house is the simulator at the given port, so that
its registers outlive the agent; SIGUSR1 makes it ill in the given way. Nothing of this can be
reached in the agent itself. Its patience is shorter here; all else is the agent.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from agent import houses, watchdog_thread
from agent.__main__ import main
from agent.app import App
from agent.clock import SystemClock
from agent.export import guard
from agent.house.embedded import EmbeddedHouse
from agent.house.firmware import EmbeddedFirmware
from agent.houses import House
from agent.watchdog import MIB, Limits

INVERTER = "SICK_INVERTER_PORT"
ILLNESS = "SICK_ILLNESS"
IDENTITY = "direct simulated inverter"
PRODUCED_WH = 4200.0
_run = App.run
_kept: list[Any] = []


@asynccontextmanager
async def outside(clock: SystemClock, _seed: int) -> AsyncIterator[House]:
    """Give the house of an inverter that is a process of its own."""
    adapter = EmbeddedHouse(
        "127.0.0.1",
        int(os.environ[INVERTER]),
        day_base=(0.0, -PRODUCED_WH),
        forecast_today_wh=6000.0,
        today=lambda: clock.now().day,
    )
    firmware = EmbeddedFirmware(adapter)

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(adapter.run())
            tasks.create_task(firmware.run())

    yield House(adapter, adapter, lambda: IDENTITY, run, firmware)


def loop(_: App) -> None:
    """The loop waits for something that never comes."""
    time.sleep(600)


def journal(app: App) -> None:
    """The journal's thread waits for a lock that nobody gives back."""
    never = threading.Event()
    work = app.journal._submit("hangs", lambda _: never.wait(), durable=False)
    _kept.append(asyncio.ensure_future(work))


def memory(_: App) -> None:
    """Something is kept that nobody needs; what it takes while it warms up is no leak."""
    asyncio.get_running_loop().call_later(
        watchdog_thread.LIMITS.warm_up_s, lambda: _kept.append(b"x" * (400 * MIB))
    )


ILLNESSES: dict[str, Callable[[App], None]] = {it.__name__: it for it in (loop, journal, memory)}


async def run_until_ill(self: App, ready: Callable[[int], None]) -> None:
    """Run as ever, and fall ill at the signal."""
    ill = ILLNESSES[os.environ[ILLNESS]]
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, ill, self)
    await _run(self, ready)


if __name__ == "__main__":
    houses.simulated = outside
    App.run = run_until_ill  # type: ignore[method-assign]
    watchdog_thread.LIMITS = Limits(
        loop_s=4, journal_s=6, warm_up_s=3, lasting_s=2, every_s=0.2, orderly_s=30
    )
    watchdog_thread.PULSE_S, watchdog_thread.ASK_JOURNAL_S = 0.2, 0.5
    guard._JOURNAL_STUCK_S = 1.0
    sys.exit(main())
