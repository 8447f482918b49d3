"""
A journal's file: opened whole, or set aside and said so.

Everything here is plain blocking SQLite, called only from the journal's own thread. A new file
is built beside its place and moved there when complete, so a file that is there but holds no
journal was damaged. A damaged file is never repaired in place: it is kept under another name,
its place is taken by a fresh one, and whoever asks learns that state was lost.

Source: sqlite.org, "Write-Ahead Logging" and "How To Corrupt An SQLite Database File".
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from agent.private_file import sync

RECOVERED_KIND = "journal_recovered"
"""Kind of the first event of a journal that replaces a damaged one."""
LOSS_ACCEPTED_KIND = "journal_loss_accepted"
"""Kind of the event by which the owner of the lost state says that it has assumed the worst."""
INSERT_EVENT = "INSERT INTO events (at_s, at, kind, data) VALUES (?, ?, ?, ?)"
PAGE_BYTES = 1024
"""A commit writes whole pages: with the usual 4096 a kilobyte of record costs 20 on disk."""

_CREATE_EVENTS = """CREATE TABLE events (
    id INTEGER PRIMARY KEY, at_s REAL NOT NULL, at TEXT NOT NULL,
    kind TEXT NOT NULL, data TEXT NOT NULL)"""
_CREATE_STATES = """CREATE TABLE states (
    name TEXT PRIMARY KEY, at TEXT NOT NULL, data TEXT NOT NULL) WITHOUT ROWID"""

_CREATE_SAMPLES_ONCE = """CREATE TABLE samples (
    at REAL, grid_w REAL, battery_w REAL, pv_w REAL, load_w REAL, limit_w REAL, commanded_w REAL,
    soc_percent REAL, exported_wh REAL, allowance_wh REAL)"""
_CREATE_MARKS = """CREATE TABLE marks (
    lived_s INTEGER PRIMARY KEY, last_id INTEGER NOT NULL, latest_s REAL)"""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        _CREATE_EVENTS,
        "CREATE INDEX events_at ON events (at_s)",
        "CREATE INDEX events_kind ON events (kind, id)",
        _CREATE_STATES,
        _CREATE_SAMPLES_ONCE,
        "CREATE INDEX samples_at ON samples (at)",
    ),
    (
        # The history has a file of its own; what an old version kept of it is not worth moving.
        "DROP TABLE samples",
        # Marks find a time without an index that every event would have to be written to.
        "DROP INDEX events_at",
        _CREATE_MARKS,
        # With a rowid, a state lies in the pages of a table, and replacing it touches no others.
        "ALTER TABLE states RENAME TO states_before",
        "CREATE TABLE states (name TEXT PRIMARY KEY, at TEXT NOT NULL, data TEXT NOT NULL)",
        "INSERT INTO states SELECT name, at, data FROM states_before",
        "DROP TABLE states_before",
    ),
)
"""Statements that lead from each schema version to the next; append, never edit."""

SCHEMA_VERSION = len(MIGRATIONS)
SIDECARS = ("-wal", "-shm")
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_ADVICE = {
    sqlite3.SQLITE_FULL: ("full", "free space on the data disk"),
    sqlite3.SQLITE_READONLY: ("readonly", "make the data directory writable"),
    sqlite3.SQLITE_CANTOPEN: ("readonly", "make the data directory writable"),
    sqlite3.SQLITE_PERM: ("readonly", "make the data directory writable"),
    sqlite3.SQLITE_IOERR: ("io", "check the data disk: it is full or failing"),
    sqlite3.SQLITE_BUSY: ("busy", "close the other program that writes this file"),
    sqlite3.SQLITE_CORRUPT: ("damaged", "restart the agent, which keeps the file aside"),
    sqlite3.SQLITE_NOTADB: ("damaged", "restart the agent, which keeps the file aside"),
}


class JournalError(Exception):
    """The journal could not do what was asked; nothing of it was recorded."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        """Stable: `full`, `readonly`, `io`, `busy`, `damaged`, `newer`, `closed` or `failed`."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """A damaged journal was set aside: whoever relies on its state must assume the worst."""

    kept_as: str
    reason: str


@dataclass(frozen=True, slots=True)
class Opened:
    """An open journal and how it was found."""

    db: sqlite3.Connection
    created: bool
    """True when the file was made just now, be it the first start or after damage."""
    recovery: Recovery | None


class _DamagedError(Exception):
    """The file holds no whole journal; the text says what is wrong with it."""


def open_file(path: Path, patience_s: float) -> Opened:
    """
    Open the journal, or set a damaged one aside and open a fresh one.

    The loss is reported at each start until it is accepted by an event of that kind, also if the
    agent dies half-way through the recovery.

    Raises:
        JournalError: neither is possible, or a newer version wrote the file.
    """
    try:
        try:
            lost = _lost_before(path)
            if path.exists():
                db = _existing(path, patience_s)
                return Opened(db, created=False, recovery=_unanswered(db))
        except _DamagedError as error:
            lost = Recovery(_set_aside(path), str(error))
        _build(path, lost)
        return Opened(_existing(path, patience_s), created=True, recovery=lost)
    except _DamagedError as error:
        raise JournalError(
            "failed", f"{path.name}: a fresh journal is damaged too ({error}); check the data disk"
        ) from error
    except sqlite3.Error as error:
        raise failure(path, "could not be opened", error) from error
    except OSError as error:
        raise unopened(path, error) from error


def _lost_before(path: Path) -> Recovery | None:
    """Return what happened to a journal whose place is empty although there was one."""
    if path.exists():
        return None
    if any(beside(path, ending).exists() for ending in SIDECARS):
        raise _DamagedError("the main file is gone, its write-ahead log is not")
    kept = sorted(each.name for each in path.parent.glob(f"{path.name}.broken-*"))
    return Recovery(kept[-1], "an earlier recovery was cut short") if kept else None


def _unanswered(db: sqlite3.Connection) -> Recovery | None:
    """Return the recovery of an earlier start, if nobody has accepted the loss since."""
    row = db.execute(
        "SELECT kind, data FROM events WHERE kind IN (?, ?) ORDER BY id DESC LIMIT 1",
        (RECOVERED_KIND, LOSS_ACCEPTED_KIND),
    ).fetchone()
    return Recovery(**json.loads(row[1])) if row and row[0] == RECOVERED_KIND else None


def failure(path: Path, what: str, error: sqlite3.Error) -> JournalError:
    """Return what happened, to which file, and what to do next."""
    code, advice = _ADVICE.get(_primary(error), ("failed", "check the data disk"))
    return JournalError(code, f"{path.name} {what} ({error}); {advice}")


def unopened(path: Path, error: OSError) -> JournalError:
    """Return that the system refused the file."""
    return JournalError(
        "readonly",
        f"{path.name} could not be opened ({error.strerror}); make the data directory writable",
    )


def is_damage(error: BaseException) -> bool:
    """Return True when it is the file that is broken, and not the disk that refuses it."""
    return isinstance(error, sqlite3.DatabaseError) and _primary(error) in _DAMAGED


def _primary(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def beside(path: Path, ending: str) -> Path:
    """Return the path with something added to its name."""
    return path.with_name(path.name + ending)


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Do all of it or none of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        # A failed COMMIT may or may not have ended the transaction by itself.
        if db.in_transaction:
            db.execute("ROLLBACK")


def _existing(path: Path, patience_s: float) -> sqlite3.Connection:
    if path.stat().st_size == 0:
        # SQLite would take an emptied file for a new database and start over without a word.
        raise _DamagedError("the file is empty")
    db = _connect(path, patience_s)
    try:
        _migrate(db, _checked_version(path, db))
    except BaseException as error:
        db.close()
        if is_damage(error):
            raise _DamagedError(str(error)) from error
        raise
    return db


def _checked_version(path: Path, db: sqlite3.Connection) -> int:
    # Reading also finishes the recovery of a log that a crash left behind.
    problems = [str(row[0]) for row in db.execute("PRAGMA integrity_check(3)")]
    if problems != ["ok"]:
        raise _DamagedError("; ".join(problems))
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version == 0:
        raise _DamagedError("the file holds no journal")
    if version > SCHEMA_VERSION:
        raise JournalError(
            "newer",
            f"{path.name} was written by a newer version of the agent (schema {version}, this "
            f"one knows {SCHEMA_VERSION}); update the agent, or move the file away",
        )
    return version


def _connect(path: Path, patience_s: float) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=patience_s, isolation_level=None)
    try:
        db.execute(f"PRAGMA page_size={PAGE_BYTES}")  # of a new file; others keep theirs
        db.execute("PRAGMA journal_mode=WAL")
        # An acknowledged write must survive a power cut, not only the death of the process.
        db.execute("PRAGMA synchronous=FULL")
        # Checkpoints sync the main file too; the journal makes them while nobody waits.
        db.execute("PRAGMA wal_autocheckpoint=0")
    except sqlite3.DatabaseError as error:
        db.close()
        if is_damage(error):
            raise _DamagedError(str(error)) from error
        raise
    return db


def _build(path: Path, lost: Recovery | None) -> None:
    """Make a journal beside its place and move it there when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = beside(path, ".new")
    for leftover in (new, *(beside(new, ending) for ending in SIDECARS)):
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    db = _connect(new, 0)
    try:
        _migrate(db, 0)
        if lost:
            now = datetime.now().astimezone()
            row = (now.timestamp(), now.isoformat(), RECOVERED_KIND, json.dumps(asdict(lost)))
            db.execute(INSERT_EVENT, row)
    finally:
        db.close()  # the last connection moves the log into the file
    new.replace(path)
    sync(path.parent)


def _migrate(db: sqlite3.Connection, version: int) -> None:
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        with transaction(db):
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number:d}")


def _set_aside(path: Path) -> str:
    """Move the file and its log out of the way; the log may hold what the file has lost."""
    kept = next(
        name for n in count(1) if not (name := beside(path, f".broken-{n}")).exists()
        and not any(beside(name, ending).exists() for ending in SIDECARS)
    )  # fmt: skip
    for ending in ("", *SIDECARS):
        source = beside(path, ending)
        if source.exists():
            source.rename(beside(kept, ending))
    sync(path.parent)
    return kept.name
