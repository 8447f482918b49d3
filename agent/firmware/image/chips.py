"""
The chips that images are made for, by the number in their header.

Source: esptool 5.6, `IMAGE_CHIP_ID` and `BOOTLOADER_FLASH_OFFSET` of its targets; a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chip:
    """One kind of chip."""

    name: str
    """As esptool names it, in lower case without a dash."""
    bootloader_at: int
    """Bytes from the start of the flash."""


CHIPS_BY_ID = {
    0: Chip("esp32", 0x1000),
    2: Chip("esp32s2", 0x1000),
    5: Chip("esp32c3", 0x0),
    9: Chip("esp32s3", 0x0),
    12: Chip("esp32c2", 0x0),
    13: Chip("esp32c6", 0x0),
    16: Chip("esp32h2", 0x0),
    18: Chip("esp32p4", 0x2000),
    20: Chip("esp32c61", 0x0),
    23: Chip("esp32c5", 0x2000),
    25: Chip("esp32h21", 0x0),
    28: Chip("esp32h4", 0x2000),
    31: Chip("esp32e22", 0x0),
    32: Chip("esp32s31", 0x2000),
}
