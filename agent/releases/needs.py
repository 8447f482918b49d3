"""
Which release manifests have to be read, so that every bridge can be offered something.

Each costs a worker process once, so only those are read that a bridge of this house, or one that
it may get, can be offered: the newest few of its project, and the one that it runs, which says
whose signature its firmware will take next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agent.firmware.manifest.agree import entry_of
from agent.firmware.manifest.models import ChannelEntry, ChannelProject
from agent.firmware.manifest.versions import version_key
from agent.firmware.policy.families import OUR_FAMILIES
from agent.firmware.trust.models import ChannelKnowledge, Freshness, SourceKnowledge
from agent.fleet.record import Fleet
from agent.releases.offers import project_for
from agent.setting_releases import ReleaseSettings

NEWEST = 3
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
    known: Iterable[SourceKnowledge], fleet: Fleet, chosen: ReleaseSettings
) -> list[Wanted]:
    """Return what has to be read of every source, the newest of each project first."""
    records = fleet.records.values()
    channels = {chosen.channel, *(chosen.channel_of(it.mac) for it in records)}
    projects = {
        *OUR_FAMILIES.values(),
        *(project_for(it.told.project_name) for it in records if it.told.project_name),
    }
    runs = {(it.told.project_name, it.told.project_version) for it in records}
    return [
        it
        for source in known
        for channel in source.channels
        if channel.name in channels and channel.freshness is not Freshness.NONE
        for it in _of_channel(source.source, channel, projects, runs)
    ]


def _of_channel(
    source: str,
    known: ChannelKnowledge,
    projects: set[str],
    runs: set[tuple[str | None, str | None]],
) -> Iterator[Wanted]:
    channel = known.channel
    if channel is None:
        return
    for project in sorted(projects & channel.projects.keys()):
        entries = _newest(channel.projects[project])
        entries += [
            entry
            for whose, version in runs
            if whose == project and (entry := entry_of(channel, project, version)) is not None
        ]
        for entry in dict.fromkeys(entries):
            yield Wanted(source, known.name, project, entry.version, entry.manifest)


def _newest(offered: ChannelProject) -> list[ChannelEntry]:
    """Return the newest releases, none newer than what the channel calls its latest."""
    latest = version_key(offered.latest) or ()
    fit = [it for it in offered.releases if (version_key(it.version) or ()) <= latest]
    return sorted(fit, key=lambda it: version_key(it.version) or (), reverse=True)[:NEWEST]
