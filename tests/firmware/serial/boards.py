"""Bridges on pseudo terminals and images for them, as the tests of the serial room need them."""

from __future__ import annotations

import hashlib
import random
import struct
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.firmware.manifest.models import ImageKind, Part, ReleaseImage
from agent.firmware.serial.driver import SerialDriver
from agent.firmware.serial.layout import read_table
from agent.firmware.serial.models import FlashPlan, Progress, SerialDevice, Written
from agent.firmware.serial.pace import LADDER, Patience, Rung
from agent.firmware.serial.plan import plan_flash
from agent.fleet.identity import Mac
from agent.simulator.esp_rom import VirtualEsp
from agent.simulator.esp_rom_chips import CHIPS, Specimen
from agent.simulator.esp_rom_faults import RomFaults
from agent.simulator.esp_rom_port import EspPort

NVS = (1, 2, 0x9000, 0x5000)
ELSEWHERE = (1, 2, 0x3F0000, 0x5000)
SETTINGS = b"ssid and password" * 30
QUICK = Patience(connect_attempts=4, greeting_s=2, reappear_s=5)
"""Shorter than for people, and long enough for a machine that is busy."""
IMPATIENT = Patience(connect_attempts=2, greeting_s=1)
"""For who is not going to answer anyway."""
_BOOT = {"esp32": 0x1000}
_CACHE = tempfile.TemporaryDirectory(prefix="bytecode-")
COMMAND = (
    *(sys.executable, "-P", "-X", f"pycache_prefix={_CACHE.name}"),
    *("-m", "agent.firmware.serial.worker"),
)
"""The worker as it is started, with esptool compiled once for all tests of a run."""


def driver(patience: Patience = QUICK, ladder: tuple[Rung, ...] = LADDER) -> SerialDriver:
    """The driver with the patience of tests."""
    return SerialDriver(patience, ladder, COMMAND)


def table(*entries: tuple[int, int, int, int]) -> bytes:
    """A partition table as ESP-IDF writes it, checksum included."""
    raw = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", *entry, f"part{place}".encode(), 0)
        for place, entry in enumerate(entries)
    )
    check = b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(raw, usedforsecurity=False).digest()
    return (raw + check).ljust(0xC00, b"\xff")


def otadata(sequence: int) -> bytes:
    """The choice of a slot, as the boot loader wants it."""
    crc = zlib.crc32(struct.pack("<I", sequence), 0xFFFFFFFF)
    return struct.pack("<I20sII", sequence, b"\xff" * 20, 2, crc)


def program(chip: str, name: str, version: str, size: int) -> bytes:
    """A program: header, descriptor and something that compresses by half."""
    noise = random.Random(f"{name}{version}")  # noqa: S311 - the same bytes in every run
    header = struct.pack("<BBBBIB3xH10x", 0xE9, 1, 2, 0x20, 0x40080000, 0xEE, CHIPS[chip].chip_id)
    told = struct.pack("<I12x32s32s", 0xABCD5432, version.encode(), name.encode())
    head = (header.ljust(0x20, b"\0") + told).ljust(0x120, b"\0")
    body = b"".join(noise.randbytes(64) + bytes(64) for _ in range(size // 128 + 1))
    return (head + body)[:size]


def factory(
    chip: str = "esp32",
    *,
    made_for: str | None = None,
    nvs: tuple[int, int, int, int] = NVS,
    size: int = 40_000,
    slot: int = 0x1C0000,
    version: str = "2026.11.0",
) -> tuple[ReleaseImage, bytes]:
    """A merged factory image of which `size` bytes are the program, and its entry."""
    content = bytearray(b"\xff" * (0x10000 + size))
    inside = made_for or chip
    boot = _BOOT.get(chip, 0)
    content[boot : boot + 0x2000] = program(inside, "boot", "1", 0x2000)
    slots = [(0, 0x10, 0x10000, slot), (0, 0x11, 0x10000 + slot, slot)]
    content[0x8000:0x8C00] = table(nvs, (1, 0, 0xE000, 0x2000), *slots)
    content[0xE000:0xE020] = otadata(1)
    content[0x10000:] = program(inside, "edge101", version, size)
    image = ReleaseImage(
        kind=ImageKind.FACTORY,
        chip=chip,
        file="factory.bin",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        flash_size=0x10000 + 2 * slot,
        parts=(Part(0, 0, len(content)),),
    )
    return image, bytes(content)


@dataclass
class Board:
    """A bridge on a cable, the image that is to go onto it, and what was told on the way."""

    port: EspPort
    image: ReleaseImage
    content: bytes
    file: Path
    driver: SerialDriver
    told: list[Progress]

    @property
    def device(self) -> SerialDevice:
        """What identifying it would say, without the time that takes."""
        it = self.esp.specimen
        return SerialDevice(
            chip=it.chip,
            mac=Mac(it.mac),
            revision=it.revision,
            flash_size=it.flash_size,
            table=read_table(self.content[0x8000:0x9000]),
        )

    @property
    def plan(self) -> FlashPlan:
        return plan_flash(self.image, self.content, self.device)

    async def write(self, plan: FlashPlan | None = None) -> Written:
        wanted = plan or self.plan
        return await self.driver.write(self.port.path, wanted, self.file, self.told.append)

    @property
    def flashed(self) -> bool:
        """Whether its flash holds the image, and its settings are as they were."""
        after = NVS[2] + NVS[3]
        return (
            self.at(0, NVS[2]) == self.content[: NVS[2]]
            and self.at(after, len(self.content) - after) == self.content[after:]
            and self.at(NVS[2], len(SETTINGS)) == SETTINGS
        )

    @property
    def esp(self) -> VirtualEsp:
        return self.port.esp

    def at(self, offset: int, size: int) -> bytes:
        return bytes(self.esp.flash.data[offset : offset + size])


@asynccontextmanager
async def board(
    folder: Path,
    chip: str = "esp32c3",
    faults: RomFaults | None = None,
    *,
    specimen: Specimen | None = None,
    size: int = 12_000,
    slot: int = 0x1C0000,
    ladder: tuple[Rung, ...] = LADDER,
    paced: bool = False,
) -> AsyncIterator[Board]:
    """A bridge that runs an older version and has settings in its NVS."""
    it = specimen or Specimen(chip)
    esp = VirtualEsp(it, faults)
    esp.flash.load(0, factory(it.chip, version="2025.1.0", size=4096, slot=slot)[1])
    esp.flash.load(NVS[2], SETTINGS)
    image, content = factory(it.chip, size=size, slot=slot)
    file = folder / "factory.bin"
    file.write_bytes(content)
    async with EspPort(esp, folder / "usb-bridge-if00-port0", paced=paced) as port:
        yield Board(port, image, content, file, driver(ladder=ladder), [])
