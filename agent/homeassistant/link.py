"""How the link to Core is, in words to act on, and how long to wait before the next try."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class LinkState(StrEnum):
    """How far the way to Core stands."""

    DOWN = "down"
    CONNECTING = "connecting"
    UP = "up"
    """Authenticated, and every wanted state has been read."""
    REFUSED = "refused"
    """Core does not accept the token; tried again every minute, as it may be replaced."""


@dataclass(frozen=True, slots=True)
class Link:
    """The link to Core at one moment."""

    state: LinkState
    detail: str = ""
    """Why it is not up, and what to do; empty when it is."""

    @property
    def up(self) -> bool:
        """True while values and commands can flow."""
        return self.state is LinkState.UP


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that grow from the first to the longest, scattered so that clients do not march."""

    first_s: float = 1.0
    longest_s: float = 60.0

    def wait_s(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row, at least one."""
        grown_s = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30))
        scatter = random.uniform(0.75, 1.0)  # noqa: S311 - scatter, not a secret
        return max(self.first_s, grown_s * scatter)
