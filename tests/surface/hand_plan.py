"""A plan and its desk, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from agent.export.snapshot import PlanPicture, PlanPoint, PlanSource, PlanWindow, Reason
from agent.surface.desk import PlanRefusedError
from tests.surface.desks import NOON
from tests.surface.hand_bridges import HOSTILE

HALF_HOUR = timedelta(minutes=30)
WHY = Reason("best_hours", f"Exports at 264 g/kWh {HOSTILE}")


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


def point(number: int, action: str, battery_w: float) -> PlanPoint:
    begins = NOON + number * HALF_HOUR
    return PlanPoint(
        begins, begins + HALF_HOUR, action, 900, 400, battery_w, 0, 60, 150.0, 0.2, None
    )


def picture(made: datetime = NOON, **changes: object) -> PlanPicture:
    points = tuple(
        point(n, "discharge" if n in (0, 1) else "charge" if n == 30 else "self_consumption",
              2000 if n in (0, 1) else -3000 if n == 30 else -200)
        for n in range(48)
    )  # fmt: skip
    windows = (
        PlanWindow("discharge", NOON, NOON + 2 * HALF_HOUR, 1800, 2000, 40, WHY),
        PlanWindow("charge", NOON + 30 * HALF_HOUR, NOON + 31 * HALF_HOUR, 1500, -3000, 55, WHY),
    )
    sources = (
        PlanSource("pv", "sensor.solcast", NOON + timedelta(days=1), ""),
        PlanSource("buy", "buy_tariff", None, "no price is known"),
    )
    found = PlanPicture(
        made, "solver", "carbon", "GBP", Reason("solved", "The best plan for this forecast."),
        949.4, points, windows, sources,
    )  # fmt: skip
    return replace(found, **changes)  # type: ignore[arg-type]
