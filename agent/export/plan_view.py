"""
A plan as people see it: slots for the entities, a picture and reasons for the page.

Only what is commanded is shown as planned energy; what the inverter does by itself is in the
picture. Days are the site's.

Source: export_monitor.md 1.4 (plan entities); D-32, D-44, D-48.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from agent.export.plan_advice import Standing, Switches
from agent.export.plan_problem import Problem
from agent.export.plan_rollout import Action, Step
from agent.export.planner import Plan
from agent.export.snapshot import (
    PlanPicture,
    PlanPoint,
    PlanSlot,
    PlanSource,
    PlanView,
    PlanWindow,
    SlotView,
)
from agent.house.series import Series

_PERCENT = 100.0
_COUNTDOWN_S = 10


@dataclass(frozen=True, slots=True)
class SlotTrack:
    """The running slot, from when it was first seen: later plans know only what is left of it."""

    ends: datetime
    target_wh: float
    exported_wh: float
    """Of the day, when the slot began."""


def plan_view(
    standing: Standing, switches: Switches, today: date, carbon: Series, now: datetime
) -> PlanView:
    """
    Return what the entities show.

    Args:
        standing: the newest plan.
        switches: what is carried out.
        today: the site's local day.
        carbon: of the grid, for its present value and word.
        now: the present moment.
    """
    plan, here = standing.plan, carbon.at(now)
    return PlanView(
        today=_best_first(plan, today),
        tomorrow=_best_first(plan, today + timedelta(days=1)),
        charge=_next_charge(plan),
        carbon_g_per_kwh=here.value if here else None,
        carbon_index=(here.word or None) if here else None,
        auto_discharge=switches.discharge,
        auto_charge=switches.charge,
        auto_rest=switches.rest,
        reason=plan.reason,
        made_at=standing.made,
    )


def _best_first(plan: Plan, day: date) -> tuple[PlanSlot, ...]:
    sold = [s for s in plan.steps if s.action is Action.DISCHARGE and s.slot.day == day]
    return tuple(_slot(s, s.battery_export_wh) for s in sorted(sold, key=_worth, reverse=True))


def _worth(step: Step) -> tuple[float, float]:
    slot = step.slot
    return slot.carbon_g_per_kwh or 0.0, slot.sell_per_kwh or 0.0


def _next_charge(plan: Plan) -> tuple[PlanSlot, ...]:
    session = next((w for w in plan.windows if w.action is Action.CHARGE), None)
    if session is None:
        return ()
    inside = (s for s in plan.steps if session.begins <= s.slot.begins < session.ends)
    return tuple(_slot(s, s.charged_wh) for s in inside)


def _slot(step: Step, energy_wh: float) -> PlanSlot:
    slot = step.slot
    return PlanSlot(slot.begins, slot.ends, energy_wh, slot.carbon_g_per_kwh)


def tracked(
    before: SlotTrack | None, plan: Plan, now: datetime, exported_wh: float | None
) -> SlotTrack | None:
    """
    Return the running slot in which the plan exports; `None` outside of one.

    Args:
        before: the slot of the last look.
        plan: the newest plan.
        now: the present moment.
        exported_wh: exported on the site's day so far.
    """
    step = plan.step_at(now)
    if step is None or step.action is not Action.DISCHARGE or exported_wh is None:
        return None
    if before is not None and before.ends == step.slot.ends:
        return before
    return SlotTrack(step.slot.ends, step.exported_wh, exported_wh)


def slot_view(track: SlotTrack | None, now: datetime, exported_wh: float | None) -> SlotView | None:
    """Return the figures of the running slot; the countdown in steps of ten seconds."""
    if track is None or exported_wh is None:
        return None
    left_s = max(0.0, (track.ends - now).total_seconds())
    steps_s = -(-left_s // _COUNTDOWN_S) * _COUNTDOWN_S
    return SlotView(track.target_wh, max(0.0, exported_wh - track.exported_wh), steps_s)


def picture(
    standing: Standing, problem: Problem | None, sources: Sequence[PlanSource], currency: str
) -> PlanPicture:
    """
    Return the plan in full for the page.

    Args:
        standing: the newest plan.
        problem: what it answers, `None` where there was no question to ask.
        sources: what it was made from.
        currency: of the prices.
    """
    plan = standing.plan
    capacity_wh = problem.battery.capacity_wh if problem is not None else 1.0
    return PlanPicture(
        made_at=standing.made,
        method=plan.method.value,
        aim=problem.objective.aim.value if problem is not None else "",
        currency=currency,
        reason=plan.reason,
        gain=plan.gain,
        points=tuple(_point(step, capacity_wh) for step in plan.steps),
        windows=tuple(
            PlanWindow(
                window.action.value,
                window.begins,
                window.ends,
                window.energy_wh,
                window.battery_w,
                window.stored_wh / capacity_wh * _PERCENT,
                window.reason,
            )
            for window in plan.windows
        ),
        sources=tuple(sources),
    )


def _point(step: Step, capacity_wh: float) -> PlanPoint:
    slot = step.slot
    return PlanPoint(
        slot.begins,
        slot.ends,
        step.action.value,
        round(slot.pv_w),
        round(slot.load_w),
        round(step.battery_w),
        round(step.grid_w),
        round(step.stored_wh / capacity_wh * _PERCENT, 1),
        slot.carbon_g_per_kwh,
        slot.buy_per_kwh,
        slot.sell_per_kwh,
    )


def source_of(name: str, series: Series) -> PlanSource:
    """Return where something came from, as the page shows it."""
    return PlanSource(name, series.source, series.ends, series.reason)
