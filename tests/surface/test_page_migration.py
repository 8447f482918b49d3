"""Moving from an old integration on the page: one owner is chosen, settings are ticked."""

from __future__ import annotations

from pathlib import Path

from aiohttp import ClientSession
from playwright.async_api import Page, expect

from agent.export.snapshot import Reason
from agent.surface.web.auth import Gate, Policy
from tests.surface.conftest import WRITES, House, make_house, opened
from tests.surface.hand_migration import EMPTY
from tests.surface.test_page_releases import HOSTILE, as_supervisor

LOCK = "Energy Export Monitor is active in Home Assistant."
ENTRY = {
    "entry_id": "abc",
    "name": "Energy Export Monitor",
    "title": HOSTILE,
    "standing": "active",
    "state": "loaded",
    "accepted": False,
    "can_be_turned_off": True,
}
FOUND = {**EMPTY, "locked": [LOCK], "entries": [ENTRY]}


def proposal(key: str, *, chosen: bool) -> dict[str, object]:
    return {
        "key": key,
        "value": "3000",
        "now": "0",
        "old_key": "target_export",
        "old_value": f"3000 W {HOSTILE}",
        "text": f"Think of {key}.",
        "chosen": chosen,
    }


PLAN = {
    "proposals": [
        proposal("target_export_w", chosen=True),
        proposal("tolerance_kwh", chosen=False),
    ],
    "left": [{"old_key": "artifact_repo", "old_value": HOSTILE, "text": "No counterpart."}],
    "changes": ["A discharge is stopped when an input is lost."],
}


async def test_without_an_old_integration_nothing_is_shown(page: Page, house: House) -> None:
    await opened(page, house)
    await expect(page.locator("#migration-card")).to_be_hidden()


async def test_one_that_appears_is_shown_with_its_lock_and_a_choice_is_handed_on(
    page: Page, house: House
) -> None:
    await opened(page, house)
    house.migration.now = FOUND
    house.guard.show(blockers=(Reason("second_controller", LOCK),))
    await expect(page.locator("#migration-locks li")).to_have_text([LOCK])
    await expect(page.locator("#migration-entries")).to_contain_text(HOSTILE)
    await page.get_by_role("button", name="It may stay: Energy Export Monitor").click()
    await expect(page.locator("#answer")).to_have_text("It stays.")
    await page.get_by_role("button", name="Turn it off: Energy Export Monitor").click()
    await expect(page.locator("#answer")).to_have_text("Home Assistant did not turn it off.")
    by = "page: local"
    assert house.migration.asked == [("accept", "abc", by), ("turn_off", "abc", by)]
    assert [each[2] for each in house.audited[-2:]] == ["done", "refused"]


async def test_only_what_is_ticked_is_taken_over(page: Page, house: House) -> None:
    house.migration.now, house.migration.plan = FOUND, PLAN
    await opened(page, house)
    await page.get_by_role("button", name="Read its settings").click()
    await expect(page.locator("#migration-proposals")).to_contain_text("Think of tolerance_kwh.")
    await expect(page.locator("#migration-left")).to_contain_text("No counterpart.")
    await expect(page.locator("#migration-changes")).to_contain_text("an input is lost")
    await page.get_by_role("button", name="Take over what is ticked").click()
    await expect(page.locator("#migration-message")).to_have_text("2 settings were taken over.")
    assert house.migration.asked == [("take", ["target_export_w"], "page: local")]
    assert await page.title() == "PV Edge Agent"


async def test_choosing_and_taking_over_are_an_administrators(tmp_path: Path) -> None:
    async def nobody(_user_id: str) -> bool:
        return False

    visitor = {"X-Remote-User-Id": "u1", "X-Remote-User-Name": "Visitor"}
    made = make_house(tmp_path, Gate(Policy(supervised=True), nobody))
    made.server._gate.admit = as_supervisor(made.server._gate)  # type: ignore[method-assign]
    port = await made.server.start("127.0.0.1", 0)
    async with ClientSession(f"http://127.0.0.1:{port}", headers={**WRITES, **visitor}) as http:
        for path in ("look", "choose", "take"):
            async with http.post(f"/api/migration/{path}", json={}) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "not_admin")
    await made.server.stop()
    assert made.migration.asked == []
