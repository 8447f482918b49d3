"""The view Plan in a real browser: windows with their why, and what if."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from playwright.async_api import Page, expect

from agent.export.requests import RequestKind
from agent.export.snapshot import PlanView, PlanWindow, Reason
from agent.surface.desk import PlanRefusedError
from tests.surface.conftest import House, shown
from tests.surface.desks import NOON
from tests.surface.hand_plan import HALF_HOUR, WHY, picture


async def test_without_a_plan_the_page_says_how_to_get_one(page: Page, house: House) -> None:
    await shown(page, house, "plan")
    await expect(page.locator("#plan-none")).to_contain_text("Switch planning on")
    await expect(page.get_by_role("link", name="Open the settings")).to_be_visible()


async def test_a_plan_is_drawn_and_each_window_says_why(page: Page, house: House) -> None:
    house.guard.show(outlook=picture(), plan=PlanView())
    await shown(page, house, "plan")
    await expect(page.locator("#plan-phase")).to_have_text(
        "Planned: export 1.80 kWh from the battery, charge 1.50 kWh"
    )
    await expect(page.locator("#plan-reason")).to_contain_text("Saves 949 g of CO₂")
    rows = page.locator("#plan-windows tr")
    await expect(rows).to_have_count(2)
    for words in ("1.80 kWh", "to 40 %", WHY.text):
        await expect(rows.first).to_contain_text(words)
    powers = "(plot) => plot.data.map((column) => column[0])"
    assert (await page.locator("pv-plot#plan-chart").evaluate(powers))[1:5] == [
        2000,
        900,
        400,
        60,
    ]
    carbon = "(plot) => plot.data[1].length"
    assert await page.locator("pv-plot#plan-worth").evaluate(carbon) == 49
    await expect(page.locator("#plan-sources tr")).to_have_count(2)
    await expect(page.locator("#plan-sources")).to_contain_text("no price is known")
    assert await page.title() == "PV Edge Agent"  # the why of a window is hostile there


async def test_money_is_drawn_where_the_aim_is_money(page: Page, house: House) -> None:
    house.guard.show(outlook=picture(aim="cost", gain=1.234), plan=PlanView())
    await shown(page, house, "plan")
    await expect(page.get_by_role("heading", name="GBP per kWh")).to_be_visible()
    await expect(page.locator("#plan-reason")).to_contain_text("Saves 1.23 GBP")


async def test_a_window_without_energy_is_not_told_in_kilowatt_hours(
    page: Page, house: House
) -> None:
    end, why = NOON + HALF_HOUR, Reason("rest", "Later is better.")
    windows = (
        PlanWindow("share_sun", end, end + HALF_HOUR, 0, 0, 40, why),
        PlanWindow("hold", end + HALF_HOUR, end + 2 * HALF_HOUR, 0, 0, 40, why),
    )
    house.guard.show(outlook=picture(windows=windows), plan=PlanView())
    await shown(page, house, "plan")
    rows = page.locator("#plan-windows tr")
    await expect(rows.nth(0)).to_contain_text("Let the sun leave")
    await expect(rows.nth(1)).to_contain_text("Rest")
    await expect(page.locator("#plan-windows")).not_to_contain_text("kWh")


async def test_it_is_said_what_becomes_of_the_running_window(page: Page, house: House) -> None:
    house.guard.show(outlook=picture(), plan=PlanView())
    await shown(page, house, "plan")
    now = page.locator("#plan-now")
    await expect(now).to_contain_text("because automatic discharge is off")
    house.guard.show(plan=PlanView(auto_discharge=True), plan_waits=Reason("soc", "It is empty."))
    await expect(now).to_contain_text("waits: It is empty.")
    house.guard.show(plan_waits=None)
    await expect(now).to_contain_text("and carried out")
    house.guard.show(at=NOON + timedelta(hours=5))
    await expect(now).to_have_text("")


async def test_planning_again_is_one_click(page: Page, house: House) -> None:
    house.guard.show(outlook=picture(), plan=PlanView())
    await shown(page, house, "plan")
    await page.get_by_role("button", name="Plan again now").click()
    await expect(page.locator("#answer")).to_contain_text("Plan again now")
    assert [request.kind for request in house.guard.requests] == [RequestKind.CALCULATE]


async def test_a_slider_shows_another_plan_and_changes_nothing(page: Page, house: House) -> None:
    house.guard.show(outlook=picture(), plan=PlanView())
    before = house.settings.current()
    short = picture().windows[:1]
    points = tuple(dataclasses.replace(each, soc_percent=33) for each in picture().points)
    house.plan.answer = picture(windows=short, gain=2500.0, points=points)
    await shown(page, house, "plan")
    sun = page.get_by_label("Sun, of the forecast")
    await sun.press("ArrowLeft")
    told = page.locator("#whatif")
    await expect(told.get_by_role("row", name="Charged")).to_have_text("Charged1.50 kWh0.00 kWh")
    await expect(told.get_by_role("row", name="Saved")).to_have_text(
        "Saved949 g of CO₂2.5 kg of CO₂"
    )
    overlay = "(plot) => plot.data[5][0]"
    assert await page.locator("pv-plot#plan-chart").evaluate(overlay) == 33
    assert house.plan.asked == [{"sun_percent": 90}]
    assert house.settings.current() == before
    assert house.guard.requests == []
    await page.get_by_role("button", name="As it is").click()
    await expect(told.get_by_role("table")).to_have_count(0)
    await expect(sun).to_have_value("100")
    assert await page.locator("pv-plot#plan-chart").evaluate(overlay) is None


async def test_a_preview_that_is_refused_says_why_and_is_tried_again(
    page: Page, house: House
) -> None:
    house.plan.answer = PlanRefusedError("busy", "Another preview is being made.")
    await shown(page, house, "plan")
    await page.get_by_label("Lowest charge").press("ArrowRight")
    problem = page.locator("#whatif [role=alert]")
    await expect(problem).to_contain_text("Another preview is being made.")
    house.plan.answer = picture()
    await page.locator("#whatif").get_by_role("button", name="Try again").click()
    await expect(problem).to_have_count(0)
    assert house.plan.asked == [{"min_soc_percent": 21}] * 2


async def test_without_settings_the_sliders_say_so(page: Page, house: House) -> None:
    await page.route("**/api/settings", lambda route: route.abort())
    await shown(page, house, "plan")
    told = page.locator("pv-plan-whatif")
    await expect(told.get_by_role("alert")).to_contain_text("could not be reached")
    await page.unroute_all()
    await told.get_by_role("button", name="Try again").click()
    await expect(page.get_by_label("Wanted export")).to_be_visible()
