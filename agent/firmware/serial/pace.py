"""
How fast, how long, and when to try again more slowly.

A retry inside esptool does not recover a lost answer; a fresh process with a fresh reset and a
lower speed does. What the chip forbids, and what is simply the wrong device, is never tried twice.

Source: esptool.md, section 0 (2, 3), 1.4, 1.5 and 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.firmware.serial.errors import SerialCode
from agent.firmware.serial.models import Phase

_BITS_PER_BYTE = 10
_MIB = 1 << 20
_ROM_READ_BYTES_PER_S = 2_000


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to try."""

    baud: int
    """Bits per second."""
    stub: bool
    """With esptool's helper program on the chip."""


LADDER = (Rung(460_800, True), Rung(230_400, True), Rung(115_200, True), Rung(115_200, False))
"""From fast to patient; faster than the first, cheap converters fail."""

_SLOWER = {
    SerialCode.LINE_BROKE,
    SerialCode.REJECTED,
    SerialCode.UNPLUGGED,
    SerialCode.TOO_SLOW,
    SerialCode.WORKER_DIED,
}
_ONCE = {SerialCode.NOT_KEPT, SerialCode.BACKUP_FAILED}


def next_rung(rung: Rung, code: SerialCode, ladder: tuple[Rung, ...] = LADDER) -> Rung | None:
    """Return how to try again after a failure, `None` if that would help nobody."""
    place = ladder.index(rung)
    if code is SerialCode.STUB_FAILED:
        # A slower line does not make a chip run what it did not run.
        without = [it for it in ladder[place + 1 :] if not it.stub]
        return without[0] if without else None
    if code in _SLOWER or (code in _ONCE and place == 0):
        return ladder[place + 1] if place + 1 < len(ladder) else None
    return None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait; what a person with a cable never needs to change."""

    connect_attempts: int = 7
    """Each takes about a second."""
    greeting_s: float = 3.0
    """For the helper program's hello."""
    reappear_s: float = 15.0
    """For a port that has vanished."""
    listen_s: float = 20.0
    """For a start to be judged by what the bridge prints."""
    factor: float = 1.0
    """Of every limit of a phase."""

    def limit_s(self, phase: Phase, size: int, rung: Rung) -> float:
        """
        Return after how long a phase is hopeless.

        Args:
            phase: what goes on.
            size: bytes that it moves or looks at.
            rung: how.
        """
        wire_s = size * _BITS_PER_BYTE / rung.baud
        match phase:
            case Phase.CONNECT:
                limit_s = 15 + 5.0 * self.connect_attempts
            case Phase.READ:
                slow_s = 0.0 if rung.stub else size / _ROM_READ_BYTES_PER_S
                limit_s = 30 + 3 * wire_s + slow_s
            case Phase.COMPARE:
                limit_s = 30 + 10 * size / _MIB
            case Phase.WRITE:
                limit_s = 60 + 2 * wire_s + 90 * size / _MIB
            case Phase.OBSERVE:
                limit_s = 30 + self.listen_s
            case _:
                limit_s = 30.0
        return limit_s * self.factor
