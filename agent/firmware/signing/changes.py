"""
What a signature would change for people, in words, before it is given.

A signer who sees two pages of JSON signs them. A signer who reads "stable: releases 1.1.0 of
acme.bridge to everybody at once" may ask a question.

Source: signing.md 4.8, "sign".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from securesystemslib.signer import Key
from tuf.api.metadata import Delegations, Metadata, Role, Root, Targets

from agent.firmware.manifest.models import Channel, ChannelEntry, ChannelProject, Halt
from agent.firmware.manifest.versions import version_key
from agent.firmware.signing.contents import (
    WEB_SUFFIX,
    channel_path,
    halt_path,
    may_not_change,
    read_channel,
    read_halt,
)
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.keys import owner_of
from agent.firmware.signing.models import HALT, PURPOSE_FIELD

NOTHING = "nothing but its version and how long it lives"
_SHORT = 12


def changes(folder: Folder, role: str) -> list[str]:
    """Return what the staged metadata of a role changes against the published, as sentences."""
    new, old = folder.staging.metadata(role), folder.published.metadata(role)
    if new is None:
        return []
    lines = list(_of_role(folder, role, new, old))
    until = f"valid until {new.signed.expires:%d %b %Y}"
    before = f", was {old.signed.expires:%d %b %Y}" if old is not None else ""
    return [*(lines or [NOTHING]), until + before]


def channel_changes(old: Channel | None, new: Channel) -> Iterator[str]:
    """Yield what changes between two states of a channel."""
    before = old or Channel({})
    for project in sorted({*before.projects, *new.projects}):
        yield from _project_changes(
            project, before.projects.get(project), new.projects.get(project)
        )
    for project in sorted({*before.min_rollback_index, *new.min_rollback_index}):
        was, is_now = before.min_rollback_index.get(project, 0), new.min_rollback_index.get(project)
        if was != (is_now or 0):
            yield (f"floor of {project}: rollback index {was} -> {is_now or 0}; images below it "
                   "are refused for ever")  # fmt: skip
    yield from _revocations(before.revoked, new.revoked)
    if before.paused != new.paused:
        yield "PAUSES automatic updates" if new.paused else "resumes automatic updates"


def halt_changes(channel: str, old: Halt | None, new: Halt) -> Iterator[str]:
    """Yield what changes between two states of a channel's brake."""
    before = old or Halt(paused=False, reason="")
    if before.paused != new.paused:
        word = "STOPS" if new.paused else "no longer stops"
        yield f"{word} automatic updates of {channel}: {new.reason}"
    elif before.reason != new.reason and old is not None:
        yield f"says of {channel}: {new.reason}"
    yield from _revocations(before.revoked, new.revoked)


def _of_role(
    folder: Folder, role: str, new: Metadata[Any], old: Metadata[Any] | None
) -> Iterator[str]:
    before = old.signed if old is not None else None
    if isinstance(new.signed, Root):
        yield from _key_changes(
            (before.roles, before.keys) if before is not None else ({}, {}),
            (new.signed.roles, new.signed.keys),
        )
        purpose = new.signed.unrecognized_fields.get(PURPOSE_FIELD)
        if purpose != (before and before.unrecognized_fields.get(PURPOSE_FIELD)):
            yield f"purpose: {purpose or 'for houses'}"
    elif isinstance(new.signed, Targets):
        yield from _key_changes(
            _roles_of(before.delegations if before is not None else None),
            _roles_of(new.signed.delegations),
        )
        yield from _documents(folder, role, set(before.targets) if before else set(), new.signed)


def _documents(folder: Folder, role: str, known: set[str], new: Targets) -> Iterator[str]:
    for path in sorted(set(new.targets) - known):
        if may_not_change(path) and not path.endswith(WEB_SUFFIX):
            yield f"adds document {path}"
    for path in sorted(known - set(new.targets)):
        yield f"REMOVES document {path}"
    for channel in folder.plan.channels:
        if role == HALT and (path := halt_path(channel)) in new.targets:
            old_halt = read_halt(folder.published.target, channel) if path in known else None
            yield from halt_changes(channel, old_halt, read_halt(folder.target, channel))
        elif role == channel and (path := channel_path(channel)) in new.targets:
            old = read_channel(folder.published.target, channel) if path in known else None
            yield from channel_changes(old, read_channel(folder.target, channel))


def _project_changes(
    project: str, old: ChannelProject | None, new: ChannelProject | None
) -> Iterator[str]:
    before = {it.version: it for it in old.releases} if old else {}
    after = {it.version: it for it in new.releases} if new else {}
    for version in _sorted(set(after) - set(before)):
        yield f"releases {project} {version} ({_pace(after[version])})"
    for version in _sorted(set(before) - set(after)):
        yield f"WITHDRAWS {project} {version}"
    for version in _sorted(set(after) & set(before)):
        if before[version].rollout != after[version].rollout:
            yield f"rollout of {project} {version}: {_pace(after[version])}"
        if before[version].rollback_index != after[version].rollback_index:
            yield f"rollback index of {project} {version}: {after[version].rollback_index}"
    if old is not None and new is not None and old.latest != new.latest:
        yield f"latest of {project}: {old.latest} -> {new.latest}"


def _sorted(versions: set[str]) -> list[str]:
    return sorted(versions, key=lambda it: version_key(it) or ())


def _pace(entry: ChannelEntry) -> str:
    index = f"rollback index {entry.rollback_index}"
    if not entry.rollout:
        return f"{index}, to everybody at once"
    steps = ", ".join(f"{wave.share:.0%} after {wave.after_h:g} h" for wave in entry.rollout)
    return f"{index}, {steps}"


def _revocations(old: frozenset[str], new: frozenset[str]) -> Iterator[str]:
    for digest in sorted(new - old):
        yield f"REVOKES image {digest[:_SHORT]}…"
    for digest in sorted(old - new):
        yield f"allows again the revoked image {digest[:_SHORT]}…"


_Roles = tuple[Mapping[str, Role], Mapping[str, Key]]


def _key_changes(old: _Roles, new: _Roles) -> Iterator[str]:
    (old_roles, old_keys), (new_roles, new_keys) = old, new
    for name, role in new_roles.items():
        before = old_roles.get(name)
        had = list(before.keyids) if before is not None else []
        gained = [owner_of(new_keys[it]) for it in role.keyids if it not in had]
        lost = [owner_of(old_keys[it]) for it in had if it not in role.keyids]
        if gained:
            yield f"{name}: may sign from now on: {', '.join(gained)}"
        if lost:
            yield f"{name}: may no longer sign: {', '.join(lost)}"
        if before is None:
            yield f"{name}: {role.threshold} of {len(role.keyids)} have to sign"
        elif before.threshold != role.threshold:
            yield f"{name}: threshold {before.threshold} -> {role.threshold}"
    for name in old_roles:
        if name not in new_roles:
            yield f"{name}: is NO LONGER a role"


def _roles_of(delegations: Delegations | None) -> _Roles:
    if delegations is None:
        return {}, {}
    return delegations.roles or {}, delegations.keys
