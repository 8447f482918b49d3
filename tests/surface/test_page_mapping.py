"""The mapping of entities on the page: which one is used, whether it can be, and another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from agent.entity_checks import checks
from agent.export.snapshot import ReadingView
from agent.homeassistant.states import EntityState
from agent.house.hass_entities import EntityMapping
from agent.settings import SettingsStore
from agent.surface.web.api import Desks
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.server import WebServer
from tests.surface.conftest import House, never_asked, shown
from tests.surface.desks import NOON, QUIET, HandGuard, HandSettings
from tests.surface.full_house import Kept
from tests.surface.test_support import HOSTILE

FOUND = EntityMapping(
    soc="sensor.soc", pv_power=("sensor.east", "sensor.west"), grid_power="sensor.grid"
)
AMBIGUOUS = f"soc: two hold a value; choose one {HOSTILE}"


@dataclass
class Looked(Kept):
    """`RecordsDesk` that judges the settings by entities of the test's own."""

    store: SettingsStore
    states: dict[str, EntityState] = field(default_factory=dict)
    linked: bool = True

    def show(self, entity_id: str, text: str, unit: str = "", age_s: float = 0) -> None:
        updated = NOON.timestamp() - age_s
        attributes = {"unit_of_measurement": unit}
        self.states[entity_id] = EntityState(
            entity_id, text, attributes, updated, updated, 0, live=True
        )

    def entities(self) -> dict[str, Any]:
        found = checks(self.store.current.entities, FOUND, self.states, self.linked)
        return {"entities": [asdict(it) for it in found], "findings": [AMBIGUOUS]}


@dataclass
class Mapped:
    """A house with its entities, and the page."""

    house: House
    desk: Looked
    page: Page

    def row(self, name: str) -> Locator:
        return self.page.locator(f"[data-entity='entities.{name}']")

    async def tells(self, name: str, *texts: str) -> None:
        for text in texts:
            await expect(self.row(name)).to_contain_text(text)

    async def again(self) -> None:
        await self.page.get_by_role("button", name="Check again").click()


@pytest.fixture
async def mapped(page: Page, tmp_path: Path) -> AsyncIterator[Mapped]:
    settings, guard = HandSettings(tmp_path), HandGuard(replace(QUIET, readings=()))
    desk = Looked(settings._store)  # the very one that the page changes
    audited: list[tuple[str, str, str]] = []
    server = WebServer(
        guard,
        settings,
        Gate(Policy(supervised=False), never_asked),
        lambda *what: audited.append(what),
        desks=Desks(records=desk),
    )
    house = House(guard, settings, server, audited)
    house.port = await server.start("127.0.0.1", 0)
    yield Mapped(house, desk, page)
    await server.stop()


async def test_each_row_says_what_is_used_why_it_is_wrong_and_what_to_do(mapped: Mapped) -> None:
    page, desk = mapped.page, mapped.desk
    desk.show("sensor.east", "1.5", "kW", age_s=3)
    desk.show("sensor.west", "250", "W", age_s=200)
    desk.show("sensor.soc", "full", "%")
    desk.show("sensor.grid", "-812", "W")
    grid = ReadingView(
        "grid_w", -812.0, "W", 95.0, "good", "sensor.grid", "Old: 95 s.", fresh=False
    )
    mapped.house.guard.show(readings=(grid,))
    await shown(page, mapped.house, "settings")
    await mapped.tells(
        "pv_power",
        "In use: sensor.east + sensor.west, found by itself.",
        "Good.",
        "1.75 kW new 3 min",
    )
    await mapped.tells(
        "soc", "In use: sensor.soc, found by itself.", "Wrong. sensor.soc says 'full', which is",
        "Choose another entity here, or repair this one",
    )  # fmt: skip
    await mapped.tells("grid_power", "Look at it.", "stale: 9", "Old: 95 s.")
    await mapped.tells("battery_power", "In use: none.", "Wrong. No entity is chosen or was found")
    await mapped.tells("reserve_soc", "In use: none.", "Not used.", "none is needed")
    await expect(page.locator("#unsettled li")).to_have_text([AMBIGUOUS])
    await expect(page.locator("#checked")).to_contain_text("Good: 2; to look at: ")
    tone = mapped.row("soc").locator(".verdict")
    await expect(tone).to_have_class("verdict bad")
    assert await page.title() == "PV Edge Agent"


async def test_another_entity_is_chosen_and_checked_at_once_and_again_when_wanted(
    mapped: Mapped,
) -> None:
    page, desk = mapped.page, mapped.desk
    desk.show("sensor.soc", "50", "%")
    await shown(page, mapped.house, "settings")
    await mapped.tells("soc", "Good.", "50 %")
    field_of_soc = mapped.row("soc").get_by_label("Battery charge")
    await field_of_soc.fill("sensor.mine")
    await page.locator("pv-mapping").get_by_role("button", name="Save settings").click()
    await mapped.tells(
        "soc", "In use: sensor.mine, chosen by a person.", "sensor.mine does not exist"
    )
    assert mapped.house.settings.current()["entities.soc"] == "sensor.mine"
    desk.show(
        "sensor.mine", "61", "%"
    )  # and is looked at once more by itself, when it is listened to
    await mapped.tells("soc", "Good.", "61 %")
    desk.show("sensor.mine", "62", "%")
    desk.linked = False
    await mapped.again()
    await mapped.tells("soc", "Not used. Home Assistant does not answer")
    desk.linked = True
    await mapped.again()
    await mapped.tells("soc", "62 %")


async def test_a_check_that_is_late_fails_or_comes_back_changed_says_so(mapped: Mapped) -> None:
    page = mapped.page
    go = asyncio.Event()

    async def late(route: Route) -> None:
        await go.wait()
        await route.fulfill(status=200, body="<html>Not found</html>")

    await page.route("**/api/settings/entities", late)
    await shown(page, mapped.house, "settings")
    checked, problem = page.locator("#checked"), page.locator("pv-mapping pv-problem")
    await expect(checked).to_have_text("Checking…")
    await expect(page.get_by_role("button", name="Check again")).to_be_disabled()
    go.set()
    await expect(problem).to_contain_text("The entities could not be checked.")
    await expect(problem).to_contain_text("something in between changed it")
    await expect(mapped.row("soc").get_by_role("textbox")).to_be_enabled()  # choosing still works
    await page.unroute_all()
    mapped.desk.show("sensor.soc", "50", "%")
    await mapped.again()
    await mapped.tells("soc", "Good.")
    await expect(problem).to_have_count(0)
