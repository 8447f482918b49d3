"""A plan desk made by hand."""

from __future__ import annotations

from collections.abc import Mapping

from agent.export.snapshot import PlanPicture
from agent.surface.desk import PlanRefusedError


class HandPlan:
    """`PlanDesk` with the answer that a test gives it."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []
        self.answer: PlanPicture | Exception = PlanRefusedError("not_here", "Nothing plans here.")

    async def preview(self, changes: Mapping[str, object]) -> PlanPicture:
        self.asked.append(dict(changes))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
