"""A desk of old integrations made by hand: the tests say what it shows and read what was asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.surface.hand_bridges import HOSTILE

EMPTY: dict[str, Any] = {"locked": [], "doubt": "", "entries": [], "lingering": [], "plan": None}


class HandMigration:
    """`MigrationDesk` with the picture that a test gives it; keeps what it was asked."""

    def __init__(self) -> None:
        self.now: dict[str, Any] = EMPTY
        self.plan: dict[str, Any] | None = None
        """What reading the old settings finds."""
        self.asked: list[tuple[Any, ...]] = []

    def shown(self) -> dict[str, Any]:
        return self.now

    async def look(self) -> dict[str, Any]:
        self.now = {**self.now, "plan": self.plan}
        return self.now

    async def take(self, keys: Iterable[str], by: str) -> str:
        self.asked.append(("take", sorted(keys), by))
        return "2 settings were taken over."

    async def choose(self, entry_id: str, choice: str, by: str) -> str:
        self.asked.append((choice, entry_id, by))
        if choice == "turn_off":
            raise OSError("Home Assistant did not turn it off")
        return "It stays."


LOCK = "Energy Export Monitor is active in Home Assistant."
ENTRY = {
    "entry_id": "abc",
    "name": "Energy Export Monitor",
    "title": HOSTILE,
    "standing": "active",
    "state": "loaded",
    "accepted": False,
    "can_be_turned_off": True,
}
FOUND = {**EMPTY, "locked": [LOCK], "entries": [ENTRY]}


def proposal(key: str, *, chosen: bool) -> dict[str, object]:
    return {
        "key": key,
        "value": "3000",
        "now": "0",
        "old_key": "target_export",
        "old_value": f"3000 W {HOSTILE}",
        "text": f"Think of {key}.",
        "chosen": chosen,
    }


PLAN = {
    "proposals": [
        proposal("target_export_w", chosen=True),
        proposal("tolerance_kwh", chosen=False),
    ],
    "left": [{"old_key": "artifact_repo", "old_value": HOSTILE, "text": "No counterpart."}],
    "changes": ["A discharge is stopped when an input is lost."],
}
