"""
The repository as a house would see it: the full client workflow, from a root, at a moment.

Nothing is published that this has not accepted. It walks the roots, loads every role and reads
every signed document, each looked up by its path as a client does.

Source: TUF specification 1.0.34, section 5; signing.md 4.8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.api.metadata import Metadata, TargetFile
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from agent.firmware.signing.folder import Shelf
from agent.firmware.signing.models import SigningError
from agent.firmware.trust.models import RoleState

_METADATA_URL = "repository:metadata/"
_TARGETS_URL = "repository:targets/"
_PREFIX = re.compile(r"(.*/)?[0-9a-f]{64}\.([^/]+)")
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Proof:
    """What a client that began with one root has accepted."""

    from_root: int
    """Version of the root that it began with."""
    roles: tuple[RoleState, ...]
    documents: int
    """Signed documents that it has read."""


def prove(path: Path, root: bytes, at: datetime, *, metadata_only: bool = False) -> Proof:
    """
    Return what a client accepts that begins with this root.

    Args:
        path: the folder with `metadata/` and `targets/`.
        root: bytes of a root metadata file that the client trusts.
        at: the moment that the client reckons with.
        metadata_only: leave the signed documents alone.

    Raises:
        SigningError: the client refuses; the text says what.
    """
    shelf = Shelf(path)
    with TemporaryDirectory(prefix="pv-edge-proof-") as cache:
        try:
            client = _Client(cache, shelf, root, at)
            client.refresh()
            names = _delegated(Path(cache))
            for name in names:
                client.get_targetinfo(f"{name}/-")  # loads the role; no document has this name
            known = ("root", "targets", *names, "snapshot", "timestamp")
            roles = tuple(_state(Path(cache), name) for name in known)
            read = 0 if metadata_only else sum(_read_all(client, shelf, it) for it in names)
        except (RepositoryError, DownloadError) as error:
            raise SigningError(
                f"A client that begins at root {_version(root)} refuses this repository on "
                f"{at:%d %b %Y}: {error}. Publish again what is wrong there, or restore it."
            ) from error
    return Proof(_version(root), roles, read)


class _Client(Updater):
    """The library's client on a folder, at a moment of our choice."""

    def __init__(self, cache: str, shelf: Shelf, root: bytes, at: datetime) -> None:
        super().__init__(
            cache,
            _METADATA_URL,
            target_base_url=_TARGETS_URL,
            fetcher=_FolderFetcher(shelf.path),
            config=UpdaterConfig(),
            bootstrap=root,
        )
        # The library has no argument for it; a test fails loudly if the attribute goes.
        self._trusted_set.reference_time = at

    def read(self, info: TargetFile) -> bytes:
        """Return a document as the folder holds it."""
        return self._fetcher.download_bytes(
            f"{_TARGETS_URL}{info.get_prefixed_paths()[0]}", info.length
        )


class _FolderFetcher(FetcherInterface):
    """Hands out files of a folder; targets under plain names or with their digest in front."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _fetch(self, url: str) -> Iterator[bytes]:
        relative = url.removeprefix("repository:")
        plain = _PREFIX.fullmatch(relative)
        names = [relative, (plain[1] or "") + plain[2]] if plain else [relative]
        for name in names:
            file = (self._path / name).resolve()
            if file.is_relative_to(self._path.resolve()) and file.is_file():
                yield file.read_bytes()
                return
        raise DownloadHTTPError(f"{relative} is not there", _NOT_FOUND)


def _read_all(client: _Client, shelf: Shelf, role: str) -> int:
    """Look up and check every document of a role, and return how many there are."""
    metadata = shelf.metadata(role)
    paths = sorted(metadata.signed.targets) if metadata is not None else []
    for path in paths:
        info = client.get_targetinfo(path)
        if info is None:
            raise RepositoryError(f"{path} is listed by {role}, but no delegation leads to it")
        info.verify_length_and_hashes(client.read(info))
    return len(paths)


def _delegated(cache: Path) -> list[str]:
    targets = Metadata.from_bytes((cache / "targets.json").read_bytes()).signed
    roles = targets.delegations.roles if targets.delegations is not None else None  # type: ignore[attr-defined]  # it is a Targets
    return list(roles or ())


def _state(cache: Path, role: str) -> RoleState:
    signed = Metadata.from_bytes((cache / f"{role}.json").read_bytes()).signed
    return RoleState(role, signed.version, signed.expires)


def _version(root: bytes) -> int:
    return Metadata.from_bytes(root).signed.version
