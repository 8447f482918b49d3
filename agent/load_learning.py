"""
Learns what the house usually uses, half hour by half hour, from the history of the journal.

What was learned is kept in the journal, with the moment up to which it was learned. So a start
reads only what came since; the first one reads two weeks, a block at a time, in nobody's way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from agent.export.load_profile import (
    HALF_HOURS,
    HalfHours,
    LoadProfile,
    expected,
    half_hour_of,
)
from agent.export.plan_slots import LONGEST
from agent.house.series import Series
from agent.journal import Journal, JournalError, Sample

STATE_NAME = "load_profile"
_HALF_HOUR = timedelta(minutes=30)
_REMEMBERED = timedelta(days=14)
_BETWEEN_BLOCKS_S = 0.2
_log = logging.getLogger(__name__)


class LoadLearner:
    """The profile of one house."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.profile = LoadProfile()
        self._until: datetime | None = None
        """Everything before was learned; `None` before the first look at the journal."""

    async def learn(self, now: datetime, zone: ZoneInfo) -> None:
        """
        Learn the half hours that are over and were not learned yet.

        What cannot be read is not learned; the log says so, and nothing waits for it.
        """
        now = now.astimezone(UTC)
        over = now.replace(minute=now.minute // 30 * 30, second=0, microsecond=0)
        if self._until is None:
            await self._recall(now)
        since = max(self._until or over - _REMEMBERED, over - _REMEMBERED)
        if since >= over:
            return
        seen, blocks = HalfHours(), 0
        try:
            async for block in self._journal.sample_blocks(since, over):
                for each in block:
                    seen.add(each.at, each.load_w)
                blocks += 1
                await asyncio.sleep(_BETWEEN_BLOCKS_S if blocks > 1 else 0)
            for begins, load_w in seen.means():
                self.profile = self.profile.learned(half_hour_of(begins, zone), load_w)
            self._until = over
            state = {"usual_w": list(self.profile.usual_w), "until": over.isoformat()}
            await self._journal.save_state(STATE_NAME, state, now)
        except JournalError as error:
            _log.warning("The usual load was not learned: %s", error)

    def expected(self, now: datetime, zone: ZoneInfo, recent: Sequence[Sample]) -> Series:
        """Return the load of the hours to come; `recent` is what was seen in the last minutes."""
        seen = [each.load_w for each in recent if each.load_w is not None]
        recent_w = sum(seen) / len(seen) if seen else None
        return expected(self.profile, now, now + LONGEST, zone, recent_w)

    async def _recall(self, now: datetime) -> None:
        try:
            state = await self._journal.load_state(STATE_NAME)
            if state is None:
                return
            until = datetime.fromisoformat(state["until"])
            usual = tuple(None if each is None else float(each) for each in state["usual_w"])
        except (JournalError, KeyError, ValueError, TypeError) as error:
            _log.warning("What was learned of the load cannot be read (%s); it begins anew", error)
            return
        if len(usual) == HALF_HOURS and until <= now:
            self.profile, self._until = LoadProfile(usual), until
