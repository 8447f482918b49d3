"""
A copy of a frozen record with some fields changed, at a quarter of the usual price.

The guard makes a dozen such copies at every look, and a bench looks a hundred million times a
year. `dataclasses.replace` asks each field what it is, each time; here that is asked once per
class. The result is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeVar

_RecordT = TypeVar("_RecordT")
_SHAPES: dict[type, tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]] = {}


def replace(record: _RecordT, /, **changes: object) -> _RecordT:
    """
    Return the record with these fields changed, like `dataclasses.replace`.

    For records of two fields or more, all of them taken by their constructor.

    Raises:
        TypeError: there is no such field.
    """
    kind = type(record)
    shape = _SHAPES.get(kind)
    if shape is None:
        names = tuple(entry.name for entry in fields(kind))  # type: ignore[arg-type]
        shape = _SHAPES[kind] = (names, attrgetter(*names))
    kept = dict(zip(shape[0], shape[1](record), strict=True))
    kept.update(changes)
    return kind(**kept)
