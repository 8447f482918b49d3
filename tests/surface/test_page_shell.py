"""The page's shell in a real browser: links, languages, stops, and honest states."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, Route, expect

from agent.export.requests import Answer, RequestKind
from agent.export.snapshot import ErrorState, Phase, ReadingView, Reason
from agent.surface.web.auth import Gate, Policy
from tests.surface.conftest import House, make_house, never_asked, shown
from tests.surface.desks import DISCHARGING, QUIET

VIEWS = ["Now", "Plan", "Bridges", "Recovery", "Firmware", "Journal", "Settings"]
START = ReadingView("dispatch_start", 0, "", 1.0, "good", "register 0x880", "", fresh=True)


async def test_every_view_has_its_link_and_is_remembered_by_its_address(
    page: Page, house: House
) -> None:
    await shown(page, house)
    links = page.locator("nav a")
    await expect(links).to_have_text(VIEWS)
    await expect(links.first).to_have_attribute("aria-current", "page")
    for name in VIEWS:
        await page.get_by_role("link", name=name, exact=True).click()
        await expect(page.locator("main")).to_have_attribute("aria-label", name)
        await expect(page.locator("main pv-card").first).to_be_visible()
        await expect(page.get_by_role("button", name="Emergency stop")).to_be_in_viewport()
    await page.set_viewport_size({"width": 360, "height": 700})
    await page.reload()
    await expect(page.locator("main")).to_have_attribute("aria-label", VIEWS[-1])
    await expect(links.last).to_be_in_viewport(ratio=1)


async def test_a_stop_takes_one_click_and_says_what_the_inverter_shows(
    page: Page, house: House
) -> None:
    house.guard.show(lease=DISCHARGING.lease, phase=DISCHARGING.phase)
    await shown(page, house, "plan")
    told = page.locator("pv-stop [role=alert]")
    await page.get_by_role("button", name="Emergency stop").click()
    await expect(told).to_contain_text("Waiting for the inverter")
    assert [it.kind for it in house.guard.requests] == [RequestKind.EMERGENCY_STOP]
    running = dataclasses.replace(START, value=1)
    house.guard.show(latched=True, reason=Reason("stopping", "Waits."), readings=(running,))
    await expect(told).to_contain_text("ends by itself in 7")
    await expect(told).not_to_contain_text("Verified")
    house.guard.show(reason=Reason("emergency_stop", "Stopped."), lease=None, readings=(START,))
    await expect(told).to_contain_text(
        "Verified: the inverter's registers show no dispatch. Read 1"
    )
    await expect(told).to_have_attribute("aria-atomic", "false")  # or all is read each second
    await expect(told.locator("[aria-live=off]")).to_have_text(re.compile("^Read 1"))
    await page.get_by_role("button", name="Close").click()
    await expect(told).to_have_count(0)


async def test_a_stop_that_could_not_be_verified_says_what_is_left(
    page: Page, house: House
) -> None:
    await shown(page, house)
    await page.get_by_role("button", name="Emergency stop").click()
    house.guard.show(
        latched=True,
        phase=Phase.ERROR_STATE,
        error_state=ErrorState.DISCHARGE_STOP_FAILED,
        reason=Reason("stop_failed", "The reset was not taken."),
        lease=DISCHARGING.lease,
        readings=(dataclasses.replace(START, value=1),),
    )
    told = page.locator("pv-stop [role=alert]")
    for words in ("Not verified", "The reset was not taken.", "ends by itself in 7", "bridge"):
        await expect(told).to_contain_text(words)


async def test_a_lost_agent_is_said_and_comes_back_by_itself(page: Page, house: House) -> None:
    house.guard.show(lease=DISCHARGING.lease)
    await shown(page, house)
    await house.server.stop()
    await expect(page.locator("pv-banner")).to_contain_text("What you see is old: last known")
    await expect(page.locator("main")).to_have_attribute("data-link", "lost")
    await expect(page.get_by_role("button", name="Start discharge")).to_be_disabled()
    await page.get_by_role("button", name="Emergency stop").click()
    told = page.locator("pv-stop [role=alert]")
    await expect(told).to_contain_text("could not be reached; nothing was sent")
    await expect(told).to_contain_text("ends by itself in")
    house.guard.show(soc_percent=33.0)
    await page.get_by_role("button", name="Try now").click()  # in vain, and nothing is lost by it
    await house.server.start("127.0.0.1", house.port)
    await expect(page.locator("main")).to_have_attribute("data-link", "live", timeout=15_000)
    await expect(page.locator("#soc")).to_have_text("33 %")
    await expect(page.locator("pv-banner [role=alert]")).to_have_count(0)


async def test_a_token_is_asked_for_where_the_agent_wants_one(
    browser: Browser, bundle: Path, tmp_path: Path
) -> None:
    assert bundle
    house = make_house(tmp_path, Gate(Policy(supervised=False, token="open"), never_asked))
    house.port = await house.server.start("127.0.0.1", 0)
    page = await browser.new_page()
    await page.goto(f"{house.url}/")
    await page.get_by_role("textbox", name="Token").fill("open")
    await page.get_by_role("button", name="Open").click()
    await expect(page.locator("main")).to_have_attribute("data-link", "live")
    await expect(page.locator("#phase")).to_be_visible()
    await page.close()
    await house.server.stop()


async def test_a_refused_connection_says_what_the_server_said_and_what_helps(
    page: Page, house: House
) -> None:
    text = "This is not for you."
    await page.route("**/api/stream", lambda route: route.fulfill(status=403, json={"text": text}))
    await page.goto(f"{house.url}/")
    await expect(page.locator("pv-banner")).to_contain_text(text)
    await expect(page.locator("pv-banner")).to_contain_text("ask an administrator")
    await expect(page.locator("#link")).to_have_text("Refused")


async def test_who_missed_an_event_asks_for_the_whole_picture_again(
    page: Page, house: House
) -> None:
    async with house.client.get("/api/state") as answer:
        state = await answer.json()
    events = [("snapshot", 5, {**state, "soc_percent": 50}), ("delta", 7, {"soc_percent": 99})]
    body = "".join(
        f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
        for name, number, data in events
    )
    again = asyncio.Event()

    async def stream(route: Route) -> None:
        await route.fulfill(body=body)
        again.set()

    await page.route("**/api/stream", lambda _route: None)
    await page.route("**/api/stream", stream, times=1)
    async with page.expect_request(lambda it: "stream" in it.url and again.is_set()):
        await page.goto(f"{house.url}/")
    await expect(page.locator("#soc")).to_have_text("50 %")  # 99 came without the one before


async def test_silence_has_an_end_first_and_later(page: Page, house: House) -> None:
    await page.clock.install()
    await page.route("**/api/stream", lambda _route: None)  # taken, and never answered
    await page.goto(f"{house.url}/")
    await expect(page.locator("main [role=status]")).to_have_text("Loading…")
    await page.clock.run_for(11_000)
    await expect(page.locator("#link")).to_have_text("Disconnected")
    await page.unroute_all()
    await page.clock.run_for(11_000)
    await expect(page.locator("#link")).to_have_text("Live, observing")
    await page.clock.run_for(21_000)  # the guard says nothing new meanwhile
    await expect(page.locator("pv-banner")).to_contain_text("guard has said nothing new")
    await expect(page.get_by_role("button", name="Stop discharge")).to_be_enabled()
    house.guard.show(soc_percent=12.0)
    await expect(page.locator("#link")).to_have_text("Live, observing")
    await expect(page.locator("pv-banner [role=alert]")).to_have_count(0)


async def test_german_is_one_click_and_stays(page: Page, house: House) -> None:
    await shown(page, house)
    await page.get_by_role("button", name="Deutsch").click()
    await expect(page.get_by_role("button", name="Not-Halt")).to_be_visible()
    await expect(page.locator("#left")).to_have_text("4,01 kWh")
    await expect(page.locator("html")).to_have_attribute("lang", "de")
    await page.reload()
    await expect(page.get_by_role("link", name="Einstellungen")).to_be_visible()


async def test_a_view_whose_file_is_gone_says_that_the_agent_was_updated(
    page: Page, house: House
) -> None:
    await shown(page, house)
    await page.route("**/assets/view-*.js", lambda route: route.abort())
    await page.get_by_role("link", name="Plan").click()
    await expect(page.locator("main [role=alert]")).to_contain_text("The agent was updated")
    await page.unroute_all()
    await page.get_by_role("button", name="Load the page again").click()
    await expect(page.locator("#plan-none")).to_be_visible()


async def test_a_refused_wish_shows_the_sentence_of_the_agent(page: Page, house: House) -> None:
    house.guard.answer = Answer(accepted=False, code="target_is_zero", text="Set a target first.")
    await shown(page, house)
    await page.get_by_role("button", name="Start discharge").click()
    await expect(page.locator("#answer")).to_have_text(
        "Start discharge was refused: Set a target first."
    )


@pytest.fixture
async def framed(house: House, bundle: Path) -> AsyncIterator[str]:
    """A stand-in of ingress: the prefix is cut, and a dark page of the same origin frames us."""
    assert bundle

    async def frame(_request: web.Request) -> web.Response:
        text = (
            '<html lang="de" style="--primary-text-color: rgb(240, 240, 240); '
            '--card-background-color: rgb(1, 2, 3)"><iframe src="/api/hassio_ingress/abc/" '
            'width="400" height="700"></iframe></html>'
        )
        return web.Response(text=text, content_type="text/html")

    async def forward(request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        async with house.client.get(f"/{path}", params=request.query) as answer:
            kind = answer.content_type  # without parameters, as the Supervisor sends it on
            passed = web.StreamResponse(status=answer.status, headers={"Content-Type": kind})
            await passed.prepare(request)
            async for piece in answer.content.iter_any():
                await passed.write(piece)
            return passed

    application = web.Application()
    application.router.add_get("/", frame)
    application.router.add_get("/api/hassio_ingress/abc/{path:.*}", forward)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_under_a_prefix_in_home_assistants_frame_it_takes_its_theme_and_language(
    page: Page, framed: str
) -> None:
    await page.goto(framed)
    inside = page.frame_locator("iframe")
    await expect(inside.locator("#phase")).to_have_text("Es könnte eingespeist werden")
    await expect(inside.locator("html")).to_have_css("color-scheme", "dark")
    card = inside.locator("pv-now-state section")
    await expect(card).to_have_css("background-color", "rgb(1, 2, 3)")


async def test_hostile_text_stays_text(page: Page, house: House) -> None:
    hostile = (
        '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
    )
    reason = Reason("hostile", hostile, hostile)
    reading = dataclasses.replace(
        QUIET.readings[0], name=hostile, unit=hostile, source=hostile, detail=hostile
    )
    house.guard.answer = Answer(accepted=False, code=hostile, text=hostile)
    house.guard.show(
        reason=reason, blockers=(reason,), problems=(reason,), readings=(reading,), path=hostile
    )
    await shown(page, house)
    await page.get_by_role("button", name="Start discharge").click()
    for place in ("#answer", "#reason", "#blockers", "#problems", "#inputs", "#path"):
        await expect(page.locator(place)).to_contain_text(hostile)
    assert await page.title() == "PV Edge Agent"
    assert await page.locator("img").count() == 0
