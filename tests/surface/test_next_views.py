"""What holds for every view of bridges, firmware, settings and journal on the new page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from playwright.async_api import Page, expect

from agent.compliance import DayReport, Tally
from agent.journal import Event
from agent.surface.desk import BridgeDesks, Wanted
from agent.surface.web.api import Desks
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.server import WebServer
from tests.surface.conftest import FRONTEND, WRITES, House, make_house, never_asked, packages, shown
from tests.surface.desks import NOON
from tests.surface.test_next_now import AXE, SHIFTS
from tests.surface.test_page_bridges import line, verdict
from tests.surface.test_page_flashing import OTHER, campaign, ended, job
from tests.surface.test_page_recovery import job as cable
from tests.surface.test_page_recovery import port
from tests.surface.test_page_releases import MAC, build, offer, source
from tests.surface.test_support import HandSupport

VIEWS = {
    "Bridges": "#verdicts",
    "Firmware": "#channels",
    "Settings": "pv-mapping table",
    "Journal": "#events",
    "Recovery": "pv-cable-port",
}


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


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[House]:
    """Return a house in which every view has everything to show."""
    house = make_house(tmp_path)
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
        records=Kept(),
        plan=house.plan,
    )
    gate = Gate(Policy(supervised=False), never_asked)
    house.server = WebServer(house.guard, house.settings, gate, lambda *_: None, desks=desks)
    house.port = await house.server.start("127.0.0.1", 0)
    async with ClientSession(house.url, headers=WRITES) as house.client:
        yield house
    await house.server.stop()


async def test_axe_finds_nothing_in_any_view_scheme_width_and_language(
    new_page: Page, full: House
) -> None:
    packages()
    axe = (FRONTEND / "node_modules/axe-core/axe.min.js").read_text()
    for width, scheme, language in ((1400, "light", "en"), (360, "dark", "de")):
        await new_page.set_viewport_size({"width": width, "height": 900})
        await new_page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        await new_page.add_init_script(f"localStorage['pv-edge-agent-language'] = '{language}'")
        await shown(new_page, full)
        await new_page.reload()
        await new_page.evaluate(axe)
        for view, sign in VIEWS.items():
            await new_page.evaluate(f"location.hash = '#/{view.lower()}'")
            await expect(new_page.locator(sign).first).to_be_visible()
            for each in await new_page.locator("main details").all():
                await each.evaluate("(each) => { each.open = true; }")
            assert await new_page.evaluate(AXE) == [], (view, width)
            wide = await new_page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (view, width)


@pytest.mark.parametrize("view", VIEWS)
async def test_nothing_jumps_when_a_view_is_loaded_and_news_come(
    new_page: Page, full: House, view: str
) -> None:
    await new_page.add_init_script(SHIFTS)
    await shown(new_page, full, view.lower())
    await expect(new_page.locator(VIEWS[view]).first).to_be_visible()
    full.flashing.show(jobs=[job(mac=OTHER, percent=60), ended()])
    full.guard.show(soc_percent=50.0)
    if view == "Bridges":
        await expect(new_page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "60")
    assert await new_page.evaluate("window.shift") < 0.1
