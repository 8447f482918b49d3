"""Settings on the page: ranges and units, the mapping with its checks, help and files."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from agent.export.requests import RequestKind
from agent.export.snapshot import Mode, ReadingView
from agent.settings import SettingError
from agent.surface.web.auth import Gate, Policy
from tests.surface.conftest import House, never_asked, shown
from tests.surface.desks import QUIET
from tests.surface.hand_plan import picture
from tests.surface.test_support import HOSTILE, REPORT, HandSupport, Helped, served


@pytest.fixture
async def helped(tmp_path: Path) -> AsyncIterator[Helped]:
    async for made in served(tmp_path, Gate(Policy(supervised=False), never_asked)):
        yield made


async def test_settings_are_saved_together_and_a_wrong_one_says_why_where_it_stands(
    page: Page, house: House
) -> None:
    await shown(page, house, "settings")
    limit = page.locator("[data-key=export_limit_w]")
    await expect(limit).to_contain_text("Hard cap of the power fed to the grid")
    await expect(limit).to_contain_text("From 0 to 50,000 W. Step 10 W.")
    save = page.locator("pv-settings-form").get_by_role("button", name="Save settings")
    await expect(save).to_be_disabled()
    await page.get_by_label("Export limit", exact=True).fill("3680")
    await page.locator("[data-group=Battery] summary").click()
    capacity = page.get_by_label("Battery capacity")
    await capacity.fill("1000")
    await expect(page.locator("#said").first).to_have_text("Changed and not saved: 2")
    await page.locator("[data-group=Battery] summary").click()  # hides what is wrong
    await save.click()
    wrong = page.locator("[data-key=battery_capacity_kwh]")
    await expect(wrong.get_by_role("alert")).to_contain_text("0.5 to 100")
    await expect(capacity).to_be_focused()
    await expect(capacity).to_have_attribute("aria-invalid", "true")
    assert house.settings.current()["export_limit_w"] is None
    await capacity.fill("12,5")  # a comma is a decimal point to many
    await expect(wrong.locator("#error")).to_have_text("")
    await save.click()
    await expect(page.locator("#said").first).to_have_text("Saved.")
    now = house.settings.current()
    assert (now["export_limit_w"], now["battery_capacity_kwh"]) == (3680, 12.5)
    await page.get_by_label("Export limit", exact=True).fill("1")
    await page.get_by_role("button", name="Discard").click()
    await expect(page.get_by_label("Export limit", exact=True)).to_have_value("3680")
    await page.locator("[data-group='Plans and windows'] summary").click()
    await page.get_by_role("switch", name="Plan discharge").press("Space")
    await save.click()
    await expect(page.locator("#said").first).to_have_text("Saved.")
    assert house.settings.current()["enable_ci_planning"] is True


async def test_control_is_asked_for_twice_and_what_somebody_types_outlives_a_reconnect(
    page: Page, house: House
) -> None:
    await shown(page, house, "settings")
    control = page.get_by_role("radio", name="Control")
    await control.check()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("radio", name="Observe")).to_be_checked()
    assert house.audited == []
    take, sentence = house.settings.update, "mode: the disk is full; nothing was changed"
    house.settings.update = full_disk  # type: ignore[method-assign]
    await control.check()
    await page.get_by_role("dialog").get_by_role("button", name="Control").click()
    await expect(page.locator("fieldset").get_by_role("alert")).to_have_text(sentence)
    await expect(page.get_by_role("radio", name="Observe")).to_be_checked()
    house.settings.update = take  # type: ignore[method-assign]
    await page.get_by_label("Safety margin", exact=True).fill("0.7")
    await house.server.stop()
    await expect(page.locator("main")).to_have_attribute("data-link", "lost")
    await expect(control).to_be_disabled()
    await house.settings.update({"export_limit_w": 3000}, by="an entity")
    await house.server.start("127.0.0.1", house.port)
    await expect(page.get_by_label("Export limit", exact=True)).to_have_value("3000")
    await expect(page.get_by_label("Safety margin", exact=True)).to_have_value("0.7")
    await control.check()
    await page.get_by_role("dialog").get_by_role("button", name="Control").click()
    house.guard.show(mode=Mode.CONTROL)
    await expect(page.locator("#link")).to_contain_text("in control")
    await expect(control).to_be_checked()
    assert house.settings.current()["mode"] == "control"


async def full_disk(_changes: object, by: str) -> dict[str, Any]:
    raise SettingError("mode", "mode: the disk is full; nothing was changed")


async def test_each_entity_stands_beside_what_is_read_from_it(page: Page, house: House) -> None:
    grid = ReadingView("grid_w", -812.0, "W", 1.4, "good", HOSTILE, "", fresh=True)
    soc = ReadingView("soc_percent", 78.0, "%", 400.0, "stale", "", "Old: 400 s.", fresh=False)
    none = ReadingView("pv_w", None, "W", None, "missing", "", "It is unavailable.", fresh=False)
    house.guard.show(readings=(grid, soc, none), outlook=picture())
    await shown(page, house, "settings")
    for key, text in (
        ("entities.grid_power", f"s old  read from {HOSTILE}"),
        ("entities.grid_power", "\u2212812 W, "),
        ("entities.soc", "78 %, stale: 7 min old Old: 400 s."),
        ("entities.pv_power", "no value It is unavailable."),
        ("entities.buy_rates", "no value no price is known buy_tariff"),
        ("entities.forecast_tomorrow", "known until"),
        ("entities.sell_rates", "the doctor says what becomes of it"),
    ):
        await expect(page.locator(f"[data-entity='{key}'] pv-check")).to_contain_text(text)
    entity = page.locator("[data-entity='entities.grid_power']").get_by_label("Grid power")
    save = page.locator("pv-mapping").get_by_role("button", name="Save settings")
    await expect(entity).to_have_attribute("placeholder", "found by itself")
    await entity.fill("no entity")
    await save.click()
    wrong = page.locator("[data-entity='entities.grid_power']").get_by_role("alert")
    await expect(wrong).to_contain_text("entities.grid_power")
    await entity.fill("sensor.my_grid")
    await save.click()
    await expect(page.locator("pv-mapping #said")).to_have_text("Saved.")
    assert house.settings.current()["entities.grid_power"] == "sensor.my_grid"
    assert await page.title() == "PV Edge Agent"


async def test_commissioning_asks_first_and_tells_its_stage_and_figures(
    page: Page, house: House
) -> None:
    await shown(page, house, "settings")
    await expect(page.locator("#commissioning")).to_have_text("Not run yet")
    await page.get_by_role("button", name="Run the test").click()
    await page.get_by_role("dialog").get_by_role("button", name="Run the test").click()
    await expect(page.locator("#answer")).to_contain_text("Run the test")
    assert [it.kind for it in house.guard.requests] == [RequestKind.COMMISSION]
    test = QUIET.commissioning
    house.guard.show(
        commissioning=dataclasses.replace(
            test, running=True, stage="running", progress_percent=40, text="Discharging."
        )
    )
    bar = page.locator("pv-commissioning").get_by_role("progressbar")
    await expect(bar).to_have_attribute("aria-valuenow", "40")
    done = {"passed": True, "stage": "passed", "at": QUIET.at}
    house.guard.show(
        commissioning=dataclasses.replace(
            test, **done, delay_s=2.5, gain=0.98, rewrite_extends=True, text="It ended by itself."
        )
    )
    for text in (
        "Passed, Jun 21, 2026",
        "It ended by itself.",
        "2.5 s",
        "98 % of commanded",
        "yes",
    ):
        await expect(page.locator("pv-commissioning")).to_contain_text(text)


class SlowSupport(HandSupport):
    """A doctor who works until he is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def doctor(self, progress: Callable[[str, float], None]) -> dict[str, Any]:
        progress("Asking Home Assistant", 15)
        await self.go.wait()
        return REPORT


async def test_the_doctor_tells_his_progress_then_his_report_and_files_come_and_go(
    page: Page, helped: Helped, tmp_path: Path
) -> None:
    slow = SlowSupport()
    helped.support.doctor = slow.doctor  # type: ignore[method-assign]
    await shown(page, helped, "settings")
    await page.get_by_role("button", name="Run the check-up").click()
    doctor = page.locator("pv-doctor")
    await expect(doctor.get_by_role("status")).to_have_text("Asking Home Assistant…")
    await expect(doctor.locator("pv-progress")).to_contain_text("Asking Home Assistant… 15 %")
    await expect(page.get_by_role("button", name="Run the check-up")).to_be_disabled()
    slow.go.set()
    await expect(page.locator("#verdict")).to_have_text("There are warnings. 2 checks in 12 s.")
    await expect(page.locator("#findings tbody tr").last).to_contain_text(HOSTILE)
    await expect(page.locator("#findings tbody tr").last).to_contain_text("Next: Look at the meter")
    async with page.expect_download() as waited:
        await page.get_by_role("button", name="Download diagnostics").click()
    assert (await waited.value).suggested_filename == "pv-edge-agent-diagnostics.json"
    async with page.expect_download() as waited:
        await page.get_by_role("button", name="Export settings").click()
    file = tmp_path / "changed.json"
    await (await waited.value).save_as(file)
    exported = json.loads(file.read_text())
    exported["settings"] |= {"min_soc_percent": 33, "mode": "control"}
    file.write_text(json.dumps(exported))
    take = page.get_by_role("button", name="Import settings")
    await page.get_by_label("File of settings").set_input_files(file)
    await take.click()
    await page.get_by_role("dialog").get_by_role("button", name="Import settings").click()
    await expect(page.locator("pv-files #said")).to_contain_text("The mode stays observe")
    await expect(page.get_by_label("Minimum SOC", exact=True)).to_have_value("33")
    await page.get_by_role("button", name="Clear notifications").click()
    await expect(page.locator("#answer")).to_contain_text("were put away")
    assert await page.title() == "PV Edge Agent"
