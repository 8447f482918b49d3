"""The bridges on the page: one line each, with what to do next, and room for a missing key."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import FilePayload, Page, expect

from agent.fleet.findings import Finding, FindingCode
from agent.fleet.operations import Op
from agent.fleet.views import BridgeView
from agent.surface.desk import Upload
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


def verdict(result: str, **changes: Any) -> dict[str, Any]:
    """Return a verdict, as the agent sends it."""
    now = datetime.now(UTC).isoformat()
    gate = {"gate": "GATE-001", "name": "Reachable", "result": result, "at": now}
    shown = {"overall": result, "at": now, "holds_s": 600, "strict": True, "gates": []}
    return {**shown, "gates": [{**gate, "evidence": f"It is connected. {HOSTILE}"}], **changes}


async def test_the_gates_of_a_bridge_are_run_and_shown_with_their_evidence(
    page: Page, house: House
) -> None:
    ten = line(mac="02:00:5E:10:00:10", title="Bridge 10")
    house.bridges.show(line(), ten)
    await opened(page, house)
    await page.get_by_role("button", name="Run the gates of Plant room").click()
    await expect(page.locator("#answer")).to_contain_text("Its gates were run: pass.")
    assert house.bridges.asked == [(Op.RUN_GATES, MAC, "page: local")]
    house.bridges.judged = {MAC: verdict("fail")}
    house.bridges.show(line(), ten)
    told = page.locator(f"tr[data-gates='{MAC}'] details.gates")
    await expect(told.locator("summary")).to_contain_text("Gates: fail")
    await told.locator("summary").click()
    for text in ("Reachable", "GATE-001", "fail", f"It is connected. {HOSTILE}"):
        await expect(told.locator("tbody")).to_contain_text(text)
    await expect(page.locator("details.gates")).to_have_count(1)
    house.bridges.judged = {MAC: verdict("warn")}
    house.bridges.show(line(), ten)
    await expect(told.locator("summary")).to_contain_text("Gates: warn, which blocks")
    await expect(told.locator("tbody")).to_be_visible()  # it was open before the news
    before = (datetime.now(UTC) - timedelta(minutes=11)).isoformat()
    house.bridges.judged = {MAC: verdict("warn", strict=False, at=before)}
    house.bridges.show(line(), ten)
    await expect(told.locator("summary")).to_contain_text("which does not block")
    await expect(told.locator("summary")).to_contain_text("no longer believed")
    assert await page.title() == "PV Edge Agent"


async def test_every_source_can_be_asked_again_though_there_is_no_bridge(
    page: Page, house: House
) -> None:
    await opened(page, house)
    await page.get_by_role("button", name="Look for bridges again").click()
    await expect(page.locator("#answer")).to_contain_text("Every source was asked")
    assert house.bridges.asked == [(Op.DISCOVER, None, "page: local")]


async def test_a_restart_is_asked_for_and_a_refusal_is_shown_in_its_words(
    page: Page, house: House
) -> None:
    gone = line(mac="02:00:5E:10:00:10", title="Shed", state="unreachable", words="Not reachable")
    house.bridges.show(line(), gone)
    await opened(page, house)
    await expect(page.get_by_role("button", name="Restart", exact=False)).to_have_count(1)
    house.bridges.words = "A discharge runs through it. Stop that first."
    await page.get_by_role("button", name="Restart Plant room").click()
    await expect(page.locator("#answer")).to_contain_text("A discharge runs through it.")
    house.bridges.words = None
    await page.get_by_role("button", name="Restart Plant room").click()
    await expect(page.locator("#answer")).to_contain_text("It restarted and is back.")
    assert [it[:2] for it in house.bridges.asked] == [(Op.RESTART, MAC)] * 2


async def test_a_secrets_file_is_taken_and_whose_a_key_is_a_person_says(
    page: Page, house: House
) -> None:
    house.bridges.show(line())
    await opened(page, house)
    await page.locator("#secrets summary").click()
    take = page.get_by_role("button", name="Take the key")
    await take.click()
    await expect(page.locator("#secrets-message")).to_have_text("Choose a file first.")
    text = f"shed_key: {SECRET}\n"
    file: FilePayload = {"name": "secrets.yaml", "mimeType": "text/yaml", "buffer": text.encode()}
    await page.get_by_label("secrets.yaml", exact=True).set_input_files(file)
    house.bridges.refusal = ValueError("secrets.yaml is not YAML that can be read")
    await take.click()
    await expect(page.locator("#secrets-message")).to_contain_text("is not YAML")
    house.bridges.refusal = None
    choices = [{"mac": MAC, "title": f"Plant room {HOSTILE}"}]
    house.bridges.answer = {"text": "Whose?", "bridges": choices, "names": ["shed_key"]}
    await take.click()
    await expect(page.locator("#secrets-message")).to_have_text("Whose?")
    await page.get_by_label("Bridge", exact=True).select_option(MAC)
    await page.get_by_label("Name of its key").select_option("shed_key")
    house.bridges.answer = {"text": "Stored for Plant room: key.", "stored": MAC}
    await take.click()
    await expect(page.locator("#secrets-message")).to_have_text("Stored for Plant room: key.")
    await expect(page.get_by_label("Name of its key")).to_be_hidden()
    assert house.bridges.uploads[0] == Upload(None, text)
    assert house.bridges.uploads[-1] == Upload(None, text, MAC, "shed_key")
    assert SECRET not in str(house.audited)
    assert [it[2] for it in house.audited] == ["refused", "asked whose it is", f"stored for {MAC}"]
    assert await page.title() == "PV Edge Agent"


async def test_a_file_that_is_no_secrets_file_is_not_even_sent(page: Page, house: House) -> None:
    await opened(page, house)
    await page.locator("#secrets summary").click()
    big: FilePayload = {"name": "x.yaml", "mimeType": "text/yaml", "buffer": b"x" * 70_000}
    await page.get_by_label("Configuration of the device").set_input_files(big)
    await page.get_by_role("button", name="Take the key").click()
    await expect(page.locator("#secrets-message")).to_contain_text("too large")
    assert house.bridges.uploads == []


async def test_what_can_be_asked_of_a_bridge_is_an_administrators_and_of_the_words(
    house: House,
) -> None:
    async with house.client.post("/api/bridges/ask", json={"op": "explode", "mac": MAC}) as answer:
        assert answer.status == 400
        assert "run_gates" in (await answer.json())["text"]
    house.bridges.words = "No device is chosen. Choose one first."
    async with house.client.post("/api/bridges/ask", json={"op": "flash_firmware"}) as answer:
        assert answer.status == 409
        assert (await answer.json())["text"] == house.bridges.words
    assert house.bridges.asked == [(Op.FLASH, None, "page: local")]
