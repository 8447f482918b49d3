"""
The history: samples in blocks of an hour, in a bounded file of their own.

The block that is being filled is written again at each flush; a killed process loses what was
noted since, a power cut also what the system had not yet written. Called only from the journal's
own thread.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from agent.journal_blocks import Block, BlockFile
from agent.journal_codec import Sample, decode, encode

SAMPLES_NAME = "samples.sqlite3"
"""Name of the file, beside the journal; a backup leaves out this and what begins with it."""
POINTS_PER_BLOCK = 720
"""An hour at one point every five seconds."""

_LOGGER = logging.getLogger(__name__)


class SampleFile(BlockFile):
    """The blocks of one history."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        super().__init__(path, limit_bytes, "history")
        self._filling = 1
        """Id of the block that is being filled."""
        self._points: list[Sample] = []
        """What is written of it."""

    def add(self, samples: Sequence[Sample]) -> None:
        """
        Write samples that are `rounded`, all or none, and let the oldest blocks go.

        Raises:
            JournalError: the disk did not take them.
        """

        def write() -> None:
            self._opened()  # what it holds already is filled up first
            number, points = self._filling, [*self._points, *samples]
            blocks = [_block(number, points[:POINTS_PER_BLOCK])]
            while len(points) >= POINTS_PER_BLOCK:
                number, points = number + 1, points[POINTS_PER_BLOCK:]
                if points:
                    blocks.append(_block(number, points[:POINTS_PER_BLOCK]))
            self._put(blocks)
            self._filling, self._points = number, points

        if samples:
            self._do("could not take samples", write)

    def span(self, since_s: float, until_s: float) -> tuple[list[int], list[Sample]]:
        """
        Return where the samples of a half-open span are: full blocks, and the points after them.

        Raises:
            JournalError: the file cannot be read.
        """

        def read() -> list[int]:
            if self._db is None and not self.path.exists():
                return []
            query = "SELECT id FROM blocks WHERE last_s >= ? AND first_s < ? AND id < ? ORDER BY id"
            db = self._opened()
            return [row[0] for row in db.execute(query, (since_s, until_s, self._filling))]

        blocks = self._do("could not be read", read)
        return blocks, _within(self._points, since_s, until_s)

    def block(self, number: int, since_s: float, until_s: float) -> list[Sample]:
        """
        Return the samples of a block that lie in the span; none if it was let go or is torn.

        Raises:
            JournalError: the file cannot be read.
        """

        def read() -> list[Sample]:
            query = "SELECT data FROM blocks WHERE id = ?"
            rows = self._opened().execute(query, (number,)).fetchall()
            return self._decoded(rows[0][0]) if rows else []

        return _within(self._do("could not be read", read), since_s, until_s)

    def _begun(self, newest: tuple[int, bytes] | None) -> None:
        number, data = newest or (1, encode([]))
        points = self._decoded(data)
        full = len(points) >= POINTS_PER_BLOCK or (newest and not points)
        self._filling, self._points = (number + 1, []) if full else (number, points)

    def _decoded(self, data: bytes) -> list[Sample]:
        try:
            return decode(data)
        except ValueError as error:
            _LOGGER.warning("%s: %s; it is left out", self.path.name, error)
            return []


def _within(samples: Sequence[Sample], since_s: float, until_s: float) -> list[Sample]:
    return [each for each in samples if since_s <= each.at < until_s]


def _block(number: int, points: Sequence[Sample]) -> Block:
    times = [point.at for point in points]
    return Block(number, min(times), max(times), encode(points))
