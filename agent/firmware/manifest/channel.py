"""
What a channel offers after a release has joined it.

Source: signing.md 4.4.
"""

from __future__ import annotations

from dataclasses import replace

from agent.firmware.manifest.models import Channel, ChannelEntry, ChannelProject
from agent.firmware.manifest.versions import version_key


def with_entry(channel: Channel, project: str, entry: ChannelEntry) -> Channel:
    """Return the channel with this release of a project; the highest version is the latest."""
    known = channel.projects.get(project)
    others = [it for it in (known.releases if known else ()) if it.version != entry.version]
    releases = tuple(sorted([*others, entry], key=lambda it: version_key(it.version) or ()))
    offered = ChannelProject(releases[-1].version, releases)
    return replace(channel, projects={**channel.projects, project: offered})
