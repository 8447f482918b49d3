"""
What a backup copies while the agent writes fits together.

Whoever copies a database of SQLite and its write-ahead log one after the other gets a sound pair as
long as nothing is moved from the log into the file meanwhile: the file stands still then, the log
only grows, and each commit in it ends with a checksum. So the journal moves nothing while a backup
runs. `begin` and `end` are called before and after it by whoever copies, in a process of their own;
a backup that never ends is forgotten after an hour.

Source: sqlite.org, "Write-Ahead Logging" and "How To Corrupt An SQLite Database File", 1.2.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_NAME = "backup.lock"
LONGEST_S = 3600.0


def begin(data_dir: Path) -> None:
    """
    Return when nothing is moved in this directory's journal any more, for an hour at most.

    Raises:
        OSError: it cannot be said here; a backup may not begin.
    """
    with _locked(data_dir) as handle:
        _write(handle, f"{int(time.time() + LONGEST_S)}\n")


def end(data_dir: Path) -> None:
    """
    Let the journal tidy up again.

    Raises:
        OSError: it cannot be said here; within an hour it does so by itself.
    """
    with _locked(data_dir) as handle:
        _write(handle, "")


@contextmanager
def between_backups(data_dir: Path) -> Iterator[bool]:
    """
    Give whether no backup runs; none begins before the block is over.

    Raises:
        OSError: nobody can say it here.
    """
    with _locked(data_dir) as handle:
        text = os.pread(handle, 32, 0).decode(errors="replace").strip()
        left_s = float(text) - time.time() if text.isdecimal() else 0.0
        # More than an hour is a clock that was set back, or a file out of a backup.
        yield not 0 < left_s <= LONGEST_S


@contextmanager
def _locked(data_dir: Path) -> Iterator[int]:
    handle = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _write(handle: int, text: str) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)
