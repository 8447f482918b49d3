"""
What a plan asks for now: the slot that runs, if the plan is fresh and its switch is on.

A plan that is older than an hour, or that was made for another local day, is no plan. Right after
midnight the new day's plan has not been made yet; for that minute nothing is said, so that what
runs goes on and nothing begins.

Source: control.md, cases 1 and 38; D-31 to D-34.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.clock import local_day
from agent.export.advice import Advice
from agent.export.commitments import Purpose
from agent.export.plan_rollout import Action
from agent.export.planner import Plan

OLDEST = timedelta(hours=1)
"""An older plan is no plan."""
_NEW_DAY = timedelta(minutes=1)
_CLOCKS_APART = timedelta(minutes=5)
"""A plan from the future: the wall clock was set back."""
NOTHING = Advice()
_PURPOSES = {
    Action.DISCHARGE: Purpose.DISCHARGE,
    Action.CHARGE: Purpose.CHARGE,
    Action.HOLD: Purpose.REST,
    Action.SHARE_SUN: Purpose.SHARE_SUN,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The plan that is carried out, and when it was made."""

    plan: Plan
    made: datetime
    """In the site's time."""


@dataclass(frozen=True, slots=True)
class Switches:
    """What a person lets plans do."""

    discharge: bool
    charge: bool
    rest: bool = False
    """Keep the battery still, or let a part of the sun leave that it would take."""


def fresh(standing: Standing, now: datetime) -> bool:
    """Return True for a plan of this local day that is not older than an hour."""
    age = now.astimezone(UTC) - standing.made.astimezone(UTC)
    return -_CLOCKS_APART <= age <= OLDEST and standing.made.date() == now.date()


def advice_of(standing: Standing | None, now: datetime, switches: Switches) -> Advice | None:
    """
    Return what the plan asks for now; `None` while there is none yet, or not yet one of today.

    Args:
        standing: the newest plan.
        now: the present moment, in the site's time.
        switches: what may be carried out.
    """
    if standing is None:
        return None
    begun, ends = local_day(now.date(), now.tzinfo)
    if not fresh(standing, now):
        yesterday = standing.made.date() == now.date() - timedelta(days=1)
        return None if yesterday and now.astimezone(UTC) - begun < _NEW_DAY else NOTHING
    step, window = standing.plan.step_at(now), standing.plan.window_at(now)
    if step is None or window is None:
        return NOTHING
    may = {
        Action.DISCHARGE: switches.discharge,
        Action.CHARGE: switches.charge,
        Action.HOLD: switches.rest,
        Action.SHARE_SUN: switches.rest and switches.discharge,
    }
    if not may.get(step.action, False):
        return NOTHING
    discharges = step.action is Action.DISCHARGE
    until = min(window.ends, (standing.made + OLDEST).astimezone(UTC), ends + _NEW_DAY)
    return Advice(
        _PURPOSES[step.action],
        max(0.0, -step.grid_w) if discharges else max(0.0, -step.battery_w),
        window.ends,
        until,
        window.reason.text,
    )
