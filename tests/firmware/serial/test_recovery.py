"""A bridge is recovered over a cable: real esptool, virtual chip, our worker between them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from agent.firmware.serial.boot_log import Start
from agent.firmware.serial.models import Phase
from agent.firmware.serial.pace import LADDER
from agent.firmware.serial.plan import plan_flash, plan_restore
from agent.simulator.esp_rom_chips import Specimen
from tests.firmware.serial.boards import NVS, SETTINGS, board

pytestmark = pytest.mark.peers("esptool", "esp32")
CHIPS = ("esp32", "esp32c3", "esp32s3")


@pytest.mark.parametrize("chip", CHIPS)
async def test_a_bridge_is_identified_and_written_and_keeps_its_wifi(
    tmp_path: Path, chip: str
) -> None:
    async with board(tmp_path, chip, size=40_000) as it:
        device = await it.driver.identify(it.port.path)
        assert (device.chip, device.mac, device.revision) == (chip, "a0b7651c2d3e", 300)
        assert (device.app_name, device.app_version) == ("edge101", "2025.1.0")
        assert (device.flash_size, device.table) == (4 << 20, it.device.table)
        assert not it.esp.packets, "identifying wrote to the flash"

        plan = plan_flash(it.image, it.content, device)
        done = await it.write(plan)
        assert (done.baud, done.with_stub) == (460_800, True)
        assert it.flashed
        packets = it.esp.packets
        again = await it.write()
        assert again.nothing_to_do
        assert again.already_right == plan.parts
        assert it.esp.packets == packets
    writing = [p for p in it.told if p.phase is Phase.WRITE]
    assert writing[-1].done == writing[-1].total == sum(part.size for part in done.written)
    unsafe = {p.phase for p in it.told if not p.safe_to_stop}
    assert unsafe == {Phase.WRITE}


@pytest.mark.parametrize("chip", CHIPS)
async def test_without_the_helper_program_the_rom_alone_does_it(tmp_path: Path, chip: str) -> None:
    async with board(tmp_path, chip, ladder=LADDER[3:]) as it:
        assert not (await it.write()).with_stub
        assert it.flashed


async def test_what_was_written_is_proven_and_heard_to_start(tmp_path: Path) -> None:
    async with board(tmp_path, size=12_001) as it:
        await it.write()
        await it.driver.verify(it.port.path, it.plan, it.file)
        it.port.starts = True
        seen = await it.driver.observe(it.port.path)
        assert seen.start is Start.CONNECTED
        assert not any("Hillview" in line for line in seen.lines)


async def test_the_quick_backup_holds_the_settings_and_nobody_else_may_read_it(
    tmp_path: Path,
) -> None:
    async with board(tmp_path) as it:
        path = tmp_path / "backup.bin"
        kept = await it.driver.backup(it.port.path, it.device, path, it.told.append)
        assert os.stat(path).st_mode & 0o777 == 0o600  # noqa: PTH116 - its mode is the promise
        for region in kept.regions:
            copy = path.read_bytes()[region.start : region.start + region.size]
            assert copy == it.at(region.offset, region.size)
        assert {region.offset for region in kept.regions} == {0x8000, NVS[2], 0xE000}
        assert not [it for it in os.listdir(tmp_path) if it.endswith(".part")]  # noqa: PTH208
    assert not any("password" in progress.text for progress in it.told)


async def test_a_full_backup_brings_a_device_back_to_where_it_was(tmp_path: Path) -> None:
    small = Specimen("esp32c3", flash_size=256 << 10)
    async with board(tmp_path, specimen=small, slot=0x18000) as it:
        before = bytes(it.esp.flash.data)
        kept = await it.driver.backup(it.port.path, it.device, tmp_path / "all.bin", full=True)
        assert hashlib.sha256(before).hexdigest() == kept.sha256
        plan = plan_flash(it.image, it.content, it.device, erase_settings=True)
        await it.write(plan)
        assert it.at(NVS[2], NVS[3]) == b"\xff" * NVS[3], "settings were to be erased"
        it.esp.flash.load(NVS[2], SETTINGS)
        assert not await it.driver.holds(it.port.path, plan, it.file), "settings came back unseen"
        await it.driver.write(it.port.path, plan_restore(kept, it.device), kept.path)
        assert bytes(it.esp.flash.data) == before
        assert SETTINGS in before
