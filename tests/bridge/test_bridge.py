"""
The bridge's firmware as a Linux program, against the simulated inverter on a serial line.

What is asserted of the inverter was seen at the inverter: its written frames and its registers.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aioesphomeapi import APIClient, EntityState, ExecuteServiceResponse, UserService

from agent.house.alphaess import DISPATCH_ADDRESS, RESET_BLOCK, DispatchBlock
from agent.simulator.inverter import Inverter, InverterSettings
from agent.simulator.plant import Plant
from agent.simulator.serial_line import SerialLine
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import BRIDGE
from tests.peers.fixtures import MakeDevice

AGENT = "PV Edge Agent"
GONE_S = 3.0
"""`client_gone_for` of the board of the tests."""
RESET = tuple(RESET_BLOCK.registers())
_MOMENT_S = 3.0
"""For what is promised 'now': the frame under way, 300 ms, the reset, and a busy test machine."""


class Client:
    """A client of the bridge with the newest value of every entity, and when it came."""

    def __init__(self, api: APIClient) -> None:
        self.api = api
        self.values: dict[str, float | str | bool] = {}
        self.times: dict[str, list[float]] = {}
        self.service: UserService | None = None
        self._names: dict[int, str] = {}

    async def begin(self) -> None:
        entities, services = await self.api.list_entities_services()
        self._names = {entity.key: entity.name for entity in entities}
        self.service = next(it for it in services if it.name == "write_dispatch")
        self.api.subscribe_states(self._take)

    async def write(
        self, number: int, block: DispatchBlock, *, soc_raw: int | None = None
    ) -> ExecuteServiceResponse:
        assert self.service is not None
        answer = await self.api.execute_service(
            self.service,
            {
                "number": number,
                "start": block.start,
                "power_w": block.power_w,
                "soc_raw": block.registers()[6] if soc_raw is None else soc_raw,
                "duration_s": block.duration_s,
            },
            return_response=True,
            timeout=10,
        )
        assert answer is not None
        return answer

    def _take(self, state: EntityState) -> None:
        name = self._names[state.key]
        if getattr(state, "missing_state", False):
            self.values[name] = math.nan
            return
        self.values[name] = state.state  # type: ignore[attr-defined]
        self.times.setdefault(name, []).append(time.monotonic())


@asynccontextmanager
async def connected(device: Device, name: str = AGENT) -> AsyncIterator[Client]:
    api = APIClient(device.host, device.api_port, None, noise_psk=device.key, client_info=name)
    await api.connect(login=True, log_errors=False)
    client = Client(api)
    await client.begin()
    try:
        yield client
    finally:
        with suppress(Exception):
            await api.disconnect(force=True)


async def until(holds: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait for it and return the moment on the monotonic clock."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.02)
    return time.monotonic()


@asynccontextmanager
async def bridge(
    make_device: MakeDevice, response_s: float = 0.05
) -> AsyncIterator[tuple[Inverter, SerialLine, Device]]:
    settings = InverterSettings(response_s=response_s)
    async with Inverter(Plant(), settings) as inverter, SerialLine(inverter) as line:
        device = make_device(BRIDGE, name="bridge-1", tty=line.path)
        await asyncio.to_thread(device.start)
        try:
            yield inverter, line, device
        finally:
            await asyncio.to_thread(device.kill)


def discharge(power_w: int = 2000, duration_s: int = 60) -> DispatchBlock:
    return DispatchBlock(True, power_w, 20, duration_s)


def blocks(inverter: Inverter) -> list[tuple[int, ...]]:
    """Every frame that was written to the dispatch registers, as it arrived."""
    assert {(write.function, write.address) for write in inverter.writes} <= {
        (16, DISPATCH_ADDRESS)
    }
    return [write.values for write in inverter.writes]


async def test_values_are_the_inverters_and_arrive_at_the_promised_pace(
    make_device: MakeDevice,
) -> None:
    async with bridge(make_device) as (inverter, line, device), connected(device) as client:
        inverter.speed = 0  # the house stands still, so that values can be compared
        await until(lambda: len(client.times.get("Dispatch Start", [])) > 4, 60, "five looks")
        plant = inverter.plant
        assert client.values["Grid Power"] == round(plant.grid_w)
        assert client.values["Battery Power"] == round(plant.battery_w)
        soc = float(client.values["Battery SOC"])
        assert soc == pytest.approx(plant.soc_percent, abs=0.101)
        strings = [float(client.values[f"PV{n} Power"]) for n in (1, 2, 3, 4)]
        assert sum(strings) == pytest.approx(plant.pv_w, abs=1)
        exported = float(client.values["Exported Energy"])
        assert exported == pytest.approx(plant.true_exported_wh / 1000, abs=0.011)
        produced = float(client.values["Produced Energy"])
        assert produced == pytest.approx(plant.true_produced_wh / 1000, abs=0.11)
        assert (client.values["Work Mode"], client.values["Max Feed to Grid"]) == (1, 100)
        assert client.values["Inverter Firmware"] == "G1.08"
        assert client.values["ARM Firmware"] == "A1.32"
        assert client.values["EMS Firmware"] == "1.2.3"
        assert client.values["Inverter"] is True
        assert str(client.values["Build"]).startswith("1.0.0+")
        for name, promised_s in (
            ("Grid Power", 2),
            ("Battery Power", 2),
            ("Battery SOC", 2),
            ("PV1 Power", 4),
            ("Exported Energy", 6),
            ("Produced Energy", 6),
            ("Dispatch Start", 6),
        ):
            times = client.times[name]
            mean_s = (times[-1] - times[0]) / (len(times) - 1)
            assert mean_s <= promised_s * 1.1, f"{name} every {mean_s:.2f} s"
        gaps = [b.at_s - a.until_s for a, b in itertools.pairwise(line.exchanges)]
        assert min(gaps) >= 0.3, "the inverter needs 300 ms between two instructions"


async def test_a_block_is_one_frame_and_is_read_back_at_once(make_device: MakeDevice) -> None:
    async with bridge(make_device) as (inverter, line, device), connected(device) as client:
        block = discharge()
        answer = await client.write(7, block)
        assert answer.success, answer.error_message
        assert blocks(inverter) == [tuple(block.registers())]
        written = next(n for n, it in enumerate(line.exchanges) if it.function == 16)
        await until(lambda: client.values.get("Dispatch Power") == 2000, 3, "the read-back")
        assert client.values["Dispatch Number"] == 7
        after = [it.address for it in line.exchanges[written + 1 :]]
        assert DISPATCH_ADDRESS in after
        assert (await client.write(8, RESET_BLOCK)).success
        assert blocks(inverter)[-1] == RESET


async def test_what_the_bridge_or_the_inverter_refuses_is_said_and_not_renewed(
    make_device: MakeDevice,
) -> None:
    async with bridge(make_device) as (inverter, _, device), connected(device) as client:
        beyond = await client.write(1, discharge(power_w=10_001))
        assert not beyond.success
        assert beyond.error_message.startswith("refused: ")
        assert not (await client.write(2, discharge(), soc_raw=256)).success
        assert blocks(inverter) == []
        inverter.faults.refuse_writes = True
        refused = await client.write(3, discharge())
        assert not refused.success
        assert refused.error_message.startswith("refused: ")
        inverter.faults.refuse_writes = False
        inverter.faults.mute = True
        silent = await client.write(4, discharge())
        assert not silent.success
        assert silent.error_message.startswith("unanswered: ")


async def test_the_dead_man_resets_when_nobody_renews_the_lease(make_device: MakeDevice) -> None:
    async with bridge(make_device) as (inverter, _, device), connected(device) as client:
        await client.write(1, discharge(duration_s=4))
        await asyncio.sleep(2)
        await client.write(2, discharge(duration_s=6))
        renewed_s = inverter.writes[-1].at_s
        at_s = await until(lambda: RESET in blocks(inverter), 6 + _MOMENT_S, "the reset")
        assert 5 <= at_s - renewed_s <= 6 + _MOMENT_S
        await until(lambda: client.values.get("Dispatch Ended By") == "no renewal", 5, "the reason")
        assert not inverter.plant.dispatch.active


async def test_the_dead_man_resets_after_the_agent_dies_though_others_are_connected(
    make_device: MakeDevice,
) -> None:
    async with bridge(make_device) as (inverter, _, device), connected(device, "Home Assistant"):
        async with connected(device) as client:
            await client.write(1, discharge(duration_s=60))
        gone_s = time.monotonic()
        at_s = await until(lambda: RESET in blocks(inverter), GONE_S + _MOMENT_S, "the reset")
        assert at_s - gone_s >= GONE_S - 1
        assert not inverter.plant.dispatch.active


async def test_the_dead_man_writes_again_until_the_registers_show_the_end(
    make_device: MakeDevice,
) -> None:
    async with bridge(make_device) as (inverter, _, device), connected(device) as client:
        await client.write(1, discharge(duration_s=60))
        inverter.faults.lose_writes = True
        await client.api.disconnect(force=True)
        await until(lambda: blocks(inverter).count(RESET) >= 2, GONE_S + 8, "a second attempt")
        assert inverter.plant.dispatch.active
        inverter.faults.lose_writes = False
        await until(lambda: not inverter.plant.dispatch.active, 8, "the end")


async def test_an_upload_that_begins_ends_the_dispatch_before_the_image_flows(
    make_device: MakeDevice,
) -> None:
    async with bridge(make_device) as (inverter, _, device), connected(device) as client:
        await client.write(1, discharge(duration_s=60))
        boots = device.boots
        await asyncio.to_thread(device.upload, BRIDGE, key=device.key)
        assert blocks(inverter)[-1] == RESET
        assert not inverter.plant.dispatch.active
        await asyncio.to_thread(device.wait_api)
        assert device.boots >= boots


async def test_a_dispatch_of_somebody_else_is_left_alone(make_device: MakeDevice) -> None:
    async with bridge(make_device) as (inverter, _, device):
        inverter.write_local(discharge(duration_s=900).registers())
        async with connected(device) as client:
            await until(lambda: client.values.get("Dispatch Start") == 1, 15, "it is seen")
        await asyncio.sleep(GONE_S + 1)
        assert blocks(inverter) == []
        assert inverter.plant.dispatch.active


async def test_a_mute_inverter_makes_its_values_unknown_also_for_who_connects_later(
    make_device: MakeDevice,
) -> None:
    async with bridge(make_device) as (inverter, _, device):
        async with connected(device) as client:
            await until(lambda: "Grid Power" in client.values, 15, "a value")
            inverter.faults.mute = True
            await until(lambda: client.values.get("Inverter") is False, 12, "it is missed")
        async with connected(device) as late:
            await until(lambda: "Grid Power" in late.values, 5, "the first states")
            assert math.isnan(float(late.values["Grid Power"]))
