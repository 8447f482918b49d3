"""
What each error byte of a bridge means to the person who must act, and what to do next.

Source: esphome.md, section 5; ESPHome 2026.10, `OTAResponseTypes`.
"""

from __future__ import annotations

from agent.firmware.ota.models import Outcome, Reason, Verdict
from agent.firmware.ota.wire import FIRST_ERROR

_RETRY = "Try again; if it happens again, flash over the cable."
_CABLE = "Flash over the cable, which also writes a partition table."
_BOARD = "Build the firmware for the board that this is, then flash it over the cable."

REFUSALS: dict[int, tuple[Reason, str, str]] = {
    0x80: (
        Reason.BAD_MAGIC,
        "The bridge says this is no application image, or it does not know our greeting.",
        "Check that the file is the OTA image for this chip, not the factory image.",
    ),
    0x81: (
        Reason.PREPARE,
        "The bridge could not prepare its flash for an image of this size.",
        "Check the image's size; restart the bridge if the image should fit, then try again.",
    ),
    0x82: (
        Reason.WRONG_PASSWORD,
        "The bridge did not accept the upload password.",
        "Enter the password that the firmware on this bridge was built with.",
    ),
    0x83: (
        Reason.WRITING_FLASH,
        "The bridge could not write its flash.",
        _RETRY,
    ),
    0x84: (
        Reason.UPDATE_END,
        "The bridge received the image, checked it and rejected it.",
        "Check that the image is for this chip and is complete; the bridge's log says more.",
    ),
    0x85: (
        Reason.MANUAL_RESET,
        "The bridge was flashed over the cable and not reset by hand since.",
        "Press its reset button once, then try again.",
    ),
    0x86: (
        Reason.FLASH_CONFIG,
        "The firmware on the bridge was built for another size of flash.",
        _BOARD,
    ),
    0x87: (
        Reason.FLASH_CONFIG,
        "The new image was built for another size of flash than this bridge has.",
        _BOARD,
    ),
    0x88: (
        Reason.TOO_LARGE,
        "The bridge has not enough free flash beside the running firmware.",
        "Upload a smaller firmware first, or flash over the cable.",
    ),
    0x89: (
        Reason.TOO_LARGE,
        "The image is larger than the partition for updates on this bridge.",
        _CABLE,
    ),
    0x8A: (
        Reason.NO_PARTITION,
        "The bridge has no partition for updates.",
        _CABLE,
    ),
    0x8B: (
        Reason.DAMAGED,
        "The image arrived damaged: its checksum on the bridge is another.",
        _RETRY,
    ),
    0x8C: (
        Reason.TOO_LARGE,
        "The bridge has not enough free space in its file system for the image.",
        "Upload a smaller firmware first, or flash over the cable.",
    ),
    0x8D: (
        Reason.SIGNATURE,
        "The bridge accepts signed firmware only, and this signature is not by a key it knows.",
        "Use a release signed with the key that the running firmware trusts.",
    ),
    0x8E: (
        Reason.UNSUPPORTED_TYPE,
        "The bridge takes no upload of this type.",
        "Flash over the cable.",
    ),
    0x8F: (
        Reason.PARTITION_TABLE,
        "The bridge rejected the partition table; its flash is unchanged.",
        _CABLE,
    ),
    0x90: (
        Reason.PARTITION_TABLE,
        "The bridge failed while it wrote the partition table and may not start again.",
        "Do not restart it; repeat this update, or recover it over the cable.",
    ),
    0x91: (
        Reason.BOOTLOADER,
        "The bridge rejected the bootloader; its flash is unchanged.",
        "Flash over the cable.",
    ),
    0x92: (
        Reason.BOOTLOADER,
        "The bridge failed while it wrote the bootloader and may not start again.",
        "Do not restart it; repeat this update, or recover it over the cable.",
    ),
    0x93: (
        Reason.DOWNGRADE,
        "The bridge refuses a version that is not newer than the one it runs.",
        "Choose a newer release; an older one can only be flashed over the cable.",
    ),
    0x94: (
        Reason.ENCRYPTION_REQUIRED,
        "The bridge takes encrypted uploads only, and there is no key for it here.",
        "Enter the bridge's API encryption key.",
    ),
    0xFF: (
        Reason.UNKNOWN_ERROR,
        "The bridge gave the upload up without saying why.",
        "Look at the bridge's log, then try again.",
    ),
}


def refusal(code: int, doing: str) -> Verdict:
    """
    Return what an error byte means that came in place of an answer.

    Args:
        code: 0x80 to 0xFF; a code that is newer than this table is told by its number.
        doing: what the answer was awaited for, such as "after the size".
    """
    if not FIRST_ERROR <= code <= 0xFF:  # noqa: PLR2004 - a byte
        raise ValueError(f"0x{code:02x} is no error byte")
    reason, text, next_step = REFUSALS.get(
        code,
        (
            Reason.UNKNOWN_ERROR,
            "The bridge refused with an error that this version does not know.",
            "Look at the bridge's log; its ESPHome may be newer than this app.",
        ),
    )
    return Verdict(
        Outcome.REFUSED, reason, f"{text} It answered 0x{code:02X} {doing}.", next_step, code
    )


def wrong_key(detail: str) -> Verdict:
    """Return that the two keys are not the same."""
    return Verdict(
        Outcome.REFUSED,
        Reason.WRONG_KEY,
        f"The bridge has another encryption key than the one used here: {detail}.",
        "Enter the API encryption key that the firmware on this bridge was built with.",
    )


def bad_key(detail: str) -> Verdict:
    """Return that what is kept as a key cannot be one."""
    return Verdict(
        Outcome.REFUSED,
        Reason.WRONG_KEY,
        f"What is kept as this bridge's encryption key is none: {detail}.",
        "Enter the API encryption key again: 32 bytes as base64.",
    )


NO_PASSWORD = Verdict(
    Outcome.REFUSED,
    Reason.NO_PASSWORD,
    "The bridge asks for an upload password, and there is none for it here.",
    "Enter the password that the firmware on this bridge was built with.",
)
WEAK_AUTH = Verdict(
    Outcome.REFUSED,
    Reason.WEAK_AUTH,
    "The bridge asks for the password by MD5, which who listens can turn back into it.",
    "Allow MD5 for this bridge if its network is trusted, or flash it over the cable.",
)
NOT_ENCRYPTED = Verdict(
    Outcome.REFUSED,
    Reason.NOT_ENCRYPTED,
    "There is a key for this bridge, but what answers does not offer an encrypted upload.",
    "If its firmware is from before ESPHome 2026.9, allow one plain upload for it; otherwise"
    " find out what answers at its address.",
)
UNPROVEN = Verdict(
    Outcome.REFUSED,
    Reason.UNPROVEN,
    "What answers takes an upload without a key or password, so it does not prove who it is.",
    "Find out what answers at the bridge's address, or flash the bridge over the cable.",
)


def nonsense(detail: str) -> Verdict:
    """Return that the other side does not keep to the protocol."""
    return Verdict(
        Outcome.FAILED,
        Reason.PROTOCOL,
        f"What answers does not speak ESPHome's upload protocol: {detail}.",
        "Check that address and port are those of the bridge.",
    )


def lost(detail: str) -> Verdict:
    """Return that the connection ended before its time."""
    return Verdict(
        Outcome.FAILED,
        Reason.LOST,
        f"The connection was lost {detail}.",
        "Check the bridge's Wi-Fi signal and power, then try again.",
    )


def silent(seconds: float, doing: str) -> Verdict:
    """Return that nothing came for too long."""
    return Verdict(
        Outcome.FAILED,
        Reason.SILENT,
        f"The bridge said nothing for {seconds:g} s {doing}.",
        "Check the bridge's Wi-Fi signal and power, then try again.",
    )


def unreachable(detail: str) -> Verdict:
    """Return that nobody took the connection."""
    return Verdict(
        Outcome.FAILED,
        Reason.UNREACHABLE,
        f"Nothing took the connection: {detail}.",
        "Check that the bridge has power, is in the network and takes uploads.",
    )


def overdue(seconds: float, doing: str) -> Verdict:
    """Return that the whole took longer than it may."""
    return Verdict(
        Outcome.FAILED,
        Reason.DEADLINE,
        f"The upload was not over after {seconds:g} s; it stood {doing}.",
        "Check the bridge's Wi-Fi signal, or allow more time.",
    )


def cancelled(doing: str) -> Verdict:
    """Return that we stopped it."""
    return Verdict(Outcome.CANCELLED, Reason.CANCELLED, f"Stopped on request {doing}.", "")


def committed() -> Verdict:
    """Return that the bridge took the image."""
    return Verdict(
        Outcome.SENT,
        Reason.COMMITTED,
        "The bridge checked the image and committed it; it restarts into it now.",
        "Watch what the bridge runs.",
    )


def ambiguous(why: Verdict) -> Verdict:
    """Return the same ending after the last block was sent, when it no longer says anything."""
    return Verdict(
        Outcome.AMBIGUOUS,
        why.reason,
        f"{why.text} The whole image was on its way: the bridge may have committed it or not.",
        "Do not upload again. Watch which firmware the bridge runs.",
    )
