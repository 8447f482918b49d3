"""
One pass of the TUF workflow over one carrier: everything verified at the floor, or an error.

A channel whose keys the publisher has revoked is a problem of that channel alone. An answer that a
carrier, or a thief of the online keys, may have spoiled ends the pass, and so does one that did not
come: the set that is trusted already stays.

Source: signing.md 4.5; TUF specification 1.0.34, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuf.api.exceptions import (
    DownloadError,
    DownloadLengthMismatchError,
    LengthOrHashMismatchError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, Root, TargetFile, Targets

from agent.firmware.manifest.models import Halt, ManifestError
from agent.firmware.manifest.parse import parse_channel, parse_halt
from agent.firmware.trust.carriers import Access, digest_of
from agent.firmware.trust.fetchers import RedirectRefusedError
from agent.firmware.trust.floor import Floor, channel_floor, time_floor
from agent.firmware.trust.models import RoleState
from agent.firmware.trust.source import Question
from agent.firmware.trust.store import Store
from agent.firmware.trust.updater import TimedUpdater
from agent.firmware.trust.verdict import ChannelView, View

_HALT = "halt"
_TOP = (Root.type, "timestamp", "snapshot", Targets.type)
_PURPOSE, _DEVELOPMENT = "x-pv-edge-purpose", "DEVELOPMENT ONLY"


class _UnusableError(Exception):
    """A channel, or its halt, that cannot be used; nobody but the publisher can be the reason."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One pass in progress."""

    question: Question
    floor: Floor
    store: Store
    access: Access
    updater: TimedUpdater
    work: Path
    held: frozenset[str]
    """Roles of the trusted set, which a carrier that lacks one must not take away."""

    def view(self) -> View:
        """
        Verify everything and return it.

        Raises:
            RepositoryError, DownloadLengthMismatchError, RedirectRefusedError: a wrong answer.
            DownloadError: no answer.
            OSError: the disk.
        """
        self.updater.refresh()
        names = self.question.source.channels
        channels = tuple(it for it in map(self._channel, names) if it is not None)
        return View(
            tuple(self._state(role) for role in _TOP),
            channels,
            # Who has the keys of a first root for development can sign a successor that denies it.
            any(map(is_development, (first_root(self.question.source.root), self.updater.root))),
            frozenset(
                digest
                for role in self.updater.target_roles()
                for target in role.targets.values()
                if (digest := target.hashes.get("sha256"))
            ),
        )

    def target(self, path: str, role: str) -> TargetFile | None:
        """
        Return what the role signed for a path, `None` if nobody signed it.

        Raises:
            RepositoryError: another role signed it; else as `view`.
        """
        found = self.updater.get_targetinfo(path)
        if found is None:
            return None
        signers = (self.updater.role(name) for name in (role, Targets.type))
        if not any(isinstance(it, Targets) and path in it.targets for it in signers):
            raise RepositoryError(f"{path} is signed by another role than {role}")
        return found

    def document(self, target: TargetFile) -> bytes:
        """Return a signed document from the disk or from the carrier; errors as `view`."""
        digest = digest_of(target)
        data = self.store.document(digest)
        if data is None:
            data = self.access.document(target)
            self.store.keep(digest, data)
        return data

    def _channel(self, name: str) -> ChannelView | None:
        question = self.question
        self.updater.at(channel_floor(self.floor, question.built, name))
        try:
            data = self._signed(f"{name}/channel.json", name)
            if data is None:
                return None
            channel = parse_channel(data, name)
        except (_UnusableError, ManifestError) as error:
            return ChannelView(name, problem=f"The channel {name} cannot be used: {error}")
        role = name if self.updater.role(name) else Targets.type
        halt = self._halt(name) if question.source.halt_role else None
        return ChannelView(
            name,
            role=self._state(role),
            channel=channel,
            halt=halt,
            halt_state=self._state(_HALT) if halt else None,
        )

    def _halt(self, channel: str) -> Halt | None:
        # What an expired brake revoked stays revoked, so it is loaded as long as it can be.
        self.updater.at(self.question.built)
        try:
            data = self._signed(f"{_HALT}/{channel}.json", _HALT)
            return None if data is None else parse_halt(data)
        except (_UnusableError, ManifestError):
            return None

    def _state(self, role: str) -> RoleState:
        signed = self.updater.role(role)
        if signed is None:
            raise RepositoryError(f"{role} was not loaded")
        return RoleState(role, signed.version, signed.expires)

    def _signed(self, path: str, role: str) -> bytes | None:
        try:
            target = self.target(path, role)
            return None if target is None else self.document(target)
        except (DownloadLengthMismatchError, RedirectRefusedError, LengthOrHashMismatchError):
            raise
        except DownloadError as error:
            if role in self.held:
                raise
            raise _UnusableError(f"{path} did not come: {error}") from error
        except RepositoryError as error:
            if not self.updater.bound_by_hash(role) or self._still_signed(role):
                raise
            raise _UnusableError(str(error)) from error

    def _still_signed(self, role: str) -> bool:
        """
        Tell whether the role as it was trusted has the signatures that targets asks for now.

        If not, its keys have been revoked and it must go; if so, a bad successor is no reason to
        lose it.
        """
        targets = self.updater.role(Targets.type)
        if role not in self.held or not isinstance(targets, Targets):
            return False
        try:
            old = Metadata[Targets].from_bytes((self.work / f"{role}.json").read_bytes())
            targets.verify_delegate(role, old.signed_bytes, old.signatures)
        except (RepositoryError, OSError):
            return False
        return True


def visit(
    question: Question, floor: Floor, store: Store, access: Access, work: Path, *, keep: bool
) -> Visit:
    """
    Begin a pass over a carrier.

    Args:
        question: whose source, and when.
        floor: what is remembered of it.
        store: where documents are kept.
        access: the open carrier.
        work: a copy of the trusted set, which is written to.
        keep: whether a channel of that set must not be lost to an answer that did not come.

    Raises:
        RepositoryError: the root that is trusted does not verify by itself.
        OSError: the disk.
    """
    moment = time_floor(floor, question.built)
    updater = TimedUpdater(work, access.base, access.fetcher, question.source.root, moment)
    held = frozenset(path.stem for path in work.glob("*.json")) if keep else frozenset()
    return Visit(question, floor, store, access, updater, work, held)


def is_development(root: Root) -> bool:
    """Tell whether a root says that its private keys are public."""
    purpose = root.unrecognized_fields.get(_PURPOSE, "")
    return isinstance(purpose, str) and purpose.startswith(_DEVELOPMENT)


def first_root(data: bytes) -> Root:
    """
    Return the root that a source begins with.

    Raises:
        RepositoryError: it is none.
    """
    return Metadata[Root].from_bytes(data).signed
