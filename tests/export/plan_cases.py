"""Questions for the planner, and the rules that no answer may break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agent.export.plan_problem import (
    Aim,
    Battery,
    Objective,
    Problem,
    Site,
    Slot,
    allowance_starts_wh,
)
from agent.export.plan_rollout import Action, Step
from agent.export.planner import Plan

HALF_HOUR = timedelta(minutes=30)
MIDNIGHT = datetime(2026, 7, 1, tzinfo=UTC)
BATTERY = Battery(10_000, 5000, floor_wh=400, reserve_wh=2000)
SITE = Site(export_limit_w=3680)
SMALL = 0.5
"""In W and Wh: rounding of powers and energies, far below a meter's step."""


def slot_at(
    number: int,
    *,
    pv_w: float = 0.0,
    load_w: float = 300.0,
    buy: float | None = 0.25,
    sell: float | None = 0.15,
    carbon: float | None = 150.0,
) -> Slot:
    """One half hour of a made-up day, counted from midnight UTC."""
    begins = MIDNIGHT + number * HALF_HOUR
    return Slot(begins, begins + HALF_HOUR, begins.date(), pv_w, load_w, buy, sell, carbon)


def day(
    *,
    first: int = 0,
    last: int = 48,
    pv_w: float = 2500.0,
    night_buy: float = 0.07,
    peak_sell: float = 0.28,
) -> tuple[Slot, ...]:
    """A summer day: cheap and clean at night, sun at noon, dear and dirty in the evening."""
    slots = []
    for number in range(first, last):
        hour = number % 48 / 2
        night, peak = hour < 5, 16 <= hour < 19
        slots.append(
            slot_at(
                number,
                pv_w=pv_w if 9 <= hour < 17 else 0.0,
                buy=night_buy if night else 0.27,
                sell=peak_sell if peak else 0.12,
                carbon=80.0 if night else 260.0 if peak else 150.0,
            )
        )
    return tuple(slots)


def problem(
    slots: Sequence[Slot] | None = None, aim: Aim = Aim.MONEY, **changes: object
) -> Problem:
    """Return a question with these slots; `changes` go to battery, site or objective by name."""
    found = Problem(
        tuple(day() if slots is None else slots),
        BATTERY,
        SITE,
        Objective(aim, 5.0 if aim is Aim.CARBON else 0.01),
    )
    for part in ("battery", "site", "objective"):
        fields = getattr(found, part).__slots__
        mine = {name: value for name, value in changes.items() if name in fields}
        found = replace(found, **{part: replace(getattr(found, part), **mine)})
    return found


def broken_rules(asked: Problem, steps: Sequence[Step]) -> list[str]:
    """Return every rule that these steps break, in words; empty when they keep all."""
    said, stored_wh = [], asked.battery.stored_wh
    left_wh = allowance_starts_wh(asked)
    for step in steps:
        left_wh[step.slot.day] += step.slot.counted_pv_w * step.slot.hours - step.exported_wh
        broken = {
            **_physics(asked, step, stored_wh),
            **_permissions(asked, step, left_wh[step.slot.day]),
        }
        said += [f"{step.slot.begins.isoformat()}: {name}" for name, bad in broken.items() if bad]
        stored_wh = step.stored_wh
    return said


def _physics(asked: Problem, step: Step, before_wh: float) -> dict[str, bool]:
    battery, slot, power_w = asked.battery, step.slot, step.battery_w
    loss = 1 / battery.discharge_efficiency if power_w > 0 else battery.charge_efficiency
    after_wh = before_wh - power_w * slot.hours * loss
    return {
        "energy appears": abs(slot.load_w - slot.pv_w - power_w - step.grid_w) > SMALL,
        "the content is another": abs(after_wh - step.stored_wh) > SMALL,
        "the content is impossible": not -SMALL <= after_wh <= battery.capacity_wh + SMALL,
        "charges too strongly": power_w < -battery.max_charge_w - SMALL,
        "discharges too strongly": power_w > battery.max_discharge_w + SMALL,
        "above the AC limit": power_w > max(0.0, battery.ac_limit_w - slot.pv_w) + SMALL,
        "below the floor": power_w > SMALL and after_wh < battery.floor_wh - SMALL,
    }


def _permissions(asked: Problem, step: Step, left_wh: float) -> dict[str, bool]:
    battery, site, slot = asked.battery, asked.site, step.slot
    sells = step.battery_export_wh > SMALL
    buys = step.action is Action.CHARGE
    return {
        "sells more than produced": sells and left_wh < -SMALL,
        "sells the reserve": sells and step.stored_wh < battery.reserve_wh - SMALL,
        "above the export limit": sells and -step.grid_w > site.export_limit_w + SMALL,
        "sells outside the window": sells and not slot.may_discharge,
        "buys outside the window": buys and not slot.may_charge,
        "above the import limit": buys
        and step.grid_w > max(site.import_limit_w, slot.net_w) + SMALL,
        "charges beyond the target": buys
        and step.stored_wh > battery.forced_charge_limit_wh + SMALL,
    }


def windows_wh(plan: Plan) -> list[float]:
    """Return what each window moves between battery and grid."""
    return [
        sum(max(step.battery_export_wh, step.bought_wh) for step in plan.steps
            if window.begins <= step.slot.begins < window.ends)
        for window in plan.windows
    ]  # fmt: skip
