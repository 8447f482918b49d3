"""Updates on the page: accepted by name, followed with a bar, told with evidence, one and many."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientSession
from playwright.async_api import Page, expect

from agent.surface.web.auth import Gate, Policy
from tests.surface.conftest import WRITES, House, make_house, opened
from tests.surface.test_page_releases import DIGEST, HOSTILE, MAC, as_supervisor, build, offer

OTHER = "02:00:5E:10:00:02"
BY = "page: local"


def job(**changes: Any) -> dict[str, Any]:
    """Return a job, as the agent sends it."""
    shown: dict[str, Any] = {
        "job": "a1b2",
        "mac": MAC,
        "title": f"Plant room {HOSTILE}",
        "project": "pv-edge.alphaess-bridge",
        "version": f"1.1.0 {HOSTILE}",
        "before": "pv-edge.alphaess-bridge 1.0.0",
        "stage": "upload",
        "failed_in": None,
        "open": True,
        "percent": 41,
        "text": "The image is being sent.",
        "rate_bytes_s": 52_000,
        "left_s": 75,
        "by": "Ada",
        "acks": [],
        "goes_back": False,
        "campaign": "",
        "asked": "2026-06-21T12:00:00+00:00",
        "ended": None,
        "sent": True,
        "may_cancel": False,
        "upload": "",
        "result": None,
        "code": "",
        "evidence": [],
        "next_step": "",
    }
    return {**shown, **changes}


def ended(**changes: Any) -> dict[str, Any]:
    """Return a job with a verdict."""
    over: dict[str, Any] = {
        "open": False,
        "stage": "failed",
        "failed_in": "postcheck",
        "ended": "2026-06-21T12:04:00+00:00",
        "result": "rolled_back",
        "text": "It took the new image and runs the old build again.",
        "evidence": ["It came back with the old build.", f"Its log says {HOSTILE}"],
        "next_step": "Tell the publisher.",
    }
    return job(**{**over, **changes})


def campaign(**changes: Any) -> dict[str, Any]:
    """Return the update of many, as the agent sends it."""
    places = [("ready", False), ("failed", True)]
    shown: dict[str, Any] = {
        "campaign": "c0ffee",
        "project": "pv-edge.alphaess-bridge",
        "version": "1.1.0",
        "status": "stopped",
        "why": f"1 of 1 failed: {MAC}. Look at them, then resume or abort. {HOSTILE}",
        "by": "Ada",
        "planned": "2026-06-21T12:00:00+00:00",
        "parallel": 1,
        "counts": {"failed": 1, "ready": 1},
        "members": [
            {
                "mac": mac,
                "title": f"Bridge {HOSTILE}",
                "canary": canary,
                "standing": standing,
                "until": None,
                "attempts": 0,
            }
            for mac, (standing, canary) in zip((OTHER, MAC), places, strict=True)
        ],
    }
    return {**shown, **changes}


async def test_an_update_is_installed_once_everything_against_it_was_accepted_by_name(
    page: Page, house: House
) -> None:
    house.releases.show(bridges=[offer(title="Shed"), offer(mac=OTHER, refusals=[blocked()])])
    await opened(page, house)
    install = page.get_by_role("button", name="Install 1.1.0 on Shed")
    await expect(install).to_be_hidden()
    line = page.locator(f"tr[data-offer='{MAC}']")
    await line.get_by_label("I accept (ack_stale)").check()
    house.flashing.show(jobs=[])  # a picture that comes meanwhile takes no tick away
    await expect(line.get_by_label("I accept (ack_stale)")).to_be_checked()
    await install.click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    assert house.flashing.asked == [("install", MAC, "1.1.0", ("ack_stale",), BY, False)]
    assert (BY, f"install firmware 1.1.0 on {MAC}, accepting ack_stale") in [
        it[:2] for it in house.audited
    ]
    # What nobody can accept has no button at all.
    await expect(page.locator(f"tr[data-offer='{OTHER}'] .install")).to_have_count(0)


async def test_an_own_build_goes_to_the_bridge_that_is_chosen_and_says_that_nobody_signed_it(
    page: Page, house: House
) -> None:
    own = build(accepted="2026-11-22T09:00:00+00:00", notes="By Ada", project="acme.bridge")
    house.releases.show(builds=[own], bridges=[offer(), offer(mac=OTHER, title="Barn")])
    await opened(page, house)
    await page.get_by_text("Own builds", exact=True).click()
    await page.get_by_label("Bridge for acme.bridge 1.2.3").select_option(OTHER)
    await page.get_by_label("I accept (ack_unsigned)").check()
    await page.get_by_role("button", name="Install acme.bridge 1.2.3").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    assert house.flashing.asked == [("install", OTHER, DIGEST, ("ack_unsigned",), BY, True)]


def blocked() -> dict[str, Any]:
    return {"code": "wrong-chip", "text": "For another chip.", "next_step": "", "ack": None}


async def test_a_job_is_followed_with_its_bar_and_ends_with_verdict_evidence_and_next_step(
    page: Page, house: House
) -> None:
    house.releases.show(bridges=[offer(title="Shed", refusals=[])])
    house.flashing.show(jobs=[job(stage="preflight", percent=5, may_cancel=True)])
    await opened(page, house)
    await page.get_by_role("button", name="Cancel the update of").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    assert house.flashing.asked == [("cancel", "a1b2", BY)]
    # A bridge that is being flashed is offered no second update.
    await expect(page.locator(f"tr[data-offer='{MAC}'] .install")).to_have_count(0)
    house.flashing.show(jobs=[job()])
    shown = page.locator("#flash-jobs .job")
    await expect(shown.locator("progress")).to_have_js_property("value", 41)
    for text in ("Upload: The image is being sent.", "52 kB/s", "about 75 s left", HOSTILE):
        await expect(shown).to_contain_text(text)
    await expect(shown.get_by_role("button")).to_be_hidden()
    house.flashing.show(jobs=[ended()], may_go_back=[MAC])
    await expect(shown).to_have_count(0)
    row = page.locator("#flash-history tr")
    for text in ("Rolled back", "in On trial", "runs the old build again", "Tell the publisher."):
        await expect(row).to_contain_text(text)
    await row.locator("summary").click()
    await expect(row.locator("li").last).to_have_text(f"Its log says {HOSTILE}")
    await page.get_by_role("button", name="Go back on Shed").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    assert house.flashing.asked[-1] == ("back", MAC, ("ack_downgrade",), BY)
    assert await page.title() == "PV Edge Agent"


async def test_many_are_planned_with_who_goes_first_and_a_stop_says_why_and_is_steered(
    page: Page, house: House
) -> None:
    house.releases.show(
        bridges=[offer(title="Shed", refusals=[]), offer(mac=OTHER, title="Barn", refusals=[])]
    )
    await opened(page, house)
    await page.get_by_text("Update many bridges").click()
    await page.get_by_label(f"Shed ({MAC}) to 1.1.0").check()
    await page.get_by_label(f"Barn ({OTHER}) to 1.1.0").check()
    await page.get_by_label("goes first").nth(1).check()
    await page.get_by_role("button", name="Plan it").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    assert house.flashing.asked == [("plan", (MAC, OTHER), (), BY, (OTHER,))]
    house.flashing.show(campaigns=[campaign()])
    shown = page.locator("[data-campaign=c0ffee]")
    for text in ("2 bridges", "stopped", "1 of 1 failed", "1 failed, 1 ready", HOSTILE):
        await expect(shown).to_contain_text(text)
    await shown.get_by_role("button", name="Resume").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    assert house.flashing.asked[-1] == ("steer", "c0ffee", "resume", BY)
    house.flashing.show(campaigns=[campaign(status="finished")])
    await expect(shown.get_by_role("button")).to_have_count(0)


WISHES = ("install", "back", "cancel", "campaigns", "campaigns/steer")


async def test_a_refusal_says_why_and_only_an_administrator_may_ask(
    house: House, tmp_path: Any
) -> None:
    house.flashing.refused = True
    for what in WISHES:
        async with house.client.post(f"/api/flashing/{what}", json={"mac": MAC}) as answer:
            assert (answer.status, (await answer.json())["text"]) == (409, "Not now.")
        assert house.audited[-1][2] == "locked: Not now."

    async def nobody(_user: str) -> bool:
        return False

    visitor = {"X-Remote-User-Id": "u1", "X-Remote-User-Name": "Visitor"}
    made = make_house(tmp_path, Gate(Policy(supervised=True), nobody))
    made.server._gate.admit = as_supervisor(made.server._gate)  # type: ignore[method-assign]
    port = await made.server.start("127.0.0.1", 0)
    async with ClientSession(f"http://127.0.0.1:{port}", headers={**WRITES, **visitor}) as http:
        for what in WISHES:
            async with http.post(f"/api/flashing/{what}", json={"mac": MAC}) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "not_admin")
    await made.server.stop()
    assert made.flashing.asked == []
