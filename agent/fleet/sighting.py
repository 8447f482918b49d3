"""
What one source says about one device at one moment.

Home Assistant hears announcements and knows whom it has adopted, we may hear announcements
ourselves, a person writes an address down, and a device that we are connected to speaks for
itself. Each of them knows a part, and each may be out of date; `record.py` makes one device of
them. Here the parts are read, strictly: what is not plainly there is `None`, never a guess.

Source: esphome.md, section 4 (TXT of `_esphomelib._tcp`), ESPHome 2026.10 `components/mdns`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from agent.fleet.identity import Mac, label, mac_of

SERVICE_TYPE = "_esphomelib._tcp.local."
API_PORT = 6053
"""Where ESPHome's API listens unless the configuration says otherwise."""


class Source(StrEnum):
    """Who says it, best first."""

    CONNECTION = "connection"
    """The device itself, over its API."""
    ZEROCONF = "zeroconf"
    """Its announcement, as we heard it."""
    CORE_ZEROCONF = "core_zeroconf"
    """Its announcement, as Home Assistant heard it."""
    CORE_REGISTRY = "core_registry"
    """Home Assistant's memory of a device that it adopted; it may be long gone."""
    MANUAL = "manual"
    """A person, on the page."""
    MEMORY = "memory"
    """We ourselves, of the time before our last start."""


LIVE = (Source.CONNECTION, Source.ZEROCONF, Source.CORE_ZEROCONF)
"""Sources that speak of now."""


class Encryption(StrEnum):
    """How the device guards its API."""

    KEY = "key"
    """It has a key and speaks to nobody else."""
    UNPROVISIONED = "unprovisioned"
    """It could, and has no key yet."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One source's word on one device; `None` where it does not say."""

    source: Source
    at_s: float
    """When it was said, on our monotonic clock."""
    mac: Mac | None = None
    name: str | None = None
    """The node name, which is also its host name."""
    friendly_name: str | None = None
    addresses: tuple[str, ...] = ()
    """IP addresses, best first; a host name where a person or a registry gave one."""
    api_port: int = API_PORT
    upload_port: int | None = None
    """Nothing announces it; only who wrote the address down may know."""
    project_name: str | None = None
    """"" when the device says that its firmware has none."""
    project_version: str | None = None
    esphome_version: str | None = None
    platform: str | None = None
    """The chip, as `ESP32`."""
    board: str | None = None
    network: str | None = None
    config_hash: str | None = None
    built: str | None = None
    """When the firmware was compiled, in the device's own words: not made for reckoning."""
    encryption: Encryption | None = None
    ota_signed: bool | None = None
    """Whether it takes signed uploads only."""


def announced(
    source: Source,
    at_s: float,
    *,
    instance: str,
    addresses: Iterable[str],
    port: int | None,
    txt: Mapping[str, str | None],
) -> Sighting | None:
    """
    Return what an announcement says, or `None` if it is none of ESPHome's native API.

    Args:
        source: who heard it.
        at_s: when, on our monotonic clock.
        instance: the full service name, as `bridge-1._esphomelib._tcp.local.`.
        addresses: IP addresses in the announcer's order.
        port: of the API.
        txt: the properties; keys in lower case.
    """
    name = instance_name(instance)
    if name is None:
        return None
    project = _text(txt, "project_name")
    return Sighting(
        source=source,
        at_s=at_s,
        mac=mac_of(txt.get("mac")),
        name=name,
        friendly_name=_text(txt, "friendly_name"),
        addresses=usable(addresses),
        api_port=port or API_PORT,
        # A complete announcement without a project is that of a firmware without one.
        project_name=project if project is not None else ("" if txt.get("version") else None),
        project_version=_text(txt, "project_version"),
        esphome_version=_text(txt, "version"),
        platform=_text(txt, "platform"),
        board=_text(txt, "board"),
        network=_text(txt, "network"),
        config_hash=_text(txt, "config_hash"),
        encryption=_encryption(txt),
        ota_signed=txt.get("ota_signed") == "1" if txt.get("version") else None,
    )


def instance_name(instance: str) -> str | None:
    """Return the node name of a full service name, `None` for another service's."""
    name, dot, service = instance.partition(".")
    if not dot or service.casefold().rstrip(".") != SERVICE_TYPE.rstrip("."):
        return None
    return label(name) or None


def usable(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses that can be dialled, IPv4 first, each once."""
    found: dict[str, int] = {}
    for text in addresses:
        try:
            address = ip_address(text)
        except ValueError:
            continue
        if not (address.is_unspecified or address.is_multicast):
            found.setdefault(str(address), address.version)
    return tuple(sorted(found, key=lambda it: found[it]))


def _encryption(txt: Mapping[str, str | None]) -> Encryption | None:
    if txt.get("api_encryption"):
        return Encryption.KEY
    if txt.get("api_encryption_supported"):
        return Encryption.UNPROVISIONED
    return Encryption.NONE if txt.get("version") else None


def _text(txt: Mapping[str, str | None], key: str) -> str | None:
    return label(txt.get(key)) or None
