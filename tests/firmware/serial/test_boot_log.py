"""What a bridge prints while it starts is told as what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.firmware.serial.boot_log import Start, read_boot_log
from tests.firmware.serial.boards import board

ROM = b"ets Jun  8 2016 00:22:57\r\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
APP = b"[I][app:151]: ESPHome version 2026.10.0\r\n"
ONLINE = b"[I][wifi:1732]: Connected\r\n"


@pytest.mark.parametrize(
    ("said", "start"),
    [
        (b"", Start.SILENT),
        (ROM, Start.SILENT),
        (ROM + APP, Start.RUNNING),
        (ROM + APP + ONLINE, Start.CONNECTED),
        (ROM + APP + ONLINE + b"[D][sensor:094]: 'Grid': 5 W\r\n", Start.CONNECTED),
        (ROM + b"invalid header: 0xffffffff\r\n" * 3, Start.NO_PROGRAM),
        (ROM + APP + ONLINE + b"Guru Meditation Error: Core  0 panic'ed\r\n", Start.CRASHED),
        (ROM + b"abort() was called at PC 0x400d\r\n" + ROM + APP, Start.RUNNING),
        (ROM + b"Brownout detector was triggered\r\n", Start.BROWNOUT),
        (b"rst:0x1,boot:0x3 (DOWNLOAD_BOOT(UART0))\r\nwaiting for download\r\n", Start.DOWNLOADING),
        (bytes(range(256)) * 4, Start.SILENT),
    ],
)
def test_a_start_is_judged_by_what_was_said_last(said: bytes, start: Start) -> None:
    report = read_boot_log(said)
    assert report.start is start
    assert report.text.endswith(".")
    assert bool(report.next_step) is (start is not Start.CONNECTED)


def test_a_log_line_brings_neither_secrets_nor_control_characters() -> None:
    said = (
        b"\x1b[0;35m[C][wifi:1]:   SSID: 'Home'\x1b[0m\r\n[C][api:2]: Noise key: abc\r\nfine\x07\n"
    )
    assert read_boot_log(said).lines == ("fine",)


async def test_a_bridge_without_a_program_is_heard_to_find_none(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        it.esp.flash.erase(0x10000, 0x1000)
        it.port.starts = True
        report = await it.driver.observe(it.port.path)
        assert report.start is Start.NO_PROGRAM
        assert not it.esp.commands, "it was spoken to"
