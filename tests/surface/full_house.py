"""A house in which every view of the page has everything to show."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

from agent.compliance import DayReport, Tally
from agent.journal import Event
from agent.surface.desk import BridgeDesks, Wanted
from agent.surface.web.api import Desks
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.server import WebServer
from tests.surface.conftest import House, make_house, never_asked
from tests.surface.desks import NOON, HandGuard
from tests.surface.hand_bridges import MAC, line, verdict
from tests.surface.hand_cable import job as cable
from tests.surface.hand_cable import port
from tests.surface.hand_jobs import OTHER, campaign, ended, job
from tests.surface.hand_releases import build, offer, source
from tests.surface.test_support import HandSupport


class Kept:
    """`RecordsDesk` with something to tell."""

    async def events(self, _wanted: Wanted) -> list[Event]:
        data = {"text": "Set.", "limit_w": 1}
        return [Event(number, NOON, "limit", data) for number in range(9, 0, -1)]

    async def report(self, days: int) -> list[DayReport]:
        tally = Tally([NOON.date()], UTC)
        stop = {"reason": "over_export", "text": "Stopped."}
        tally.event(Event(1, NOON, "stop", stop))
        return tally.reports() * days

    def entities(self) -> dict[str, Any]:
        return {"entities": [], "findings": []}


def full_house(folder: Path, gate: Gate | None = None, guard: HandGuard | None = None) -> House:
    """Return the house; its server is not started."""
    house = make_house(folder)
    if guard is not None:
        house.guard = guard
    factory = {"mac": OTHER, "title": "Shed", "kind": "factory", "state": "key_missing"}
    house.bridges.lines = [line(), line(**factory)]
    house.bridges.judged = {MAC: verdict("warn", at=NOON.isoformat())}
    house.releases.show(
        state="stale",
        sources=[source(), source(name="acme", kind="added")],
        bridges=[offer(), offer(mac=OTHER)],
        builds=[build(accepted=NOON.isoformat(), notes="")],
    )
    house.flashing.show(jobs=[job(mac=OTHER), ended()], campaigns=[campaign()], may_go_back=[MAC])
    ended_cable = cable(job="j0", open=False, result="lost", evidence=["Seen."])
    house.recovery.show(ports=[port()], jobs=[cable(writes=True), ended_cable])
    desks = Desks(
        support=HandSupport(),
        bridges=BridgeDesks(house.bridges, house.bridges, house.bridges),
        releases=house.releases,
        flashing=house.flashing,
        recovery=house.recovery,
        migration=house.migration,
        records=Kept(),
        plan=house.plan,
    )
    house.server = WebServer(
        house.guard,
        house.settings,
        gate or Gate(Policy(supervised=False), never_asked),
        lambda *what: house.audited.append(what),
        desks=desks,
    )
    return house
