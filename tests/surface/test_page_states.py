"""Every view in every state it can be in: nothing waits for ever, nothing old passes for new."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from agent.export.snapshot import PlanView
from agent.surface.web.auth import Gate, Policy
from tests.surface.conftest import House, shown
from tests.surface.desks import NOON
from tests.surface.full_house import full_house
from tests.surface.hand_plan import picture
from tests.surface.sights import SHIFTS

AT_ONCE_MS = 1000
ALL_BUT_THE_STREAM = re.compile(r"/api/(?!stream)")
PAINTED = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))"
GREY = re.compile(r"grayscale\(1\)")


@dataclass(frozen=True)
class View:
    """What a view shows when all is well, and what it asks for beside the stream."""

    name: str
    sign: str
    wish: str
    """A button that asks for what an administrator may."""
    place: str = "#answer"
    """Where the answer to it stands."""
    reads: tuple[tuple[str, str], ...] = ()
    """Endpoints read by themselves, each with the part that shows what came of it."""


VIEWS = (
    View("now", "#phase", "Start discharge", reads=(("history", "pv-now-chart"),)),
    View("plan", "#plan-windows tr", "Plan again now", reads=(("settings", "pv-plan-whatif"),)),
    View("bridges", "#verdicts", "Look for bridges again"),
    View("recovery", "pv-cable-port", "Identify"),
    View("firmware", "#channels", "Look now"),
    View(
        "journal", "#events", "Events as CSV",
        reads=(("journal", "pv-journal-list"), ("report", "pv-report")),
    ),
    View(
        "settings", "pv-mapping table", "Run the check-up", "pv-doctor pv-problem",
        reads=(("settings", "pv-settings-form"), ("settings/entities", "pv-mapping")),
    ),
)  # fmt: skip
READERS = tuple(view for view in VIEWS if view.reads)


async def never(_route: Route) -> None:
    """Take a request and say nothing."""


async def look_at(page: Page, view: View) -> None:
    await page.evaluate(f"location.hash = '#/{view.name}'")
    await expect(page.locator("main")).to_have_attribute("aria-label", view.name.title())


async def all_is_well(page: Page, view: View) -> None:
    await look_at(page, view)
    await expect(page.locator(f"main {view.sign}").first).to_be_visible()


async def started(folder: Path, gate: Gate | None = None) -> House:
    house = full_house(folder, gate)
    made = NOON - timedelta(minutes=10)
    house.guard.show(at=NOON, outlook=picture(made=made), plan=PlanView())
    house.port = await house.server.start("127.0.0.1", 0)
    return house


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[House]:
    house = await started(tmp_path)
    yield house
    await house.server.stop()


async def test_no_view_moves_when_its_figures_come_late(page: Page, full: House) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        asked.set()
        await go.wait()
        await route.continue_()

    await page.add_init_script(SHIFTS)
    await page.route("**/api/stream", late)
    for view in VIEWS:
        asked.clear()
        go.clear()
        await page.goto("about:blank")
        await page.goto(f"{full.url}/#/{view.name}")
        await expect(page.locator("main [role=status]")).to_have_text("Loading…")
        await page.evaluate(PAINTED)
        await asked.wait()
        go.set()
        await expect(page.locator(f"main {view.sign}").first).to_be_visible()
        await page.evaluate(PAINTED)
        assert await page.evaluate("window.shift") < 0.1, view.name


async def test_where_the_agent_is_silent_each_view_says_that_it_loads_and_then_that_it_failed(
    page: Page, full: House
) -> None:
    await page.clock.install()
    await page.route("**/api/**", never)
    await page.goto(f"{full.url}/")
    for view in VIEWS:
        await look_at(page, view)
        loading = page.locator("main").get_by_text("Loading…").first
        await expect(loading).to_be_visible(timeout=AT_ONCE_MS)
    await page.clock.run_for(11_000)
    problem = page.locator("main > pv-problem")
    for view in VIEWS:
        await look_at(page, view)
        await expect(problem).to_contain_text("Nothing is known of the house yet")
        await expect(problem).to_contain_text("See that the app runs, and what its log says")
        await expect(page.locator("main").get_by_text("Loading…")).to_have_count(0)
    await page.unroute_all()
    await page.clock.run_for(11_000)
    await expect(page.locator("main")).to_have_attribute("data-link", "live")
    await all_is_well(page, VIEWS[0])


async def test_a_view_whose_file_does_not_come_says_so_after_a_while(
    page: Page, full: House
) -> None:
    await page.clock.install()
    await shown(page, full)
    await page.route("**/assets/view-*.js", never)
    await look_at(page, VIEWS[1])
    main = page.locator("main")
    await expect(main.get_by_role("status")).to_have_text("Loading…", timeout=AT_ONCE_MS)
    await page.clock.run_for(21_000)
    await expect(main.get_by_role("alert")).to_contain_text("This view could not be loaded.")
    await expect(main.get_by_role("button", name="Load the page again")).to_be_visible()


async def test_what_is_read_beside_the_stream_loads_ends_and_comes_back_by_itself(
    page: Page, full: House
) -> None:
    await page.clock.install()
    await page.route(ALL_BUT_THE_STREAM, never)
    await shown(page, full)
    for view in READERS:
        await look_at(page, view)
        for _, part in view.reads:
            waiting = page.locator(part).get_by_text(re.compile("Loading…|Checking…|is being made"))
            await expect(waiting.first).to_be_visible(timeout=AT_ONCE_MS)
        for _ in view.reads:
            await page.clock.run_for(30_000)
            full.guard.show()  # the stream goes on
            await expect(page.locator("#link")).to_contain_text("Live")
        for _, part in view.reads:
            problem = page.locator(f"{part} pv-problem")
            await expect(problem).to_contain_text("did not answer in time. Look at the state")
    await page.unroute_all()
    await full.server.stop()
    await full.server.start("127.0.0.1", full.port)
    await page.clock.run_for(11_000)
    await expect(page.locator("pv-settings-form")).to_contain_text("Export limit")
    await expect(page.locator("#checked")).to_contain_text("Checked")
    for view in READERS:
        await all_is_well(page, view)
        await expect(page.locator("main pv-problem:not([tone=warn])")).to_have_count(0)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, "{}", "The agent answered with status 500. See its log."),
        (200, "<html>Log in</html>", "something in between changed it"),
        (502, "Bad gateway", "did not get to the agent (status 502). Wait a moment"),
    ],
)
async def test_an_answer_of_no_use_is_told_with_the_next_step_in_each_view(
    page: Page, full: House, status: int, body: str, words: str
) -> None:
    async def of_no_use(route: Route) -> None:
        await route.fulfill(status=status, body=body)

    await page.route(ALL_BUT_THE_STREAM, of_no_use)
    await shown(page, full)
    for view in VIEWS:
        await look_at(page, view)
        for _, part in view.reads:
            await expect(page.locator(f"{part} pv-problem")).to_contain_text(words)
        if not view.reads:
            await page.get_by_role("button", name=view.wish).first.click()
            await expect(page.locator(view.place)).to_contain_text(f"{view.wish} did not work:")
            await expect(page.locator(view.place)).to_contain_text(words)


async def test_a_file_that_home_assistant_does_not_pass_on_is_called_too_large(
    page: Page, full: House
) -> None:
    async def too_large(route: Route) -> None:
        await route.fulfill(status=413, body="Maximum request body size 16777216 exceeded")

    await page.route("**/api/releases/own", too_large)
    await shown(page, full, "firmware")
    upload = page.locator("pv-builds pv-upload")
    file = {"name": "own.bin", "mimeType": "application/octet-stream", "buffer": b"x"}
    await upload.get_by_label("File").set_input_files(file)  # type: ignore[arg-type]
    await upload.get_by_role("button", name="Show what it is").click()
    await expect(upload.get_by_role("status")).to_contain_text("16 MB at most. Choose something")


async def test_a_file_that_takes_long_says_that_it_is_made_and_has_an_end(
    page: Page, full: House
) -> None:
    await page.clock.install()
    await page.route("**/api/report.csv*", never)
    await shown(page, full, "journal")
    button = page.get_by_role("button", name="Report as CSV")
    await button.click()
    await expect(button).to_have_text("Report as CSV (being made…)")
    await expect(button).to_be_disabled()
    await page.clock.run_for(61_000)
    told = page.locator("#answer")
    await expect(told).to_contain_text("Report as CSV did not work: The agent did not answer in")
    await expect(page.locator("#link")).to_contain_text("Live")
    await expect(button).to_be_enabled()


async def test_a_lost_agent_leaves_what_was_known_in_grey_on_each_view_and_is_found_again(
    page: Page, full: House
) -> None:
    await shown(page, full)
    for view in VIEWS:
        await all_is_well(page, view)
    await full.server.stop()
    main, banner = page.locator("main"), page.locator("pv-banner")
    await expect(main).to_have_attribute("data-link", "lost")
    await expect(main).to_have_css("filter", GREY)
    for view in VIEWS:
        await look_at(page, view)
        await expect(banner).to_contain_text("What you see is old: last known")
        there = "pv-journal-list pv-problem" if view.name == "journal" else view.sign
        await expect(page.locator(f"main {there}").first).to_be_visible()
        for button in await page.locator("main pv-action button").all():
            assert await button.is_disabled(), (view.name, await button.inner_text())
    await look_at(page, VIEWS[5])
    await full.server.start("127.0.0.1", full.port)
    await page.evaluate("dispatchEvent(new Event('online'))")  # else with the next attempt
    await expect(main).to_have_attribute("data-link", "live")
    await expect(page.locator("#events")).to_be_visible()  # what had failed is read again
    await expect(main).not_to_have_css("filter", GREY)


async def test_a_guard_that_says_nothing_new_leaves_grey_values_with_their_age(
    page: Page, full: House
) -> None:
    await page.clock.install()
    await shown(page, full)
    await page.clock.run_for(25_000)
    await expect(page.locator("main")).to_have_css("filter", GREY)
    await expect(page.locator("pv-banner")).to_contain_text(re.compile(r"see is 2\d s old"))
    left = page.locator("#left")
    await left.hover()
    await expect(left).to_have_attribute("title", re.compile(r"^4\.01 kWh, 2\d s old$"))
    full.guard.show()
    await expect(page.locator("main")).not_to_have_css("filter", GREY)


async def test_who_is_no_administrator_reads_each_view_and_is_told_why_not_more(
    page: Page, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bundle
    monkeypatch.setattr("agent.surface.web.auth.SUPERVISOR_PEER", "127.0.0.1")

    async def is_admin(_user_id: str) -> bool:
        return False

    house = await started(tmp_path, Gate(Policy(supervised=True), is_admin))
    await page.set_extra_http_headers({"X-Remote-User-Id": "u-ben"})
    await shown(page, house)
    for view in VIEWS:
        await all_is_well(page, view)
        await page.get_by_role("button", name=view.wish).first.click()
        told = page.locator(view.place)
        await expect(told).to_contain_text("Only an administrator may do this.")
        if view.place == "#answer":
            await expect(told).to_contain_text(f"{view.wish} was refused:")
    await page.get_by_label("Safety margin", exact=True).fill("0.7")
    form = page.locator("pv-settings-form")
    await form.get_by_role("button", name="Save settings").click()
    await expect(form.locator("#said")).to_contain_text("Only an administrator may do this.")
    await form.get_by_role("radio", name="Control").check()
    await page.get_by_role("dialog").get_by_role("button", name="Control").click()
    await expect(form.get_by_role("alert").first).to_contain_text("Only an administrator")
    assert house.guard.requests == []
    await house.server.stop()


BARE = r"""(sentences) => {
  // Figures with a unit whose element, and what is around it, has no more to tell.
  const figure = /[0-9][0-9.,]*\s?(k?Wh?|%|g\/kWh|kB\/s)(?![a-z])/;
  const tells = (each) => {
    for (let at = each; at.localName !== 'main'; at = at.parentElement ?? at.getRootNode().host) {
      if (at.title || at.matches(sentences)) return true;
    }
  };
  const found = [];
  const look = (root) => {
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let each = walk.currentNode; each; each = walk.nextNode()) {
      if (each.shadowRoot) look(each.shadowRoot);
      if (each.nodeType === 3 && figure.test(each.data) && !tells(each.parentElement)) {
        found.push(`${root.host.localName}: ${each.data.trim()}`);
      }
    }
  };
  const app = document.querySelector('pv-app').shadowRoot;
  look(app.querySelector('main > *').shadowRoot);
  return found;
}"""
SENTENCES = (
    "style, #reason, #help, #plan-windows td:last-child, p.quiet:not(.pace):not([id]), pv-check"
)
"""What is told in whole sentences, or with its age beside it."""
HOVERED = {
    "now": {
        "#soc": r"^78 %, \d.* old, from sensor.alphaess_soc$",
        "#lease": r"^\d.* old, from ha_register$",
        "#limit": r"^\d.* s old, from sensor.alphaess_power_grid$",
        "#timeline-totals": "^10 min old, from the plan$",
    },
    "plan": {
        "#plan-windows pv-value >> nth=0": r"^1\.80 kWh, 10 min old, from the plan$",
        "#plan-phase pv-value": "^Planned: export 1.80 kWh .*, 10 min old, from the plan$",
    },
    "bridges": {"pv-install pv-progress": r"^\d.* old$"},
    "firmware": {"pv-trust tbody >> nth=0": "^Last confirmed: .*2027"},
    "journal": {"#report tbody": "^Made 12:00:00"},
}
"""Parts, and what they tell of their age and source."""


async def test_every_figure_tells_more_when_it_is_pointed_at(page: Page, full: House) -> None:
    await shown(page, full)
    for view in VIEWS:
        await all_is_well(page, view)
        for part, told in HOVERED.get(view.name, {}).items():
            await page.locator(part).hover()
            await expect(page.locator(part)).to_have_attribute("title", re.compile(told))
        assert await page.evaluate(BARE, SENTENCES) == [], view.name
