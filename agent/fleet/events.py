"""
What happens to a bridge, as the journal keeps it: a kind that stays, a sentence, figures.

A person who looks at a bad night has to see at once which of them it was: a crash, a hang, a
restart that somebody wanted, a key that no longer fits. A device that crashes again and again may
not fill the journal with it: what is too much is counted, and the count is told.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from agent.fleet.contact import ContactState
from agent.fleet.identity import Mac


class EventKind(StrEnum):
    """The kinds of events; docs/logging.md says when each is written."""

    ONLINE = "bridge_online"
    GOODBYE = "bridge_goodbye"
    CRASHED = "bridge_crashed"
    HUNG = "bridge_hung"
    LOST = "bridge_lost"
    SAFE_MODE = "bridge_safe_mode"
    KEY_MISSING = "bridge_key_missing"
    WRONG_KEY = "bridge_wrong_key"
    NOT_ENCRYPTED = "bridge_not_encrypted"
    WRONG_DEVICE = "bridge_wrong_device"


OF_STATE: Mapping[ContactState, EventKind] = MappingProxyType(
    {
        ContactState.ONLINE: EventKind.ONLINE,
        ContactState.RESTARTING: EventKind.GOODBYE,
        ContactState.CRASHED: EventKind.CRASHED,
        ContactState.HUNG: EventKind.HUNG,
        ContactState.UNREACHABLE: EventKind.LOST,
        ContactState.SAFE_MODE: EventKind.SAFE_MODE,
        ContactState.KEY_MISSING: EventKind.KEY_MISSING,
        ContactState.WRONG_KEY: EventKind.WRONG_KEY,
        ContactState.NOT_ENCRYPTED: EventKind.NOT_ENCRYPTED,
        ContactState.WRONG_DEVICE: EventKind.WRONG_DEVICE,
    }
)
"""Which event the beginning of a state is; there is none for a mere attempt."""


TEXTS: Mapping[EventKind, str] = MappingProxyType(
    {
        EventKind.ONLINE: "It is connected.",
        EventKind.GOODBYE: "It left safe mode and is expected back.",
        EventKind.CRASHED: "It was reset.",
        EventKind.HUNG: "It takes connections and answers nothing: its firmware hangs.",
        EventKind.LOST: "It does not answer: no power or no network.",
        EventKind.SAFE_MODE: "It takes uploads and nothing else: it runs in safe mode.",
    }
)
"""What to say where nobody knows more."""


@dataclass(frozen=True, slots=True)
class BridgeEvent:
    """One thing that happened to one bridge."""

    kind: EventKind
    text: str
    mac: Mac | None
    """`None` while nobody knows who answers at the address."""
    at_s: float
    """On our monotonic clock."""
    figures: Mapping[str, str | float] = field(default_factory=lambda: MappingProxyType({}))


BURST = 30
"""So many events of one device are written down whatever their pace: a bad night, whole."""
REFILL_S = 120.0
"""Afterwards one in this time."""


class Pace:
    """Decides which events of a device that never rests are still written down."""

    def __init__(self) -> None:
        self._left: dict[Hashable, tuple[float, float, int]] = {}

    def admitted(self, whose: Hashable, now_s: float) -> int | None:
        """Return how many were left out before this one, `None` if it is left out too."""
        left, at_s, left_out = self._left.get(whose, (float(BURST), now_s, 0))
        left = min(float(BURST), left + (now_s - at_s) / REFILL_S)
        if left < 1:
            self._left[whose] = left, now_s, left_out + 1
            return None
        self._left[whose] = left - 1, now_s, 0
        return left_out
