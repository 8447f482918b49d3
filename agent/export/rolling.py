"""
What was exported and produced within the last 24 hours.

Some contracts, and some consciences, ask not for the calendar day but for the last 24 hours. The
past is kept in quarters of an hour: exports count as long as any part of their quarter may lie
within the period, production only while all of it surely will until the longest lease has ended,
and no later than the counter last stood still before its step. Where the past is not known for a
whole period, the calendar day has to count as well.

Source: batpred #3973 by way of control.md, finding 1.
"""

from __future__ import annotations

from dataclasses import dataclass

PERIOD_S = 86_400.0
_QUARTER_S = 900.0


@dataclass(frozen=True, slots=True)
class Rolling:
    """The last 24 hours, in quarters of an hour."""

    quarters: tuple[tuple[float, float, float], ...] = ()
    """Begin (monotonic), exported and produced energy in Wh; oldest first, empty ones left out."""
    since_s: float | None = None
    """From when on nothing is missing."""

    def moved(
        self, now_s: float, exported_wh: float, produced_wh: float, produced_since_s: float
    ) -> Rolling:
        """
        Return the past with what the counters have just told.

        Args:
            now_s: the moment, monotonic.
            exported_wh: told since the last look; counts from now on.
            produced_wh: told since the last look,
            produced_since_s: and produced after this moment.
        """
        rolling = self if self.since_s is not None else Rolling(self.quarters, now_s)
        if exported_wh <= 0.0 and produced_wh <= 0.0:
            return rolling
        quarters = tuple(q for q in rolling.quarters if q[0] > now_s - PERIOD_S - 2 * _QUARTER_S)
        if not quarters or now_s - quarters[-1][0] >= _QUARTER_S:
            quarters = (*quarters, (now_s, 0.0, 0.0))
        begun_s, so_far_wh, sun_wh = quarters[-1]
        quarters = (*quarters[:-1], (begun_s, so_far_wh + exported_wh, sun_wh))
        if produced_wh > 0.0:
            quarters = _credited(quarters, produced_wh, produced_since_s)
        return Rolling(quarters, rolling.since_s)

    def known(self, now_s: float) -> bool:
        """Return True when nothing of the last 24 hours is missing."""
        return self.since_s is not None and now_s - self.since_s >= PERIOD_S

    def exported_wh(self, now_s: float) -> float:
        """Return what the counter told of the last 24 hours, and a quarter more."""
        return sum(q[1] for q in self.quarters if q[0] > now_s - PERIOD_S - _QUARTER_S)

    def produced_wh(self, now_s: float) -> float:
        """Return what was produced within the last 24 hours, and will count for a quarter yet."""
        return sum(q[2] for q in self.quarters if q[0] >= now_s - PERIOD_S + _QUARTER_S)

    def surely_exported_wh(self, now_s: float) -> float:
        """Return what was surely exported within the last 24 hours."""
        return sum(q[1] for q in self.quarters if q[0] >= now_s - PERIOD_S)

    def perhaps_produced_wh(self, now_s: float) -> float:
        """Return what may have been produced within the last 24 hours."""
        return sum(q[2] for q in self.quarters if q[0] > now_s - PERIOD_S - _QUARTER_S)


def _credited(
    quarters: tuple[tuple[float, float, float], ...], produced_wh: float, since_s: float
) -> tuple[tuple[float, float, float], ...]:
    """A step of the counter was produced at any time since the step before: the oldest counts."""
    begins = [q[0] for q in quarters if q[0] <= since_s]
    if not begins:
        if since_s <= quarters[0][0] - PERIOD_S:
            return quarters  # Too long ago to count at all.
        return ((since_s, 0.0, produced_wh), *quarters)
    begun_s = begins[-1]
    return tuple((b, e, p + produced_wh if b == begun_s else p) for b, e, p in quarters)
