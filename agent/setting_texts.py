"""
Settings that hold more than one number in a line of text: a tariff's day, a roof, a region.

A person writes them as they stand on the bill; they are checked when they are set, and read again
where they are used by the same function, so what was taken can always be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from typing import Annotated

from pydantic import AfterValidator

_MOST_LINES = 48
_MOST_PRICE = 10.0
"""Per kWh in a main unit of currency, either sign; more is a mistake in the unit."""
_REGION = re.compile(r"GB|[A-Z]{1,2}[0-9][A-Z0-9]?|(?:[1-9]|1[0-7])")
"""All of Great Britain, an outward postcode, or one of the 17 regions of the API."""


@dataclass(frozen=True, slots=True)
class Roof:
    """Where the generators are and how they lie, as Forecast.Solar asks for it."""

    latitude: float
    longitude: float
    tilt: float
    """Degrees from the horizontal."""
    azimuth: float
    """Degrees from the south, west positive."""
    peak_kw: float


def tariff(text: str) -> tuple[tuple[time, float], ...]:
    """
    Return the lines of a tariff: from this time of the site's day on, this price per kWh.

    Args:
        text: `0.15` for a flat one, else `00:00 0.07, 05:30 0.27`; empty has no line.

    Raises:
        ValueError: it is neither.
    """
    parts = [part.split() for part in text.split(",")] if text.strip() else []
    if len(parts) == 1 and len(parts[0]) == 1:
        parts = [["00:00", *parts[0]]]
    lines = []
    for part in parts:
        if len(part) != len(("time", "price")):
            raise ValueError(f"{' '.join(part)!r} is not a time and a price")
        begins, price = time.fromisoformat(part[0]), float(part[1])
        if ":" not in part[0] or begins.second or begins.tzinfo or not abs(price) <= _MOST_PRICE:
            raise ValueError(f"{' '.join(part)!r} is not a time and a price")
        lines.append((begins, price))
    if len({begins for begins, _ in lines}) < len(lines) or len(lines) > _MOST_LINES:
        raise ValueError("a time is given twice, or there are too many")
    return tuple(lines)


def roof(text: str) -> Roof | None:
    """
    Return the roof of `51.5, -0.1, 35, 0, 4.2`; `None` for an empty text.

    Raises:
        ValueError: it is not five numbers, or one of them is impossible.
    """
    if not text.strip():
        return None
    found = Roof(*(float(part) for part in text.split(","))) if text.count(",") == 4 else None  # noqa: PLR2004 - five numbers
    if found is None:
        raise ValueError("not five numbers")
    bounds = ((found.latitude, -90, 90), (found.longitude, -180, 180), (found.tilt, 0, 90),
              (found.azimuth, -180, 180), (found.peak_kw, 0.1, 100))  # fmt: skip
    if not all(low <= value <= high for value, low, high in bounds):
        raise ValueError("a number is outside of what it can be")
    return found


def _region(text: str) -> str:
    wanted = text.upper().split(" ")[0]
    if wanted and not _REGION.fullmatch(wanted):
        raise ValueError("not a region")
    return wanted


def _tariff(text: str) -> str:
    tariff(text)
    return text


def _roof(text: str) -> str:
    roof(text)
    return text


Tariff = Annotated[str, AfterValidator(_tariff)]
RoofText = Annotated[str, AfterValidator(_roof)]
Region = Annotated[str, AfterValidator(_region)]
