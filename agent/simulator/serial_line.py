"""
The inverter's other socket: Modbus RTU on a pseudo terminal.

A program opens `path` as it would open a serial port. Bytes take the time that they take on a wire
of that speed, because on RS485 it is the wire that decides how often a value can be read. Every
frame is kept with its times, so that a test can see what a real inverter would have seen.
"""

from __future__ import annotations

import asyncio
import os
import time
import tty
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU

from agent.simulator.inverter import Inverter

_BITS_PER_BYTE = 10
_BUFFER = 1024


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, and its answer if it got one."""

    at_s: float
    """When the request began, on the monotonic clock."""
    until_s: float
    """When the last byte of the answer went out; of the request, if nothing was answered."""
    request: bytes
    function: int
    address: int
    answered: bool


class SerialLine:
    """
    Serves an inverter on a pseudo terminal; a context manager inside a running event loop.

    The inverter's own faults and settings apply; another unit id gets silence, as on a real bus.
    """

    def __init__(self, inverter: Inverter, *, baud: int = 9600) -> None:
        self._inverter = inverter
        self._byte_s = _BITS_PER_BYTE / baud
        self._framer = FramerRTU(DecodePDU(True))
        self._buffer = b""
        self._begun_s = 0.0
        self._master = self._slave = -1
        self._answering: set[asyncio.Task[None]] = set()
        self.exchanges: list[Exchange] = []

    @property
    def path(self) -> str:
        """What a program opens as its serial port."""
        return os.ttyname(self._slave)

    async def __aenter__(self) -> Self:
        # The other end stays open here: the line does not hang up while a bridge restarts.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._receive)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        os.close(self._master)
        os.close(self._slave)

    async def another_master(self, request: ModbusPDU) -> None:
        """Let somebody else on the wire ask; who has opened `path` hears question and answer."""
        frame = self._framer.buildFrame(request)
        os.write(self._master, frame)
        answer = self._inverter.answer(request)
        if answer is not None:
            await asyncio.sleep(len(frame) * self._byte_s + self._inverter.settings.response_s)
            os.write(self._master, self._framer.buildFrame(answer))

    def _receive(self) -> None:
        if not self._buffer:
            self._begun_s = time.monotonic()
        self._buffer += os.read(self._master, _BUFFER)
        try:
            used, request = self._framer.handleFrame(self._buffer, 0, 0)
        except ModbusException:
            used, request = len(self._buffer), None
        frame, self._buffer = self._buffer[:used], self._buffer[used:]
        if request is not None:
            task = asyncio.create_task(self._reply(self._begun_s, frame, request))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _reply(self, begun_s: float, frame: bytes, request: ModbusPDU) -> None:
        await asyncio.sleep(len(frame) * self._byte_s)
        until_s = time.monotonic()
        answer = None
        if request.dev_id == self._inverter.settings.unit:
            answer = self._inverter.answer(request)
        if answer is not None:
            data = self._framer.buildFrame(answer)
            latency_s = self._inverter.settings.response_s + self._inverter.faults.slow_s
            await asyncio.sleep(latency_s + len(data) * self._byte_s)
            until_s = time.monotonic()  # taken after the write it could be later than the answer
            os.write(self._master, data)
        self.exchanges.append(
            Exchange(
                begun_s, until_s, frame, request.function_code, request.address, answer is not None
            )
        )
