"""
What is kept of releases from one start of the agent to the next.

Since when a source is not fresh, what looked like an attack on it, and the highest rollback index
that each bridge was seen to run. An index only rises: a bridge that reports less has been taken
back by somebody, and what it had before still counts.

Pure functions; the journal keeps what comes out.

Source: signing.md 4.5, "Floors".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from agent.firmware.trust.models import EventKind, Freshness, SecurityEvent, SourceKnowledge
from agent.fleet.identity import Mac, mac_of

Alarms = Mapping[tuple[str, EventKind], SecurityEvent]
Floors = Mapping[Mac, Mapping[str, int]]
"""Rollback index by bridge and project."""


class ReleaseEvent(StrEnum):
    """What the journal is told of releases."""

    LOOKED = "releases_looked"
    """A look has changed what is known of a source."""
    ALARM = "releases_alarm"
    """A source, or somebody on the way to it, has answered wrongly."""
    FAILED = "releases_failed"
    """The look itself went wrong, here."""
    FLOOR = "release_floor"
    """A bridge runs a release of a higher rollback index than any before."""


def _nothing() -> Mapping[Any, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Memory:
    """All of it."""

    alarms: Alarms = field(default_factory=_nothing)
    """The newest of each source and kind that no good look has followed."""
    since: Mapping[str, datetime] = field(default_factory=_nothing)
    """By source: since when it is not fresh."""
    floors: Floors = field(default_factory=_nothing)


def looked(memory: Memory, known: SourceKnowledge, now: datetime) -> Memory:
    """Return the memory after a look; a good one ends the source's alarms."""
    good = known.freshness is Freshness.FRESH and not known.events
    others = forgotten(memory, known.source)
    alarms = {**(others if good else memory).alarms}
    alarms |= {(known.source, it.kind): it for it in known.events}
    since = dict(others.since)
    if known.freshness is not Freshness.FRESH:
        since[known.source] = _since(known, memory.since.get(known.source), now)
    return replace(memory, alarms=MappingProxyType(alarms), since=MappingProxyType(since))


def forgotten(memory: Memory, source: str) -> Memory:
    """Return the memory without a source."""
    alarms = {key: it for key, it in memory.alarms.items() if key[0] != source}
    since = {name: at for name, at in memory.since.items() if name != source}
    return replace(memory, alarms=MappingProxyType(alarms), since=MappingProxyType(since))


def _since(known: SourceKnowledge, before: datetime | None, now: datetime) -> datetime:
    """Return when it went stale: at the first role's end, else when that was noticed."""
    ended = min((it.expires for it in known.roles if it.expires <= now), default=None)
    return ended or before or now


def ran(memory: Memory, mac: Mac, project: str, index: int) -> Memory | None:
    """Return the memory after a bridge was seen to run this; `None` if that is nothing higher."""
    before = memory.floors.get(mac, {})
    if index <= before.get(project, 0):
        return None
    now = MappingProxyType({**before, project: index})
    return replace(memory, floors=MappingProxyType({**memory.floors, mac: now}))


def as_json(memory: Memory) -> dict[str, Any]:
    """Return what the journal keeps."""
    return {
        "alarms": [
            {
                "source": source,
                "kind": it.kind.value,
                "carrier": it.carrier,
                "text": it.text,
                "at": it.at.isoformat(),
            }
            for (source, _), it in memory.alarms.items()
        ],
        "since": {name: at.isoformat() for name, at in memory.since.items()},
        "floors": {mac: dict(of) for mac, of in memory.floors.items()},
    }


def recalled(kept: Mapping[str, Any]) -> Memory:
    """
    Return the memory of `as_json`.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it was written by something else.
    """
    alarms = {
        (str(row["source"]), EventKind(row["kind"])): SecurityEvent(
            EventKind(row["kind"]),
            str(row["carrier"]),
            str(row["text"]),
            datetime.fromisoformat(row["at"]),
        )
        for row in kept["alarms"]
    }
    since = {str(name): datetime.fromisoformat(at) for name, at in kept["since"].items()}
    floors = {
        mac: MappingProxyType({str(project): int(index) for project, index in of.items()})
        for text, of in kept["floors"].items()
        if (mac := mac_of(text)) is not None
    }
    return Memory(MappingProxyType(alarms), MappingProxyType(since), MappingProxyType(floors))


def words(known: SourceKnowledge) -> str:
    """Return a look's outcome for the log."""
    why = known.why if known.freshness is not Freshness.FRESH else ""
    return f"{known.source}: {known.freshness.value}. {why}".strip()


def figures(known: SourceKnowledge) -> dict[str, object]:
    """Return a look's outcome for the journal."""
    return {
        "source": known.source,
        "freshness": known.freshness.value,
        "why": known.why,
        "carrier": known.carrier,
        "roles": {it.role: it.version for it in known.roles},
    }
