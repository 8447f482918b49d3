"""
The thread that asks `judge` once a second, and the pulse that the event loop gives it.

The thread touches nothing that a stuck loop may hold: it reads figures that the loop left behind,
and the kernel's. When it ends the process it writes to the bare descriptor, because a lock of the
logging may be held. A loop that keeps the interpreter to itself stops the thread too; then
the kernel's timer of used processor time, which every look sets back, writes the same dump and ends
the process by its signal. A machine that sleeps uses none.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import resource
import select
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NoReturn

from agent.journal import Journal, JournalError
from agent.watchdog import EXIT_ILL, End, Facts, Hold, Limits, Watch, held, judge

LIMITS = Limits()
PULSE_S = 1.0
ASK_JOURNAL_S = 5.0
_STATM = Path("/proc/self/statm")
_STDERR = 2
_LAST_WORDS_S = 5.0
_HELD_PROCESSOR_S = 1800.0
"""While something is held: longer than any hold, as this thread may not get to set it back."""


class AgentIllError(Exception):
    """The agent has ended itself in order; whoever started it should start it again."""


class Holds:
    """Work in other processes that the watchdog must not cut off; may be used from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[int, tuple[Hold, int | None]] = {}
        self._numbers = count()

    @contextlib.contextmanager
    def hold(self, what: str, longest_s: float, pid: int | None = None) -> Iterator[None]:
        """
        Have the watchdog wait while this block runs.

        Args:
            what: for the log: `writing bridge-1 over USB`.
            longest_s: seconds after which it counts no longer; above the work's own deadline.
            pid: of our child that works. It counts no longer once that has ended, also where a
                loop that is stuck never learns of it.
        """
        number = next(self._numbers)
        self._open[number] = Hold(what, self._clock() + longest_s), pid
        try:
            yield
        finally:
            del self._open[number]

    def now(self) -> str:
        """Return what must not be cut off now; "" if there is nothing."""
        at_work = (hold for hold, pid in tuple(self._open.values()) if not _ended(pid))
        return held(at_work, self._clock())


def _ended(pid: int | None) -> bool:
    """Return True when a child has ended; whoever waits for it still learns how."""
    if pid is None:
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True  # and somebody has been told already


class Pulse:
    """What the loop leaves behind each second for whoever watches it."""

    def __init__(self, journal: Journal, flashing: Callable[[], str]) -> None:
        """
        Prepare; `run` beats.

        Args:
            journal: asked now and then whether it still answers.
            flashing: what the loop is writing to a bridge at the moment; "" for nothing.
        """
        self._journal = journal
        self._flashing = flashing
        self._asking: asyncio.Task[None] | None = None
        self.last = Facts(0, None, journal_ended=False, tasks=0, rss_bytes=0)

    async def run(self) -> None:
        """Beat until cancelled."""
        asked_s = -ASK_JOURNAL_S
        try:
            while True:
                now_s = time.monotonic()
                if now_s - asked_s >= ASK_JOURNAL_S and (not self._asking or self._asking.done()):
                    asked_s = now_s
                    self._asking = asyncio.create_task(self._ask(), name="journal-asked")
                    await asyncio.sleep(0)
                self.last = Facts(
                    beat=self.last.beat + 1,
                    journal_since=self._journal.owes_since,
                    journal_ended=not self._journal.alive,
                    tasks=len(asyncio.all_tasks()),
                    rss_bytes=0,
                    flashing=self._flashing(),
                )
                await asyncio.sleep(PULSE_S)
        finally:
            if self._asking:
                self._asking.cancel()

    async def _ask(self) -> None:
        # A guard that rests writes nothing for minutes, and would not notice.
        with contextlib.suppress(JournalError):
            await self._journal.answers()


class Watchdog:
    """The thread; it looks until its `watching` block ends."""

    def __init__(self, pulse: Pulse, holds: Holds, stop: Callable[[], None]) -> None:
        """
        Prepare.

        Args:
            pulse: what the loop leaves behind.
            holds: what must not be cut off.
            stop: begins the orderly end; called in the loop.
        """
        self.end: End | None = None
        """Why the agent was stopped in order; `None` while it is well."""
        self._pulse = pulse
        self._holds = holds
        self._stop = stop
        self._limits = LIMITS
        self._loop = asyncio.get_running_loop()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block runs."""
        # What SIGPROF did before, which is to end the process, follows the dump.
        faulthandler.register(signal.SIGPROF, file=_STDERR, all_threads=True, chain=True)
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()
            _allow_processor(0)
            faulthandler.unregister(signal.SIGPROF)

    def _run(self) -> None:
        limits = self._limits
        watch = Watch(time.monotonic())
        ends_s = float("inf")
        while not self._over.wait(limits.every_s):
            busy = self._holds.now()
            _allow_processor(_HELD_PROCESSOR_S if busy else limits.processor_s)
            now_s = time.monotonic()
            facts = replace(self._pulse.last, rss_bytes=_rss_bytes(), held=busy)
            watch, end = judge(watch, facts, now_s, limits)
            if end is not None and not end.orderly:
                _die(end.text)
            if end is not None and self.end is None:
                self.end, ends_s = end, now_s + limits.orderly_s
                self._loop.call_soon_threadsafe(self._stop)
                _say(f"is being ended: {end.text}; the battery is given back first")
            if now_s >= ends_s and not (busy or facts.flashing):
                _die("it could not be ended in order")


@contextlib.asynccontextmanager
async def watched(
    journal: Journal, holds: Holds, flashing: Callable[[], str], stop: Callable[[], None]
) -> AsyncIterator[None]:
    """
    Watch this process and its loop while the block runs; see `Pulse` and `Watchdog`.

    Raises:
        AgentIllError: after the block, when it was the watchdog that had it stopped.
    """
    pulse = Pulse(journal, flashing)
    dog = Watchdog(pulse, holds, stop)
    with dog.watching():
        beating = asyncio.create_task(pulse.run(), name="pulse")
        try:
            yield
        finally:
            beating.cancel()
    if dog.end is not None:
        raise AgentIllError(f"ended by its own watchdog: {dog.end.text}. Start it again.")


def _rss_bytes() -> int:
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0  # not on Linux


def _allow_processor(seconds: float) -> None:
    """Let the process use this much processor time until the next look; 0 for any."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _say(text: str) -> None:
    """Write without a lock, as a stuck loop may hold that of the log, and without waiting."""
    with contextlib.suppress(OSError, ValueError):  # nobody has ever listened
        if select.select((), (_STDERR,), (), 0)[1]:
            os.write(_STDERR, f"pv-edge-agent: {text}.\n".encode())


def _die(why: str) -> NoReturn:
    """Say where every thread stands, and end without asking anybody."""
    # What nobody reads any more may be what the loop is stuck at: then SIGALRM ends us.
    signal.setitimer(signal.ITIMER_REAL, _LAST_WORDS_S)
    _say(f"ends itself: {why}; this is where it stands")
    try:
        faulthandler.dump_traceback(file=_STDERR, all_threads=True)
    finally:
        os._exit(EXIT_ILL)
