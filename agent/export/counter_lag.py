"""
How late an energy counter tells what the power has already shown.

A counter moves in steps, so a late tick alone proves nothing: the step may simply not have been
full. But one rest of a step and one delay have to explain every reading together, also the last
one after the power has gone. Every delay that can do so is possible; where no delay at all explains
the readings too, the counter need not be late.

Source: control.md 4.3 (hidden lag, max 39 Wh) and case 16.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from agent.export.lease import SECONDS_PER_HOUR

LONGEST_LAG_S = 150
_SLACK_WH = 1.0
_SLACK_SHARE = 0.05
"""Of the energy: two meters of one flow differ by a few percent."""
_PROMPT_S = 3
"""A delay within this is the reading's own."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A value and the monotonic second at which it was so."""

    at_s: float
    value: float


@dataclass(frozen=True, slots=True)
class Lag:
    """What the readings of one counter say of its delay."""

    ticks: int
    moved_wh: float
    """By the counter."""
    energy_wh: float
    """By the power."""
    lag_s: float | None
    """0 where the readings fit without any, else the longest that fits; `None` where none does, or
    where the counter did not tick."""


class Integral:
    """Energy over time from powers, straight between two of them."""

    def __init__(self, powers_w: Sequence[Moment]) -> None:
        """Take powers in the order of their times."""
        self._times = [power.at_s for power in powers_w]
        self._powers_w = [power.value for power in powers_w]
        self._sums_wh = [0.0]
        for one, two in pairwise(powers_w):
            mean_w = (one.value + two.value) / 2
            hours = (two.at_s - one.at_s) / SECONDS_PER_HOUR
            self._sums_wh.append(self._sums_wh[-1] + mean_w * hours)

    def until(self, at_s: float) -> float:
        """Return the energy until this moment, in Wh; nothing flows outside of the powers."""
        n = bisect_right(self._times, at_s) - 1
        if n < 0:
            return 0.0
        if n == len(self._times) - 1:
            return self._sums_wh[-1]
        span_s = self._times[n + 1] - self._times[n]
        share = (at_s - self._times[n]) / span_s
        power_w = self._powers_w[n] + share * (self._powers_w[n + 1] - self._powers_w[n])
        mean_w = (self._powers_w[n] + power_w) / 2
        return self._sums_wh[n] + mean_w * (at_s - self._times[n]) / SECONDS_PER_HOUR


def fitted(powers_w: Sequence[Moment], counter_wh: Sequence[Moment], step_wh: float) -> Lag:
    """
    Return the lag that explains the readings.

    Args:
        powers_w: the power that the counter counts, never negative, in the order of time.
        counter_wh: readings of the counter, the first of them before the power rose.
        step_wh: the counter's resolution.
    """
    energy = Integral(powers_w)
    total_wh = energy.until(powers_w[-1].at_s) if powers_w else 0.0
    values = [reading.value for reading in counter_wh]
    ticks = sum(1 for one, two in pairwise(values) if one != two)
    moved_wh = values[-1] - values[0] if values else 0.0
    slack_wh = _SLACK_WH + _SLACK_SHARE * total_wh
    fits = [
        lag_s
        for lag_s in range(LONGEST_LAG_S + 1)
        if _explains(lag_s, energy, counter_wh, step_wh, slack_wh)
    ]
    if not ticks or not fits:
        return Lag(ticks, moved_wh, total_wh, None)
    return Lag(ticks, moved_wh, total_wh, 0.0 if fits[0] <= _PROMPT_S else float(fits[-1]))


def _explains(
    lag_s: float,
    energy: Integral,
    counter_wh: Sequence[Moment],
    step_wh: float,
    slack_wh: float,
) -> bool:
    """Return True when some rest of a step and this delay explain every reading."""
    least_wh, most_wh = 0.0, step_wh
    for reading in counter_wh:
        missing_wh = reading.value - counter_wh[0].value - energy.until(reading.at_s - lag_s)
        least_wh = max(least_wh, missing_wh - slack_wh)
        most_wh = min(most_wh, missing_wh + step_wh + slack_wh)
    return least_wh < most_wh


def with_moment(moments: tuple[Moment, ...], at_s: float, value: float) -> tuple[Moment, ...]:
    """Return the moments with one more, if it is newer; of a standing value only both ends."""
    if moments and at_s <= moments[-1].at_s:
        return moments
    newest = Moment(at_s, value)
    stands = [each.value == value for each in moments[-2:]]
    kept = moments[:-1] if stands == [True, True] else moments
    return (*kept, newest)
