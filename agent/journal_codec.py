"""
A stretch of history in a few bytes, and back without a digit lost.

A house changes little in five seconds, so each value is kept as its distance from the one before.
Values are whole steps of what their meter can tell: 0.1 s, 1 W, 0.1 %, 1 Wh. A sample is rounded
to these steps once, by `rounded`, and from then on comes back exactly as it is.

A block is zlib over: the version (one byte), the number of points, then column after column in
the order of `Sample`. Every number is a varint (seven bits a byte, lowest first, the top bit says
that more follow). A value that is not known is 0; any other is 1 + zigzag(steps - the steps of
the last known value of its column, at first 0). zlib's own checksum tells a torn block.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields

_VERSION = 1
_MAX_STEPS = 2**53
"""Beyond this a float no longer holds whole steps: no meter of a house gets there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One point of the history; `None` where a value was not known."""

    at: float
    """Seconds since the epoch, kept to 0.1 s."""
    grid_w: float | None = None
    battery_w: float | None = None
    pv_w: float | None = None
    load_w: float | None = None
    limit_w: float | None = None
    commanded_w: float | None = None
    soc_percent: float | None = None
    exported_wh: float | None = None
    allowance_wh: float | None = None


SAMPLE_COLUMNS = tuple(field.name for field in fields(Sample))
_STEPS_PER_UNIT = tuple(10 if name in {"at", "soc_percent"} else 1 for name in SAMPLE_COLUMNS)


def rounded(sample: Sample) -> Sample:
    """
    Return the sample as the history keeps it; what is no finite number becomes unknown.

    Raises:
        ValueError: its time is not known, so it has no place in the history.
    """
    at, *values = (_rounded(*pair) for pair in zip(astuple(sample), _STEPS_PER_UNIT, strict=True))
    if at is None:
        raise ValueError(f"a sample needs its time: {sample}")
    return Sample(at, *values)


def _rounded(value: float | None, steps_per_unit: int) -> float | None:
    steps = None if value is None else value * steps_per_unit
    if steps is None or not math.isfinite(steps) or abs(steps) > _MAX_STEPS:
        return None
    return round(steps) / steps_per_unit


def encode(samples: Sequence[Sample]) -> bytes:
    """Return a block of these samples; they must be `rounded`."""
    raw = bytearray([_VERSION])
    put_number(raw, len(samples))
    rows = [astuple(sample) for sample in samples]
    for column, steps_per_unit in enumerate(_STEPS_PER_UNIT):
        last = 0
        for row in rows:
            if row[column] is None:
                raw.append(0)
                continue
            steps = round(row[column] * steps_per_unit)
            delta, last = steps - last, steps
            put_number(raw, 1 + (2 * delta if delta >= 0 else -2 * delta - 1))
    return zlib.compress(raw, 9)


def decode(block: bytes) -> list[Sample]:
    """
    Return the samples of a block.

    Raises:
        ValueError: the block is torn, or of a version that this agent does not know.
    """
    try:
        raw = zlib.decompress(block)
    except zlib.error as error:
        raise ValueError(f"a block of the history is torn ({error})") from error
    if raw[:1] != bytes([_VERSION]):
        raise ValueError(f"a block of the history is of version {raw[:1].hex() or 'none'}")
    numbers = _numbers(raw[1:])
    try:
        count = next(numbers)
        columns = [_column(numbers, count, steps) for steps in _STEPS_PER_UNIT]
    except StopIteration:
        raise ValueError("a block of the history ends too early") from None
    return [Sample(*row) for row in zip(*columns, strict=True)]


def _column(numbers: Iterator[int], count: int, steps_per_unit: int) -> list[float | None]:
    values: list[float | None] = []
    last = 0
    for _ in range(count):
        number = next(numbers)
        if number == 0:
            values.append(None)
            continue
        zigzag = number - 1
        last += zigzag // 2 if zigzag % 2 == 0 else -(zigzag + 1) // 2
        values.append(last / steps_per_unit)
    return values


def put_number(raw: bytearray, number: int) -> None:
    """Write a whole number, not below 0, seven bits a byte, lowest first."""
    while number >= 0x80:  # noqa: PLR2004 - seven bits a byte
        raw.append(number & 0x7F | 0x80)
        number >>= 7
    raw.append(number)


def _numbers(raw: Iterable[int]) -> Iterator[int]:
    number = shift = 0
    for byte in raw:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - seven bits a byte
            yield number
            number = shift = 0
