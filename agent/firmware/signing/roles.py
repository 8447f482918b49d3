"""
Who signs: the first versions, the next versions, changed keys, and who has signed already.

A change of keys can take the ground from under a document that is signed already: drop a key of
`stable` and its published metadata may be one signature short, and every client refuses it. So
`rotate` stages each child again whose signatures would no longer do.

Source: signing.md 4.2 and 4.8; TUF specification 1.0.34, sections 4.3 and 6.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signature
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Role, Root, Targets

from agent.firmware.signing.folder import Folder
from agent.firmware.signing.keys import owner_of
from agent.firmware.signing.models import (
    HALT,
    ONLINE,
    PURPOSE_FIELD,
    TOP_LEVEL,
    Plan,
    SigningError,
)
from agent.firmware.signing.plan import with_role

OFFLINE_TOP = ("root", "targets")


@dataclass(frozen=True, slots=True)
class Progress:
    """Signatures of one document so far."""

    signed: tuple[str, ...]
    """Owners."""
    missing: int
    may_sign: tuple[str, ...]
    """Owners who have not."""


def expiry(plan: Plan, role: str, now: datetime) -> datetime:
    """Return when metadata of this role ends that is made now."""
    return now.replace(microsecond=0) + timedelta(days=plan.roles[role].expires_days)


def first_root(plan: Plan, folder: Folder, now: datetime) -> Metadata[Root]:
    """Return root version 1, unsigned."""
    purpose = {PURPOSE_FIELD: plan.purpose} if plan.purpose else {}
    root = Root(expires=expiry(plan, "root", now), unrecognized_fields=purpose)
    for name in TOP_LEVEL:
        role = plan.roles[name]
        for key in role.keys:
            root.add_key(folder.key(key), name)
        root.roles[name].threshold = role.threshold
    return Metadata(root)


def first_targets(plan: Plan, folder: Folder, now: datetime) -> Metadata[Targets]:
    """Return targets version 1 with every delegation, unsigned."""
    delegations = Delegations({}, {})
    targets = Targets(expires=expiry(plan, "targets", now), delegations=delegations)
    for name in plan.delegated:
        role = plan.roles[name]
        # A pattern matches segment by segment: one for channel.json, one for the manifests.
        paths = [f"{name}/*"] if name == HALT else [f"{name}/*", f"{name}/*/*"]
        delegated = DelegatedRole(name, [], role.threshold, terminating=True, paths=paths)
        if delegations.roles is not None:
            delegations.roles[name] = delegated
        for key in role.keys:
            targets.add_key(folder.key(key), name)
    return Metadata(targets)


def revised(folder: Folder, role: str, now: datetime) -> Metadata[Any]:
    """
    Return the next version of a role for changing: the staged one, or one above the published.

    Its signatures are gone, because they would sign something else.
    """
    staged = folder.staging.metadata(role)
    metadata = staged or folder.published.metadata(role)
    if metadata is None:
        raise SigningError(f"There is no metadata of {role} yet. Begin with `manifests init`.")
    if staged is None:
        metadata.signed.version += 1
    metadata.signed.expires = expiry(folder.plan, role, now)
    metadata.signatures.clear()
    return metadata


def renew(folder: Folder, role: str, now: datetime) -> None:
    """Stage a role again with nothing changed but version and expiry."""
    folder.staging.put(role, revised(folder, role, now))


def rotate(
    folder: Folder, role: str, add: Sequence[str], remove: Sequence[str], threshold: int | None,
    now: datetime,
) -> list[str]:  # fmt: skip
    """
    Stage new keys or a new threshold for a role, and every role that has to be signed again.

    Args:
        folder: the repository.
        role: whose keys change.
        add: names of files in `keys/`.
        remove: names of files in `keys/`, owners or key ids, as a person writes them.
        threshold: how many have to sign from now on; `None` leaves it.
        now: the moment.

    Returns:
        The roles that are staged now, the delegator first.
    """
    plan = folder.plan
    if role not in plan.roles:
        raise SigningError(f"There is no role {role}. There are: {', '.join(plan.roles)}.")
    delegator = "root" if role in TOP_LEVEL else "targets"
    metadata = revised(folder, delegator, now)
    names = list(plan.roles[role].keys)
    for wanted in remove:
        name = _named(folder, names, wanted, role)
        metadata.signed.revoke_key(folder.key(name).keyid, role)
        names.remove(name)
    for name in add:
        metadata.signed.add_key(folder.key(name), role)
        names.append(name)
    new = replace(
        plan.roles[role],
        keys=tuple(dict.fromkeys(names)),
        threshold=threshold or plan.roles[role].threshold,
    )
    if new.threshold > len(new.keys):
        raise SigningError(
            f"{role} would need {new.threshold} of {len(new.keys)} keys, which nobody can do. "
            "Add a key or lower the threshold."
        )
    metadata.signed.get_delegated_role(role).threshold = new.threshold
    folder.staging.put(delegator, metadata)
    folder.put_plan(with_role(plan, new))
    return [delegator, *_staged_again(folder, now)]


def progress(folder: Folder, role: str, metadata: Metadata[Any]) -> Progress:
    """
    Return who has signed this document and how many are missing.

    A root is signed by enough of its own keys and enough of those before it.
    """
    required = [_signed_by(folder.root().signed if role in TOP_LEVEL else folder.targets().signed,
                           role, metadata)]  # fmt: skip
    before = folder.published.metadata("root") if role == "root" else None
    if before is not None and before.signed.version < metadata.signed.version:
        required.append(_signed_by(before.signed, role, metadata))
    signed = {key.keyid: key for yes, _, _ in required for key in yes}
    waiting = {key.keyid: key for _, no, _ in required for key in no}
    # With two sets of keys the worse one counts: one person may be in both.
    missing = max(max(0, threshold - len(yes)) for yes, _, threshold in required)
    return Progress(
        tuple(owner_of(key) for key in signed.values()),
        missing,
        tuple(owner_of(key) for key in waiting.values()),
    )


def verifies(key: Key, signature: Signature | None, payload: bytes) -> bool:
    """Return whether this is a signature of the key over these bytes."""
    if signature is None:
        return False
    try:
        key.verify_signature(signature, payload)
    except UnverifiedSignatureError:
        return False
    return True


def _signed_by(
    delegator: Root | Targets, role: str, metadata: Metadata[Any]
) -> tuple[list[Key], list[Key], int]:
    """Return the keys that have signed, those that have not, and the threshold."""
    wanted: Role = delegator.get_delegated_role(role)
    keys = [delegator.get_key(keyid) for keyid in wanted.keyids]
    payload = metadata.signed_bytes
    yes = [key for key in keys if verifies(key, metadata.signatures.get(key.keyid), payload)]
    return yes, [key for key in keys if key not in yes], wanted.threshold


def _staged_again(folder: Folder, now: datetime) -> list[str]:
    """Stage every published role whose signatures no longer do, and return their names."""
    again = []
    for role in ("targets", *folder.plan.delegated):
        published = folder.published.metadata(role)
        if published is None or folder.staging.metadata(role) is not None:
            continue
        if progress(folder, role, published).missing:
            renew(folder, role, now)
            again.append(role)
    return again


def _named(folder: Folder, names: Sequence[str], wanted: str, role: str) -> str:
    for name in names:
        key = folder.key(name)
        if wanted in (name, key.keyid, owner_of(key)):
            return name
    raise SigningError(
        f"{role} has no key {wanted!r}. It has: {', '.join(names)}. Nothing was changed."
    )


def signable(folder: Folder) -> list[str]:
    """Return the staged roles that people sign, in the order in which they depend."""
    staged = set(folder.staging.roles())
    order = (*OFFLINE_TOP, *folder.plan.delegated)
    return [role for role in order if role in staged and role not in ONLINE]
