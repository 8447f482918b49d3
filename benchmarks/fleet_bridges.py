"""
Many simulated bridges in one process: ESPHome's native API without the firmware.

Each is a device of its own, with name, MAC, port and 32 entities that all report once a second, in
one packet, as a device does whose sensors are read together; the devices take turns within the
second. Messages are aioesphomeapi's own, so are frames and ciphers; what a device answers, and how
it refuses a key, is compared with real firmware by `tests/test_benchmark_fleet.py`.

A sensor's state is the moment of its sending, in tenths of a millisecond of the machine's clock
and modulo 2**24, which a float holds exactly: whoever receives it knows how long it took.

    python -m benchmarks.fleet_bridges COUNT FIRST [KEY]   prints [[mac, port], …], ends with stdin
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aioesphomeapi import api_pb2 as pb
from aioesphomeapi._frame_helper.noise import make_noise_packets
from aioesphomeapi._frame_helper.noise_encryption import (
    ESPHOME_NOISE_BACKEND,
    NOISE_PROTOCOL_NAME,
    DecryptCipher,
    EncryptCipher,
    decode_noise_psk,
)
from aioesphomeapi._frame_helper.packets import make_plain_text_packets
from aioesphomeapi.core import MESSAGE_TYPE_TO_PROTO
from cryptography.exceptions import InvalidTag
from google.protobuf.message import Message
from noise.connection import NoiseConnection

LOOPBACK = "127.0.0.1"
API_VERSION = 1, 19
SENSORS, BINARY_SENSORS, TEXT_SENSORS, SWITCHES, NUMBERS = 24, 2, 2, 2, 2
ENTITIES = SENSORS + BINARY_SENSORS + TEXT_SENSORS + SWITCHES + NUMBERS
SENSOR_UNIT = "W"
PERIOD_S = 1.0
WRAP = 1 << 24
STAMPS_PER_S = 10_000
_NUMBERS = {proto: number for number, proto in MESSAGE_TYPE_TO_PROTO.items()}
_PLAIN, _NOISE = 0, 1


def stamp() -> int:
    """Return the moment as a state holds it."""
    return int(time.monotonic() * STAMPS_PER_S) % WRAP


def since(stamped: float) -> float:
    """Return the milliseconds since a stamp."""
    return (time.monotonic() * STAMPS_PER_S - stamped) % WRAP * 1000 / STAMPS_PER_S


@dataclass
class Device:
    """One simulated bridge."""

    number: int
    key: str | None = None
    port: int = 0
    level: float = 20.0
    beats: int = 0
    sessions: set[Session] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The node name."""
        return f"simulated-{self.number}"

    @property
    def mac(self) -> str:
        """Twelve hexadecimal digits."""
        return f"02005e20{self.number:04x}"

    async def listen(self) -> None:
        """Open its port."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Session(self), LOOPBACK, 0, backlog=8)
        self.port = server.sockets[0].getsockname()[1]

    def report(self) -> None:
        """Send the state of every entity to everybody who subscribed."""
        self.beats += 1
        for session in self.sessions:
            session.send(*self.states())

    def states(self) -> Iterator[Message]:
        """Yield the state of each entity."""
        now = float(stamp())
        for key in range(SENSORS):
            yield pb.SensorStateResponse(key=key + 1, state=now)
        even = self.beats % 2 == 0
        for key in range(100, 100 + BINARY_SENSORS):
            yield pb.BinarySensorStateResponse(key=key, state=even)
        for key in range(200, 200 + TEXT_SENSORS):
            yield pb.TextSensorStateResponse(key=key, state=f"beat {self.beats}")
        for key in range(300, 300 + SWITCHES):
            yield pb.SwitchStateResponse(key=key, state=even)
        for key in range(400, 400 + NUMBERS):
            yield pb.NumberStateResponse(key=key, state=self.level)

    def entities(self) -> Iterator[Message]:
        """Yield what each entity is."""
        for key in range(SENSORS):
            yield pb.ListEntitiesSensorResponse(
                key=key + 1,
                name=f"Value {key}",
                unit_of_measurement=SENSOR_UNIT,
                accuracy_decimals=0,
            )
        for key in range(BINARY_SENSORS):
            yield pb.ListEntitiesBinarySensorResponse(key=100 + key, name=f"Binary {key}")
        for key in range(TEXT_SENSORS):
            yield pb.ListEntitiesTextSensorResponse(key=200 + key, name=f"Text {key}")
        for key in range(SWITCHES):
            yield pb.ListEntitiesSwitchResponse(key=300 + key, name=f"Switch {key}")
        for key in range(NUMBERS):
            yield pb.ListEntitiesNumberResponse(
                key=400 + key, name=f"Level {key}", min_value=0, max_value=100, step=1
            )
        yield pb.ListEntitiesDoneResponse()

    def information(self) -> Message:
        """Return what it says of itself."""
        return pb.DeviceInfoResponse(
            name=self.name,
            friendly_name=self.name.replace("-", " ").title(),
            mac_address=":".join(self.mac[i : i + 2] for i in range(0, 12, 2)).upper(),
            esphome_version="2026.10.0",
            compilation_time="2026-11-22 06:15:00 +0000",
            model="simulated",
            manufacturer="PV Edge Agent",
            project_name="pv-edge.alphaess-bridge",
            project_version="1.0.0",
            api_encryption_supported=self.key is not None,
        )


class Session(asyncio.Protocol):
    """One client's connection to one device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._handle: Callable[[bytes], None] = self._noise_hello
        self._noise: NoiseConnection | None = None
        self._ciphers: tuple[EncryptCipher, DecryptCipher] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the client."""
        self._transport = None
        self._device.sessions.discard(self)

    def data_received(self, data: bytes) -> None:
        """Take what came and answer each whole message."""
        self._buffer += data
        encrypted = self._device.key is not None
        while self._buffer and self._transport is not None:
            if self._buffer[0] != (_NOISE if encrypted else _PLAIN):
                self._refuse("Bad indicator byte")
                return
            if not (self._noise_frame() if encrypted else self._plain_frame()):
                return

    def send(self, *messages: Message) -> None:
        """Send messages in one packet."""
        if self._transport is None:
            return
        packets = [(_NUMBERS[type(it)], it.SerializeToString()) for it in messages]
        if self._ciphers is None:
            self._transport.write(b"".join(make_plain_text_packets(packets)))
            return
        self._transport.write(b"".join(make_noise_packets(packets, self._ciphers[0])))

    def _plain_frame(self) -> bool:
        at, words = 1, []
        for _ in range(2):
            value = shift = 0
            while True:
                if at >= len(self._buffer):
                    return False
                byte = self._buffer[at]
                at += 1
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            words.append(value)
        length, number = words
        if len(self._buffer) < at + length:
            return False
        payload = bytes(self._buffer[at : at + length])
        del self._buffer[: at + length]
        self._answer(number, payload)
        return True

    def _noise_frame(self) -> bool:
        if len(self._buffer) < 3:
            return False
        length = int.from_bytes(self._buffer[1:3], "big")
        if len(self._buffer) < 3 + length:
            return False
        frame = bytes(self._buffer[3 : 3 + length])
        del self._buffer[: 3 + length]
        self._handle(frame)
        return True

    def _noise_hello(self, _frame: bytes) -> None:
        device = self._device
        self._write(_framed(b"\x01" + f"{device.name}\0{device.mac}\0".encode()))
        noise = NoiseConnection.from_name(NOISE_PROTOCOL_NAME, backend=ESPHOME_NOISE_BACKEND)
        noise.set_as_responder()
        noise.set_psks(decode_noise_psk(device.key or ""))
        noise.set_prologue(b"NoiseAPIInit\0\0")
        noise.start_handshake()
        self._noise = noise
        self._handle = self._noise_handshake

    def _noise_handshake(self, frame: bytes) -> None:
        noise = self._noise
        if noise is None:
            return
        try:
            noise.read_message(frame[1:])
        except InvalidTag:
            self._refuse("Handshake MAC failure")
            return
        self._write(_framed(b"\0" + bytes(noise.write_message())))
        protocol = noise.noise_protocol
        self._ciphers = (
            EncryptCipher(protocol.cipher_state_encrypt),
            DecryptCipher(protocol.cipher_state_decrypt),
        )
        self._handle = self._noise_message

    def _noise_message(self, frame: bytes) -> None:
        if self._ciphers is not None:
            plain = self._ciphers[1].decrypt(frame)
            self._answer(int.from_bytes(plain[:2], "big"), plain[4:])

    def _refuse(self, why: str) -> None:
        if self._device.key is not None:
            self._write(_framed(b"\x01" + why.encode()))
        else:
            self._write(b"\0" + why.encode())
        if self._transport is not None:
            self._transport.close()

    def _answer(self, number: int, payload: bytes) -> None:
        """Answer one message; what we do not know is left unanswered, as a device does."""
        device = self._device
        match MESSAGE_TYPE_TO_PROTO.get(number):
            case pb.HelloRequest:
                major, minor = API_VERSION
                server = f"{device.name} (simulated)"
                self.send(
                    pb.HelloResponse(
                        api_version_major=major,
                        api_version_minor=minor,
                        server_info=server,
                        name=device.name,
                    )
                )
            case pb.AuthenticationRequest:
                self.send(pb.AuthenticationResponse())
            case pb.PingRequest:
                self.send(pb.PingResponse())
            case pb.DeviceInfoRequest:
                self.send(device.information())
            case pb.ListEntitiesRequest:
                self.send(*device.entities())
            case pb.SubscribeStatesRequest:
                device.sessions.add(self)
                self.send(*device.states())
            case pb.NumberCommandRequest:
                device.level = pb.NumberCommandRequest.FromString(payload).state
                self.send(*device.states())
            case pb.DisconnectRequest:
                self.send(pb.DisconnectResponse())
                if self._transport is not None:
                    self._transport.close()
            case _:
                pass

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _framed(content: bytes) -> bytes:
    return bytes((_NOISE, len(content) >> 8, len(content) & 0xFF)) + content


async def beat(devices: list[Device]) -> None:
    """Let each report once a period, one after the other, until cancelled."""
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    for device in itertools.cycle(devices):
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        device.report()
        # A device that was held up reports later; it does not make up for what it missed.
        due_s = max(due_s + PERIOD_S / len(devices), loop.time() - PERIOD_S)


async def serve(count: int, first: int, key: str | None) -> None:
    """Run devices until standard input ends."""
    devices = [Device(first + number, key) for number in range(count)]
    for device in devices:
        await device.listen()
    print(json.dumps([(device.mac, device.port) for device in devices]), flush=True)
    beating = asyncio.create_task(beat(devices))
    await asyncio.to_thread(sys.stdin.buffer.read)
    beating.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await beating


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), next(iter(sys.argv[3:]), None)))
