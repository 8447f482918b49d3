"""
Firmware that this house has built itself: shown first, accepted by a person, never by itself.

A file is read in a thread, shown with everything that it says of itself, and waits in memory for
a while. Nobody signed it; whoever accepts it vouches for it in this house, by his name.

Source: signing.md 4.7.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from agent.firmware.image.models import ImageError, ImageFacts
from agent.releases.views import Build

WAITS_S = 15 * 60.0
"""How long a file waits for a person."""


class OwnBuilds:
    """The builds that were accepted, and the one that waits for it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._waiting: tuple[ImageFacts, bytes, float] | None = None
        self.accepted: tuple[Build, ...] = ()
        self._wakes: list[Callable[[], None]] = []

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when a build was accepted; return what ends that."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake) if wake in self._wakes else None

    async def show(self, file: bytes) -> Build:
        """
        Return what a file says of itself, and keep it for a while.

        Raises:
            ValueError: it is no ESP image, or a damaged one.
        """
        facts = await asyncio.to_thread(_read, file)
        self._waiting = facts, file, self._monotonic()
        return Build(facts)

    def _shown(self, sha256: str) -> tuple[ImageFacts, bytes]:
        waiting = self._waiting
        if waiting is None or waiting[0].sha256 != sha256:
            raise ValueError("This file is not the one that was shown last; upload it again.")
        if self._monotonic() - waiting[2] > WAITS_S:
            self._waiting = None
            raise ValueError("It was shown too long ago; upload it again and look at it.")
        return waiting[0], waiting[1]

    async def accept(self, sha256: str, by: str) -> str:
        """Accept the file that was shown last; raises `ValueError` and `OSError` in words."""
        raise NotImplementedError


def _read(file: bytes) -> ImageFacts:
    from agent.firmware.image.read import read_image  # noqa: PLC0415 - few ever upload a file

    try:
        return read_image(file)
    except ImageError as error:
        raise ValueError(str(error)) from error
