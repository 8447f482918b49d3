"""
A day's history in as many points as a chart has pixels.

Powers are averaged over each stretch, so that energy stays what it was; counters, limits and the
charge are taken as they stood at its end. What was known at no moment of a stretch stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from agent.surface.desk import HistoryPoint


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
    return replace(
        points[-1],
        grid_w=_mean(point.grid_w for point in points),
        battery_w=_mean(point.battery_w for point in points),
        pv_w=_mean(point.pv_w for point in points),
        load_w=_mean(point.load_w for point in points),
    )


def _mean(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 1) if known else None
