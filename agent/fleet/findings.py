"""
What is remarkable about a device, in words for the person who looks after it.

None of it is an error of ours, and none belongs in a log only: a name that two devices share, a
key that does not fit, a firmware in safe mode are states of the house. Each has a code that stays
and a sentence that says what to do.

Source: pvautonomy.md, sections 2 and 6; esphome.md, sections 4 and 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.fleet.contact import ContactState
from agent.fleet.identity import Kind, Mac, Projects, written
from agent.fleet.record import BridgeRecord, Change, Fleet, by_name
from agent.fleet.sighting import Encryption, Sighting

CHANGE_SHOWN_S = 24 * 3600.0
"""How long a changed name or address is shown."""


class FindingCode(StrEnum):
    """What can be remarkable about a device."""

    DUPLICATE_NAME = "duplicate_name"
    NAME_TAKEN = "name_taken"
    RENAMED = "renamed"
    MOVED = "moved"
    SAFE_MODE = "safe_mode"
    KEY_MISSING = "key_missing"
    WRONG_KEY = "wrong_key"
    NOT_ENCRYPTED = "not_encrypted"
    WRONG_DEVICE = "wrong_device"
    HUNG = "hung"
    UNREACHABLE = "unreachable"
    KEYLESS = "keyless"
    PLAINTEXT = "plaintext"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Finding:
    """One remarkable thing, and what to do about it."""

    code: FindingCode
    text: str


_OF_CONTACT = {
    ContactState.SAFE_MODE: (
        FindingCode.SAFE_MODE,
        (
            "It runs in safe mode: it takes an upload and does nothing else. It tries its firmware "
            "again after five minutes; if it comes back here, install a firmware that worked."
        ),
    ),
    ContactState.KEY_MISSING: (
        FindingCode.KEY_MISSING,
        "It wants an encryption key and there is none for it here. Enter its key.",
    ),
    ContactState.WRONG_KEY: (
        FindingCode.WRONG_KEY,
        "The key that we have does not fit. Enter the one of the firmware that it runs.",
    ),
    ContactState.NOT_ENCRYPTED: (
        FindingCode.NOT_ENCRYPTED,
        (
            "We have a key for it, and it speaks in the clear: it runs another firmware, or "
            "something else answers at its address. Nothing is sent to it. If this is wanted, "
            "remove its key."
        ),
    ),
    ContactState.WRONG_DEVICE: (
        FindingCode.WRONG_DEVICE,
        (
            "Another device answers at its address. Nothing is sent there. Look for its new "
            "address, or remove it if it is gone."
        ),
    ),
    ContactState.HUNG: (
        FindingCode.HUNG,
        (
            "It takes connections and answers nothing: its firmware hangs. If it does not restart "
            "by itself, switch it off and on."
        ),
    ),
    ContactState.UNREACHABLE: (
        FindingCode.UNREACHABLE,
        "It does not answer. Look at its power and its network.",
    ),
}


def findings(fleet: Fleet, projects: Projects, now_s: float) -> dict[Mac, tuple[Finding, ...]]:
    """Return what is remarkable about each device now, the most pressing first."""
    named = by_name(fleet)
    found = {}
    for mac, record in fleet.records.items():
        told = record.told
        namesakes = named.get((told.name or "").casefold(), [])
        found[mac] = (
            *_of_contact(record),
            *_of_name(record, told, [it for it in namesakes if it.mac != mac]),
            *_of_change(record.renamed, FindingCode.RENAMED, "name", now_s),
            *_of_change(record.moved, FindingCode.MOVED, "address", now_s),
            *_of_firmware(told, projects),
        )
    return found


def _of_contact(record: BridgeRecord) -> list[Finding]:
    if record.contact is None or record.contact.state not in _OF_CONTACT:
        return []
    return [Finding(*_OF_CONTACT[record.contact.state])]


def _of_name(record: BridgeRecord, told: Sighting, others: list[BridgeRecord]) -> list[Finding]:
    name = told.name
    alive = [it for it in others if it.live]
    if alive and not record.live:
        text = f"Its name {name} is used by {_macs(alive)} now. If that took its place, remove it."
        return [Finding(FindingCode.NAME_TAKEN, text)]
    if alive:
        text = (
            f"{_macs(alive)} has the name {name} too. Everything here tells them apart by their "
            "MAC; Home Assistant and the network cannot. Give one of them another name."
        )
        return [Finding(FindingCode.DUPLICATE_NAME, text)]
    return []


def _of_change(change: Change | None, code: FindingCode, what: str, now_s: float) -> list[Finding]:
    if change is None or now_s - change.at_s > CHANGE_SHOWN_S:
        return []
    hours = (now_s - change.at_s) / 3600
    ago = f"{hours:.0f} h ago" if hours >= 1 else "less than an hour ago"
    return [Finding(code, f"Its {what} was {change.before} and is {change.after}, since {ago}.")]


def _of_firmware(told: Sighting, projects: Projects) -> list[Finding]:
    found = []
    if told.encryption is Encryption.UNPROVISIONED:
        text = "It has no encryption key yet: whoever is in your network can give it one. Set one."
        found.append(Finding(FindingCode.KEYLESS, text))
    if told.encryption is Encryption.NONE:
        text = "It speaks without encryption: whoever is in your network can read and command it."
        found.append(Finding(FindingCode.PLAINTEXT, text))
    if projects.kind(told.project_name) is Kind.FOREIGN:
        whose = f"is of {told.project_name}" if told.project_name else "names no project"
        text = f"Its firmware {whose}, which is none of ours: it is shown and not flashed."
        found.append(Finding(FindingCode.FOREIGN, text))
    return found


def _macs(records: list[BridgeRecord]) -> str:
    return ", ".join(written(it.mac) for it in records)
