"""
Reads what an ESP image says of itself, and whether it is whole.

The file comes from outside, so nothing in it is believed: every length is checked against the
bytes that are there, and texts are cut to what can be shown. Who may be trusted with it is decided
elsewhere; this says only what it is. An image whose hash does not fit is described, not refused,
so that a page can show what it would have been.

ESPHome's node name is the descriptor's project. The name of its `project:` stands in one line of
the log only, and its version is the descriptor's only with ESPHome's downgrade protection.

Source: ESP-IDF "App Image Format"; esptool.md, section 4; ESPHome 2026.10, `core/application.cpp`.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.firmware.image.chips import CHIPS_BY_ID, Chip
from agent.firmware.image.models import ImageError, ImageFacts, Layout
from agent.firmware.image.partitions import TABLE_AT, first_slot, has_table, read_partitions
from agent.firmware.image.signatures import SECTOR, read_signatures, signature_sector

MAX_SIZE = 32 << 20
"""Bytes; no chip of ours has more flash for one application."""
_HEADER = struct.Struct("<BBBBIB3xHBHH4xB")
_DESCRIPTOR = struct.Struct("<II8x32s32s16s16s32s32s")
_DESCRIPTOR_AT = 0x20
_MAGIC = 0xE9
_DESCRIPTOR_MAGIC = 0xABCD5432
_MOST_SEGMENTS = 16
_NO_LIMIT = frozenset({0, 0xFFFF})
_MIB = 1 << 20
_LARGEST_FLASH = 7
"""The header's number n means 2 to the power of n MiB, up to 128."""
_ERASED = b"\xff"
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_PROJECT = re.compile(
    rb"Project ([A-Za-z0-9._-]{1,127}) version ([A-Za-z0-9._+-]{1,64})(?=[\0\x1b])"
)
_AGAIN = "Download or build it again."


@dataclass(frozen=True, slots=True)
class _Body:
    """One image from its header to the end of its hash, found whole."""

    chip: Chip
    at: int
    end: int
    min_revision: int
    max_revision: int | None
    flash_size: int | None
    checksum_ok: bool
    hash_ok: bool | None


@dataclass(frozen=True, slots=True)
class _Words:
    project: str
    version: str
    built: datetime | None
    idf: str
    elf_sha256: str


def read_image(data: bytes) -> ImageFacts:
    """
    Return what the file says of itself.

    Blocks for some ten milliseconds on a large image: call it in a thread.

    Raises:
        ImageError: no image of an ESP32 chip, or one that is cut short.
    """
    if len(data) > MAX_SIZE:
        raise ImageError(
            f"The file has {len(data)} bytes, more than the {MAX_SIZE} that an image may have. "
            "Give the .bin file that ESPHome built."
        )
    at = _start(data)
    first = _body(data, at)
    if first.chip.bootloader_at == at and first.end <= TABLE_AT and has_table(data):
        return _factory(data, first)
    if at:
        raise ImageError(
            f"The file begins like a factory image for {first.chip.name}, with a bootloader at "
            f"0x{at:x}, but no partition table follows at 0x{TABLE_AT:x}. Give the file that "
            "ESPHome calls firmware.factory.bin."
        )
    if _has_descriptor(data, 0):
        return _facts(data, Layout.APPLICATION, first, first)
    if first.end <= TABLE_AT:
        return _facts(data, Layout.BOOTLOADER, first, None)
    raise ImageError(
        "The image does not say what it is (no application descriptor). Only images that ESP-IDF "
        "or ESPHome built can be flashed."
    )


def _start(data: bytes) -> int:
    """Return where the first image begins: at once, or behind erased flash."""
    places = sorted({0} | {chip.bootloader_at for chip in CHIPS_BY_ID.values()})
    for at in places:
        if data[at : at + 1] == bytes([_MAGIC]) and data[:at] == _ERASED * at:
            return at
    raise ImageError(
        f"The file is no image for an ESP32: it begins with {data[:4].hex() or 'nothing'}, not "
        "with e9. Give the .bin file that ESPHome built, not an archive or a web page."
    )


def _factory(data: bytes, bootloader: _Body) -> ImageFacts:
    slot = first_slot(read_partitions(data), len(data))
    application = _body(data, slot.offset)
    if application.chip != bootloader.chip:
        raise ImageError(
            f"The bootloader is for {bootloader.chip.name} and the application for "
            f"{application.chip.name}: this file would not start. Build it again for one chip."
        )
    if application.end > slot.offset + slot.size:
        raise ImageError(
            f"The application needs {application.end - slot.offset} bytes and its slot has "
            f"{slot.size}: this file would not start. {_AGAIN}"
        )
    if not _has_descriptor(data, slot.offset):
        raise ImageError(
            f"There is no application at 0x{slot.offset:x}, where the partition table says that "
            f"it begins. {_AGAIN}"
        )
    return _facts(data, Layout.FACTORY, bootloader, application)


def _facts(data: bytes, layout: Layout, first: _Body, application: _Body | None) -> ImageFacts:
    body = application or first
    words = _words(data, body) if application else None
    signed = read_signatures(data[body.at :], body.end - body.at)
    end = body.at + signature_sector(body.end - body.at) + SECTOR if signed else body.end
    hashes = (first.hash_ok, body.hash_ok)
    return ImageFacts(
        layout=layout,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        chip=body.chip.name,
        min_chip_revision=max(first.min_revision, body.min_revision),
        max_chip_revision=min(
            (it.max_revision for it in (first, body) if it.max_revision is not None), default=None
        ),
        flash_size=first.flash_size,
        project=words.project if words else None,
        version=words.version if words else None,
        built=words.built if words else None,
        idf=words.idf if words else None,
        elf_sha256=words.elf_sha256 if words else None,
        app_offset=body.at,
        app_size=end - body.at if application else 0,
        checksum_ok=first.checksum_ok and body.checksum_ok,
        hash_ok=False if False in hashes else body.hash_ok,
        signatures=signed,
    )


def _body(data: bytes, at: int) -> _Body:
    """Return the image that begins there, with every segment inside the file."""
    if len(data) < at + _HEADER.size:
        raise _cut(data, at + _HEADER.size)
    magic, segments, _mode, size, _entry, _wp, chip_id, legacy, lowest, highest, hashed = (
        _HEADER.unpack_from(data, at)
    )
    chip = CHIPS_BY_ID.get(chip_id)
    if magic != _MAGIC or chip is None or hashed not in {0, 1}:
        raise ImageError(
            f"What begins at 0x{at:x} is no image for a chip that this app knows (chip number "
            f"{chip_id}). ESP8266 is not supported; for a newer ESP32, update this app."
        )
    if not 0 < segments <= _MOST_SEGMENTS:
        raise ImageError(
            f"The image says that it has {segments} segments, and 1 to {_MOST_SEGMENTS} are "
            f"possible: the file is damaged. {_AGAIN}"
        )
    end, checksum = _segments(data, at, segments)
    whole = end + 32 if hashed else end
    if whole > len(data):
        raise _cut(data, whole)
    appended = data[end:whole]
    return _Body(
        chip=chip,
        at=at,
        end=whole,
        # Old headers count whole revisions on the first chip and the minor ones on the others.
        min_revision=lowest or legacy * (100 if chip.name == "esp32" else 1),
        max_revision=None if highest in _NO_LIMIT else highest,
        flash_size=_MIB << (size >> 4) if size >> 4 <= _LARGEST_FLASH else None,
        checksum_ok=data[end - 1] == checksum,
        hash_ok=hashlib.sha256(memoryview(data)[at:end]).digest() == appended if hashed else None,
    )


def _segments(data: bytes, at: int, count: int) -> tuple[int, int]:
    """Return where the checksum ends, and what it should be."""
    here, checksum = at + _HEADER.size, 0xEF
    for _ in range(count):
        if here + 8 > len(data):
            raise _cut(data, here + 8)
        length = int.from_bytes(data[here + 4 : here + 8], "little")
        here += 8
        if here + length > len(data):
            raise _cut(data, here + length)
        checksum ^= _xor(data[here : here + length])
        here += length
    end = here + 16 - (here - at) % 16
    if end > len(data):
        raise _cut(data, end)
    return end, checksum


def _xor(data: bytes) -> int:
    """Return all bytes exclusive-ored; folded in halves, as a loop would take a second."""
    number, bits = int.from_bytes(data, "little"), 8 * len(data)
    while bits > 8:  # noqa: PLR2004 - one byte
        half = (bits // 8 + 1) // 2 * 8
        number = (number >> half) ^ (number & ((1 << half) - 1))
        bits = half
    return number


def _has_descriptor(data: bytes, at: int) -> bool:
    """Return whether an application descriptor stands where ESP-IDF puts it."""
    found = data[at + _DESCRIPTOR_AT : at + _DESCRIPTOR_AT + _DESCRIPTOR.size]
    return len(found) == _DESCRIPTOR.size and found[:4] == _DESCRIPTOR_MAGIC.to_bytes(4, "little")


def _words(data: bytes, body: _Body) -> _Words:
    """Return what the application calls itself."""
    _magic, _secure, version, node, time, date, idf, elf = _DESCRIPTOR.unpack_from(
        data, body.at + _DESCRIPTOR_AT
    )
    named = set(_PROJECT.findall(data, body.at, body.end))
    project = (_text(node), _text(version))
    if len(named) == 1:
        name, project_version = named.pop()
        project = (_text(name), _text(project_version))
    return _Words(*project, _moment(_text(date), _text(time)), _text(idf), elf.hex())


def _text(field: bytes) -> str:
    """Return the text up to its end, with what cannot be shown replaced."""
    text = field.partition(b"\0")[0].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _moment(date: str, time: str) -> datetime | None:
    """Return the compiler's date and time, taken as UTC: it does not say its zone."""
    try:
        month, day, year = date.split()
        hour, minute, second = (int(it) for it in time.split(":"))
        return datetime(
            int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC
        )
    except (ValueError, OverflowError):
        return None


def _cut(data: bytes, needed: int) -> ImageError:
    return ImageError(
        f"The image says that it has at least {needed} bytes, and the file has {len(data)}: it is "
        f"cut short or damaged. {_AGAIN}"
    )
