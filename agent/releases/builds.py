"""
Firmware that this house has built itself: shown first, accepted by a person, never by itself.

A file is read in a thread, shown with everything that it says of itself, and waits in memory for
a while. Nobody signed it; whoever accepts it vouches for it in this house, by his name. Accepting
signs it in the house's own repository, in a process that is gone afterwards.

Source: signing.md 4.7.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from agent.firmware.image.models import ImageError, ImageFacts

WAITS_S = 15 * 60.0
"""How long a file waits for a person."""
DEADLINE_S = 60.0
BLOBS = "blobs"
"""Where files are kept, below the data directory."""
_AGAIN = "Upload it again and look at it before you accept it."


class OwnBuilds:
    """The file that waits for a person, and the way into the house's repository."""

    def __init__(
        self,
        data_dir: Path,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data_dir = data_dir
        self._now = now
        self._monotonic = monotonic
        self._waiting: tuple[ImageFacts, bytes, float] | None = None

    async def show(self, file: bytes) -> ImageFacts:
        """
        Return what a file says of itself, and keep it for a while.

        Raises:
            ValueError: it is no ESP image, or a damaged one.
        """
        facts = await asyncio.to_thread(_read, file)
        self._waiting = facts, file, self._monotonic()
        return facts

    async def accept(self, sha256: str, by: str) -> str:
        """
        Sign the file that was shown last as a release of this house; return what became of it.

        Raises:
            ValueError: it is not that file, was shown too long ago, or becomes no release.
            OSError: it could not be kept.
        """
        waiting = self._waiting
        if waiting is None or waiting[0].sha256 != sha256:
            raise ValueError(f"This file is not the one that was shown last. {_AGAIN}")
        if self._monotonic() - waiting[2] > WAITS_S:
            self._waiting = None
            raise ValueError(f"It was shown too long ago. {_AGAIN}")
        text, refused = await self._signed(waiting[1], f"Own build, accepted by {by}")
        if refused:
            raise ValueError(text)
        self._waiting = None
        return text

    async def _signed(self, file: bytes, source: str) -> tuple[str, bool]:
        # Only here: the agent at rest does without what starts processes this way.
        from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415
        from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415
        from multiprocessing import get_context  # noqa: PLC0415

        pool = ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))
        loop = asyncio.get_running_loop()
        # Signed documents are dated in UTC; the site's own zone is refused by python-tuf.
        asked = self._data_dir, file, source, self._now().astimezone(UTC)
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await loop.run_in_executor(pool, _accept, *asked)
        except TimeoutError as error:
            raise OSError("Accepting it took too long; look whether it is listed.") from error
        except BrokenProcessPool as error:
            raise OSError("The process that signs has ended early; try again.") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read(file: bytes) -> ImageFacts:
    from agent.firmware.image.read import read_image  # noqa: PLC0415 - few ever upload a file

    try:
        return read_image(file)
    except ImageError as error:
        raise ValueError(str(error)) from error


def _accept(data_dir: Path, file: bytes, source: str, now: datetime) -> tuple[str, bool]:
    """Return a sentence, and whether it is a refusal; runs in a process of its own."""
    from agent.firmware.image.store import BlobStore, StoreError  # noqa: PLC0415 - loads python-tuf
    from agent.firmware.own.builds import BuildRefusedError  # noqa: PLC0415 - as above
    from agent.firmware.own.local import LocalRepository, LocalRepositoryError  # noqa: PLC0415 - as above

    try:
        repository = LocalRepository(data_dir, BlobStore(data_dir / BLOBS))
        repository.create(now)
        done = repository.accept(file, source, now)
    except (ImageError, BuildRefusedError, StoreError, LocalRepositoryError) as error:
        return str(error), True
    what = f"{done.release.project} {done.release.version} for {done.image.chip}"
    if done.already:
        return f"{what} was accepted before; nothing has changed.", False
    return f"{what} is an own build of this house now.", False
