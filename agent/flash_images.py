"""
`Images` of a flash job: the store, and where an image comes from when it is not in it.

What counts is the signed hash alone. A folder, a stick or a mirror may bring the bytes; other
bytes are not used, whoever brings them. After that the file itself is read and the policy is
asked again, with what it says of itself.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.firmware.image.download import Downloader, DownloadError, Wanted
from agent.firmware.image.models import ImageError, ImageFacts
from agent.firmware.image.store import MAX_IMAGE, BlobStore, StoreError
from agent.firmware.job.models import FileWord, ReleaseRef, Request
from agent.firmware.job.ports import Told
from agent.firmware.ota.payload import Payload
from agent.firmware.policy.models import Decision

Judge = Callable[[Request, ImageFacts], Decision]


@dataclass(frozen=True, slots=True)
class Places:
    """Where one image may be found."""

    file: str
    """As its manifest calls it; a name without a folder."""
    folders: tuple[Path, ...] = ()
    urls: tuple[str, ...] = ()


class StoredImages:
    """`Images`: over a store, folders and mirrors."""

    def __init__(
        self,
        store: BlobStore,
        downloader: Downloader,
        places: Callable[[ReleaseRef], Places],
        judge: Judge,
    ) -> None:
        """
        Prepare.

        Args:
            store: where images are kept.
            downloader: open; fetches into that store.
            places: where an image may be found that is not there.
            judge: the policy on a file that is here, with what it says of itself.
        """
        self._store = store
        self._downloader = downloader
        self._places = places
        self._judge = judge
        self._payloads: dict[str, Payload] = {}
        self._facts: dict[str, ImageFacts] = {}

    def facts(self, digest: str) -> ImageFacts | None:
        """Return what an image says of itself, `None` before it was read."""
        return self._facts.get(digest)

    async def fetch(self, release: ReleaseRef, told: Told) -> FileWord:
        """Have the image in the store; see `Images`."""
        places = self._places(release)
        try:
            here = await asyncio.to_thread(self._found_here, release, places)
            if not here:
                wanted = Wanted(release.digest, release.size_bytes, places.urls)
                await self._downloader.get(wanted, pinned={release.digest})
        except StoreError as error:
            return FileWord(False, str(error), code="store")
        except DownloadError as error:
            return FileWord(False, str(error), network=True, code="download")
        told(release.size_bytes, release.size_bytes)
        return FileWord(True)

    async def verify(self, request: Request) -> FileWord:
        """Hash the bytes, read what they say of themselves, and ask the policy with that."""
        digest = request.release.digest
        try:
            facts = await asyncio.to_thread(self._read, digest)
        except (StoreError, ImageError) as error:
            return FileWord(False, str(error), code="bad-image")
        if facts is None:
            text = "The image is not in the store any more. Ask again."
            return FileWord(False, text, network=True, code="store")
        self._facts[digest] = facts
        refusals = self._judge(request, facts).refusals
        if refusals:
            text = " ".join(f"{it.text} {it.next_step}".strip() for it in refusals)
            return FileWord(False, text, code=str(refusals[0].code))
        return FileWord(True)

    async def contains(self, release: ReleaseRef, text: str) -> bool | None:
        """Return whether the image has this text in its bytes; `None` without the image."""

        def look() -> bool | None:
            data = self._store.read(release.digest)
            return None if data is None else text.encode() in data

        try:
            return await asyncio.to_thread(look)
        except StoreError:
            return None

    async def payload(self, release: ReleaseRef) -> Payload:
        """
        Return the image, ready to be sent.

        Raises:
            StoreError: it is not there.
        """
        found = self._payloads.get(release.digest)
        if found is None:
            data = await asyncio.to_thread(self._store.read, release.digest)
            if data is None:
                raise StoreError("The image is not in the store any more. Ask again.")
            found = self._payloads[release.digest] = Payload(data)
        return found

    def _found_here(self, release: ReleaseRef, places: Places) -> bool:
        if self._store.read(release.digest) is not None:
            return True
        for folder in places.folders:
            path = folder / Path(places.file).name
            try:
                if path.stat().st_size != release.size_bytes <= MAX_IMAGE:
                    continue
                data = path.read_bytes()
            except OSError:
                continue
            if hashlib.sha256(data).hexdigest() == release.digest:
                self._store.add(data, pinned={release.digest})
                return True
        return False

    def _read(self, digest: str) -> ImageFacts | None:
        from agent.firmware.image.read import read_image  # noqa: PLC0415 - few ever flash

        data = self._store.read(digest)
        return None if data is None else read_image(data)
