"""
The history's own file: small for ever, out of backups, and never worth a stop.

Samples are a convenience, so their file may lose what the journal must not: it is synced only
now and then, the oldest blocks give way when it is full, and a damaged one is begun anew. It
stands beside the journal under its own name so that a backup can leave it out. Everything here
is plain blocking SQLite, called only from the journal's own thread.

The block that is being filled is written again at each flush; a killed process loses what was
noted since, a power cut also what the system had not yet written.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from agent.journal_codec import Sample, decode, encode
from agent.journal_file import (
    PAGE_BYTES,
    SIDECARS,
    JournalError,
    beside,
    failure,
    is_damage,
    transaction,
    unopened,
)

SAMPLES_NAME = "samples.sqlite3"
"""Name of the file, beside the journal; a backup leaves out this and what begins with it."""
POINTS_PER_BLOCK = 720
"""An hour at one point every five seconds."""

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")
_SCHEMA_VERSION = 1
_CREATE_BLOCKS = """CREATE TABLE blocks (
    id INTEGER PRIMARY KEY, first_s REAL NOT NULL, last_s REAL NOT NULL, data BLOB NOT NULL)"""
_CREATE = (
    _CREATE_BLOCKS,
    "CREATE INDEX blocks_span ON blocks (last_s, first_s)",
    f"PRAGMA user_version = {_SCHEMA_VERSION:d}",
)
_LOG_PAGES = 256
_LOG_AND_SLACK_BYTES = 1_000_000
"""Of the bound, what the log and one more block may take."""


class SampleFile:
    """The blocks of one history; made when the first is written."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self.path = path
        self._limit_bytes = limit_bytes
        self._db: sqlite3.Connection | None = None
        self._filling = 1
        """Id of the block that is being filled."""
        self._points: list[Sample] = []
        """What is written of it."""

    def add(self, samples: Sequence[Sample]) -> None:
        """
        Write samples that are `rounded`, all or none, and let the oldest blocks go.

        Raises:
            JournalError: the disk did not take them.
        """

        def write() -> None:
            db = self._opened()
            number, points = self._filling, [*self._points, *samples]
            with transaction(db):
                _put(db, number, points[:POINTS_PER_BLOCK])
                while len(points) >= POINTS_PER_BLOCK:
                    number, points = number + 1, points[POINTS_PER_BLOCK:]
                    if points:
                        _put(db, number, points[:POINTS_PER_BLOCK])
                self._let_go(db, number)
            self._filling, self._points = number, points

        if samples:
            self._do("could not take samples", write)

    def span(self, since_s: float, until_s: float) -> tuple[list[int], list[Sample]]:
        """
        Return where the samples of a half-open span are: full blocks, and the points after them.

        Raises:
            JournalError: the file cannot be read.
        """

        def read() -> list[int]:
            if self._db is None and not self.path.exists():
                return []
            query = "SELECT id FROM blocks WHERE last_s >= ? AND first_s < ? AND id < ? ORDER BY id"
            db = self._opened()
            return [row[0] for row in db.execute(query, (since_s, until_s, self._filling))]

        blocks = self._do("could not be read", read)
        return blocks, _within(self._points, since_s, until_s)

    def block(self, number: int, since_s: float, until_s: float) -> list[Sample]:
        """
        Return the samples of a block that lie in the span; none if it was let go or is torn.

        Raises:
            JournalError: the file cannot be read.
        """

        def read() -> list[Sample]:
            query = "SELECT data FROM blocks WHERE id = ?"
            rows = self._opened().execute(query, (number,)).fetchall()
            return self._decoded(rows[0][0]) if rows else []

        return _within(self._do("could not be read", read), since_s, until_s)

    def close(self) -> None:
        """Close the file; it opens again when it is needed."""
        if self._db is not None:
            db, self._db = self._db, None
            db.close()

    def _decoded(self, data: bytes) -> list[Sample]:
        try:
            return decode(data)
        except ValueError as error:
            _LOGGER.warning("%s: %s; it is left out", self.path.name, error)
            return []

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            db = _open(self.path)
            try:
                newest = db.execute(
                    "SELECT id, data FROM blocks ORDER BY id DESC LIMIT 1"
                ).fetchone()
                number, data = newest or (1, encode([]))
                points = self._decoded(data)
            except BaseException:
                db.close()
                raise
            full = len(points) >= POINTS_PER_BLOCK or (newest and not points)
            self._filling, self._points = (number + 1, []) if full else (number, points)
            self._db = db
        return self._db

    def _do(self, what: str, work: Callable[[], _T]) -> _T:
        try:
            try:
                return work()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                _LOGGER.warning(
                    "%s was damaged (%s); the history begins anew, the journal is not affected",
                    self.path.name, error,
                )  # fmt: skip
            self._discard()
            return work()
        except sqlite3.Error as error:
            raise failure(self.path, what, error) from error

    def _discard(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.close()
        self._filling, self._points = 1, []
        try:
            for ending in ("", *SIDECARS):
                beside(self.path, ending).unlink(missing_ok=True)
        except OSError as error:
            raise unopened(self.path, error) from error

    def _let_go(self, db: sqlite3.Connection, newest: int) -> None:
        """Delete the oldest blocks, by their place and not by their time: clocks jump."""
        limit_pages = (self._limit_bytes - _LOG_AND_SLACK_BYTES) // _ask(db, "page_size")
        while _ask(db, "page_count") - _ask(db, "freelist_count") > limit_pages:
            gone = db.execute(
                "DELETE FROM blocks WHERE id = (SELECT MIN(id) FROM blocks) AND id < ?", (newest,)
            )
            if not gone.rowcount:
                break


def _within(samples: Sequence[Sample], since_s: float, until_s: float) -> list[Sample]:
    return [each for each in samples if since_s <= each.at < until_s]


def _put(db: sqlite3.Connection, number: int, points: Sequence[Sample]) -> None:
    times = [point.at for point in points]
    db.execute(
        "INSERT OR REPLACE INTO blocks (id, first_s, last_s, data) VALUES (?, ?, ?, ?)",
        (number, min(times), max(times), encode(points)),
    )


def _ask(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _open(path: Path) -> sqlite3.Connection:
    try:
        # Private like the journal; SQLite gives the same mode to what it puts beside.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise unopened(path, error) from error
    # No patience with another program that holds it: the journal's thread has better to do.
    db = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        for statement in _settings():
            db.execute(statement).fetchall()
        _build_or_refuse(path, db)
    except BaseException:
        db.close()
        raise
    return db


def _build_or_refuse(path: Path, db: sqlite3.Connection) -> None:
    version = _ask(db, "user_version")
    if version > _SCHEMA_VERSION:
        raise JournalError(
            "newer",
            f"{path.name} was written by a newer version of the agent; update the agent, or "
            "move the file away: no history is kept until then",
        )
    if version == 0:
        with transaction(db):
            for statement in _CREATE:
                db.execute(statement)


def _settings() -> Iterator[str]:
    yield f"PRAGMA page_size={PAGE_BYTES}"
    yield "PRAGMA journal_mode=WAL"
    # Not synced at each commit: a chart is worth less than the life of an SD card.
    yield "PRAGMA synchronous=NORMAL"
    yield f"PRAGMA wal_autocheckpoint={_LOG_PAGES}"
    yield f"PRAGMA journal_size_limit={_LOG_PAGES * PAGE_BYTES}"
