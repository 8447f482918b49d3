"""
One folder takes the place of another in a single step.

A publication changes many files, and a client that reads half of them would refuse the rest. Linux
and macOS can exchange two folders at once. Where the file system cannot, two renames do it, and
`repair` brings to an end what a crash left between them.

Source: rename(2), RENAME_EXCHANGE; macOS renamex_np(2), RENAME_SWAP.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path

from agent.private_file import sync

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_RENAME_SWAP = 2


def beside(path: Path) -> Path:
    """Return where the next state of a folder is built: on the same file system, out of sight."""
    return path.with_name(f".{path.name}.next")


def swap_in(path: Path) -> None:
    """
    Put the folder that was built beside in the place of this one, and remove the old one.

    Raises:
        OSError: the old one is in its place still.
    """
    new = beside(path)
    for written in (*new.rglob("*"), new):
        # A linked file is that of the old folder, which is on the disk already.
        if written.is_dir() or written.stat().st_nlink == 1:
            sync(written)
    if path.exists():
        if not _exchanged(new, path):
            old = _old(path)
            path.rename(old)
            new.rename(path)
            new = old
    else:
        new.rename(path)
    sync(path.parent)
    shutil.rmtree(new, ignore_errors=True)


def repair(path: Path) -> None:
    """Finish two renames of which only the first was done; otherwise do nothing."""
    if not path.exists() and _old(path).exists() and beside(path).exists():
        beside(path).rename(path)
        shutil.rmtree(_old(path), ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders at once; return False where that cannot be done."""
    library = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "darwin":
            return int(library.renamex_np(first, second, _RENAME_SWAP)) == 0
        return int(library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE)) == 0
    except AttributeError:
        return False


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")
