"""The verbs that only look; each returns its text and the exit code."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from datetime import datetime

from tuf.api.metadata import Metadata, Root

from agent.firmware.signing.contents import read_contents, read_halt
from agent.firmware.signing.expiry import expiries
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.keys import owner_of, plain
from agent.firmware.signing.lint import delegated_keys, lint
from agent.firmware.signing.models import DEVELOPMENT, PURPOSE_FIELD, SigningError
from agent.firmware.signing.proof import prove, walk
from agent.firmware.signing.roles import progress, signable

EXIT_FOUND = 1
EXIT_DUE = 2


def verify(args: argparse.Namespace, folder: Folder, now: datetime) -> tuple[str, int]:
    """Look at what is published as a client does; with --release, refuse a development root."""
    root = args.root.read_bytes() if args.root else folder.published.version_bytes("root", 1)
    if root is None:
        raise SigningError(f"{folder.path} is not published: there is no root version 1.")
    if args.release and not args.allow_development_root:
        _for_houses(folder)
    if args.metadata_only:
        proof = walk(folder.path, root, now, metadata_only=True)
    else:
        proof = prove(folder.path, root, now)
    table = [(it.role, str(it.version), f"{it.expires:%d %b %Y}") for it in proof.roles]
    count = "documents not read" if args.metadata_only else f"{proof.documents} documents"
    head = f"Verified on {now:%d %b %Y} from root {proof.from_root}: {count}."
    purpose = development_purpose(folder)
    lines = [*([f"Purpose: {purpose}"] if purpose else []), head]
    return "\n".join([*lines, _columns([("role", "version", "ends"), *table])]), 0


def expire_check(_args: argparse.Namespace, folder: Folder, now: datetime) -> tuple[str, int]:
    """Say when each role ends; exit 2 when one is inside its renewal window."""
    found = expiries(folder)
    rows = [
        (it.role, str(it.version), f"{it.expires:%d %b %Y}", f"{it.renew_from:%d %b %Y}",
         it.state(now))
        for it in found
    ]  # fmt: skip
    due = any(it.state(now) != "ok" for it in found)
    table = _columns([("role", "version", "ends", "renew from", "state"), *rows])
    return table, EXIT_DUE if due else 0


def lint_all(args: argparse.Namespace, folder: Folder, _now: datetime) -> tuple[str, int]:
    """Look for what must never be signed; exit 1 if there is any."""
    faults = lint(folder, on_main=args.main)
    return ("\n".join(faults), EXIT_FOUND) if faults else ("Nothing is wrong.", 0)


def show(_args: argparse.Namespace, folder: Folder, _now: datetime) -> tuple[str, int]:
    """Say who signs what, what is released, and what waits for signatures."""
    return "\n".join(_shown(folder)), 0


def development_purpose(folder: Folder) -> str:
    """Return what the newest root says that it is for if that is development, else ""."""
    purpose = _purpose(folder.root(folder.published))
    return purpose if purpose.startswith(DEVELOPMENT) else ""


def _purpose(root: Metadata[Root]) -> str:
    return plain(str(root.signed.unrecognized_fields.get(PURPOSE_FIELD, "")))


def _for_houses(folder: Folder) -> None:
    purpose = development_purpose(folder)
    if purpose:
        raise SigningError(
            f"The root of {folder.path} says: {purpose}. Anybody could sign firmware for houses "
            "that trust it, so it is not released. Hold the ceremony of docs/manifests.md, or "
            "build for yourself with --allow-development-root."
        )


def _shown(folder: Folder) -> Iterator[str]:
    purpose = _purpose(folder.root())
    if purpose:
        yield f"Purpose: {purpose}"
    first = folder.published.version_bytes("root", 1)
    if first is not None:
        yield f"Root version 1, SHA-256: {hashlib.sha256(first).hexdigest()}"
    rows: list[tuple[str, ...]] = [("role", "signatures", "keys")]
    for role in delegated_keys(folder.root().signed, folder.targets().signed):
        owners = ", ".join(f"{owner_of(key)} {key.keyid[:8]}" for key in role.keys)
        rows.append((role.role, f"{role.threshold} of {len(role.keys)}", owners))
    yield _columns(rows)
    for channel in folder.plan.channels:
        contents, halt = read_contents(folder.target, channel), read_halt(folder.target, channel)
        paused = " (paused)" if contents.channel.paused or halt.paused else ""
        yield f"{channel}{paused}:" + ("" if contents.releases else " no release")
        for project, offered in contents.channel.projects.items():
            versions = ", ".join(it.version for it in offered.releases)
            yield f"  {project}: {versions}; latest {offered.latest}"
    for name in signable(folder):
        metadata = folder.staging.metadata(name)
        if metadata is not None:
            state = progress(folder, name, metadata)
            missing = f"{state.missing} more needed" if state.missing else "complete"
            signed = ", ".join(state.signed) or "nobody"
            yield f"Staged: {name} version {metadata.signed.version}, signed by {signed}; {missing}"


def _columns(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
