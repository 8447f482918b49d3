"""
When to look again, whether a look changed anything, and what counts after one that went wrong.

Source: signing.md 4.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from agent.firmware.trust.models import Freshness, SourceKnowledge

EVERY_S = 6 * 3600.0
SPREAD_S = 30 * 60.0
"""Houses look up to so much earlier or later, so that a mirror is not asked by all at once."""
LEAST_S = 60.0


def next_look_s(known: Iterable[SourceKnowledge], now: datetime, chance: float) -> float:
    """
    Return how long until the next look: six hours, or when the next signature expires.

    Args:
        known: every source.
        now: aware.
        chance: from 0 to 1, another one each time.
    """
    wait_s = EVERY_S + (2 * chance - 1) * SPREAD_S
    ends = ((it.expires - now).total_seconds() for each in known for it in each.roles)
    return max(LEAST_S, min([wait_s, *(it + 1 for it in ends if it > 0)]))


def changed(before: SourceKnowledge | None, after: SourceKnowledge) -> bool:
    """Whether a look has changed what counts, not only when it was confirmed."""
    return before is None or _content(before) != _content(after)


def _content(known: SourceKnowledge) -> tuple[object, ...]:
    channels = tuple(replace(it, as_of=None) for it in known.channels)
    return known.freshness, known.why, known.roles, channels


def capped(before: SourceKnowledge | None, source: str, why: str) -> SourceKnowledge:
    """Return what counts after a look that went wrong: what was known, and never as fresh."""
    if before is None or before.freshness is Freshness.NONE:
        return SourceKnowledge(source, Freshness.NONE, why)
    channels = tuple(
        replace(it, freshness=Freshness.STALE, why=why) if it.freshness is Freshness.FRESH else it
        for it in before.channels
    )
    return replace(before, freshness=Freshness.STALE, why=why, channels=channels, events=())
