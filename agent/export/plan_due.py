"""
When to plan: at the begin of each slot, and when something has changed, but never in a hurry.

A plan costs half a second of the processor. Forecasts that change with every poll must not make
one each time; a person who presses the button waits for nothing but the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_AFTER_BEGIN = timedelta(seconds=2)
"""A little into the slot, so that "now" lies in it on every clock."""
_LONGEST = timedelta(minutes=30)
_ASKED = timedelta(seconds=5)
_SETTINGS = timedelta(seconds=15)
_INPUTS = timedelta(minutes=5)
_FAILED = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Wants:
    """What has happened since the last plan."""

    asked: bool = False
    """A person wants one now."""
    settings: bool = False
    inputs: bool = False
    """A forecast, a price, or what a service tells."""


def next_plan(
    last: datetime | None,
    slot_ends: datetime | None,
    wants: Wants,
    now: datetime,
    *,
    failed: bool = False,
) -> datetime:
    """
    Return when to plan next; the past means now.

    Args:
        last: when the last plan was made, `None` before the first.
        slot_ends: end of that plan's first slot, where it has one.
        wants: what has happened since.
        now: the present moment.
        failed: no plan could be made, for want of something that may come soon.
    """
    if last is None or last - now > _LONGEST:  # the first, or the clock was set back
        return now
    due = last + _LONGEST
    if slot_ends is not None:
        due = min(due, max(slot_ends, last) + _AFTER_BEGIN)
    else:
        due = min(due, _half_hour_after(last) + _AFTER_BEGIN)
    for wanted, wait in (
        (wants.asked, _ASKED),
        (wants.settings, _SETTINGS),
        (wants.inputs, _INPUTS),
        (failed, _FAILED),
    ):
        if wanted:
            due = min(due, last + wait)
    return due


def _half_hour_after(moment: datetime) -> datetime:
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 30 * 30, second=0, microsecond=0) + _LONGEST


def seconds(now: datetime, due: datetime) -> float:
    """Return how long to wait, at least a second and at most half an hour."""
    wait_s = (due.astimezone(UTC) - now.astimezone(UTC)).total_seconds()
    return min(_LONGEST.total_seconds(), max(1.0, wait_s))
