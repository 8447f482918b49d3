"""
One Modbus TCP connection that says at once when it is gone.

The library's client waits for its time-out when a connection dies under a request, and reports
a dead line and a late answer alike. A battery command needs the difference: this link sends one
request at a time, with a deadline of the caller's, and notices a lost connection immediately.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from enum import IntEnum
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

_LOG = logging.getLogger(__name__)
_SILENCES_UNTIL_HANG_UP = 2
_NEVER_S = 3600.0
"""The library's own time-out; ours always come first."""


class ExceptionCode(IntEnum):
    """Why a Modbus server refuses; the protocol's numbers (the library has renamed its own)."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5
    DEVICE_BUSY = 6
    NEGATIVE_ACKNOWLEDGE = 7
    MEMORY_PARITY_ERROR = 8
    GATEWAY_PATH_UNAVAILABLE = 10
    GATEWAY_NO_RESPONSE = 11


class LinkLostError(Exception):
    """The connection is gone, or so silent that it has to be opened anew."""


class NotSentError(Exception):
    """The request never left: the line is down, or was held by another one until the deadline."""


class EmbeddedLink:
    """
    A connection to one unit of one Modbus TCP server.

    `linked` is true only while the other side answers: a TCP connection alone proves nothing.
    """

    def __init__(self, host: str, port: int, unit: int) -> None:
        self._host, self._port, self._unit = host, port, unit
        self._client: AsyncModbusTcpClient | None = None
        self._turn = asyncio.Lock()
        self._silences = 0
        self.linked = False
        self.lost = asyncio.Event()
        """Set from the loss of a connection until the next one stands."""
        self.lost.set()

    async def connect(self, deadline_s: float) -> bool:
        """Open the connection; false when that was not possible in time."""
        self.close()
        lost = asyncio.Event()

        def changed(connected: bool) -> None:
            if not connected:
                lost.set()

        client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            timeout=_NEVER_S,
            retries=0,
            reconnect_delay=0,
            trace_connect=changed,
        )
        connected = False
        # A task of its own: up to Python 3.11 the library's `wait_for` may take a cancellation that
        # comes as the connection does for nothing, and the agent would never end.
        connecting = asyncio.ensure_future(client.connect())
        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.wait((connecting,))
            connected = connecting.result()
        except (TimeoutError, OSError) as error:
            _LOG.debug("no connection to %s:%s: %s", self._host, self._port, error)
        finally:
            if not connected:
                connecting.cancel()
                connecting.add_done_callback(_retrieved)
                connecting.add_done_callback(lambda _: client.close())
        if connected:
            self._client, self.lost, self._silences = client, lost, 0
        return connected

    def close(self) -> None:
        """Hang up; harmless when there is no connection."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self.linked = False
        self.lost.set()

    async def read(self, address: int, count: int, deadline_s: float) -> ModbusPDU | None:
        """
        Return the answer to a read; `None` when none came in time.

        Raises:
            LinkLostError: the connection is gone, or was silent once too often.
        """
        async with self._turn:
            client = self._client
            if client is None or self.lost.is_set():
                raise LinkLostError("the connection was closed")
            request = client.read_holding_registers(address, count=count, device_id=self._unit)
            try:
                return await self._answer(request, _now() + deadline_s)
            except TimeoutError:
                self._silences += 1
                if self._silences >= _SILENCES_UNTIL_HANG_UP:
                    raise LinkLostError("it no longer answers; connecting anew") from None
                return None

    async def write(self, address: int, values: list[int], deadline_s: float) -> ModbusPDU:
        """
        Write registers in one frame and return the answer.

        Raises:
            NotSentError: nothing left this machine.
            TimeoutError: it was sent, and no answer came before the deadline.
            LinkLostError: it was sent, and the connection ended before the answer.
        """
        deadline = _now() + deadline_s
        try:
            async with asyncio.timeout_at(deadline):
                await self._turn.acquire()
        except TimeoutError:
            raise NotSentError(f"an older request held the line for {deadline_s:g} s") from None
        try:
            client = self._client
            if client is None or self.lost.is_set():
                raise NotSentError("the inverter is not connected")
            return await self._answer(
                client.write_registers(address, values, device_id=self._unit), deadline
            )
        except TimeoutError:
            self._silences += 1
            raise
        finally:
            self._turn.release()

    async def _answer(self, request: Awaitable[ModbusPDU], deadline: float) -> ModbusPDU:
        asking = asyncio.ensure_future(request)
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.wait((asking, lost), return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise LinkLostError("the connection was lost")
            answer = asking.result()
        except TimeoutError:
            raise  # an OSError too, but the connection stands
        except (ModbusException, OSError) as error:
            raise LinkLostError(f"the connection failed ({error})") from error
        finally:
            lost.cancel()
            asking.cancel()
            asking.add_done_callback(_retrieved)
        self._silences = 0
        self.linked = True
        return answer


def _now() -> float:
    return asyncio.get_running_loop().time()


def _retrieved(asking: asyncio.Future[Any]) -> None:
    """Look at the end of an abandoned request, so that asyncio does not report it."""
    if not asking.cancelled():
        asking.exception()
