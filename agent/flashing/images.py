"""
Images for jobs: out of the store, else from the app's own folder, else from a mirror.

The place is never trusted: what comes is what its digest says, or it is thrown away. An image that
is in the store costs nothing and needs no network, so going back works offline. What bridges run,
ran before or are about to get stays in the store.

Source: signing.md 4.10.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from agent.firmware.image.download import Downloader, DownloadError, Wanted
from agent.firmware.image.models import ImageError, ImageFacts
from agent.firmware.image.store import BlobStore, StoreError
from agent.firmware.job.models import FileWord, ReleaseRef, Request
from agent.firmware.job.ports import Told
from agent.firmware.ota.payload import Payload
from agent.firmware.policy.models import Decision
from agent.firmware.trust.hosts import origin
from agent.firmware.trust.source import Online

BLOBS = "blobs/sha256"
"""Below a mirror's base and below the folder of the app."""
Judge = Callable[[Request, ImageFacts], Awaitable[Decision | str]]
Mirrors = Callable[[str], tuple[Online, ...]]
"""Returns the mirrors of a source."""


def places(base: str, digest: str, file: str) -> tuple[str, ...]:
    """Return where below a mirror an image may lie: by its digest, or under its name."""
    root = base.rstrip("/")
    by_digest = f"{root}/{BLOBS}/{digest[:2]}/{digest}"
    return (by_digest, f"{root}/{file}") if file else (by_digest,)


class StoredImages:
    """`Images` over the store of the data folder."""

    def __init__(
        self,
        store: BlobStore,
        bundle: Path | None,
        mirrors: Mirrors,
        judge: Judge,
        pinned: Callable[[], Collection[str]],
    ) -> None:
        """
        Prepare.

        Args:
            store: where images are kept.
            bundle: the folder that the app came with; it may hold images.
            mirrors: where a source's images are fetched from.
            judge: asks the policy with what the file says of itself.
            pinned: digests that the store must not let go.
        """
        self._store = store
        self._bundle = bundle
        self._mirrors = mirrors
        self._judge = judge
        self._pinned = pinned
        self._payloads: dict[str, Payload] = {}
        self.names: dict[str, str] = {}
        """File names by digest, as manifests say."""

    async def fetch(self, release: ReleaseRef, told: Told) -> FileWord:
        """Have the image in the store; see `Images`."""
        try:
            data = await asyncio.to_thread(self._here, release.digest)
            data = data or await self._download(release)
        except DownloadError as error:
            return FileWord(False, str(error), network=True, code="download")
        except StoreError as error:
            return FileWord(False, str(error), network=True, code="store")
        told(len(data), release.size_bytes)
        return FileWord(well=True)

    async def verify(self, request: Request) -> FileWord:
        """Hash the bytes, read them and ask the policy; see `Images`."""
        release = request.release
        data = await self._read(release)
        if data is None:
            return FileWord(False, "The image is not in the store any more.", True, "store")
        try:
            facts = await asyncio.to_thread(_facts, data)
        except ImageError as error:
            return FileWord(False, str(error), code="image-differs")
        decision = await self._judge(request, facts)
        if isinstance(decision, str):
            return FileWord(False, decision, True, "nothing-to-check")
        if refusals := decision.refusals:
            text = " ".join(f"{it.text} {it.next_step}".strip() for it in refusals)
            return FileWord(False, text, code=refusals[0].code.value)
        return FileWord(well=True)

    async def contains(self, release: ReleaseRef, text: str) -> bool | None:
        """Return whether the image has this text in its bytes; `None` without the image."""
        data = await self._read(release)
        return None if data is None else text.encode() in data

    async def payload(self, release: ReleaseRef) -> Payload:
        """
        Return the bytes to send, shared by all uploads of this image that run at once.

        Raises:
            StoreError: they are not there any more; nothing was sent.
        """
        known = self._payloads.get(release.digest)
        if known is None:
            data = await self._read(release)
            if data is None:
                raise StoreError("The image is not in the store any more. Ask again.")
            known = self._payloads.setdefault(release.digest, Payload(data))
        return known

    def forget(self, wanted: Collection[str]) -> None:
        """Let go of the bytes in memory that no job needs."""
        for digest in self._payloads.keys() - set(wanted):
            del self._payloads[digest]

    def _here(self, digest: str) -> bytes | None:
        """Return it from the store, or take it there from the folder of the app; blocks."""
        data = self._store.read(digest)
        if data is not None or self._bundle is None:
            return data
        try:
            found = (self._bundle / BLOBS / digest[:2] / digest).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(found).hexdigest() != digest:
            return None
        self._store.add(found, pinned=self._pinned())
        return found

    async def _download(self, release: ReleaseRef) -> bytes:
        mirrors = self._mirrors(release.source)
        file = self.names.get(release.digest, "")
        urls = tuple(url for it in mirrors for url in places(it.url, release.digest, file))
        hosts = {origin(it.url) for it in mirrors}.union(*(it.hosts for it in mirrors))
        cafile = next((it.cafile for it in mirrors if it.cafile), None)
        tls = ssl.create_default_context(cafile=cafile) if cafile else None
        async with Downloader(self._store, hosts, tls=tls) as downloader:
            wanted = Wanted(release.digest, release.size_bytes, urls)
            return await downloader.get(wanted, pinned=self._pinned())

    async def _read(self, release: ReleaseRef) -> bytes | None:
        try:
            return await asyncio.to_thread(self._store.read, release.digest)
        except StoreError:
            return None


def _facts(data: bytes) -> ImageFacts:
    from agent.firmware.image.read import read_image  # noqa: PLC0415 - only who flashes needs it

    return read_image(data)
