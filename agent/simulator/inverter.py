"""
A simulated Alpha ESS inverter that real Modbus clients can talk to.

The plant moves by physics, the map shows it, and this serves the map over Modbus TCP with the
library's own framer and messages. Only the transport is ours, because an inverter must also be
able to do what a well-behaved server cannot: stay mute, answer late, or hang up.

Source: export_monitor.md, section 4.1; ha_e2e.md, section 4.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterResponse,
)

from agent.house.alphaess import DISPATCH_ADDRESS
from agent.house.embedded_link import ExceptionCode
from agent.simulator.faults import Faults
from agent.simulator.plant import Plant
from agent.simulator.registers import IllegalAddressError, RegisterMap

_LOG = logging.getLogger(__name__)
_TICK_S = 0.1
_BUFFER = 1024
_LONGEST_READ = 125
_LONGEST_WRITE = 123
_WRITE_SINGLE = 6


@dataclass(frozen=True, slots=True)
class InverterSettings:
    """How this inverter's Modbus interface behaves; models differ."""

    unit: int = 85
    answers_other_units: bool = True
    """Another unit id gets exception 11, as from a gateway; otherwise silence."""
    response_s: float = 0.0
    """Time between a request and its answer; the vendor promises less than 0.1 s."""
    one_client: bool = False
    """A second TCP client is hung up on, as by the real inverter."""
    counters_swapped: bool = False
    """Export and import counters change places (0x0010 and 0x0012)."""
    refused_function: int = 0
    """6 or 16: this function is refused for single registers, exception 2."""


@dataclass(frozen=True, slots=True)
class Write:
    """One written frame, as it arrived."""

    at_s: float
    """On the monotonic clock."""
    plant_s: float
    """In the house's time."""
    function: int
    address: int
    values: tuple[int, ...]


class Inverter:
    """
    Serves a plant on Modbus TCP.

    With `speed` above 0 the plant runs by itself, that many times faster than real time; with 0
    it stands still until `advance` is called.
    """

    def __init__(
        self,
        plant: Plant | None = None,
        settings: InverterSettings | None = None,
        *,
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plant = plant or Plant()
        self.settings = settings or InverterSettings()
        self.speed = speed
        self.faults = Faults()
        self.registers = RegisterMap(
            self.plant, self.faults, counters_swapped=self.settings.counters_swapped
        )
        self.writes: list[Write] = []
        """Every write request that was understood, also lost and refused ones."""
        self.reads = 0
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._stepping: asyncio.Task[None] | None = None
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        if self._server is None:
            raise RuntimeError("the inverter is not started; call start() first")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def clients(self) -> int:
        """Connections that are open now."""
        return len(self._clients)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen, and let the plant run."""
        self._server = await asyncio.start_server(self._client, host, port)
        self._stepping = asyncio.create_task(self._run(), name="simulated plant")

    async def stop(self) -> None:
        """Hang up on everybody, stop listening and stop the plant; harmless when stopped."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        if self._stepping is not None:
            self._stepping.cancel()
        self.hang_up()  # ends the clients' tasks; asyncio 3.11 reports cancelled ones as errors
        await asyncio.gather(
            *self._clients, *filter(None, [self._stepping]), return_exceptions=True
        )
        await server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def advance(self, dt_s: float) -> None:
        """Let time pass in the house."""
        self.plant.step(dt_s)

    def hang_up(self) -> None:
        """Close every connection once; clients may come back at once."""
        for writer in self._clients.values():
            writer.transport.abort()

    def write_local(self, block: Sequence[int]) -> None:
        """Command the battery as somebody else does: cloud, app, second controller."""
        self.registers.write(DISPATCH_ADDRESS, list(block))

    async def _run(self) -> None:
        last_s = self._clock()
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = self._clock()
            self.plant.step(max(0.0, now_s - last_s) * self.speed)
            last_s = now_s

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this in a task
        if self.faults.drop or (self.settings.one_client and self._clients):
            writer.transport.abort()
            return
        self._clients[task] = writer
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError) as error:
            _LOG.debug("client is gone: %s", error)
        finally:
            del self._clients[task]
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = FramerSocket(DecodePDU(True))
        pending: set[asyncio.Task[None]] = set()
        buffer = b""
        try:
            while (data := await reader.read(_BUFFER)) and not self.faults.drop:
                buffer += data
                requests, buffer = _take(framer, buffer)
                for answer in filter(None, map(self.answer, requests)):
                    task = asyncio.create_task(self._send(writer, framer, answer))
                    pending.add(task)
                    task.add_done_callback(pending.discard)
                if len(buffer) > _BUFFER:
                    return  # not Modbus; nothing that follows could be understood
        finally:
            for task in pending:
                task.cancel()

    async def _send(
        self, writer: asyncio.StreamWriter, framer: FramerSocket, answer: ModbusPDU
    ) -> None:
        await asyncio.sleep(self.settings.response_s + self.faults.slow_s)
        if not writer.is_closing():
            writer.write(framer.buildFrame(answer))
            with suppress(ConnectionError):
                await writer.drain()

    def answer(self, request: ModbusPDU) -> ModbusPDU | None:
        """Carry a request out and return its answer; `None` stays silent."""
        if self.faults.mute:
            return None
        if request.dev_id != self.settings.unit:
            if not self.settings.answers_other_units:
                return None
            return _refusal(request, ExceptionCode.GATEWAY_NO_RESPONSE)
        try:
            match request.function_code:
                case 3:
                    answer = self._read(request)
                case 6 | 16:
                    answer = self._write(request)
                case _:
                    answer = _refusal(request, ExceptionCode.ILLEGAL_FUNCTION)
        except IllegalAddressError:
            answer = _refusal(request, ExceptionCode.ILLEGAL_ADDRESS)
        answer.dev_id, answer.transaction_id = request.dev_id, request.transaction_id
        return answer

    def _read(self, request: ModbusPDU) -> ModbusPDU:
        if not 1 <= request.count <= _LONGEST_READ:
            return _refusal(request, ExceptionCode.ILLEGAL_VALUE)
        self.reads += 1
        if self.faults.exception & self.registers.concerns(request.address, request.count):
            return _refusal(request, ExceptionCode.DEVICE_FAILURE)
        words = self.registers.read(request.address, request.count)
        return ReadHoldingRegistersResponse(registers=words)

    def _write(self, request: ModbusPDU) -> ModbusPDU:
        function, values = request.function_code, list(request.registers)
        asked = 1 if function == _WRITE_SINGLE else request.count
        if not 1 <= len(values) <= _LONGEST_WRITE or len(values) != asked:
            return _refusal(request, ExceptionCode.ILLEGAL_VALUE)
        self.writes.append(
            Write(self._clock(), self.plant.time_s, function, request.address, tuple(values))
        )
        if self.faults.refuse_writes or (
            len(values) == 1 and function == self.settings.refused_function
        ):
            return _refusal(request, ExceptionCode.ILLEGAL_ADDRESS)
        if not self.faults.lose_writes:
            self.registers.write(request.address, values)
        if function == _WRITE_SINGLE:
            return WriteSingleRegisterResponse(address=request.address, registers=values)
        return WriteMultipleRegistersResponse(address=request.address, count=len(values))


def _refusal(request: ModbusPDU, code: ExceptionCode) -> ModbusPDU:
    return ExceptionResponse(
        request.function_code, code, request.dev_id, transaction=request.transaction_id
    )


def _take(framer: FramerSocket, buffer: bytes) -> tuple[list[ModbusPDU], bytes]:
    """Return the complete requests of a buffer and what is left of it."""
    requests: list[ModbusPDU] = []
    while buffer:
        try:
            used, request = framer.handleFrame(buffer, 0, 0)
        except ModbusException:
            used, request = len(buffer), _undecodable(buffer)
        buffer = buffer[used:]
        if request is None:
            break
        requests.append(request)
    return requests, buffer


def _undecodable(frame: bytes) -> ModbusPDU:
    """Return what is known of a request that the library cannot decode: Modbus TCP's header."""
    request = ModbusPDU(dev_id=frame[6], transaction_id=int.from_bytes(frame[:2], "big"))
    request.function_code = frame[7] & 0x7F
    return request
