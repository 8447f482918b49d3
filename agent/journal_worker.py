"""
The journal's own thread: everything that may wait for a disk waits here.

Whatever came in while the disk was busy is taken as one batch and shares one commit, so the
cost of durability is paid per disk turn and not per caller. Reads follow the writes they came
with. Samples, pruning and checkpoints use the pauses; none of them makes a durable write wait
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from agent.journal_file import SAMPLE_COLUMNS, JournalError, Recovery, failure, open_file

_LOGGER = logging.getLogger(__name__)
_PRUNE_ROWS = 2000
"""Deleted at once; several times what can come in between two prunings."""
_CHECKPOINT_COMMITS = 200
_CHECKPOINT_COMMITS_BUSY = 2000
_INSERT_SAMPLE = f"INSERT INTO samples VALUES ({', '.join('?' * len(SAMPLE_COLUMNS))})"  # noqa: S608 - constants
_SELECT_SAMPLES = "SELECT * FROM samples WHERE at >= ? AND at < ? ORDER BY at"
_PRUNE_SAMPLES = (
    "DELETE FROM samples WHERE rowid IN (SELECT rowid FROM samples WHERE at < ? LIMIT ?)"
)
_PRUNE_EVENTS = (
    "DELETE FROM events WHERE id IN (SELECT id FROM events "
    "WHERE id <= (SELECT MAX(id) FROM events) - ? ORDER BY id LIMIT ?)"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One point of the history; `None` where a value was not known."""

    at: float
    """Seconds since the epoch."""
    grid_w: float | None = None
    battery_w: float | None = None
    pv_w: float | None = None
    load_w: float | None = None
    limit_w: float | None = None
    commanded_w: float | None = None
    soc_percent: float | None = None
    exported_wh: float | None = None
    allowance_wh: float | None = None


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """What keeps a journal small and its disk at rest."""

    flush_samples_s: float = 5.0
    """At most one commit of samples in this time."""
    keep_samples_s: float = 48 * 3600.0
    keep_events: int = 200_000
    """By count and not by age: a clock that jumps must not erase evidence."""
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

    def __init__(self, path: Path, limits: JournalLimits) -> None:
        self.path = path
        self.created = False
        self.recovered: Recovery | None = None
        self.commits = 0
        self.samples_lost = 0
        self._limits = limits
        self._inbox: queue.SimpleQueue[Request | Sample | None] = queue.SimpleQueue()
        self._open_for_calls = True
        self._gate = threading.Lock()
        self._waiting: deque[Sample] = deque(maxlen=limits.unwritten_samples)
        self._ended_by: JournalError | None = None
        self._samples_fail = False
        self._commits_checkpointed = 0
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
                self._serve(opened.db)
                self._flush_samples(opened.db)
        except JournalError as known:
            self._ended_by = known
        except Exception as unexpected:
            _LOGGER.exception("%s: the journal's thread ended", self.path.name)
            text = f"{self.path.name}: its thread ended ({unexpected!r}); restart the agent"
            self._ended_by = JournalError("failed", text)
        finally:
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
                self._flush_samples(db)
                flush_at_s = now_s + self._limits.flush_samples_s if self._waiting else None
            self._checkpoint(db)

    def _take(self, wait_s: float | None) -> list[Request | Sample | None]:
        """Return everything in line, after waiting for the first."""
        batch: list[Request | Sample | None] = []
        with contextlib.suppress(queue.Empty):
            batch.append(self._inbox.get(timeout=wait_s))
            while True:
                batch.append(self._inbox.get_nowait())
        return batch

    def _hold(self, sample: Sample) -> None:
        if len(self._waiting) == self._waiting.maxlen:
            self.samples_lost += 1
        self._waiting.append(sample)

    def _write(self, db: sqlite3.Connection, requests: Sequence[Request]) -> None:
        """Write all of these in one transaction; if it fails, it fails for all of them."""
        if not requests:
            return
        try:
            with self._transaction(db):
                for request in requests:
                    request.answer = request.work(db)
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

    @contextlib.contextmanager
    def _transaction(self, db: sqlite3.Connection) -> Iterator[None]:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        finally:
            # A failed COMMIT may or may not have ended the transaction by itself.
            if db.in_transaction:
                db.execute("ROLLBACK")
        self.commits += 1

    def _failure(self, what: str, error: Exception) -> JournalError:
        if isinstance(error, sqlite3.Error):
            return failure(self.path, what, error)
        return JournalError("failed", f"{self.path.name} {what} ({error!r}); report this")

    def _flush_samples(self, db: sqlite3.Connection) -> None:
        """Write the waiting samples and forget what is too old; on failure they wait on."""
        if not self._waiting:
            return
        oldest_s = max(sample.at for sample in self._waiting) - self._limits.keep_samples_s
        try:
            with self._transaction(db):
                db.executemany(_INSERT_SAMPLE, [astuple(sample) for sample in self._waiting])
                db.execute(_PRUNE_SAMPLES, (oldest_s, _PRUNE_ROWS))
                db.execute(_PRUNE_EVENTS, (self._limits.keep_events, _PRUNE_ROWS))
        except sqlite3.Error as error:
            if not self._samples_fail:  # once, not every five seconds
                _LOGGER.warning("%s", failure(self.path, "could not take samples", error))
            self._samples_fail = True
        else:
            self._samples_fail = False
            self._waiting.clear()

    def _checkpoint(self, db: sqlite3.Connection) -> None:
        """Move the log into the file while nobody waits, or before it grows without end."""
        since = self.commits - self._commits_checkpointed
        enough = _CHECKPOINT_COMMITS if self._inbox.empty() else _CHECKPOINT_COMMITS_BUSY
        if since < enough:
            return
        self._commits_checkpointed = self.commits
        try:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            _LOGGER.warning("%s", failure(self.path, "could not be tidied", error))

    def samples_between(
        self, db: sqlite3.Connection, since_s: float, until_s: float
    ) -> list[Sample]:
        """Return the samples of a half-open span, oldest first, written or still waiting."""
        rows = db.execute(_SELECT_SAMPLES, (since_s, until_s))
        found = [Sample(*row) for row in rows]
        waiting = [each for each in self._waiting if since_s <= each.at < until_s]
        return sorted([*found, *waiting], key=lambda each: each.at)

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
