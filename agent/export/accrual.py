"""
When what may have left the house may have left it.

A counter's tick proves the energy up to the moment for which it tells, which is when it was read,
less the lag of the counter. What a running command may have let out after that moment is still
open, and what it may have let out between that reading and the one before bounds what the next
step hides. So the worst case is kept in small pieces of time, for as long as a tick may look back.

Source: control.md 4.2 (unverified) and its assumption attacks (a counter that is secretly late).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from operator import itemgetter

_END_S = itemgetter(0)
_PIECE_S = 2.0
_PIECES_PER_POLL = 6
_LOOK_BACK_S = 15.0
"""Beyond polls and lag: a poll that came late behind others."""


@dataclass(frozen=True, slots=True)
class Accrual:
    """Worst case of the recent past, in pieces."""

    pieces: tuple[tuple[float, float], ...] = ()
    """End of each piece, monotonic, and its energy in Wh; oldest first."""
    since_s: float = math.inf
    """From when on nothing is missing; never, at first."""

    def added(
        self, now_s: float, before_s: float, energy_wh: float, poll_s: float, lag_s: float
    ) -> Accrual:
        """
        Return the past with what may have flowed between two looks.

        Args:
            now_s: the moment, monotonic.
            before_s: the look before.
            energy_wh: most that may have flowed between the two.
            poll_s: a tick may be as old as two polls,
            lag_s: and tell of a time that much earlier.
        """
        if energy_wh <= 0.0 and not self.pieces:
            return self if self.since_s <= before_s else Accrual((), before_s)
        pieces = self.pieces
        if energy_wh > 0.0:
            begun_s = pieces[-2][0] if len(pieces) > 1 else min(self.since_s, before_s)
            if pieces and now_s - begun_s <= max(_PIECE_S, poll_s / _PIECES_PER_POLL):
                pieces = (*pieces[:-1], (now_s, pieces[-1][1] + energy_wh))
            else:
                pieces = (*pieces, (now_s, energy_wh))
        since_s = min(self.since_s, before_s)
        oldest_s = now_s - 2 * poll_s - lag_s - _LOOK_BACK_S
        if pieces[0][0] < oldest_s:
            gone = bisect_left(pieces, oldest_s, key=_END_S)
            since_s = max(since_s, pieces[gone - 1][0])
            pieces = pieces[gone:]
        return Accrual(pieces, since_s)

    def after_wh(self, at_s: float) -> float:
        """Return the most that may have flowed after this moment; infinite where not known."""
        if at_s < self.since_s:
            return math.inf
        return sum(energy_wh for until_s, energy_wh in self.pieces if until_s > at_s)


NOTHING = Accrual()
