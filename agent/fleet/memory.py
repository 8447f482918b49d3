"""
What is kept of a device from one start of the agent to the next.

A bridge is to be reached while Home Assistant is down, also by an agent that has just begun and
whom nobody has told of it. So who was ever met is kept with name, address and firmware. It is the
weakest of words: whatever anybody says now goes before it. Who was not met for a month is let go.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from agent.fleet.identity import label, mac_of, written
from agent.fleet.record import Fleet
from agent.fleet.sighting import API_PORT, Encryption, Sighting, Source, usable

KEPT_FOR = timedelta(days=30)
_TEXTS = ("name", "friendly_name", "project_name", "project_version", "esphome_version", "board")
_LARGEST_PORT = 65_535


def remembered(fleet: Fleet, before: Mapping[str, Any], today: date) -> dict[str, Any]:
    """
    Return what to keep of a fleet, in JSON's words, by the MAC on the sticker.

    Args:
        fleet: all devices as they are.
        before: what was kept last; it tells when an absent device was met.
        today: the site's day.
    """
    kept: dict[str, Any] = {}
    for mac, record in fleet.records.items():
        old = before.get(written(mac))
        met = today.isoformat() if record.live else (old or {}).get("met")
        told = record.told
        if met is None or not told.addresses:
            continue
        kept[written(mac)] = {
            "met": met,
            "addresses": list(told.addresses),
            "api_port": told.api_port,
            "upload_port": told.upload_port,
            "encryption": told.encryption,
            **{name: getattr(told, name) for name in _TEXTS},
        }
    return kept


def recalled(kept: Mapping[str, Any], today: date, now_s: float) -> list[Sighting]:
    """Return what was kept as words of the fleet; what cannot be read is left out."""
    found = (_word(mac, line, today, now_s) for mac, line in kept.items())
    return [word for word in found if word is not None]


def _word(mac_text: str, line: Any, today: date, now_s: float) -> Sighting | None:
    mac = mac_of(mac_text)
    if mac is None or not isinstance(line, Mapping):
        return None
    try:
        met = date.fromisoformat(str(line.get("met")))
        encryption = Encryption(line["encryption"]) if line.get("encryption") else None
    except ValueError:
        return None
    addresses = usable(str(it) for it in line.get("addresses") or ())
    if today - met > KEPT_FOR or not addresses:
        return None
    texts: dict[str, Any] = {
        name: label(line[name]) for name in _TEXTS if isinstance(line.get(name), str)
    }
    return Sighting(
        source=Source.MEMORY,
        at_s=now_s,
        mac=mac,
        addresses=addresses,
        api_port=_port(line.get("api_port")) or API_PORT,
        upload_port=_port(line.get("upload_port")),
        encryption=encryption,
        **texts,
    )


def _port(value: Any) -> int | None:
    return value if type(value) is int and 0 < value <= _LARGEST_PORT else None
