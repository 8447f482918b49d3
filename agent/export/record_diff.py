"""
A look at the house as its difference from the look before.

A house changes little in seconds: only what changed is written, a float by the bytes in which it
differs, a moment that was just named by its place among the last ones, a wall clock by how much
more it moved than the float before it. Both sides remember the same few numbers; so differences
are read in the order in which they were written, or not at all.
"""

from __future__ import annotations

import struct
from datetime import datetime
from math import isfinite
from typing import Any

from agent.export.record_codec import (
    EPOCH,
    FIRST_FREE_TAG,
    FLOAT_BYTES,
    MICROSECOND,
    Reader,
    put_signed,
    same,
    takers,
    wall_us,
    whatever_is_wrong,
    write,
)
from agent.journal_codec import put_number

_PART, _SHIFTED = FIRST_FREE_TAG, FIRST_FREE_TAG + 1
"""Some fields of a record; a time moved by microseconds."""
_NEAR = 0x40
"""With 3 bits of where and 3 bits of how many bytes: a float changed there, against the old one."""
_AGAIN = 0x80
"""With 4 bits of place: one of the last floats."""
_NEXT = 0xC0
"""As `_NEAR`, but from the float before: values are read milliseconds apart."""
_RECENT = 16
_FARTHEST_S = 1e9
_FLOAT_BITS = struct.Struct(">Q")


class _Past:
    """What both sides of a difference remember of the ones before."""

    def __init__(self) -> None:
        self._ring = [0] * _RECENT
        self._places: dict[int, int] = {}
        self._next = 0
        self.before = 0
        """The float before, as bits."""
        self.moved_us = 0
        """By how much the last float moved, read as seconds: wall clocks move with them."""

    def place(self, bits: int) -> int | None:
        """Return where among the last floats this one stands."""
        return self._places.get(bits)

    def bits(self, place: int) -> int:
        """Return the float that stands there."""
        return self._ring[place]

    def note(self, old: float, new: float, bits: int) -> None:
        """Remember one more float and its step."""
        step = new - old
        self.before = bits
        self.moved_us = round(step * 1e6) if isfinite(step) and abs(step) < _FARTHEST_S else 0
        if bits in self._places:
            return
        self._places.pop(self._ring[self._next], None)
        self._ring[self._next] = bits
        self._places[bits] = self._next
        self._next = (self._next + 1) % _RECENT


class Differ:
    """Writes values as differences from others; the reader needs the same others in turn."""

    def __init__(self) -> None:
        self._past = _Past()

    def write(self, out: bytearray, old: object, new: object) -> None:
        """
        Write what leads from one value to another.

        Raises:
            RecordError: the new one holds something that no decision is made of.
        """
        kind = type(new)
        if kind is not type(old):
            write(out, new)
        elif kind is float:
            self._float(out, old, new)  # type: ignore[arg-type]
        elif kind is datetime:
            self._time(out, old, new)  # type: ignore[arg-type]
        elif kind is not tuple and kind in takers():
            self._part(out, old, new)
        else:
            write(out, new)

    def _part(self, out: bytearray, old: object, new: object) -> None:
        take = takers()[type(new)]
        pairs = list(zip(take(old), take(new), strict=True))
        mask = sum(1 << n for n, pair in enumerate(pairs) if not same(*pair))
        out.append(_PART)
        put_number(out, mask)
        for n, (before, after) in enumerate(pairs):
            if mask >> n & 1:
                self.write(out, before, after)

    def _float(self, out: bytearray, old: float, new: float) -> None:
        bits = _bits(new)
        place = self._past.place(bits)
        if place is not None:
            out.append(_AGAIN | place)
        else:
            near = _changed(bits ^ _bits(old))
            after = _changed(bits ^ self._past.before)
            tag, (first, core) = (_NEAR, near) if len(near[1]) <= len(after[1]) else (_NEXT, after)
            out.append(tag | first << 3 | len(core) - 1)
            out += core
        self._past.note(old, new, bits)

    def _time(self, out: bytearray, old: datetime, new: datetime) -> None:
        if old.tzinfo is not new.tzinfo or old.fold != new.fold:
            write(out, new)
            return
        out.append(_SHIFTED)
        put_signed(out, wall_us(new) - wall_us(old) - self._past.moved_us)


def _bits(value: float) -> int:
    bits: int = _FLOAT_BITS.unpack(FLOAT_BYTES.pack(value))[0]
    return bits


def _changed(bits: int) -> tuple[int, bytes]:
    """Return where the changed bytes begin, and these bytes; at least one."""
    changed = _FLOAT_BITS.pack(bits).rstrip(b"\0")
    core = changed.lstrip(b"\0")
    return (len(changed) - len(core), core) if core else (0, b"\0")


class DifferenceReader(Reader):
    """Reads what a `Differ` wrote, and the plain values between."""

    def __init__(self, raw: bytes, past: _Past | None = None) -> None:
        super().__init__(raw)
        self._past = past or _Past()

    def going_on(self, raw: bytes) -> DifferenceReader:
        """Return a reader of further bytes of the same writer."""
        return DifferenceReader(raw, self._past)

    def difference(self, old: Any) -> Any:
        """
        Return the value that the next difference leads to.

        Raises:
            RecordError: there is none that fits.
        """
        with whatever_is_wrong():
            return self._difference(old)

    def _difference(self, old: Any) -> Any:
        tag = self.byte()
        if tag == _PART:
            mask = self.number()
            parts = takers()[type(old)](old)
            return type(old)(
                *(self._difference(p) if mask >> n & 1 else p for n, p in enumerate(parts))
            )
        if tag == _SHIFTED:
            shown_us = wall_us(old) + self.signed() + self._past.moved_us
            moved = EPOCH + shown_us * MICROSECOND
            return moved.replace(tzinfo=old.tzinfo, fold=old.fold)
        if tag < _NEAR:
            return self._value(tag)
        if _AGAIN <= tag < _NEXT:
            bits = self._past.bits(tag & (_RECENT - 1))
        else:
            first, count = tag >> 3 & 7, (tag & 7) + 1
            changed = bytes(first) + self.take(count)
            before = self._past.before if tag >= _NEXT else _bits(old)
            bits = before ^ int.from_bytes(changed.ljust(8, b"\0"), "big")
        new: float = FLOAT_BYTES.unpack(_FLOAT_BITS.pack(bits))[0]
        self._past.note(old, new, bits)
        return new
