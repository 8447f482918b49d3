"""
Both ports of a house over a real bridge: ESPHome firmware, and the simulated inverter behind it.

What is asserted of the inverter was seen at the inverter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest

from agent.fleet.events import BridgeEvent
from agent.fleet.identity import Mac
from agent.fleet.introduction import Target
from agent.house.alphaess import RESET_BLOCK, DispatchBlock
from agent.house.bridge_alphaess import HEARD_FOR_S, SOC, TRAITS, BridgeAlphaEss, alone
from agent.house.firmware import BridgeFirmware
from agent.house.port import WriteStatus
from agent.house.readings import Quality
from agent.simulator.inverter import Inverter
from agent.simulator.plant import Plant, PlantSettings
from agent.simulator.serial_line import SerialLine
from tests.bridge.scene import RESET, blocks, bridge, quiet
from tests.house.embedded_scene import complete, nothing, read
from tests.peers.esphome import Device
from tests.peers.fixtures import MakeDevice
from tests.simulator.waiting import until

DISCHARGE = DispatchBlock(True, 3000, 20, 60)


@dataclass
class Scene:
    house: BridgeAlphaEss
    inverter: Inverter
    device: Device
    events: list[BridgeEvent]
    line: SerialLine

    async def known(self) -> None:
        await until(lambda: complete(self.house.sample()), 30)


@asynccontextmanager
async def through(device: Device) -> AsyncIterator[tuple[BridgeAlphaEss, list[BridgeEvent]]]:
    """Run an adapter on a device."""
    events: list[BridgeEvent] = []
    target = Target(
        (device.host,), device.api_port, device.ota_port, Mac(device.mac), device.name, device.key
    )
    adapter = alone(target, on_event=events.append)
    task = asyncio.create_task(adapter.run())
    try:
        yield adapter, events
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def scene(make_device: MakeDevice) -> AsyncIterator[Scene]:
    plant = Plant(PlantSettings(noise_w=0.0))
    plant.pv_override_w, plant.load_override_w = 2000.0, 500.0
    plant.step(60)
    async with bridge(make_device, plant=plant) as (inverter, line, device):
        inverter.speed = 0
        async with through(device) as (house, events):
            yield Scene(house, inverter, device, events, line)


async def test_the_bridges_values_are_the_inverters_and_never_older_than_promised(
    make_device: MakeDevice,
) -> None:
    async with scene(make_device) as it:
        await it.known()
        sample, plant = it.house.sample(), it.inverter.plant
        assert sample.linked
        assert sample.grid_w.value == round(plant.grid_w)
        assert sample.battery_w.value == round(plant.battery_w)
        assert sample.pv_w.value == pytest.approx(plant.pv_w, abs=1)
        assert sample.soc_percent.value == pytest.approx(plant.soc_percent, abs=0.1)
        assert sample.exported_wh.value == pytest.approx(plant.true_exported_wh, abs=10)
        assert sample.exported_wh.value % TRAITS.exported_step_wh == 0
        assert sample.produced_wh.value == pytest.approx(plant.true_produced_wh, abs=100)
        assert (sample.dispatch.start.value, sample.dispatch.power_w.value) == (0, 0)
        oldest_s: dict[str, float] = {}
        ends_s = time.monotonic() + 13
        woken = asyncio.Event()
        end = it.house.subscribe(woken.set)
        while time.monotonic() < ends_s:
            woken.clear()
            await asyncio.wait_for(woken.wait(), 5)
            now_s = time.monotonic()
            for reading in read(it.house.sample()):
                oldest_s[reading.source] = max(
                    oldest_s.get(reading.source, 0), reading.age_s(now_s)
                )
        end()
        assert oldest_s["sensor.grid_power"] <= TRAITS.power_poll_s + 2
        assert oldest_s["sensor.battery_power"] <= TRAITS.power_poll_s + 2
        assert oldest_s["sensor.exported_energy"] <= TRAITS.counter_poll_s + 2
        assert oldest_s["sensor.produced_energy"] <= TRAITS.counter_poll_s + 2
        assert oldest_s["sensor.dispatch_start"] <= TRAITS.readback_poll_s + 2


async def test_the_inverters_firmware_is_known_in_the_words_of_the_other_paths(
    make_device: MakeDevice,
) -> None:
    async with scene(make_device) as it:
        firmware = BridgeFirmware(it.house.text)
        await until(lambda: firmware() == "inverter G1.08, ARM A1.32, EMS 1.2.3", 20)


async def test_what_a_bridge_tells_first_counts_as_old_as_it_may_be(
    make_device: MakeDevice,
) -> None:
    async with scene(make_device) as it:
        await it.known()
        it.inverter.faults.set(mute=True)
        await asyncio.sleep(2.5)  # what the bridge has is no longer confirmed
        async with through(it.device) as (late, _):
            began_s = time.monotonic()
            await until(lambda: late.sample().soc_percent.good, 5)
            assert late.sample().soc_percent.vouched_s <= began_s - SOC.kept_s + 1
            it.inverter.faults.clear()
            await until(lambda: late.sample().soc_percent.vouched_s > began_s, 5)


async def test_a_block_is_delivered_as_one_frame_and_its_read_back_follows(
    make_device: MakeDevice,
) -> None:
    async with scene(make_device) as it:
        await it.known()
        for block in (DISCHARGE, RESET_BLOCK):
            outcome = await it.house.write(block, 4)
            assert outcome.status is WriteStatus.DELIVERED, outcome.detail
            delivered_s = time.monotonic()
            await until(lambda at_s=delivered_s: dispatch_s(it) > at_s, 3)
            seen = it.house.sample().dispatch
            assert seen.start.value == int(block.start)
            assert seen.power_w.value == block.power_w
            assert seen.duration_s.value == block.duration_s
        assert blocks(it.inverter) == [tuple(DISCHARGE.registers()), RESET]


async def test_the_cut_off_is_read_back_in_percent(make_device: MakeDevice) -> None:
    async with scene(make_device) as it:
        await it.known()
        await it.house.write(DISCHARGE, 4)
        await until(lambda: it.house.sample().dispatch.start.value == 1, 3)
        cutoff = it.house.sample().dispatch.cutoff_soc_percent.value
        assert cutoff == pytest.approx(DISCHARGE.cutoff_soc_percent, abs=0.4)


def dispatch_s(it: Scene) -> float:
    """Return since when the whole read-back has been confirmed."""
    seen = it.house.sample().dispatch
    return min(reading.vouched_s for reading in (seen.start, seen.power_w, seen.duration_s))


async def test_what_was_not_done_is_told_apart_from_what_may_have_been(
    make_device: MakeDevice,
) -> None:
    async with scene(make_device) as it:
        early = await it.house.write(DISCHARGE, 1)
        assert early.status is WriteStatus.REFUSED, "there is no connection yet"
        assert "not sent" in early.detail
        await it.known()
        beyond = await it.house.write(DispatchBlock(True, 12_000, 20, 60), 4)
        assert beyond.status is WriteStatus.REFUSED
        assert "max_power_w" in beyond.detail
        assert blocks(it.inverter) == []
        it.inverter.faults.set(refuse_writes=True)
        assert (await it.house.write(DISCHARGE, 4)).status is WriteStatus.REFUSED
        it.inverter.faults.clear()
        it.inverter.faults.set(mute=True)
        silent = await it.house.write(DISCHARGE, 4)
        assert silent.status is WriteStatus.UNCONFIRMED
        assert "did not answer" in silent.detail
        began_s = time.monotonic()
        hurried = await it.house.write(DISCHARGE, 0.2)
        assert hurried.status is WriteStatus.UNCONFIRMED
        assert time.monotonic() - began_s < 0.4


async def test_a_stop_overtakes_a_start_that_still_waits(make_device: MakeDevice) -> None:
    async with scene(make_device) as it:
        await it.known()
        start, stop = await asyncio.gather(
            it.house.write(DISCHARGE, 4), it.house.write(RESET_BLOCK, 4)
        )
        assert start.status is WriteStatus.UNCONFIRMED
        assert stop.status is WriteStatus.DELIVERED
        assert blocks(it.inverter)[-1] == RESET
        assert not it.inverter.plant.dispatch.active


async def test_a_write_whose_bridge_dies_is_unconfirmed_at_once_and_nothing_is_known(
    make_device: MakeDevice,
) -> None:
    async with scene(make_device) as it:
        await it.known()
        writing = asyncio.create_task(it.house.write(DISCHARGE, 30))
        await until(lambda: bool(it.inverter.writes), 5)
        it.device.crash()
        outcome = await asyncio.wait_for(writing, 2)
        assert outcome.status is WriteStatus.UNCONFIRMED
        await until(lambda: nothing(it.house.sample()), 1)
        assert "crash" in it.house.sample().grid_w.detail
        await it.known()
        assert (await it.house.write(RESET_BLOCK, 4)).status is WriteStatus.DELIVERED


async def test_a_hanging_bridge_takes_every_value_with_it_within_15_s(
    make_device: MakeDevice,
) -> None:
    async with scene(make_device) as it:
        await it.known()
        it.device.hang()
        try:
            await until(lambda: nothing(it.house.sample()), 15)
        finally:
            it.device.wake()


async def test_an_inverter_that_is_mute_behind_a_healthy_bridge_is_unavailable(
    make_device: MakeDevice,
) -> None:
    async with scene(make_device) as it:
        await it.known()
        it.inverter.faults.set(mute=True)
        await until(lambda: it.house.sample().grid_w.quality is Quality.UNAVAILABLE, 10)
        sample = it.house.sample()
        assert sample.linked
        assert "does not answer the bridge" in sample.grid_w.detail
        it.inverter.faults.clear()
        await it.known()


async def test_a_second_master_behind_the_bridge_is_known(make_device: MakeDevice) -> None:
    async with scene(make_device) as it:
        assert it.house.foreign_requests is None
        await it.known()
        assert it.house.foreign_requests == 0
        async with quiet(it.line):
            await it.line.another_master(
                ReadHoldingRegistersRequest(address=0x0102, count=1, dev_id=85)
            )
        await until(lambda: it.house.foreign_requests == 1, 5)
        now_s = time.monotonic()
        assert it.house.heard_of_late(now_s) == 1
        assert it.house.heard_of_late(now_s + HEARD_FOR_S) == 0


async def test_another_firmware_shows_nothing_and_takes_no_command(
    make_device: MakeDevice,
) -> None:
    with make_device("noise", name="garage-1") as device:
        async with through(device) as (house, _):
            await until(lambda: house.sample().linked, 10)
            reading = house.sample().grid_w
            assert reading.quality is Quality.MISSING
            assert "production firmware" in reading.detail
            outcome = await house.write(DISCHARGE, 4)
            assert outcome.status is WriteStatus.REFUSED
            assert "write_dispatch" in outcome.detail
