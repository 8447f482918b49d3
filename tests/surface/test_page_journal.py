"""The journal on the page: read when it is looked at, filtered, and taken along as a table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from agent.journal import Journal, Sample
from agent.records import Records
from agent.settings import SettingsStore
from agent.surface.web.api import Desks
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.server import WebServer
from tests.surface.conftest import House, never_asked, shown
from tests.surface.desks import NOON, HandGuard, HandSettings
from tests.surface.sights import MINUS
from tests.surface.test_support import HOSTILE, HandSupport


class TableSupport(HandSupport):
    """Keeps what tables it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Any, ...]] = []

    async def csv(self, what: str, days: float, kinds: tuple[str, ...] | None = None) -> Any:
        self.asked.append((what, days, kinds))
        yield "id,at\r\n"


@dataclass
class Kept:
    """A house, and the journal behind its page."""

    house: House
    journal: Journal
    support: TableSupport


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    async with await Journal.open(tmp_path / "journal.db") as journal:
        await filled(journal)
        support, guard, settings = TableSupport(), HandGuard(), HandSettings(tmp_path)
        meter: Any = None
        records = Records(journal, SettingsStore(tmp_path), lambda: NOON, lambda: meter)
        audited: list[tuple[str, str, str]] = []
        server = WebServer(
            guard,
            settings,
            Gate(Policy(supervised=False), never_asked),
            lambda *what: audited.append(what),
            desks=Desks(support=support, records=records),
        )
        house = House(guard, settings, server, audited)
        house.port = await server.start("127.0.0.1", 0)
        yield Kept(house, journal, support)
        await server.stop()


async def filled(journal: Journal) -> None:
    async def note(kind: str, at: datetime, **data: object) -> None:
        await journal.append(kind, data, at)

    await note("audit", NOON - timedelta(days=5), by="Ada", action="stop", outcome="accepted")
    for number in range(205):
        await note("sample_gap", NOON - timedelta(hours=2), text=f"Gap {number}.", seconds=number)
    text = f'The "limit" was set,\nby hand {HOSTILE}'
    await note("limit", NOON - timedelta(minutes=5), text=text, limit_w=3680)
    await note("audit", NOON, by=HOSTILE, action="start_discharge", outcome="observe_mode")


async def test_events_are_shown_newest_first_and_filtered_without_becoming_markup(
    page: Page, kept: Kept
) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await shown(page, kept.house, "journal")
    rows = page.locator("#events tbody tr")
    await expect(rows).to_have_count(200)
    await expect(rows.first).to_contain_text(f"by a person {HOSTILE}: start_discharge (observe")
    await expect(rows.nth(1)).to_contain_text(f'The "limit" was set, by hand {HOSTILE}')
    await rows.nth(1).locator("summary").click()
    await expect(rows.nth(1).locator("pre")).to_have_text("limit_w: 3680")
    count = page.locator("p.count")
    await expect(count).to_have_text("Shown: 200 of 200; there are older ones")
    await page.get_by_role("button", name="Read older events").click()
    await expect(rows).to_have_count(207)
    await expect(count).to_have_text("Shown: 207 of 207")
    await page.get_by_label("Contains").fill("hand LIMIT")
    await expect(rows).to_have_count(1)
    await page.get_by_label("Contains").fill("nobody")
    await expect(page.locator("#empty")).to_contain_text("Take a filter back")
    await page.get_by_label("Contains").fill("")
    await page.get_by_role("button", name="Read again", exact=True).click()
    await expect(rows).to_have_count(200)
    await page.get_by_label("Kind").select_option("audit")  # is looked for in the whole period
    await expect(rows).to_have_count(1)
    await page.get_by_label("Period").select_option("Last 7 days")
    await expect(rows).to_have_count(2)  # and the kind is still chosen
    await expect(rows.last).to_contain_text("Ada: stop (accepted)")
    assert await page.title() == "PV Edge Agent"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    assert kept.house.audited == []  # a look is no copy


async def test_the_report_tells_each_day_its_breaches_and_what_was_not_recorded(
    page: Page, kept: Kept
) -> None:
    journal, yesterday = kept.journal, NOON - timedelta(days=1)
    for step in range(20):
        journal.note_sample(
            Sample(
                yesterday.timestamp() + step * 5, grid_w=-4000, limit_w=3680, exported_wh=5100,
                allowance_wh=9300,
            )
        )  # fmt: skip
    await journal.append("discharge_started", {"text": "On."}, yesterday)
    text = {"reason": "over_export", "text": f"Stopped {HOSTILE}"}
    await journal.append("stop", text, yesterday)
    await page.set_viewport_size({"width": 360, "height": 740})
    await shown(page, kept.house, "journal")
    rows = page.locator("#report tbody tr")
    await expect(rows).to_have_count(7)
    await expect(rows.first).to_contain_text("Jun 21, 2026")
    await expect(rows.first).to_contain_text("not recorded")
    day = rows.nth(1)
    for words in (
        "Jun 20, 2026", "recorded for 95 s", "3.68 kW", "4.00 kW", f"{MINUS}320 W",
        "above it for 95 s", "5.10 kWh of 9.30 kWh", "left: 4.20 kWh", "1 \u00d7 discharge",
        "stops: 1 \u00d7 over export; verified: 0", "Breaches: 2",
    ):  # fmt: skip
        await expect(day).to_contain_text(words)
    await day.locator("summary").click()
    for words in ("power, sun, without a command", "For 95 s up to 4000 W", HOSTILE):
        await expect(day.locator("li")).to_contain_text([words])
    await page.get_by_label("Days", exact=True).select_option("Last 31 days")
    await expect(rows).to_have_count(31)
    async with page.expect_download() as waited:
        await page.get_by_role("button", name="Report as CSV").click()
    assert (await waited.value).suggested_filename == "pv-edge-agent-report.csv"
    assert await page.title() == "PV Edge Agent"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_both_tables_are_taken_along_for_the_period_and_that_is_written_down(
    page: Page, kept: Kept
) -> None:
    await shown(page, kept.house, "journal")
    await page.get_by_label("Period").select_option("Last 90 days")
    await page.get_by_label("Kind").select_option("audit")
    for name, days, kinds in (("events", 90, ("audit",)), ("samples", 30, None)):
        async with page.expect_download() as waited:
            await page.get_by_role("button", name=f"{name.title()} as CSV").click()
        assert (await waited.value).suggested_filename == f"pv-edge-agent-{name}.csv"
        assert kept.support.asked[-1] == (name, days, kinds)
    assert [it[1:] for it in kept.house.audited] == [
        ("events.csv", "downloaded"),
        ("samples.csv", "downloaded"),
    ]


async def test_a_journal_that_cannot_be_read_says_so_and_is_read_again(
    page: Page, kept: Kept
) -> None:
    async def refused(route: Route) -> None:
        text = '{"code": "not_admin", "text": "Only an administrator may see this."}'
        await route.fulfill(status=403, body=text, content_type="application/json")

    await page.route("**/api/journal?*", refused)
    await shown(page, kept.house, "journal")
    problem = page.locator("pv-journal-list pv-problem")
    await expect(problem).to_contain_text("The journal could not be read.")
    await expect(problem).to_contain_text("Only an administrator may see this.")
    await page.unroute("**/api/journal?*")
    await page.get_by_role("button", name="Read again", exact=True).click()
    await expect(page.locator("#events")).to_be_visible()
    await expect(problem).to_have_count(0)
