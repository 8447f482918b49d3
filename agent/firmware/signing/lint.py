"""
What must never be signed or published, however well it is signed.

A client of TUF accepts each of these: one person counted twice under two key ids, a robot's key in
a role of people, a key that can move a document from one channel to the other. So they are refused
here, and by CI.

Source: signing.md 4.2, 4.4, 4.9; the lab's A32 and A53.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from securesystemslib.signer import Key
from tuf.api.metadata import Root, Targets

from agent.firmware.manifest.models import ImageKind
from agent.firmware.manifest.path import stranded
from agent.firmware.signing.contents import Contents, may_not_change, read_contents, read_halt
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.images import is_signed
from agent.firmware.signing.keys import owner_of
from agent.firmware.signing.models import HALT, ONLINE, SigningError


@dataclass(frozen=True, slots=True)
class RoleKeys:
    """The keys of one role, as its delegator says."""

    role: str
    keys: tuple[Key, ...]
    threshold: int


def lint(folder: Folder, *, on_main: bool = False) -> list[str]:
    """
    Return everything that is wrong with what is staged, or else published; each a sentence.

    Args:
        folder: the repository.
        on_main: nothing may be staged, because this is what houses get.
    """
    roles = delegated_keys(folder.root().signed, folder.targets().signed)
    found = [
        *key_faults(roles),
        *_plan_faults(folder, roles),
        *_staged_faults(folder),
        *_changed(folder),
    ]
    for channel in folder.plan.channels:
        try:
            found += channel_faults(read_contents(folder.target, channel))
            read_halt(folder.target, channel)
        except SigningError as error:
            found.append(str(error))
    staged = [*folder.staging.roles(), *(path for path, _ in folder.staging.targets())]
    if on_main and staged:
        found.append(
            f"{staged[0]} is staged on main, where only what is published belongs. Publish it, or "
            "keep it on a branch for signing."
        )
    return found


def delegated_keys(root: Root, targets: Targets) -> list[RoleKeys]:
    """Return the keys of every role."""
    roles = {**root.roles, **((targets.delegations and targets.delegations.roles) or {})}
    keys: Mapping[str, Key] = {
        **root.keys, **(targets.delegations.keys if targets.delegations else {})
    }  # fmt: skip
    return [
        RoleKeys(name, tuple(keys[it] for it in role.keyids if it in keys), role.threshold)
        for name, role in roles.items()
    ]


def key_faults(roles: list[RoleKeys]) -> Iterator[str]:
    """Yield what is wrong with keys and thresholds."""
    for role in roles:
        yield from _doubled(role)
        distinct = len({_public(key) for key in role.keys})
        if role.threshold > distinct:
            yield (
                f"{role.role} needs {role.threshold} signatures and has {distinct} keys, so nobody "
                "can ever sign it. Add keys or lower the threshold."
            )
    yield from _shared(roles)


def channel_faults(contents: Contents) -> Iterator[str]:
    """Yield what is wrong with the releases of a channel."""
    for project in contents.channel.projects:
        releases = contents.of(project)
        for lost in stranded(releases, contents.channel.projects[project].latest):
            yield f"{contents.name}, {project}: {lost.text}"
        for release in releases:
            for image in release.images if is_signed(release, releases) else ():
                if not image.signed_by:
                    where = "the application in " if image.kind is ImageKind.FACTORY else ""
                    yield (
                        f"{contents.name}, {project} {release.version}: {where}{image.file} is not "
                        "signed, but firmware of this project verifies signatures. Sign it with "
                        "espsecure and release it as another version."
                    )


def _doubled(role: RoleKeys) -> Iterator[str]:
    for one, other in combinations(role.keys, 2):
        if _public(one) == _public(other):
            yield (
                f"{role.role}: the key of {owner_of(one)} is in it twice, under two ids, so one "
                f"person would count as two. Remove {other.keyid[:8]}."
            )


def _shared(roles: list[RoleKeys]) -> Iterator[str]:
    for one, other in combinations(roles, 2):
        both = {_public(key): key for key in one.keys}.keys() & {_public(it) for it in other.keys}
        if not both:
            continue
        owner = next(owner_of(key) for key in one.keys if _public(key) in both)
        pair = f"{one.role} and {other.role}"
        if (one.role in ONLINE) != (other.role in ONLINE):
            yield (
                f"{pair} share the key of {owner}: a robot's key must not sign what people sign. "
                "Give the robot its own."
            )
        elif one.role in ONLINE:
            yield f"{pair} share the key of {owner}: who steals one has both. Make another."
        elif not {one.role, other.role} & {"root"}:
            # The name of a role is not in what it signs: what one says, the other could be shown.
            yield (
                f"{pair} share the key of {owner}: a document of one could be served as the "
                "other's. Use a key of its own for each role."
            )


def _plan_faults(folder: Folder, roles: list[RoleKeys]) -> Iterator[str]:
    plan = folder.plan
    for role in roles:
        planned = plan.roles.get(role.role)
        if planned is None:
            yield f"{role.role} is in the metadata and not in roles.toml. Write it there."
            continue
        wanted = {folder.key(name).keyid for name in planned.keys}
        if wanted != {key.keyid for key in role.keys} or planned.threshold != role.threshold:
            yield (
                f"{role.role}: roles.toml says {planned.threshold} of {', '.join(planned.keys)}; "
                f"the metadata says {role.threshold} of {', '.join(map(owner_of, role.keys))}. "
                "Use `manifests rotate` to change the metadata, or correct roles.toml."
            )
    missing = set(plan.roles) - {role.role for role in roles}
    for name in sorted(missing):
        yield f"{name} is in roles.toml and not in the metadata. Remove it there."


def _staged_faults(folder: Folder) -> Iterator[str]:
    """Yield staged metadata that no command has put there."""
    for role in folder.staging.roles():
        versions, before = folder.staging.versions(role), folder.published.versions(role)
        expected = (before[-1] if before else 0) + 1
        if role not in ("root", "targets", *folder.plan.delegated):
            yield f"{role} is staged, and people do not sign it. Remove it from staging."
        elif versions != [expected]:
            # Clients walk the roots one by one: behind a gap they would never see the next.
            yield (
                f"{role} is staged as version {', '.join(map(str, versions))}, the next one is "
                f"{expected}. Remove what is too much from staging, and stage it again."
            )


def _changed(folder: Folder) -> Iterator[str]:
    """Yield documents that are not what was signed, or that would change after publication."""
    for role in folder.plan.delegated:
        published = folder.published.metadata(role)
        for path, info in published.signed.targets.items() if published is not None else ():
            data, staged = folder.published.target(path), folder.staging.target(path)
            digest = hashlib.sha256(data).hexdigest() if data is not None else None
            if digest != info.hashes.get("sha256"):
                yield (
                    f"{path} is not what was signed. Restore it from version control; a published "
                    "document is never edited."
                )
            elif staged is not None and staged != data and may_not_change(path):
                yield (
                    f"{path} is published and would change. Houses may hold it already: release "
                    "another version."
                )
    for path, _ in folder.staging.targets():
        role = path.partition("/")[0]
        staged_role = folder.staging.metadata(role)
        if role != HALT and role not in folder.plan.channels:
            yield f"{path} is staged, and no role signs it. Remove it."
        elif staged_role is None or path not in staged_role.signed.targets:
            yield f"{path} is staged, and {role} does not list it. Add it with `manifests add`."


def _public(key: Key) -> str:
    """Return what makes two keys the same, whatever their ids say."""
    return "".join(str(key.to_dict().get("keyval", {}).get("public", "")).split())
