"""esptool's words become a code, a sentence and a next step; the ladder acts on the code."""

from __future__ import annotations

import pytest

from agent.firmware.serial.errors import SerialCode, explain, words
from agent.firmware.serial.models import Phase
from agent.firmware.serial.pace import LADDER, Patience, Rung, next_rung

BUSY = "Could not open /dev/ttyUSB0, the port is busy or doesn't exist.\n({})\n"


@pytest.mark.parametrize(
    ("kind", "text", "phase", "code"),
    [
        ("FatalError", BUSY.format("[Errno 11] Could not exclusively lock port /dev/ttyUSB0: "
         "[Errno 11] Resource temporarily unavailable"), Phase.CONNECT, SerialCode.PORT_BUSY),
        ("FatalError", BUSY.format("[Errno 16] could not open port /dev/ttyUSB0: Device or "
         "resource busy"), Phase.CONNECT, SerialCode.PORT_BUSY),
        ("FatalError", BUSY.format("[Errno 13] could not open port: Permission denied"),
         Phase.CONNECT, SerialCode.PORT_FORBIDDEN),
        ("FatalError", BUSY.format("[Errno 2] could not open port /dev/ttyUSB0: No such file"),
         Phase.CONNECT, SerialCode.PORT_MISSING),
        ("FatalError", ("Failed to connect to Espressif device: No serial data received.\nFor "
         "troubleshooting"), Phase.CONNECT, SerialCode.NO_ANSWER),
        ("FatalError", ("Failed to connect to Espressif device: Wrong boot mode detected (0x13)! "
         "The chip needs to be in download mode."), Phase.CONNECT, SerialCode.WRONG_BOOT_MODE),
        ("FatalError", ("Failed to connect to Espressif device: Download mode successfully "
         "detected, but getting no sync reply: The serial TX path seems to be down."),
         Phase.CONNECT, SerialCode.ONE_WAY),
        ("FatalError", ("Failed to connect to Espressif device: Invalid head of packet (0x72): "
         "Possible serial noise or corruption."), Phase.CONNECT, SerialCode.NOT_DOWNLOADING),
        ("SerialException", ("device reports readiness to read but returned no data (device "
         "disconnected or multiple access on port?)"), Phase.WRITE, SerialCode.UNPLUGGED),
        ("SerialException", ("device reports readiness to read but returned no data (device "
         "disconnected or multiple access on port?)"), Phase.CONNECT, SerialCode.PORT_BUSY),
        ("OSError", "[Errno 5] Input/output error", Phase.READ, SerialCode.UNPLUGGED),
        ("FatalError", ("Failed to write compressed data to flash after seq 3 (result was 0107: "
         "Operation timed out)"), Phase.WRITE, SerialCode.REJECTED),
        ("FatalError", "Write failed, the written flash region is empty.", Phase.WRITE,
         SerialCode.NOT_KEPT),
        ("FatalError", ("Detected flash encryption and secure download mode enabled.\nFlashing "
         "plaintext binary may brick your device!"), Phase.WRITE, SerialCode.FLASH_ENCRYPTION),
        ("FatalError", "Secure Boot V1 detected, writing to flash regions < 0x8000 is disabled",
         Phase.WRITE, SerialCode.SECURE_BOOT),
        ("ZeroDivisionError", "division by zero", Phase.WRITE, SerialCode.UNEXPECTED),
    ],
)  # fmt: skip
def test_what_esptool_says_is_understood(
    kind: str, text: str, phase: Phase, code: SerialCode
) -> None:
    assert explain(kind, text, phase).code is code


def test_every_code_that_esptool_can_cause_has_its_own_words_and_a_next_step() -> None:
    ours = {SerialCode.PORT_AMBIGUOUS, SerialCode.WRONG_DEVICE, SerialCode.IMAGE_CHANGED,
            SerialCode.BAD_PLAN, SerialCode.SETTINGS_LOST, SerialCode.BACKUP_FAILED,
            SerialCode.BACKUP_UNSAVED}  # fmt: skip
    for code in set(SerialCode) - ours - {SerialCode.UNEXPECTED}:
        why = words(code)
        assert why.text != words(SerialCode.UNEXPECTED).text, code
        assert why.text.endswith("."), code
        assert why.next_step.endswith("."), code


FOREVER = {SerialCode.SECURE_BOOT, SerialCode.FLASH_ENCRYPTION, SerialCode.SECURE_DOWNLOAD,
           SerialCode.WRONG_DEVICE, SerialCode.WRONG_CHIP, SerialCode.IMAGE_CHANGED,
           SerialCode.FLASH_TOO_SMALL, SerialCode.PORT_BUSY, SerialCode.NO_ANSWER}  # fmt: skip


@pytest.mark.parametrize("code", sorted(FOREVER))
def test_what_a_slower_try_cannot_cure_is_not_tried_again(code: SerialCode) -> None:
    assert all(next_rung(rung, code) is None for rung in LADDER)


def test_a_broken_line_is_tried_more_slowly_until_the_rom_alone_has_tried() -> None:
    rungs = [LADDER[0]]
    while (slower := next_rung(rungs[-1], SerialCode.LINE_BROKE)) is not None:
        rungs.append(slower)
    assert tuple(rungs) == LADDER
    assert next_rung(LADDER[0], SerialCode.STUB_FAILED) == LADDER[3]
    assert next_rung(LADDER[1], SerialCode.NOT_KEPT) is None


@pytest.mark.parametrize("rung", LADDER)
@pytest.mark.parametrize("phase", list(Phase))
def test_no_limit_is_shorter_than_the_wire_and_the_flash_need(phase: Phase, rung: Rung) -> None:
    size = 4 << 20
    wire_s = size * 10 / rung.baud
    moves = phase in {Phase.WRITE, Phase.READ}
    assert Patience().limit_s(phase, size, rung) > (2 * wire_s if moves else 10)
