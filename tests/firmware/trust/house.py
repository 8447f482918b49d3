"""A house with a folder of trust, a clock that a test sets, and mirrors over real HTTPS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from agent.firmware.manifest.models import Release
from agent.firmware.trust.client import look, release
from agent.firmware.trust.models import EventKind, Freshness, SourceKnowledge
from agent.firmware.trust.source import (
    Carrier,
    Directory,
    Online,
    Question,
    Source,
    TrustPolicy,
)
from tests.firmware.https import Fault, HttpsServer
from tests.firmware.repo import BUILT, PROJECT, Repo, day, save


@dataclass(slots=True)
class Mirror:
    """One mirror on the server of the tests."""

    server: HttpsServer
    prefix: str

    @property
    def carrier(self) -> Online:
        """The mirror as a house knows it."""
        return Online(self.server.url(self.prefix), cafile=str(self.server.ca_file))

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for, the digests left out."""
        own = [it.path for it in self.server.asked if it.path.startswith(self.prefix)]
        return [path.removeprefix(f"{self.prefix}/") for path in own]

    def serves(self, files: Mapping[str, bytes]) -> None:
        """Serve these files and nothing else."""
        self.goes_away()
        self.server.files |= {f"{self.prefix}/{path}": data for path, data in files.items()}

    def puts(self, path: str, data: bytes) -> None:
        """Serve another file at a path."""
        self.server.files[f"{self.prefix}/{path}"] = data

    def fails(self, path: str, fault: Fault) -> None:
        """Let every request for a path go wrong."""
        self.server.always_fails(f"{self.prefix}/{path}", fault)

    def goes_away(self) -> None:
        """Have nothing any more."""
        for path in [it for it in self.server.files if it.startswith(f"{self.prefix}/")]:
            del self.server.files[path]


@dataclass(slots=True)
class House:
    """A house that looks at one source."""

    place: Path
    root: bytes
    built: datetime = BUILT
    policy: TrustPolicy = field(default_factory=TrustPolicy)
    budget_s: float = 20.0

    def question(self, *carriers: Carrier, on: float = 1) -> Question:
        """Return what a look is told, so many days after the app was built."""
        source = Source("official", self.root, carriers)
        return Question(source, self.place, self.built, day(on), self.policy, self.budget_s)

    def look(self, *carriers: Carrier, on: float = 1) -> SourceKnowledge:
        """Look with the shipped client."""
        return look(self.question(*carriers, on=on))

    def release(
        self, *carriers: Carrier, on: float = 1, version: str = "1.0.0", channel: str = "stable"
    ) -> Release:
        """Return a release with the shipped client."""
        return release(self.question(*carriers, on=on), channel, PROJECT, version)


def house(tmp_path: Path, repo: Repo) -> House:
    """Return a new house that trusts the repository's first root."""
    return House(tmp_path / "trust" / "official", repo.files["metadata/1.root.json"])


def bundle(repo: Repo | Mapping[str, bytes], folder: Path, name: str = "bundle") -> Directory:
    """Write what is published now into a folder, as the image of the app or a stick has it."""
    save(repo.files if isinstance(repo, Repo) else repo, folder)
    return Directory(folder, name)


def versions(known: SourceKnowledge) -> dict[str, int]:
    """Return the version of each role."""
    return {it.role: it.version for it in known.roles}


def kinds(known: SourceKnowledge) -> list[EventKind]:
    """Return what kinds of events there were."""
    return [it.kind for it in known.events]


def freshness(known: SourceKnowledge) -> dict[str, Freshness]:
    """Return the freshness of each channel."""
    return {it.name: it.freshness for it in known.channels}
