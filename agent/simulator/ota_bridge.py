"""
A simulated bridge that takes uploads as a real one does, and then lives with the image.

It serves one uploader at a time and lets the next one wait. After an upload it closes its ports,
restarts into the new image and does what that image's fate says: runs, dies and comes back with
the old one, hangs until the watchdog, or keeps dying until safe mode. Who simulates the rest of
the bridge, such as its native API, is told of each start and each end.

ESPHome's own uploader is the judge of this server: see its tests.

Source: esphome.md, sections 3, 5 and 7.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Self

from agent.simulator.ota_boot import (
    Cause,
    Fate,
    Flash,
    Image,
    Timing,
    confirmed,
    started,
)
from agent.simulator.ota_channel import Plain
from agent.simulator.ota_rules import Fault, OtaRules
from agent.simulator.ota_talk import Talk

LOOPBACK = "127.0.0.1"
_DIES = {Fate.NEVER_UP: Cause.CRASH, Fate.CRASHES: Cause.CRASH, Fate.HANGS: Cause.WATCHDOG}


def unread(image: bytes) -> Image:
    """Return what is known of an image that is nothing but bytes: its hash."""
    return Image(hashlib.sha256(image).hexdigest())


class OtaBridge:
    """
    One bridge on loopback.

    Args:
        flash: what it runs at first.
        rules: how its upload server behaves; may be replaced at any time.
        timing: how long its restarts take.
        read: says what an uploaded image is and how it will do.
        changed: called after each start, end and confirmation; looks at `flash` and `is_up`.
    """

    host = LOOPBACK

    def __init__(
        self,
        flash: Flash,
        rules: OtaRules,
        *,
        timing: Timing | None = None,
        read: Callable[[bytes], Image] = unread,
        changed: Callable[[OtaBridge], None] = lambda _: None,
    ) -> None:
        self.flash = flash
        self.rules = rules
        self.port = 0
        self.is_up = False
        """Its application runs and answers: not while it restarts, hangs or is in safe mode."""
        self.uploads = 0
        """Images that it committed."""
        self._timing = timing or Timing()
        self._read = read
        self._changed = changed
        self._hangs = False
        self._next: Image | None = None
        self._server: asyncio.Server | None = None
        self._turn = asyncio.Lock()
        self.hits: Counter[Fault] = Counter()
        """How often an upload came to each of the faults."""
        self._timers: list[asyncio.TimerHandle] = []
        self._talks: set[asyncio.Task[None]] = set()
        self._life: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._up(Cause.POWER)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.power_off()

    async def power_off(self) -> None:
        """Take the power away."""
        if self._life is not None:
            self._life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._life
            self._life = None
        await self._down()

    def restart(self, cause: Cause) -> None:
        """Start again for that cause, after the time that a start takes."""
        self._life = asyncio.ensure_future(self._reborn(cause))

    async def _reborn(self, cause: Cause) -> None:
        await self._down()
        await asyncio.sleep(self._timing.boots_s)
        await self._up(cause)

    async def _down(self) -> None:
        self.is_up = self._hangs = False
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for talk in tuple(self._talks):
            talk.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None
        self._changed(self)

    async def _up(self, cause: Cause) -> None:
        self.flash = started(self.flash, cause, self._next)
        self._next = None
        fate = self.flash.running.fate
        dies = _DIES.get(fate) if not self.flash.safe_mode else None
        if fate is Fate.NEVER_UP and dies is not None:
            self._later(0.0, self.restart, dies)
            self._changed(self)
            return
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=2**14)
        self.port = self._server.sockets[0].getsockname()[1]
        self.is_up = not self.flash.safe_mode
        if dies is None:
            self._later(self._timing.good_after_s, self._confirm)
        elif fate is Fate.CRASHES:
            self._later(self._timing.fails_after_s, self.restart, dies)
        else:
            self._later(self._timing.fails_after_s, self._hang)
        self._changed(self)

    def _hang(self) -> None:
        self.is_up = False
        self._hangs = True
        self._later(self._timing.watchdog_s, self.restart, Cause.WATCHDOG)
        self._changed(self)

    def _confirm(self) -> None:
        self.flash = confirmed(self.flash)
        self._changed(self)

    def _later(self, after_s: float, what: Callable[..., None], *words: Cause) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(after_s, what, *words))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._talks.add(task)
        try:
            async with self._turn:
                if self._hangs:
                    await asyncio.Event().wait()
                done = await Talk(Plain(reader, writer), self.rules, self).run()
            writer.close()
            if done:
                self.uploads += 1
                self._later(self._timing.closes_s, self.restart, Cause.OTA)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            if task is not None:
                self._talks.discard(task)

    # What a talk asks of its bridge.

    def due(self, fault: Fault) -> bool:
        """Whether a fault that an upload has reached hits it."""
        self.hits[fault] += 1
        return self.hits[fault] <= fault.times

    def begun(self) -> None:
        """Know that an upload begins, which makes the running image good."""
        self._confirm()

    def commit(self, image: bytes) -> None:
        """Take an image for the next start."""
        self._next = self._read(image)
