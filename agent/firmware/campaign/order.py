"""
Who goes first, and how many at once: canaries, then a lot, in stages that double.

The order is drawn from the bridge and the release together, so nobody is always first. Stages of
1, 2, 4, 8 … lose little to a bad release and are done with five hundred bridges in nine. Until
fifty are done the first failure stops everything; a percentage of three means nothing.

Pure functions.

Source: signing.md 6.3 with its simulation.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from agent.firmware.campaign.models import Member
from agent.firmware.manifest.models import Wave
from agent.firmware.manifest.rollout import wave_position

FIRST_FAILURE_UNTIL = 50
TOLERATED = 0.02
SOAKED_STAGES = 3
_HOUR = timedelta(hours=1)


@lru_cache(maxsize=16)
def ordered(members: tuple[Member, ...], manifest_sha256: str) -> tuple[Member, ...]:
    """Return the members, canaries first."""
    return tuple(
        sorted(members, key=lambda it: (not it.canary, wave_position(it.mac, manifest_sha256)))
    )


def next_wave(waves: tuple[Wave, ...], released: datetime | None, now: datetime) -> datetime | None:
    """Return when the share changes next, `None` if it does not any more."""
    if released is None:
        return None
    moments = (released + it.after_h * _HOUR for it in waves)
    return min((it for it in moments if it > now), default=None)


def stage_end(done: int) -> int:
    """Return how many are done at the end of the stage that comes after `done`: 1, 3, 7, 15 …"""
    end = 1
    while end <= done:
        end = 2 * end + 1
    return end


def begins_stage(done: int) -> bool:
    """Return whether the next one opens a new stage, after the first."""
    return done > 0 and stage_end(done) == 2 * done + 1


def soaks(done: int) -> bool:
    """Return whether the stage that has just ended is one of those that are watched."""
    return begins_stage(done) and done < 2**SOAKED_STAGES


def stops(done: int, failed: int) -> bool:
    """Return whether so many failures among so many ends stop the campaign."""
    if done < FIRST_FAILURE_UNTIL:
        return failed >= 1
    return failed > TOLERATED * done
