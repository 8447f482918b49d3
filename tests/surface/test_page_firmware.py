"""Firmware on the page: whom we trust until when, what there is, and what a person brings."""

from __future__ import annotations

from playwright.async_api import FilePayload, Page, expect

from agent.releases.views import NOBODY_SIGNED
from agent.surface.desk import NewSource
from agent.surface.web.releases import LARGEST_FILE_BYTES
from tests.surface.conftest import House, shown
from tests.surface.hand_bridges import HOSTILE, MAC
from tests.surface.hand_jobs import BY, OTHER, campaign
from tests.surface.hand_releases import DIGEST, build, offer, source


async def test_trust_is_told_per_source_and_role_and_no_manifest_becomes_markup(
    page: Page, house: House
) -> None:
    long = f"{HOSTILE}\u202e{'W' * 10_000}"
    roles = [
        {"role": "timestamp", "version": 7, "expires": "2026-06-20T12:00:00+00:00"},
        {"role": "snapshot", "version": 7, "expires": "2026-06-22T12:00:00+00:00"},
        {"role": "root", "version": 1, "expires": "2027-06-21T12:00:00+00:00"},
    ]
    told = source(roles=roles, why=long)
    house.releases.show(
        state="stale",
        hint="No mirror is set.",
        sources=[told],
        bridges=[offer(title=long, notes=long, installed=long)],
        builds=[build(accepted="2026-06-20T12:00:00+00:00", notes=long, project=long)],
    )
    house.flashing.show(campaigns=[campaign(why=long)])
    await page.set_viewport_size({"width": 360, "height": 740})
    await shown(page, house, "firmware")
    await expect(page.locator("#trust")).to_have_text("stale")
    await expect(page.locator("pv-trust")).to_contain_text("No mirror is set.")
    official = page.locator("[data-source=official]")
    for text in ("Last confirmed 12 Mar 2027", HOSTILE, "from cache", DIGEST):
        await expect(official).to_contain_text(text)
    left = official.locator("tbody td:last-child")
    await expect(left).to_contain_text(["expired 24 h ago", "24 h left", "365 d left"])
    tones = [await left.nth(it).get_attribute("class") for it in range(3)]
    assert tones == ["bad", "warn", "good"]
    channel = page.locator("#channels tbody tr")
    for text in ("stable", "Paused. A bad release.", "pv-edge.alphaess-bridge 1.1.0"):
        await expect(channel).to_contain_text(text)
    await expect(page.locator("#offers tbody tr")).to_contain_text("What is known was right once.")
    await expect(page.locator("#development")).to_have_count(0)
    house.releases.show(sources=[{**told, "development": True}])
    await expect(page.locator("#development")).to_contain_text("DEVELOPMENT ONLY")
    assert await page.title() == "PV Edge Agent"
    assert await page.locator("main img").count() == 0
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_looking_channels_and_publishers_are_asked_for_in_words(
    page: Page, house: House
) -> None:
    house.releases.show(sources=[source(name="acme", kind="added")])
    await shown(page, house, "firmware")
    await page.get_by_role("button", name="Look now").click()
    await expect(page.locator("#answer")).to_contain_text("Look now: It was done.")
    await page.get_by_label("Channel of all bridges").select_option("beta")
    await expect(page.locator("#answer")).to_contain_text("Channel of all bridges: It was done.")
    form = page.locator("pv-publisher form").first
    for name, text in (
        ("Name", "acme"),
        ("Mirror", "https://f.example"),
        ("Channel", "x-acme"),
        ("Fingerprint of his root (SHA-256)", DIGEST),
    ):
        await form.get_by_label(name, exact=True).fill(text)
    house.releases.refusal = ValueError("The root has another fingerprint.")
    trust = page.get_by_role("button", name="Trust him for this channel")
    await trust.click()
    await expect(form.get_by_role("status")).to_have_text("The root has another fingerprint.")
    await expect(form.get_by_label("Name", exact=True)).to_have_value("acme")  # to be corrected
    house.releases.refusal = None
    await trust.click()
    await expect(form.get_by_role("status")).to_have_text("It was done.")
    await expect(form.get_by_label("Name", exact=True)).to_have_value("")
    await page.locator("[data-source=acme]").get_by_role("button", name="Remove").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Remove")).to_be_disabled()
    await dialog.get_by_role("textbox").fill("acme")
    await dialog.get_by_role("button", name="Remove").click()
    await expect(page.locator("#answer")).to_contain_text("Remove: It was done.")
    wanted = NewSource("acme", "https://f.example", DIGEST, "x-acme")
    assert house.releases.asked == [
        ("look", BY),
        ("channel", None, "beta", BY),
        ("add", wanted, BY),
        ("add", wanted, BY),
        ("remove", "acme", BY),
    ]


async def test_an_own_build_is_shown_accepted_and_installed_where_a_person_says(
    page: Page, house: House
) -> None:
    await shown(page, house, "firmware")
    own = page.locator("pv-builds")
    show = own.get_by_role("button", name="Show what it is")
    await show.click()
    await expect(own.locator("pv-upload p")).to_have_text("Choose a file first.")
    kind = "application/octet-stream"
    large: FilePayload = {
        "name": "l.bin",
        "mimeType": kind,
        "buffer": bytes(LARGEST_FILE_BYTES + 1),
    }
    await own.get_by_label("Firmware file").set_input_files(large)
    await show.click()
    await expect(own.locator("pv-upload p")).to_have_text("This file is larger than 8 MiB.")
    file: FilePayload = {"name": "own.bin", "mimeType": kind, "buffer": b"\xe9" * 100_000}
    await own.get_by_label("Firmware file").set_input_files(file)
    house.releases.refusal = ValueError("This is no ESP image.")
    await show.click()
    await expect(own.locator("pv-upload p")).to_have_text("This is no ESP image.")
    house.releases.refusal, house.releases.build = None, build(whole=False)
    await show.click()
    for text in ("esp32", HOSTILE, "1.2.3", DIGEST, "2025", "do not fit", NOBODY_SIGNED):
        await expect(own.locator("#shown")).to_contain_text(text)
    await own.get_by_role("button", name="Accept this build").click()
    await expect(own.locator("#shown")).to_have_count(0)
    told = [it[:2] for it in house.releases.asked]
    assert told == [("show", file["buffer"])] * 2 + [("accept", DIGEST)]
    accepted = build(accepted="2026-06-20T09:00:00+00:00", notes="By Ada", project="acme.bridge")
    house.releases.show(builds=[accepted], bridges=[offer(), offer(mac=OTHER, title="Barn")])
    one = page.locator(f"[data-build='{DIGEST}']")
    await one.get_by_label("Bridge for acme.bridge 1.2.3").select_option(OTHER)
    install = one.get_by_role("button", name="Install acme.bridge 1.2.3")
    await expect(install).to_be_disabled()
    await one.get_by_label("I accept (ack_unsigned)").check()
    await one.get_by_label("I accept (ack_project_change)").check()
    await install.click()
    await page.get_by_role("dialog").get_by_role("textbox").fill(OTHER)
    await page.get_by_role("dialog").get_by_role("button", name="Install").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    acks = ("ack_unsigned", "ack_project_change")
    assert house.flashing.asked == [("install", OTHER, DIGEST, acks, BY, True)]


async def test_many_are_planned_with_who_goes_first_and_a_stop_says_why_and_is_steered(
    page: Page, house: House
) -> None:
    house.releases.show(
        bridges=[offer(title="Shed", refusals=[]), offer(mac=OTHER, title="Barn", refusals=[])]
    )
    await shown(page, house, "firmware")
    plan = page.get_by_role("button", name="Plan it")
    await plan.click()
    await expect(page.locator("pv-campaigns #said")).to_have_text("Choose at least one bridge.")
    await page.get_by_label(f"Shed ({MAC}) to 1.1.0").check()
    await page.get_by_label(f"Barn ({OTHER}) to 1.1.0").check()
    await page.get_by_label("Barn goes first").check()
    await plan.click()
    await page.get_by_role("dialog").get_by_role("button", name="Plan it").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    assert house.flashing.asked == [("plan", (MAC, OTHER), (), BY, (OTHER,))]
    house.flashing.show(campaigns=[campaign()])
    many = page.locator("[data-campaign=c0ffee]")
    for text in ("2 bridges", "stopped", "1 of 1 failed", "1 failed, 1 ready", HOSTILE):
        await expect(many).to_contain_text(text)
    await expect(many.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    house.flashing.refused = True
    await many.get_by_role("button", name="Resume").click()
    await expect(page.locator("#answer")).to_contain_text("Resume was refused: Not now.")
    await many.get_by_role("button", name="Abort").click()
    await page.get_by_role("dialog").get_by_role("button", name="Abort").click()
    await expect(page.locator("#answer")).to_contain_text("Abort was refused: Not now.")
    steered = [("steer", "c0ffee", what, BY) for what in ("resume", "abort")]
    assert house.flashing.asked[1:] == steered
    house.flashing.show(campaigns=[campaign(status="finished")])
    await expect(many.get_by_role("button")).to_have_count(0)
