"""
The repository as a house would see it: the agent's own client, from a root, at a moment.

Nothing is published that this has not accepted. It walks the roots, loads every role and reads
every signed document, each looked up by its path; then the client that runs in houses is asked, and
has to call every channel fresh.

Source: TUF specification 1.0.34, section 5; signing.md 4.5 and 4.8.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.api.metadata import Metadata, Signed, Targets

from agent.firmware.signing.models import NOT_A_CHANNEL, SigningError
from agent.firmware.trust.carriers import Access, opened
from agent.firmware.trust.client import look
from agent.firmware.trust.models import Freshness, RoleState
from agent.firmware.trust.source import Directory, Question, Source, TrustPolicy
from agent.firmware.trust.updater import TimedUpdater

_NO_MIRROR_S = 60.0


@dataclass(frozen=True, slots=True)
class Proof:
    """What a client that began with one root has accepted."""

    from_root: int
    """Version of the root that it began with."""
    roles: tuple[RoleState, ...]
    documents: int
    """Signed documents that it has read."""


def prove(path: Path, root: bytes, at: datetime) -> Proof:
    """
    Return what a client accepts that begins with this root, all the way to fresh channels.

    Raises:
        SigningError: the client refuses; the text says what.
    """
    proof = walk(path, root, at)
    channels = tuple(it.role for it in proof.roles if it.role not in NOT_A_CHANNEL)
    _ask_the_house(Directory(path, "this repository"), root, at, channels)
    return proof


def walk(path: Path, root: bytes, at: datetime, *, metadata_only: bool = False) -> Proof:
    """
    Return what the workflow of TUF accepts from this root: every role and every document.

    Args:
        path: the folder with `metadata/` and `targets/`.
        root: bytes of a root metadata file that the client trusts.
        at: the moment that the client reckons with.
        metadata_only: leave the signed documents alone.

    Raises:
        SigningError: the client refuses; the text says what.
    """
    first = _version(root)
    folder = Directory(path, "this repository")
    try:
        with _updater(folder, root, at) as (updater, carrier):
            updater.refresh()
            names = _delegated(updater)
            for name in names:
                updater.get_targetinfo(f"{name}/-")  # loads the role; no document has this name
            known = ("root", "targets", *names, "snapshot", "timestamp")
            roles = tuple(_state(name, updater.role(name)) for name in known)
            read = 0
            for role in () if metadata_only else updater.target_roles():
                for document in role.targets:
                    info = updater.get_targetinfo(document)
                    if info is None:
                        raise RepositoryError(f"no delegation leads to {document}")  # noqa: TRY301 - one text for all that is refused
                    carrier.document(info)
                    read += 1
    except (RepositoryError, DownloadError) as error:
        raise _refused(first, at, str(error)) from error
    return Proof(first, roles, read)


def _ask_the_house(folder: Directory, root: bytes, at: datetime, channels: tuple[str, ...]) -> None:
    """Ask the client that runs in houses, on an empty disk; it has to call every channel fresh."""
    with TemporaryDirectory(prefix="pv-edge-proof-") as place:
        source = Source("proof", root, (folder,), channels)
        policy = TrustPolicy(allow_development_root=True)
        knowledge = look(Question(source, Path(place, "source"), at, at, policy))
    missing = set(channels) - {it.name for it in knowledge.channels if it.halt is not None}
    if knowledge.freshness is not Freshness.FRESH or missing:
        why = knowledge.why or f"it misses {', '.join(sorted(missing))} or the brake of it."
        raise _refused(_version(root), at, why.rstrip("."))


@contextmanager
def _updater(folder: Directory, root: bytes, at: datetime) -> Iterator[tuple[TimedUpdater, Access]]:
    with (
        TemporaryDirectory(prefix="pv-edge-proof-") as cache,
        opened(folder, _NO_MIRROR_S) as access,
    ):
        yield TimedUpdater(Path(cache), access.base, access.fetcher, root, at), access


def _delegated(updater: TimedUpdater) -> tuple[str, ...]:
    targets = updater.role(Targets.type)
    delegations = targets.delegations if isinstance(targets, Targets) else None
    return tuple((delegations and delegations.roles) or ())


def _state(name: str, signed: Signed | None) -> RoleState:
    if signed is None:
        raise RepositoryError(f"{name} was not loaded")
    return RoleState(name, signed.version, signed.expires)


def _refused(first: int, at: datetime, why: str) -> SigningError:
    return SigningError(
        f"A client that begins at root {first} refuses this repository on {at:%d %b %Y}: {why}. "
        "Correct and publish it again, or restore it from version control."
    )


def _version(root: bytes) -> int:
    try:
        return int(Metadata.from_bytes(root).signed.version)
    except RepositoryError as error:
        raise SigningError(f"The root to begin with is none: {error}. Name another.") from error
