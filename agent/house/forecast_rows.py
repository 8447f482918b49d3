"""
Reads the small things that every forecast is made of, and gives `None` for what it cannot read.

Sources write times with and without seconds, with `Z`, with an offset or with nothing, and
numbers as text; some leave a field out or set it to null. A reader that answers `None` lets its
caller skip the row. It never turns what is missing into zero: a carbon intensity of 0 would be
the greenest half hour of the year.

Source: export_monitor.md, sections 5.1 and 5.2; D-17, D-35, D-37.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

MOST_ROWS = 5000
"""A longer list is not a forecast of a few days; it is cut, so that reading stays short."""
_DEEPEST = 4
_LONGEST_TEXT = 2_000_000
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def moment(value: object, naive: tzinfo = UTC) -> datetime | None:
    """
    Return a point in time in UTC, or `None`.

    Args:
        value: a datetime, or a text as ISO 8601 writes it.
        naive: zone of a time that names none.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    if value.tzinfo is None:
        value = value.replace(tzinfo=naive)
    try:
        found = value.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    return found if _EARLIEST <= found < _LATEST else None


def number(value: object, low: float, high: float) -> float | None:
    """Return a finite number within bounds, also from a text; a boolean is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and low <= found <= high else None


def first(row: Mapping[str, Any], *names: str) -> Any:
    """Return the first of these fields that is there and not null."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def rows(payload: object, *names: str) -> Sequence[object]:
    """
    Return the list of rows in a payload, wherever the source has put it.

    A list is taken as it is, a text is read as JSON, and of an object the first of the named
    fields that leads to a list. What is no list of rows gives an empty one.
    """
    return _rows(payload, names, 0)


def _rows(payload: object, names: tuple[str, ...], depth: int) -> Sequence[object]:
    if depth > _DEEPEST:
        return ()
    if isinstance(payload, str):
        return _rows(_json(payload), names, depth + 1)
    if isinstance(payload, Mapping):
        found = (_rows(payload[name], names, depth + 1) for name in names if name in payload)
        return next((each for each in found if each), ())
    if isinstance(payload, Sequence) and not isinstance(payload, bytes | bytearray):
        nested = payload[0] if payload else None
        # "current regional intensity" is a list of regions, each with a list of rows.
        if len(payload) == 1 and isinstance(nested, Mapping):
            inner = _rows(nested, names, depth + 1)
            return inner or payload
        return payload[:MOST_ROWS]
    return ()


def _json(text: str) -> object:
    if len(text) > _LONGEST_TEXT or text.lstrip()[:1] not in {"[", "{"}:
        return None
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found


def objects(found: Sequence[object]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows that are objects with named fields."""
    return (row for row in found if isinstance(row, Mapping))


def usual_step(begins: Sequence[datetime], otherwise: timedelta) -> timedelta:
    """Return the shortest distance between two rows, where rows do not say how long they hold."""
    ordered = sorted(set(begins))
    gaps = [after - before for before, after in pairwise(ordered)]
    return min(gaps, default=otherwise)
