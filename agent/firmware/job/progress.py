"""
How far a job is, how fast it goes and how long it will take.

The number never goes back: stages have their spans between 0 and 100, and what is shown is the
furthest that was reached. A failed job keeps the number at which it failed.

Pure functions.

Source: pvautonomy.md 4.2 and defect D-19 (50 went back to 30).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.firmware.job.models import Stage, Way

SPANS = {
    Stage.INIT: (0.0, 0.0),
    Stage.PREFLIGHT: (2.0, 10.0),
    Stage.DOWNLOAD: (10.0, 25.0),
    Stage.VERIFY: (25.0, 30.0),
    Stage.UPLOAD: (30.0, 80.0),
    Stage.POSTCHECK: (80.0, 99.0),
    Stage.COMPLETE: (100.0, 100.0),
}
CABLE_SPANS = {
    Stage.INIT: (0.0, 0.0),
    Stage.CONNECT: (1.0, 2.0),
    Stage.IDENTIFY: (2.0, 5.0),
    Stage.CHECK: (5.0, 12.0),
    Stage.BACKUP: (12.0, 20.0),
    Stage.ERASE: (20.0, 22.0),
    Stage.WRITE: (22.0, 80.0),
    Stage.VERIFY: (80.0, 86.0),
    Stage.RESET: (86.0, 92.0),
    Stage.OBSERVE: (92.0, 99.0),
    Stage.COMPLETE: (100.0, 100.0),
}


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes on their way."""

    began_s: float
    at_s: float
    bytes_done: int
    bytes_total: int

    @property
    def rate_bytes_s(self) -> float | None:
        """Return the mean speed so far, `None` before there is one."""
        for_s = self.at_s - self.began_s
        return self.bytes_done / for_s if for_s > 0 and self.bytes_done > 0 else None

    @property
    def left_s(self) -> float | None:
        """Return how long the rest takes at this speed."""
        rate = self.rate_bytes_s
        return (self.bytes_total - self.bytes_done) / rate if rate else None

    @property
    def done(self) -> float:
        """Return how much is there, from 0 to 1."""
        return self.bytes_done / self.bytes_total if self.bytes_total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """What is shown of a job that runs."""

    percent: float = 0.0
    text: str = ""
    rate_bytes_s: float | None = None
    left_s: float | None = None
    way: str = Way.OTA


def reached(before: Progress, stage: Stage, done: float, text: str = "") -> Progress:
    """Return the progress at that point of a stage; `done` is clipped to 0 to 1."""
    spans = CABLE_SPANS if before.way == Way.SERIAL else SPANS
    low, high = spans.get(stage, (before.percent, before.percent))
    percent = low + (high - low) * min(1.0, max(0.0, done))
    return Progress(max(before.percent, percent), text or before.text, way=before.way)


def moving(before: Progress, stage: Stage, transfer: Transfer, then_s: float = 0.0) -> Progress:
    """Return the progress of a transfer; `then_s` is what comes after it in any case."""
    now = reached(before, stage, transfer.done)
    left_s = transfer.left_s
    return replace(
        now,
        rate_bytes_s=transfer.rate_bytes_s,
        left_s=None if left_s is None else left_s + then_s,
    )
