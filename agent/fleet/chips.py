"""
Which chip a device has, as esptool names it: `esp32`, `esp32s3`.

ESPHome announces `ESP32` for every chip of that family, so the board decides. A board that is not
in the table has an unknown chip: no guess is made from a name that happens to fit.

Source: ESPHome 2026.10, `components/mdns` (TXT `platform`) and `components/esp32/boards.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FAMILY = "esp32"
OF_BOARD: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("esp32dev", "nodemcu-32s", "esp-wrover-kit", "lolin32", "wemos_d1_mini32"),
                *("az-delivery-devkit-v4", "m5stack-atom", "m5stack-core-esp32", "wt32-eth01"),
                *("esp32-poe", "esp32-poe-iso", "esp32-gateway", "wesp32", "esp32-evb"),
            ),
            "esp32",
        ),
        **dict.fromkeys(("esp32-s2-saola-1", "esp32-s2-kaluga-1", "lolin_s2_mini"), "esp32s2"),
        **dict.fromkeys(("esp32-s3-devkitc-1", "esp32-s3-devkitm-1", "m5stack-atoms3"), "esp32s3"),
        **dict.fromkeys(("esp32-c3-devkitm-1", "esp32-c3-devkitc-02"), "esp32c3"),
        **dict.fromkeys(("esp32-c6-devkitc-1", "esp32-c6-devkitm-1"), "esp32c6"),
        "esp32-h2-devkitm-1": "esp32h2",
    }
)


def plain_chip(name: str) -> str:
    """Return the name of a chip as esptool writes it."""
    return name.casefold().replace("-", "").replace("_", "").strip()


def chip_of(platform: str | None, board: str | None) -> str | None:
    """
    Return the chip of a device, `None` where nobody knows.

    Args:
        platform: as announced; the family's name stands for every chip of it.
        board: as the device tells it.
    """
    told = plain_chip(platform) if platform else None
    if told is not None and told != FAMILY:
        return told
    return OF_BOARD.get((board or "").casefold())
