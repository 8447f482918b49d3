"""What the page asks of the records of a running agent: the journal, the report, the mapping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from agent.compliance import KINDS, DayReport, Tally
from agent.entity_checks import checks
from agent.homeassistant.websocket import CoreConnection
from agent.house.port import SiteMeter
from agent.journal import Event, Journal
from agent.settings import SettingsStore
from agent.surface.desk import Wanted

_EVENTS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Records:
    """`RecordsDesk` over the parts of one agent."""

    journal: Journal
    store: SettingsStore
    now: Callable[[], datetime]
    """The site's time, with its zone."""
    meter: Callable[[], SiteMeter]
    core: CoreConnection | None = None

    async def events(self, wanted: Wanted) -> list[Event]:
        """Return the newest events that are wanted, newest first."""
        found = await self.journal.events(
            since=wanted.since,
            kinds=wanted.kinds,
            limit=wanted.limit,
            before_id=wanted.before_id,
            until=wanted.until,
        )
        return found[::-1]

    async def report(self, days: int) -> list[DayReport]:
        """Return the last days of the site, today included, oldest first."""
        now = self.now()
        zone = now.tzinfo or UTC
        wanted = [now.date() - timedelta(days=ago) for ago in range(days)]
        begin = datetime.combine(wanted[-1], time(), zone)
        tally = Tally(wanted, zone)
        async for block in self.journal.sample_blocks(begin, now + timedelta(days=1)):
            tally.samples(block)
        last_id = 0
        while page := await self.journal.events(
            begin, KINDS, limit=_EVENTS_AT_ONCE, after_id=last_id
        ):
            last_id = page[-1].id
            for event in page:
                tally.event(event)
        return tally.reports()

    def entities(self) -> dict[str, Any]:
        """Return a check of every entity setting, and what the detection could not settle."""
        meter, core = self.meter(), self.core
        found = checks(
            self.store.current.entities,
            getattr(meter, "mapping", None),
            core.states if core else {},
            linked=core is not None and core.link.up,
        )
        return {
            "entities": [asdict(each) for each in found],
            "findings": list(getattr(meter, "findings", ())),
        }
