"""Firmware on the page and over HTTP: what is known, what is offered, and what a person brings."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession
from playwright.async_api import FilePayload, Page, expect

from agent.releases.views import NOBODY_SIGNED
from agent.surface.desk import NewSource
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.releases import LARGEST_FILE_BYTES
from tests.surface.conftest import WRITES, House, make_house, opened

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
MAC = "02:00:5E:10:00:01"
DIGEST = "ab" * 32


def source(**changes: Any) -> dict[str, Any]:
    """Return a source, as the agent sends it."""
    shown: dict[str, Any] = {
        "name": "official",
        "kind": "official",
        "freshness": "stale",
        "why": f"The signatures of timestamp expired. {HOSTILE}",
        "words": "Last confirmed 12 Mar 2027, revocations since then are unknown here.",
        "confirmed": "2027-03-12T10:00:00+00:00",
        "stale_since": "2027-04-02T10:00:00+00:00",
        "carrier": "cache",
        "development": False,
        "root_sha256": DIGEST,
        "roles": [{"role": "timestamp", "version": 7, "expires": "2027-04-02T10:00:00+00:00"}],
        "channels": [
            {
                "name": "stable",
                "freshness": "stale",
                "why": "",
                "paused": True,
                "reason": "A bad release.",
                "latest": {"pv-edge.alphaess-bridge": "1.1.0"},
            }
        ],
        "events": [],
    }
    return {**shown, **changes}


def offer(**changes: Any) -> dict[str, Any]:
    """Return what a bridge is offered, as the agent sends it."""
    stale = {
        "code": "stale-metadata",
        "text": "What is known was right once.",
        "next_step": "Connect this house.",
        "ack": "ack_stale",
    }
    shown: dict[str, Any] = {
        "mac": MAC,
        "title": f"Plant room {HOSTILE}",
        "channel": "stable",
        "own_channel": None,
        "project": "pv-edge.alphaess-bridge",
        "installed": "1.0.0",
        "standing": "update",
        "why": "",
        "source": "official",
        "latest": "1.1.0",
        "released": "2027-03-01T10:00:00+00:00",
        "notes": f"Reads faster.\n{HOSTILE}",
        "notes_url": "javascript:document.title='owned'",
        "security": "critical",
        "sha256": DIGEST,
        "size": 1000,
        "refusals": [stale],
        "missing": ["ack_stale"],
        "floor": 1,
    }
    return {**shown, **changes}


def build(**changes: Any) -> dict[str, Any]:
    """Return a build of one's own, as the agent sends it."""
    shown: dict[str, Any] = {
        "sha256": DIGEST,
        "size": 196_608,
        "layout": "application",
        "chip": "esp32",
        "project": f"acme.bridge {HOSTILE}",
        "version": "1.2.3",
        "built": "2025-11-22T08:00:00+00:00",
        "idf": "v5.5",
        "whole": True,
        "signatures": 0,
        "sentence": NOBODY_SIGNED,
    }
    return {**shown, **changes}


async def test_trust_and_offers_are_shown_with_their_reasons_and_no_text_becomes_markup(
    page: Page, house: House
) -> None:
    house.releases.show(state="stale", sources=[source()], bridges=[offer()])
    await opened(page, house)
    await expect(page.locator("#firmware-state")).to_contain_text("stale: What is known was right")
    row = page.locator("tr[data-source=official]")
    for text in ("Last confirmed 12 Mar 2027, revocations since then are unknown here.", HOSTILE,
                 "timestamp until", "2027", "from cache", "stable is paused. A bad release.",
                 "pv-edge.alphaess-bridge 1.1.0"):  # fmt: skip
        await expect(row).to_contain_text(text)
    bridge = page.locator(f"tr[data-offer='{MAC}']")
    for text in (MAC, HOSTILE, "1.0.0", "1.1.0", "security: critical", "What is known was right"):
        await expect(bridge).to_contain_text(text)
    await expect(bridge).to_contain_text("A person can accept this (ack_stale).")
    await bridge.locator("summary").click()
    await expect(bridge.locator(".notes")).to_be_visible()
    await expect(bridge.locator(".notes")).to_contain_text("Reads faster.")
    await expect(bridge.locator("a")).to_have_count(0)  # an address that is no https
    house.releases.show(bridges=[offer(notes="Other notes", refusals=[])])
    await expect(bridge.locator(".notes")).to_have_text("Other notes")  # and still open
    await expect(bridge).to_contain_text("Nothing speaks against it.")
    await expect(page.locator("#firmware-development")).to_be_hidden()
    house.releases.show(sources=[source(development=True, freshness="fresh")])
    await expect(page.locator("#firmware-development")).to_contain_text("DEVELOPMENT ONLY")
    assert await page.title() == "PV Edge Agent"


async def test_looking_channels_and_publishers_are_asked_for_and_audited(
    page: Page, house: House
) -> None:
    house.releases.show(
        sources=[source(), source(name="acme", kind="added")],
        bridges=[offer(title="Shed")],
    )
    await opened(page, house)
    await page.get_by_role("button", name="Look now").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    await page.get_by_label("Channel of Shed").select_option("beta")
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    await page.locator("summary", has_text="Another publisher").click()
    for name, text in (("Name", "acme"), ("Mirror", "https://f.example"),
                       ("Channel", "x-acme"),
                       ("Fingerprint of his root (SHA-256)", DIGEST)):  # fmt: skip
        await page.locator("#source-form").get_by_label(name, exact=True).fill(text)
    house.releases.refusal = ValueError("The root has another fingerprint.")
    await page.get_by_role("button", name="Trust him for this channel").click()
    await expect(page.locator("#source-message")).to_have_text("The root has another fingerprint.")
    await expect(page.locator("#source-name")).to_have_value("acme")  # to be corrected
    house.releases.refusal = None
    await page.get_by_role("button", name="Trust him for this channel").click()
    await expect(page.locator("#source-message")).to_have_text("It was done.")
    await expect(page.get_by_role("button", name="Remove", exact=False)).to_have_count(1)
    await page.get_by_role("button", name="Remove the source acme").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    by = "page: local"
    wanted = NewSource("acme", "https://f.example", DIGEST, "x-acme")
    assert house.releases.asked == [
        ("look", by), ("channel", MAC, "beta", by), ("add", wanted, by), ("add", wanted, by),
        ("remove", "acme", by),
    ]  # fmt: skip
    assert [(it[1].partition(" (")[0], it[2]) for it in house.audited] == [
        ("look for releases", "It was done."),
        (f"channel beta for {MAC}", "It was done."),
        ("trust the source acme", "refused: The root has another fingerprint."),
        ("trust the source acme", "It was done."),
        ("remove the source acme", "It was done."),
    ]


async def test_an_own_build_is_shown_before_it_is_accepted(page: Page, house: House) -> None:
    await opened(page, house)
    await page.locator("summary", has_text="Own builds").click()
    show = page.get_by_role("button", name="Show what it is")
    await show.click()
    await expect(page.locator("#own-message")).to_have_text("Choose a file first.")
    file: FilePayload = {"name": "own.bin", "mimeType": "application/octet-stream",
                         "buffer": b"\xe9" * 100_000}  # fmt: skip
    await page.get_by_label("Firmware file").set_input_files(file)
    house.releases.refusal = ValueError("This is no ESP image.")
    await show.click()
    await expect(page.locator("#own-message")).to_have_text("This is no ESP image.")
    await expect(page.get_by_role("button", name="Accept this build")).to_have_count(0)
    house.releases.refusal, house.releases.build = None, build()
    await show.click()
    shown = page.locator("#build-shown")
    for text in ("esp32", HOSTILE, "1.2.3", DIGEST, "2025", NOBODY_SIGNED):
        await expect(shown).to_contain_text(text)
    await page.get_by_role("button", name="Accept this build").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    await expect(shown).to_be_empty()
    house.releases.show(builds=[build(accepted="2026-11-22T09:00:00+00:00", notes=f"By {HOSTILE}")])
    await expect(page.locator(f"tr[data-build='{DIGEST}']")).to_contain_text(f"By {HOSTILE}")
    told = [it[:2] for it in house.releases.asked]
    assert told == [("show", file["buffer"])] * 2 + [("accept", DIGEST)]
    assert await page.title() == "PV Edge Agent"


async def test_reading_is_for_everybody_and_a_file_of_a_visitor_is_not_even_read(
    tmp_path: Any,
) -> None:
    async def nobody(_user: str) -> bool:
        return False

    visitor = {"X-Remote-User-Id": "u1", "X-Remote-User-Name": "Visitor"}
    made = make_house(tmp_path, Gate(Policy(supervised=True), nobody))
    made.server._gate.admit = as_supervisor(made.server._gate)  # type: ignore[method-assign]
    port = await made.server.start("127.0.0.1", 0)
    url = f"http://127.0.0.1:{port}"
    async with ClientSession(url, headers={**WRITES, **visitor}) as http:
        async with http.get("/api/releases") as answer:
            assert (answer.status, (await answer.json())["state"]) == (200, "none")
        for method, path in (("POST", "look"), ("POST", "own"), ("POST", "own/accept"),
                             ("POST", "bundle"), ("POST", "sources"), ("DELETE", "sources"),
                             ("PUT", "channel")):  # fmt: skip
            async with http.request(method, f"/api/releases/{path}", json={}) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "not_admin"), path
    await made.server.stop()
    assert made.releases.asked == []
    assert [it[2] for it in made.audited] == ["not_admin"] * 7


def as_supervisor(gate: Gate) -> Any:
    async def admit(_peer: str | None, headers: Any, access: Any) -> Any:
        return await Gate.admit(gate, "172.30.32.2", headers, access)

    return admit


@pytest.mark.parametrize(
    ("path", "size", "words"),
    [
        ("own", LARGEST_FILE_BYTES + 1, "larger than 8 MiB"),
        ("bundle", 0, "The file is empty"),
    ],
)
async def test_a_file_that_is_too_large_or_empty_is_refused_in_words(
    house: House, path: str, size: int, words: str
) -> None:
    async with house.client.post(f"/api/releases/{path}", data=bytes(size)) as answer:
        assert answer.status == 400
        assert words in (await answer.json())["text"]
    assert house.releases.asked == []
