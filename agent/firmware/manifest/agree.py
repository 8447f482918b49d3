"""
Whether signed documents tell the same story, and what they forbid together.

A channel names a release manifest and repeats what matters of it. Who can write one of the two
alone gains nothing: a manifest outside the channel, of another version or with another rollback
index is refused. Brakes add up: a halt takes nothing away that the channel forbids, and a halt that
should be there and is not counts as pulled.

Source: signing.md 4.4 and the lab's F01 to F04, F10, F11.
"""

from __future__ import annotations

from agent.firmware.manifest.models import (
    Brakes,
    Channel,
    ChannelEntry,
    Halt,
    ManifestError,
    Release,
)
from agent.firmware.manifest.versions import version_key

PAUSED = "The publisher has paused this channel."
NO_HALT = "The halt of this channel could not be read, so it counts as paused."


def agree(channel_name: str, project: str, entry: ChannelEntry, release: Release) -> None:
    """
    Check that a release manifest says what its channel says of it.

    Raises:
        ManifestError: they differ; the text says in what.
    """
    wrong = []
    if not entry.manifest.startswith(f"{channel_name}/") or ".." in entry.manifest:
        wrong.append(f"it lies at {entry.manifest}, outside of the channel")
    if release.project != project:
        wrong.append(f"it is for {release.project}, the channel says {project}")
    if release.version != entry.version:
        wrong.append(f"it is version {release.version}, the channel says {entry.version}")
    if release.rollback_index != entry.rollback_index:
        wrong.append(
            f"its rollback index is {release.rollback_index}, the channel says "
            f"{entry.rollback_index}"
        )
    if wrong:
        raise ManifestError(
            f"The manifest of {project} {entry.version} does not fit channel {channel_name}: "
            f"{'; '.join(wrong)}. It is not used. Tell the publisher."
        )


def latest_of(channel: Channel, project: str) -> ChannelEntry | None:
    """Return the newest release that a channel offers for a project, `None` if it has none."""
    offered = channel.projects.get(project)
    if offered is None:
        return None
    return next((it for it in offered.releases if it.version == offered.latest), None)


def entry_of(channel: Channel, project: str, version: str | None) -> ChannelEntry | None:
    """Return a channel's entry for a version as a bridge reports it, `None` if there is none."""
    offered, wanted = channel.projects.get(project), version_key(version)
    if offered is None or wanted is None:
        return None
    return next((it for it in offered.releases if version_key(it.version) == wanted), None)


def brakes_of(channel: Channel, halt: Halt | None, *, halt_role: bool) -> Brakes:
    """
    Return what channel and halt forbid together.

    Args:
        channel: the channel as it is trusted.
        halt: what its halt role says; `None` if that is missing, expired or unreadable.
        halt_role: whether the source has a halt role at all; a local source has none.
    """
    reasons = [PAUSED] if channel.paused else []
    if halt is not None and halt.paused:
        reasons.append(f"The publisher has pulled the emergency brake: {halt.reason}")
    if halt is None and halt_role:
        reasons.append(NO_HALT)
    return Brakes(
        min_rollback_index=channel.min_rollback_index,
        revoked=channel.revoked | (halt.revoked if halt else frozenset()),
        paused=bool(reasons),
        reason=" ".join(reasons),
    )
