"""What holds for every view of bridges, firmware, settings and journal on the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession
from playwright.async_api import Page, expect

from tests.surface.conftest import FRONTEND, WRITES, House, packages, shown
from tests.surface.full_house import full_house
from tests.surface.hand_jobs import OTHER, ended, job
from tests.surface.sights import AXE, SHIFTS

VIEWS = {
    "Bridges": "#verdicts",
    "Firmware": "#channels",
    "Settings": "pv-mapping table",
    "Journal": "#events",
    "Recovery": "pv-cable-port",
}


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[House]:
    house = full_house(tmp_path)
    house.port = await house.server.start("127.0.0.1", 0)
    async with ClientSession(house.url, headers=WRITES) as house.client:
        yield house
    await house.server.stop()


async def test_axe_finds_nothing_in_any_view_scheme_width_and_language(
    page: Page, full: House
) -> None:
    packages()
    axe = (FRONTEND / "node_modules/axe-core/axe.min.js").read_text()
    for width, scheme, language in ((1400, "light", "en"), (360, "dark", "de")):
        await page.set_viewport_size({"width": width, "height": 900})
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        await page.add_init_script(f"localStorage['pv-edge-agent-language'] = '{language}'")
        await shown(page, full)
        await page.reload()
        await page.evaluate(axe)
        for view, sign in VIEWS.items():
            await page.evaluate(f"location.hash = '#/{view.lower()}'")
            await expect(page.locator(sign).first).to_be_visible()
            for each in await page.locator("main details").all():
                await each.evaluate("(each) => { each.open = true; }")
            assert await page.evaluate(AXE) == [], (view, width)
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (view, width)


@pytest.mark.parametrize("view", VIEWS)
async def test_nothing_jumps_when_a_view_is_loaded_and_news_come(
    page: Page, full: House, view: str
) -> None:
    await page.add_init_script(SHIFTS)
    await shown(page, full, view.lower())
    await expect(page.locator(VIEWS[view]).first).to_be_visible()
    full.flashing.show(jobs=[job(mac=OTHER, percent=60), ended()])
    full.guard.show(soc_percent=50.0)
    if view == "Bridges":
        await expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "60")
    assert await page.evaluate("window.shift") < 0.1
