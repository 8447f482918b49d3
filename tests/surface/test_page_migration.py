"""Moving from an old integration on the page: one owner is chosen, settings are ticked."""

from __future__ import annotations

from playwright.async_api import Page, expect

from agent.export.snapshot import Reason
from tests.surface.conftest import FRONTEND, House, packages, shown
from tests.surface.hand_bridges import HOSTILE
from tests.surface.hand_migration import ENTRY, FOUND, LOCK, PLAN
from tests.surface.sights import AXE

BY = "page: local"
LOCKED = (Reason("second_controller", LOCK),)


async def test_one_that_appears_is_shown_with_its_lock_and_one_owner_is_chosen(
    page: Page, house: House
) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await shown(page, house)
    card = page.locator("pv-migration")
    await expect(page.locator("#phase")).to_be_visible()
    await expect(card.locator("pv-card")).to_have_count(0)
    house.migration.now = FOUND
    house.guard.show(blockers=LOCKED)
    await expect(card.get_by_role("alert")).to_have_text(LOCK)
    await expect(card).to_contain_text(HOSTILE)
    await page.get_by_role("button", name="Choose between them").click()
    await expect(card).to_be_focused()
    await expect(card.locator("h2")).to_be_in_viewport()
    await card.get_by_role("button", name="It may stay").click()
    await expect(page.locator("#answer")).to_have_text("It may stay: It stays.")
    off = card.get_by_role("button", name="Turn it off")
    await off.click()
    dialog = page.get_by_role("dialog", name="Turn off Energy Export Monitor?")
    await dialog.get_by_role("button", name="Cancel").click()
    assert house.migration.asked == [("accept", "abc", BY)]
    await off.click()
    await dialog.get_by_role("button", name="Turn it off").click()
    await expect(page.locator("#answer")).to_contain_text("Home Assistant did not turn it off.")
    assert house.migration.asked[1:] == [("turn_off", "abc", BY)]
    house.migration.now = {**FOUND, "locked": [], "entries": [{**ENTRY, "accepted": True}]}
    house.guard.show(blockers=())
    await expect(card.locator("tbody td").nth(1)).to_contain_text("Active, accepted")
    await expect(card.get_by_role("button", name="Do not accept it any more")).to_be_visible()
    assert await page.title() == "PV Edge Agent"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_only_what_is_ticked_is_taken_over_and_axe_finds_nothing(
    page: Page, house: House
) -> None:
    packages()
    house.migration.now, house.migration.plan = FOUND, PLAN
    house.guard.show(blockers=LOCKED)
    await page.set_viewport_size({"width": 360, "height": 740})
    await shown(page, house)
    card = page.locator("pv-migration")
    await card.get_by_role("button", name="Read its settings").click()
    await expect(card.locator("#proposals")).to_contain_text("target_export_w: 0 \u2192 3000")
    await expect(card.locator("#proposals")).to_contain_text(f"3000 W {HOSTILE}")
    await expect(card.locator("#left")).to_contain_text("No counterpart.")
    await expect(card.locator("#changes")).to_contain_text("an input is lost")
    chosen, thought = card.get_by_label("target_export_w:"), card.get_by_label("tolerance_kwh:")
    await expect(chosen).to_be_checked()
    await expect(thought).not_to_be_checked()
    take = card.get_by_role("button", name="Take over what is ticked")
    await chosen.uncheck()
    await expect(take).to_be_disabled()
    await thought.check()
    house.guard.show(soc_percent=51.0)  # a picture that comes meanwhile changes no tick
    await take.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#answer")).to_contain_text("2 settings were taken over.")
    assert house.migration.asked == [("take", ["tolerance_kwh"], BY)]
    await page.evaluate((FRONTEND / "node_modules/axe-core/axe.min.js").read_text())
    assert await page.evaluate(AXE) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_what_cannot_be_read_says_so_and_is_read_again(page: Page, house: House) -> None:
    house.migration.now = FOUND
    house.guard.show(blockers=LOCKED)
    await page.route(
        "**/api/migration",
        lambda route: route.fulfill(
            status=503, body='{"code": "core", "text": "Home Assistant is away."}'
        ),
    )
    await shown(page, house)
    card = page.locator("pv-migration")
    await expect(card.get_by_role("alert")).to_contain_text("Home Assistant is away.")
    await page.unroute("**/api/migration")
    await card.get_by_role("button", name="Read again").click()
    await expect(card).to_contain_text("Energy Export Monitor")
    await expect(card.locator("#old")).to_be_visible()
