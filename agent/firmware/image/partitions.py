"""
The partition table of a factory image: what lies where in flash.

Source: ESP-IDF "Partition Tables"; esptool.md, 1.10 and section 4.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from agent.firmware.image.models import ImageError

TABLE_AT = 0x8000
TABLE_SIZE = 0xC00
OTA_DATA = (1, 0x00)
"""Kind and subtype of the partition that says which slot starts."""
_ENTRY = struct.Struct("<2sBBII16sI")
_ENTRY_MAGIC = b"\xaa\x50"
_MD5_MAGIC = b"\xeb\xeb" + b"\xff" * 14
_APPLICATION = 0
_LAST_OTA_SLOT = 0x1F


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry of the table."""

    label: str
    kind: int
    """0 for applications, 1 for data."""
    subtype: int
    offset: int
    """Bytes from the start of the flash."""
    size: int
    """Bytes."""

    @property
    def is_slot(self) -> bool:
        """Whether an application starts from here."""
        return self.kind == _APPLICATION and self.subtype <= _LAST_OTA_SLOT


def has_table(data: bytes) -> bool:
    """Return whether the file has something like a table at its place."""
    return data[TABLE_AT : TABLE_AT + 2] == _ENTRY_MAGIC


def read_partitions(data: bytes) -> tuple[Partition, ...]:
    """
    Return the entries of the table at its place in a file that starts at the start of the flash.

    Raises:
        ImageError: there is none, or it is damaged.
    """
    table = data[TABLE_AT : TABLE_AT + TABLE_SIZE]
    found = []
    for at in range(0, len(table) - _ENTRY.size + 1, _ENTRY.size):
        entry = table[at : at + _ENTRY.size]
        if entry.startswith(_MD5_MAGIC):
            if hashlib.md5(table[:at], usedforsecurity=False).digest() != entry[16:]:
                raise ImageError(
                    "The partition table does not fit its own checksum: the file is damaged. "
                    "Download or build it again."
                )
            break
        magic, kind, subtype, offset, size, label, _flags = _ENTRY.unpack(entry)
        if magic != _ENTRY_MAGIC:
            break
        name = label.partition(b"\0")[0].decode("ascii", "replace")
        found.append(Partition(name, kind, subtype, offset, size))
    if not found:
        raise ImageError(
            f"There is no partition table at 0x{TABLE_AT:x}, so this is no factory image. Give the "
            "file that ESPHome calls firmware.factory.bin, or firmware.ota.bin for over the air."
        )
    return tuple(found)


def first_slot(partitions: tuple[Partition, ...], held: int) -> Partition:
    """
    Return the slot whose application starts first: the factory slot, else the first of the others.

    Args:
        partitions: of the table.
        held: bytes of the file; a slot behind its end has no application in it.

    Raises:
        ImageError: no slot lies in the file.
    """
    slots = sorted((it.subtype, it.offset) for it in partitions if it.is_slot and it.offset < held)
    if not slots:
        raise ImageError(
            "The partition table names no place in this file for an application: the file is cut "
            "short or no firmware. Download or build it again."
        )
    return next(it for it in partitions if it.is_slot and (it.subtype, it.offset) == slots[0])
