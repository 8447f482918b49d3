"""
What aioesphomeapi's exceptions mean, in our own few words.

The only place that knows them all; what follows from each is decided in `contact.py`.

Source: esphome.md, section 4, the table of situations; aioesphomeapi 46.23 `core.py`.
"""

from __future__ import annotations

from aioesphomeapi.core import (
    BadMACAddressAPIError,
    EncryptionPlaintextAPIError,
    InvalidEncryptionKeyAPIError,
    PingFailedAPIError,
    RequiresEncryptionAPIError,
    TimeoutAPIError,
)
from aioesphomeapi.model import ConnectionClosedEvent

from agent.fleet.contact import ContactState, Ending
from agent.fleet.identity import Mac, label, mac_of, written

KEY_WANTED = "It wants an encryption key and there is none here."


def ending_of(event: ConnectionClosedEvent) -> Ending:
    """Return how a connection ended that had stood."""
    if event.expected_disconnect:
        return Ending.GOODBYE
    if isinstance(event.error, PingFailedAPIError | TimeoutAPIError | TimeoutError):
        return Ending.SILENCE
    return Ending.BROKE_OFF


def cause(event: ConnectionClosedEvent) -> str:
    """Return the sentence for the end of a connection."""
    if event.expected_disconnect:
        return "It said goodbye: it restarts or was told to go."
    return (
        "It ended without a goodbye: a crash, a reset or a moment without power "
        f"({type(event.error).__name__})."
    )


def refusal(error: Exception, wanted: Mac | None) -> tuple[ContactState, str] | None:
    """Return why a device cannot be let in or does not let us in, `None` for a mere failure."""
    match error:
        case RequiresEncryptionAPIError():
            return ContactState.KEY_MISSING, KEY_WANTED
        case EncryptionPlaintextAPIError():
            return ContactState.NOT_ENCRYPTED, "We have a key for it, and it speaks in the clear."
        case BadMACAddressAPIError():
            return ContactState.WRONG_DEVICE, another(error.received_name, error.received_mac)
        case InvalidEncryptionKeyAPIError():
            return _locked_out(error, wanted)
        case _:
            return None


def _locked_out(
    error: InvalidEncryptionKeyAPIError, wanted: Mac | None
) -> tuple[ContactState, str]:
    received = mac_of(error.received_mac)
    if received is None:  # the library looks at a key before it sends anything
        return (
            ContactState.WRONG_KEY,
            "What is here as its key is none: it has 32 bytes in base64.",
        )
    if wanted is not None and received != wanted:
        return ContactState.WRONG_DEVICE, another(error.received_name, received)
    return ContactState.WRONG_KEY, "The key here does not fit its firmware."


def another(name: str | None, mac_text: str | None) -> str:
    """Return the sentence for a device that answers in another's place."""
    mac = mac_of(mac_text)
    who = f"{label(name) or 'a device'} ({written(mac) if mac else 'without a MAC'})"
    return f"At its address answers {who}: nothing is sent there."
