"""Words about made-up devices, as the sources of the fleet would say them."""

from __future__ import annotations

from typing import Any

from agent.fleet.identity import Mac, mac_of
from agent.fleet.record import Fleet, seen
from agent.fleet.sighting import Sighting, Source


def mac(number: int) -> Mac:
    """Return the MAC of a made-up device."""
    found = mac_of(f"02005e10{number:04x}")
    assert found is not None
    return found


def word(number: int | None, source: Source = Source.ZEROCONF, **said: Any) -> Sighting:
    """Return what a source says about a device; an announcement a second after the start."""
    said.setdefault("at_s", 1.0)
    if number is not None:
        said.setdefault("mac", mac(number))
    return Sighting(source=source, **said)


def fleet_of(*words: Sighting) -> Fleet:
    """Return the fleet after these words, in this order."""
    fleet = Fleet()
    for each in words:
        fleet = seen(fleet, each)
    return fleet
