"""
The repository as a folder: what is published, and what waits in `staging/`.

Published metadata keeps its version in its name and never changes; only `timestamp.json` does.
What has been changed but not published lies in `staging/`, laid out alike. Nothing here decides.

Source: signing.md 4.3; TUF specification 1.0.34, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from agent.firmware.signing.keys import PUBLIC_SUFFIX, parse_public
from agent.firmware.signing.models import Plan, SigningError
from agent.firmware.signing.plan import PLAN_NAME, parse_plan, write_plan

TIMESTAMP = "timestamp"
_VERSIONED = re.compile(r"([0-9]{1,9})\.([a-z0-9-]+)\.json")
_SAFE_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


def as_bytes(metadata: Metadata[Any]) -> bytes:
    """Return metadata as it is written: indented, so that a change can be reviewed."""
    return metadata.to_bytes(JSONSerializer(compact=False)) + b"\n"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. What is published reaches the disk before the swap."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    new.replace(path)


class Shelf:
    """One layout of `metadata/` and `targets/`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def metadata(self, role: str) -> Metadata[Any] | None:
        """Return the newest metadata of the role, `None` if there is none."""
        data = self.metadata_bytes(role)
        if data is None:
            return None
        try:
            return Metadata.from_bytes(data)
        except DeserializationError as error:
            raise SigningError(
                f"The metadata of {role} in {self.path.name} cannot be read: {error.__cause__}. "
                "Restore it from version control."
            ) from error

    def metadata_bytes(self, role: str) -> bytes | None:
        """Return the newest metadata of the role as it lies there."""
        if role == TIMESTAMP:
            return _read(self.path / "metadata" / "timestamp.json")
        versions = self.versions(role)
        return self.version_bytes(role, versions[-1]) if versions else None

    def version_bytes(self, role: str, version: int) -> bytes | None:
        """Return one version of a role as it lies there."""
        return _read(self.path / "metadata" / f"{version}.{role}.json")

    def versions(self, role: str) -> list[int]:
        """Return the versions that are there, oldest first."""
        return sorted(version for version, name in self._names() if name == role)

    def roles(self) -> list[str]:
        """Return the roles that are there."""
        return sorted({name for _, name in self._names()})

    def put(self, role: str, metadata: Metadata[Any]) -> None:
        """Write metadata in the place of its role and version."""
        name = f"{role}.json" if role == TIMESTAMP else f"{metadata.signed.version}.{role}.json"
        write_whole(self.path / "metadata" / name, as_bytes(metadata))

    def target(self, path: str) -> bytes | None:
        """Return a signed document by its plain path, `None` if it is not there."""
        return _read(self._target_path(path))

    def put_target(self, path: str, data: bytes) -> None:
        """Write a signed document."""
        write_whole(self._target_path(path), data)

    def targets(self) -> Iterator[tuple[str, bytes]]:
        """Yield path and bytes of every signed document that lies there."""
        root = self.path / "targets"
        for path in sorted(root.rglob("*")):
            if path.is_file():
                yield path.relative_to(root).as_posix(), path.read_bytes()

    def _names(self) -> Iterator[tuple[int, str]]:
        folder = self.path / "metadata"
        for path in folder.iterdir() if folder.is_dir() else ():
            match = _VERSIONED.fullmatch(path.name)
            if match:
                yield int(match[1]), match[2]

    def _target_path(self, path: str) -> Path:
        if not _SAFE_PATH.fullmatch(path):
            raise SigningError(f"{path!r} is no path of a target: letters, digits, dot and dash.")
        return self.path / "targets" / path


class Folder:
    """`firmware_manifests/`: plan, public keys, what is published and what is staged."""

    def __init__(self, path: Path) -> None:
        # A link to the folder is not what takes part in an exchange; the folder is.
        self.path = path = path.resolve()
        self.published = Shelf(path)
        self.staging = Shelf(path / "staging")

    @property
    def plan(self) -> Plan:
        """What `roles.toml` says."""
        text = _read(self.path / PLAN_NAME)
        if text is None:
            raise SigningError(
                f"{self.path / PLAN_NAME} is not there. Write it (docs/manifests.md shows one), "
                "or say with --repository where the repository is."
            )
        return parse_plan(text.decode())

    def put_plan(self, plan: Plan) -> None:
        """Write `roles.toml`."""
        write_whole(self.path / PLAN_NAME, write_plan(plan).encode())

    def key(self, name: str) -> Key:
        """Return the public key `keys/NAME.pub.json`."""
        path = self.path / "keys" / f"{name}{PUBLIC_SUFFIX}"
        text = _read(path)
        if text is None:
            raise SigningError(f"{path} is not there. Put the holder's public key there.")
        return parse_public(text.decode(), path.name)

    def keys(self) -> dict[str, Key]:
        """Return every public key in `keys/` by its name."""
        names = sorted(path.name for path in (self.path / "keys").glob(f"*{PUBLIC_SUFFIX}"))
        return {name.removesuffix(PUBLIC_SUFFIX): self.key(name.removesuffix(PUBLIC_SUFFIX))
                for name in names}  # fmt: skip

    def current(self, role: str) -> Metadata[Any] | None:
        """Return what is staged for the role, else what is published."""
        return self.staging.metadata(role) or self.published.metadata(role)

    def root(self, shelf: Shelf | None = None) -> Metadata[Root]:
        """Return the root that is staged or published, or the one on the shelf."""
        return cast("Metadata[Root]", self._needed("root", shelf))

    def targets(self, role: str = "targets", shelf: Shelf | None = None) -> Metadata[Targets]:
        """Return a targets role, top-level or delegated."""
        return cast("Metadata[Targets]", self._needed(role, shelf))

    def snapshot(self) -> Metadata[Snapshot] | None:
        """Return the published snapshot."""
        return cast("Metadata[Snapshot] | None", self.published.metadata("snapshot"))

    def timestamp(self) -> Metadata[Timestamp] | None:
        """Return the published timestamp."""
        return cast("Metadata[Timestamp] | None", self.published.metadata(TIMESTAMP))

    def target(self, path: str) -> bytes | None:
        """Return a document that is staged or published."""
        staged = self.staging.target(path)
        return staged if staged is not None else self.published.target(path)

    def known_keys(self) -> list[Key]:
        """Return every key that a role names, staged or published."""
        found: dict[str, Key] = {}
        for shelf in (self.published, self.staging):
            root, targets = shelf.metadata("root"), shelf.metadata("targets")
            if root is not None:
                found.update(root.signed.keys)
            if targets is not None and targets.signed.delegations is not None:
                found.update(targets.signed.delegations.keys)
        return list(found.values())

    def _needed(self, role: str, shelf: Shelf | None) -> Metadata[Any]:
        metadata = self.current(role) if shelf is None else shelf.metadata(role)
        if metadata is None:
            raise SigningError(
                f"There is no metadata of {role} in {self.path}. Begin with `manifests init`, or "
                "say with --repository where the repository is."
            )
        return metadata


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
