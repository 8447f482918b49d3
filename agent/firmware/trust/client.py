"""
What is known of a source, and one release of it, verified.

All carriers feed one set of trusted metadata, whose versions only rise: the bundle first, so that
even a new installation refuses a mirror that is older than its own image. A wrong answer from a
mirror is an event and never "offline". Everything here blocks and takes tens of megabytes: it
runs in the worker.

Source: signing.md 4.5 and P01 to P15.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import TargetFile

from agent.firmware.manifest.agree import agree, entry_of
from agent.firmware.manifest.models import ManifestError, Release
from agent.firmware.manifest.parse import parse_release
from agent.firmware.trust.carriers import Access, digest_of, opened
from agent.firmware.trust.fetchers import CacheFetcher, RedirectRefusedError
from agent.firmware.trust.floor import (
    Floor,
    clock_behind,
    confirmed,
    effective_time,
    read_floor,
    time_floor,
    write_floor,
)
from agent.firmware.trust.models import EventKind, Freshness, SecurityEvent, SourceKnowledge
from agent.firmware.trust.source import Carrier, Online, Question, TrustError
from agent.firmware.trust.store import Store
from agent.firmware.trust.verdict import (
    Circumstances,
    View,
    channel_knowledge,
    expired,
    worst,
)
from agent.firmware.trust.visit import Visit, first_root, is_development, visit

CACHE = "cache"
_WRONG = (RepositoryError, DownloadLengthMismatchError, RedirectRefusedError)
_AGED = (BadVersionNumberError, ExpiredMetadataError, UnsignedMetadataError)
"""What an old bundle or stick becomes by itself: older than what is trusted, or of keys that are
no longer."""
_WAY_OUT = (
    "Connect this machine to the internet, set its clock, or bring a newer bundle on a USB stick."
)
_DEVELOPMENT = (
    "The root of {source} is for development only: everybody has its private keys. Nothing of it "
    "is used; take a source with a root of its own, or allow the development root on a test bench."
)


def look(question: Question) -> SourceKnowledge:
    """
    Ask the carriers of a source and return what is known afterwards.

    Raises:
        TrustError: the folder of the source cannot be used at all.
    """
    store = Store(question.place)
    try:
        with store.locked():
            return _Look(question, store).run()
    except OSError as error:
        raise TrustError(
            f"The folder {question.place} cannot be used: {error.strerror or error}. Nothing of "
            f"{question.source.name} is verified; make room or repair the disk."
        ) from error


def release(question: Question, channel: str, project: str, version: str) -> Release:
    """
    Return one release, verified by the trusted set and by what its channel says of it.

    Its manifest comes from the disk, else from the carriers in turn; the set itself is not renewed.

    Raises:
        TrustError: nothing is trusted, there is no such release, or no carrier brings its manifest.
    """
    alone = replace(question, source=replace(question.source, channels=(channel,)))
    store = Store(question.place)
    try:
        with store.locked():
            seen, view = _cached(alone, read_floor(question.place), store)
            return _release(seen, view, channel, project, version)
    except (RepositoryError, DownloadError, ManifestError, OSError) as error:
        text = f"{project} {version} of {channel} cannot be verified: {_plain(error)}."
        raise TrustError(text) from error


def _cached(question: Question, floor: Floor, store: Store) -> tuple[Visit, View]:
    """Return what is trusted already, also where the disk takes no more."""

    def seen(*, aside: bool) -> tuple[Visit, View]:
        with store.copy(aside=aside) as work:
            found = visit(question, floor, store, Access(CacheFetcher(work)), work, keep=False)
            return found, found.view()

    try:
        return seen(aside=False)
    except OSError:
        return seen(aside=True)


def _release(seen: Visit, view: View, channel: str, project: str, version: str) -> Release:
    if _forbidden(seen.question, view.development):
        raise TrustError(_DEVELOPMENT.format(source=seen.question.source.name))
    offered = next(iter(view.channels), None)
    if offered is None or offered.channel is None:
        reason = offered.problem if offered else "the source does not offer it."
        raise TrustError(f"Nothing is known of channel {channel}: {reason}")
    entry = entry_of(offered.channel, project, version)
    if entry is None:
        raise TrustError(
            f"The channel {channel} has no {project} {version}. Look again, or take another."
        )
    target = seen.target(entry.manifest, channel)
    if target is None:
        raise TrustError(f"{entry.manifest} is named by its channel, and signed by nobody.")
    found = parse_release(_manifest(seen, target))
    agree(channel, project, entry, found)
    return found


def _manifest(seen: Visit, target: TargetFile) -> bytes:
    digest = digest_of(target)
    data = seen.store.document(digest)
    if data is not None:
        return data
    failures = []
    for carrier in seen.question.source.carriers:
        try:
            with opened(carrier, seen.question.mirror_budget_s) as access:
                data = access.document(target)
        except (RepositoryError, DownloadError) as error:
            failures.append(f"{carrier.name}: {_plain(error)}")
            continue
        with suppress(OSError):  # on a full disk it is fetched again the next time
            seen.store.keep(digest, data)
        return data
    raise TrustError(
        f"{target.path} could not be had. {'; '.join(failures) or 'There is nobody to ask'}."
    )


@dataclass(slots=True)
class _Look:
    """One look in progress."""

    question: Question
    store: Store
    floor: Floor = field(init=False)
    events: list[SecurityEvent] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Why carriers brought nothing, as sentences."""
    view: View | None = None
    carrier: str = ""
    lied: list[str] = field(default_factory=list)
    """Mirrors that answered wrongly."""
    right: bool = False
    """Whether a mirror answered rightly."""

    def __post_init__(self) -> None:
        self.floor = read_floor(self.question.place)

    @property
    def now(self) -> datetime:
        """The effective time."""
        return effective_time(self.floor, self.question.built, self.question.wall)

    def run(self) -> SourceKnowledge:
        """Ask everybody and say what is known."""
        behind = self._clock()
        try:
            public = is_development(first_root(self.question.source.root))
        except RepositoryError as error:
            return self._nothing(f"The root of this source cannot be read: {_plain(error)}")
        if _forbidden(self.question, public):
            return self._nothing(
                _DEVELOPMENT.format(source=self.question.source.name), development=True
            )
        for carrier in self.question.source.carriers:
            if not (self.right and isinstance(carrier, Online)):
                self._ask(carrier)
        if self.view is None:
            self._remember()
        if self.view is None:
            reasons = " ".join(self.failures) or "There is nobody to ask."
            return self._nothing(f"Nothing verifies. {reasons} {_WAY_OUT}", development=public)
        return self._known(self.view, behind)

    def _ask(self, carrier: Carrier) -> None:
        try:
            with (
                opened(carrier, self.question.mirror_budget_s) as access,
                self.store.copy() as work,
            ):
                view = visit(self.question, self.floor, self.store, access, work, keep=True).view()
                self.store.commit(work)
        except _WRONG as error:
            self._wrong(carrier, error)
            return
        except DownloadError as error:
            self.failures.append(f"{carrier.name} did not answer: {_plain(error)}.")
            return
        except OSError as error:
            self.failures.append(f"The disk could not take what {carrier.name} has: {error}.")
            return
        if view.whole:
            self.store.forget_documents(view.documents)
        if isinstance(carrier, Online) or not self.view or self.view.roles != view.roles:
            self.carrier = carrier.name
        self.view = view
        if isinstance(carrier, Online):
            self._online(carrier, view)

    def _online(self, carrier: Online, view: View) -> None:
        late = expired(view.roles, self.now)
        if late:
            names = ", ".join(it.role for it in late)
            self._event(
                EventKind.LYING_MIRROR,
                carrier,
                f"What it delivers has expired ({names}): it hides what is newer, its publisher "
                "has stopped, or the clock here is ahead. It counts as old.",
            )
            return
        self.right = True
        fresh = [
            it.name
            for it in view.channels
            if not it.problem and it.role and not expired([it.role], self.now)
        ]
        floor = confirmed(self.floor, self.now, fresh)
        try:
            write_floor(self.question.place, floor)
        except OSError as error:
            self.failures.append(f"The disk could not take the time of this look: {error}.")
        self.floor = floor

    def _wrong(self, carrier: Carrier, error: Exception) -> None:
        if isinstance(carrier, Online):
            text = f"Its answer does not verify and was thrown away: {_plain(error)}."
            self._event(_kind(error), carrier, text)
        elif not isinstance(error, _AGED):
            self._event(
                EventKind.LYING_MIRROR, carrier, f"It is damaged or was changed: {_plain(error)}."
            )
        self.failures.append(f"{carrier.name} brought nothing that holds: {_plain(error)}.")

    def _remember(self) -> None:
        """Take what is trusted already."""
        if self.store.current() is None:
            return
        try:
            self.view = _cached(self.question, self.floor, self.store)[1]
            self.carrier = CACHE
        except (*_WRONG, DownloadError, OSError) as error:
            self.failures.append(f"What was trusted before does not hold either: {_plain(error)}.")

    def _clock(self) -> tuple[str, ...]:
        if not clock_behind(self.floor, self.question.built, self.question.wall):
            return ()
        known = time_floor(self.floor, self.question.built)
        text = (
            f"The clock says {self.question.wall:%Y-%m-%d %H:%M} UTC, and {known:%Y-%m-%d %H:%M} "
            "has passed already. Set the clock of this machine."
        )
        self.events.append(SecurityEvent(EventKind.CLOCK_BEHIND, "clock", text, self.now))
        return (text,)

    def _event(self, kind: EventKind, carrier: Carrier, text: str) -> None:
        self.events.append(SecurityEvent(kind, carrier.name, text, self.now))
        if isinstance(carrier, Online):
            self.lied.append(carrier.name)

    def _known(self, view: View, behind: tuple[str, ...]) -> SourceKnowledge:
        source = self.question.source
        if _forbidden(self.question, view.development):
            return self._nothing(_DEVELOPMENT.format(source=source.name), development=True)
        doubts = behind
        if self.lied and not self.right:
            doubts += (f"{', '.join(self.lied)} answered wrongly and nobody else rightly.",)
        known = time_floor(self.floor, self.question.built)
        about = Circumstances(self.now, known, doubts, source.halt_role)
        channels = tuple(channel_knowledge(view, it, about) for it in view.channels)
        why = " ".join(dict.fromkeys(it.why for it in channels if it.why))
        return replace(
            self._nothing(why if channels else "This source offers no channel."),
            freshness=worst(channels),
            channels=channels,
            roles=view.every_role,
            carrier=self.carrier,
            development=view.development,
        )

    def _nothing(self, why: str, *, development: bool = False) -> SourceKnowledge:
        return SourceKnowledge(
            self.question.source.name,
            Freshness.NONE,
            why,
            confirmed=self.floor.online,
            development=development,
            root_sha256=hashlib.sha256(self.question.source.root).hexdigest(),
            events=tuple(self.events),
        )


def _forbidden(question: Question, development: bool) -> bool:
    return development and not question.policy.allow_development_root


def _kind(error: Exception) -> EventKind:
    if isinstance(error, UnsignedMetadataError):
        return EventKind.WRONG_SIGNATURE
    # python-tuf has no class of its own for a snapshot that has lost a role.
    if isinstance(error, BadVersionNumberError) or "is missing info for" in str(error):
        return EventKind.ROLLBACK
    return EventKind.LYING_MIRROR


def _plain(error: Exception) -> str:
    """Return an error for people; some of its words may be the other side's."""
    text = str(error).rstrip(".") or type(error).__name__
    return "".join(it if it.isprintable() else "?" for it in text)[:300]
