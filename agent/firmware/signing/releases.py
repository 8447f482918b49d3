"""
Adding a release to a channel, and taking the very same bytes to another.

Source: signing.md 4.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.firmware.manifest.models import ManifestError, Release, Wave
from agent.firmware.manifest.parse import parse_release
from agent.firmware.manifest.path import stranded
from agent.firmware.manifest.web import write_web
from agent.firmware.manifest.write import write_release
from agent.firmware.signing.contents import (
    manifest_path,
    read_contents,
    stage,
    stage_channel,
    web_path,
)
from agent.firmware.signing.edits import with_release
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.images import check_signed, filled, parse_draft, read_facts
from agent.firmware.signing.models import SigningError, UsageError


@dataclass(frozen=True, slots=True)
class Addition:
    """What a person asks to be added."""

    channel: str
    draft: Path
    files: tuple[Path, ...]
    rollout: tuple[Wave, ...] = ()
    slot_size: int | None = None
    files_at: str = ""
    """Where the files will lie, over https; "" for no view for ESP Web Tools."""


def add(folder: Folder, wanted: Addition, now: datetime) -> Release:
    """
    Stage a new release of a channel, filled from its files.

    Raises:
        SigningError: something contradicts, or the release would strand bridges; nothing changed.
    """
    check_channel(folder, wanted.channel)
    draft = parse_draft(_bytes(wanted.draft), wanted.draft.name)
    facts = {path.name: read_facts(path.name, _bytes(path)) for path in wanted.files}
    release = filled(draft, facts, wanted.slot_size)
    contents = read_contents(folder.target, wanted.channel)
    check_signed(release, facts, contents.of(release.project))
    web = b""
    if wanted.files_at:
        try:
            web = write_web(release, wanted.files_at).encode()
        except ValueError as error:
            raise UsageError(f"--files-at: {error}") from error
    _stage(folder, wanted.channel, release, wanted.rollout, (write_release(release).encode(), web),
           now)  # fmt: skip
    return release


def promote(
    folder: Folder, path: tuple[str, str], project: str, version: str, rollout: Sequence[Wave],
    now: datetime,
) -> Release:  # fmt: skip
    """
    Stage a release that one channel has published in another, byte for byte.

    Args:
        folder: the repository.
        path: the channel that it comes from, and the one that it goes to.
        project: of the release.
        version: of the release.
        rollout: waves in the new channel.
        now: the moment.

    Raises:
        SigningError: it is not published there, or it would strand bridges; nothing changed.
    """
    source, goal = path
    check_channel(folder, source)
    check_channel(folder, goal)
    origin = manifest_path(source, project, version)
    data = folder.published.target(origin)
    if data is None:
        raise SigningError(f"{origin} is not published. Publish it in {source} first.")
    web = folder.published.target(web_path(origin)) or b""
    try:
        release = parse_release(data)
    except ManifestError as error:
        raise SigningError(f"{origin}: {error}") from error
    _stage(folder, goal, release, rollout, (data, web), now)
    return release


def check_channel(folder: Folder, channel: str) -> None:
    """
    Refuse a channel that is none.

    Raises:
        UsageError: the text names those there are.
    """
    if channel not in folder.plan.channels:
        raise UsageError(
            f"There is no channel {channel!r}. There are: {', '.join(folder.plan.channels)}."
        )


def _stage(
    folder: Folder, channel: str, release: Release, rollout: Sequence[Wave],
    documents: tuple[bytes, bytes], now: datetime,
) -> None:  # fmt: skip
    contents = read_contents(folder.target, channel)
    others = [it for it in contents.of(release.project) if it.version != release.version]
    lost = stranded([*others, release])
    if lost:
        raise SigningError(f"This would strand bridges. {lost[0].text}")
    path = manifest_path(channel, release.project, release.version)
    manifest, web = documents
    stage(folder, path, manifest, now)
    if web:
        stage(folder, web_path(path), web, now)
    stage_channel(folder, channel, with_release(channel, contents.channel, release, rollout), now)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningError(f"{path} cannot be read: {error.strerror}. Name a file.") from error
