"""
Uploads an image to one bridge, over whichever of its addresses answers.

A broken connection is tried again while it can do no harm, which is until the last block of the
image is on its way. From then on the bridge may be committing: the answer is waited for, a wish to
stop comes too late, and a lost answer is left to who watches the bridge.

Source: esphome.md, section 5 (timers and retries); pvautonomy.md, D-18.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agent.firmware.ota import answers, noise
from agent.firmware.ota.link import Link
from agent.firmware.ota.models import NETWORK, Outcome, Progress, Secrets, Upload, Verdict
from agent.firmware.ota.payload import Payload
from agent.firmware.ota.session import Session


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient an upload is; the defaults follow the timers of the bridges."""

    connect_s: float = 10.0
    greeting_s: float = 25.0
    """A bridge gives a greeting up after 20 s and serves the next: waiting longer finds it."""
    answer_s: float = 160.0
    """Longer than the 105 s after which a bridge forgets a stalled upload, and a lost packet."""
    extra_attempts: int = 2
    """On top of one for each address."""
    pause_s: float = 1.0
    """Before an attempt that repeats; doubled each time, for a bridge that restarts."""


PATIENT = Limits()
_SIX = 6


async def upload(  # noqa: PLR0913 - one call, and everything after the fourth is named
    addresses: Sequence[str],
    port: int,
    image: Payload,
    secrets: Secrets,
    *,
    progress: Callable[[Progress], None] | None = None,
    deadline_s: float,
    cancel: asyncio.Event | None = None,
    limits: Limits = PATIENT,
) -> Upload:
    """
    Upload an image and return how that ended; what the bridge then runs has to be watched.

    Args:
        addresses: IP addresses or host names of this one bridge, best first.
        port: 3232 on an ESP32.
        image: shared by all uploads of the same image.
        secrets: what opens this bridge, and what may be given up to open it.
        progress: called on the event loop with each acknowledgement.
        deadline_s: after so many seconds it is over, whatever it does.
        cancel: set to stop it; ignored once the last block was sent.
        limits: how patient it is.

    Raises:
        ValueError: there is no address.
        asyncio.CancelledError: the task was cancelled; the connection is closed.
    """
    if not addresses:
        raise ValueError("an upload needs an address")
    run = _Run(addresses, port, image, secrets, progress, limits)
    loop = asyncio.get_running_loop()
    overdue = loop.call_later(deadline_s, lambda: run.stop(answers.overdue, deadline_s))
    waiting = asyncio.ensure_future(_when(cancel, run)) if cancel is not None else None
    try:
        if secrets.noise_psk and "aioesphomeapi.noise" not in sys.modules:
            await asyncio.to_thread(noise.load)
        return await run.go()
    finally:
        overdue.cancel()
        if waiting is not None:
            waiting.cancel()


async def _when(cancel: asyncio.Event, run: _Run) -> None:
    await cancel.wait()
    run.stop(answers.cancelled)


class _Run:
    """All attempts of one upload."""

    def __init__(
        self,
        addresses: Sequence[str],
        port: int,
        image: Payload,
        secrets: Secrets,
        progress: Callable[[Progress], None] | None,
        limits: Limits,
    ) -> None:
        self._addresses = tuple(addresses)
        self._port = port
        self._image = image
        self._secrets = secrets
        self._progress = progress
        self._limits = limits
        self._began_s = asyncio.get_running_loop().time()
        self._stopped: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._link: Link | None = None
        self._evidence: list[str] = []
        self._reached: str | None = None

    def stop(self, why: Callable[..., Verdict], *words: float) -> None:
        """End it, unless that is a wish that comes after the last block."""
        session = self._link.session if self._link is not None else None
        verdict = why(*words, session.doing if session else "while it was looked for")
        if session and session.last_block_sent and verdict.outcome is Outcome.CANCELLED:
            return
        if not self._stopped.done():
            self._stopped.set_result(verdict)
        if self._link is not None:
            self._link.stop(verdict)

    async def go(self) -> Upload:
        """Try until there is a verdict that another attempt cannot better."""
        session = None
        for address, pause_s in self._plan():
            if pause_s:
                await asyncio.wait({self._stopped}, timeout=pause_s)
            if self._stopped.done():
                break
            verdict, session = await self._attempt(address)
            self._evidence.append(f"{address}: {verdict.text}")
            if verdict.reason not in NETWORK or verdict.outcome is not Outcome.FAILED:
                return self._over(verdict, session)
        if self._stopped.done():
            verdict = self._stopped.result()
        return self._over(verdict, session)

    def _plan(self) -> Iterator[tuple[str, float]]:
        """Each address once, then the best ones again after growing pauses."""
        for address in self._addresses:
            yield address, 0.0
        for again in itertools.islice(itertools.count(), self._limits.extra_attempts):
            address = self._addresses[again % len(self._addresses)]
            yield address, self._limits.pause_s * 2**again

    async def _attempt(self, address: str) -> tuple[Verdict, Session | None]:
        connecting = asyncio.ensure_future(self._connect(address))
        try:
            either: set[asyncio.Future[Any]] = {connecting, self._stopped}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                return self._stopped.result(), None
            sock = connecting.result()
        except (OSError, UnicodeError) as error:
            return answers.unreachable(_said(error, self._limits.connect_s)), None
        finally:
            connecting.cancel()
        self._reached = address
        patience_s = (self._limits.greeting_s, self._limits.answer_s)
        link = self._link = Link(Session(self._secrets), sock, patience_s, self._progress)
        try:
            await asyncio.get_running_loop().create_connection(lambda: link, sock=sock)
            wanted = await link.wants
            if wanted is not None:
                link.supply(await self._image.form(wanted))
            return await link.ended, link.session
        finally:
            self._link = None
            await link.close()

    async def _connect(self, address: str) -> socket.socket:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limits.connect_s):
            found = await _looked_up(address, self._port)
            for at, (family, where) in enumerate(found, start=1):
                sock = socket.socket(family, socket.SOCK_STREAM)
                sock.setblocking(False)
                try:
                    await loop.sock_connect(sock, where)
                except BaseException as error:
                    sock.close()
                    if at == len(found) or not isinstance(error, OSError):
                        raise
                else:
                    return sock
        raise OSError(f"{address} has no address")

    def _over(self, verdict: Verdict, session: Session | None) -> Upload:
        return Upload(
            verdict=verdict,
            address=self._reached,
            last_block_sent=session is not None and session.last_block_sent,
            acknowledged_bytes=session.acknowledged_bytes if session else 0,
            total_bytes=session.total_bytes if session else 0,
            encrypted=session is not None and session.encrypted,
            attempts=len(self._evidence),
            seconds=asyncio.get_running_loop().time() - self._began_s,
            evidence=tuple(self._evidence),
        )


async def _looked_up(address: str, port: int) -> list[tuple[int, Any]]:
    """Return where an address leads; only names and zones cost a thread."""
    with contextlib.suppress(ValueError):
        if "%" not in address:
            six = ipaddress.ip_address(address).version == _SIX
            return [(socket.AF_INET6 if six else socket.AF_INET, (address, port))]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    return [(family, where) for family, _, _, _, where in found]


def _said(error: Exception, within_s: float) -> str:
    """Return an error's words; time-outs have none of their own."""
    if isinstance(error, TimeoutError) and not error.args:
        return f"no answer within {within_s:g} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
