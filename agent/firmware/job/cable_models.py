"""
What is known of a bridge on a cable while a job recovers it, and how its steps can fail.

None of it outlives the agent: nobody knows who has pulled which plug meanwhile, so a job over the
cable is never taken up again after a restart, only told for what it left behind.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.firmware.serial.boot_log import BootReport
from agent.firmware.serial.errors import SerialCode, SerialError
from agent.firmware.serial.models import FlashPlan, SerialDevice


@dataclass(frozen=True, slots=True)
class Trouble:
    """A step that did not succeed."""

    code: str
    """`agent.firmware.serial.errors.SerialCode`, `agent.firmware.policy.models.Code`, `fault`."""
    text: str
    """Sentences, with what to do."""
    touched: bool = False
    """Something had been erased or written."""

    @property
    def way(self) -> bool:
        """True if the cable, the port or the chip's answers were at fault: try again."""
        return self.code in _WAY


_WAY = frozenset(
    {
        *(SerialCode.PORT_MISSING, SerialCode.PORT_BUSY, SerialCode.PORT_FORBIDDEN),
        *(SerialCode.NO_ANSWER, SerialCode.WRONG_BOOT_MODE, SerialCode.ONE_WAY),
        *(SerialCode.NOT_DOWNLOADING, SerialCode.STUB_FAILED, SerialCode.LINE_BROKE),
        *(SerialCode.UNPLUGGED, SerialCode.REJECTED, SerialCode.NOT_KEPT),
        *(SerialCode.FLASH_SILENT, SerialCode.BACKUP_FAILED, SerialCode.BACKUP_UNSAVED),
        *(SerialCode.TOO_SLOW, SerialCode.WORKER_DIED),
    }
)


def trouble_of(error: SerialError) -> Trouble:
    """Return what a failure on the cable means for a job."""
    return Trouble(str(error.code), f"{error.text} {error.next_step}".strip(), error.touched)


@dataclass(frozen=True, slots=True)
class CableFacts:
    """What one run has learnt so far; `None` where nobody has looked yet."""

    looks: bool = True
    """Somebody can see whether the bridge is on the network."""
    device: SerialDevice | None = None
    plan: FlashPlan | None = None
    planned_s: float = 0.0
    """When policy and guards were asked, on our monotonic clock."""
    same: bool = False
    """All of the plan was found on the flash already."""
    backed_up: bool = False
    erased: bool = False
    proven: bool = False
    boot: BootReport | None = None
    trouble: Trouble | None = None
    """Why the last step failed."""
