"""
A wish is carried out once, however often it arrives.

A browser that sends a form again, a proxy that repeats what it thinks was lost, or somebody who
kept a copy: each of them sends the very bytes that were sent before. So every press on the page
gets a key of its own, and a key that was seen is not taken again. A stop needs none and is carried
out as often as it comes: stopping twice harms nobody, a stop that is taken for a copy may.

Source: IETF draft "The Idempotency-Key HTTP Header Field", without its replay of the first answer,
which would have to be kept.
"""

from __future__ import annotations

ONCE_HEADER = "Idempotency-Key"
LONGEST_KEY = 128
MOST_KEYS = 4096
"""More than a house presses in a week; the oldest goes first."""


class Once:
    """Remembers the keys that were seen; only people who may change something add to them."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], None] = {}

    def take(self, by: str, key: str) -> bool:
        """
        Return True the first time, and False when this person has used the key before.

        Raises:
            ValueError: this can be no key; the text says why.
        """
        if not key.isascii() or not key.isprintable() or not 0 < len(key) <= LONGEST_KEY:
            raise ValueError(
                f"{ONCE_HEADER} must be 1 to {LONGEST_KEY} printable ASCII signs, new for each wish"
            )
        if (by, key) in self._seen:
            return False
        if len(self._seen) >= MOST_KEYS:
            del self._seen[next(iter(self._seen))]
        self._seen[by, key] = None
        return True
