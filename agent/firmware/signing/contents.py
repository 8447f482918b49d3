"""
What the signed documents say together, as far as they are staged or published.

Source: signing.md 4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from tuf.api.metadata import TargetFile

from agent.firmware.manifest.agree import agree
from agent.firmware.manifest.models import (
    Channel,
    ChannelEntry,
    Halt,
    ManifestError,
    Release,
)
from agent.firmware.manifest.parse import parse_channel, parse_halt, parse_release
from agent.firmware.manifest.write import write_channel, write_halt
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.models import HALT, SigningError
from agent.firmware.signing.roles import revised

WEB_SUFFIX = ".web.json"
Read = Callable[[str], bytes | None]
"""Returns a document by its path."""


@dataclass(frozen=True, slots=True)
class Contents:
    """One channel with everything that it names."""

    name: str
    channel: Channel
    releases: tuple[tuple[str, ChannelEntry, Release], ...]
    """Project, entry and manifest."""

    def of(self, project: str) -> list[Release]:
        """Return the releases of one project."""
        return [release for name, _, release in self.releases if name == project]


def channel_path(channel: str) -> str:
    """Return where a channel's document lies."""
    return f"{channel}/channel.json"


def halt_path(channel: str) -> str:
    """Return where a channel's brake lies."""
    return f"{HALT}/{channel}.json"


def manifest_path(channel: str, project: str, version: str) -> str:
    """Return where a release manifest lies."""
    return f"{channel}/{project}/{version}.json"


def web_path(manifest: str) -> str:
    """Return where the ESP Web Tools view of a manifest lies."""
    return f"{manifest.removesuffix('.json')}{WEB_SUFFIX}"


def read_contents(read: Read, name: str) -> Contents:
    """
    Return a channel and its releases, each checked against what the channel says of it.

    Raises:
        SigningError: a document is missing, cannot be read, or contradicts another.
    """
    channel = read_channel(read, name)
    try:
        found = tuple(_releases(read, name, channel))
    except ManifestError as error:
        raise SigningError(str(error)) from error
    return Contents(name, channel, found)


def read_channel(read: Read, name: str) -> Channel:
    """Return a channel's document, checked."""
    try:
        return parse_channel(_needed(read, channel_path(name)), name)
    except ManifestError as error:
        raise SigningError(f"{channel_path(name)}: {error}") from error


def read_halt(read: Read, channel: str) -> Halt:
    """Return a channel's brake, checked."""
    try:
        return parse_halt(_needed(read, halt_path(channel)))
    except ManifestError as error:
        raise SigningError(f"{halt_path(channel)}: {error}") from error


def stage_channel(folder: Folder, name: str, channel: Channel, now: datetime) -> None:
    """Stage what a channel says, if houses would take it."""
    data = write_channel(channel).encode()
    _accepted(lambda: parse_channel(data, name))
    stage(folder, channel_path(name), data, now)


def stage_halt(folder: Folder, channel: str, halt: Halt, now: datetime) -> None:
    """Stage what a channel's brake says, if houses would take it."""
    data = write_halt(halt).encode()
    _accepted(lambda: parse_halt(data))
    stage(folder, halt_path(channel), data, now)


def stage(folder: Folder, path: str, data: bytes, now: datetime) -> None:
    """
    Stage a document and the role that signs it.

    Raises:
        SigningError: it would change a release manifest that is published.
    """
    if folder.target(path) == data:
        return
    role = path.partition("/")[0]
    if may_not_change(path) and folder.published.target(path) is not None:
        raise SigningError(
            f"{path} is published and never changes: houses may hold it already. Release another "
            "version."
        )
    metadata = revised(folder, role, now)
    metadata.signed.targets[path] = TargetFile.from_data(path, data, ["sha256"])
    folder.staging.put_target(path, data)
    folder.staging.put(role, metadata)


def may_not_change(path: str) -> bool:
    """Return whether a document of this path is the same for ever once it is published."""
    return not path.endswith("/channel.json") and not path.startswith(f"{HALT}/")


def _releases(
    read: Read, name: str, channel: Channel
) -> Iterator[tuple[str, ChannelEntry, Release]]:
    for project, offered in channel.projects.items():
        for entry in offered.releases:
            release = parse_release(_needed(read, entry.manifest))
            agree(name, project, entry, release)
            yield project, entry, release


def _accepted(parse: Callable[[], object]) -> None:
    try:
        parse()
    except ManifestError as error:
        raise SigningError(f"Not staged, every house would refuse it: {error}") from error


def _needed(read: Read, path: str) -> bytes:
    data = read(path)
    if data is None:
        raise SigningError(f"{path} is not there. Restore it from version control.")
    return data
