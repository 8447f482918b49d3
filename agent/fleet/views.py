"""
What a person sees of a device: one line of the list of bridges.

Everything of a device is said in words that need no manual: how the connection is, what it runs,
and the one step that helps next. A stranger, an address at which nobody has said who it is, has a
line too: it is what somebody wrote down and waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.fleet.contact import Contact, ContactState
from agent.fleet.findings import Finding, FindingCode, findings
from agent.fleet.identity import Kind, Projects, written
from agent.fleet.record import Address, BridgeRecord, Fleet
from agent.fleet.sighting import Sighting

WORDS: Mapping[ContactState | None, str] = {
    None: "Known, without an address",
    ContactState.CONNECTING: "Connecting",
    ContactState.ONLINE: "Connected",
    ContactState.RESTARTING: "Restarting",
    ContactState.CRASHED: "Was reset, expected back",
    ContactState.HUNG: "Hangs",
    ContactState.UNREACHABLE: "Not reachable",
    ContactState.SAFE_MODE: "In safe mode",
    ContactState.KEY_MISSING: "Wants a key",
    ContactState.WRONG_KEY: "The key does not fit",
    ContactState.NOT_ENCRYPTED: "Not encrypted, not let in",
    ContactState.WRONG_DEVICE: "Another device answers",
}
_NO_ADDRESS = "Nobody knows its address. Switch it on, or write its address down in the settings."
_STRANGER = "Nobody has said who is there. Look at its power, its network and the address."


@dataclass(frozen=True, slots=True)
class BridgeView:
    """One device as the page shows it; empty where nothing is known."""

    mac: str
    """As on its sticker; empty for a stranger."""
    title: str
    name: str
    address: str
    project: str
    version: str
    """Of the project's firmware."""
    esphome: str
    board: str
    kind: str
    """`factory`, `production`, `foreign` or `unknown`."""
    state: str
    """A `ContactState`, or empty while there is no connection to speak of."""
    words: str
    since: str
    """When that began, ISO 8601 with the site's offset; empty without a connection."""
    next_step: str
    """What helps; empty while all is well."""
    findings: tuple[Finding, ...]
    """All that is remarkable, the most pressing first."""


def views(
    fleet: Fleet,
    contacts: Mapping[Address, Contact],
    projects: Projects,
    now_s: float,
    moment: Callable[[float], str],
) -> tuple[BridgeView, ...]:
    """
    Return one line per device, by title and MAC, then the strangers.

    Args:
        fleet: all devices.
        contacts: how the connections to the strangers are.
        projects: which are ours.
        now_s: on the monotonic clock.
        moment: tells a moment of that clock in ISO 8601.
    """
    remarkable = findings(fleet, projects, now_s)
    known = [
        _of_record(record, remarkable[mac], projects, moment)
        for mac, record in fleet.records.items()
    ]
    strange = [
        _of_stranger(address, word, contacts.get(address), moment)
        for address, word in fleet.strangers.items()
    ]
    return (*sorted(known, key=_order), *sorted(strange, key=_order))


def _order(view: BridgeView) -> tuple[str, str]:
    return view.title.casefold(), view.mac


def _of_record(
    record: BridgeRecord,
    remarkable: tuple[Finding, ...],
    projects: Projects,
    moment: Callable[[float], str],
) -> BridgeView:
    told, contact = record.told, record.contact
    return BridgeView(
        mac=written(record.mac),
        title=record.title,
        name=told.name or "",
        address=told.addresses[0] if told.addresses else "",
        project=told.project_name or "",
        version=told.project_version or "",
        esphome=told.esphome_version or "",
        board=told.board or "",
        kind=projects.kind(told.project_name),
        state=contact.state if contact else "",
        words=WORDS[contact.state if contact else None],
        since=moment(contact.since_s) if contact else "",
        next_step=_next_step(record, remarkable),
        findings=remarkable,
    )


def _next_step(record: BridgeRecord, remarkable: tuple[Finding, ...]) -> str:
    if record.contact is None:
        return "" if record.told.addresses else _NO_ADDRESS
    for finding in remarkable:
        if finding.code not in _MERE_NEWS:
            return finding.text
    return record.contact.detail


_MERE_NEWS = {FindingCode.RENAMED, FindingCode.MOVED, FindingCode.FOREIGN}
"""Remarkable, and nothing is to be done."""


def _of_stranger(
    address: Address, word: Sighting, contact: Contact | None, moment: Callable[[float], str]
) -> BridgeView:
    host, port = address
    state = contact.state if contact else ContactState.CONNECTING
    text = contact.detail if contact else ""
    if not text and state is not ContactState.CONNECTING:
        text = _STRANGER
    return BridgeView(
        mac="",
        title=word.friendly_name or word.name or f"{host}:{port}",
        name=word.name or "",
        address=host,
        project="",
        version="",
        esphome="",
        board="",
        kind=Kind.UNKNOWN,
        state=state,
        words=WORDS[state],
        since=moment(contact.since_s) if contact else "",
        next_step=text,
        findings=(),
    )
