"""
Strict reading of JSON that somebody else wrote, before anything believes it.

Two parsers must never see two meanings: a key that comes twice, NaN, a field that nobody knows and
a number where a text belongs are refused, not repaired. Whatever the bytes are, the outcome is a
value or a `Fault` that names the place; depth and size cannot bring the reader down.

Source: signing.md 4.4 and the lab's F06 to F09, A60 to A63.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

T = TypeVar("T")
_LONGEST_SHOWN = 40


class Fault(Exception):  # noqa: N818 - becomes a ManifestError once the document is known
    """Something that a document must not say, and where in it."""

    def __init__(self, text: str, place: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.place = place

    def inside(self, place: str) -> Fault:
        """Return the same fault seen from the object or list around it."""
        if not self.place or self.place.startswith("["):
            return Fault(self.text, place + self.place)
        return Fault(self.text, f"{place}.{self.place}")

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


def document(data: bytes, most: int) -> dict[str, object]:
    """
    Return the JSON object that the bytes hold.

    Raises:
        Fault: they are no UTF-8, no JSON, no object, too long, too deep, or ambiguous.
    """
    if len(data) > most:
        raise Fault(f"it has {len(data)} bytes, {most} are the most")
    try:
        found = json.loads(data.decode(), object_pairs_hook=_pairs, parse_constant=_constant)
    except RecursionError:
        raise Fault("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise Fault(f"byte {error.start} is no UTF-8") from None
    except json.JSONDecodeError as error:
        raise Fault(f"line {error.lineno}, column {error.colno} is no JSON") from None
    except ValueError:
        # Python refuses to read integers of thousands of digits.
        raise Fault("a number in it is too long") from None
    if type(found) is not dict:
        raise Fault(f"it is {shown(found)}, it has to be an object")
    return found


def fields_of(
    value: object, required: frozenset[str], optional: frozenset[str] = frozenset()
) -> dict[str, object]:
    """Return an object that has all of the required fields and no unknown one."""
    if type(value) is not dict:
        raise Fault(f"it is {shown(value)}, it has to be an object")
    keys = value.keys()
    if not keys >= required:
        raise Fault(f"{', '.join(sorted(required - keys))} is missing")
    if len(value) > len(required) and not keys <= required | optional:
        unknown = ", ".join(shown(it) for it in sorted(keys - required - optional)[:3])
        raise Fault(f"unknown field {unknown}")
    return value


def whole(fields: dict[str, object], key: str, least: int, most: int) -> int:
    """Return a whole number of a field."""
    value = fields[key]
    if type(value) is not int or not least <= value <= most:
        _wrong(key, value, f"a whole number from {least} to {most}")
    return value


def number(fields: dict[str, object], key: str, least: float, most: float) -> float:
    """Return a number of a field, whole or not."""
    value = fields[key]
    if (type(value) is not float and type(value) is not int) or not least <= value <= most:
        _wrong(key, value, f"a number from {least:g} to {most:g}")
    return float(value)


def flag(fields: dict[str, object], key: str) -> bool:
    """Return true or false of a field."""
    value = fields[key]
    if type(value) is not bool:
        _wrong(key, value, "true or false")
    return value


def text(fields: dict[str, object], key: str, pattern: re.Pattern[str], what: str) -> str:
    """Return a text of a field that matches the pattern as a whole."""
    value = fields[key]
    if type(value) is not str or not pattern.fullmatch(value):
        _wrong(key, value, what)
    return value


def checked(value: object, pattern: re.Pattern[str], what: str) -> str:
    """Return a value that is a text and matches the pattern as a whole."""
    return text({"": value}, "", pattern, what)


def texts(
    fields: dict[str, object], key: str, pattern: re.Pattern[str], what: str, most: int
) -> tuple[str, ...]:
    """Return the texts of an optional list, each of them once."""
    if key not in fields:
        return ()
    found = each(fields, key, most, lambda value: checked(value, pattern, what))
    if len(set(found)) != len(found):
        raise Fault("something is in it twice", key)
    return found


def each(
    fields: dict[str, object],
    key: str,
    most: int,
    read: Callable[[object], T],
) -> tuple[T, ...]:
    """Return what reading each element of a list gives."""
    values = fields[key]
    if type(values) is not list or len(values) > most:
        _wrong(key, values, f"a list of at most {most}")
    found: list[T] = []
    try:
        for value in values:
            found.append(read(value))  # noqa: PERF401 - its length is the place of a fault
    except Fault as fault:
        raise fault.inside(f"{key}[{len(found)}]") from None
    return tuple(found)


def shown(value: object) -> str:
    """Return a foreign value so that it can stand in a sentence, a log or a page."""
    if type(value) is dict:
        return "an object"
    if type(value) is list:
        return f"a list of {len(value)}"
    if type(value) is str:
        return ascii(value[:_LONGEST_SHOWN])
    return json.dumps(value)[:_LONGEST_SHOWN]


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Fault(f"the key {shown(key)} comes twice")
            seen.add(key)
    return found


def _constant(name: str) -> NoReturn:
    raise Fault(f"{name} is no number")


def _wrong(place: str, value: object, wanted: str) -> NoReturn:
    raise Fault(f"it is {shown(value)}, it has to be {wanted}", place)
