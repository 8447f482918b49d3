"""
A mirror of the few entity states we asked Core for, kept current by Core's own differences.

Core's `subscribe_entities` first sends every wanted entity in full, then only what changed, in
single letters: `a` added, `c` changed, `r` removed; inside of these `s` state, `a` attributes,
`lc` last changed and `lu` last updated (left out where it equals `lc`).

Source: Home Assistant Core 2024.1 and 2026.11, `websocket_api/messages.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EntityState:
    """One entity as Core last told us."""

    entity_id: str
    state: str
    attributes: Mapping[str, Any]
    last_changed: float
    """Core's wall clock, seconds since 1970: when the state text last became another one."""
    last_updated: float
    """The same, for the text or any attribute."""
    arrived_s: float
    """Our monotonic clock: when this state reached us."""
    live: bool
    """It was told as a change while we listened; otherwise it is a stock-taking and may be old."""

    @property
    def unit(self) -> str | None:
        """Return the unit that the entity itself claims."""
        unit = self.attributes.get("unit_of_measurement")
        return unit if isinstance(unit, str) and unit else None

    @property
    def restored(self) -> bool:
        """True for a placeholder that Core shows before the integration has loaded."""
        return bool(self.attributes.get("restored"))


class EntityMirror:
    """Applies the events of one subscription after another to the same set of states."""

    def __init__(self) -> None:
        self.states: dict[str, EntityState] = {}

    def replace(self, event: Mapping[str, Any], now_s: float) -> set[str]:
        """Take the first event of a subscription; return the ids that it told or took away."""
        before = self.states
        self.states = {}
        for entity_id, full in event.get("a", {}).items():
            self._add(entity_id, full, now_s, live=False)
        return before.keys() | self.states.keys()

    def apply(self, event: Mapping[str, Any], now_s: float) -> set[str]:
        """Take a later event; return the ids it touched."""
        for entity_id, full in event.get("a", {}).items():
            self._add(entity_id, full, now_s, live=True)
        for entity_id, difference in event.get("c", {}).items():
            self._change(entity_id, difference, now_s)
        removed = event.get("r", [])
        for entity_id in removed:
            self.states.pop(entity_id, None)
        return {*event.get("a", {}), *event.get("c", {}), *removed}

    def _add(self, entity_id: str, full: Mapping[str, Any], now_s: float, *, live: bool) -> None:
        changed = float(full["lc"])
        self.states[entity_id] = EntityState(
            entity_id,
            str(full["s"]),
            dict(full.get("a", {})),
            changed,
            float(full.get("lu", changed)),
            now_s,
            live,
        )

    def _change(self, entity_id: str, difference: Mapping[str, Any], now_s: float) -> None:
        old = self.states.get(entity_id)
        if old is None:  # a change of something we were never told about cannot be completed
            return
        plus = difference.get("+", {})
        attributes = {**old.attributes, **plus.get("a", {})}
        for name in difference.get("-", {}).get("a", ()):
            attributes.pop(name, None)
        changed = float(plus.get("lc", old.last_changed))
        updated = float(plus.get("lu", plus.get("lc", old.last_updated)))
        state = str(plus.get("s", old.state))
        self.states[entity_id] = EntityState(
            entity_id, state, attributes, changed, updated, now_s, live=True
        )
