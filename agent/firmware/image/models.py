"""
What an ESP image says of itself, read from its bytes.

Source: esptool.md, section 4; ESP-IDF "App Image Format"; signing.md 4.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ImageError(Exception):
    """A file that is no ESP image, or a damaged one; its text says what and what to do."""


class Layout(StrEnum):
    """What the file is made for."""

    APPLICATION = "application"
    """One application: goes into a slot, over the air."""
    FACTORY = "factory"
    """Bootloader, partition table and application: goes over the cable."""
    BOOTLOADER = "bootloader"


@dataclass(frozen=True, slots=True)
class SignatureBlock:
    """One signature of Secure Boot v2 in an image."""

    scheme: str
    """`rsa3072`, `ecdsa192`, `ecdsa256` or `ecdsa384`."""
    key_digest: str
    """SHA-256 of the public key, as `espsecure digest-sbv2-public-key` prints it."""
    valid: bool
    """The signature fits the image."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Everything that one file says of itself."""

    layout: Layout
    size: int
    """Bytes of the whole file."""
    sha256: str
    md5: str
    chip: str
    """As esptool names it, in lower case without a dash: `esp32`, `esp32c3`."""
    min_chip_revision: int
    """Major times 100 plus minor."""
    max_chip_revision: int | None
    """`None` where the header does not limit it."""
    flash_size: int | None
    """Bytes that the header asks for; `None` if the header says something unknown."""
    project: str | None = None
    """ESPHome's project name or the name in the application descriptor; "" if it has none."""
    version: str | None = None
    built: datetime | None = None
    idf: str | None = None
    elf_sha256: str | None = None
    app_offset: int = 0
    """Where the application starts in the file, in bytes."""
    app_size: int = 0
    """Bytes of the application with its checksum, hash and signatures."""
    checksum_ok: bool = False
    hash_ok: bool | None = None
    """Whether the appended SHA-256 fits; `None` where none is appended."""
    signatures: tuple[SignatureBlock, ...] = ()
