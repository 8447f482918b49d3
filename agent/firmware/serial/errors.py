"""
What went wrong on the cable, in words for the person who holds it.

esptool has no error codes: what it means stands in the type of its exception, in its text and in
what was going on. This room turns the three into a code that a program can act on, a sentence,
and what to do next; esptool's own words stay for the log.

Source: esptool.md, sections 1.6 to 1.8; esptool's troubleshooting guide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from agent.firmware.serial.models import Phase


class SerialCode(StrEnum):
    """Stable words for journal, page and exit codes."""

    PORT_MISSING = "port-missing"
    PORT_BUSY = "port-busy"
    PORT_FORBIDDEN = "port-forbidden"
    PORT_AMBIGUOUS = "port-ambiguous"
    NO_ANSWER = "no-answer"
    WRONG_BOOT_MODE = "wrong-boot-mode"
    ONE_WAY = "one-way"
    NOT_DOWNLOADING = "not-downloading"
    UNKNOWN_CHIP = "unknown-chip"
    STUB_FAILED = "stub-failed"
    LINE_BROKE = "line-broke"
    UNPLUGGED = "unplugged"
    REJECTED = "rejected"
    NOT_KEPT = "not-kept"
    FLASH_SILENT = "flash-silent"
    SECURE_BOOT = "secure-boot"
    FLASH_ENCRYPTION = "flash-encryption"
    SECURE_DOWNLOAD = "secure-download"
    WRONG_DEVICE = "wrong-device"
    WRONG_CHIP = "wrong-chip"
    CHIP_REVISION = "chip-revision"
    FLASH_TOO_SMALL = "flash-too-small"
    IMAGE_CHANGED = "image-changed"
    BAD_PLAN = "bad-plan"
    SETTINGS_LOST = "settings-lost"
    BACKUP_FAILED = "backup-failed"
    """What was read is not what the flash holds."""
    BACKUP_UNSAVED = "backup-unsaved"
    """It was read well, and the disk did not take it."""
    TOO_SLOW = "too-slow"
    WORKER_DIED = "worker-died"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason against going on."""

    code: SerialCode
    text: str
    """What is wrong, as sentences."""
    next_step: str
    """What to do about it."""


class SerialError(Exception):
    """
    A job on a cable that did not succeed.

    Attributes:
        code: what a program can act on.
        text: what happened, as sentences.
        next_step: what to do.
        detail: the tool's own words, printable, for the log; "" if there are none.
        touched: something had been erased or written: the device needs flashing.
    """

    def __init__(self, why: Refusal, *, detail: str = "", touched: bool = False) -> None:
        super().__init__(f"{why.text} {why.next_step}")
        self.code, self.text, self.next_step = why.code, why.text, why.next_step
        self.detail, self.touched = detail, touched


HOLD_BOOT = (
    "Hold BOOT on the bridge, press and release RESET, release BOOT after two seconds, and try "
    "again. If nothing helps, take another cable: many only charge."
)
_AGAIN = "Try again; if it repeats, take a shorter cable and another USB socket."

_WORDS: dict[SerialCode, tuple[str, str]] = {
    SerialCode.PORT_MISSING: (
        "The port is not there.",
        (
            "Plug the bridge in and look at the list again. If it does not appear, the cable may "
            "only charge: take one that carries data."
        ),
    ),
    SerialCode.PORT_BUSY: (
        "Another program uses the port.",
        "Stop it: a serial monitor, another flasher, or an integration that uses this stick.",
    ),
    SerialCode.PORT_FORBIDDEN: (
        "The agent may not open the port.",
        (
            "In Home Assistant, update the app and start it again. Elsewhere, let its user into "
            "the group of the port, mostly dialout."
        ),
    ),
    SerialCode.NO_ANSWER: ("Nothing answers on the port.", HOLD_BOOT),
    SerialCode.WRONG_BOOT_MODE: (
        "The bridge started its own program instead of its boot loader.",
        HOLD_BOOT,
    ),
    SerialCode.ONE_WAY: (
        "The bridge waits for a download and does not hear us.",
        (
            "Its receive line is broken or taken: remove what is wired to its serial pins, or take "
            "another cable."
        ),
    ),
    SerialCode.NOT_DOWNLOADING: (
        "Something talks on the port, but it is no boot loader.",
        f"Check that it is the right port. {HOLD_BOOT}",
    ),
    SerialCode.UNKNOWN_CHIP: (
        "The chip on the port is of a kind that this version does not know.",
        "Check that it is the right port; otherwise update the app.",
    ),
    SerialCode.STUB_FAILED: (
        "The chip took the flasher's helper program and did not run it.",
        _AGAIN,
    ),
    SerialCode.LINE_BROKE: ("The connection broke off or was disturbed.", _AGAIN),
    SerialCode.UNPLUGGED: (
        "The port vanished.",
        "Plug the bridge in again, push the plug home, and repeat the job.",
    ),
    SerialCode.REJECTED: ("The chip refused what it was sent.", _AGAIN),
    SerialCode.NOT_KEPT: (
        "What was written is not what the flash holds.",
        "Write it again. If it repeats, the flash chip or its power supply is bad.",
    ),
    SerialCode.FLASH_SILENT: (
        "The flash chip of the bridge does not answer.",
        "Remove everything that is wired to its pins and try again; otherwise it is broken.",
    ),
    SerialCode.SECURE_BOOT: (
        "The chip has secure boot switched on and starts only what its owner has signed.",
        "It cannot be recovered with this image. Use the tools of whoever locked it.",
    ),
    SerialCode.FLASH_ENCRYPTION: (
        "The chip encrypts its flash, and a plain image would never start.",
        "It cannot be recovered with this image. Use the tools of whoever locked it.",
    ),
    SerialCode.SECURE_DOWNLOAD: (
        "The chip is in secure download mode: it can be neither read nor verified.",
        "It cannot be recovered with this image. Use the tools of whoever locked it.",
    ),
    SerialCode.FLASH_TOO_SMALL: (
        "The image does not fit into the flash.",
        "Choose a release for this board.",
    ),
    SerialCode.WRONG_CHIP: (
        "The image is made for another chip.",
        "Choose a release for this chip.",
    ),
    SerialCode.CHIP_REVISION: (
        "The image is not made for this revision of the chip.",
        "Choose a release for this board.",
    ),
    SerialCode.TOO_SLOW: ("It took longer than it ever should.", HOLD_BOOT),
    SerialCode.WORKER_DIED: ("The flashing process ended without an answer.", "Try again."),
    SerialCode.UNEXPECTED: (
        "Something happened that this program has no words for.",
        "Try again, and report it with the log if it repeats.",
    ),
}

_PORT_FAILURES = {"SerialException", "OSError", "PortNotOpenError", "error"}
"""By name, of pyserial, of the kernel and of termios."""
_LINE = (
    r"No serial data received|No more data to read|stream stopped|transfer stopped|"
    r"Invalid head of packet|Invalid SLIP escape|doesn't match request|Corrupt data|"
    r"Digest mismatch|Expected digest|Serial errors|Write timeout|Guru Meditation|"
    r"Unexpected response|Only got \d+ byte"
)
_TEXTS: tuple[tuple[str, SerialCode], ...] = (
    (r"exclusively lock|Errno 16|Device or resource busy|multiple access", SerialCode.PORT_BUSY),
    (r"Errno 13|Permission denied", SerialCode.PORT_FORBIDDEN),
    (r"Could not open .*Errno 2\b|FileNotFound|No such file", SerialCode.PORT_MISSING),
    (r"Errno [56]\b|Input/output error|No such device", SerialCode.UNPLUGGED),
    (r"Wrong boot mode", SerialCode.WRONG_BOOT_MODE),
    (r"TX path seems to be down", SerialCode.ONE_WAY),
    (r"Unexpected chip (ID|magic) value", SerialCode.UNKNOWN_CHIP),
    (r"Failed to start stub", SerialCode.STUB_FAILED),
    (r"MD5 of file does not match|flash region is empty", SerialCode.NOT_KEPT),
    (r"will not fit in", SerialCode.FLASH_TOO_SMALL),
    (r"is not an .* image|does not contain an .* image", SerialCode.WRONG_CHIP),
    (r"requires chip revision", SerialCode.CHIP_REVISION),
    (r"[Ff]lash encryption", SerialCode.FLASH_ENCRYPTION),
    (r"Secure Boot", SerialCode.SECURE_BOOT),
    (r"secure download mode", SerialCode.SECURE_DOWNLOAD),
    (_LINE, SerialCode.LINE_BROKE),
    (r"Failed to .*\(result was", SerialCode.REJECTED),
)


def words(code: SerialCode) -> Refusal:
    """Return the usual words for a code."""
    return Refusal(code, *_WORDS.get(code, _WORDS[SerialCode.UNEXPECTED]))


def explain(kind: str, text: str, phase: Phase) -> Refusal:
    """
    Return what an exception of esptool means.

    Args:
        kind: name of its type.
        text: its words.
        phase: what was going on.
    """
    found = next((code for pattern, code in _TEXTS if re.search(pattern, text, re.DOTALL)), None)
    if "Failed to connect" in text and found in {None, SerialCode.LINE_BROKE}:
        noise = re.search(r"Invalid head of packet|Invalid SLIP|Guru Meditation", text)
        found = SerialCode.NOT_DOWNLOADING if noise else SerialCode.NO_ANSWER
    if kind in _PORT_FAILURES and phase is not Phase.CONNECT:
        # A port that is read and is not there any more says "multiple access" as well.
        found = SerialCode.UNPLUGGED
    return words(found or SerialCode.UNEXPECTED)
