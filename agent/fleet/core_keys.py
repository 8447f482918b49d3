"""
Asks Home Assistant for the encryption keys of bridges, once a person has agreed.

Core keeps the key of every device that it adopted and hands it to an administrator. That is
convenient and not ours to take: without an agreement nothing is asked, and only for the bridges
that it names. What Core says passes the same check as what a person enters.

Source: Core 2026.11.0 `esphome/websocket_api.py` (`esphome/get_encryption_key`); 2024.1.0 has no
such command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.fleet.core_words import entries_of
from agent.fleet.identity import Mac
from agent.fleet.keys import KeyFormatError, Secret, SecretKind, checked
from agent.homeassistant.errors import CallRefusedError, CoreError
from agent.homeassistant.websocket import CoreConnection

ASK = "esphome/get_encryption_key"
TOO_OLD = (
    "This Home Assistant does not hand keys out, or its ESPHome integration is not loaded. Enter "
    "the key, or upload the device's configuration."
)
NOT_ADOPTED = "Home Assistant has not adopted it. Enter its key."
NO_KEY = "Home Assistant has no key for it either. Enter its key."
NOT_ALLOWED = "Home Assistant gives keys to an administrator only. Give the agent such a token."


@dataclass(frozen=True, slots=True)
class Agreement:
    """A person's word that Home Assistant may be asked for the keys of these bridges."""

    by: str
    """Who, as the journal will name him."""
    macs: frozenset[Mac]


@dataclass(frozen=True, slots=True)
class CoreKeys:
    """What Home Assistant gave."""

    keys: Mapping[Mac, Secret]
    missing: Mapping[Mac, str]
    """Why there is none for a bridge, and what to do."""


async def ask_core(core: CoreConnection, agreement: Agreement) -> CoreKeys:
    """
    Return the keys of the bridges that the person agreed to, as far as Core has them.

    Raises:
        CoreError: Core could not be asked at all; nothing was changed.
    """
    entries = await core.command("config_entries/get", domain="esphome")
    devices = await core.command("config/device_registry/list")
    adopted = entries_of(devices, entries)
    keys: dict[Mac, Secret] = {}
    missing: dict[Mac, str] = {}
    for mac in sorted(agreement.macs):
        told = await _ask(core, adopted[mac]) if mac in adopted else NOT_ADOPTED
        if isinstance(told, Secret):
            keys[mac] = told
        else:
            missing[mac] = told
    return CoreKeys(keys, missing)


async def _ask(core: CoreConnection, entry_id: str) -> Secret | str:
    """Return a key, or the sentence why there is none."""
    try:
        answer = await core.command(ASK, entry_id=entry_id)
    except CallRefusedError as error:
        words = {"unknown_command": TOO_OLD, "unauthorized": NOT_ALLOWED}
        return words.get(error.code, f"Home Assistant did not give its key: {error}.")
    except CoreError as error:
        return f"Home Assistant did not answer: {error}. Ask again."
    told = answer.get("encryption_key") if isinstance(answer, Mapping) else None
    if not isinstance(told, str) or not told:
        return NO_KEY
    try:
        return checked(SecretKind.API_KEY, told)
    except KeyFormatError as error:
        return f"What Home Assistant has as its key is none. {error}."
