"""
What one command changes in a channel or its brake, as pure functions.

Source: signing.md 4.4 and 4.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from agent.firmware.manifest.channel import with_entry
from agent.firmware.manifest.models import (
    Channel,
    ChannelEntry,
    Halt,
    Release,
    Wave,
)
from agent.firmware.signing.contents import manifest_path
from agent.firmware.signing.models import SigningError, UsageError


def with_release(
    name: str, channel: Channel, release: Release, rollout: Sequence[Wave] = ()
) -> Channel:
    """Return the channel with this release; the highest version is the latest."""
    path = manifest_path(name, release.project, release.version)
    entry = ChannelEntry(release.version, release.rollback_index, path, tuple(rollout))
    return with_entry(channel, release.project, entry)


def with_policy(
    channel: Channel,
    *,
    revoke: Iterable[str] = (),
    floors: Mapping[str, int] | None = None,
    paused: bool | None = None,
) -> Channel:
    """
    Return the channel with more images revoked, floors raised, paused or resumed.

    Raises:
        SigningError: a floor would fall; one that has been signed stays.
    """
    raised = dict(channel.min_rollback_index)
    for project, floor in (floors or {}).items():
        if project not in channel.projects:
            raise UsageError(f"The channel has no project {project!r}. It has: "
                             f"{', '.join(channel.projects) or 'none'}.")  # fmt: skip
        if floor < raised.get(project, 0):
            raise SigningError(
                f"The floor of {project} is {raised[project]} and cannot fall to {floor}: what it "
                "forbids must never return. Name a higher one."
            )
        raised[project] = floor
    return replace(
        channel,
        min_rollback_index=raised,
        revoked=channel.revoked | set(revoke),
        paused=channel.paused if paused is None else paused,
    )


def pulled(halt: Halt, reason: str, revoke: Iterable[str] = ()) -> Halt:
    """Return the brake pulled; what it revoked before stays revoked."""
    return Halt(paused=True, reason=reason, revoked=halt.revoked | set(revoke))


def let_go(halt: Halt, reason: str) -> Halt:
    """Return the brake let go; what it revoked stays revoked."""
    return replace(halt, paused=False, reason=reason)


def waves(texts: Iterable[str]) -> tuple[Wave, ...]:
    """
    Return waves from `HOURS:SHARE`, as `0:0.1 24:0.5 72:1`.

    Raises:
        UsageError: one of them is not written so.
    """
    found = []
    for text in texts:
        hours, _, share = text.partition(":")
        try:
            found.append(Wave(float(hours), float(share)))
        except ValueError as error:
            raise UsageError(f"{text!r} is no wave: write HOURS:SHARE, as 24:0.5.") from error
    return tuple(found)


def numbers(texts: Iterable[str]) -> dict[str, int]:
    """
    Return floors from `PROJECT=INDEX`.

    Raises:
        UsageError: one of them is not written so.
    """
    found = {}
    for text in texts:
        project, _, index = text.partition("=")
        if not project or not index.isdecimal():
            raise UsageError(f"{text!r} is no floor: write PROJECT=INDEX, as acme.bridge=3.")
        found[project] = int(index)
    return found
