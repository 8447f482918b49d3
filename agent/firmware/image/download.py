"""
Fetches an image by its signed hash and length, from whichever mirror gives the right bytes.

Mirrors are not trusted with anything: a longer body is cut off, another body is thrown away, and
the next mirror is asked. What a broken connection delivered is kept and continued with Range. A
hundred bridges that want the same image at once cost one download, which ends for all of them at
the same moment. Content is asked for as it is, never packed.

Source: signing.md 4.10 and B01 to B06; RFC 9110, section 14.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import aiohttp

from agent.firmware.image.store import MAX_IMAGE, BlobStore, Part, StoreError
from agent.firmware.trust.hosts import UrlError, check_url, next_hop, shown

_T = TypeVar("_T")

TOTAL_S = 300.0
SILENT_S = 30.0
TRIES = 4
"""Requests to one mirror for one image, before the next mirror is asked."""
CHUNK = 64 * 1024
_OTHER_PROCESS_S = 0.2
_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416
_CONTENT_RANGE = re.compile(r"bytes (\d{1,12})-(\d{1,12})/(\d{1,12}|\*)")


class DownloadError(Exception):
    """The image was not to be had; its text says what each mirror answered."""


class _MirrorError(Exception):
    """This mirror does not have it; the next may."""


class _BrokenOffError(Exception):
    """The connection ended early; it may be continued."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is fetched, as a signed manifest says."""

    digest: str
    """SHA-256 in lower-case hexadecimal."""
    size: int
    """Bytes."""
    urls: tuple[str, ...]
    """Mirrors, in the order in which they are asked."""


def begins_at(status: int, content_range: str | None, have: int, size: int) -> int:
    """
    Return at which byte of the file the body of an answer begins.

    Args:
        status: of the answer.
        content_range: its header, `None` without one.
        have: bytes that we have and asked it to continue after.
        size: bytes of the whole file.

    Raises:
        ValueError: the answer is no part of such a file; its text says why.
    """
    if status == _OK:
        return 0
    if status != _PARTIAL:
        raise ValueError(f"it answered {status}")
    match = _CONTENT_RANGE.fullmatch(content_range or "")
    if match is None or int(match[1]) != have or match[3] not in {"*", str(size)}:
        raise ValueError("it continued another file or at another place")
    return have


class Downloader:
    """
    Downloads into a store while its block is open.

    `allowed_hosts` is what `check_url` takes, for mirrors and for where they redirect to.
    """

    def __init__(
        self,
        store: BlobStore,
        allowed_hosts: Collection[str],
        *,
        tls: ssl.SSLContext | None = None,
        total_s: float = TOTAL_S,
        silent_s: float = SILENT_S,
    ) -> None:
        self._store = store
        self._hosts = frozenset(allowed_hosts)
        self._tls = tls
        self._total_s = total_s
        self._silent_s = silent_s
        self._under_way: dict[str, asyncio.Task[bytes]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _at: TracebackType | None,
    ) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, wanted: Wanted, *, pinned: Collection[str] = ()) -> bytes:
        """
        Return the bytes, from the store or from the first mirror that has them.

        Flash these bytes: the file may change after this. `pinned` is what must stay in the store.

        Raises:
            DownloadError: no mirror gave them in time.
            StoreError: the disk refused.
        """
        task = self._under_way.get(wanted.digest)
        if task is None:
            task = asyncio.create_task(
                self._get(wanted, pinned), name=f"image {wanted.digest[:12]}"
            )
            self._under_way[wanted.digest] = task
            task.add_done_callback(lambda done: self._ended(wanted.digest, done))
        # Whoever asked first may give up; the others still wait for the same bytes.
        data = await asyncio.shield(task)
        if len(data) != wanted.size:
            raise DownloadError(
                f"The image {wanted.digest[:12]}… has {len(data)} bytes and its manifest says "
                f"{wanted.size}. It was not used; report it to the publisher."
            )
        return data

    def _ended(self, digest: str, task: asyncio.Task[bytes]) -> None:
        self._under_way.pop(digest, None)
        if not task.cancelled():
            task.exception()

    async def _get(self, wanted: Wanted, pinned: Collection[str]) -> bytes:
        here = await asyncio.to_thread(self._store.read, wanted.digest)
        if here is not None:
            return here
        if not 0 < wanted.size <= MAX_IMAGE:
            raise DownloadError(
                f"The image {wanted.digest[:12]}… is said to have {wanted.size} bytes; only 1 to "
                f"{MAX_IMAGE} are fetched. Report it to the publisher."
            )
        told: list[str] = []
        data = None
        try:
            async with asyncio.timeout(self._total_s):
                data = await self._fetch(wanted, pinned, told)
        except TimeoutError:
            told.append(f"not all was there after {self._total_s:g} s, and what came is kept")
        if data is None:
            raise DownloadError(
                f"The image {wanted.digest[:12]}… could not be fetched: "
                f"{'; '.join(told) or 'no mirror is known'}. Try again later, or bring the file."
            )
        return data

    async def _fetch(
        self, wanted: Wanted, pinned: Collection[str], told: list[str]
    ) -> bytes | None:
        """Ask the mirrors while no other process does; else wait for what that one gets."""
        while (part := await _undisturbed(self._store.claim, wanted.digest)) is None:
            await asyncio.sleep(_OTHER_PROCESS_S)
            here = await asyncio.to_thread(self._store.read, wanted.digest)
            if here is not None:
                return here
        with contextlib.closing(part):
            try:
                keep = {*pinned, wanted.digest}
                await _undisturbed(self._store.make_room, wanted.size, keep)
                for url in wanted.urls:
                    try:
                        return await self._from_mirror(url, wanted, part)
                    except _MirrorError as error:
                        told.append(f"{shown(url)}: {error}")
            except StoreError:
                part.discard()
                raise
        return None

    async def _from_mirror(self, url: str, wanted: Wanted, part: Part) -> bytes:
        of_others = part.size > 0
        for _ in range(TRIES):
            try:
                if part.size != wanted.size:
                    await self._request(url, wanted, part)
            except _BrokenOffError:
                continue
            data = await _undisturbed(self._store.settle, wanted.digest, part)
            if data is not None:
                return data
            if not of_others:
                raise _MirrorError("it gave other bytes than were signed")
            of_others = False  # Somebody else's beginning was wrong; this mirror's may be right.
        raise _MirrorError(f"gave up after {TRIES} broken answers")

    async def _request(self, url: str, wanted: Wanted, part: Part) -> None:
        """Ask once, along the redirects that are allowed, and take the body."""
        headers = {"Accept-Encoding": "identity"}
        if part.size:
            headers["Range"] = f"bytes={part.size}-"
        try:
            target: str | None = check_url(url, self._hosts)
            hops = 0
            while target is not None:
                async with self._opened().get(
                    target, headers=headers, allow_redirects=False
                ) as answer:
                    location = answer.headers.get("Location")
                    target = next_hop(target, answer.status, location, hops, self._hosts)
                    hops += 1
                    if target is None:
                        await _taken_or_hung_up(answer, wanted, part)
        except UrlError as error:
            raise _MirrorError(str(error)) from error
        except aiohttp.ClientConnectorError as error:
            raise _MirrorError("it could not be reached, or it is not who it says") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _BrokenOffError from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(ssl=self._tls or True),
                timeout=aiohttp.ClientTimeout(
                    None, sock_connect=self._silent_s, sock_read=self._silent_s
                ),
                auto_decompress=False,
            )
        return self._session


async def _taken_or_hung_up(answer: aiohttp.ClientResponse, wanted: Wanted, part: Part) -> None:
    try:
        await _take(answer, wanted, part)
    except BaseException:
        # A polite end of TLS reads on until the other side stops, and this one may never stop.
        if answer.connection is not None and answer.connection.transport is not None:
            answer.connection.transport.abort()
        raise


async def _take(answer: aiohttp.ClientResponse, wanted: Wanted, part: Part) -> None:
    """Put the body behind what is there."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise _MirrorError("it packs what was asked for as it is")
    if part.size and answer.status == _UNSATISFIABLE:
        part.restart()
        raise _BrokenOffError
    try:
        begin = begins_at(
            answer.status, answer.headers.get("Content-Range"), part.size, wanted.size
        )
    except ValueError as error:
        if answer.status == _PARTIAL and part.size:
            part.restart()
            raise _BrokenOffError from error
        raise _MirrorError(str(error)) from error
    if answer.content_length is not None and begin + answer.content_length != wanted.size:
        raise _MirrorError("it has a file of another length than was signed")
    if not begin:
        part.restart()
    async for chunk in answer.content.iter_chunked(CHUNK):
        if part.size + len(chunk) > wanted.size:
            part.restart()
            raise _MirrorError("it sent more than was signed")
        await _undisturbed(part.append, chunk)
    if part.size != wanted.size:
        raise _BrokenOffError


async def _undisturbed(call: Callable[..., _T], *args: object) -> _T:
    """Run it in a thread; who is cancelled meanwhile waits for its end, as the file is in use."""
    running = asyncio.ensure_future(asyncio.to_thread(call, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
