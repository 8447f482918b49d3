"""
Builds valid images of ESP32 chips, byte for byte the same every time.

They would not run: their code is noise. Everything a reader, a flasher or a bootloader looks at
before the code runs is right, and the real esptool says so (`test_esp_images.py`). An image that
has to be wrong is made from a right one, by changing the bytes that the test is about.

Source: esptool.md, section 4; ESP-IDF "App Image Format" and "Partition Tables"; ESPHome 2026.10
for what stands where: its node name is the descriptor's project, the name and version of
`project:` stand in a line of the log, and only with its downgrade protection the project's
version is the descriptor's version too.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import xor

KIB = 1024
SECTOR = 4 * KIB
PARTITION_TABLE_AT = 0x8000
OTADATA_AT = 0x9000
PHY_AT = 0xB000
APP_AT = 0x10000
PAGE = 0x10000
"""What the chip maps at once: an address in flash and its place in the file agree below it."""
BUILT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
ESPHOME = "2026.10.0"
IDF = "v5.5.1"
NOTHING = b"\xff"


@dataclass(frozen=True, slots=True)
class Chip:
    """What esptool knows of a chip; addresses are where its kinds of memory begin."""

    id: int
    bootloader_at: int
    rodata: int
    code: int
    ram: int


CHIPS = {
    "esp32": Chip(0, 0x1000, 0x3F400000, 0x400D0000, 0x3FFB0000),
    "esp32s2": Chip(2, 0x1000, 0x3F000000, 0x40080000, 0x3FFB0000),
    "esp32c3": Chip(5, 0x0, 0x3C000000, 0x42000000, 0x3FC80000),
    "esp32s3": Chip(9, 0x0, 0x3C000000, 0x42000000, 0x3FC88000),
    "esp32c2": Chip(12, 0x0, 0x3C000000, 0x42000000, 0x3FCA0000),
    "esp32c6": Chip(13, 0x0, 0x42000000, 0x42200000, 0x40800000),
    "esp32h2": Chip(16, 0x0, 0x42000000, 0x42200000, 0x40800000),
    "esp32p4": Chip(18, 0x2000, 0x40000000, 0x40200000, 0x4FF00000),
    "esp32c61": Chip(20, 0x0, 0x42000000, 0x42200000, 0x40800000),
    "esp32c5": Chip(23, 0x2000, 0x42000000, 0x42200000, 0x40800000),
    "esp32h21": Chip(25, 0x0, 0x42000000, 0x42200000, 0x40800000),
    "esp32h4": Chip(28, 0x2000, 0x42000000, 0x42200000, 0x40810000),
    "esp32e22": Chip(31, 0x0, 0x3C000000, 0x3C200000, 0x31000000),
    "esp32s31": Chip(32, 0x2000, 0x40000000, 0x40200000, 0x2F000000),
}
FLASH_SIZES = {mib << 20: n << 4 for n, mib in enumerate((1, 2, 4, 8, 16, 32, 64, 128))}
MIB_4 = 4 << 20


def application(
    chip: str,
    project: str,
    version: str,
    *,
    built: datetime = BUILT,
    size: int = 64 * KIB,
    node: str = "alphaess-bridge",
    downgrade_protection: bool = True,
    min_chip_revision: int = 0,
    max_chip_revision: int = 0xFFFF,
    flash_size: int = MIB_4,
) -> bytes:
    """
    Return what ESPHome calls `firmware.ota.bin`: one application, `size` bytes long.

    Args:
        chip: a key of `CHIPS`.
        project: name of ESPHome's `project:`; "" for a build that has none.
        version: of the project; the descriptor says ESPHome's own without downgrade protection.
        built: of the descriptor, which knows no time zone.
        size: bytes of the file; a multiple of 16, 4 KiB at least.
        node: ESPHome's name of the device.
        downgrade_protection: built with `enable_ota_downgrade_protection`.
        min_chip_revision: major times 100 plus minor.
        max_chip_revision: likewise; 0xFFFF for no limit.
        flash_size: bytes that the header asks for, one of `FLASH_SIZES`.
    """
    assert size % 16 == 0, "the checksum ends on a multiple of 16, and the hash has 32 bytes"
    assert size >= SECTOR, "an application is larger"
    it = CHIPS[chip]
    seed = f"{chip} {project} {version} {built.isoformat()} {size} {node}"
    shown = version if project and downgrade_protection else ESPHOME
    rodata = _descriptor(node, shown, built, seed) + _words(project, version)
    rodata += _noise(f"{seed} rodata", 512)
    data = _noise(f"{seed} data", 256)
    parts = [(it.rodata + 0x20, rodata), (it.ram, data)]
    used = 24 + sum(8 + len(part) for _, part in parts) + 8
    code = _noise(f"{seed} code", size - 32 - 16 - used)
    parts.append((it.code + used % PAGE, code))
    header = _header(it.id, len(parts), flash_size, min_chip_revision, max_chip_revision)
    image = _closed(header, parts)
    assert len(image) == size
    return image


def factory(
    chip: str,
    project: str,
    version: str,
    *,
    app: bytes | None = None,
    app_at: int = APP_AT,
    flash_size: int = MIB_4,
    size: int = 64 * KIB,
) -> bytes:
    """
    Return what ESPHome calls `firmware.factory.bin`, to be written at the start of the flash.

    Bootloader, partition table, OTA data and the application at its slot; nothing else, so it ends
    with the application. `app` is the application to put in, else one is built of `size` bytes.
    """
    app = app or application(chip, project, version, size=size, flash_size=flash_size)
    pieces = {
        CHIPS[chip].bootloader_at: bootloader(chip, flash_size=flash_size),
        PARTITION_TABLE_AT: partition_table(app_at=app_at, flash_size=flash_size),
        OTADATA_AT: NOTHING * (2 * SECTOR),
        app_at: app,
    }
    whole = b""
    for at, piece in sorted(pieces.items()):
        assert len(whole) <= at, "pieces overlap"
        whole = whole.ljust(at, NOTHING) + piece
    return whole


def bootloader(chip: str, *, flash_size: int = MIB_4, size: int = 16 * KIB) -> bytes:
    """Return a second-stage bootloader as ESP-IDF builds it."""
    it = CHIPS[chip]
    described = struct.pack(
        "<B3xI32s24s16x", 80, 1, IDF.encode(), BUILT.strftime("%b %e %Y %H:%M:%S").encode()
    )
    body = described + _noise(f"{chip} bootloader", size - 24 - 8 - len(described) - 16 - 32)
    return _closed(_header(it.id, 1, flash_size, 0, 0xFFFF), [(it.ram, body)])


def partition_table(*, app_at: int = APP_AT, flash_size: int = MIB_4) -> bytes:
    """Return ESPHome's table of two equal slots, with its MD5, as long as its place in flash."""
    nvs = 0x6D000
    slot = (flash_size - app_at - nvs - 0x3000) // 2 // PAGE * PAGE
    entries = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subtype, at, length, name.encode(), 0)
        for name, kind, subtype, at, length in (
            ("otadata", 1, 0x00, OTADATA_AT, 2 * SECTOR),
            ("phy_init", 1, 0x01, PHY_AT, SECTOR),
            ("app0", 0, 0x10, app_at, slot),
            ("app1", 0, 0x11, app_at + slot, slot),
            ("nvs", 1, 0x02, app_at + 2 * slot, nvs),
        )
    )
    sealed = entries + b"\xeb\xeb" + NOTHING * 14 + hashlib.md5(entries).digest()  # noqa: S324 - the format
    return sealed.ljust(0xC00, NOTHING)


def slot_size(*, app_at: int = APP_AT, flash_size: int = MIB_4) -> int:
    """Return the bytes of one slot of `partition_table` with the same arguments."""
    table = partition_table(app_at=app_at, flash_size=flash_size)
    return int(struct.unpack_from("<I", table, 2 * 32 + 8)[0])


def _header(chip_id: int, segments: int, flash_size: int, min_rev: int, max_rev: int) -> bytes:
    dio, mhz_40 = 2, 0
    return struct.pack(
        "<BBBBIB3xHBHH4xB",
        *(0xE9, segments, dio, FLASH_SIZES[flash_size] | mhz_40, 0x40081000, 0xEE),
        *(chip_id, min_rev // 100, min_rev, max_rev, 1),
    )


def _descriptor(node: str, version: str, built: datetime, seed: str) -> bytes:
    return struct.pack(
        "<II8x32s32s16s16s32s32sHHB3x72x",
        *(0xABCD5432, 0, version.encode(), node.encode()),
        *(built.strftime("%H:%M:%S").encode(), built.strftime("%b %e %Y").encode()),
        *(IDF.encode(), hashlib.sha256(seed.encode()).digest(), 0, 0xFFFF, 16),
    )


def _words(project: str, version: str) -> bytes:
    """Strings as ESPHome's log has them, which is where the name of a project stands."""
    said = f"Project {project} version {version}\0" if project else ""
    words = f"ESPHome version {ESPHOME} compiled on %s\0{said}".encode()
    return words.ljust(-len(words) % 4 + len(words), b"\0")


def _closed(header: bytes, parts: list[tuple[int, bytes]]) -> bytes:
    """Return header and segments with the checksum and the hash that end every image."""
    body = header + b"".join(struct.pack("<II", at, len(part)) + part for at, part in parts)
    checksum = reduce(xor, b"".join(part for _, part in parts), 0xEF)
    padded = body + bytes(15 - len(body) % 16) + bytes([checksum])
    return padded + hashlib.sha256(padded).digest()


def _noise(seed: str, length: int) -> bytes:
    """Two thirds that no compression helps, as in real firmware, and a third that it does."""
    incompressible = hashlib.shake_128(seed.encode()).digest(length * 2 // 3)
    return incompressible.ljust(length, b"\0")
