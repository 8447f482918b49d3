"""
A TUF repository for tests, small, in memory, and signed by keys that everybody can compute.

It is built on python-tuf's Metadata API as a publisher's is, and lets a test do what no publisher
should: sign with too few keys, expire, fast-forward, or put back an old file.

    repo = Repo()
    repo.release("stable", "1.1.0")
    repo.publish("stable")
    files = repo.files   # what a mirror serves: {"metadata/timestamp.json": b"…", …}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from tests.firmware.manifest.documents import RELEASE

BUILT = datetime(2026, 10, 1, tzinfo=UTC)
"""Day 0: when the first version was published and the app was built."""
PROJECT = "acme.bridge"
DAYS = {
    "root": 540, "targets": 365, "stable": 365, "beta": 180, "halt": 365, "snapshot": 365,
    "timestamp": 21,
}  # fmt: skip
KEYS = {
    "root": (3, 2), "targets": (3, 2), "stable": (3, 2), "beta": (3, 1), "halt": (3, 1),
    "snapshot": (1, 1), "timestamp": (1, 1),
}  # fmt: skip
"""How many keys each role has, and how many have to sign."""
PATHS = {
    "stable": ["stable/*", "stable/*/*"],
    "beta": ["beta/*", "beta/*/*"],
    "halt": ["halt/*"],
}
_PRETTY = JSONSerializer(compact=False)


@cache
def key(name: str) -> CryptoSigner:
    """Return the key of that name, the same in every run."""
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest()))


def keys(role: str, generation: int = 0) -> list[CryptoSigner]:
    """Return the keys of a role; another generation has others."""
    return [key(f"{role}-{generation}-{number}") for number in range(KEYS[role][0])]


def day(number: float) -> datetime:
    """Return a moment so many days after the first publication."""
    return BUILT + timedelta(days=number)


class Repo:
    """A publisher's repository; `files` is what is published."""

    def __init__(
        self,
        *,
        hashed: bool = True,
        purpose: str | None = None,
        at: datetime = BUILT,
        project: str = PROJECT,
    ) -> None:
        """
        Publish version 1 of everything, with release 1.0.0 in both channels.

        Args:
            hashed: whether the snapshot carries hashes and lengths, as ours does.
            purpose: what the root says that it is for.
            at: when.
            project: whose releases it has.
        """
        self.project = project
        self.hashed = hashed
        self.now = at
        self.files: dict[str, bytes] = {}
        self.signers = {role: keys(role) for role in KEYS}
        self.meta: dict[str, Metadata[Any]] = {
            name: Metadata(kind(expires=BUILT))
            for name, kind in (
                ("targets", Targets), ("stable", Targets), ("beta", Targets), ("halt", Targets),
                ("snapshot", Snapshot), ("timestamp", Timestamp),
            )
        }  # fmt: skip
        self.meta["root"] = Metadata(Root(expires=BUILT, consistent_snapshot=True))
        if purpose is not None:
            self.root.unrecognized_fields["x-pv-edge-purpose"] = purpose
        for role in ("root", "targets", "snapshot", "timestamp"):
            self.trust(role, self.signers[role])
        self.targets.delegations = Delegations({}, {})
        for role in PATHS:
            self.delegate(role, self.signers[role])
        self.channels: dict[str, dict[str, Any]] = {}
        for channel in ("stable", "beta"):
            self.release(channel, "1.0.0")
            self.halt(channel, paused=False)
        self._write("root", DAYS["root"])
        for role in ("targets", "stable", "beta", "halt"):
            self._write(role, DAYS[role])
        self._seal(bump=False)

    @property
    def root(self) -> Root:
        """What root says; `publish_root` signs it."""
        return self.meta["root"].signed

    @property
    def targets(self) -> Targets:
        """What targets says; `publish("targets")` signs it."""
        return self.meta["targets"].signed

    def role(self, name: str) -> Targets:
        """Return what a delegated role says."""
        return self.meta[name].signed

    def trust(self, role: str, signers: Sequence[CryptoSigner]) -> None:
        """Let these keys alone sign a top-level role."""
        self.root.roles[role].keyids = []
        self.root.roles[role].threshold = KEYS[role][1]
        for signer in signers:
            self.root.add_key(signer.public_key, role)

    def delegate(self, role: str, signers: Sequence[CryptoSigner]) -> None:
        """Let these keys alone sign a delegated role."""
        delegations = self.targets.delegations
        assert delegations
        assert delegations.roles is not None
        delegations.roles[role] = DelegatedRole(role, [], KEYS[role][1], True, paths=PATHS[role])
        for signer in signers:
            self.targets.add_key(signer.public_key, role)

    def release(self, channel: str, version: str, **changes: Any) -> bytes:
        """Offer a release in a channel, its newest; return the manifest."""
        manifest = {
            **deepcopy(RELEASE), "project": self.project, "version": version, "min_version": "1.0.0",
        } | changes  # fmt: skip
        path = f"{channel}/{self.project}/{version}.json"
        data = self.put(channel, path, manifest)
        entry = {
            "version": version, "rollback_index": manifest["rollback_index"], "manifest": path,
        }  # fmt: skip
        document = self.channels.setdefault(channel, {"schema": 1, "projects": {}, "policy": {}})
        document["policy"] = {"min_rollback_index": {}, "revoked": [], "paused": False}
        offered = document["projects"].setdefault(self.project, {"latest": "", "releases": []})
        offered["latest"] = version
        offered["releases"].append(entry)
        self.put(channel, f"{channel}/channel.json", document)
        return data

    def halt(self, channel: str, *, paused: bool, revoked: Iterable[str] = ()) -> None:
        """Pull or release the brake of a channel."""
        document = {
            "schema": 1,
            "paused": paused,
            "reason": f"tests of {channel}",
            "revoked": list(revoked),
        }
        self.put("halt", f"halt/{channel}.json", document)

    def put(self, role: str, path: str, document: Mapping[str, Any] | bytes) -> bytes:
        """Let a role name a document, which is published under its digest."""
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        target = TargetFile.from_data(path, data, ["sha256"])
        self.role(role).targets[path] = target
        self.files[published(path, data)] = data
        return data

    def publish(
        self, *roles: str, at: datetime | None = None, days: Mapping[str, float] | None = None
    ) -> None:
        """
        Sign the next version of these roles, of the snapshot and the timestamp.

        Args:
            roles: targets and delegated roles.
            at: when; expiries count from then.
            days: other lives of roles than `DAYS`.
        """
        self.now = at or self.now
        lives = DAYS | dict(days or {})
        for role in roles:
            self.meta[role].signed.version += 1
            self._write(role, lives[role])
        self._seal(lives)

    def publish_root(self, *also: CryptoSigner, at: datetime | None = None) -> None:
        """Sign the next root by its present keys and these."""
        self.now = at or self.now
        self.root.version += 1
        self._write("root", DAYS["root"], [*self.signers["root"], *also])

    def restamp(self, at: datetime | None = None, days: float = DAYS["timestamp"]) -> None:
        """Sign the next timestamp of the same snapshot, as the daily robot does."""
        self.now = at or self.now
        self.meta["timestamp"].signed.version += 1
        self._write("timestamp", days)

    def sign(self, role: str, signers: Sequence[CryptoSigner] | None = None) -> bytes:
        """Sign a role as it is and return the file."""
        metadata = self.meta[role]
        metadata.signatures.clear()
        for signer in self.signers[role] if signers is None else signers:
            metadata.sign(signer, append=True)
        return metadata.to_bytes(_PRETTY)

    def path(self, role: str) -> str:
        """Return where the present version of a role is published."""
        return metadata_path(role, self.meta[role].signed)

    def seal(self) -> None:
        """Name the files as they are now in the next snapshot and timestamp."""
        self._seal()

    def save(self, folder: Path) -> Path:
        """Write everything that is published into a folder and return it."""
        save(self.files, folder)
        return folder

    def _write(self, role: str, days: float, signers: Sequence[CryptoSigner] | None = None) -> None:
        self.meta[role].signed.expires = self.now + timedelta(days=days)
        self.files[self.path(role)] = self.sign(role, signers)

    def _seal(self, lives: Mapping[str, float] = DAYS, *, bump: bool = True) -> None:
        snapshot, timestamp = self.meta["snapshot"].signed, self.meta["timestamp"].signed
        for role in ("targets", *PATHS):
            if role in self.meta:
                snapshot.meta[f"{role}.json"] = self._meta_file(role)
        for signed in (snapshot, timestamp) if bump else ():
            signed.version += 1
        self._write("snapshot", lives["snapshot"])
        timestamp.snapshot_meta = self._meta_file("snapshot")
        self._write("timestamp", lives["timestamp"])

    def _meta_file(self, role: str) -> MetaFile:
        version, data = self.meta[role].signed.version, self.files[self.path(role)]
        return MetaFile.from_data(version, data, ["sha256"]) if self.hashed else MetaFile(version)


def metadata_path(role: str, signed: Signed) -> str:
    """Return where a role is published."""
    name = "timestamp" if role == "timestamp" else f"{signed.version}.{role}"
    return f"metadata/{name}.json"


def published(path: str, data: bytes) -> str:
    """Return where a document is published."""
    folder, _, name = path.rpartition("/")
    return f"targets/{folder}/{sha256(data).hexdigest()}.{name}"


def save(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
