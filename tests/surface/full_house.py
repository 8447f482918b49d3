"""A house in which every view of the page has everything to show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from agent.surface.desk import BridgeDesks
from agent.surface.web.api import Desks
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.server import WebServer
from tests.surface.conftest import House, make_house, never_asked
from tests.surface.desks import NOON, HandGuard
from tests.surface.test_page_bridges import line, verdict
from tests.surface.test_page_flashing import OTHER, campaign, ended, job
from tests.surface.test_page_releases import MAC, build, offer, source
from tests.surface.test_support import HandSupport

TABLE = "id,at,kind,text,data_json\r\n" + "".join(
    f'{number},2026-06-21T11:59:00+00:00,limit,Set.,"{{""w"": 1}}"\r\n' for number in range(9)
)


class Told(HandSupport):
    """A journal that has something to tell."""

    async def csv(self, *_what: object) -> AsyncIterator[str]:
        yield TABLE


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
    desks = Desks(
        support=Told(),
        bridges=BridgeDesks(house.bridges, house.bridges, house.bridges),
        releases=house.releases,
        flashing=house.flashing,
        recovery=house.recovery,
        migration=house.migration,
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
