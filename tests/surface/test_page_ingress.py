"""The page in Home Assistant's frame: every view, under a prefix that changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Browser, FrameLocator, Page, Route, expect

from agent.export.requests import RequestKind
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.once import ONCE_HEADER
from tests.peers.ingress import COOKIE, PEER, IngressStandIn, User
from tests.surface.conftest import House
from tests.surface.full_house import full_house

ANNA, BEN = User("u-anna", "anna", "Anna"), User("u-ben", "ben", "Ben")
SIGNS = {
    "Now": "#phase",
    "Plan": "#plan-none",
    "Bridges": "#verdicts",
    "Recovery": "pv-card",
    "Firmware": "#channels",
    "Journal": "#events",
    "Settings": "pv-mapping table",
}


@dataclass
class Framed:
    """A tab of Home Assistant with our page in it, and what went wrong there."""

    house: House
    ingress: IngressStandIn
    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def inside(self) -> FrameLocator:
        return self.page.frame_locator("iframe")

    async def open(self) -> None:
        await self.page.goto(f"{self.ingress.url}/panel/")
        await expect(self.inside.locator("main")).to_have_attribute("data-link", "live")

    async def log_in(self, user: User) -> None:
        session = self.ingress.log_in(user)[COOKIE]
        await self.page.context.add_cookies(
            [{"name": COOKIE, "value": session, "url": self.ingress.url, "sameSite": "Strict"}]
        )


@pytest.fixture
async def framed(
    browser: Browser, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Framed]:
    assert bundle
    monkeypatch.setattr("agent.surface.web.auth.SUPERVISOR_PEER", PEER)

    async def is_admin(user_id: str) -> bool:
        return user_id == ANNA.id

    house = full_house(tmp_path, Gate(Policy(supervised=True), is_admin))
    house.port = await house.server.start("127.0.0.1", 0)
    async with IngressStandIn(house.url) as ingress:
        page = await browser.new_page()
        made = Framed(house, ingress, page)
        page.on("pageerror", lambda error: made.complaints.append(str(error)))
        page.on("request", lambda it: made.asked.append(it.url))
        page.on(
            "response",
            lambda it: made.complaints.append(it.url) if it.status >= 400 else None,
        )
        yield made
        await page.close()
        await house.server.stop()


@pytest.mark.parametrize("width", [360, 1400])
async def test_every_view_works_in_the_frame_under_one_prefix_and_under_the_next(
    framed: Framed, width: int
) -> None:
    await framed.page.set_viewport_size({"width": width, "height": 800})
    await framed.log_in(ANNA)
    for _ in range(2):
        await framed.open()
        assert framed.ingress.token in framed.page.frames[1].url
        for view, sign in SIGNS.items():
            await framed.inside.get_by_role("link", name=view, exact=True).click()
            await expect(framed.inside.locator("main")).to_have_attribute("aria-label", view)
            await expect(framed.inside.locator(f"main {sign}").first).to_be_visible()
            stop = framed.inside.get_by_role("button", name="Emergency stop")
            await expect(stop).to_be_in_viewport()
            wide = await framed.inside.locator("html").evaluate("(html) => html.scrollWidth")
            assert wide <= width, view
        ours = f"{framed.ingress.panel}"
        frames = f"{framed.ingress.url}/panel"
        outside = [url for url in framed.asked if not url.startswith((ours, frames))]
        assert outside == [], "a request left the prefix"
        framed.asked.clear()
        framed.ingress.move()
    assert framed.complaints == []


async def restarted(framed: Framed) -> None:
    """Restart Home Assistant as the page sees it: the stream breaks, and the prefix is another."""
    await framed.house.server.stop()
    framed.ingress.move()
    await framed.house.server.start("127.0.0.1", framed.house.port)


async def test_after_the_prefix_changed_one_click_brings_the_page_back_and_none_is_made_for_it(
    framed: Framed,
) -> None:
    await framed.log_in(ANNA)
    await framed.open()
    await framed.inside.get_by_role("link", name="Settings", exact=True).click()
    typed = framed.inside.get_by_label("Safety margin", exact=True)
    await typed.fill("0.7")
    loads: list[str] = []
    framed.page.on("framenavigated", lambda frame: loads.append(frame.url))
    await restarted(framed)
    banner = framed.inside.locator("pv-banner")
    await expect(banner).to_contain_text("no longer leads from here to the agent (status 503)")
    await expect(banner).to_contain_text("old: last known")
    await expect(banner).to_contain_text("did not save is lost")
    await expect(framed.inside.locator("#link")).to_have_text("Disconnected")
    await expect(typed).to_have_value("0.7")
    async with framed.page.expect_request("**/api/stream"):
        pass  # it goes on trying
    assert loads == []
    await banner.get_by_role("button", name="Load the page again").click()
    await expect(framed.inside.locator("main")).to_have_attribute("data-link", "live")
    assert framed.ingress.token in framed.page.frames[1].url
    await expect(framed.inside.locator("#phase")).to_be_visible()


async def test_a_view_that_the_dead_prefix_cannot_load_leads_back_too_and_in_german(
    framed: Framed,
) -> None:
    await framed.log_in(ANNA)
    await framed.open()
    await framed.inside.get_by_role("button", name="Deutsch").click()
    await expect(framed.inside.locator("main")).to_have_attribute("data-link", "live")
    framed.ingress.move()  # the stream goes on, all else does not
    await framed.inside.get_by_role("link", name="Journal", exact=True).click()
    lost = framed.inside.locator("main [role=alert]")
    await expect(lost).to_contain_text("nicht erreichbar")
    await framed.inside.get_by_role("button", name="Seite neu laden").click()
    await expect(framed.inside.locator("main")).to_have_attribute("data-link", "live")
    assert framed.ingress.token in framed.page.frames[1].url


async def test_a_session_that_ended_asks_for_no_token_and_its_return_is_seen(
    framed: Framed,
) -> None:
    await framed.log_in(ANNA)
    await framed.open()
    framed.ingress.sessions.clear()
    await framed.house.server.stop()
    await framed.house.server.start("127.0.0.1", framed.house.port)
    banner = framed.inside.locator("pv-banner")
    await expect(banner).to_contain_text("(status 401)")
    await expect(framed.inside.locator("pv-token")).to_have_count(0)
    await expect(banner.get_by_role("button", name="Load the page again")).to_be_visible()
    await framed.log_in(ANNA)  # as Home Assistant's own page does, when somebody comes back to it
    await framed.page.frames[1].evaluate("dispatchEvent(new Event('online'))")
    await expect(framed.inside.locator("main")).to_have_attribute("data-link", "live")


async def test_where_it_may_not_load_the_page_around_it_says_what_a_person_does(
    page: Page, house: House
) -> None:
    """A kiosk of another origin frames the page; its own policy would refuse that, and is cut."""
    kiosk, ours = f"http://127.0.0.1:{house.port ^ 1}/", f"{house.url}/"

    async def unguarded(route: Route) -> None:
        answer = await route.fetch()
        headers = {k: v for k, v in answer.headers.items() if k != "content-security-policy"}
        await route.fulfill(response=answer, headers=headers)

    frame = f'<iframe src="{ours}" width="900" height="600"></iframe>'
    await page.route(kiosk, lambda route: route.fulfill(body=frame, content_type="text/html"))
    await page.route(ours, unguarded)
    await page.goto(kiosk)
    inside = page.frame_locator("iframe")
    await expect(inside.locator("main")).to_have_attribute("data-link", "live")
    await page.unroute(ours)
    for path in (ours, "**/api/stream"):
        await page.route(path, lambda route: route.fulfill(status=503, body="Unavailable"))
    await house.server.stop()
    load = inside.get_by_role("button", name="Load the page again")
    await load.click()
    await expect(inside.locator("pv-banner")).to_contain_text("Reload Home Assistant yourself: F5")
    await page.route(ours, lambda route: route.abort())
    await load.click()
    await expect(inside.locator("pv-banner")).to_contain_text("there is nothing to load")


async def test_in_the_frame_a_resident_stops_with_one_click_and_is_told_why_not_more(
    framed: Framed,
) -> None:
    keys: list[str | None] = []
    framed.page.on("request", lambda it: keys.append(it.headers.get(ONCE_HEADER.lower())))
    await framed.page.set_viewport_size({"width": 360, "height": 800})
    await framed.log_in(BEN)
    await framed.open()
    await framed.inside.get_by_role("button", name="Start discharge").click()
    await expect(framed.inside.locator("#answer")).to_contain_text("administrator")
    await framed.inside.get_by_role("button", name="Emergency stop").click()
    await expect(framed.inside.locator("pv-stop [role=alert]")).to_be_visible()
    asked = [(it.kind, it.by) for it in framed.house.guard.requests]
    assert asked == [(RequestKind.EMERGENCY_STOP, "page: Ben")]
    assert keys[-1], "the press had no key of its own"
