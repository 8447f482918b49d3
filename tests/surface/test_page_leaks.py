"""What a day of events leaves behind: nothing in the tab, nothing in the server."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest
from aiohttp import ClientSession
from playwright.async_api import Page, expect

from agent.surface.web import feed
from benchmarks.page_browser import Held, held
from tests.surface.conftest import House, shown
from tests.surface.full_house import full_house
from tests.surface.test_page_ingress import SIGNS

EVENTS_A_VIEW = 20


async def one_round(page: Page, house: House) -> None:
    """Look at each view, each through a score of events, and come back to the first."""
    for view, sign in SIGNS.items():
        await page.evaluate(f"location.hash = '#/{view.lower()}'")
        await expect(page.locator(f"main {sign}").first).to_be_visible()
        for number in range(EVENTS_A_VIEW):
            house.guard.show(soc_percent=float(number))
            await asyncio.sleep(0)  # the feed tells
    await page.evaluate("location.hash = '#/now'")
    await expect(page.locator("#soc")).to_have_text(f"{EVENTS_A_VIEW - 1} %")


async def test_a_tab_holds_no_more_after_many_events_and_views(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SPACING_S", 0.0)  # each event is told for itself
    house = full_house(tmp_path)
    house.port = await house.server.start("127.0.0.1", 0)
    await shown(page, house)
    looks: list[Held] = []
    for number in range(6):
        await one_round(page, house)
        if number in (1, 5):  # the first rounds load the views
            looks.append(await held(page))
    first, last = looks
    # Four rounds more are 560 events and 28 views. A view has hundreds of nodes; rows come and go.
    assert last.nodes <= first.nodes + 20
    assert last.listeners <= first.listeners
    assert last.heap_mb <= first.heap_mb + 0.5
    await house.server.stop()


async def test_the_server_holds_no_more_after_many_events_and_pages(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SPACING_S", 0.0)
    looks: list[int] = []
    for number in range(3):
        for _ in range(1 if number == 0 else 15):
            await one_page(house)
        gc.collect()
        looks.append(len(gc.get_objects()))
    # A page is a request, an answer, a queue and a frame: dozens of objects each.
    assert looks[2] <= looks[1] + 100


async def one_page(house: House) -> None:
    """Open a page, hear some events and leave."""
    async with ClientSession(house.url) as client, client.get("/api/stream") as answer:
        for number in range(20):
            house.guard.show(soc_percent=float(number))
            await answer.content.readuntil(b"\n\n")
