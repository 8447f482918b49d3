"""The bridges on the page: one line each, with what to do next, and room for a missing key."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from playwright.async_api import Page, expect

from agent.fleet.findings import Finding, FindingCode
from agent.fleet.views import BridgeView
from tests.surface.conftest import House, opened

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
MAC = "02:00:5E:10:00:01"
SECRET = "c2VjcmV0LWtleS1vZi1hLXRlc3Qtd2l0aC0zMi1ieXQ="


def line(**changes: Any) -> dict[str, Any]:
    """Return a line of the list, as the agent sends it."""
    view: dict[str, Any] = {
        "mac": MAC,
        "title": "Plant room",
        "name": "bridge-1",
        "address": "192.168.1.20",
        "project": "pv-edge.alphaess-bridge",
        "version": "1.0.0",
        "esphome": "2026.10.0",
        "board": "esp32dev",
        "kind": "production",
        "state": "online",
        "words": "Connected",
        "since": "2026-06-21T12:00:00+00:00",
        "next_step": "",
        "findings": (),
    }
    return {**asdict(BridgeView(**(view | changes))), "keys": {}}


async def test_without_bridges_the_page_says_where_they_would_come_from(
    page: Page, house: House
) -> None:
    await opened(page, house)
    await expect(page.locator("#bridges-none")).to_be_visible()
    await expect(page.locator("#bridges-table")).to_be_hidden()


async def test_a_bridge_has_a_line_that_follows_it(page: Page, house: House) -> None:
    house.bridges.show(line(title=f"Plant room {HOSTILE}"))
    await opened(page, house)
    row = page.locator("#bridges tr")
    await expect(row).to_have_count(1)
    for text in (HOSTILE, MAC, "192.168.1.20", "pv-edge.alphaess-bridge 1.0.0", "Connected"):
        await expect(row).to_contain_text(text)
    await expect(row).to_contain_text("Nothing to do.")
    text = "It does not answer. Look at its power and its network."
    news = Finding(FindingCode.MOVED, "Its address was 192.168.1.9 and is 192.168.1.20.")
    found = (Finding(FindingCode.UNREACHABLE, text), news)
    house.bridges.show(
        line(state="unreachable", words="Not reachable", next_step=text, findings=found)
    )
    await expect(row).to_contain_text("Not reachable")
    await expect(row).to_contain_text(text)
    await expect(row).to_contain_text(news.text)
    house.bridges.show()
    await expect(page.locator("#bridges-none")).to_be_visible()
    assert await page.title() == "PV Edge Agent"


async def test_a_missing_key_is_entered_where_it_is_missed(page: Page, house: House) -> None:
    wants = line(state="key_missing", words="Wants a key", next_step="Enter its key.")
    house.bridges.show(line(mac="02:00:5E:10:00:10", title="Bridge 10"), wants)
    await opened(page, house)
    key = page.get_by_label("Encryption key of Plant room")
    await key.fill("none")
    house.bridges.refusal = ValueError("This is not base64")
    await page.get_by_role("button", name="Save key").click()
    await expect(page.locator("#answer")).to_contain_text("This is not base64")
    house.bridges.show(wants)  # what somebody is typing stays
    house.bridges.refusal = None
    await key.fill(SECRET)
    await page.get_by_role("button", name="Save key").click()
    await expect(page.locator("#answer")).to_contain_text("The key was stored")
    await expect(key).to_have_value("")
    assert house.bridges.keys == [(MAC, SECRET)]
    assert SECRET not in str(house.audited)
    assert [it[1:] for it in house.audited] == [
        (f"key of the bridge {MAC}", "refused"),
        (f"key of the bridge {MAC}", "entered"),
    ]


async def test_home_assistant_is_asked_for_a_key_when_somebody_says_so(
    page: Page, house: House
) -> None:
    house.bridges.show(line(state="wrong_key", words="The key does not fit", next_step="Enter it."))
    await opened(page, house)
    ask = page.get_by_role("button", name="Ask Home Assistant for the key of Plant room")
    assert house.bridges.keys == []
    house.bridges.refusal = ValueError("Home Assistant has no key for it either")
    await ask.click()
    await expect(page.locator("#answer")).to_contain_text("has no key for it either")
    house.bridges.refusal = None
    await ask.click()
    await expect(page.locator("#answer")).to_contain_text("The key was stored")
    assert house.bridges.keys == [(MAC, "asked by page: local")]


async def test_a_bridge_that_is_gone_can_be_removed(page: Page, house: House) -> None:
    gone = line(mac="02:00:5E:10:00:10", title="Shed", state="unreachable", words="Not reachable")
    house.bridges.show(line(), gone)
    await opened(page, house)
    await expect(page.get_by_role("button", name="Remove")).to_have_count(1)
    await page.get_by_role("button", name="Remove Shed from the list").click()
    await expect(page.locator("#bridges tr")).to_have_count(1)
    await expect(page.locator("#bridges tr")).to_contain_text("Plant room")
    assert [it[1:] for it in house.audited] == [
        ("forget the bridge 02:00:5E:10:00:10", "forgotten")
    ]


async def test_on_a_phone_a_bridge_stays_within_the_screen(page: Page, house: House) -> None:
    house.bridges.show(line(state="wrong_key", words="The key does not fit", next_step="Enter it."))
    await page.set_viewport_size({"width": 390, "height": 800})
    await opened(page, house)
    screen = await page.evaluate("document.documentElement.clientWidth")
    for part in ("td", "input", "button"):
        for each in await page.locator(f"#bridges {part}").all():
            box = await each.bounding_box()
            assert box
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= screen
    name = await page.locator("#bridges td").first.bounding_box()
    assert name
    assert name["width"] > screen / 2


async def test_the_settings_of_bridges_are_on_the_page(page: Page, house: House) -> None:
    await opened(page, house)
    await page.locator("#settings summary", has_text="Bridges").click()
    await page.get_by_label("Bridges that nobody announces").fill("192.168.1.20 = nonsense")
    await page.get_by_role("button", name="Save settings").click()
    await expect(page.locator("#error-bridge_list")).to_contain_text("addresses with commas")
    await page.get_by_label("Bridges that nobody announces").fill("192.168.1.20, bridge-2.local")
    await page.get_by_role("button", name="Save settings").click()
    await expect(page.locator("#settings-message")).to_have_text("Saved.")
    assert house.settings.current()["bridge_list"] == "192.168.1.20, bridge-2.local"
