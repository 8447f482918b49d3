"""The view Now in a real browser: what a person sees, and that nothing jumps or is made up."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, expect

from agent.export.requests import RequestKind
from agent.export.snapshot import ActionView, CheckView, HealthStatus, Phase, PlanView, Reason
from agent.surface.desk import HistoryPoint
from tests.surface.conftest import FRONTEND, House, packages, shown
from tests.surface.desks import DISCHARGING, QUIET
from tests.surface.hand_plan import picture
from tests.surface.sights import AXE, MINUS, SHIFTS

LONDON = ZoneInfo("Europe/London")
GROWN = """(count) => document.querySelector('pv-app')?.shadowRoot
  ?.querySelector('pv-view-now')?.shadowRoot?.querySelector('pv-now-chart')?.shadowRoot
  ?.querySelector('pv-plot')?.data[0].length > count"""
DASH = "\u2013"


async def test_the_state_is_shown_with_its_reason_and_every_figure(
    page: Page, house: House
) -> None:
    await shown(page, house)
    for place, words in {
        "phase": "Energy could be exported",
        "reason": QUIET.reason.text,
        "lease": "No dispatch runs.",
        "left": "4.01 kWh",
        "exported": "5.10 kWh",
        "grid": "812 W",
        "grid-words": "exports",
        "battery-words": "charges",
        "health": "Healthy",
        "blockers-title": "A start would be refused because:",
    }.items():
        await expect(page.locator(f"#{place}")).to_have_text(words)
    await expect(page.locator("#blockers li")).to_have_text([QUIET.blockers[0].text])
    meter = page.get_by_role("meter", name="Exported today, of the allowance")
    await expect(meter).to_have_attribute("aria-valuetext", "5.10 kWh of 9.30 kWh")


async def test_a_new_state_appears_by_itself_and_the_lease_counts_down(
    page: Page, house: House
) -> None:
    await shown(page, house)
    assert DISCHARGING.lease
    house.guard.show(
        phase=DISCHARGING.phase,
        lease=dataclasses.replace(DISCHARGING.lease, remaining_s=40),
        last_action=ActionView("start_discharge", "requested", QUIET.at, "page: Anna"),
    )
    await expect(page.locator("#phase")).to_have_text("Discharging")
    await expect(page.locator("#lease")).to_contain_text("Discharge at 930 W")
    await expect(page.locator("#lease")).to_contain_text("ends unaided in 38 s")
    await expect(page.locator("#last-action")).to_contain_text("start of a discharge")
    await expect(page.locator("#last-action")).to_contain_text("by page: Anna (requested)")


async def test_every_button_asks_for_what_it_says(page: Page, house: House) -> None:
    await shown(page, house)
    await expect(page.get_by_role("button", name="Acknowledge")).to_be_disabled()
    house.guard.show(latched=True, phase=Phase.ERROR_STATE)
    for name in ("Start discharge", "Stop discharge", "Acknowledge"):
        await page.get_by_role("button", name=name).click()
        await expect(page.locator("#answer")).to_contain_text(f"{name}: It was taken.")
    assert [request.kind for request in house.guard.requests] == [
        RequestKind.START_DISCHARGE,
        RequestKind.STOP_DISCHARGE,
        RequestKind.ACKNOWLEDGE,
    ]


async def test_what_is_unknown_is_called_unknown_never_zero(page: Page, house: House) -> None:
    power = dataclasses.replace(
        QUIET.power, grid_w=None, battery_w=None, pv_w=None, load_w=None, limit_w=None
    )
    energy = dataclasses.replace(
        QUIET.energy, exported_wh=None, exported_upper_wh=None, allowance_wh=None, left_wh=None
    )
    house.guard.show(power=power, energy=energy, soc_percent=None, data_staleness_s=None)
    await shown(page, house)
    for place in ("pv", "load", "battery", "grid", "left", "exported", "allowance", "staleness"):
        await expect(page.locator(f"#{place}")).to_have_text("unknown")
    await expect(page.locator("#limit")).to_contain_text("No export limit set")


async def test_a_number_tells_its_age_and_source_and_an_old_one_is_called_stale(
    page: Page, house: House
) -> None:
    old = dataclasses.replace(QUIET.readings[0], age_s=95.0, fresh=False)
    house.guard.show(readings=(old, *QUIET.readings[1:]), health=HealthStatus.STALE_DATA)
    await shown(page, house)
    grid = page.locator("#grid")
    await expect(grid).to_contain_text("812 W stale")
    await grid.hover()
    title = await grid.get_attribute("title")
    assert title
    assert title.startswith("812 W, 9")
    assert title.endswith("s old, from sensor.alphaess_power_grid")


async def test_problems_stand_with_their_source(page: Page, house: House) -> None:
    problem = Reason("stale", "Grid power is 40 s old; check the Modbus link.", "sensor.grid")
    await shown(page, house)
    house.guard.show(health=HealthStatus.STALE_DATA, problems=(problem,))
    await expect(page.locator("#health")).to_have_text("Stale data")
    await expect(page.locator("#problems li")).to_have_text([f"{problem.text} (sensor.grid)"])


async def test_windows_are_told_in_the_time_of_the_house_with_their_energy_and_carbon(
    page: Page, house: House
) -> None:
    at = QUIET.at.astimezone(LONDON)
    house.guard.shown = dataclasses.replace(
        QUIET, at=at, outlook=picture(made=at), plan=PlanView(auto_discharge=True)
    )
    await shown(page, house)
    lines = page.locator("#timeline-windows li")
    await expect(lines).to_have_text(
        [
            f"Sun 13:00 {DASH} 14:00: Discharge 1.80 kWh, 150 g/kWh",
            f"Mon 04:00 {DASH} 04:30: Charge 1.50 kWh, 150 g/kWh",
        ]
    )
    totals = page.locator("#timeline-totals")
    await expect(totals).to_contain_text("Discharge 1.80 kWh, charge 1.50 kWh")
    await expect(page.locator("#timeline-now")).to_contain_text("planned now and carried out")
    bars = page.locator(".band .window")
    boxes = [await bars.nth(n).bounding_box() for n in range(2)]
    assert boxes[0]
    assert boxes[1]
    assert boxes[0]["width"] == pytest.approx(2 * boxes[1]["width"], rel=0.05)
    assert boxes[1]["height"] == pytest.approx(1.5 * boxes[0]["height"], rel=0.05)


async def test_todays_chart_shows_the_day_with_its_gaps_and_grows(page: Page, house: House) -> None:
    midnight = datetime(2026, 3, 29, tzinfo=LONDON).timestamp()  # of a day with 23 hours
    noon = datetime(2026, 3, 29, 12, tzinfo=LONDON)
    house.guard.shown = dataclasses.replace(QUIET, at=noon)
    house.guard.points = [
        HistoryPoint(at=midnight + 60.0 * n, pv_w=None if 100 < n < 200 else 2000, grid_w=-500)
        for n in range(-120, 650)
    ]
    await shown(page, house)
    chart = page.locator("pv-plot#today")
    await page.wait_for_function(GROWN, arg=600)
    begin, count, gap = await chart.evaluate(
        "(plot) => [plot.data[0][0], plot.data[0].length, plot.data[1][150]]"
    )
    assert (begin, gap) == (midnight, None)  # yesterday is not of today
    house.guard.show(at=noon.replace(minute=55))
    await page.wait_for_function(GROWN, arg=count)
    now = f"Now: PV 2.71 kW, house 658 W, battery {MINUS}1.24 kW, grid {MINUS}812 W"
    told = f"Power and energy of today. {now}"
    await expect(chart.get_by_role("img")).to_have_attribute("aria-label", told)
    await expect(chart.locator(".u-legend th")).to_have_text(
        ["Time", "PV", "House", "Battery", "Grid", "Export limit", "Exported", "Allowance"]
    )


async def test_a_history_that_cannot_be_read_says_so_and_is_tried_again(
    page: Page, house: House
) -> None:
    await page.route("**/api/history*", lambda route: route.fulfill(status=500, body="{}"))
    await shown(page, house)
    problem = page.locator("pv-now-chart [role=alert]")
    await expect(problem).to_contain_text("answered with status 500")
    await page.unroute_all()
    await page.locator("pv-now-chart").get_by_role("button", name="Try again").click()
    await expect(problem).to_have_count(0)


async def test_nothing_sticks_out_sideways(page: Page, house: House) -> None:
    long = Reason("long", "x" * 300, "sensor." + "y" * 200)
    house.guard.show(problems=(long,), blockers=(long,), reason=long, outlook=picture())
    await shown(page, house)
    for view, there in (("now", "#problems"), ("plan", "#plan-windows")):
        await page.goto(f"{house.url}/#/{view}")
        await expect(page.locator(there)).to_be_visible()
        for width in (360, 800, 1400):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") == width, view


async def test_the_page_does_not_jump_while_values_come_and_go(page: Page, house: House) -> None:
    await page.add_init_script(SHIFTS)
    house.guard.show(outlook=picture(), plan=PlanView())
    await shown(page, house)
    await expect(page.locator("#inputs tr")).to_have_count(3)
    await expect(page.locator("pv-plot#today canvas")).to_be_visible()
    assert await page.evaluate("window.shift") < 0.02  # also while it loads
    for soc in range(50, 46, -1):
        house.guard.show(
            soc_percent=float(soc),
            power=dataclasses.replace(QUIET.power, grid_w=soc * 100.0, battery_w=None),
        )
        await expect(page.locator("#soc")).to_have_text(f"{soc} %")
    await page.get_by_role("button", name="Start discharge").click()
    await expect(page.locator("#answer")).to_be_visible()
    assert await page.evaluate("window.shift") < 0.02


async def test_axe_finds_nothing_in_both_views_and_schemes(page: Page, house: House) -> None:
    old = dataclasses.replace(QUIET.readings[0], fresh=False)
    house.guard.show(
        outlook=picture(), plan=PlanView(), latched=True, health=HealthStatus.ERROR, readings=(old,)
    )
    await shown(page, house)
    packages()
    await page.evaluate((FRONTEND / "node_modules/axe-core/axe.min.js").read_text())
    for view, canvases in (("now", 1), ("plan", 2)):
        await page.get_by_role("link", name=view.title(), exact=True).click()
        await expect(page.locator("pv-plot canvas")).to_have_count(canvases)
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            assert await page.evaluate(AXE) == [], (view, scheme)
    await house.server.stop()
    await expect(page.locator("pv-banner [role=alert]")).to_be_visible()
    assert await page.evaluate(AXE) == []


async def test_every_control_can_be_reached_by_key_and_the_stop_comes_first(
    page: Page, house: House
) -> None:
    await shown(page, house)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Emergency stop")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="To the content")).to_be_in_viewport()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Now")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_have_attribute("aria-label", "Plan")
    await expect(page.locator("main")).to_be_focused()


async def test_nothing_is_asked_of_any_other_host(page: Page, house: House) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await shown(page, house)
    await expect(page.locator("pv-plot#today canvas")).to_be_visible()
    assert len(asked) > 5
    assert all(url.startswith(house.url) for url in asked)


async def test_the_commissioning_test_is_shown_with_every_figure_and_run_from_here(
    page: Page, house: House
) -> None:
    await shown(page, house)
    await expect(page.locator("#commissioning")).to_have_text("Not run yet")
    await expect(page.locator("#commissioning-counter")).to_have_text("not measured")
    for name in ("Run the test", "Run the full test"):
        await page.get_by_role("button", name=name).click()
        await page.get_by_role("dialog").get_by_role("button", name=name).click()
        await expect(page.locator("#answer")).to_contain_text(f"{name}: It was taken.")
    kinds = [request.kind for request in house.guard.requests]
    assert kinds == [RequestKind.COMMISSION, RequestKind.COMMISSION_FULL]
    check = CheckView("timer", "passed", "The inverter ended 30 s unaided.", "")
    test = dataclasses.replace(
        QUIET.commissioning, running=True, stage="running", progress_percent=40, checks=(check,),
        dead_s=2.04, counter_lag_s=0.0, rewrite_extends=True, firmware="EMS 1.2.3", gain=0.97,
    )  # fmt: skip
    house.guard.show(commissioning=test)
    figures = {"dead": "2.0 s", "counter": "0.0 s", "rewrite": "yes", "firmware": "EMS 1.2.3"}
    for place, words in {**figures, "gain": "97 % of commanded"}.items():
        await expect(page.locator(f"#commissioning-{place}")).to_have_text(words)
    await expect(page.locator("#commissioning-checks")).to_contain_text("Passed: The inverter")
    bar = page.get_by_role("progressbar", name="The test runs:")
    await expect(bar).to_have_attribute("aria-valuenow", "40")
    await expect(page.get_by_role("button", name="Run the test")).to_be_disabled()
