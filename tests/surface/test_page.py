"""The page in a real browser: what a person sees, and what their clicks do."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from agent.export.requests import Answer, Request, RequestKind
from agent.export.snapshot import ActionView, CheckView, HealthStatus, Phase, Reason
from agent.surface.desk import HistoryPoint
from agent.surface.web.auth import Gate, Policy
from tests.surface.conftest import House, make_house, never_asked, opened
from tests.surface.desks import DISCHARGING, QUIET

HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'


async def test_the_state_is_shown_with_its_reason(page: Page, house: House) -> None:
    await opened(page, house)
    await expect(page.locator("#phase")).to_have_text("Energy could be exported")
    await expect(page.locator("#reason")).to_have_text(QUIET.reason.text)
    await expect(page.locator("#left")).to_have_text("4.01 kWh")
    await expect(page.locator("#grid")).to_have_text("812 W")
    await expect(page.locator("#grid-words")).to_have_text("exports")
    await expect(page.locator("#battery-words")).to_have_text("charges")
    await expect(page.locator("#health")).to_have_text("Healthy")


async def test_a_new_state_appears_by_itself_and_the_lease_counts_down(
    page: Page, house: House
) -> None:
    await opened(page, house)
    await expect(page.locator("#lease")).to_have_text("No dispatch runs.")
    house.guard.show(
        phase=DISCHARGING.phase,
        reason=DISCHARGING.reason,
        lease=dataclasses.replace(DISCHARGING.lease, remaining_s=40) if DISCHARGING.lease else None,
    )
    await expect(page.locator("#phase")).to_have_text("Discharging")
    await expect(page.locator("#lease")).to_contain_text("930 W")
    await expect(page.locator("#lease")).to_contain_text("ends unaided in 38 s")


async def test_the_last_action_is_told_in_words(page: Page, house: House) -> None:
    await opened(page, house)
    house.guard.show(last_action=ActionView("start_discharge", "requested", QUIET.at, "page: Anna"))
    told = page.locator("#last-action")
    await expect(told).to_contain_text("start discharge")
    await expect(told).to_contain_text("page: Anna (requested)")
    await expect(page.locator("#exported")).to_contain_text("kWh")


async def test_why_a_start_would_be_refused_stands_there_before_one_asks(
    page: Page, house: House
) -> None:
    await opened(page, house)
    await expect(page.locator("#blockers li")).to_have_text([QUIET.blockers[0].text])
    house.guard.show(blockers=())
    await expect(page.locator("#blockers-title")).to_have_text("A start would run.")
    await expect(page.locator("#blockers li")).to_have_count(0)


async def test_a_refused_start_shows_the_reason(page: Page, house: House) -> None:
    house.guard.answer = Answer(accepted=False, code="target_is_zero", text="Set a target first.")
    await opened(page, house)
    await page.get_by_role("button", name="Start discharge").click()
    await expect(page.locator("#answer")).to_have_text(
        "Start discharge was refused: Set a target first."
    )
    assert house.guard.requests == [Request(RequestKind.START_DISCHARGE, by="page: local")]


async def test_one_click_on_emergency_stop_is_enough(page: Page, house: House) -> None:
    await opened(page, house)
    await page.get_by_role("button", name="Emergency stop").click()
    await expect(page.locator("#answer")).to_have_text("Emergency stop: It was taken.")
    assert [request.kind for request in house.guard.requests] == [RequestKind.EMERGENCY_STOP]


async def test_emergency_stop_stays_in_view_wherever_one_scrolls(page: Page, house: House) -> None:
    await page.set_viewport_size({"width": 360, "height": 640})
    await opened(page, house)
    await page.locator("#inputs").scroll_into_view_if_needed()
    await expect(page.get_by_role("button", name="Emergency stop")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Stop discharge", RequestKind.STOP_DISCHARGE),
        ("Acknowledge", RequestKind.ACKNOWLEDGE),
        ("Run the test", RequestKind.COMMISSION),
        ("Run the full test", RequestKind.COMMISSION_FULL),
    ],
)
async def test_every_button_asks_for_what_it_says(
    page: Page, house: House, name: str, kind: RequestKind
) -> None:
    house.guard.show(latched=True)
    await opened(page, house)
    await page.get_by_role("button", name=name).click()
    await expect(page.locator("#answer")).to_be_visible()
    assert [request.kind for request in house.guard.requests] == [kind]


async def test_there_is_nothing_to_acknowledge_without_a_latch(page: Page, house: House) -> None:
    await opened(page, house)
    await expect(page.get_by_role("button", name="Acknowledge")).to_be_disabled()
    house.guard.show(latched=True, phase=Phase.ERROR_STATE)
    await expect(page.get_by_role("button", name="Acknowledge")).to_be_enabled()


async def test_a_lost_agent_is_said_greyed_and_comes_back_by_itself(
    page: Page, house: House
) -> None:
    await opened(page, house)
    await house.server.stop()
    await expect(page.locator("#banner")).to_contain_text("What you see is old")
    await expect(page.locator("body")).to_have_attribute("data-link", "lost")
    await expect(page.get_by_role("button", name="Start discharge")).to_be_disabled()
    await expect(page.get_by_role("button", name="Emergency stop")).to_be_enabled()
    await page.get_by_role("button", name="Emergency stop").click()
    await expect(page.locator("#answer")).to_contain_text("could not be reached")
    house.guard.show(soc_percent=33.0)
    await house.server.start("127.0.0.1", house.port)
    await expect(page.locator("body")).to_have_attribute("data-link", "live", timeout=15_000)
    await expect(page.locator("#banner")).to_be_hidden()
    await expect(page.locator("#soc")).to_have_text("33 %")


async def test_a_page_that_is_refused_says_why(browser: Browser, tmp_path: Path) -> None:
    house = make_house(tmp_path, Gate(Policy(supervised=False, token="open"), never_asked))
    house.port = await house.server.start("127.0.0.1", 0)
    page = await browser.new_page()
    await page.goto(house.url)
    await page.get_by_label("Token").fill("open")
    await page.get_by_role("button", name="Open").click()
    await expect(page.locator("body")).to_have_attribute("data-link", "live")
    await expect(page.locator("#token-form")).to_be_hidden()
    await page.close()
    await house.server.stop()


async def test_the_commissioning_record_is_shown_with_every_figure_and_check(
    page: Page, house: House
) -> None:
    await opened(page, house)
    await expect(page.locator("#commissioning-counter")).to_have_text("not measured")
    await expect(page.locator("#commissioning-rewrite")).to_have_text("not tried")
    check = CheckView("timer", "passed", "The inverter ended 30 s unaided.", "")
    test = dataclasses.replace(
        QUIET.commissioning,
        dead_s=2.04,
        counter_lag_s=0.0,
        rewrite_extends=True,
        firmware="EMS 1.2.3",
        checks=(check,),
    )
    house.guard.show(commissioning=test)
    await expect(page.locator("#commissioning-dead")).to_have_text("2.0 s")
    await expect(page.locator("#commissioning-counter")).to_have_text("0.0 s")
    await expect(page.locator("#commissioning-rewrite")).to_have_text("yes")
    await expect(page.locator("#commissioning-firmware")).to_have_text("EMS 1.2.3")
    await expect(page.locator("#commissioning-checks")).to_contain_text("Passed: The inverter")


async def test_hostile_text_stays_text_everywhere(page: Page, house: House) -> None:
    reason = Reason("hostile", HOSTILE, HOSTILE)
    reading = dataclasses.replace(
        QUIET.readings[0], name=HOSTILE, unit=HOSTILE, source=HOSTILE, detail=HOSTILE
    )
    house.guard.answer = Answer(accepted=False, code=HOSTILE, text=HOSTILE)
    house.guard.show(
        reason=reason,
        blockers=(reason,),
        problems=(reason,),
        readings=(reading,),
        path=HOSTILE,
        commissioning=dataclasses.replace(
            QUIET.commissioning,
            stage=HOSTILE,
            text=HOSTILE,
            firmware=HOSTILE,
            checks=(CheckView(HOSTILE, HOSTILE, HOSTILE, HOSTILE),),
        ),
    )
    await opened(page, house)
    await page.get_by_role("button", name="Start discharge").click()
    await expect(page.locator("#answer")).to_contain_text(HOSTILE)
    test = ("#commissioning-text", "#commissioning-checks", "#commissioning-firmware")
    for place in ("#reason", "#blockers", "#problems", "#inputs", "#path", *test):
        await expect(page.locator(place)).to_contain_text(HOSTILE)
    assert await page.title() == "PV Edge Agent"
    assert await page.locator("img, main script").count() == 0


async def test_what_is_unknown_is_called_unknown_never_zero(page: Page, house: House) -> None:
    power = dataclasses.replace(
        QUIET.power, grid_w=None, battery_w=None, pv_w=None, load_w=None, limit_w=None
    )
    energy = dataclasses.replace(
        QUIET.energy,
        produced_wh=None,
        exported_wh=None,
        exported_upper_wh=None,
        allowance_wh=None,
        headroom_wh=None,
        left_wh=None,
        forecast_wh=None,
    )
    house.guard.show(power=power, energy=energy, soc_percent=None, data_staleness_s=None)
    await opened(page, house)
    for place in ("pv", "load", "battery", "grid", "left", "exported", "allowance", "staleness"):
        await expect(page.locator(f"#{place}")).to_have_text("unknown")
    await expect(page.locator("#limit")).to_contain_text("No export limit set")


async def test_problems_stand_with_their_source(page: Page, house: House) -> None:
    problem = Reason("stale", "Grid power is 40 s old; check the Modbus link.", "sensor.grid")
    await opened(page, house)
    house.guard.show(health=HealthStatus.STALE_DATA, problems=(problem,))
    await expect(page.locator("#health")).to_have_text("Stale Data")
    await expect(page.locator("#problems li")).to_have_text([f"{problem.text} (sensor.grid)"])


async def test_a_setting_is_saved_and_a_bad_one_told_at_its_field(page: Page, house: House) -> None:
    await opened(page, house)
    limit = page.get_by_label("Export limit", exact=True)
    await limit.fill("99999")
    await page.get_by_role("button", name="Save settings").click()
    await expect(page.locator("#error-export_limit_w")).to_contain_text("0 to 50000 W")
    await expect(limit).to_have_attribute("aria-invalid", "true")
    assert house.settings.current()["export_limit_w"] is None
    await limit.fill("3680")
    await page.get_by_role("button", name="Save settings").click()
    await expect(page.locator("#settings-message")).to_have_text("Saved.")
    await expect(page.locator("#error-export_limit_w")).to_have_text("")
    assert house.settings.current()["export_limit_w"] == 3680


async def test_the_mode_is_switched_by_one_click(page: Page, house: House) -> None:
    await opened(page, house)
    await expect(page.get_by_label("Observe")).to_be_checked()
    await page.get_by_label("Control").check()
    await expect(page.locator("#settings-message")).to_have_text("Saved.")
    assert house.settings.current()["mode"] == "control"


async def test_the_last_hour_is_drawn_with_units_and_leaves_gaps(page: Page, house: House) -> None:
    now = QUIET.at.timestamp()
    house.guard.points = [
        HistoryPoint(
            at=now - 3595 + 5 * n,
            grid_w=None if 300 < n < 400 else -500,
            pv_w=2000,
            battery_w=100,
            limit_w=3680,
        )
        for n in range(719)
    ]
    await opened(page, house)
    grid = page.locator("#chart path.grid")
    await expect(grid).to_have_attribute("d", re.compile(r"^M[^M]*M[^M]*$"))
    await expect(page.locator("#chart path.pv")).to_have_attribute("d", re.compile("^M[^M]*$"))
    await expect(page.locator("#chart")).to_contain_text("Power in kW")
    await expect(page.locator("#legend li")).to_have_count(4)
    chart = page.locator("#chart svg")
    await expect(chart).to_have_attribute("aria-label", re.compile("PV 2710 W"))


@pytest.mark.parametrize("width", [360, 800, 1200])
async def test_nothing_sticks_out_sideways(page: Page, house: House, width: int) -> None:
    long = Reason("long", "x" * 300, "sensor." + "y" * 200)
    house.guard.show(problems=(long,), blockers=(long,), reason=long)
    await page.set_viewport_size({"width": width, "height": 800})
    await opened(page, house)
    await expect(page.locator("#problems")).to_contain_text("xxx")
    assert await page.evaluate("document.documentElement.scrollWidth") == width


async def test_the_page_does_not_jump_while_values_come_and_go(page: Page, house: House) -> None:
    await page.add_init_script(
        "window.shift = 0; new PerformanceObserver((list) => { for (const each of "
        "list.getEntries()) window.shift += each.value; })"
        ".observe({type: 'layout-shift', buffered: true});"
    )
    await opened(page, house)
    await expect(page.locator("#inputs tr")).to_have_count(3)
    await expect(page.locator("#fields input")).to_have_count(4)
    await page.evaluate("window.shift = 0")
    for soc in range(50, 46, -1):
        house.guard.show(
            soc_percent=float(soc),
            power=dataclasses.replace(QUIET.power, grid_w=soc * 100.0, battery_w=None),
        )
        await expect(page.locator("#soc")).to_have_text(f"{soc} %")
    house.guard.answer = Answer(accepted=False, code="no", text="No.")
    await page.get_by_role("button", name="Start discharge").click()
    await expect(page.locator("#answer")).to_be_visible()
    assert await page.evaluate("window.shift") < 0.01


async def test_nothing_is_asked_of_any_other_host(page: Page, house: House) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await opened(page, house)
    await expect(page.locator("#fields input")).to_have_count(4)
    assert len(asked) > 5
    assert all(url.startswith(house.url) for url in asked)


async def test_every_control_has_a_name_and_can_be_reached_by_key(page: Page, house: House) -> None:
    await opened(page, house)
    await expect(page.locator("#fields input")).to_have_count(4)
    nameless = await page.evaluate(
        """() => [...document.querySelectorAll("button, input")].filter((each) =>
          !(each.textContent.trim() || each.labels?.length || each.ariaLabel)).length"""
    )
    assert nameless == 0
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Emergency stop")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#answer")).to_be_visible()
    assert house.guard.requests[0].kind is RequestKind.EMERGENCY_STOP


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_has_enough_contrast_in_light_and_dark(
    page: Page, house: House, scheme: str
) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    house.guard.show(at=datetime.now(UTC), health=HealthStatus.STALE_DATA, latched=True)
    await opened(page, house)
    await expect(page.locator("#fields input")).to_have_count(4)
    await expect(page.locator("main")).to_have_css("opacity", "1")
    poor = await page.evaluate(CONTRAST)
    assert poor == []


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92
    : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = parse(getComputedStyle(element).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")].filter((each) => each.checkVisibility()
    && !each.disabled && [...each.childNodes].some((node) => node.nodeType === 3
    && node.data.trim())).map((each) => {
    const [one, other] = [light(parse(getComputedStyle(each).color)), light(behind(each))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    return [each.tagName + " " + each.textContent.trim().slice(0, 20), ratio];
  }).filter(([, ratio]) => ratio < 4.5);
}"""
