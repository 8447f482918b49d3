"""
Asks the planner's own sources what they know of the hours to come, as the planner would.

The very objects that plans are made from, so that a check-up and a plan cannot tell different
stories: a service is asked only when it is due, entities are read as they stand. Nothing here
writes anything, waits longer than its deadline, or can reach the guard.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from agent.doctor_facts import AheadFacts
from agent.house.forecast_service import TIMEOUT_S
from agent.house.series import Series
from agent.planning import Sources

DEADLINE_S = TIMEOUT_S + 2.0
"""A little more than a service has for its answer, so that its own reason is told."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """The ways to what plans are made from."""

    sources: Sources
    now: Callable[[], datetime]
    zone: Callable[[], ZoneInfo]
    """The site's."""
    load: Callable[[datetime], Series] | None = None
    """The expected load; `None` where nobody has learned it."""


async def looked_ahead(ahead: Ahead, deadline_s: float = DEADLINE_S) -> AheadFacts:
    """Return what is known of the hours to come, after services that are due were asked."""
    with contextlib.suppress(TimeoutError):  # what has not answered has its reason in its series
        async with asyncio.timeout(deadline_s):
            await ahead.sources.refresh(ahead.now())
    zone = ahead.zone()
    now = ahead.now().astimezone(zone)
    load = None if ahead.load is None else ahead.load(now)
    return AheadFacts(now, zone, ahead.sources.known(now), load)
