"""
The trusted metadata of one source on the disk: a whole set at any moment, whatever happens.

ngclient writes one file after the other. Between a new timestamp and the snapshot that it names
lies a set that verifies nowhere, and a connection or the power may end just there. So each carrier
works on a copy, made of hard links; when all of it has been verified it is brought to the disk and
takes the place of the old set in one step, the renaming of a link. A copy that was not finished
is swept away at the next start.

    lock  floor.json  current -> set-x3f9/  documents/<sha256>
    set-x3f9/: timestamp.json snapshot.json targets.json stable.json … root_history/1.root.json …

Signed documents (channels, halts, manifests) lie beside it under their digest, and are hashed
each time they are read.

Source: signing.md X07 to X09, P04; python-tuf ngclient (one client per folder).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from os.path import samestat
from pathlib import Path

from agent.private_file import sync

_LINK, _NEXT, _LOCK, _DOCUMENTS = "current", "current.next", "lock", "documents"
_SET = "set-"
_PRIVATE = 0o700


class Store:
    """The folder of one source; everything but the constructor under its lock."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._documents = place / _DOCUMENTS
        self._unsettled: dict[str, bytes] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Be the only one at this folder, after whoever is there now; tidy up what he left.

        Raises:
            OSError: the folder cannot be made or locked.
        """
        self._place.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        handle = os.open(self._place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # On a full or read-only disk what is there can still be used.
            with suppress(OSError):
                self._tidy()
            yield
        finally:
            os.close(handle)

    def current(self) -> Path | None:
        """Return the folder of the trusted set, `None` before the first."""
        try:
            name = (self._place / _LINK).readlink().name
        except OSError:
            return None
        found = self._place / name
        return found if name.startswith(_SET) and found.is_dir() else None

    @contextmanager
    def copy(self, *, aside: bool = False) -> Iterator[Path]:
        """
        Give a copy of the trusted set to work in; gone afterwards unless it was committed.

        Args:
            aside: in the system's folder for temporary files, for a disk that takes no more; such a
                copy cannot be committed.

        Raises:
            OSError: there is no room.
        """
        work = self._copied(None if aside else self._place)
        try:
            yield work
        finally:
            if work != self.current():
                shutil.rmtree(work, ignore_errors=True)

    def commit(self, work: Path) -> None:
        """
        Make a copy the trusted set, unless it is the same; settle the documents before.

        Raises:
            OSError: the old set stays.
        """
        self.settle()
        old = self.current()
        before = _files(old) if old else {}
        after = _files(work)
        new = {it for it in after if it not in before or not samestat(after[it], before[it])}
        if old and before.keys() == after.keys() and all(_same(old / it, work / it) for it in new):
            return
        for name in new:
            sync(work / name)
        for folder in {(work / name).parent for name in after} | {work}:
            sync(folder)
        (self._place / _NEXT).unlink(missing_ok=True)
        (self._place / _NEXT).symlink_to(work.name)
        (self._place / _NEXT).replace(self._place / _LINK)
        sync(self._place)
        if old:
            shutil.rmtree(old, ignore_errors=True)

    def document(self, sha256: str) -> bytes | None:
        """Return a kept document if it is still what its digest says."""
        if sha256 in self._unsettled:
            return self._unsettled[sha256]
        try:
            data = (self._documents / sha256).read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).hexdigest() == sha256 else None

    def keep(self, sha256: str, data: bytes) -> None:
        """Keep a verified document, in memory until all that belongs together is settled."""
        self._unsettled[sha256] = data

    def settle(self) -> None:
        """
        Bring the documents that were kept to the disk.

        Raises:
            OSError: some are not there; they are still kept in memory.
        """
        if not self._unsettled:
            return
        self._documents.mkdir(mode=_PRIVATE, exist_ok=True)
        for sha256, data in self._unsettled.items():
            _write(self._documents / sha256, data)
        sync(self._documents)
        self._unsettled.clear()

    def forget_documents(self, but: Collection[str]) -> None:
        """Remove the documents that nothing names any more."""
        with suppress(OSError):
            for path in self._documents.iterdir():
                if path.name not in but:
                    path.unlink()

    def _copied(self, parent: Path | None) -> Path:
        work = Path(tempfile.mkdtemp(prefix=_SET, dir=parent))
        old = self.current()
        try:
            (work / "root_history").mkdir()
            for name in _files(old) if old else ():
                # Linking would keep a file that cannot be opened out of the way of a new one.
                with suppress(PermissionError):
                    _link(f"{old}/{name}", f"{work}/{name}")
        except OSError:
            shutil.rmtree(work, ignore_errors=True)
            raise
        return work

    def _tidy(self) -> None:
        if self._place.stat().st_mode & 0o077:
            self._place.chmod(_PRIVATE)
        now = self.current()
        for path in self._place.glob(f"{_SET}*"):
            if path != now:
                shutil.rmtree(path, ignore_errors=True)
        (self._place / _NEXT).unlink(missing_ok=True)


def _files(folder: Path) -> dict[str, os.stat_result]:
    """Return the real files of a set; the link root.json is made anew by whoever opens it."""
    found = {}
    for below in ("", "root_history/"):
        with suppress(FileNotFoundError), os.scandir(folder / below) as entries:
            for it in entries:
                if it.name.endswith(".json") and it.is_file(follow_symlinks=False):
                    found[below + it.name] = it.stat(follow_symlinks=False)
    return found


def _link(old: str, new: str) -> None:
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() == other.read_bytes()
    except OSError:
        return False


def _write(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
