"""The page before the running agent, through ingress: what people press is what the house does."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import ClientSession
from playwright.async_api import Browser, Page, expect

from tests.acceptance.parts import WRITE, Agent, eventually
from tests.acceptance.prepared import commissioned
from tests.peers.ingress import COOKIE, LARGEST_BYTES, IngressStandIn, User
from tests.peers.process import LOOPBACK, free_port
from tests.surface.conftest import House, shown
from tests.surface.ingress_agent import ADMINISTRATOR

ANNA, BEN = User(ADMINISTRATOR, "anna", "Anna"), User("u-ben", "ben", "Ben")
HOUSE = "direct simulated inverter"
SOON = 15_000
VIEWS = ("now", "plan", "bridges", "recovery", "firmware", "journal", "settings")
WIDTHS = (1400, 360)
OURS = "The request is larger than 64 KiB."


class Supervised(Agent):
    """The agent of `ingress_agent`."""

    async def start(self) -> float:
        command = [sys.executable, "-m", "tests.surface.ingress_agent", "demo"]
        command += ["--data", str(self.data), "--port", "0"]
        since = self.spawn(command, self.environment)
        self._url = (await self.said(re.compile(r"open (http://\S+)"), since, 30))[1]
        return 0

    @property
    def url(self) -> str:
        return self._url


@dataclass
class Home:
    """A house whose agent runs behind ingress."""

    agent: Supervised
    ingress: IngressStandIn
    browser: Browser

    @property
    def url(self) -> str:
        """Where `shown` finds the page."""
        return self.ingress.panel.rstrip("/")

    async def show(self, page: Page, view: str = "now") -> None:
        await shown(page, cast("House", self), view)

    @asynccontextmanager
    async def tab(self, user: User, width: int = 1400) -> AsyncIterator[Page]:
        """Open a browser tab of somebody who is logged in; nothing may go wrong in it unseen."""
        size: Any = {"width": width, "height": 800}
        context = await self.browser.new_context(viewport=size)
        session = self.ingress.log_in(user)[COOKIE]
        await context.add_cookies(
            [{"name": COOKIE, "value": session, "url": self.ingress.url, "sameSite": "Strict"}]
        )
        page = await context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await context.close()
        assert complaints == []

    @asynccontextmanager
    async def client(self, user: User) -> AsyncIterator[ClientSession]:
        cookies = self.ingress.log_in(user)
        async with ClientSession(f"{self.ingress.url}", cookies=cookies) as made:
            yield made

    def at(self, path: str) -> str:
        return f"{self.ingress.prefix}/{path}"


@pytest.fixture(scope="module")
async def home(
    bundle: Path, shared_browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Home]:
    assert bundle
    folder = tmp_path_factory.mktemp("home")
    async with ClientSession() as http:
        agent = Supervised(folder, http)
        agent.data.mkdir()
        (agent.data / "settings.json").write_text(json.dumps({"minimum_off_s": 0}))
        await (await commissioned(agent.data, HOUSE)).close()
        agent.environment = dict(os.environ) | {
            "SUPERVISOR_TOKEN": "of-the-test",
            "PV_EDGE_MQTT_HOST": LOOPBACK,  # or it would ask a Supervisor for one
            "PV_EDGE_MQTT_PORT": str(free_port()),
        }
        try:
            await agent.start()
            async with IngressStandIn(agent.url) as ingress:
                yield Home(agent, ingress, shared_browser)
            code, _ = await agent.terminated(signal.SIGTERM, 30)
            assert code == 0
        finally:
            print(await agent.tail())  # noqa: T201 - a failed test shows it
            agent.kill()


@pytest.mark.parametrize("width", WIDTHS)
async def test_what_an_administrator_starts_runs_and_the_stop_says_what_the_registers_show(
    home: Home, width: int
) -> None:
    async with home.tab(ANNA, width) as page:
        await home.show(page)
        await expect(page.locator("#link")).to_have_text("Live, in control")
        await expect(page.locator("#soc")).to_have_text(re.compile(r"\d+ %"))
        await expect(page.locator("#inputs tr").first).to_contain_text("fresh")
        await expect(page.locator("#blockers")).to_have_count(0, timeout=SOON)
        await page.get_by_role("button", name="Start discharge").click()
        await expect(page.locator("#answer")).to_contain_text("Start discharge:")
        await expect(page.locator("#phase")).to_have_text("Discharging", timeout=SOON)
        await expect(page.locator("#lease")).to_contain_text("Discharge at", timeout=SOON)
        await expect(page.locator("#battery-words")).to_have_text("discharges", timeout=SOON)
        await expect(page.locator("#last-action")).to_contain_text("page: Anna")
        await page.get_by_role("button", name="Emergency stop").click()
        told = page.locator("pv-stop [role=alert]")
        await expect(told).to_contain_text(
            "Verified: the inverter's registers show no dispatch", timeout=SOON
        )
        await page.get_by_role("button", name="Close").click()
        await page.get_by_role("button", name="Acknowledge").click()
        await expect(page.locator("#lease")).to_have_text("No dispatch runs.")
        await home.show(page, "journal")
        rows = page.locator("#events tbody")
        for action in ("start_discharge", "emergency_stop", "acknowledge"):
            await expect(rows).to_contain_text(f"page: Anna: {action} (accepted)")


@pytest.mark.parametrize("width", WIDTHS)
async def test_every_view_draws_what_the_agent_has_to_show(home: Home, width: int) -> None:
    async with home.tab(ANNA, width) as page:
        await home.show(page)
        await expect(page.locator("pv-plot#today canvas")).to_be_visible()
        for view in VIEWS:
            await page.evaluate(f"location.hash = '#/{view}'")
            await expect(page.locator(f"pv-view-{view} pv-card").first).to_be_visible()
            await expect(page.get_by_role("button", name="Emergency stop")).to_be_in_viewport()
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, view
            if view == "plan":
                drawn = page.locator("pv-plot#plan-chart canvas")
                await expect(drawn).to_be_visible(timeout=2 * SOON)  # the solver thinks
                await expect(page.locator("#plan-sources tr").first).to_be_visible()


async def test_a_setting_is_saved_and_outlives_the_agent_and_the_page_comes_back_by_itself(
    home: Home,
) -> None:
    async with home.tab(ANNA) as page:
        await home.show(page, "settings")
        margin = page.get_by_label("Safety margin", exact=True)
        await margin.fill("0.7")
        await page.get_by_role("button", name="Save settings").first.click()
        await expect(page.locator("pv-settings-form #said")).to_have_text("Saved.")
        await page.evaluate("window.before = true")
        code, _ = await home.agent.terminated(signal.SIGTERM, 30)
        assert code == 0
        await expect(page.locator("main")).to_have_attribute("data-link", "lost")
        await home.agent.start()
        home.ingress.app_url = home.agent.url
        await expect(page.locator("main")).to_have_attribute("data-link", "live", timeout=SOON)
        assert await page.evaluate("window.before"), "it was loaded again"
        await expect(margin).to_have_value("0.7")
        async with home.client(ANNA) as anna, anna.get(home.at("api/settings")) as answer:
            fields = (await answer.json())["fields"]
        assert {it["key"]: it["value"] for it in fields}["safety_margin_kwh"] == 0.7


async def test_who_may_not_is_refused_in_words_and_written_down_with_his_name(home: Home) -> None:
    wish = {"kind": "start_discharge"}
    foreign = {**WRITE, "Origin": "https://evil.example"}
    async with home.client(ANNA) as anna, home.client(User("")) as nobody:
        for client, headers, code in (
            (anna, {}, "csrf"), (anna, foreign, "origin"), (nobody, WRITE, "no_user"),
        ):  # fmt: skip
            url = home.at("api/requests")
            async with client.post(url, json=wish, headers=headers) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, code)
    async with home.tab(BEN, 360) as page:
        await home.show(page)
        await page.get_by_role("button", name="Start discharge").click()
        await expect(page.locator("#answer")).to_contain_text("Only an administrator may do this")
        await home.show(page, "journal")
        rows = page.locator("#events tbody")
        for words in (
            "page: Ben: start_discharge (not_admin)",
            "page: Anna: POST /api/requests (csrf)",
            "page: Anna: POST /api/requests (origin)",
            "POST /api/requests (no_user)",
        ):
            await expect(rows).to_contain_text(words)
    async with home.client(ANNA) as anna, anna.get(home.at("api/state")) as answer:
        assert (await answer.json())["lease"] is None


async def test_a_file_beyond_what_ingress_holds_is_refused_in_words(
    home: Home, tmp_path: Path
) -> None:
    large = tmp_path / "large.json"
    large.write_bytes(bytes(LARGEST_BYTES + 1))
    async with home.tab(ANNA) as page:
        await home.show(page, "settings")
        for streamed, words in ((False, "Home Assistant takes 16 MB at most"), (True, OURS)):
            home.ingress.streamed = streamed  # it is the agent who has to count then
            await page.get_by_label("File of settings").set_input_files(large)
            await page.get_by_role("button", name="Import settings").click()
            dialog = page.get_by_role("dialog")
            await dialog.get_by_role("button", name="Import settings").click()
            await expect(page.locator("pv-files #said")).to_contain_text(words, timeout=SOON)
    home.ingress.streamed = False


async def test_tables_and_diagnostics_come_through_whole(home: Home) -> None:
    async with home.tab(ANNA) as page:
        await home.show(page, "journal")
        async with page.expect_download() as waited:
            await page.get_by_role("button", name="Events as CSV").click()
        text = (await (await waited.value).path()).read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [it for it in home.agent.events() if str(it["id"]) == rows[-1]["id"]]
        assert len(rows) == len({it["id"] for it in rows}) > 3
        await home.show(page, "settings")
        async with page.expect_download() as waited:
            await page.get_by_role("button", name="Download diagnostics").click()
        told = json.loads((await (await waited.value).path()).read_text())
        assert told["pv_edge_agent"]


async def test_an_event_arrives_before_the_next_one_is_made(home: Home) -> None:
    async with home.client(ANNA) as anna, anna.get(home.at("api/stream")) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        first = await anext(events(stream.content))
        assert first["mode"] == "control"
        async with anna.patch(
            home.at("api/settings"), json={"mode": "observe"}, headers=WRITE
        ) as answer:
            assert answer.status == 200
        found: list[dict[str, Any]] = []

        async def observed() -> bool:
            found.append(await anext(events(stream.content)))
            return found[-1].get("mode") == "observe"

        await eventually(observed, 5, "the next event, while the answer is still open")
        back = {"mode": "control"}
        async with anna.patch(home.at("api/settings"), json=back, headers=WRITE) as answer:
            assert answer.status == 200


async def events(content: Any) -> AsyncIterator[dict[str, Any]]:
    async for line in content:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))
