"""
The record of decisions: everything that `decide.step` was given, and proof of what it returned.

A chapter opens with everything remembered and every choice of the site, and goes on with one
entry per look: the look as its difference from the one before, the commands that left, and two
digests, of what the step said and of what it remembers. So each chapter can be decided again by
itself, and the first bit that comes out otherwise is found.

A chapter is written in pages as time goes on. Each page after the first is compressed against the
pages before it and names their checksum, so a torn, altered or missing page cannot
pass for a whole one. A look that does not go on from the last one begins a new chapter: the
start of an agent, a house that was exchanged, looks that the disk never took.

Source: control.md T11; ARCHITECTURE, rules (state is in the journal before the command leaves).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b

from agent.export.provenance import Provenance
from agent.export.record_codec import RecordError, encode, same
from agent.export.record_diff import Differ, DifferenceReader
from agent.export.states import Command, GuardConfig, GuardState, Look, Step

VERSION = 1
LOOKS_PER_CHAPTER = 4096
"""About an hour of a discharge; what a torn page can cost at most."""
DIGEST_BYTES = 4
"""Of each of the two; a state that differs also differs at the next look, and the next."""
_LOOK, _CHOICES = 1, 2
_OPENS, _GOES_ON = 0, 1
_WINDOW_BYTES = 32_768
"""zlib looks no further back."""
_LEVEL = 6
_NEEDS_EARLIER = 0x20
"""The bit of zlib's second byte that says so (RFC 1950, FDICT)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One call of `decide.step`: what it was given, and what it returned."""

    before: GuardState
    look: Look
    config: GuardConfig
    result: Step


@dataclass(frozen=True, slots=True)
class Page:
    """Some looks in bytes."""

    first_s: float
    """Seconds since the epoch of its first look."""
    last_s: float
    looks: int
    data: bytes


class Scribe:
    """Writes decisions into pages, in the order in which they were taken."""

    def __init__(self, provenance: Provenance) -> None:
        self._provenance = provenance
        self._last: Decision | None = None
        self._differ = Differ()
        self._earlier = b""
        self._looks_in_chapter = 0
        self._raw = bytearray()
        self._times: list[float] = []
        self._done: list[Page] = []
        self._encoded: dict[str, tuple[object, bytes]] = {}
        """Fields of the state as they were last written: most stay the same objects."""

    @property
    def waiting_bytes(self) -> int:
        """How much the page in the making holds, not yet compressed."""
        return len(self._raw)

    def add(self, decision: Decision) -> None:
        """
        Take one more decision.

        Raises:
            RecordError: it holds what no record can; the next one begins a new chapter.
        """
        last = self._last
        follows = last is not None and decision.before is last.result.state
        new = last is None or not follows or self._looks_in_chapter >= LOOKS_PER_CHAPTER
        if new:
            self.cut()
        begun = len(self._raw)
        self._last = None
        try:
            if new or last is None:
                self._open(decision, goes_on=follows)
            else:
                self._go_on(decision, last)
            self._prove(decision.result)
        except RecordError:
            del self._raw[begun:]
            raise
        self._last = decision
        self._looks_in_chapter += 1
        self._times.append(decision.look.now.local.timestamp())

    def cut(self) -> None:
        """Begin another page, if there is a look in the one in the making."""
        if not self._times:
            return
        raw = bytes([VERSION]) + zlib.crc32(self._earlier).to_bytes(4, "big") + bytes(self._raw)
        page = Page(min(self._times), max(self._times), len(self._times), self._packed(raw))
        self._done.append(page)
        self._earlier = (self._earlier + raw)[-_WINDOW_BYTES:]
        self._raw.clear()
        self._times.clear()

    def pages(self) -> list[Page]:
        """Return the pages cut since this was asked last."""
        done, self._done = self._done, []
        return done

    def forget(self) -> int:
        """Begin a new chapter with the next look; return how many looks are given up for it."""
        self.cut()
        self._last = None
        return sum(page.looks for page in self.pages())

    def _packed(self, raw: bytes) -> bytes:
        pages = zlib.compressobj(_LEVEL, zdict=self._earlier) if self._earlier else (
            zlib.compressobj(_LEVEL)
        )  # fmt: skip
        return pages.compress(raw) + pages.flush()

    def _open(self, decision: Decision, *, goes_on: bool) -> None:
        self._differ = Differ()
        self._earlier = b""
        self._looks_in_chapter = 0
        self._encoded = {}
        self._raw.append(_GOES_ON if goes_on else _OPENS)
        self._raw += encode(self._provenance.parts())
        self._raw += encode(decision.before)
        self._raw += encode(decision.config)
        self._raw.append(_LOOK)
        self._raw += encode(decision.look)

    def _go_on(self, decision: Decision, last: Decision) -> None:
        if not same(decision.config, last.config):
            self._raw.append(_CHOICES)
            self._raw += encode(decision.config)
        self._raw.append(_LOOK)
        self._differ.write(self._raw, last.look, decision.look)

    def _prove(self, result: Step) -> None:
        self._raw += encode(result.commands)
        self._raw += outcome_digest(result)
        self._raw += self._state_digest(result.state)

    def _state_digest(self, state: GuardState) -> bytes:
        found = blake2b(digest_size=DIGEST_BYTES)
        for name in _STATE_FIELDS:
            value = getattr(state, name)
            known = self._encoded.get(name)
            if known is None or known[0] is not value:
                known = self._encoded[name] = (value, encode(value))
            found.update(known[1])
        return found.digest()


_STATE_FIELDS = tuple(field.name for field in fields(GuardState))


def state_digest(state: GuardState) -> bytes:
    """Return a few bytes that differ when anything in the state does."""
    raw = b"".join(encode(getattr(state, name)) for name in _STATE_FIELDS)
    return blake2b(raw, digest_size=DIGEST_BYTES).digest()


def outcome_digest(result: Step) -> bytes:
    """Return a few bytes that differ when a command, event, answer or deadline does."""
    raw = encode((result.commands, result.events, result.answers, result.wake_s))
    return blake2b(raw, digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Opened:
    """A chapter begins: what was remembered, and the choices of the site."""

    page: int
    provenance: Provenance
    state: GuardState
    config: GuardConfig
    goes_on: bool
    """The state is the one that the last look of the chapter before led to."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One look as it was recorded."""

    page: int
    look: Look
    config: GuardConfig
    commands: tuple[Command, ...]
    outcome: bytes
    state: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A page that cannot be read; nothing follows before the next chapter."""

    page: int
    why: str
    foreign: bool = False
    """It is whole, but of code with other records."""


Entry = Opened | Looked | Unreadable


def opens_chapter(page: bytes) -> bool:
    """Return True for a page that can be read without the one before."""
    return len(page) > 1 and not page[1] & _NEEDS_EARLIER


def read(pages: Iterable[tuple[int, bytes]]) -> Iterator[Entry]:
    """
    Yield what the pages hold, in order; what cannot be read is said once per chapter.

    Pages at the beginning whose chapter was let go with older pages are passed over.

    Args:
        pages: number and bytes of each, in the order of their numbers.
    """
    chapter: _Chapter | None = None
    torn = False
    for number, data in pages:
        if opens_chapter(data):
            chapter, torn = _Chapter(), False
        if chapter is None:
            continue
        if torn:
            continue
        try:
            yield from chapter.page(number, data)
        except _ForeignError as error:
            yield Unreadable(number, str(error), foreign=True)
            torn = True
        except RecordError as error:
            yield Unreadable(number, str(error))
            torn = True


class _ForeignError(RecordError):
    """The page was written by code with other records."""


class _Chapter:
    """What the pages of one chapter have told so far."""

    def __init__(self) -> None:
        self._earlier = b""
        self._reader: DifferenceReader | None = None
        self._config: GuardConfig
        self._look: Look | None = None

    def page(self, number: int, data: bytes) -> Sequence[Entry]:
        """
        Return the entries of the next page, all or none.

        Raises:
            RecordError: it is torn, altered, not the next one, or of other code.
        """
        raw = self._unpacked(data)
        found: list[Entry] = []
        if raw[:1] != bytes([VERSION]):
            raise _ForeignError(f"the page is of version {raw[:1].hex() or 'none'}")
        if raw[1:5] != zlib.crc32(self._earlier).to_bytes(4, "big"):
            raise RecordError("the page does not follow the one before it")
        self._earlier = (self._earlier + raw)[-_WINDOW_BYTES:]
        if self._reader is None:
            self._reader = DifferenceReader(raw[5:])
            found.append(self._opened(number, self._reader))
        else:
            self._reader = self._reader.going_on(raw[5:])
        while not self._reader.at_end:
            found.append(self._looked(number, self._reader))
        return found

    def _unpacked(self, data: bytes) -> bytes:
        pages = zlib.decompressobj(zdict=self._earlier) if self._earlier else zlib.decompressobj()
        try:
            raw = pages.decompress(data) + pages.flush()
        except zlib.error as error:
            raise RecordError(f"the page is torn or altered ({error})") from error
        if not pages.eof or pages.unused_data:
            raise RecordError("the page is torn: it has not its own end")
        return raw

    def _opened(self, number: int, reader: DifferenceReader) -> Opened:
        goes_on = reader.byte() == _GOES_ON
        provenance = Provenance.of(reader.value())
        if not provenance.readable:
            raise _ForeignError(f"it was recorded by {provenance}, whose records are others")
        state = reader.value()
        self._config = reader.value()
        if not isinstance(state, GuardState) or not isinstance(self._config, GuardConfig):
            raise RecordError("the chapter does not open with a state and choices")
        return Opened(number, provenance, state, self._config, goes_on)

    def _looked(self, number: int, reader: DifferenceReader) -> Looked:
        tag = reader.byte()
        if tag == _CHOICES:
            self._config = reader.value()
            tag = reader.byte()
        if tag != _LOOK:
            raise RecordError(f"an entry begins with {tag}")
        look = reader.value() if self._look is None else reader.difference(self._look)
        if not isinstance(look, Look):
            raise RecordError("an entry is no look")
        self._look = look
        commands = reader.value()
        outcome, state = reader.take(DIGEST_BYTES), reader.take(DIGEST_BYTES)
        return Looked(number, look, self._config, commands, outcome, state)
