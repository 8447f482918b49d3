"""
A wire between the agent and Core that notes when each command passes, and changes nothing.

The agent is told that Core lives at the tap's address. Bytes are stamped when they arrive here
and passed on at once; only afterwards are the websocket frames read, so that a stamp is never
earlier than the moment the agent let go of its command.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.peers.process import LOOPBACK

_CHUNK_BYTES = 65_536
_TEXT, _CONTINUED = 1, 0
_LENGTH_IN_2_BYTES, _LENGTH_IN_8_BYTES = 126, 127


@dataclass(frozen=True, slots=True)
class Written:
    """One `modbus.write_register` that left the agent."""

    at_s: float
    """Monotonic: when it passed the tap."""
    id: int
    registers: list[int]

    @property
    def starts(self) -> bool:
        """True for a lease, False for a stop."""
        return self.registers[0] == 1


class Tap:
    """Passes everything on and hands out the agent's writes and Core's answers to them."""

    def __init__(self, core_port: int) -> None:
        self._core_port = core_port
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._answers: dict[int, asyncio.Event] = {}
        self.told_s: dict[str, float] = {}
        """When Core's newest word on an entity passed, by entity."""
        self.writes: asyncio.Queue[Written] = asyncio.Queue()

    @property
    def url(self) -> str:
        """Where the agent finds Core."""
        if self._server is None:
            raise RuntimeError("the tap is not open")
        return f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"

    async def next_write(self, *, starts: bool, within_s: float) -> Written:
        """Return the next lease, or the next stop; a write of the other kind is passed over."""
        async with asyncio.timeout(within_s):
            while (write := await self.writes.get()).starts is not starts:
                pass
            return write

    async def answered(self, write: Written, within_s: float) -> None:
        """Wait until Core has answered that write."""
        async with asyncio.timeout(within_s):
            await self._answers.setdefault(write.id, asyncio.Event()).wait()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        core_reader, core_writer = await asyncio.open_connection(LOOPBACK, self._core_port)
        for source, sink, take in (
            (reader, core_writer, self._from_agent),
            (core_reader, writer, self._from_core),
        ):
            pump = asyncio.create_task(_pump(source, sink, take))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    def _from_agent(self, message: Any, at_s: float) -> None:
        if message.get("service") != "write_register":
            return
        self.writes.put_nowait(Written(at_s, message["id"], message["service_data"]["value"]))

    def _from_core(self, message: Any, at_s: float) -> None:
        if message.get("type") == "event":
            changed = message["event"].get("c", {})  # of `subscribe_entities`
            self.told_s.update(dict.fromkeys(changed, at_s))
        if message.get("type") == "result":
            self._answers.setdefault(message["id"], asyncio.Event()).set()


@asynccontextmanager
async def tapped(core_port: int) -> AsyncIterator[Tap]:
    """Open a tap in front of a Core until the block ends."""
    tap = Tap(core_port)
    tap._server = await asyncio.start_server(tap._client, LOOPBACK, 0)
    try:
        yield tap
    finally:
        tap._server.close()
        for pump in tuple(tap._pumps):
            pump.cancel()


async def _pump(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, take: Callable[[Any, float], None]
) -> None:
    reader = FrameReader()
    try:
        while chunk := await source.read(_CHUNK_BYTES):
            at_s = time.monotonic()
            sink.write(chunk)
            for text in reader.texts(chunk):
                parsed = json.loads(text)
                for message in parsed if isinstance(parsed, list) else [parsed]:
                    take(message, at_s)
    except ConnectionError:
        pass
    finally:
        with contextlib.suppress(ConnectionError, RuntimeError):
            sink.close()


class FrameReader:
    """Finds the text messages in one direction of a connection; of plain HTTP it finds none."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._upgraded: bool | None = None
        self._text = bytearray()

    def texts(self, chunk: bytes) -> Iterator[bytes]:
        """Yield every message that is complete with this chunk."""
        if self._upgraded is False:
            return
        self._bytes += chunk
        if self._upgraded is None:
            head, end, rest = bytes(self._bytes).partition(b"\r\n\r\n")
            if not end:
                return
            self._upgraded = b"upgrade: websocket" in head.lower()
            self._bytes[:] = rest
            if not self._upgraded:
                return
        while (frame := self._frame()) is not None:
            opcode, payload, final = frame
            if opcode not in {_TEXT, _CONTINUED}:
                continue
            self._text += payload
            if final:
                yield bytes(self._text)
                self._text.clear()

    def _frame(self) -> tuple[int, bytes, bool] | None:
        """Take the next whole frame: opcode, payload without mask, whether it is the last part."""
        have = self._bytes
        if len(have) < 2:
            return None
        length, start = have[1] & 0x7F, 2
        if length in {_LENGTH_IN_2_BYTES, _LENGTH_IN_8_BYTES}:
            start = 4 if length == _LENGTH_IN_2_BYTES else 10
            length = int.from_bytes(have[2:start])
        masked = bool(have[1] & 0x80)
        if len(have) < start + 4 * masked + length:
            return None
        key = have[start : start + 4] if masked else b"\0\0\0\0"
        start += 4 * masked
        payload = bytes(byte ^ key[n % 4] for n, byte in enumerate(have[start : start + length]))
        opcode, final = have[0] & 0x0F, bool(have[0] & 0x80)
        del have[: start + length]
        return opcode, payload, final
