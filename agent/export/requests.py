"""What a person, a plan or Home Assistant may ask of the guard, and the guard's answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RequestKind(StrEnum):
    """One thing that can be asked."""

    START_DISCHARGE = "start_discharge"
    STOP_DISCHARGE = "stop_discharge"
    START_CHARGE = "start_charge"
    STOP_CHARGE = "stop_charge"
    EMERGENCY_STOP = "emergency_stop"
    """Stops whatever the battery was told and stays stopped until acknowledged."""
    ACKNOWLEDGE = "acknowledge"
    """Releases a safety latch by hand."""
    COMMISSION = "commission"
    """Runs the commissioning test: 300 W for 30 s, which must end unaided."""
    COMMISSION_FULL = "commission_full"
    """The same, and then a stronger dispatch that is written twice and moves the export counter."""
    CALCULATE = "calculate"
    """Decide again now."""
    RESET_STATISTICS = "reset_statistics"
    """Counts starts and stops from zero, and forgets the last action."""


STOPS = frozenset({RequestKind.STOP_DISCHARGE, RequestKind.STOP_CHARGE, RequestKind.EMERGENCY_STOP})
"""Open to any logged-in user, without a lookup."""


@dataclass(frozen=True, slots=True)
class Request:
    """One wish, and whose it is."""

    kind: RequestKind
    by: str
    """Who asked, as the journal shall show it: `page: Anna`, `mqtt`, `stdin`, `demo`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the guard made of a request, at once; the effect is seen in its state."""

    accepted: bool
    code: str
    """Stable, for programs: `accepted`, `observe_mode`, `target_is_zero` ..."""
    text: str
    """One sentence for people; for a refusal with the next step."""
