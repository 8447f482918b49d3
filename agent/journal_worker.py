"""
The journal's own thread: everything that may wait for a disk waits here.

Whatever came in while the disk was busy is taken as one batch and shares one commit, so the
cost of durability is paid per disk turn and not per caller. Reads follow the writes they came
with. Samples, bounds and checkpoints use the pauses; none of them makes a durable write wait
in line more than once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.backup import between_backups
from agent.journal_bounds import Bounds
from agent.journal_codec import Sample, rounded
from agent.journal_file import JournalError, Recovery, failure, open_file, transaction
from agent.journal_samples import SAMPLES_NAME, SampleFile

_LOGGER = logging.getLogger(__name__)
_CHECKPOINT_COMMITS = 200
_CHECKPOINT_COMMITS_BUSY = 2000


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """What keeps a journal small and its disk at rest."""

    flush_samples_s: float = 60.0
    """At most one commit of samples in this time; what a killed process loses of the history."""
    samples_bytes: int = 64_000_000
    """What the history may take on the disk, its log included; the oldest goes first."""
    keep_events_s: float = 2 * 366 * 86_400.0
    """Lived by the journal and passed on the wall clock, both: see `journal_bounds`."""
    keep_events: int = 1_000_000
    """The safety net, some 300 MB; two years of a busy house are fewer."""
    unwritten_samples: int = 1000
    """Samples that may wait for a disk that does not take them; the oldest go first."""
    other_writer_s: float = 5.0
    """Patience with another program that holds the file."""


@dataclass(slots=True, eq=False)
class Request:
    """One call on its way through the thread."""

    work: Callable[[sqlite3.Connection], Any]
    durable: bool
    what: str
    """What could not be done, for the message, should it fail."""
    loop: asyncio.AbstractEventLoop
    done: Callable[[Request], None]
    """Called in the loop when answer or error is there."""
    answer: Any = None
    error: JournalError | None = None


class Worker:
    """Owns the thread and, inside it, the database connection."""

    def __init__(
        self,
        path: Path,
        limits: JournalLimits,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.created = False
        self.recovered: Recovery | None = None
        self.commits = 0
        self.samples_lost = 0
        self._limits = limits
        self._bounds = Bounds(limits.keep_events, limits.keep_events_s, monotonic, wall)
        self._history = SampleFile(path.with_name(SAMPLES_NAME), limits.samples_bytes)
        self._inbox: queue.SimpleQueue[Request | Sample | None] = queue.SimpleQueue()
        self._open_for_calls = True
        self._gate = threading.Lock()
        self._waiting: deque[Sample] = deque(maxlen=limits.unwritten_samples)
        self._ended_by: JournalError | None = None
        self._samples_fail = False
        self._commits_tidied = 0
        self._more_to_let_go = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    # --- called from outside the thread --------------------------------------------------

    @property
    def alive(self) -> bool:
        """True while calls are taken and the thread is there to answer them."""
        return self._open_for_calls and self._thread.is_alive()

    def start(self) -> None:
        """Begin to serve; the first request is answered once the file is open."""
        self._thread.start()

    def submit(self, each: Request | Sample) -> bool:
        """Put a request or sample in line; False when none are taken any more."""
        with self._gate:
            if self._open_for_calls:
                self._inbox.put(each)
            return self._open_for_calls

    def stop(self) -> None:
        """Take nothing more; what is in line is still served."""
        with self._gate:
            if self._open_for_calls:
                self._open_for_calls = False
                self._inbox.put(None)

    def join(self) -> None:
        """Wait until the thread has ended; blocks."""
        self._thread.join()

    def closed_error(self) -> JournalError:
        """Return why nothing is taken any more: what ended the thread, or that it was closed."""
        return self._ended_by or JournalError(
            "closed", f"{self.path.name} is closed; nothing was recorded"
        )

    # --- inside the thread ---------------------------------------------------------------

    def _run(self) -> None:
        """Open, serve until told to end, close; whatever happens, nobody is left waiting."""
        try:
            opened = open_file(self.path, self._limits.other_writer_s)
            self.created, self.recovered = opened.created, opened.recovery
            if opened.created and opened.recovery:
                _LOGGER.error(
                    "%s was damaged (%s) and is kept as %s; a fresh one was begun",
                    self.path.name, opened.recovery.reason, opened.recovery.kept_as,
                )  # fmt: skip
            with contextlib.closing(opened.db):
                self._bounds.begin(opened.db)
                self._serve(opened.db)
                self._flush_samples()
                self._keep_bounds(opened.db, ending=True)
        except JournalError as known:
            self._ended_by = known
        except Exception as unexpected:
            _LOGGER.exception("%s: the journal's thread ended", self.path.name)
            text = f"{self.path.name}: its thread ended ({unexpected!r}); restart the agent"
            self._ended_by = JournalError("failed", text)
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._history.close()
            self._refuse_rest()

    def _serve(self, db: sqlite3.Connection) -> None:
        flush_at_s: float | None = None
        running = True
        while running:
            wait_s = None if flush_at_s is None else max(0.0, flush_at_s - time.monotonic())
            batch = self._take(wait_s)
            running = None not in batch
            for each in batch:
                if isinstance(each, Sample):
                    self._hold(each)
            requests = [each for each in batch if isinstance(each, Request)]
            self._write(db, [each for each in requests if each.durable])
            self._read(db, [each for each in requests if not each.durable])
            now_s = time.monotonic()
            if flush_at_s is None:
                flush_at_s = now_s + self._limits.flush_samples_s if self._waiting else None
            elif now_s >= flush_at_s:
                self._flush_samples()
                flush_at_s = now_s + self._limits.flush_samples_s if self._waiting else None
            self._tidy(db)

    def _take(self, wait_s: float | None) -> list[Request | Sample | None]:
        """Return everything in line, after waiting for the first."""
        batch: list[Request | Sample | None] = []
        with contextlib.suppress(queue.Empty):
            batch.append(self._inbox.get(timeout=wait_s))
            while True:
                batch.append(self._inbox.get_nowait())
        return batch

    def _hold(self, sample: Sample) -> None:
        try:
            kept = rounded(sample)
        except (ValueError, TypeError):
            self.samples_lost += 1
            return
        if len(self._waiting) == self._waiting.maxlen:
            self.samples_lost += 1
        self._waiting.append(kept)

    def _write(self, db: sqlite3.Connection, requests: Sequence[Request]) -> None:
        """Write all of these in one transaction; if it fails, it fails for all of them."""
        if not requests:
            return
        try:
            with transaction(db):
                for request in requests:
                    request.answer = request.work(db)
            self.commits += 1
        except Exception as error:  # noqa: BLE001 - the callers get it, the thread lives on
            for request in requests:
                request.error = self._failure(request.what, error)
        self._hand_out(requests)

    def _read(self, db: sqlite3.Connection, requests: Sequence[Request]) -> None:
        for request in requests:
            try:
                request.answer = request.work(db)
            except Exception as error:  # noqa: BLE001 - the caller gets it, the thread lives on
                request.error = self._failure(request.what, error)
            self._hand_out([request])

    def _failure(self, what: str, error: Exception) -> JournalError:
        if isinstance(error, JournalError):
            return error
        if isinstance(error, sqlite3.Error):
            return failure(self.path, what, error)
        return JournalError("failed", f"{self.path.name} {what} ({error!r}); report this")

    def _flush_samples(self) -> None:
        """Write the waiting samples; on failure they wait on."""
        if not self._waiting:
            return
        try:
            self._history.add(self._waiting)
        except Exception as error:  # noqa: BLE001 - no fault of the history ends the journal
            if not self._samples_fail:  # once, not every minute
                known = self._failure("could not take samples", error)
                _LOGGER.warning("The history waits in memory: %s", known)
            self._samples_fail = True
        else:
            self.commits += 1
            self._samples_fail = False
            self._waiting.clear()

    def _tidy(self, db: sqlite3.Connection) -> None:
        """Keep bounds and log small while nobody waits, or before the log grows without end."""
        since = self.commits - self._commits_tidied
        idle = self._inbox.empty()
        enough = since >= (_CHECKPOINT_COMMITS if idle else _CHECKPOINT_COMMITS_BUSY)
        if not enough and not (idle and (self._bounds.due() or self._more_to_let_go)):
            return
        self._commits_tidied = self.commits
        self._keep_bounds(db)
        try:
            with between_backups(self.path.parent) as free:
                if free:
                    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            _LOGGER.warning("%s", failure(self.path, "could not be tidied", error))
        except OSError as error:
            _LOGGER.warning("%s could not be tidied: %s", self.path.name, error)

    def _keep_bounds(self, db: sqlite3.Connection, *, ending: bool = False) -> None:
        due = self._bounds.due(ending=ending)
        try:
            if not (due or self._more_to_let_go or self._bounds.too_many(db)):
                return
            with transaction(db):
                if due:
                    self._bounds.mark(db)
                self._more_to_let_go = self._bounds.let_go(db)
            self.commits += 1
        except sqlite3.Error as error:
            self._more_to_let_go = False
            self._bounds.put_off()
            _LOGGER.warning("%s", failure(self.path, "could not let go of old events", error))

    def history_span(
        self, db: sqlite3.Connection, since_s: float, until_s: float
    ) -> tuple[list[int], list[Sample]]:
        """Return the full blocks that touch a half-open span, and the samples after them."""
        del db  # the history has a file of its own
        blocks, rest = self._history.span(since_s, until_s)
        return blocks, rest + [each for each in self._waiting if since_s <= each.at < until_s]

    def history_block(
        self, db: sqlite3.Connection, number: int, span: tuple[float, float]
    ) -> list[Sample]:
        """Return the samples of one block that lie in the span."""
        del db
        return self._history.block(number, *span)

    def _hand_out(self, requests: Sequence[Request]) -> None:
        """Give the answers to their loops, each loop woken once."""
        for loop in {request.loop for request in requests}:
            call_in(loop, _done, [request for request in requests if request.loop is loop])

    def _refuse_rest(self) -> None:
        with self._gate:
            self._open_for_calls = False
        rest = [each for each in self._take(0) if isinstance(each, Request)]
        for request in rest:
            request.error = self.closed_error()
        self._hand_out(rest)


def _done(requests: Sequence[Request]) -> None:
    for request in requests:
        request.done(request)


def call_in(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: Any) -> None:
    """Call a function in a loop from outside; a loop that is closed waits for nothing."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)
