"""
What signed documents say, once they have been parsed.

Everything here came through `parse`: the numbers are in range, the paths stay in their channel,
the digests are lower-case hexadecimal.

Source: signing.md 4.4; RFC 9124 for what a manifest has to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

SCHEMA = 1
"""The structure that this agent reads; another number means that the app is too old."""


class ManifestError(Exception):
    """A document that is not what it should be; its text says what, where and what to do."""


class UnknownSchemaError(ManifestError):
    """A document of a later structure: the app has to be updated before it can be read."""


class ImageKind(StrEnum):
    """What an image is made for."""

    OTA = "ota"
    """The application alone, over the air."""
    FACTORY = "factory"
    """Bootloader, partition table and application, over the cable."""


class Security(StrEnum):
    """How much a release matters for security."""

    NONE = "none"
    MODERATE = "moderate"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a factory image and where it goes."""

    offset: int
    """Bytes from the start of the flash."""
    start: int
    """Bytes from the start of the file; `from` in the manifest."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class ReleaseImage:
    """One file of a release."""

    kind: ImageKind
    chip: str
    """As esptool names it, in lower case without a dash: `esp32`, `esp32c3`."""
    file: str
    size: int
    """Bytes."""
    sha256: str
    slot_size: int | None = None
    """Bytes of the application slot that it must fit; OTA only."""
    signed_by: tuple[str, ...] = ()
    """SHA-256 of the public keys in its signature blocks, as `espsecure digest-sbv2-public-key`."""
    md5: str | None = None
    """Only because the wire protocol asks for it; OTA only."""
    flash_size: int | None = None
    """Bytes of flash that it needs; factory only."""
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a release was built from; `source` in the manifest."""

    repo: str
    commit: str
    config: str


@dataclass(frozen=True, slots=True)
class Health:
    """What it means that a bridge came back well."""

    confirm_after_s: int
    expect_entities: tuple[str, ...] = ()
    """Entities by domain and object id, `sensor.grid_power`, that must show a value."""


@dataclass(frozen=True, slots=True)
class Release:
    """One version of one project."""

    project: str
    """`vendor.model`, equal to the `project_name` of ESPHome."""
    version: str
    rollback_index: int
    """Rises only when older ones must never return."""
    released: datetime
    notes: str
    images: tuple[ReleaseImage, ...]
    health: Health
    min_version: str | None = None
    """The oldest installed version that may take this one over the air."""
    hw: tuple[str, ...] = ()
    """Board revisions that it is for; empty where they do not matter."""
    boards: tuple[str, ...] = ()
    """Boards, by ESPHome's names, that it is for; empty where the chip says enough."""
    min_chip_revision: int = 0
    """Major times 100 plus minor, as in the image header: 301 is v3.1."""
    trusts: tuple[str, ...] = ()
    """Digests of the keys whose signature this firmware will accept on the next image."""
    origin: Origin | None = None
    esphome: str | None = None
    notes_url: str | None = None
    security: Security = Security.NONE


@dataclass(frozen=True, slots=True)
class Wave:
    """From when on which share of all bridges takes a release unattended."""

    after_h: float
    """Hours after the release."""
    share: float
    """From 0 to 1."""


@dataclass(frozen=True, slots=True)
class ChannelEntry:
    """One release of a channel."""

    version: str
    rollback_index: int
    manifest: str
    """Target path of the release manifest, inside the channel."""
    rollout: tuple[Wave, ...] = ()
    """Empty: everybody at once."""


@dataclass(frozen=True, slots=True)
class ChannelProject:
    """The releases of one project in a channel."""

    latest: str
    releases: tuple[ChannelEntry, ...]


@dataclass(frozen=True, slots=True)
class Channel:
    """What a channel offers, and what it forbids."""

    projects: Mapping[str, ChannelProject]
    min_rollback_index: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """The signed floor of each project."""
    revoked: frozenset[str] = frozenset()
    """SHA-256 of images that must never be written again."""
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Halt:
    """The emergency brake of a channel."""

    paused: bool
    reason: str
    revoked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Brakes:
    """Channel and halt together: what is forbidden. A halt adds and never takes away."""

    min_rollback_index: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    revoked: frozenset[str] = frozenset()
    paused: bool = False
    reason: str = ""
    """Why it is paused, for people."""
