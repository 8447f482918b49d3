"""
Publishing: built aside, proven by the full client from every root, then swapped in at once.

Needs only the two online keys. The proof stands before the swap because a mistake here reaches
every house: a targets role that drops a key whose signature `stable` still needs, for example,
makes every client refuse everything.

Source: signing.md 4.3 and 4.8; TUF specification 1.0.34, section 6.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, MetaFile, Snapshot, Timestamp

from agent.firmware.signing.exchange import beside, swap_in
from agent.firmware.signing.folder import TIMESTAMP, Folder
from agent.firmware.signing.keys import add_signature, owner_of
from agent.firmware.signing.lint import lint
from agent.firmware.signing.models import SigningError
from agent.firmware.signing.proof import Proof, prove, walk
from agent.firmware.signing.roles import expiry, progress


@dataclass(frozen=True, slots=True)
class OnlineKeys:
    """The two keys that a robot may hold."""

    snapshot: Signer
    timestamp: Signer


def publish(folder: Folder, keys: OnlineKeys, now: datetime) -> list[Proof]:
    """
    Publish all that is staged, and return what a client saw from every root there ever was.

    With nothing staged it renews snapshot and timestamp.

    Raises:
        SigningError: lint complains, signatures are missing, or the client refuses the result;
            nothing changed.
    """
    faults = lint(folder)
    if faults:
        raise SigningError(f"Nothing was published, because {faults[0]}")
    _check_complete(folder)
    new = _copy(folder, without_staging=True)
    for role in folder.staging.roles():
        new.published.put(role, folder.current(role))  # type: ignore[arg-type]  # it is staged
    for path, data in folder.staging.targets():
        new.published.put_target(path, data)
    snapshot = _next_snapshot(new, now)
    _sign(new, "snapshot", snapshot, keys.snapshot)
    new.published.put("snapshot", snapshot)
    return _finish(folder, new, keys.timestamp, now)


def renew_timestamp(folder: Folder, signer: Signer, now: datetime) -> list[Proof]:
    """
    Sign the next timestamp over the published snapshot; what is staged stays staged.

    Raises:
        SigningError: the client refuses the result; nothing changed.
    """
    if folder.snapshot() is None:
        raise SigningError(f"{folder.path} has not been published yet: `manifests publish` first.")
    return _finish(folder, _copy(folder, without_staging=False), signer, now)


def write_site(folder: Folder, out: Path) -> None:
    """
    Write the tree that a static host serves: targets carry their digest, as clients ask for them.

    Raises:
        SigningError: the folder is there already, with something else in it.
    """
    if out.exists() and any(out.iterdir()):
        raise SigningError(f"{out} is not empty. Name a new folder.")
    shutil.copytree(folder.path / "metadata", out / "metadata", dirs_exist_ok=True)
    for path, data in folder.published.targets():
        head, _, name = path.rpartition("/")
        file = out / "targets" / head / f"{hashlib.sha256(data).hexdigest()}.{name}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def prove_from_every_root(path: Path, now: datetime) -> list[Proof]:
    """Return what clients accept that begin at each root of the repository, the oldest first."""
    shelf = Folder(path).published
    roots = [shelf.version_bytes("root", version) for version in shelf.versions("root")]
    first, *later = [root for root in roots if root is not None]
    return [prove(path, first, now), *(walk(path, root, now) for root in later)]


def _check_complete(folder: Folder) -> None:
    wrong = []
    for role in ("root", "targets", *folder.plan.delegated):
        metadata = folder.current(role)
        if metadata is None:
            raise SigningError(f"There is no metadata of {role}. Begin with `manifests init`.")
        state = progress(folder, role, metadata)
        if state.missing:
            who = ", ".join(state.may_sign)
            staged = folder.staging.metadata(role) is not None
            first = "" if staged else f"; stage it with `manifests renew {role}`"
            wrong.append(
                f"{role} version {metadata.signed.version} needs {state.missing} more (may sign: "
                f"{who}{first})"
            )
    if wrong:
        raise SigningError(
            f"Signatures are missing: {'; '.join(wrong)}. Sign with `manifests sign`; nothing was "
            "published."
        )


def _copy(folder: Folder, *, without_staging: bool) -> Folder:
    if Path.cwd().is_relative_to(folder.path):
        raise SigningError(
            f"You are in {folder.path}, which is about to be replaced by the next one. Change to "
            "another folder and name it with --repository."
        )
    aside = beside(folder.path)
    shutil.rmtree(aside, ignore_errors=True)
    unwanted = [".*.new", *(["staging"] if without_staging else [])]
    ignored = shutil.ignore_patterns(*unwanted)
    shutil.copytree(folder.path, aside, ignore=ignored, copy_function=_linked)
    return Folder(aside)


def _linked(source: str, goal: str) -> None:
    """Link what stays as it is: it is on the disk already. Whatever changes is replaced whole."""
    try:
        os.link(source, goal)
    except OSError:
        shutil.copy2(source, goal)


def _next_snapshot(new: Folder, now: datetime) -> Metadata[Snapshot]:
    metadata = new.snapshot()
    if metadata is None:
        metadata = Metadata(Snapshot())
    else:
        metadata.signed.version += 1
    metadata.signed.expires = expiry(new.plan, "snapshot", now)
    metadata.signed.meta = {f"{role}.json": _meta(new, role)
                            for role in ("targets", *new.plan.delegated)}  # fmt: skip
    return metadata


def _finish(folder: Folder, new: Folder, signer: Signer, now: datetime) -> list[Proof]:
    """Sign a timestamp over the new state, prove it, and let it take its place."""
    timestamp = new.timestamp()
    if timestamp is None:
        timestamp = Metadata(Timestamp())
    else:
        timestamp.signed.version += 1
    timestamp.signed.expires = expiry(new.plan, TIMESTAMP, now)
    timestamp.signed.snapshot_meta = _meta(new, "snapshot")
    _sign(new, TIMESTAMP, timestamp, signer)
    new.published.put(TIMESTAMP, timestamp)
    try:
        proofs = prove_from_every_root(new.path, now)
    except SigningError:
        shutil.rmtree(new.path, ignore_errors=True)
        raise
    swap_in(folder.path)
    return proofs


def _meta(new: Folder, role: str) -> MetaFile:
    metadata, data = new.published.metadata(role), new.published.metadata_bytes(role)
    if metadata is None or data is None:
        raise SigningError(f"There is no metadata of {role}. Begin with `manifests init`.")
    version: int = metadata.signed.version
    return MetaFile.from_data(version, data, ["sha256"])


def _sign(new: Folder, role: str, metadata: Metadata[Any], signer: Signer) -> None:
    wanted = new.root(new.published).signed.get_delegated_role(role)
    if signer.public_key.keyid not in wanted.keyids:
        raise SigningError(
            f"The key of {owner_of(signer.public_key)} does not sign {role}. Name the {role} key: "
            f"--{role}-key URI."
        )
    metadata.signatures.clear()
    add_signature(metadata, signer)
