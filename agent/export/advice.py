"""
What a plan asks of the guard at this moment, and what the guard remembers of following it.

Advice is renewed like a lease: it says until when it holds, and a wish that follows it ends then by
itself, whatever became of the planner.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.export.commitments import Purpose

PLAN = "plan"
"""Who wished, in the journal and on the page, when it was a plan."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What the plan wants now; without a purpose it wants nothing."""

    purpose: Purpose | None = None
    power_w: float = 0.0
    """Discharge: grid export at the connection point. Charge, and share of the sun:
    into the battery."""
    window_ends: datetime | None = None
    """End of the planned window."""
    until: datetime | None = None
    """End of the wish, unless the advice is renewed by then."""
    text: str = ""
    """Why the window was planned, as a sentence."""


@dataclass(frozen=True, slots=True)
class Following:
    """How the guard stands to the plan's windows."""

    ends: datetime | None = None
    """End of the window whose wish is carried out."""
    declined_until: datetime | None = None
    """Somebody stopped it, or it failed: no wish of the plan before this, the window's end."""
    again_s: float = 0.0
    """Monotonic: no other try before this, after a window that could go no further."""
