"""A network between an uploader and a bridge, which stalls or breaks where it is told."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Self

from tests.peers.process import LOOPBACK


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to one connection."""

    up_bytes: int | None = None
    """So many bytes reach the bridge, then the trouble begins."""
    down_bytes: int | None = None
    """So many bytes reach the uploader, then the trouble begins."""
    stalls: bool = False
    """Nothing more comes through; otherwise the connection is cut on both sides."""


class Between:
    """
    Forwards connections to a port of the loopback.

    Args:
        troubles: one for each connection, in order; those after that have none.
    """

    def __init__(self, port: int, *troubles: Trouble) -> None:
        self._to = port
        self._troubles = list(troubles)
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.to_bridge_bytes = 0
        """Over all connections."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trouble = self._troubles.pop(0) if self._troubles else Trouble()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, back = await asyncio.open_connection(LOOPBACK, self._to)
        ways = [
            asyncio.ensure_future(self._carry(reader, back, trouble.up_bytes, up=True)),
            asyncio.ensure_future(self._carry(there, writer, trouble.down_bytes, up=False)),
        ]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if trouble.stalls:
                await (reader.read() if ways[0].done() else ways[0])  # the uploader gives up
        for way in ways:
            way.cancel()
        for end in (writer, back):
            if end is back and trouble.down_bytes is not None:
                end.close()  # all that the uploader sent does arrive
            else:
                end.transport.abort()
        self._tasks.discard(task)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        most: int | None,
        *,
        up: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while most is None or most > 0:
                data = await reader.read(4096 if most is None else min(most, 4096))
                if not data:
                    return
                most = None if most is None else most - len(data)
                self.to_bridge_bytes += len(data) if up else 0
                writer.write(data)
                await writer.drain()
