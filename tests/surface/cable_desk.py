"""A desk of cables made by hand: the tests say what it shows and read what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.surface.cable_desk import CableWish
from tests.surface.desks import Told

NOTHING = {"accepted": False, "code": "no-release", "text": "There is none.", "refusals": []}


class HandRecovery:
    """`RecoveryDesk` with the picture that a test gives it; keeps what it was asked."""

    def __init__(self) -> None:
        self.now: dict[str, Any] = {
            "writes": True,
            "fault": "",
            "ports": [],
            "jobs": [],
            "needs_flashing": [],
        }
        self.asked: list[tuple[Any, ...]] = []
        self.code = ""
        """Why wishes are refused."""
        self.checks: Callable[[CableWish], dict[str, Any]] = lambda _: NOTHING
        self._wakes: list[Callable[[], None]] = []

    def shown(self) -> dict[str, Any]:
        return self.now

    def show(self, **changes: Any) -> None:
        self.now = {**self.now, **changes}
        for wake in tuple(self._wakes):
            wake()

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake)

    def _take(self, *what: Any) -> Told:
        self.asked.append(what)
        if self.code:
            return Told(accepted=False, code=self.code, text="Not now.")
        return Told(accepted=True, code="init", text="It was done.", job="j1")

    async def identify(self, port: str, by: str, *, insist: bool) -> Told:
        return self._take("identify", port, insist)

    async def check(self, wish: CableWish, by: str) -> dict[str, Any]:
        return self.checks(wish)

    async def write(self, wish: CableWish, by: str) -> Told:
        return self._take("write", wish)

    async def cancel(self, job: str, by: str, *, insist: bool) -> Told:
        return self._take("cancel", job, insist)

    def log(self, job: str) -> str | None:
        return None
