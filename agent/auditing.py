"""Who did what on the page or over MQTT, in the journal; nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from agent.journal import Journal, JournalError

_log = logging.getLogger(__name__)


class Audit:
    """Takes who, what and the outcome; writes them down soon."""

    def __init__(self, journal: Journal, now: Callable[[], datetime]) -> None:
        self._journal = journal
        self._now = now
        self._notes: set[asyncio.Task[None]] = set()

    def __call__(self, by: str, action: str, outcome: str) -> None:
        """Note one act, also a refused one."""
        task = asyncio.get_running_loop().create_task(self._note(by, action, outcome))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _note(self, by: str, action: str, outcome: str) -> None:
        try:
            data = {"by": by, "action": action, "outcome": outcome}
            await self._journal.append("audit", data, self._now())
        except JournalError as error:
            _log.error("not in the journal: %s by %s: %s (%s)", action, by, outcome, error)
