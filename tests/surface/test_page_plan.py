"""The plan on the page: a picture, each window with its why, and its settings."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from playwright.async_api import Page, expect

from agent.export.requests import RequestKind
from agent.export.snapshot import (
    PlanPicture,
    PlanPoint,
    PlanSource,
    PlanView,
    PlanWindow,
    Reason,
)
from tests.surface.conftest import House, opened
from tests.surface.desks import NOON

HALF_HOUR = timedelta(minutes=30)
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
WHY = Reason("best_hours", f"Exports at 264 g/kWh {HOSTILE}")


def point(number: int, action: str, battery_w: float) -> PlanPoint:
    begins = NOON + number * HALF_HOUR
    return PlanPoint(
        begins, begins + HALF_HOUR, action, 900, 400, battery_w, 0, 60, 150.0, 0.2, None
    )


def picture(made: datetime = NOON, **changes: object) -> PlanPicture:
    points = tuple(
        point(n, "discharge" if n in (0, 1) else "charge" if n == 30 else "self_consumption",
              2000 if n in (0, 1) else -3000 if n == 30 else -200)
        for n in range(48)
    )  # fmt: skip
    windows = (
        PlanWindow("discharge", NOON, NOON + 2 * HALF_HOUR, 1800, 2000, 40, WHY),
        PlanWindow("charge", NOON + 30 * HALF_HOUR, NOON + 31 * HALF_HOUR, 1500, -3000, 55, WHY),
    )
    sources = (
        PlanSource("pv", "sensor.solcast", NOON + timedelta(days=1), ""),
        PlanSource("buy", "buy_tariff", None, "no price is known"),
    )
    found = PlanPicture(
        made, "solver", "carbon", "GBP", Reason("solved", "The best plan for this forecast."),
        949.4, points, windows, sources,
    )  # fmt: skip
    return replace(found, **changes)  # type: ignore[arg-type]


async def test_without_a_plan_the_page_says_how_to_get_one(page: Page, house: House) -> None:
    await opened(page, house)
    await expect(page.locator("#plan-none")).to_be_visible()
    await expect(page.locator("#plan-some")).to_be_hidden()


async def test_a_plan_is_drawn_and_each_window_says_why(page: Page, house: House) -> None:
    house.guard.show(outlook=picture(), plan=PlanView())
    await opened(page, house)
    await expect(page.locator("#plan-phase")).to_have_text(
        "To export 1.80 kWh from the battery, charge 1.50 kWh"
    )
    await expect(page.locator("#plan-reason")).to_contain_text("Saves 949 g of CO₂")
    windows = page.locator("#plan-windows tr")
    await expect(windows).to_have_count(2)
    await expect(windows.first).to_contain_text(WHY.text)
    await expect(page.locator("#plan-chart rect.block.discharge")).to_have_count(2)
    await expect(page.locator("#plan-chart rect.window")).to_have_count(2)
    tall = await page.locator("#plan-chart rect.block.charge").bounding_box()
    low = await page.locator("#plan-chart rect.block.self_consumption").first.bounding_box()
    assert tall
    assert low
    assert tall["height"] > 10 * low["height"] > 0
    assert await page.title() == "PV Edge Agent"


async def test_a_window_in_which_the_battery_takes_nothing_is_not_told_in_kilowatt_hours(
    page: Page, house: House
) -> None:
    end = NOON + HALF_HOUR
    windows = (
        PlanWindow("share_sun", NOON, end, 700, -1400, 40, WHY),
        PlanWindow("share_sun", end, end + HALF_HOUR, 0, 0, 40, WHY),
        PlanWindow("hold", end + HALF_HOUR, end + 2 * HALF_HOUR, 0, 0, 40, WHY),
    )
    house.guard.show(outlook=picture(windows=windows), plan=PlanView())
    await opened(page, house)
    done = page.locator("#plan-windows tr td:nth-child(2)")
    wanted = ["Store a part of the sun 0.70 kWh", "Let the sun leave", "Rest"]
    await expect(done).to_have_text(wanted)


async def test_a_newer_plan_takes_its_place_by_itself(page: Page, house: House) -> None:
    house.guard.show(outlook=picture(), plan=PlanView())
    await opened(page, house)
    house.guard.show(outlook=picture(NOON + HALF_HOUR, windows=(), gain=0))
    await expect(page.locator("#plan-phase")).to_have_text("Nothing is commanded")
    await expect(page.locator("#plan-chart rect.window")).to_have_count(0)
    house.guard.show(outlook=None, plan=None)
    await expect(page.locator("#plan-none")).to_be_visible()


async def test_the_running_window_says_whether_it_is_carried_out(page: Page, house: House) -> None:
    house.guard.show(outlook=picture(), plan=PlanView())
    await opened(page, house)
    now = page.locator("#plan-now")
    await expect(now).to_contain_text("automatic discharge is off")
    house.guard.show(plan=PlanView(auto_discharge=True))
    await expect(now).to_contain_text("is planned now and carried out")
    house.guard.show(plan_waits=Reason("observe_mode", "The agent only observes."))
    await expect(now).to_contain_text("waits: The agent only observes.")


async def test_what_was_made_up_is_said_above_the_picture(page: Page, house: House) -> None:
    await opened(page, house)
    await expect(page.locator("#plan-invented")).to_be_hidden()
    invented = (PlanSource("pv", "made up for the demo", None, ""),)
    house.guard.show(outlook=picture(sources=invented), plan=PlanView())
    await expect(page.locator("#plan-invented")).to_be_visible()


async def test_the_button_asks_for_a_new_plan(page: Page, house: House) -> None:
    house.guard.show(outlook=picture(), plan=PlanView())
    await opened(page, house)
    await page.get_by_role("button", name="Plan again now").click()
    await expect(page.locator("#answer")).to_be_visible()
    assert [each.kind for each in house.guard.requests] == [RequestKind.CALCULATE]


async def test_the_plans_settings_are_switches_lists_and_lines(page: Page, house: House) -> None:
    await opened(page, house)
    await page.get_by_text("Plans and windows").click()
    await page.get_by_label("Carry out discharge").check()
    await page.get_by_label("Aim").select_option("money")
    await page.get_by_label("Import tariff").fill("00:00 0.07, 05:30 0.27")
    await page.get_by_label("Export tariff").fill("0.15")
    await page.get_by_label("Import prices (entities)").fill("event.a, event.b")
    await page.get_by_label("Wear of the battery").fill("0,02")
    await page.get_by_role("button", name="Save settings").click()
    await expect(page.locator("#settings-message")).to_have_text("Saved.")
    values = house.settings.current()
    assert values["enable_auto_discharge"] is True
    assert values["plan_aim"] == "money"
    assert values["buy_tariff"] == "00:00 0.07, 05:30 0.27"
    assert values["sell_tariff"] == "0.15"
    assert values["entities.buy_rates"] == ["event.a", "event.b"]
    assert values["wear_per_kwh"] == 0.02


async def test_a_plan_setting_that_is_wrong_opens_its_place_and_says_why(
    page: Page, house: House
) -> None:
    await opened(page, house)
    await page.get_by_text("Plans and windows").click()
    await page.get_by_label("Roof").fill("my roof")
    await page.get_by_text("Plans and windows").click()
    await page.get_by_role("button", name="Save settings").click()
    await expect(page.locator("#error-roof")).to_contain_text("51.5, -0.1, 35, 0, 4.2")
    await expect(page.locator("#error-roof")).to_be_visible()
    assert house.settings.current()["roof"] == ""


async def test_the_plan_fits_a_phone(page: Page, house: House) -> None:
    house.guard.show(outlook=picture(), plan=PlanView())
    await page.set_viewport_size({"width": 360, "height": 640})
    await opened(page, house)
    await page.get_by_text("What it was made from").click()
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
