"""
One record per device, made of what every source said about it.

The key is the full MAC, so `bridge-1` and `bridge-10`, two devices of one name, and one device
that was renamed stay what they are. Each source's newest word is kept beside the others'; which
one counts is decided anew at every look, because a device that is online knows itself best and an
announcement knows a new address first. A change of name or address is remembered for a while:
most are harmless, but somebody who looks for yesterday's bridge should find the answer here.

A source that knows no MAC, such as an address that a person wrote down, makes a stranger. A
stranger becomes a device when somebody has asked it who it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, TypeVar

from agent.fleet.contact import Contact
from agent.fleet.identity import Mac, host_name, same_name, written
from agent.fleet.sighting import API_PORT, LIVE, Sighting, Source

K = TypeVar("K")
V = TypeVar("V")
Address = tuple[str, int]
"""A host and its API port."""
_WORDS = tuple(it.name for it in fields(Sighting) if it.name not in {"source", "at_s", "api_port"})


@dataclass(frozen=True, slots=True)
class Change:
    """Something about a device that was otherwise before."""

    before: str
    after: str
    at_s: float
    """On our monotonic clock."""


@dataclass(frozen=True, slots=True)
class BridgeRecord:
    """Everything known of one device."""

    mac: Mac
    sightings: Mapping[Source, Sighting]
    """The newest word of each source."""
    live: frozenset[Source] = frozenset()
    """Sources that vouch for it at this moment: it is announced, or we are connected."""
    contact: Contact | None = None
    renamed: Change | None = None
    moved: Change | None = None
    _merged: list[Sighting] = field(default_factory=list, init=False, repr=False, compare=False)
    """What follows from the rest, once somebody has asked: with many bridges it is asked often."""

    @property
    def told(self) -> Sighting:
        """Return what holds of it now: each word from the best source that has one."""
        if not self._merged:
            self._merged.append(_merged(ranked(self)))
        return self._merged[0]

    @property
    def title(self) -> str:
        """Return what to call it before people."""
        told = self.told
        return told.friendly_name or told.name or written(self.mac)


@dataclass(frozen=True, slots=True)
class Fleet:
    """All devices that any source knows."""

    records: Mapping[Mac, BridgeRecord] = field(default_factory=lambda: MappingProxyType({}))
    strangers: Mapping[Address, Sighting] = field(default_factory=lambda: MappingProxyType({}))
    """Addresses that nobody has identified yet."""

    def named(self, name: str | None) -> tuple[BridgeRecord, ...]:
        """Return the devices whose name is exactly this one, never those it is a part of."""
        return tuple(it for it in self.records.values() if same_name(it.told.name, name))


def ranked(record: BridgeRecord) -> list[Sighting]:
    """
    Return what the sources said, best first.

    A standing connection knows the device best. Then come those who vouch for it now and those who
    did, the newest first, and last the memories, our own behind all others.
    """

    def rank(sighting: Sighting) -> tuple[bool, bool, bool, bool, float]:
        vouches = sighting.source in record.live
        connected = vouches and sighting.source is Source.CONNECTION
        old, ours = sighting.source not in LIVE, sighting.source is Source.MEMORY
        return not connected, not vouches, old, ours, -sighting.at_s

    return sorted(record.sightings.values(), key=rank)


def seen(fleet: Fleet, sighting: Sighting) -> Fleet:
    """Return the fleet after one source's word."""
    if sighting.mac is None:
        return _with_stranger(fleet, sighting)
    old = fleet.records.get(sighting.mac)
    before = old or BridgeRecord(sighting.mac, MappingProxyType({}))
    now_live = before.live | ({sighting.source} if sighting.source in LIVE else set())
    words = _with(before.sightings, sighting.source, sighting)
    record = _with_changes(before, replace(before, sightings=words, live=now_live), sighting.at_s)
    known = {(address, sighting.api_port) for address in sighting.addresses}
    strangers = {key: it for key, it in fleet.strangers.items() if key not in known}
    return Fleet(_with(fleet.records, record.mac, record), MappingProxyType(strangers))


def withdrawn(fleet: Fleet, source: Source, name: str) -> Fleet:
    """Return the fleet after a source took back its word on a name; the device stays known."""
    records = dict(fleet.records)
    for mac, record in fleet.records.items():
        word = record.sightings.get(source)
        if word is not None and same_name(word.name, name):
            records[mac] = replace(record, live=record.live - {source})
    strangers = {
        key: it
        for key, it in fleet.strangers.items()
        if not (it.source is source and same_name(it.name, name))
    }
    return Fleet(MappingProxyType(records), MappingProxyType(strangers))


def silent(fleet: Fleet, source: Source) -> Fleet:
    """Return the fleet after a source was lost as a whole, such as the link to Home Assistant."""
    records = {
        mac: replace(record, live=record.live - {source}) for mac, record in fleet.records.items()
    }
    return replace(fleet, records=MappingProxyType(records))


def contacted(fleet: Fleet, mac: Mac, contact: Contact) -> Fleet:
    """Return the fleet after our own connection to a device changed."""
    record = fleet.records.get(mac)
    if record is None:
        return fleet
    connection = frozenset({Source.CONNECTION})
    live = record.live | connection if contact.online else record.live - connection
    now = replace(record, contact=contact, live=live)
    return replace(fleet, records=_with(fleet.records, mac, now))


def listed(fleet: Fleet, words: Iterable[Sighting]) -> Fleet:
    """
    Return the fleet after a person has changed the list of what he wrote down.

    What is no longer on it and known from nobody else is gone; what another source knows stays.
    """
    written_down = list(words)
    places = {(host, word.api_port) for word in written_down for host in word.addresses}
    records = {}
    for mac, record in fleet.records.items():
        manual = record.sightings.get(Source.MANUAL)
        if manual is not None and not _places(manual) & places:
            left = dict(record.sightings)
            del left[Source.MANUAL]
            if not left.keys() - {Source.CONNECTION, Source.MEMORY}:
                continue
            records[mac] = replace(record, sightings=MappingProxyType(left))
        else:
            records[mac] = record
    strangers = {
        place: word
        for place, word in fleet.strangers.items()
        if word.source is not Source.MANUAL or place in places
    }
    now = Fleet(MappingProxyType(records), MappingProxyType(strangers))
    for word in written_down:
        now = seen(now, word)
    return now


def _places(word: Sighting) -> set[Address]:
    return {(host, word.api_port) for host in word.addresses}


def forgotten(fleet: Fleet, mac: Mac) -> Fleet:
    """Return the fleet without a device; it comes back when a source speaks of it again."""
    left = {each: record for each, record in fleet.records.items() if each != mac}
    return replace(fleet, records=MappingProxyType(left))


def dial(record: BridgeRecord, *, name_is_its_own: bool) -> tuple[tuple[str, ...], int]:
    """
    Return the hosts to try for a device, best first, and the API port.

    The name is tried last, and only while it is nobody else's: a host name that two devices
    answer to leads to either of them.
    """
    words = ranked(record)
    hosts = list(dict.fromkeys(address for word in words for address in word.addresses))
    by_name = host_name(record.told.name)
    if by_name and name_is_its_own and by_name not in hosts:
        hosts.append(by_name)
    return tuple(hosts), _port(words)


def by_name(fleet: Fleet) -> dict[str, list[BridgeRecord]]:
    """Return the devices of each name, case folded; more than one is a confusion."""
    found: dict[str, list[BridgeRecord]] = {}
    for record in fleet.records.values():
        if name := record.told.name:
            found.setdefault(name.casefold(), []).append(record)
    return found


def _merged(words: Iterable[Sighting]) -> Sighting:
    """Return one word of many; each part is the first that is told, never a mixture."""
    ordered = list(words)
    best = ordered[0]
    parts: dict[str, Any] = {}
    for name in _WORDS:
        told = (getattr(word, name) for word in ordered)
        parts[name] = next((it for it in told if it is not None and it != ()), getattr(best, name))
    return replace(best, **parts, api_port=_port(ordered))


def _port(words: Iterable[Sighting]) -> int:
    """Return the port of the best word that knows one; Core's registry has none and guesses."""
    knowing = (it for it in words if it.addresses and it.source is not Source.CORE_REGISTRY)
    return next((it.api_port for it in knowing), API_PORT)


def _with_changes(before: BridgeRecord, after: BridgeRecord, at_s: float) -> BridgeRecord:
    """Note what a live source contradicts; a memory that was wrong is no change."""
    old, new = (
        [word for word in ranked(record) if word.source in LIVE] for record in (before, after)
    )
    if not old or not new:
        return after
    was, now = _merged(old), _merged(new)
    if was.name and now.name and not same_name(was.name, now.name):
        after = replace(after, renamed=Change(was.name, now.name, at_s))
    if was.addresses and now.addresses and not set(was.addresses) & set(now.addresses):
        after = replace(after, moved=Change(was.addresses[0], now.addresses[0], at_s))
    return after


def _with_stranger(fleet: Fleet, sighting: Sighting) -> Fleet:
    known = {
        (address, word.api_port)
        for record in fleet.records.values()
        for word in record.sightings.values()
        for address in word.addresses
    }
    strangers = fleet.strangers
    for address in sighting.addresses:
        if (address, sighting.api_port) not in known:
            strangers = _with(strangers, (address, sighting.api_port), sighting)
    return replace(fleet, strangers=strangers)


def _with(mapping: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    return MappingProxyType({**mapping, key: value})
