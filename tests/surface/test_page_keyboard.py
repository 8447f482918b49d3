"""The page with a keyboard alone: every view, every action, and the focus that is never lost."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from playwright.async_api import Page, expect

from agent.export.requests import RequestKind
from agent.export.snapshot import PlanPicture, PlanView, Reason
from agent.fleet.operations import Op
from agent.journal import Event
from agent.surface.desk import Wanted
from tests.surface import full_house
from tests.surface.conftest import WRITES, shown
from tests.surface.desks import NOON
from tests.surface.keys import HELP, Keys

VIEWS = ("Now", "Plan", "Bridges", "Recovery", "Firmware", "Journal", "Settings")
BY = "page: local"


def picture() -> PlanPicture:
    why = Reason("solved", "The best plan for this forecast.")
    return PlanPicture(NOON, "solver", "carbon", "GBP", why, 949.4, (), (), ())


@pytest.fixture
async def keys(bundle: Path, page: Page, tmp_path: Path) -> AsyncIterator[Keys]:
    """Somebody before the house that has everything, on the view Now."""
    assert bundle
    house = full_house.full_house(tmp_path)
    gone = {"mac": "02:00:5E:10:00:03", "title": "Barn", "state": "unreachable"}
    house.bridges.lines.append({**house.bridges.lines[0], **gone})
    house.guard.show(outlook=picture(), plan=PlanView())
    house.port = await house.server.start("127.0.0.1", 0)
    async with ClientSession(house.url, headers=WRITES) as house.client:
        await page.add_init_script(f"({HELP})()")
        await shown(page, house)
        yield Keys(page, house)
    await house.server.stop()


async def test_each_stop_of_every_view_is_reached_in_order_and_seen_and_there_is_no_trap(
    keys: Keys,
) -> None:
    page = keys.page
    for view in VIEWS:
        await keys.opens(view)
        if view != "Settings":  # whose groups are many and all alike
            for each in await page.locator("main details").all():
                await each.evaluate("(each) => { each.open = true; }")
        await keys.to(page.get_by_role("button", name="Emergency stop"), "Shift+Tab")
        count = await page.evaluate("stops().length")
        for scheme, way in (("light", "Tab"), ("dark", "Shift+Tab")):
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            found = await keys.walked(way, count - 1)
            order = [*range(1, count)] if way == "Tab" else [*range(count - 2, -1, -1)]
            # A box that scrolls is a stop too, where nothing in it is one; it has no number.
            assert [at for at, _, _ in found if at >= 0] == order, (view, way, found)
            assert [where for _, seen, where in found if not seen] == [], (view, scheme)


async def test_the_content_is_one_key_from_the_stop_and_a_stop_is_read_and_put_away(
    keys: Keys,
) -> None:
    page = keys.page
    stop = page.get_by_role("button", name="Emergency stop")
    await keys.press("Tab")
    await keys.keeps(stop)
    await keys.press("Space")
    told = page.locator("pv-stop").get_by_role("alert")
    await expect(told).to_contain_text("It was taken.")
    assert [it.kind for it in keys.house.guard.requests] == [RequestKind.EMERGENCY_STOP]
    await keys.press("Tab")
    await keys.keeps(keys.button("Close", "pv-stop"))
    await keys.press("Enter")
    await expect(told).to_have_count(0)
    await keys.keeps(stop)
    await keys.press("Enter")
    await expect(told).to_contain_text("It was taken.")
    await keys.press("Escape")
    await expect(told).to_have_count(0)
    await keys.keeps(stop)
    await keys.press("Tab")
    await keys.press("Enter")
    await keys.keeps(page.locator("main"))
    await keys.press("Tab")
    await keys.keeps(keys.button("Start discharge"))


async def test_now_and_plan_are_worked_by_keys_and_the_focus_stays_on_what_was_pressed(
    keys: Keys,
) -> None:
    house = keys.house
    house.guard.show(latched=True)
    for name, key in (
        ("Start discharge", "Enter"), ("Stop discharge", "Space"), ("Acknowledge", "Enter"),
        ("Run the test", "Space"),
    ):  # fmt: skip
        await keys.on(keys.button(name), key=key)
        if name == "Run the test":  # it discharges, so it asks
            await keys.on(keys.dialog.get_by_role("button", name=name))
        await keys.told(f"{name}: It was taken.")
        await keys.keeps(keys.button(name))
    house.guard.show(latched=False)  # which switches off what has the focus
    acknowledge = keys.button("Acknowledge")
    await keys.to(acknowledge, "Shift+Tab")
    await expect(acknowledge).to_be_disabled()
    await keys.press("Enter")
    await keys.press("Space")
    await keys.opens("Plan")
    await keys.on(keys.button("Plan again now"))
    await keys.told("Plan again now: It was taken.")
    asked = [it.kind for it in house.guard.requests]
    assert asked == [
        RequestKind.START_DISCHARGE, RequestKind.STOP_DISCHARGE, RequestKind.ACKNOWLEDGE,
        RequestKind.COMMISSION, RequestKind.CALCULATE,
    ]  # fmt: skip
    house.plan.answer = picture()
    sun = keys.page.get_by_label("Sun, of the forecast")
    await keys.on(sun, key="ArrowLeft")
    await expect(keys.page.locator("#whatif table")).to_be_visible()
    await keys.keeps(sun)
    assert house.plan.asked == [{"sun_percent": 90}]
    await keys.on(keys.button("As it is"))
    await expect(sun).to_have_value("100")
    await keys.keeps(keys.button("As it is"))


async def test_a_dialog_takes_the_focus_holds_it_and_gives_it_back(keys: Keys) -> None:
    await keys.opens("Bridges")
    restart = keys.button("Restart")
    await keys.on(restart)
    cancel = keys.dialog.get_by_role("button", name="Cancel")
    await keys.keeps(cancel)  # the harmless one first
    for way in ("Tab", "Shift+Tab"):
        for _ in range(5):
            await keys.press(way)
            held = (
                "document.activeElement.localName === 'pv-confirm' || focused() === document.body"
            )
            assert await keys.page.evaluate(held), "something behind the dialog got the focus"
    await keys.press("Escape")
    await expect(keys.dialog).to_have_count(0)
    await keys.keeps(restart)
    assert keys.house.bridges.asked == []
    await keys.press("Enter")
    await keys.on(keys.dialog.get_by_role("button", name="Restart"))
    await keys.told("Restart: ")
    await keys.keeps(restart)
    (mac,) = {it["mac"] for it in keys.house.bridges.lines if it["state"] == "online"}
    assert keys.house.bridges.asked == [(Op.RESTART, mac, BY)]


async def test_a_bridge_is_judged_removed_given_its_key_and_updated_by_keys(keys: Keys) -> None:
    page, house = keys.page, keys.house
    await keys.opens("Bridges")
    plant, shed, barn = (page.locator("pv-bridge").nth(at) for at in range(3))
    await keys.on(plant.get_by_role("button", name="Run gates"))
    await keys.told("Run gates: ")
    await keys.on(plant.locator("pv-gates summary"), key="Space")
    await expect(plant.locator("pv-gates tbody")).to_be_visible()
    await keys.on(plant.get_by_label("I accept (ack_stale)"), key="Space")
    await keys.on(plant.get_by_role("button", name="Install 1.1.0"))
    await expect(keys.dialog).to_contain_text("1.1.0")
    await keys.on(keys.dialog.get_by_role("button", name="Install 1.1.0"))
    await keys.told("Install 1.1.0: It was done.")
    ((what, _, version, acks, by, _),) = house.flashing.asked
    assert (what, version, acks, by) == ("install", "1.1.0", ("ack_stale",), BY)
    await keys.on(plant.get_by_label("Channel"), "Shift+Tab", "ArrowDown")
    await keys.told("Channel: It was done.")
    await keys.types(shed.get_by_label("Encryption key"), "c2VjcmV0")
    await keys.press("Enter")
    await keys.told("Save key: ")
    assert [key for _, key in house.bridges.keys] == ["c2VjcmV0"]
    await keys.on(barn.get_by_role("button", name="Remove"))
    await keys.on(keys.dialog.get_by_role("button", name="Remove"))
    await keys.told("Remove: ")
    await expect(barn).to_have_count(0)
    # Its button is gone with it: the focus is near, and the way goes on from there.
    await page.wait_for_function("() => document.activeElement !== document.body")
    await keys.on(page.locator("pv-secrets summary"))
    async with page.expect_file_chooser() as choosing:
        await keys.on(page.get_by_label("secrets.yaml", exact=True))
    file: Any = {"name": "s.yaml", "mimeType": "text/yaml", "buffer": b"key: c2VjcmV0\n"}
    await (await choosing.value).set_files(file)
    house.bridges.answer = {"text": "Stored.", "stored": "x"}
    await keys.on(keys.button("Take the key"))
    await expect(page.locator("pv-secrets").get_by_role("status")).to_have_text("Stored.")
    assert house.bridges.uploads[-1].secrets == "key: c2VjcmV0\n"


async def test_firmware_is_looked_for_chosen_brought_and_planned_by_keys(keys: Keys) -> None:
    page, house = keys.page, keys.house
    house.flashing.show(jobs=[])
    await keys.opens("Firmware")
    await keys.on(keys.button("Look now"))
    await keys.told("Look now: It was done.")
    # What cannot be undone is typed; Enter does it once it is right, and nothing before.
    await keys.on(page.locator("[data-source=acme]").get_by_role("button", name="Remove"))
    await keys.keeps(keys.dialog.get_by_role("textbox"))
    await page.keyboard.type("acm")
    await keys.press("Enter")
    await expect(keys.dialog).to_be_visible()
    await page.keyboard.type("e")
    await keys.press("Enter")
    await keys.told("Remove: It was done.")
    await keys.on(page.get_by_label("Channel of all bridges"), key="ArrowDown")
    await keys.told("Channel of all bridges: It was done.")
    many = page.locator("pv-campaigns")
    await keys.on(many.get_by_role("button", name="Resume"))
    await keys.told("Resume: It was done.")
    for box in range(3):  # the first bridge, that it goes first, and the second
        await keys.on(many.get_by_role("checkbox").nth(box), key="Space")
    await keys.on(many.get_by_role("button", name="Plan it"))
    await keys.on(keys.dialog.get_by_role("button", name="Plan it"))
    await keys.told("Plan it: It was done.")
    steer, plan = house.flashing.asked
    assert (steer[0], steer[2]) == ("steer", "resume")
    assert (plan[0], len(plan[1]), len(plan[4])) == ("plan", 2, 1)
    own = page.locator("pv-builds")
    async with page.expect_file_chooser() as choosing:
        await keys.on(own.get_by_label("Firmware file"))
    file: Any = {"name": "o.bin", "mimeType": "application/octet-stream", "buffer": b"\xe9" * 9}
    await (await choosing.value).set_files(file)
    house.releases.build = house.releases.now["builds"][0]
    await keys.on(own.get_by_role("button", name="Show what it is"))
    await keys.on(own.get_by_role("button", name="Accept this build"))
    await keys.told("Accept this build: It was done.")
    asked = [it[0] for it in house.releases.asked]
    assert asked == ["look", "remove", "channel", "show", "accept"]


async def test_a_port_is_identified_checked_and_confirmed_by_keys(keys: Keys) -> None:
    page, house = keys.page, keys.house
    release = {"channel": "beta", "project": "acme.bridge", "version": "1.1.0"}
    chip = {
        "at": "2026-06-21T12:00:00+00:00", "text": "", "chip": "esp32", "description": "ESP32",
        "revision": "v3.0", "mac": "02:00:5E:10:00:09", "flash_size": 4 << 20, "locks": [],
        "app": "", "channel": "beta", "known": "", "needs_flashing": True, "table": [],
        "releases": [{**release, "version": "1.2.0"}, release],
    }  # fmt: skip
    found = {**house.recovery.now["ports"][0], "used_by": [], "code": "", "text": ""}
    house.recovery.checks = lambda wish: {
        "accepted": True, "code": "", "text": f"Write {wish.version}?", "refusals": [],
        "digest": "d1",
    }  # fmt: skip
    house.recovery.show(ports=[found], jobs=[])
    await keys.opens("Recovery")
    await keys.on(keys.button("Identify"))
    await keys.told("Identify: It was done.")
    house.recovery.show(ports=[{**found, "device": chip}])
    await keys.on(page.get_by_label("Release", exact=True), key="ArrowDown")
    await keys.types(page.get_by_label("Why is it recovered?"), "dead")
    await keys.on(page.get_by_label("Erase its Wi-Fi settings"), key="Space")
    await keys.on(keys.button("Check"))
    decided = page.locator("pv-cable-wish .decided")
    await expect(decided).to_contain_text("Write 1.1.0?")
    await expect(decided).to_have_attribute("role", "status")
    await keys.keeps(keys.button("Check"))
    await keys.on(keys.button("Write it"))
    await keys.keeps(keys.dialog.get_by_role("textbox"))
    await page.keyboard.type(chip["mac"])
    await keys.press("Enter")
    await keys.told("Write it: It was done.")
    (_, (_, wish)) = house.recovery.asked
    assert (wish.version, wish.reason, wish.typed) == ("1.1.0", "dead", chip["mac"])
    board = page.locator("pv-board details")
    before = await board.evaluate("(board) => board.open")
    await keys.on(board.locator("summary"))
    await expect(board).to_have_js_property("open", not before)


async def test_the_journal_is_filtered_paged_and_taken_along_by_keys(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = keys.page

    async def events(_desk: object, wanted: Wanted) -> list[Event]:
        newest = min((wanted.before_id or 251) - 1, 250)
        numbers = range(newest, max(newest - wanted.limit, 0), -1)
        return [Event(it, NOON, "limit", {"text": f"Set {it}."}) for it in numbers]

    monkeypatch.setattr(full_house.Kept, "events", events)
    await keys.opens("Journal")
    rows = page.locator("#events tbody tr")
    await expect(rows).to_have_count(200)
    older = keys.button("Read older events")
    await keys.on(older)
    await expect(rows).to_have_count(250)
    # The button is gone, for there is nothing older: the focus is near it.
    await page.wait_for_function("() => document.activeElement !== document.body")
    await keys.types(page.get_by_label("Contains"), "Set 250.")
    await expect(rows).to_have_count(1)
    again = keys.button("Read again")
    await keys.on(again)
    await expect(again).to_be_enabled()
    await keys.keeps(again)
    await keys.on(page.get_by_label("Period"), "Shift+Tab", "ArrowDown")
    await expect(page.get_by_label("Period")).to_have_value("7")
    async with page.expect_download() as waited:
        await keys.on(keys.button("Events as CSV"))
    assert (await waited.value).suggested_filename == "pv-edge-agent-events.csv"
    await keys.told("pv-edge-agent-events.csv was downloaded.")
    await keys.on(keys.button("Make it again"))
    await keys.keeps(keys.button("Make it again"))


async def test_settings_are_changed_switched_mapped_and_commissioned_by_keys(keys: Keys) -> None:
    page, house = keys.page, keys.house
    await keys.opens("Settings")
    observe, control = (page.get_by_role("radio", name=each) for each in ("Observe", "Control"))
    await keys.on(observe, key="ArrowDown")
    await expect(keys.dialog).to_contain_text("Switch to control?")
    await keys.press("Escape")
    await expect(observe).to_be_checked()
    await keys.to(observe, "Shift+Tab")
    await keys.press("ArrowDown")
    await keys.on(keys.dialog.get_by_role("button", name="Control"))
    await expect(control).to_be_checked()
    form, limit = (
        page.locator("pv-settings-form"),
        page.get_by_label("Export limit", exact=True),
    )
    await keys.types(limit, "many")
    await keys.press("Enter")
    wrong = page.locator("[data-key=export_limit_w]").get_by_role("alert")
    await expect(wrong).to_contain_text("export_limit_w")
    await keys.types(limit, "3680")  # where the focus still is
    await keys.on(page.locator("[data-group='Plans and windows'] summary"))
    await keys.on(page.get_by_role("switch", name="Plan discharge"), key="Space")
    save = form.get_by_role("button", name="Save settings")
    await keys.on(save)
    await expect(form.locator("#said")).to_have_text("Saved.")
    await keys.keeps(save)  # though there is nothing left to save
    entity = page.locator("[data-entity='entities.grid_power']").get_by_role("textbox")
    await keys.types(entity, "sensor.another")
    await keys.on(form.get_by_role("button", name="Discard"), "Shift+Tab")
    await expect(entity).to_have_value("")
    await keys.types(entity, "sensor.my_grid")
    await keys.press("Enter")
    await expect(page.locator("pv-mapping #said")).to_have_text("Saved.")
    now = house.settings.current()
    assert (now["export_limit_w"], now["enable_ci_planning"]) == (3680, True)
    assert (now["mode"], now["entities.grid_power"]) == ("control", "sensor.my_grid")
    run = page.locator("pv-commissioning").get_by_role("button", name="Run the test")
    await keys.on(run)
    await keys.on(keys.dialog.get_by_role("button", name="Run the test"))
    await keys.told("Run the test: It was taken.")
    await keys.keeps(run)
    examine = keys.button("Run the check-up")
    await keys.on(examine)
    await expect(page.locator("pv-doctor").get_by_role("status")).to_contain_text("warnings")
    await keys.keeps(examine)
    async with page.expect_download():
        await keys.on(keys.button("Download diagnostics"), "Shift+Tab")
    await keys.keeps(keys.button("Download diagnostics"))


async def test_news_and_a_lost_agent_take_the_focus_from_nobody(keys: Keys) -> None:
    page, house = keys.page, keys.house
    await keys.opens("Bridges")
    plant, shed, *_ = house.bridges.lines
    gates = page.locator("pv-bridge").first.get_by_role("button", name="Run gates")
    await keys.to(gates)
    house.bridges.show({**shed, "title": "Cellar"}, {**plant, "version": "2.0.0"})
    await expect(page.locator("pv-bridge").first).to_contain_text("Cellar")
    moved = page.locator("pv-bridge").nth(1)
    await expect(moved).to_contain_text("2.0.0")
    await page.wait_for_function("() => focused().textContent.includes('Run gates')")
    await keys.keeps(moved.get_by_role("button", name="Run gates"))
    key = page.locator("pv-bridge").first.get_by_label("Encryption key")
    await keys.to(key, "Shift+Tab")
    await page.keyboard.type("half of ")
    house.bridges.show({**shed, "title": "Attic"}, {**plant, "version": "3.0.0"})
    house.guard.show(reason=dataclasses.replace(house.guard.shown.reason, text="News."))
    await expect(page.locator("pv-bridge").first).to_contain_text("Attic")
    await page.keyboard.type("a key")
    await expect(key).to_have_value("half of a key")
    await keys.to(moved.get_by_role("button", name="Run gates"))
    await house.server.stop()
    alert = page.locator("pv-banner").get_by_role("alert")
    await expect(alert).to_contain_text("cannot be reached")
    said = await alert.text_content()
    await expect(page.locator("pv-banner")).to_contain_text(re.compile("last known [2-9]"))
    assert await alert.text_content() == said, "an alert that counts is read out each second"
    await keys.keeps(moved.get_by_role("button", name="Run gates"))
    await keys.on(page.locator("pv-banner").get_by_role("button", name="Try now"), "Shift+Tab")
    await house.server.start("127.0.0.1", house.port)
    await keys.press("Enter")
    await expect(page.locator("main")).to_have_attribute("data-link", "live", timeout=15_000)
    await page.wait_for_function("() => focused() !== document.body")  # the banner is gone
    await keys.press("Tab")
    await expect(page.locator("pv-banner")).to_be_empty()
