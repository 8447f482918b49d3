"""
A day's history in as many points as a chart has pixels.

Powers are averaged over each stretch, so that energy stays what it was; counters, limits and the
charge are taken as they stood at its end. What was known at no moment of a stretch stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

from agent.surface.desk import HistoryPoint

# A day has 86 400 points, and who asks for it holds up the loop that guards the house: what runs
# once per point is left to functions of C.
_powers = attrgetter("grid_w", "battery_w", "pv_w", "load_w")


def thinned(points: Iterable[HistoryPoint], every_s: float) -> list[HistoryPoint]:
    """
    Return one point per stretch of `every_s` that has any, at the time of its last.

    Args:
        points: oldest first.
        every_s: length of a stretch; stretches begin at its multiples since the epoch.
    """
    stretches = groupby(points, key=lambda point: point.at // every_s)
    return [_one(list(inside)) for _, inside in stretches]


def _one(points: Sequence[HistoryPoint]) -> HistoryPoint:
    if len(points) == 1:
        return points[0]
    grid_w, battery_w, pv_w, load_w = map(_mean, zip(*map(_powers, points), strict=True))
    return replace(points[-1], grid_w=grid_w, battery_w=battery_w, pv_w=pv_w, load_w=load_w)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 1) if known else None
