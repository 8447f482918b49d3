"""
The bridge's firmware as a Linux program, against the simulated inverter on a serial line.

What is asserted of the inverter was seen at the inverter: its written frames and its registers.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from datetime import datetime

import pytest
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    WriteMultipleRegistersRequest,
)

from agent.house.alphaess import DISPATCH_ADDRESS, RESET_BLOCK
from tests.bridge.scene import (
    GONE_S,
    MOMENT_S,
    RESET,
    blocks,
    bridge,
    connected,
    discharge,
    quiet,
    until,
)
from tests.peers.esphome_firmware import BRIDGE, PROJECT_VERSION
from tests.peers.fixtures import MakeDevice
from tests.peers.process import PeerError, accepts

WRONG_KEY = "YW5vdGhlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGU="


async def test_values_are_the_inverters_in_its_units(make_device: MakeDevice) -> None:
    async with bridge(make_device) as (inverter, _, device), connected(device) as client:
        inverter.speed = 0  # the house stands still, so that values can be compared
        began_s = time.monotonic()
        slow = ("Max Feed to Grid", "Inverter Firmware", "ARM Firmware", "EMS Firmware")
        await until(lambda: client.newest_s(*slow) > 0, 40, "the slowest values")
        await until(lambda: client.newest_s("Grid Power", "PV1 Power") > began_s, 10, "new ones")
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


async def test_each_build_has_a_name_and_says_why_it_booted(make_device: MakeDevice) -> None:
    async with bridge(make_device) as (_, _, device), connected(device) as client:
        await until(lambda: "Build" in client.times, 5, "the build")
        info = await client.api.device_info()
        version, _, rest = str(client.values["Build"]).partition("+")
        config, _, built_s = rest.partition(".")
        assert version == info.project_version == PROJECT_VERSION
        assert len(config) == 8
        assert datetime.fromisoformat(info.compilation_time).timestamp() == int(built_s)
        assert info.project_name == "pv-edge.alphaess-bridge"
        # Linux knows no reason; which one an ESP32 shows is ESPHome's own.
        assert "Reset Reason" in client.names


async def test_values_arrive_at_the_promised_pace_while_dispatches_are_renewed(
    make_device: MakeDevice,
) -> None:
    """The inverter takes 150 ms for each answer, and every 15 s a block goes out between them."""
    async with bridge(make_device, response_s=0.15) as (_, _, device), connected(device) as client:
        await until(lambda: client.values.get("Inverter") is True, 15, "the first round")
        began_s = time.monotonic()
        for number in (1, 2):
            assert (await client.write(number, discharge())).success
            await asyncio.sleep(began_s + 15 * number - time.monotonic())
        for name, promised_s in (
            ("Grid Power", 2),
            ("Battery Power", 2),
            ("Battery SOC", 2),
            ("PV1 Power", 4),
            ("Exported Energy", 6),
            ("Produced Energy", 6),
            ("Dispatch Start", 6),
        ):
            times = [at_s for at_s in client.times[name] if at_s >= began_s]
            gaps_s = [later - earlier for earlier, later in itertools.pairwise(times)]
            mean_s = sum(gaps_s) / len(gaps_s)
            assert mean_s <= promised_s * 1.15, f"{name} every {mean_s:.2f} s"
            # One round may wait for a block and its read-back, and for a busy machine that tests.
            assert max(gaps_s) <= promised_s + 4, f"{name} after {max(gaps_s):.2f} s"


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
        at_s = await until(lambda: RESET in blocks(inverter), 6 + MOMENT_S, "the reset")
        assert 5 <= at_s - renewed_s <= 6 + MOMENT_S
        await until(lambda: client.values.get("Dispatch Ended By") == "no renewal", 5, "the reason")
        await until(lambda: client.values.get("Dispatches Ended") == 1, 5, "the count")
        assert not inverter.plant.dispatch.active


async def test_the_dead_man_resets_after_the_agent_dies_though_others_are_connected(
    make_device: MakeDevice,
) -> None:
    async with bridge(make_device) as (inverter, _, device), connected(device, "Home Assistant"):
        async with connected(device) as client:
            await client.write(1, discharge(duration_s=60))
        gone_s = time.monotonic()
        at_s = await until(lambda: RESET in blocks(inverter), GONE_S + MOMENT_S, "the reset")
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
        await client.write(1, discharge())
        await asyncio.to_thread(device.upload, BRIDGE, key=device.key)
        await asyncio.to_thread(device.wait_api)
        assert blocks(inverter)[1:] == [RESET]
        assert not inverter.plant.dispatch.active
        # Before ESPHome opens the place for the image; the restart after it finds nothing to end.
        log = device.log(100_000)
        assert 0 < log.index("Ending the dispatch: upload") < log.index("OTA begin")
        assert "Ending the dispatch: restart" not in log
        assert log.count("compiled on") > 1, "the new firmware runs"


async def test_who_may_not_upload_cannot_end_the_dispatch_either(make_device: MakeDevice) -> None:
    async with bridge(make_device) as (inverter, _, device), connected(device) as client:
        await client.write(1, discharge())
        with pytest.raises(PeerError, match="ended with 1"):
            await asyncio.to_thread(device.upload, BRIDGE, key=None)
        with pytest.raises(PeerError, match="ended with 1"):
            await asyncio.to_thread(device.upload, BRIDGE, key=WRONG_KEY)
        assert RESET not in blocks(inverter)
        assert inverter.plant.dispatch.active
        assert device.endings == []


async def test_a_restart_ends_the_dispatch_first(make_device: MakeDevice) -> None:
    async with bridge(make_device) as (inverter, _, device), connected(device) as client:
        await client.write(1, discharge())
        client.press("Restart")
        await asyncio.to_thread(device.wait_boot, 2)
        assert blocks(inverter)[1:] == [RESET]
        assert not inverter.plant.dispatch.active


async def test_safe_mode_takes_firmware_and_commands_nothing(make_device: MakeDevice) -> None:
    async with bridge(make_device) as (inverter, line, device), connected(device) as client:
        await client.write(1, discharge())
        client.press("Restart in Safe Mode")
        await asyncio.to_thread(device.wait_upload, 2)
        assert not accepts(device.api_port)
        assert blocks(inverter)[1:] == [RESET]
        asked = len(line.exchanges)
        await asyncio.sleep(2.5)  # a bridge that works asks every 2 s
        assert len(line.exchanges) == asked
        await asyncio.to_thread(device.upload, BRIDGE, key=device.key)
        await asyncio.to_thread(device.wait_api)
        async with connected(device) as again:
            await until(lambda: again.values.get("Inverter") is True, 10, "it works again")


async def test_a_newer_command_replaces_one_that_still_waits(make_device: MakeDevice) -> None:
    async with bridge(make_device) as (inverter, _, device), connected(device) as client:
        first, second = await asyncio.gather(
            client.write(1, discharge()), client.write(2, RESET_BLOCK)
        )
        assert not first.success
        assert first.error_message == "unanswered: a newer command replaced it"
        assert second.success, second.error_message
        assert blocks(inverter)[-1] == RESET
        assert not inverter.plant.dispatch.active


async def test_a_dispatch_of_somebody_else_is_left_alone(make_device: MakeDevice) -> None:
    async with bridge(make_device) as (inverter, _, device):
        inverter.write_local(discharge(duration_s=900).registers())
        async with connected(device) as client:
            await until(lambda: client.values.get("Dispatch Start") == 1, 15, "it is seen")
        await asyncio.sleep(GONE_S + 1)
        assert blocks(inverter) == []
        assert inverter.plant.dispatch.active


async def test_a_second_master_on_the_line_is_heard(make_device: MakeDevice) -> None:
    async with bridge(make_device) as (inverter, line, device), connected(device) as client:
        await until(lambda: client.values.get("Inverter") is True, 15, "it works")
        assert (await client.write(1, RESET_BLOCK)).success
        read = ReadHoldingRegistersRequest(address=0x0102, count=1, dev_id=85)
        write = WriteMultipleRegistersRequest(
            address=DISPATCH_ADDRESS, registers=discharge().registers(), dev_id=85
        )
        assert client.values.get("Foreign Requests") == 0, "neither our own nor their answers"
        for count, foreign in enumerate((read, write, read), start=1):
            async with quiet(line):
                await line.another_master(foreign)
            await until(lambda n=count: client.values["Foreign Requests"] == n, 3, "it is counted")
        assert inverter.plant.dispatch.active


async def test_a_mute_inverter_makes_its_values_unknown_also_for_who_connects_later(
    make_device: MakeDevice,
) -> None:
    async with bridge(make_device) as (inverter, _, device):
        async with connected(device) as client:
            await until(lambda: client.values.get("Inverter") is True, 15, "a value")
            assert not math.isnan(float(client.values["Grid Power"]))
            inverter.faults.mute = True
            await until(lambda: client.values.get("Inverter") is False, 12, "it is missed")
        async with connected(device) as late:
            await until(lambda: "Grid Power" in late.values, 5, "the first states")
            assert math.isnan(float(late.values["Grid Power"]))
