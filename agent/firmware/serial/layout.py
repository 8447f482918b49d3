"""
How the flash of an ESP is divided, read from its own partition table.

The table says where settings, programs and the choice between two programs are; nothing here
assumes an address except the table's own.

Source: ESP-IDF "Partition Tables", "OTA" (otadata) and "App Image Format" (application
descriptor); esptool.md, sections 1.10 and 4.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable

from agent.firmware.serial.models import Partition, Span

TABLE = Span(0x8000, 0x1000)
"""Where the table is; ESPHome and Arduino never move it."""
SECTOR = 0x1000
"""The least that can be erased."""
DESCRIPTOR_BYTES = 0x120
"""Of a program, from its first byte to the end of its descriptor."""
OTADATA_BYTES = 0x2000

_ENTRY = struct.Struct("<2sBBII16sI")
_MAGIC, _CHECK = b"\xaa\x50", b"\xeb\xeb"
_SELECT = struct.Struct("<I20sII")
_DESCRIPTOR_AT, _DESCRIPTOR_MAGIC = 0x20, 0xABCD5432
_UNSET = 0xFFFFFFFF
_OTA_0, _OTA_LAST, _FACTORY = 0x10, 0x1F, 0x00


def read_table(raw: bytes) -> tuple[Partition, ...]:
    """
    Return the entries of a partition table, empty if it is none or damaged.

    Args:
        raw: from the first byte of the table on.
    """
    entries: list[Partition] = []
    for at in range(0, len(raw) - _ENTRY.size + 1, _ENTRY.size):
        magic, kind, subtype, offset, size, label, _ = _ENTRY.unpack_from(raw, at)
        if magic == _CHECK:
            digest = hashlib.md5(raw[:at], usedforsecurity=False).digest()
            return tuple(entries) if raw[at + 16 : at + 32] == digest else ()
        if magic != _MAGIC:
            # Old tables have no checksum and simply end.
            return tuple(entries) if magic == b"\xff\xff" else ()
        name = label.split(b"\0")[0].decode("ascii", "replace")
        entries.append(Partition(kind, subtype, offset, size, name))
    return tuple(entries)


def starting_slot(table: Iterable[Partition], otadata: bytes) -> Partition | None:
    """
    Return the partition whose program would start, `None` if the table has no program.

    Args:
        table: all entries.
        otadata: content of the partition of that kind, "" if there is none.
    """
    apps = [it for it in table if it.is_app]
    slots = [it for it in apps if _OTA_0 <= it.subtype <= _OTA_LAST]
    chosen = max((_sequence(otadata, at) for at in (0, SECTOR)), default=0)
    if chosen and slots:
        return slots[(chosen - 1) % len(slots)]
    factory = [it for it in apps if it.subtype == _FACTORY]
    return (factory + slots + [None])[0]


def describe_app(head: bytes) -> tuple[str, str]:
    """
    Return name and version from the first bytes of a program, "" where they are not told.

    Args:
        head: `DESCRIPTOR_BYTES` from the start of its partition.
    """
    if len(head) < _DESCRIPTOR_AT + 80:
        return "", ""
    magic, _, version, name = struct.unpack_from("<I12s32s32s", head, _DESCRIPTOR_AT)
    if magic != _DESCRIPTOR_MAGIC:
        return "", ""
    return _text(name), _text(version)


def subtract(whole: Span, holes: Iterable[Span]) -> list[Span]:
    """Return what is left of a piece of the flash without some others, in its order."""
    rest = [whole]
    for hole in holes:
        cut = []
        for it in rest:
            cut.append(Span(it.offset, min(it.end, hole.offset) - it.offset))
            start = max(it.offset, hole.end)
            cut.append(Span(start, it.end - start))
        rest = [it for it in cut if it.size > 0]
    return rest


def _sequence(otadata: bytes, at: int) -> int:
    if len(otadata) < at + _SELECT.size:
        return 0
    sequence, _, _, crc = _SELECT.unpack_from(otadata, at)
    expected = zlib.crc32(struct.pack("<I", sequence), _UNSET)
    return sequence if crc == expected and sequence != _UNSET else 0


def _text(raw: bytes) -> str:
    text = raw.split(b"\0")[0].decode("utf-8", "replace")
    return "".join(it for it in text if it.isprintable())
