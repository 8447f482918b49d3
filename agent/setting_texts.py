"""
Settings that hold more than one thing in a line of text: a tariff's day, a roof, some bridges.

A person writes them as they stand on the bill; they are checked when they are set, and read again
where they are used by the same function, so what was taken can always be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator

from agent.fleet.identity import mac_of, written

_MOST_LINES = 48
_MOST_PRICE = 10.0
"""Per kWh in a main unit of currency, either sign; more is a mistake in the unit."""
_REGION = re.compile(r"GB|[A-Z]{1,2}[0-9][A-Z0-9]?|(?:[1-9]|1[0-7])")
"""All of Great Britain, an outward postcode, or one of the 17 regions of the API."""
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_PORTS = re.compile(r"(?P<host>.*?)(:(?P<api>\d{1,5}))?(/(?P<upload>\d{1,5}))?")
_MAC = re.compile(r"[0-9a-f]{12}")
_LARGEST_PORT = 65_535


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


@dataclass(frozen=True, slots=True)
class ListedBridge:
    """A bridge that a person has written down."""

    host: str
    """An IP address or a host name."""
    api_port: int = 6053
    upload_port: int = 3232
    mac: str = ""
    """Twelve lower-case hexadecimal digits; empty where nobody gave it."""


def bridge_list(text: str) -> tuple[ListedBridge, ...]:
    """
    Return the bridges of `192.168.1.20, bridge-2.local:6053/3232 = 02:00:5E:10:00:01`.

    Behind a host may stand the port of the API, behind a slash that for uploads, and behind an
    equals sign the MAC: a bridge that cannot be asked who it is needs it.

    Raises:
        ValueError: an entry is none of this, or two are for one place or one MAC.
    """
    found = tuple(_bridge(part.strip()) for part in text.split(",") if part.strip())
    macs = [it.mac for it in found if it.mac]
    if len({(it.host, it.api_port) for it in found}) < len(found) or len(set(macs)) < len(macs):
        raise ValueError("one of them is given twice")
    return found


def _bridge(text: str) -> ListedBridge:
    place, equals, mac = (part.strip() for part in text.partition("="))
    ports = _PORTS.fullmatch(place)
    host = ports["host"] if ports else ""
    if place.count(":") > 1:  # IPv6, which has no room for ports here
        host, ports = str(ip_address(place)), None
    elif not _HOST.fullmatch(host):
        raise ValueError(f"{host!r} is no address and no host name")
    digits = re.sub(r"[:.-]", "", mac.lower())
    if equals and not _MAC.fullmatch(digits):
        raise ValueError(f"{mac!r} is no MAC")
    api, upload = (int((ports and ports[name]) or default)
                   for name, default in (("api", 6053), ("upload", 3232)))  # fmt: skip
    if not (0 < api <= _LARGEST_PORT and 0 < upload <= _LARGEST_PORT):
        raise ValueError(f"{place!r} has a port that cannot be")
    return ListedBridge(host.lower(), api, upload, digits)


def networks(text: str) -> tuple[str, ...]:
    """
    Return the IPv4 addresses of `192.168.1.5, 127.0.0.1`, or `all`; none for an empty text.

    Raises:
        ValueError: it is neither.
    """
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if parts == ("all",):
        return parts
    found = tuple(str(ip_address(part)) for part in parts)
    if any(":" in each for each in found):
        raise ValueError("announcements are heard on IPv4 only")
    return found


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


def _bridges(text: str) -> str:
    bridge_list(text)
    return text


def _mac(text: str) -> str:
    whose = mac_of(text)
    if text and whose is None:
        raise ValueError("not a MAC")
    return written(whose) if whose else ""


def _networks(text: str) -> str:
    networks(text)
    return text


Tariff = Annotated[str, AfterValidator(_tariff)]
RoofText = Annotated[str, AfterValidator(_roof)]
Region = Annotated[str, AfterValidator(_region)]
BridgeList = Annotated[str, AfterValidator(_bridges)]
MacText = Annotated[str, AfterValidator(_mac)]
Networks = Annotated[str, AfterValidator(_networks)]
