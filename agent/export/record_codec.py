"""
What a decision sees and remembers, as bytes, and back without a bit lost.

A record that reproduces decisions must give back every value exactly: a float with its sign of
zero, an `int` that is no float, a time with its zone and fold. So every value is written with its
kind.

The bytes mean something only to code with the same records in the same order; `shapes`
names that order, and a reader compares it first.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from enum import Enum
from functools import cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any, get_args, get_type_hints
from zoneinfo import ZoneInfo

from agent.export.states import GuardConfig, GuardState, Look, Step
from agent.journal_codec import put_number

_ROOTS = (GuardState, GuardConfig, Look, Step)
_NONE, _FALSE, _TRUE, _INT, _FLOAT, _TEXT, _TUPLE, _MAPPING = range(8)
_DATE, _TIME, _RECORD, _ENUM, _SET, _LIST, _FLOATS = range(8, 15)
FIRST_FREE_TAG = 15
"""Tags from here on are free for those who write more than values."""
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall clocks are counted without their zone
MICROSECOND = timedelta(microseconds=1)
FLOAT_BYTES = struct.Struct(">d")


class RecordError(ValueError):
    """A value that cannot be recorded, or bytes that are no record of this code."""


@cache
def _kinds() -> tuple[tuple[type[Any], ...], tuple[type[Enum], ...]]:
    """Return the records and enumerations that can be met, each in a fixed order."""
    found: set[type[Any]] = set()
    waiting: list[Any] = list(_ROOTS)
    while waiting:
        each = waiting.pop()
        waiting += get_args(each)
        if not isinstance(each, type) or each in found:
            continue
        if is_dataclass(each):
            found.add(each)
            waiting += get_type_hints(each).values()
        elif issubclass(each, Enum):
            found.add(each)
    ordered = sorted(found, key=lambda kind: (kind.__module__, kind.__qualname__))
    enums = tuple(kind for kind in ordered if issubclass(kind, Enum))
    return tuple(kind for kind in ordered if kind not in enums), enums


@cache
def shapes() -> str:
    """Return what names the records of this code and the order of their fields."""
    records, enums = _kinds()
    lines = [f"{r.__name__}({','.join(f.name for f in fields(r))})" for r in records]
    lines += [f"{e.__name__}[{','.join(str(member.value) for member in e)}]" for e in enums]
    return blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


def encode(value: object) -> bytes:
    """
    Return a value as bytes; the same value always as the same bytes.

    Raises:
        RecordError: it holds something that no decision is made of.
    """
    out = bytearray()
    write(out, value)
    return bytes(out)


def decode(raw: bytes) -> Any:
    """
    Return the value of these bytes.

    Raises:
        RecordError: they are no such bytes, or more than one value's.
    """
    reader = Reader(raw)
    value = reader.value()
    if not reader.at_end:
        raise RecordError(f"{len(raw)} bytes hold more than one value")
    return value


def same(one: object, other: object) -> bool:
    """Return True when two values are the same to the last bit; `0.0` is not `-0.0`."""
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    exact = _EXACT.get(kind)
    if exact is not None:
        return exact(one) == exact(other)
    take = takers().get(kind)
    if take is None:
        return bool(one == other)
    ones, others = take(one), take(other)
    return len(ones) == len(others) and all(map(same, ones, others))


_EXACT: dict[type, Callable[[Any], bytes]] = {
    float: FLOAT_BYTES.pack,
    datetime: encode,
    dict: encode,
    list: encode,
    frozenset: encode,
}
"""Kinds whose `==` forgives what decides: the sign of a zero, the zone of a moment."""


@cache
def takers() -> dict[type, Callable[[Any], tuple[Any, ...]]]:
    """Return for each record what takes out its fields, in order; a tuple is its own fields."""
    found = {kind: _taker(kind) for kind in _kinds()[0]}
    return {**found, tuple: lambda value: value}


def _taker(kind: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
    names = [field.name for field in fields(kind)]
    take = attrgetter(*names)
    return take if len(names) > 1 else lambda record: (take(record),)


@cache
def _numbers() -> dict[type, bytes]:
    """Return for each record and enumeration how it begins."""
    records, enums = _kinds()
    found = {kind: _begin(_RECORD, n) for n, kind in enumerate(records)}
    return {**found, **{kind: _begin(_ENUM, n) for n, kind in enumerate(enums)}}


def _begin(tag: int, number: int) -> bytes:
    out = bytearray([tag])
    put_number(out, number)
    return bytes(out)


@cache
def _members(kind: Any) -> dict[Enum, int]:
    return {member: n for n, member in enumerate(kind)}


def write(out: bytearray, value: object) -> None:
    """Write a value; raises RecordError for what no decision is made of."""
    writer = _WRITERS.get(type(value))
    if writer is not None:
        writer(out, value)
        return
    kind: Any = type(value)
    take = takers().get(kind)
    if take is not None:
        out += _numbers()[kind]
        for each in take(value):
            write(out, each)
    elif isinstance(value, Enum) and kind in _numbers():
        out += _numbers()[kind]
        put_number(out, _members(kind)[value])
    else:
        raise RecordError(f"a record cannot hold {kind.__name__}: {value!r:.80}")


def _write_int(out: bytearray, value: int) -> None:
    out.append(_INT)
    put_signed(out, value)


def put_signed(out: bytearray, value: int) -> None:
    """Write a whole number; small ones in few bytes, whatever their sign."""
    put_number(out, 2 * value if value >= 0 else -2 * value - 1)


def _write_float(out: bytearray, value: float) -> None:
    out.append(_FLOAT)
    out += FLOAT_BYTES.pack(value)


def _write_text(out: bytearray, value: str) -> None:
    raw = value.encode("utf-8", "surrogatepass")
    out.append(_TEXT)
    put_number(out, len(raw))
    out += raw


def _write_tuple(out: bytearray, value: tuple[Any, ...]) -> None:
    if set(map(type, value)) == _ONLY_FLOATS:
        out.append(_FLOATS)
        put_number(out, len(value))
        out += struct.pack(f">{len(value)}d", *value)
    else:
        _write_row(out, value, _TUPLE)


_ONLY_FLOATS = {float}


def _write_row(out: bytearray, value: Sequence[object], tag: int = _LIST) -> None:
    out.append(tag)
    put_number(out, len(value))
    for each in value:
        write(out, each)


def _write_mapping(out: bytearray, value: Mapping[object, object]) -> None:
    out.append(_MAPPING)
    put_number(out, len(value))
    for key, each in value.items():
        write(out, key)
        write(out, each)


def _write_set(out: bytearray, value: frozenset[object]) -> None:
    # A set has no order of its own: one process lists it so, the next one otherwise.
    out.append(_SET)
    put_number(out, len(value))
    for raw in sorted(map(encode, value)):
        out += raw


def _write_date(out: bytearray, value: date) -> None:
    out.append(_DATE)
    put_number(out, value.toordinal())


def _write_time(out: bytearray, value: datetime) -> None:
    out.append(_TIME)
    put_signed(out, wall_us(value))
    out.append(value.fold)
    zone = value.tzinfo
    if zone is None:
        out.append(_NONE)
    elif isinstance(zone, ZoneInfo) and zone.key:
        _write_text(out, zone.key)
    elif isinstance(zone, timezone):
        _write_int(out, zone.utcoffset(None) // MICROSECOND)
    else:
        raise RecordError(f"a record cannot hold a time in the zone {zone!r}")


def wall_us(value: datetime) -> int:
    """Return what the clock on the wall shows, in microseconds; its zone is not asked."""
    return (value.replace(tzinfo=None) - EPOCH) // MICROSECOND


_WRITERS: dict[type, Callable[[bytearray, Any], None]] = {
    type(None): lambda out, _: out.append(_NONE),
    bool: lambda out, value: out.append(_TRUE if value else _FALSE),
    int: _write_int,
    float: _write_float,
    str: _write_text,
    tuple: _write_tuple,
    list: _write_row,
    dict: _write_mapping,
    frozenset: _write_set,
    date: _write_date,
    datetime: _write_time,
}


class Reader:
    """Reads values in the order in which they were written."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    @property
    def at_end(self) -> bool:
        """True when everything has been read."""
        return self._at >= len(self._raw)

    def value(self) -> Any:
        """
        Return the next value.

        Raises:
            RecordError: there is none.
        """
        with whatever_is_wrong():
            return self._value(self.byte())

    def byte(self) -> int:
        """Return the next byte; raises RecordError at the end."""
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        """Return the next bytes; raises RecordError when there are fewer."""
        found = self._raw[self._at : self._at + count]
        if len(found) < count:
            raise RecordError("a record ends too early")
        self._at += count
        return found

    def number(self) -> int:
        """Return the next whole number, not below 0."""
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004 - seven bits a byte
                return number

    def signed(self) -> int:
        """Return the next whole number, whatever its sign."""
        number = self.number()
        return number // 2 if number % 2 == 0 else -(number + 1) // 2

    def _value(self, tag: int) -> Any:
        read = _READERS.get(tag)
        if read is None:
            raise RecordError(f"a record holds the unknown tag {tag}")
        return read(self)

    def each(self) -> Any:
        """Return the next value, inside another one."""
        return self._value(self.byte())


def _read_record(reader: Reader) -> Any:
    kind = _kinds()[0][reader.number()]
    return kind(*(reader.each() for _ in fields(kind)))


def _read_floats(reader: Reader, count: int) -> tuple[float, ...]:
    return struct.unpack(f">{count}d", reader.take(count * FLOAT_BYTES.size))


def _read_time(reader: Reader) -> datetime:
    shown_us, fold, zone = reader.signed(), reader.byte(), reader.each()
    where: tzinfo | None = None
    if isinstance(zone, str):
        where = ZoneInfo(zone)
    elif zone is not None:
        where = timezone(zone * MICROSECOND)
    return (EPOCH + shown_us * MICROSECOND).replace(tzinfo=where, fold=fold)


_READERS: dict[int, Callable[[Reader], Any]] = {
    _NONE: lambda _: None,
    _FALSE: lambda _: False,
    _TRUE: lambda _: True,
    _INT: Reader.signed,
    _FLOAT: lambda reader: FLOAT_BYTES.unpack(reader.take(FLOAT_BYTES.size))[0],
    _TEXT: lambda reader: reader.take(reader.number()).decode("utf-8", "surrogatepass"),
    _TUPLE: lambda reader: tuple(reader.each() for _ in range(reader.number())),
    _FLOATS: lambda reader: _read_floats(reader, reader.number()),
    _LIST: lambda reader: [reader.each() for _ in range(reader.number())],
    _MAPPING: lambda reader: {reader.each(): reader.each() for _ in range(reader.number())},
    _SET: lambda reader: frozenset(reader.each() for _ in range(reader.number())),
    _DATE: lambda reader: date.fromordinal(reader.number()),
    _TIME: _read_time,
    _RECORD: _read_record,
    _ENUM: lambda reader: list(_kinds()[1][reader.number()])[reader.number()],
}


_OF_DAMAGE = (
    AttributeError, IndexError, KeyError, OSError, OverflowError, RecursionError, TypeError,
    ValueError, struct.error,
)  # fmt: skip
"""What reading nonsense can raise, a time zone of an odd name among it."""


class whatever_is_wrong:  # noqa: N801 - reads as a statement
    """Turns what damaged bytes raise on their way into the one error that says so."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, _OF_DAMAGE) and not isinstance(error, RecordError):
            raise RecordError(f"a record cannot be read: {error!r}") from error
