"""
How our own connection to a device stands, and what the end of one means.

A connection ends in few ways, and they call for different things. A goodbye is a restart that
somebody wanted. An end without a goodbye is a crash, a reset or a moment without power: the next
packet meets a firmware that knows nothing of us. Silence on an open connection is a firmware that
hangs if the port still takes connections, and a device without power or network if it does not.

Source: esphome.md, section 4 (what aioesphomeapi reports) and section 7 (safe mode).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ContactState(StrEnum):
    """How far we are with a device."""

    CONNECTING = "connecting"
    ONLINE = "online"
    RESTARTING = "restarting"
    """It said goodbye, or left safe mode, and is expected back."""
    CRASHED = "crashed"
    """It broke off and is expected back."""
    HUNG = "hung"
    """It takes connections and answers nothing."""
    UNREACHABLE = "unreachable"
    SAFE_MODE = "safe_mode"
    """It takes uploads and nothing else."""
    KEY_MISSING = "key_missing"
    WRONG_KEY = "wrong_key"
    NOT_ENCRYPTED = "not_encrypted"
    """We have a key for it and it speaks in the clear: it is not let in."""
    WRONG_DEVICE = "wrong_device"
    """Another device answers at its address."""


@dataclass(frozen=True, slots=True)
class Contact:
    """Our connection to one device at one moment."""

    state: ContactState
    since_s: float
    """On our monotonic clock."""
    detail: str = ""
    """What happened and what to do; empty while all is well."""

    @property
    def online(self) -> bool:
        """True while values arrive and commands can leave."""
        return self.state is ContactState.ONLINE


GRACE_S = 30.0
"""How long a device that restarts may take before it counts as gone: boot, Wi-Fi, API."""
HANG_S = 12.0
"""A port that takes connections for so long without a word belongs to a firmware that hangs."""
HUNG_SHOWN_S = 300.0
"""How long a firmware that hangs is taken for one while its port says nothing at all."""
REFUSED = frozenset(
    {
        ContactState.KEY_MISSING,
        ContactState.WRONG_KEY,
        ContactState.NOT_ENCRYPTED,
        ContactState.WRONG_DEVICE,
    }
)
"""Ends that another attempt does not change; a person does."""


class Port(StrEnum):
    """What a TCP port did when somebody knocked."""

    OPEN = "open"
    CLOSED = "closed"
    """The host answered: nobody listens."""
    SILENT = "silent"
    """No answer at all."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the two ports of a device did."""

    api: Port
    upload: Port

    @property
    def host_answers(self) -> bool:
        """Whether there is a device with power at the address."""
        return {self.api, self.upload} != {Port.SILENT}

    @property
    def safe_mode(self) -> bool:
        """Whether it looks like safe mode: uploads are taken, the API is not there."""
        return self.api is Port.CLOSED and self.upload is Port.OPEN


def looked(state: ContactState, waited_s: float, ports: Ports) -> ContactState:
    """
    Return what a device without a connection is, after somebody knocked at its ports.

    Args:
        state: what it was taken for.
        waited_s: since when, in seconds.
        ports: what they did now.
    """
    if state in REFUSED or state is ContactState.ONLINE:
        return state
    if ports.safe_mode:
        return ContactState.SAFE_MODE
    if state is ContactState.HUNG:
        return _after_hang(waited_s, ports)
    if state in {ContactState.RESTARTING, ContactState.CRASHED} and waited_s < GRACE_S:
        return state
    if ports.api is not Port.OPEN:
        left_safe_mode = state is ContactState.SAFE_MODE  # by restarting, or by losing power
        return ContactState.RESTARTING if left_safe_mode else ContactState.UNREACHABLE
    hangs = state is ContactState.CONNECTING and waited_s >= HANG_S
    return ContactState.HUNG if hangs else ContactState.CONNECTING


def _after_hang(waited_s: float, ports: Ports) -> ContactState:
    if ports.api is Port.CLOSED:
        return ContactState.CRASHED  # it was reset
    # A firmware that hangs for long takes no more connections, as one without power.
    hangs = ports.api is Port.OPEN or waited_s < HUNG_SHOWN_S
    return ContactState.HUNG if hangs else ContactState.UNREACHABLE


class Ending(StrEnum):
    """How aioesphomeapi saw a connection end."""

    GOODBYE = "goodbye"
    BROKE_OFF = "broke_off"
    SILENCE = "silence"


def after(ending: Ending, ports: Ports | None) -> ContactState:
    """Return what an ended connection means, with what the ports did since, if it was asked."""
    match ending:
        case Ending.GOODBYE:
            return ContactState.RESTARTING
        case Ending.BROKE_OFF:
            return ContactState.CRASHED
        case Ending.SILENCE:
            hangs = ports is not None and ports.api is Port.OPEN
            return ContactState.HUNG if hangs else ContactState.UNREACHABLE
