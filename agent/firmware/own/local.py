"""
The repository in which this house signs what it brought itself.

It is an ordinary TUF repository with one key, so own builds go through the same checks as
everybody's: what was accepted once cannot change unnoticed. It is no protection from whoever
administers this machine, who has the key. Nothing in it expires for ten years.

Every file is written whole, and the timestamp last: whatever breaks off in between leaves the
repository as it was. Blocking, and python-tuf is loaded here: call it in a worker or a thread.

Source: signing.md 4.7; TUF specification 1.0.34, consistent snapshots.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    TOP_LEVEL_ROLE_NAMES,
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from agent.firmware.image.read import read_image
from agent.firmware.image.store import BlobStore
from agent.firmware.manifest.models import (
    Channel,
    ChannelEntry,
    ChannelProject,
    ManifestError,
    Release,
    ReleaseImage,
)
from agent.firmware.manifest.parse import parse_channel, parse_release
from agent.firmware.manifest.versions import version_key
from agent.firmware.manifest.write import write_channel, write_release
from agent.firmware.own.builds import CHANNEL, Brought, joined, release_of
from agent.private_file import replace_file

FOLDER = "local_repo"
LIFE = timedelta(days=3653)
"""Ten years: a house that nobody looks after must still take its own builds."""
_Role = TypeVar("_Role", Root, Targets, Snapshot, Timestamp)
_KEY = "key.pem"
_CHANNEL_PATH = f"{CHANNEL}/channel.json"


class LocalRepositoryError(Exception):
    """The repository of this house cannot be used; its text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a file."""

    release: Release
    image: ReleaseImage
    already: bool
    """It was there before, and nothing was written."""


class LocalRepository:
    """The repository below a data folder; `create` it once, then `accept` files."""

    def __init__(self, data: Path, blobs: BlobStore) -> None:
        self.folder = data / FOLDER
        """What a carrier reads: `metadata/` and `targets/`."""
        self._blobs = blobs

    @property
    def exists(self) -> bool:
        """Whether it was created."""
        return (self.folder / "metadata" / "timestamp.json").exists()

    def create(self, now: datetime) -> bytes:
        """
        Make the key and an empty repository, unless there is one, and return its root metadata.

        Raises:
            LocalRepositoryError: the disk refused.
        """
        with _explained("created"):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder):
                if not self.exists:
                    self._create(now)
                return self.root()

    def root(self) -> bytes:
        """
        Return its root metadata, whose SHA-256 is the fingerprint of the house.

        Raises:
            LocalRepositoryError: it was not created, or cannot be read.
        """
        with _explained("read"):
            return self._metadata("1.root.json")

    def channel(self) -> Channel:
        """
        Return what was accepted so far.

        Raises:
            LocalRepositoryError: it cannot be read.
        """
        with _explained("read"):
            return parse_channel(self._target(self._targets(), _CHANNEL_PATH), CHANNEL)

    def digests(self) -> frozenset[str]:
        """
        Return the SHA-256 of all accepted images: pin them, nobody can bring them again.

        Raises:
            LocalRepositoryError: they cannot be read.
        """
        with _explained("read"):
            targets = self._targets()
            releases = (
                parse_release(self._target(targets, path))
                for path in targets.targets
                if path != _CHANNEL_PATH
            )
            return frozenset(image.sha256 for it in releases for image in it.images)

    def accept(
        self, data: bytes, source: str, now: datetime, *, in_place: bool = False
    ) -> Accepted:
        """
        Sign a file as a release of this house and keep it.

        Args:
            data: the file as it was uploaded.
            source: for people: `PVAutonomy release 1.0.4`, `ESPHome build`.
            now: by the wall clock, with its zone.
            in_place: it may take the place of other bytes of the same version.

        Raises:
            ImageError: it is no image.
            BuildRefusedError: it becomes no release.
            StoreError: the disk has no room for it.
            LocalRepositoryError: the repository cannot be used.
        """
        new = release_of(Brought(data, read_image(data), source, now))
        with _explained("changed"), _locked(self.folder):
            targets = self._targets()
            path = f"{CHANNEL}/{new.project}/{new.version}.json"
            earlier = None
            if path in targets.targets:
                earlier = parse_release(self._target(targets, path))
            release = joined(earlier, new, in_place=in_place)
            image = new.images[0]
            self._blobs.add(data, pinned=self.digests())
            if release is earlier:
                return Accepted(release, image, already=True)
            channel = parse_channel(self._target(targets, _CHANNEL_PATH), CHANNEL)
            texts = {
                path: write_release(release),
                _CHANNEL_PATH: write_channel(_with(channel, release, path)),
            }
            _publish(self.folder, texts, targets, now)
        return Accepted(release, image, already=False)

    def _create(self, now: datetime) -> None:
        """Make all of it aside and give it its name when it is whole."""
        aside = self.folder.with_name(f"{FOLDER}.new")
        shutil.rmtree(aside, ignore_errors=True)
        (aside / "metadata").mkdir(parents=True, mode=0o700)
        signer = CryptoSigner.generate_ed25519()
        replace_file(aside / _KEY, signer.private_bytes.decode().rstrip())
        key, expires = signer.public_key, now.replace(microsecond=0) + LIFE
        root = Root(expires=expires, consistent_snapshot=True)
        for role in TOP_LEVEL_ROLE_NAMES:
            root.add_key(key, role)
        targets = Targets(expires=expires)
        targets.delegations = _delegated(key)
        _write(aside, "1.root.json", root, signer)
        _write(aside, "1.targets.json", targets, signer)
        _publish(aside, {_CHANNEL_PATH: write_channel(Channel(projects={}))}, None, now)
        aside.rename(self.folder)

    def _targets(self) -> Targets:
        """Return what the timestamp leads to; what lies beside it was never finished."""
        timestamp = Metadata[Timestamp].from_bytes(self._metadata("timestamp.json")).signed
        name = f"{timestamp.snapshot_meta.version}.snapshot.json"
        snapshot = Metadata[Snapshot].from_bytes(self._metadata(name)).signed
        name = f"{snapshot.meta[f'{CHANNEL}.json'].version}.{CHANNEL}.json"
        return Metadata[Targets].from_bytes(self._metadata(name)).signed

    def _metadata(self, name: str) -> bytes:
        return (self.folder / "metadata" / name).read_bytes()

    def _target(self, targets: Targets, path: str) -> bytes:
        target = targets.targets[path]
        data = _file(self.folder, target).read_bytes()
        target.verify_length_and_hashes(data)
        return data


def _publish(folder: Path, texts: Mapping[str, str], before: Targets | None, now: datetime) -> None:
    """Write the documents, then the metadata from the inside out; the timestamp counts."""
    signer = CryptoSigner(load_pem_private_key((folder / _KEY).read_bytes(), None))
    expires = now.replace(microsecond=0) + LIFE
    version = before.version + 1 if before else 1
    targets = Targets(version, expires=expires, targets=dict(before.targets) if before else {})
    for path, text in texts.items():
        target = TargetFile.from_data(path, text.encode(), ["sha256"])
        targets.targets[path] = target
        file = _file(folder, target)
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, text.removesuffix("\n"))
    written = _write(folder, f"{version}.{CHANNEL}.json", targets, signer)
    top = (folder / "metadata" / "1.targets.json").read_bytes()
    meta = {f"{CHANNEL}.json": _meta(version, written), "targets.json": _meta(1, top)}
    snapshot = Snapshot(version, expires=expires, meta=meta)
    written = _write(folder, f"{version}.snapshot.json", snapshot, signer)
    timestamp = Timestamp(version, expires=expires, snapshot_meta=_meta(version, written))
    _write(folder, "timestamp.json", timestamp, signer)


def _file(folder: Path, target: TargetFile) -> Path:
    """Return where a document lies: consistent snapshots put its hash before its name."""
    below, _, name = target.path.rpartition("/")
    return folder / "targets" / below / f"{target.hashes['sha256']}.{name}"


def _with(channel: Channel, release: Release, path: str) -> Channel:
    """Return the channel with this release in it; the highest version is the latest."""
    known = channel.projects.get(release.project)
    others = [it for it in (known.releases if known else ()) if it.version != release.version]
    entry = ChannelEntry(release.version, release.rollback_index, path)
    releases = tuple(sorted([*others, entry], key=lambda it: version_key(it.version) or ()))
    project = ChannelProject(releases[-1].version, releases)
    return Channel(projects={**channel.projects, release.project: project})


def _delegated(key: Key) -> Delegations:
    role = DelegatedRole(
        CHANNEL, [key.keyid], 1, terminating=True, paths=[f"{CHANNEL}/*", f"{CHANNEL}/*/*"]
    )
    return Delegations({key.keyid: key}, {CHANNEL: role})


def _write(folder: Path, name: str, signed: _Role, signer: CryptoSigner) -> bytes:
    metadata = Metadata(signed)
    metadata.sign(signer)
    text = metadata.to_bytes(JSONSerializer(compact=False)).decode().rstrip()
    replace_file(folder / "metadata" / name, text)
    return f"{text}\n".encode()


def _meta(version: int, data: bytes) -> MetaFile:
    return MetaFile(version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One at a time, over processes."""
    descriptor = os.open(folder.with_name(f"{folder.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise LocalRepositoryError(
            "This house has no repository of its own yet, or a file of it is missing "
            f"({Path(str(error.filename)).name}). Create it, or restore it from a backup."
        ) from error
    except (OSError, RepositoryError, DeserializationError, ManifestError, KeyError) as error:
        raise LocalRepositoryError(
            f"The repository of this house could not be {what}: {error}. What was accepted before "
            "is as it was; check the disk, or restore it from a backup."
        ) from error
