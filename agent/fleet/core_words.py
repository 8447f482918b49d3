"""
What Home Assistant says about devices, as words of the fleet.

Its announcements are the devices' own, passed on. Its registry is a memory: it knows the MAC of
every device that it adopted and what that ran when it was last there, but neither node name nor
address. Where it opens a device's web page it has the address; otherwise the name that people see
is tried as a host name. A wrong guess does no harm: whoever answers is asked for its MAC.

Source: Home Assistant Core 2024.1.0 and 2026.11.0, `zeroconf/websocket_api.py`,
`helpers/device_registry.py`, `esphome/manager.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from agent.fleet.identity import Mac, host_name, label, mac_of
from agent.fleet.sighting import Sighting, Source, announced, instance_name

_WITH_PROJECT = re.compile(r"(?P<project>.+) \(ESPHome (?P<esphome>[^()]+)\)")


def announcements(event: Mapping[str, Any], now_s: float) -> list[Sighting]:
    """Return the devices that an event of `zeroconf/subscribe_discovery` brings."""
    found = []
    for service in _dicts(event.get("add")):
        txt, port = service.get("properties"), service.get("port")
        word = announced(
            Source.CORE_ZEROCONF,
            now_s,
            instance=str(service.get("name", "")),
            addresses=[str(it) for it in _list(service.get("ip_addresses"))],
            port=port if type(port) is int and 0 < port < 65536 else None,  # noqa: PLR2004 - ports
            txt={str(key).lower(): _text(value) for key, value in txt.items()}
            if isinstance(txt, Mapping)
            else {},
        )
        if word is not None:
            found.append(word)
    return found


def withdrawals(event: Mapping[str, Any]) -> list[str]:
    """Return the node names that such an event takes back."""
    names = (instance_name(str(it.get("name", ""))) for it in _dicts(event.get("remove")))
    return [name for name in names if name]


def adopted(
    devices: Iterable[Mapping[str, Any]], entries: Iterable[Mapping[str, Any]], now_s: float
) -> list[Sighting]:
    """
    Return the ESPHome devices of Core's registry.

    Args:
        devices: the answer of `config/device_registry/list`.
        entries: the answer of `config_entries/get` for the domain `esphome`.
        now_s: on our monotonic clock.
    """
    return [_remembered(device, mac, now_s) for device, mac, _ in _esphome(devices, entries)]


def entries_of(
    devices: Iterable[Mapping[str, Any]], entries: Iterable[Mapping[str, Any]]
) -> dict[Mac, str]:
    """Return the id of the config entry that adopted each device; arguments as of `adopted`."""
    return {mac: entry for _, mac, entry in _esphome(devices, entries)}


def _esphome(
    devices: Iterable[Mapping[str, Any]], entries: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[Mapping[str, Any], Mac, str]]:
    """Yield each ESPHome device with its MAC and the entry that it belongs to."""
    ours = {str(it.get("entry_id")) for it in _dicts(entries) if it.get("domain") == "esphome"}
    for device in _dicts(devices):
        mac = _mac(device)
        entry = next((it for it in _entries_of(device) if it in ours), None)
        if mac is not None and entry is not None:
            yield device, mac, entry


def _remembered(device: Mapping[str, Any], mac: Mac, now_s: float) -> Sighting:
    shown = label(_text(device.get("name")))
    hosts = [_host_of(_text(device.get("configuration_url")))]
    # ESPHome's own default makes the one name from the other in this way.
    hosts.append(host_name(re.sub(r"[^a-z0-9]+", "-", (shown or "").lower()).strip("-")))
    project, version, esphome = _firmware(device)
    return Sighting(
        source=Source.CORE_REGISTRY,
        at_s=now_s,
        mac=mac,
        friendly_name=shown or None,
        addresses=tuple(dict.fromkeys(host for host in hosts if host)),
        project_name=project,
        project_version=version,
        esphome_version=esphome,
        board=label(_text(device.get("model"))) if project == "" else None,
    )


def _firmware(device: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Return project, its version and ESPHome's; each Core writes them otherwise."""
    software = label(_text(device.get("sw_version"))) or ""
    maker, model = (label(_text(device.get(key))) for key in ("manufacturer", "model"))
    newer = _WITH_PROJECT.fullmatch(software)
    if newer is not None:
        return f"{maker}.{model}", newer["project"], newer["esphome"]
    esphome = software.partition(" ")[0] or None
    older = label(_text(device.get("hw_version")))
    if older:
        return f"{maker}.{model}", older, esphome
    return ("" if esphome else None), None, esphome


def _mac(device: Mapping[str, Any]) -> Mac | None:
    for connection in map(_list, _list(device.get("connections"))):
        if connection[:1] == ["mac"] and len(connection) > 1:
            return mac_of(str(connection[1]))
    return None  # a part of another device has none


def _entries_of(device: Mapping[str, Any]) -> list[str]:
    listed = [*_list(device.get("config_entries")), device.get("config_entry_id")]
    return [str(it) for it in listed if it]


def _host_of(url: str | None) -> str | None:
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    return parts.hostname if parts.scheme in {"http", "https"} else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _dicts(rows: object) -> Iterator[Mapping[str, Any]]:
    yield from (row for row in _list(rows) if isinstance(row, Mapping))
