"""
What a simulated bridge's upload server is like, and how it fails when it is told to.

Source: esphome.md, sections 5 and 7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Auth(StrEnum):
    """How the bridge asks for its password."""

    NONE = "none"
    SHA256 = "sha256"
    MD5 = "md5"
    """Firmware from before 2025.10."""


class Stage(StrEnum):
    """A moment of an upload, just before the bridge answers."""

    GREETING = "greeting"
    FEATURES = "features"
    AUTH = "auth"
    PREPARE = "prepare"
    CHECKSUM = "checksum"
    DATA = "data"
    RECEIVED = "received"
    """The last byte is there and not acknowledged: nothing is committed."""
    CHECKING = "checking"
    """It said that all bytes are there: nothing is committed."""
    COMMITTED = "committed"
    """It has committed the image and not said so: it starts it next, whatever happens here."""


class Failure(StrEnum):
    """What happens there."""

    ERROR = "error"
    """It answers with an error byte and hangs up."""
    STALL = "stall"
    """It says nothing more until the other side hangs up or its own timer ends it."""
    CUT = "cut"
    """The connection is gone."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure at one moment."""

    stage: Stage
    failure: Failure
    code: int = 0xFF
    """The error byte."""
    after_bytes: int = 0
    """Bytes on the wire, for the stage `data`."""
    times: int = 1_000_000
    """How many connections it hits."""


def accepts_all(_image: bytes) -> int | None:
    """Find nothing wrong with an image."""
    return None


@dataclass(frozen=True, slots=True)
class OtaRules:
    """One bridge's upload server, as its firmware was built."""

    version: int = 2
    auth: Auth = Auth.NONE
    password: str = field(default="", repr=False)
    noise_psk: str | None = field(default=None, repr=False)
    """With it, encrypted uploads are offered (2026.9 and later)."""
    encryption_required: bool = False
    extended: bool = True
    """Firmware from 2026.5 on; without it there is no Noise and no deflate."""
    deflate: bool = True
    gzip: bool = False
    """An ESP8266: keeps the gzip file and inflates it at the next start."""
    slot_bytes: int = 1_900_000
    verify: Callable[[bytes], int | None] = accepts_all
    """Returns the error byte for an image that arrived whole, such as 0x8D or 0x93."""
    greeting_s: float = 20.0
    data_s: float = 105.0
    faults: tuple[Fault, ...] = ()
