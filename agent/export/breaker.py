"""
A circuit breaker that blocks new operations, and nothing else.

After a run of failures it is wiser to wait than to try again at once. Supervision, stopping
and reading never pass through here: an open breaker must fail to *stop*, not to *skip*.

Source: the production guide (5 failures, 60 s); control.md case 37; defect D-02's fifth step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Breaker:
    """Failures in a row, and when the last one was."""

    failures: int = 0
    last_failure_s: float | None = None
    last_failure_at: datetime | None = None

    def failed(self, now_s: float, at: datetime) -> Breaker:
        """Return the breaker after one more failure."""
        return replace(self, failures=self.failures + 1, last_failure_s=now_s, last_failure_at=at)

    def succeeded(self) -> Breaker:
        """Return the breaker after a success: the run of failures is over."""
        return self if self.failures == 0 else replace(self, failures=0)

    def retry_in_s(self, now_s: float, threshold: int, pause_s: float) -> float:
        """Return the seconds until new operations are allowed again; 0 when they are."""
        if self.failures < threshold or self.last_failure_s is None:
            return 0.0
        return max(0.0, self.last_failure_s + pause_s - now_s)
