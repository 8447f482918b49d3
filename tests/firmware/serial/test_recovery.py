"""A bridge is recovered over a cable: real esptool, virtual chip, our worker between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.firmware.serial.models import Phase
from agent.firmware.serial.pace import LADDER
from agent.firmware.serial.plan import plan_flash, plan_restore
from tests.firmware.serial.boards import NVS, SETTINGS, board, driver

CHIPS = ("esp32", "esp32c3", "esp32s3")


@pytest.mark.parametrize("chip", CHIPS)
async def test_a_bridge_is_read_backed_up_written_and_proven_and_keeps_its_wifi(
    tmp_path: Path, chip: str
) -> None:
    async with board(tmp_path, chip) as it:
        device = await it.identify()
        assert (device.chip, device.mac, device.revision) == (chip, "a0b7651c2d3e", 300)
        assert (device.flash_size, device.app_name) == (4 << 20, "edge101")
        assert device.app_version == "2025.1.0"
        assert not it.esp.packets, "identifying wrote to the flash"

        kept = await it.driver.backup(it.port.path, device, tmp_path / "backup.bin")
        assert kept.path.stat().st_mode & 0o777 == 0o600
        assert SETTINGS in kept.path.read_bytes()

        plan = plan_flash(it.image, it.content, device)
        done = await it.driver.write(it.port.path, plan, it.file, it.told.append)
        assert (done.baud, done.with_stub) == (460_800, True)
        await it.driver.verify(it.port.path, plan, it.file)
        assert it.at(0, NVS[2]) == it.content[: NVS[2]]
        assert it.at(0xE000, len(it.content) - 0xE000) == it.content[0xE000:]
        assert it.at(NVS[2], len(SETTINGS)) == SETTINGS
        assert (await it.identify()).app_version == "2026.11.0"

        again = await it.driver.write(it.port.path, plan, it.file)
        assert again.nothing_to_do
    phases = [progress.phase for progress in it.told]
    assert [p for p in Phase if p in phases] == [
        Phase.CONNECT, Phase.IDENTIFY, Phase.STUB, Phase.COMPARE, Phase.WRITE, Phase.RESET,
    ]  # fmt: skip
    writing = [p for p in it.told if p.phase is Phase.WRITE]
    assert writing[-1].done == writing[-1].total == sum(part.size for part in done.written)
    assert not any(p.safe_to_stop for p in writing[2:])


@pytest.mark.parametrize("chip", CHIPS)
async def test_without_the_helper_program_the_rom_alone_does_it(tmp_path: Path, chip: str) -> None:
    async with board(tmp_path, chip, size=9_000) as it:
        rom_only = driver(ladder=LADDER[3:])
        plan = plan_flash(it.image, it.content, await it.identify())
        done = await rom_only.write(it.port.path, plan, it.file)
        assert not done.with_stub
        await rom_only.verify(it.port.path, plan, it.file)
        assert it.at(0xE000, len(it.content) - 0xE000) == it.content[0xE000:]
        assert it.at(NVS[2], len(SETTINGS)) == SETTINGS


async def test_a_backup_brings_a_device_back_to_where_it_was(tmp_path: Path) -> None:
    async with board(tmp_path, "esp32c3", size=9_000) as it:
        before = bytes(it.esp.flash.data)
        device = await it.identify()
        kept = await it.driver.backup(it.port.path, device, tmp_path / "all.bin", full=True)
        assert kept.path.read_bytes() == before
        plan = plan_flash(it.image, it.content, device, erase_settings=True)
        await it.driver.write(it.port.path, plan, it.file)
        assert it.at(NVS[2], NVS[3]) == b"\xff" * NVS[3], "settings were to be erased"
        await it.driver.write(it.port.path, plan_restore(kept, device), kept.path)
        assert bytes(it.esp.flash.data) == before
