"""The simulated bridges of the benchmark answer as real firmware does, and their clock is true."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby

import pytest
from aioesphomeapi import api_pb2 as pb
from aioesphomeapi._frame_helper.packets import make_plain_text_packets
from aioesphomeapi.client import APIClient
from aioesphomeapi.core import (
    MESSAGE_TYPE_TO_PROTO,
    EncryptionPlaintextAPIError,
    InvalidEncryptionKeyAPIError,
    RequiresEncryptionAPIError,
)
from aioesphomeapi.model import (
    ConnectionClosedEvent,
    EntityState,
    NumberInfo,
    NumberState,
    SensorState,
)

from benchmarks import fleet
from benchmarks.fleet_bridges import ENTITIES, WRAP, Device, beat, since, stamp
from tests.peers.esphome_firmware import API_KEY
from tests.peers.fixtures import MakeDevice
from tests.peers.process import LOOPBACK

OTHER_KEY = base64.b64encode(b"another key of the tests, 32 by.").decode()
KINDS = pytest.mark.parametrize("real", [True, False], ids=["firmware", "simulated"])


@dataclass
class Served:
    """A bridge that answers, real or simulated."""

    name: str
    mac: str
    port: int
    key: str | None


@asynccontextmanager
async def served(make_device: MakeDevice, real: bool, *, noise: bool) -> AsyncIterator[Served]:
    if real:
        with make_device("noise" if noise else "plain", name="bridge-1") as firmware:
            yield Served(firmware.name, firmware.mac, firmware.api_port, firmware.key)
        return
    device = Device(7, API_KEY if noise else None)
    await device.listen()
    beating = asyncio.create_task(beat([device]))
    yield Served(device.name, device.mac, device.port, device.key)
    beating.cancel()


def client(bridge: Served, key: str | None) -> APIClient:
    return APIClient(LOOPBACK, bridge.port, None, noise_psk=key, keepalive=0.1)


@KINDS
@pytest.mark.parametrize("noise", [False, True], ids=["plain", "noise"])
async def test_the_real_client_meets_the_same_device(
    make_device: MakeDevice, real: bool, noise: bool
) -> None:
    states: dict[int, EntityState] = {}
    came = asyncio.Event()
    endings: list[ConnectionClosedEvent] = []

    def take(state: EntityState) -> None:
        states[state.key] = state
        came.set()

    async def until_level(wanted: float) -> None:
        while not any(isinstance(it, NumberState) and it.state == wanted for it in states.values()):
            came.clear()
            await came.wait()

    async with served(make_device, real, noise=noise) as bridge, asyncio.timeout(20):
        it = client(bridge, bridge.key)
        it.add_connection_closed_callback(endings.append)
        await it.connect(login=True)
        assert it.api_version is not None
        assert (it.api_version.major, it.api_version.minor) == (1, 19)
        info, entities, services = await it.device_info_and_list_entities()
        assert info.name == bridge.name
        assert info.mac_address.replace(":", "").lower() == bridge.mac
        assert info.mac_address == info.mac_address.upper()
        assert info.api_encryption_supported == noise
        assert info.esphome_version == "2026.10.0"
        assert info.project_version == "1.0.0"
        assert info.compilation_time.endswith("+0000")
        assert services == []
        level = next(each for each in entities if isinstance(each, NumberInfo))
        assert level.object_id == level.name.lower().replace(" ", "_")
        assert len({each.key for each in entities}) == len(entities)
        it.subscribe_states(take)
        await until_level(20)
        it.number_command(level.key, 11)
        await until_level(11)
        first = next(each for each in states.values() if isinstance(each, SensorState)).state
        states.clear()
        while not any(isinstance(each, SensorState) for each in states.values()):
            came.clear()
            await came.wait()
        again = next(each for each in states.values() if isinstance(each, SensorState)).state
        assert again != first
        assert endings == []  # it answered our pings
        await it.disconnect()
        assert [each.expected_disconnect for each in endings] == [True]


@KINDS
async def test_keys_are_refused_in_the_same_words(make_device: MakeDevice, real: bool) -> None:
    async with served(make_device, real, noise=True) as bridge, asyncio.timeout(20):
        with pytest.raises(InvalidEncryptionKeyAPIError) as refused:
            await client(bridge, OTHER_KEY).connect(login=True)
        assert (refused.value.received_name, refused.value.received_mac) == (
            bridge.name,
            bridge.mac,
        )
        with pytest.raises(RequiresEncryptionAPIError):
            await client(bridge, None).connect(login=True)
    async with served(make_device, real, noise=False) as bridge, asyncio.timeout(20):
        with pytest.raises(EncryptionPlaintextAPIError):
            await client(bridge, OTHER_KEY).connect(login=True)


@KINDS
async def test_messages_come_in_the_same_order(make_device: MakeDevice, real: bool) -> None:
    hello = pb.HelloRequest(client_info="tests", api_version_major=1, api_version_minor=14)
    asked = [
        (hello, "HelloResponse"),
        (pb.DeviceInfoRequest(), "DeviceInfoResponse"),
        (pb.ListEntitiesRequest(), "ListEntitiesDoneResponse"),
        (pb.PingRequest(), "PingResponse"),
        (pb.SubscribeStatesRequest(), "SensorStateResponse"),
        (pb.DisconnectRequest(), "DisconnectResponse"),
    ]
    numbers = {proto: number for number, proto in MESSAGE_TYPE_TO_PROTO.items()}

    def packet(*messages: object) -> bytes:
        packets = [(numbers[type(it)], it.SerializeToString()) for it in messages]  # type: ignore[attr-defined, index]
        return b"".join(make_plain_text_packets(packets))

    async with served(make_device, real, noise=False) as bridge, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(LOOPBACK, bridge.port)
        seen: list[str] = []
        for request, answer in asked:
            writer.write(packet(request))
            while not seen or seen[-1] != answer:
                seen.append(await message(reader))
        assert await reader.read() == b""  # it hangs up by itself
        writer.close()
    kinds = [
        "an entity"
        if it.startswith("ListEntities") and it != "ListEntitiesDoneResponse"
        else "a state"
        if it.endswith("StateResponse")
        else it
        for it in seen
    ]
    assert [kind for kind, _ in groupby(kinds)] == [
        "HelloResponse",
        "DeviceInfoResponse",
        "an entity",
        "ListEntitiesDoneResponse",
        "PingResponse",
        "a state",
        "DisconnectResponse",
    ]


async def message(reader: asyncio.StreamReader) -> str:
    """Read one plain message and return its name."""
    assert await reader.readexactly(1) == b"\0"
    length, number = [await varint(reader) for _ in range(2)]
    await reader.readexactly(length)
    return MESSAGE_TYPE_TO_PROTO[number].DESCRIPTOR.name


async def varint(reader: asyncio.StreamReader) -> int:
    value = shift = 0
    while True:
        (byte,) = await reader.readexactly(1)
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value


def test_a_stamp_tells_its_age_over_the_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    wrap_s = WRAP / 10_000
    for sent_s in (5.0, wrap_s - 0.1):
        monkeypatch.setattr(time, "monotonic", lambda now=sent_s: now)
        sent = stamp()
        assert (
            float(sent)
            == pb.SensorStateResponse.FromString(
                pb.SensorStateResponse(state=sent).SerializeToString()
            ).state
        )
        monkeypatch.setattr(time, "monotonic", lambda now=sent_s: now + 0.25)
        assert since(sent) == pytest.approx(250, abs=0.2)


@pytest.mark.parametrize(("kind", "key"), [("bare", None), ("ours", fleet.KEY)])
def test_a_small_fleet_is_measured_from_end_to_end(kind: str, key: str | None) -> None:
    with fleet.bridges(3, key) as found:
        cost = fleet.clients(kind, found, key, 0.2, 2.0)
    assert cost["states_per_s"] == pytest.approx(3 * ENTITIES, rel=0.6)
    assert 0 < cost["delay_p50_ms"] <= cost["delay_p99_ms"] < 60_000
    assert cost["cpu_cores"] > 0
    assert cost["online_s"] > 0
