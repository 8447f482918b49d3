"""
What is known of a source of releases, and how fresh that knowledge is.

Source: signing.md 4.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.firmware.manifest.models import Channel, Halt


class Freshness(StrEnum):
    """How good the knowledge is; decided after the channel's own role was looked up."""

    FRESH = "fresh"
    """Everything is valid now: unattended updates may use it."""
    STALE = "stale"
    """Everything was valid at the last moment this house knows: a person may use it, knowingly."""
    NONE = "none"
    """Nothing verifies: nothing is flashed."""


class EventKind(StrEnum):
    """Something that looks like an attack, or like a broken publisher."""

    WRONG_SIGNATURE = "wrong_signature"
    ROLLBACK = "rollback"
    LYING_MIRROR = "lying_mirror"
    CLOCK_BEHIND = "clock_behind"


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """A wrong answer, which is never taken for no answer."""

    kind: EventKind
    carrier: str
    """Which carrier answered so, for people; never with a password in it."""
    text: str
    """What happened and what was done about it."""
    at: datetime


@dataclass(frozen=True, slots=True)
class ReleaseName:
    """One release that somebody wants to read."""

    channel: str
    project: str
    version: str
    """As the channel or a bridge writes it."""


@dataclass(frozen=True, slots=True)
class RoleState:
    """One role of the trusted metadata."""

    role: str
    version: int
    expires: datetime


@dataclass(frozen=True, slots=True)
class ChannelKnowledge:
    """What is known of one channel of a source."""

    name: str
    freshness: Freshness
    why: str
    """For people: why it is not fresh, "" if it is."""
    channel: Channel | None
    halt: Halt | None
    """What the halt role says; with `halt_role` and no halt here, the channel counts as paused."""
    halt_role: bool = True
    """Whether the source has a halt role at all; a local source has none."""
    as_of: datetime | None = None
    """The moment at which all of it was valid."""


@dataclass(frozen=True, slots=True)
class SourceKnowledge:
    """What is known of one source after a look."""

    source: str
    freshness: Freshness
    """The worst of its channels."""
    why: str
    channels: tuple[ChannelKnowledge, ...] = ()
    roles: tuple[RoleState, ...] = ()
    carrier: str = ""
    """Which carrier the newest metadata came from, for people."""
    confirmed: datetime | None = None
    """The last successful look online."""
    development: bool = False
    """Its root says that it is for development only."""
    root_sha256: str = ""
    events: tuple[SecurityEvent, ...] = field(default=())
