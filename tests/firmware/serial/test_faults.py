"""What goes wrong on a cable ends in the right sentence, and never with the port held."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from agent.firmware.serial.checks import lock_refusals
from agent.firmware.serial.driver import SerialDriver
from agent.firmware.serial.errors import SerialCode, SerialError
from agent.firmware.serial.models import Phase, Progress
from agent.firmware.serial.pace import LADDER, Patience
from agent.firmware.serial.ports import holders
from agent.fleet.identity import Mac
from agent.simulator.esp_rom_chips import Specimen
from agent.simulator.esp_rom_faults import RomFaults
from agent.simulator.esp_rom_protocol import Op
from tests.firmware.serial.boards import IMPATIENT, QUICK, Board, board, driver
from tests.firmware.serial.conftest import Started

pytestmark = pytest.mark.peers("esptool", "esp32")
FREE_S = 1.0
"""It takes some ms; a busy machine may need a while to look. Waiting for the chip takes 3 s."""


async def refusal(it: Board) -> SerialError:
    with pytest.raises(SerialError) as caught:
        await it.write()
    return caught.value


def untouched(it: Board) -> bool:
    """Whether nothing was put into its flash, nor even into its memory."""
    return not it.esp.packets and Op.MEM_BEGIN not in it.esp.commands


@pytest.mark.parametrize(
    ("faults", "code", "said"),
    [
        (RomFaults(mute=True), SerialCode.NO_ANSWER, "Hold BOOT"),
        (RomFaults(runs_its_program=True), SerialCode.NOT_DOWNLOADING, "no boot loader"),
        (RomFaults(unknown_chip=True), SerialCode.UNKNOWN_CHIP, "right port"),
        (RomFaults(flash_silent=True), SerialCode.FLASH_SILENT, "does not answer"),
        (RomFaults(no_greeting=True), SerialCode.STUB_FAILED, "did not run it"),
    ],
)
async def test_a_bridge_that_cannot_be_talked_to_is_left_alone_with_a_sentence(
    tmp_path: Path, faults: RomFaults, code: SerialCode, said: str
) -> None:
    async with board(tmp_path, "esp32c3", faults) as it:
        it.driver = driver(IMPATIENT, LADDER[:1])
        error = await refusal(it)
    assert (error.code, error.touched) == (code, False)
    assert said in str(error)
    assert not it.esp.packets


@pytest.mark.parametrize(
    ("specimen", "code", "said"),
    [
        (Specimen("esp32", secure_boot=True), SerialCode.SECURE_BOOT, "secure boot"),
        (Specimen("esp32s3", flash_encryption=True), SerialCode.FLASH_ENCRYPTION, "encrypts"),
        (Specimen("esp32c3", secure_download=True), SerialCode.SECURE_DOWNLOAD, "secure download"),
    ],
)
async def test_a_locked_chip_is_refused_once_and_never_written(
    tmp_path: Path, specimen: Specimen, code: SerialCode, said: str
) -> None:
    async with board(tmp_path, specimen=specimen) as it:
        error = await refusal(it)
        device = await it.driver.identify(it.port.path)
    assert [why.code for why in lock_refusals(device)] == [code]
    assert (error.code, error.touched) == (code, False)
    assert said in str(error)
    assert untouched(it)
    connects = [progress for progress in it.told if progress.text.startswith("Connecting")]
    assert len(connects) == 1, "a refusal was tried again"


async def test_another_bridge_on_the_cable_than_the_one_that_was_meant(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        with pytest.raises(SerialError, match="B8:D6:1A:00:00:01 was meant") as caught:
            await it.write(replace(it.plan, mac=Mac("b8d61a000001")))
    assert caught.value.code is SerialCode.WRONG_DEVICE
    assert untouched(it)


async def test_another_bridge_that_is_plugged_in_meanwhile_is_not_written(tmp_path: Path) -> None:
    """Two with the same converter have the same name."""
    async with board(tmp_path, faults=RomFaults(unplugged_after=1_000), size=40_000) as it:
        task = asyncio.create_task(it.write())
        await asyncio.wait_for(it.port.gone.wait(), 30)
        it.esp.specimen = replace(it.esp.specimen, mac="b8d61a000001")
        before, sent, asked = bytes(it.esp.flash.data), it.esp.packets, len(it.esp.commands)
        it.port.plug_in()
        with pytest.raises(SerialError, match="is B8:D6:1A:00:00:01, and") as caught:
            await task
        assert (caught.value.code, caught.value.touched) == (SerialCode.WRONG_DEVICE, True)
        assert (bytes(it.esp.flash.data), it.esp.packets) == (before, sent)
        assert Op.MEM_BEGIN not in it.esp.commands[asked:]


async def test_a_plan_for_another_chip_is_not_carried_out(tmp_path: Path) -> None:
    async with board(tmp_path, "esp32s3") as it:
        with pytest.raises(SerialError, match="made for esp32c3, and the bridge has esp32s3"):
            await it.write(replace(it.plan, chip="esp32c3"))
    assert untouched(it)


async def test_a_spoilt_packet_ends_a_write_by_the_rom_which_has_counted_it(
    tmp_path: Path,
) -> None:
    """esptool sends the packet again, and the ROM says that it is out of turn."""
    async with board(tmp_path, "esp32c3", RomFaults(spoilt_packet=2), ladder=LADDER[3:]) as it:
        error = await refusal(it)
    assert (error.code, error.touched) == (SerialCode.REJECTED, True)
    assert "seq 1" in error.detail


async def test_an_image_that_was_swapped_after_the_check_never_reaches_the_cable(
    tmp_path: Path,
) -> None:
    async with board(tmp_path) as it:
        plan = it.plan
        it.file.write_bytes(it.content[:-1] + b"!")
        with pytest.raises(SerialError, match="not the one that was checked") as caught:
            await it.write(plan)
    assert caught.value.code is SerialCode.IMAGE_CHANGED
    assert not it.esp.commands


async def test_a_program_that_holds_the_port_without_a_lock_is_named_and_not_disturbed(
    tmp_path: Path,
) -> None:
    async with board(tmp_path) as it:
        other = os.open(it.port.path, os.O_RDWR | os.O_NOCTTY)
        try:
            error = await refusal(it)
        finally:
            os.close(other)
    assert error.code is SerialCode.PORT_BUSY
    assert str(os.getpid()) in error.text
    assert not it.esp.commands


async def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        with pytest.raises(SerialError, match="may only charge") as caught:
            await it.driver.identify(str(tmp_path / "usb-nothing"))
    assert caught.value.code is SerialCode.PORT_MISSING


@pytest.mark.parametrize(
    ("faults", "worked_at"),
    [
        (RomFaults(noisy_above_baud=300_000), (230_400, True)),
        (RomFaults(short_packet=1), (460_800, True)),
        (RomFaults(power_cut_after=100), (230_400, True)),
    ],
    ids=["noise", "lost byte", "power cut"],
)
async def test_what_a_slower_or_a_second_try_cures_is_cured_without_a_person(
    tmp_path: Path, faults: RomFaults, worked_at: tuple[int, bool]
) -> None:
    async with board(tmp_path, "esp32c3", faults) as it:
        done = await it.write()
        assert (done.baud, done.with_stub) == worked_at
        assert it.flashed


FLICKERS = """
import json, sys
from pathlib import Path
port = Path(json.loads(sys.stdin.readline())["port"])
before = len(port.read_text())
port.write_text("x" * (before + 1))
print(json.dumps([
    {"event": "failed", "kind": "SerialException", "text": "[Errno 5] gone"},
    {"event": "refused", "code": "port-missing", "text": "Gone.", "next_step": "Wait."},
    {"event": "done"},
][before]))
"""


async def test_a_port_that_is_seen_for_a_moment_after_it_vanished_is_waited_for(
    tmp_path: Path,
) -> None:
    """udev takes the name away a little later than the kernel the device."""
    port = tmp_path / "port"
    port.touch()
    await SerialDriver(QUICK, command=(sys.executable, "-c", FLICKERS)).restart(str(port))
    assert port.read_text() == "xxx"


@pytest.mark.parametrize("faults", [RomFaults(wrong_md5=True), RomFaults(worn_sector=0x11)])
async def test_a_flash_that_does_not_take_what_it_is_given(
    tmp_path: Path, faults: RomFaults
) -> None:
    async with board(tmp_path, "esp32c3", faults, ladder=LADDER[:1]) as it:
        error = await refusal(it)
    assert (error.code, error.touched) == (SerialCode.NOT_KEPT, True)
    assert "the flash chip or its power supply is bad" in str(error)


async def test_a_backup_that_the_disk_does_not_take_is_told_as_that(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        with pytest.raises(SerialError, match=r"No such file or directory.*Make room") as caught:
            await it.driver.backup(it.port.path, it.device, tmp_path / "gone" / "backup.bin")
    assert caught.value.code is SerialCode.BACKUP_UNSAVED
    assert not it.esp.packets


async def test_a_copy_that_is_not_what_the_flash_holds_is_not_kept(tmp_path: Path) -> None:
    async with board(tmp_path, faults=RomFaults(wrong_md5=True), ladder=LADDER[:1]) as it:
        with pytest.raises(SerialError, match="not what the flash holds") as caught:
            await it.driver.backup(it.port.path, it.device, tmp_path / "backup.bin")
    assert caught.value.code is SerialCode.BACKUP_FAILED
    assert not [name for name in os.listdir(tmp_path) if "backup" in name]  # noqa: PTH208


async def test_a_write_that_is_gone_after_the_next_start_is_found_by_the_proof(
    tmp_path: Path,
) -> None:
    async with board(tmp_path, "esp32c3", RomFaults(forgets=True)) as it:
        await it.write()
        with pytest.raises(SerialError, match="It differs between 0xe000") as caught:
            await it.driver.verify(it.port.path, it.plan, it.file)
    assert caught.value.code is SerialCode.NOT_KEPT


def held_for_s(it: Board) -> float:
    """Wait until no process has the port open, and return how long that took."""
    began = time.monotonic()
    while holders(it.port.node):
        assert time.monotonic() < began + 5, "the port is never freed"
    return time.monotonic() - began


async def writing(it: Board) -> asyncio.Task[object]:
    """Begin a write and wait until it is in the middle of it."""
    begun = asyncio.Event()

    def tell(progress: Progress) -> None:
        it.told.append(progress)
        if progress.phase is Phase.WRITE and progress.done:
            begun.set()

    task = asyncio.create_task(it.driver.write(it.port.path, it.plan, it.file, tell))
    await asyncio.wait_for(begun.wait(), 30)
    return task


async def test_a_cancelled_write_frees_the_port_at_once_and_the_next_one_succeeds(
    tmp_path: Path,
) -> None:
    async with board(tmp_path, size=110_000, paced=True) as it:
        task = await writing(it)
        it.esp.faults = RomFaults(mute=True)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert held_for_s(it) < FREE_S
        assert it.told[-1].touched
        assert not it.told[-1].safe_to_stop
        assert not it.flashed
        await asyncio.wait_for(it.port.closed.wait(), 10)
        it.port.paced, it.esp.faults = False, RomFaults()
        asked = len(it.esp.commands)
        await it.driver.restart(it.port.path)
        assert len(it.esp.commands) == asked, "it was spoken to"
        await it.write()
        assert it.flashed


AGENT = """
import asyncio, json, sys
from pathlib import Path
from agent.firmware.serial.checks import lock_refusals
from agent.firmware.serial.driver import SerialDriver
from agent.firmware.serial.messages import plan_from
port, image, plan = sys.argv[1:]
def tell(progress):
    if progress.phase == "write" and progress.done:
        print("writing", flush=True)
asyncio.run(SerialDriver().write(port, plan_from(json.loads(plan)), Path(image), tell))
"""


async def test_when_the_agent_is_killed_its_flashing_process_ends_with_it(tmp_path: Path) -> None:
    async with board(tmp_path, size=110_000, paced=True) as it:
        agent = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", AGENT, it.port.path, str(it.file)),
            json.dumps(asdict(it.plan)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert agent.stdout
        assert await asyncio.wait_for(agent.stdout.readline(), 30) == b"writing\n"
        it.esp.faults = RomFaults(mute=True)
        agent.send_signal(signal.SIGKILL)
        await agent.wait()
        assert held_for_s(it) < FREE_S


async def test_a_flashing_process_that_says_nothing_is_ended(
    tmp_path: Path, started: Started
) -> None:
    silent = (sys.executable, "-c", "import time; time.sleep(60)")
    stubborn = SerialDriver(Patience(factor=0.004), LADDER[:1], silent)
    with pytest.raises(SerialError, match="longer than it ever should") as caught:
        await stubborn.identify(str(tmp_path / "port"))
    assert caught.value.code is SerialCode.TOO_SLOW
    assert not started()
