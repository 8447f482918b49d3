"""A desk of old integrations made by hand: the tests say what it shows and read what was asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
