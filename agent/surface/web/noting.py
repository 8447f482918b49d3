"""
The audit of the page: everything that was done, and of what was refused as much as a journal bears.

Whoever is refused can try again a thousand times a second, and each line would push an older one
out of the journal. So the first refusals of an author are written down as they come and then one
in two minutes, with the number of those in between. Strangers share one measure: addresses cost
nothing, and behind a thousand of them may stand one program.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.fleet.events import Pace

Audit = Callable[[str, str, str], None]
"""Takes who, what and the outcome."""
STRANGER = "address "
_MOST_AUTHORS = 32
_OTHERS = "others"
_LONGEST = 500
_LONGEST_REFUSED = 200


class Noted:
    """An audit that bounds what it is told of refusals."""

    def __init__(self, audit: Audit, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._audit = audit
        self._clock_s = clock_s
        self._pace = Pace()
        self._authors: set[str] = set()

    def __call__(self, by: str, action: str, outcome: str) -> None:
        """Note what was done, or what the rooms below refused to an administrator."""
        self._audit(by, shown(action, _LONGEST), shown(outcome, _LONGEST))

    def refused(self, by: str, action: str, code: str) -> None:
        """Note what the gate refused, or count it."""
        left_out = self._pace.admitted(self._whose(by), self._clock_s())
        if left_out is not None:
            more = f" (and {left_out} more refusals since the last line)" if left_out else ""
            self._audit(by, shown(action, _LONGEST_REFUSED), f"{code}{more}")

    def _whose(self, by: str) -> str:
        if by.startswith(STRANGER):
            return STRANGER
        if by not in self._authors and len(self._authors) >= _MOST_AUTHORS:
            return _OTHERS
        self._authors.add(by)
        return by


def shown(text: str, longest: int) -> str:
    """Return a text of unknown origin as a line of the journal: short, and without control."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:longest])
