"""
A bounded file of blocks beside the journal: small for ever, out of backups, never worth a stop.

What is kept here may be lost where the journal must not lose: the file is synced only now and
then, the oldest blocks give way when it is full, and a damaged one is begun anew. It has a name
of its own beside the journal, so that a backup can leave it out. Everything here is plain
blocking SQLite, called only from a thread that may wait for a disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

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


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of time in bytes."""

    number: int
    """Rises; a block of the same number is replaced."""
    first_s: float
    """Seconds since the epoch of the earliest moment in it."""
    last_s: float
    data: bytes


class BlockFile:
    """The blocks of one file; made when the first is written."""

    def __init__(self, path: Path, limit_bytes: int, subject: str) -> None:
        self.path = path
        self._subject = subject
        """What begins anew when the file is damaged, for the log."""
        self._limit_bytes = limit_bytes
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; it opens again when it is needed."""
        if self._db is not None:
            db, self._db = self._db, None
            db.close()

    def put(self, blocks: Sequence[Block]) -> None:
        """
        Write blocks, all or none, and let the oldest go.

        Raises:
            JournalError: the disk did not take them.
        """
        self._do("could not take blocks", lambda: self._put(blocks))

    def newest_number(self) -> int:
        """
        Return the number of the newest block; 0 while there is none.

        Raises:
            JournalError: the file cannot be read.
        """

        def read() -> int:
            query = "SELECT COALESCE(MAX(id), 0) FROM blocks"
            return int(self._opened().execute(query).fetchone()[0])

        return self._do("could not be read", read)

    def _begun(self, newest: tuple[int, bytes] | None) -> None:
        """Take up the newest block of a file that was just opened; for those who go on filling."""

    def _put(self, blocks: Sequence[Block]) -> None:
        db = self._opened()
        query = "INSERT OR REPLACE INTO blocks (id, first_s, last_s, data) VALUES (?, ?, ?, ?)"
        with transaction(db):
            for block in blocks:
                db.execute(query, (block.number, block.first_s, block.last_s, block.data))
            self._let_go(db, blocks[-1].number)

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            db = _open(self.path)
            try:
                query = "SELECT id, data FROM blocks ORDER BY id DESC LIMIT 1"
                self._begun(db.execute(query).fetchone())
            except BaseException:
                db.close()
                raise
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
                    "%s was damaged (%s); the %s begins anew, the journal is not affected",
                    self.path.name, error, self._subject,
                )  # fmt: skip
            self._discard()
            return work()
        except sqlite3.Error as error:
            raise failure(self.path, what, error) from error

    def _discard(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.close()
        self._begun(None)
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


def _ask(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _open(path: Path) -> sqlite3.Connection:
    try:
        # Private like the journal; SQLite gives the same mode to what it puts beside.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise unopened(path, error) from error
    # No patience with another program that holds it: whoever writes here has better to do.
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
            "move the file away: nothing is kept in it until then",
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
