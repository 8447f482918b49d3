"""
The releases that tests flash: `pv-edge.alphaess-bridge` 1.0.0 and 1.1.0, small and always the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from tests.firmware.esp_images import KIB, application, factory
from tests.firmware.esp_signing import Key, sign

PROJECT = "pv-edge.alphaess-bridge"
VERSIONS = {
    "1.0.0": datetime(2026, 9, 1, 12, 0, tzinfo=UTC),
    "1.1.0": datetime(2026, 11, 1, 12, 0, tzinfo=UTC),
}
RELEASED_CHIPS = ("esp32", "esp32c3")
OTA_SIZE = 192 * KIB


@dataclass(frozen=True, slots=True)
class ShippedImage:
    """One file of a release, named as ESPHome's users name them."""

    project: str
    version: str
    chip: str
    kind: str
    """`ota` or `factory`."""
    file: str
    data: bytes
    built: datetime


@cache
def releases(*signers: Key) -> tuple[ShippedImage, ...]:
    """Return all images: two versions, two chips, over the air and over the cable."""
    return tuple(
        ShippedImage(
            PROJECT,
            version,
            chip,
            kind,
            f"alphaess-bridge-{version}-{chip}.{kind}.bin",
            data,
            built,
        )
        for version, built in VERSIONS.items()
        for chip in RELEASED_CHIPS
        for kind, data in _both(chip, version, built, signers)
    )


def shipped(version: str, chip: str, kind: str, *signers: Key) -> ShippedImage:
    """Return one of them."""
    wanted = (version, chip, kind)
    return next(it for it in releases(*signers) if (it.version, it.chip, it.kind) == wanted)


def _both(
    chip: str, version: str, built: datetime, signers: tuple[Key, ...]
) -> tuple[tuple[str, bytes], ...]:
    app = application(chip, PROJECT, version, built=built, size=OTA_SIZE)
    if signers:
        app = sign(app, *signers)
    return ("ota", app), ("factory", factory(chip, PROJECT, version, app=app))
