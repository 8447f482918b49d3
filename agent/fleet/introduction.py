"""
How a device introduces itself on a connection, and whom we meant to reach.

What it says goes into the fleet's record like the word of any other source. Even a device whose
key we do not have says its name and MAC before it refuses us: enough to know which key is wanted.

Source: esphome.md, section 4 (`device_info`, `InvalidEncryptionKeyAPIError`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aioesphomeapi.core import InvalidEncryptionKeyAPIError
from aioesphomeapi.model import DeviceInfo

from agent.fleet.identity import Mac, label, mac_of
from agent.fleet.sighting import API_PORT, Encryption, Sighting, Source, usable

UPLOAD_PORT = 3232
"""Where ESPHome takes uploads on an ESP32."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to connect to."""

    hosts: tuple[str, ...]
    """Addresses or host names, best first; at least one."""
    api_port: int = API_PORT
    upload_port: int = UPLOAD_PORT
    mac: Mac | None = None
    """Who has to be there; `None` for a stranger, whom the connection identifies."""
    title: str = ""
    key: str | None = field(default=None, repr=False)
    """The API's encryption key, 32 bytes in base64."""


def introduced(info: DeviceInfo, address: str | None, target: Target, at_s: float) -> Sighting:
    """Return the word of a device that let us in."""
    encryption = Encryption.KEY if info.api_encryption_supported else Encryption.NONE
    if info.api_encryption_provisionable:
        encryption = Encryption.UNPROVISIONED
    return Sighting(
        source=Source.CONNECTION,
        at_s=at_s,
        mac=mac_of(info.mac_address),
        name=label(info.name) or None,
        friendly_name=label(info.friendly_name) or None,
        addresses=usable([address] if address else []),
        api_port=target.api_port,
        project_name=label(info.project_name),
        project_version=label(info.project_version) or None,
        esphome_version=label(info.esphome_version) or None,
        board=label(info.model) or None,
        built=label(info.compilation_time) or None,
        encryption=encryption,
    )


def locked(error: InvalidEncryptionKeyAPIError, target: Target, at_s: float) -> Sighting | None:
    """Return the word of a device that did not let us in, `None` if it said nothing."""
    mac = mac_of(error.received_mac)
    if mac is None:
        return None
    return Sighting(
        source=Source.CONNECTION,
        at_s=at_s,
        mac=mac,
        name=label(error.received_name) or None,
        addresses=usable(target.hosts) if len(target.hosts) == 1 else (),
        api_port=target.api_port,
        encryption=Encryption.KEY,
    )


def runs(info: DeviceInfo) -> str:
    """Return the sentence on what a device runs."""
    if not info.project_name:
        return "It runs a firmware without a project."
    version = label(info.project_version)
    return f"It runs {label(info.project_name)}{f' {version}' if version else ''}."


def firmware_figures(info: DeviceInfo) -> dict[str, str | float]:
    """Return what of a firmware belongs into the journal."""
    return {
        "project": label(info.project_name) or "",
        "version": label(info.project_version) or "",
        "esphome": label(info.esphome_version) or "",
        "built": label(info.compilation_time) or "",
    }
