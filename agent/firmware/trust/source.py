"""
Where the knowledge of releases comes from, and who is trusted to say it.

A source is a root of trust with the carriers that may bring its documents: the bundle in the
image of the app, mirrors, a USB stick. Trust is in the signatures alone, so carriers may be
anybody's; what they bring goes into one set of trusted metadata, in which versions only rise.

Nothing here loads python-tuf: the agent names its sources, the worker looks.

Source: signing.md 4.5 and 4.7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from agent.firmware.trust.hosts import shown

CHANNELS = ("stable", "beta")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class TrustError(Exception):
    """Something could not be verified or found; its text says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Online:
    """A mirror: a base address with `metadata/` and `targets/` below it."""

    url: str
    """Begins with https://; without a slash at its end."""
    hosts: frozenset[str] = frozenset()
    """Further hosts that it may send us on to, as `hosts.check_url` takes them."""
    cafile: str | None = None
    """Certificates to trust in place of the system's; for a mirror with an authority of its own."""

    @property
    def name(self) -> str:
        """The mirror for people."""
        return shown(self.url)


@dataclass(frozen=True, slots=True)
class Directory:
    """A folder with `metadata/` and `targets/`: the bundle in the image, or a USB stick."""

    path: Path
    name: str
    """For people: `the bundle of the app`."""


Carrier = Online | Directory


@dataclass(frozen=True, slots=True)
class Source:
    """One publisher."""

    name: str
    """Also the name of its folder: lower-case letters, digits and dashes."""
    root: bytes
    """Its first root metadata, from the image of the app or confirmed by a person."""
    carriers: tuple[Carrier, ...] = ()
    """In the order in which they are asked; the bundle first, then mirrors, then a stick."""
    channels: tuple[str, ...] = CHANNELS
    halt_role: bool = True
    """Whether it has an emergency brake; the house's own builds have none."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name!r} is no name for a source: use lower-case letters, digits and dashes"
            )


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """What this agent accepts beyond good signatures."""

    allow_development_root: bool = False
    """Take releases from a root whose private keys are public, for development."""


@dataclass(frozen=True, slots=True)
class Question:
    """Everything a look needs to know."""

    source: Source
    place: Path
    """The folder of this source, `trust/<source>` in the data directory; made when missing."""
    built: datetime
    """When the app was built: it cannot be earlier than that. Aware, UTC."""
    wall: datetime
    """What the clock says. Aware, UTC."""
    policy: TrustPolicy = field(default=TrustPolicy())
    mirror_budget_s: float = 60.0
    """Most time that one mirror may take, from the first request to the last byte."""


def place_of(data: Path, source: str) -> Path:
    """Return the folder of a source in the data directory."""
    return data / "trust" / source
