"""The journal on the new page: read when it is looked at, filtered, and taken along as a table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from agent.history_csv import csv
from agent.journal import Journal
from agent.surface.web.auth import Gate, Policy
from tests.surface.conftest import House, never_asked, shown
from tests.surface.desks import NOON
from tests.surface.test_support import HOSTILE, HandSupport, served


@pytest.fixture
def page(new_page: Page) -> Page:
    return new_page


LATER = NOON + timedelta(seconds=1)


class JournalSupport(HandSupport):
    """The table of a real journal; keeps what it was asked for."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal
        self.asked: list[tuple[str, float]] = []

    async def csv(
        self, what: str, days: float, kinds: tuple[str, ...] | None = None
    ) -> AsyncIterator[str]:
        self.asked.append((what, days))
        async for piece in csv(self.journal, "events", NOON - timedelta(days=days), LATER, kinds):
            yield piece


@dataclass
class Kept:
    """A house, and the journal behind its page."""

    house: House
    support: JournalSupport


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    async with await Journal.open(tmp_path / "journal.db") as journal:
        await filled(journal)
        support = JournalSupport(journal)
        async for house in served(tmp_path, Gate(Policy(supervised=False), never_asked)):
            house.support.csv = support.csv  # type: ignore[method-assign]
            yield Kept(house, support)


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
    await expect(page.locator("p.count")).to_have_text("Shown: 200 of 207")
    await page.get_by_role("button", name="Show more").click()
    await expect(rows).to_have_count(207)
    await page.get_by_label("Contains").fill("hand LIMIT")
    await expect(rows).to_have_count(1)
    await page.get_by_label("Contains").fill("nobody")
    await expect(page.locator("#empty")).to_contain_text("Take a filter back")
    await page.get_by_label("Contains").fill("")
    await page.get_by_label("Kind").select_option("audit")
    await expect(rows).to_have_count(1)
    await page.get_by_label("Period").select_option("Last 7 days")
    await expect(rows).to_have_count(2)  # and the kind is still chosen
    await expect(rows.last).to_contain_text("Ada: stop (accepted)")
    assert await page.title() == "PV Edge Agent"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    assert kept.house.audited == []  # a look is no copy


async def test_both_tables_are_taken_along_for_the_period_and_that_is_written_down(
    page: Page, kept: Kept
) -> None:
    await shown(page, kept.house, "journal")
    await page.get_by_label("Period").select_option("Last 90 days")
    for name, days in (("events", 90), ("samples", 30)):
        async with page.expect_download() as waited:
            await page.get_by_role("button", name=f"{name.title()} as CSV").click()
        assert (await waited.value).suggested_filename == f"pv-edge-agent-{name}.csv"
        assert kept.support.asked[-1] == (name, days)
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

    await page.route("**/journal.csv*", refused)
    await shown(page, kept.house, "journal")
    problem = page.locator("pv-view-journal pv-problem")
    await expect(problem).to_contain_text("The journal could not be read.")
    await expect(problem).to_contain_text("Only an administrator may see this.")
    await page.unroute("**/journal.csv*")
    await page.get_by_role("button", name="Read again").click()
    await expect(page.locator("#events")).to_be_visible()
    await expect(problem).to_have_count(0)
