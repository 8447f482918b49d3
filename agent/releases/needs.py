"""
Which release manifests have to be read, so that every bridge can be offered something.

Each costs a look at what stands above it, so only those are read that a bridge of this house, or
one that it may get, can be offered: the newest of its project, an older one only where the newer is
not made for it, or not signed yet by all who speak of the channel; and the one that it runs where
that says whose signature it will take next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from agent.firmware.manifest.agree import entry_of
from agent.firmware.manifest.models import Channel, ChannelEntry, ChannelProject, Release
from agent.firmware.manifest.versions import version_key
from agent.firmware.policy.families import OUR_FAMILIES
from agent.firmware.trust.models import ChannelKnowledge, Freshness, SourceKnowledge
from agent.fleet.chips import chip_of
from agent.fleet.record import Fleet
from agent.fleet.sighting import Sighting
from agent.releases.offers import made_for, project_for
from agent.releases.sources import LOCAL
from agent.setting_releases import ReleaseSettings

DEEPEST = 8
"""So many releases of a project are looked through for one that fits a chip and a board."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One release manifest."""

    source: str
    channel: str
    project: str
    version: str
    path: str


def wanted_manifests(
    known: Iterable[SourceKnowledge],
    fleet: Fleet,
    chosen: ReleaseSettings,
    read: Mapping[Wanted, Release],
) -> list[Wanted]:
    """
    Return what is needed of every source, as far as that can be said by now.

    Args:
        known: all sources.
        fleet: the bridges.
        chosen: their channels.
        read: what was read already; with each that is, more may be needed.
    """
    known = tuple(known)
    told = [it.told for it in fleet.records.values()]
    speakers: dict[str, list[str]] = {}
    for source in known:
        for channel in source.channels:
            speakers.setdefault(channel.name, []).append(source.source)
    channels = {chosen.channel, *(chosen.channel_of(mac) for mac in fleet.records)}
    return [
        it
        for source in known
        for channel in source.channels
        if channel.name in {*channels, LOCAL} and channel.freshness is not Freshness.NONE
        for it in _of_channel(source.source, channel, told, read, speakers[channel.name])
    ]


def _of_channel(
    source: str,
    known: ChannelKnowledge,
    told: list[Sighting],
    read: Mapping[Wanted, Release],
    speakers: list[str],
) -> Iterator[Wanted]:
    channel = known.channel
    if channel is None:
        return
    if known.name == LOCAL:
        yield from _all(source, channel)
        return
    heard = {project_for(it.project_name) for it in told if it.project_name}
    for project in sorted({*OUR_FAMILIES.values(), *heard} & channel.projects.keys()):

        def wanted(entry: ChannelEntry, project: str = project) -> Wanted:
            return Wanted(source, known.name, project, entry.version, entry.manifest)

        mine = [it for it in told if project_for(it.project_name or "") == project]
        for entry in _newest_first(channel.projects[project])[:DEEPEST]:
            yield wanted(entry)
            found = read.get(wanted(entry))
            if found is None:
                break
            said = (read.get(replace(wanted(entry), source=it)) for it in speakers)
            fits = all(made_for(found, _chip(it), it.board) for it in mine)
            if fits and all(it == found for it in said):
                break
        for it in mine:
            runs = entry_of(channel, project, it.project_version)
            if it.ota_signed and it.project_name == project and runs is not None:
                yield wanted(runs)


def _all(source: str, channel: Channel) -> Iterator[Wanted]:
    """Yield every own build: the page lists them."""
    for project, offered in channel.projects.items():
        for it in _newest_first(offered)[:DEEPEST]:
            yield Wanted(source, LOCAL, project, it.version, it.manifest)


def _chip(told: Sighting) -> str | None:
    return chip_of(told.platform, told.board)


def _newest_first(offered: ChannelProject) -> list[ChannelEntry]:
    """Return the releases, none newer than what the channel calls its latest."""
    latest = version_key(offered.latest) or ()
    fit = [it for it in offered.releases if (version_key(it.version) or ()) <= latest]
    return sorted(fit, key=lambda it: version_key(it.version) or (), reverse=True)
