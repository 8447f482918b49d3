"""
How bytes come from a mirror or a folder without anything else happening.

Stock ngclient lets a stolen timestamp key stream without end, follows redirects into the local
network, waits for ever on a server that sends a byte now and then, and lets urllib3's errors
through. Here each file has a hard cap, each hop is checked against the hosts that were named, the
whole of a mirror has one budget of time, and only python-tuf's errors come out.

Source: signing.md 4.6 and N01 to N10, X01 to X05, R01, R02, A64, A65.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

import urllib3
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    SlowRetrievalError,
)
from tuf.ngclient.fetcher import FetcherInterface

from agent.firmware.trust.hosts import UrlError, check_url, next_hop, origin, shown
from agent.firmware.trust.source import Online

METADATA_CAP = 8 * 1024 * 1024
"""Bytes of one file of metadata, whatever signed metadata says of its length."""
CHUNK = 64 * 1024
_CONNECT_S = 10.0
_GAP_S = 20.0
_NOT_FOUND = 404
_OK = 200


class RedirectRefusedError(DownloadError):
    """A mirror wanted to send us where nobody said that releases come from."""


class CappedFetcher(FetcherInterface):
    """A fetcher that never takes more than a hard cap, whatever length was signed."""

    cap = METADATA_CAP

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """Do as `FetcherInterface.download_file`, with the cap and without a temporary file."""
        most = min(max_length, self.cap)
        with BytesIO() as file:
            for chunk in self.fetch(url):
                if (received := file.tell() + len(chunk)) > most:
                    raise DownloadLengthMismatchError(
                        f"Downloaded {received} bytes exceeding the maximum allowed length of "
                        f"{most}"
                    )
                file.write(chunk)
            file.seek(0)
            yield file


class GuardedFetcher(CappedFetcher):
    """
    Fetches from one mirror over https, within one budget of time.

    Close it: it holds a connection and a timer.
    """

    def __init__(self, mirror: Online, budget_s: float) -> None:
        """
        Prepare; nothing is asked yet, the budget begins now.

        Raises:
            DownloadError: the file of certificates cannot be read.
        """
        self._allowed = mirror.hosts | {origin(mirror.url)}
        self._budget = _Budget(budget_s)
        try:
            context = _WatchedContext(self._budget, mirror.cafile)
        except OSError as error:
            self._budget.close()
            raise DownloadError(
                f"The certificates {mirror.cafile} cannot be read: {error.strerror}"
            ) from error
        self._pool = urllib3.PoolManager(
            headers={"User-Agent": "pv-edge-agent", "Accept-Encoding": "identity"},
            ssl_context=context,
            retries=False,
        )

    def close(self) -> None:
        """Let go of connections and timer."""
        self._pool.clear()
        self._budget.close()

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            yield from self._chunks(url)
        except DownloadError:
            raise
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            text = f"{shown(url)}: {type(error).__name__}: {ascii(str(error))[:200]}"
            if self._budget.spent or isinstance(error, urllib3.exceptions.TimeoutError):
                raise SlowRetrievalError(f"Too slow: {text}") from error
            raise DownloadError(text) from error

    def _chunks(self, url: str) -> Iterator[bytes]:
        response = self._answer(url)
        try:
            # read() would wait for a full chunk as long as single bytes come; read1() does not.
            while chunk := response.read1(CHUNK, decode_content=False):
                self._budget.check(url)
                yield chunk
            self._budget.check(url)
        finally:
            response.close()

    def _answer(self, url: str) -> urllib3.HTTPResponse:
        """Return the last answer of the chain of redirects, its body unread."""
        try:
            here = check_url(url, self._allowed)
        except UrlError as error:
            raise DownloadError(str(error)) from error
        hops = 0
        while True:
            self._budget.check(here)
            timeout = urllib3.Timeout(connect=_CONNECT_S, read=_GAP_S)
            response = cast(
                "urllib3.HTTPResponse",
                self._pool.request(
                    "GET", here, preload_content=False, redirect=False, timeout=timeout
                ),
            )
            try:
                location = response.headers.get("Location")
                there = next_hop(here, response.status, location, hops, self._allowed)
            except UrlError as error:
                response.close()
                raise RedirectRefusedError(str(error)) from error
            if there is None:
                break
            response.close()
            here, hops = there, hops + 1
        if response.status != _OK:
            response.close()
            raise DownloadHTTPError(
                f"{shown(here)} answered with status {response.status}", response.status
            )
        return response


class FolderFetcher(CappedFetcher):
    """
    Reads the files of a bundle below one folder; addresses are paths below it.

    No symbolic link is followed: whoever made a stick must not choose what we read beside it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            handle = _open_below(self._folder, url)
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"{url} is not in the folder", _NOT_FOUND) from error
        except OSError as error:
            raise DownloadError(f"{url} cannot be read: {error.strerror}") from error
        with os.fdopen(handle, "rb") as file:
            try:
                while chunk := file.read(CHUNK):
                    yield chunk
            except OSError as error:
                raise DownloadError(f"{url} cannot be read: {error.strerror}") from error


class CacheFetcher(CappedFetcher):
    """Has what is trusted already: ngclient asks for the timestamp even where it has one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _fetch(self, url: str) -> Iterator[bytes]:
        if url == "metadata/timestamp.json":
            with suppress(OSError):
                yield (self._folder / "timestamp.json").read_bytes()
                return
        raise DownloadHTTPError(f"{url} never came, or did not verify", _NOT_FOUND)


class _Budget:
    """One deadline for everything; at its end the connections are cut, whatever they wait for."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends_s = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    @property
    def spent(self) -> bool:
        return time.monotonic() >= self._ends_s

    def check(self, url: str) -> None:
        if self.spent:
            raise SlowRetrievalError(
                f"{shown(url)} was given up: the mirror has had its {self._seconds:g} s"
            )

    def watch(self, connected: socket.socket) -> None:
        # TLS takes the descriptor away from the socket that it wraps; a duplicate still cuts it.
        with self._lock:
            self._watched.append(connected.dup())
        if self.spent:
            self._cut()

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            for each in self._watched:
                each.close()
            self._watched.clear()

    def _cut(self) -> None:
        with self._lock:
            for each in self._watched:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


class _WatchedContext(ssl.SSLContext):
    """The usual checks of certificates, and every connection under the budget."""

    _budget: _Budget

    def __new__(cls, budget: _Budget, cafile: str | None) -> _WatchedContext:  # noqa: PYI034 - 3.11
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context._budget = budget
        return context

    def __init__(self, budget: _Budget, cafile: str | None) -> None:
        super().__init__()
        if cafile is None:
            self.load_default_certs()
        else:
            self.load_verify_locations(cafile)

    def wrap_socket(self, sock: socket.socket, *args: Any, **named: Any) -> ssl.SSLSocket:
        self._budget.watch(sock)
        return super().wrap_socket(sock, *args, **named)


def _open_below(folder: Path, path: str) -> int:
    """Open a regular file; `OSError` says why not."""
    parts = path.split("/")
    decoded = path.lower()
    odd = {"", ".", ".."} & set(parts) or "\\" in path or "\0" in path
    if odd or "%2e" in decoded or "%2f" in decoded:
        raise OSError(0, "the path leaves the folder")
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(part, flags, dir_fd=handle)
            os.close(handle)
            handle = below
        # O_NONBLOCK: opening a pipe must not wait for its other end.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(parts[-1], flags, dir_fd=handle)
    except NotADirectoryError as error:
        raise OSError(error.errno, "a symbolic link or a file stands in for a folder") from error
    except FileNotFoundError:
        raise
    except OSError as error:
        if Path(folder, path).is_symlink():
            raise OSError(
                error.errno, "it is a symbolic link, which could lead anywhere"
            ) from error
        raise
    finally:
        os.close(handle)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(0, "it is no file")
    return file
