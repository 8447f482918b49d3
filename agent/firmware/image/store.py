"""
Keeps images under the hash of their content, so that a file can be right or absent, never wrong.

What is read is hashed as it is read, and those very bytes are handed out: nobody can change the
file between the check and the flash, and a disk that forgets is noticed. A file becomes visible
by its last rename only. The oldest go first when room is needed, but never what a bridge runs,
what it ran before, or what the app brought along: that is the way back when the internet is gone.

Blocking: call it in a thread. Processes may share a folder.

Source: signing.md 4.10, B03, B07 and X10.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.private_file import sync

MAX_IMAGE = 32 << 20
"""Bytes; more than any chip of ours has room for in a slot."""
DEFAULT_LIMIT = 256 << 20
STALE_PART_S = 7 * 24 * 3600
"""After that, a download that was broken off is not continued."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PRIVATE = 0o600


class StoreError(Exception):
    """The disk refused; its text says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Blob:
    """One file that is kept."""

    digest: str
    size: int
    """Bytes."""
    used: float
    """Seconds of the wall clock at its last use."""


def to_evict(
    blobs: Iterable[Blob], pinned: Collection[str], limit: int, room: int
) -> tuple[str, ...]:
    """
    Return the digests to let go so that `room` bytes fit below the limit, the longest unused first.

    What is pinned stays, also where that leaves more than the limit.
    """
    kept = list(blobs)
    excess = sum(it.size for it in kept) + room - limit
    gone = []
    for blob in sorted(kept, key=lambda it: (it.used, it.digest)):
        if excess <= 0:
            break
        if blob.digest not in pinned:
            gone.append(blob.digest)
            excess -= blob.size
    return tuple(gone)


class Part:
    """A download that is under way, held by one process at a time; close it in any case."""

    def __init__(self, descriptor: int, path: Path) -> None:
        # A file object, as it closes itself and so gives up the claim, whoever forgets it.
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        self._descriptor = descriptor
        self._path = path
        self.size = os.fstat(descriptor).st_size
        """Bytes that are there."""

    def claim(self) -> bool:
        """Return whether it is ours now; another process may hold it, or has just finished it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            about = os.fstat(self._descriptor)
            self.size = about.st_size
            return self._path.stat().st_ino == about.st_ino
        except OSError:
            return False

    def append(self, data: bytes) -> None:
        """
        Add bytes at the end.

        Raises:
            StoreError: the disk took not all of them.
        """
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._descriptor, view, self.size)
                self.size += written
                view = view[written:]
        except OSError as error:
            raise _refused(error, self._path) from error

    def restart(self) -> None:
        """Forget all bytes."""
        os.ftruncate(self._descriptor, 0)
        self.size = 0

    def read(self) -> bytes:
        """Return all bytes."""
        return b"".join(_read_all(self._descriptor))

    def publish(self, target: Path) -> None:
        """
        Give the file its name, after its bytes are on the disk.

        Raises:
            StoreError: it was not done.
        """
        try:
            os.fsync(self._descriptor)
            self._path.rename(target)
            sync(target.parent)
        except OSError as error:
            raise _refused(error, target) from error

    def discard(self) -> None:
        """Remove it; what was not published is gone."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let others have it."""
        self._file.close()


class BlobStore:
    """The images under one folder: `sha256/ab/ab12…`."""

    def __init__(self, folder: Path, *, limit: int = DEFAULT_LIMIT) -> None:
        self._root = folder / "sha256"
        self._limit = limit

    def path(self, digest: str) -> Path:
        """
        Return where a file with this SHA-256 is kept.

        Raises:
            ValueError: no digest in lower-case hexadecimal.
        """
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is no SHA-256 in lower-case hexadecimal")
        return self._root / digest[:2] / digest

    def read(self, digest: str) -> bytes | None:
        """
        Return the bytes that have this hash, `None` if they are not here.

        A file that no longer has its hash is removed: it counts as not here.

        Raises:
            StoreError: the file is here and cannot be read.
        """
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(error, path) from error
        if hashlib.sha256(data).hexdigest() != digest:
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return data

    def add(self, data: bytes, *, pinned: Collection[str] = ()) -> str:
        """
        Keep the bytes and return their SHA-256.

        Raises:
            StoreError: the disk refused, or they are more than an image may have.
        """
        digest = hashlib.sha256(data).hexdigest()
        if self.read(digest) is None:
            self.make_room(len(data), {*pinned, digest})
            path = self.path(digest)
            part = self._open(path.with_name(f"{digest}.{secrets.token_hex(4)}.part"))
            try:
                part.append(data)
                part.publish(path)
            except StoreError:
                part.discard()
                raise
            finally:
                part.close()
        return digest

    def claim(self, digest: str) -> Part | None:
        """
        Return what was downloaded of it so far, or `None` while another process is at it.

        Raises:
            StoreError: the disk refused.
        """
        part = self._open(self.path(digest).with_name(f"{digest}.part"))
        if part.claim():
            return part
        part.close()
        return None

    def settle(self, digest: str, part: Part) -> bytes | None:
        """
        Make a complete download visible and return its bytes; `None` if its hash is another.

        Raises:
            StoreError: the disk refused.
        """
        data = part.read()
        if hashlib.sha256(data).hexdigest() != digest:
            part.restart()
            return None
        part.publish(self.path(digest))
        return data

    def make_room(self, size: int, pinned: Collection[str] = ()) -> None:
        """
        Let the longest unused go until so many bytes fit, and downloads that nobody continued.

        Raises:
            StoreError: more than an image may have.
        """
        if size > MAX_IMAGE:
            raise StoreError(
                f"The image has {size} bytes; no image of more than {MAX_IMAGE} is kept. Build a "
                "smaller one."
            )
        for digest in to_evict(self.blobs(), pinned, self._limit, size):
            self.path(digest).unlink(missing_ok=True)
        for part in self._root.glob("??/*.part"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > STALE_PART_S:
                    part.unlink()

    def blobs(self) -> list[Blob]:
        """Return what is kept."""
        found = []
        for path in self._root.glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                if _DIGEST.fullmatch(path.name):
                    about = path.stat()
                    found.append(Blob(path.name, about.st_size, about.st_mtime))
        return found

    def _open(self, path: Path) -> Part:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return Part(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE), path)
        except OSError as error:
            raise _refused(error, path) from error


def _read_all(descriptor: int) -> Iterable[bytes]:
    at = 0
    while piece := os.pread(descriptor, 1 << 20, at):
        at += len(piece)
        yield piece


def _refused(error: OSError, path: Path) -> StoreError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return StoreError(
            f"The disk has no room for {path.name[:12]}… ({error.strerror}). Nothing of it is "
            "kept; free some space and try again."
        )
    return StoreError(
        f"The disk did not take or give {path.name[:12]}… ({error.strerror}). Check the disk and "
        "the rights of the data folder."
    )
