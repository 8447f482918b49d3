"""
Carries one session over one TCP connection.

Source: esphome.md, section 5.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from agent.firmware.ota import answers
from agent.firmware.ota.models import Outcome, Progress, Verdict
from agent.firmware.ota.payload import Form, Wire
from agent.firmware.ota.session import Session
from agent.firmware.ota.wire import BLOCK_BYTES

_FLUSH_WITHIN_S = 1.0
_HEARD_BYTES = 256


class Link(asyncio.BufferedProtocol):
    """
    One connection with its session, from the first byte to a verdict.

    Args:
        patience_s: how long the bridge may say nothing, while it greets and afterwards.
    """

    def __init__(
        self,
        session: Session,
        sock: socket.socket,
        patience_s: tuple[float, float],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.session = session
        self.wants: asyncio.Future[Form | None] = self._loop.create_future()
        """The form that the bridge wants, or `None` if it did not come to that."""
        self.ended: asyncio.Future[Verdict] = self._loop.create_future()
        self._socket = sock
        self._incoming = bytearray(_HEARD_BYTES)
        self._patience_s = patience_s
        self._progress = progress
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.Event()
        self._paused = False
        self._heard_s = self._loop.time()
        self._began_s: float | None = None
        self._told = -1
        self._watch = self._loop.call_later(patience_s[0], self._check_silence)

    def supply(self, wire: Wire) -> None:
        """Bring the image, unless the connection has ended meanwhile."""
        if self.session.wants is not None and self.session.verdict is None:
            self._heard_s = self._loop.time()
            self.session.supply(wire)
            self._watch.cancel()
            self._check_silence()  # another patience from here on
            self._pump()

    def stop(self, verdict: Verdict) -> None:
        """End it with this verdict, or with what it means after the last block."""
        self.session.stop(verdict)
        self._pump()

    async def close(self) -> None:
        """Close the connection; what was said last goes out first, if the other side takes it."""
        self._watch.cancel()
        if self._transport is None:
            self._socket.close()
            return
        verdict = self.session.verdict
        if verdict is not None and verdict.outcome is Outcome.SENT:
            self._transport.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_WITHIN_S):
                    await self._closed.wait()
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        transport.set_write_buffer_limits(high=BLOCK_BYTES)
        self._pump()

    def get_buffer(self, _sizehint: int) -> bytearray:
        """Return where the little that a bridge says goes; asyncio's own would be 256 KiB."""
        return self._incoming

    def buffer_updated(self, nbytes: int) -> None:
        """Hand over what came."""
        self._heard_s = self._loop.time()
        self.session.received(bytes(self._incoming[:nbytes]))
        self._pump()

    def eof_received(self) -> None:
        """Know that nothing more will come."""
        self.stop(answers.lost(f"by the other side {self.session.doing}"))

    def connection_lost(self, error: Exception | None) -> None:
        """Hear the last words: the reason for a hang-up may lie behind a failed write."""
        with contextlib.suppress(OSError):
            self.session.received(self._socket.recv(_HEARD_BYTES))
        why = getattr(error, "strerror", None) or "closed"
        self.stop(answers.lost(f"{self.session.doing} ({why})"))
        self._closed.set()

    def pause_writing(self) -> None:
        """Hold the next block back."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on; on bridges of version 1 this is all that shows that the network takes it."""
        self._paused = False
        self._heard_s = self._loop.time()
        self._pump()

    def _pump(self) -> None:
        session = self.session
        while self._transport is not None and not self._paused and (data := session.take()):
            self._transport.write(data)
        if session.sent_bytes and self._progress is not None:
            self._tell(self._progress)
        if session.wants is not None and not self.wants.done():
            self.wants.set_result(session.wants)
        if session.verdict is not None:
            self._watch.cancel()
            if not self.wants.done():
                self.wants.set_result(None)
            if not self.ended.done():
                self.ended.set_result(session.verdict)

    def _tell(self, progress: Callable[[Progress], None]) -> None:
        session = self.session
        now_s = self._loop.time()
        if self._began_s is None:
            self._began_s = now_s
        known = session.acknowledged_bytes if session.version > 1 else session.sent_bytes
        if known == self._told and not session.verdict:
            return
        self._told = known
        took_s = now_s - self._began_s
        rate = known / took_s if took_s > 0 else 0.0
        acknowledged = session.acknowledged_bytes
        progress(Progress(acknowledged, session.sent_bytes, session.total_bytes, rate))

    def _check_silence(self) -> None:
        allowed_s = self._patience_s[self.session.transferring]
        left_s = self._heard_s + allowed_s - self._loop.time()
        if left_s > 0:
            self._watch = self._loop.call_later(left_s, self._check_silence)
        else:
            self.stop(answers.silent(allowed_s, self.session.doing))
