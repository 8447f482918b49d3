"""A hostile bridge, board and manifest: on every view what they say is text, and plain text."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from playwright.async_api import Page, expect

from agent.compliance import DayReport, Tally
from agent.export.requests import Answer
from agent.export.snapshot import (
    ActionView,
    CheckView,
    PlanPicture,
    PlanSource,
    PlanView,
    PlanWindow,
    Reason,
)
from agent.journal import Event
from agent.surface.desk import Wanted
from tests.surface import full_house, test_support
from tests.surface.conftest import WRITES, House, shown
from tests.surface.desks import NOON, QUIET

MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
TURNED = "\u202eexe.\u2066bin\u2069"
CONTROLS = "\x00\x07\x1b[31m\x7f\x85\u202a"
HOSTILE = f"{MARKUP}{TURNED}{CONTROLS}{'W' * 10_000}"
ORDERED = "exe.bin[31mWWW"
SEEN = f"{MARKUP}{ORDERED}"
"""What is left of it: every sign that can be seen, in the order it was written."""
SAYS = {
    "title", "name", "address", "project", "version", "esphome", "board", "words", "next_step",
    "text", "evidence", "why", "reason", "carrier", "notes", "installed", "latest", "before", "by",
    "socket", "used_by", "log", "kind", "role", "hint", "warning", "fault", "needs_flashing",
    "chip", "description", "revision", "app", "known", "locks", "label", "layout", "token",
}  # fmt: skip
"""Keys under which a device, a manifest or a person has the word."""
MEANS = {"bridges": {"kind"}, "sources": {"kind"}, "ports": {"title"}}
"""But these are words of the agent there, or known by."""
STRANGE = """() => {
  const walk = (root) => [...root.childNodes].flatMap((each) => [each, ...walk(each),
    ...(each.shadowRoot ? walk(each.shadowRoot) : [])]);
  const all = walk(document.body);
  const signs = /[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]/;
  return [
    ...all.filter((each) => each.localName === "img" || each.localName === "script"
      && !each.src).map((each) => each.outerHTML),
    ...all.filter((each) => each.nodeType === Node.TEXT_NODE && signs.test(each.data))
      .map((each) => each.data.slice(0, 200)),
    ...all.flatMap((each) => [...(each.attributes ?? [])]).filter((each) => signs.test(each.value)
      || each.name.startsWith("on")).map((each) => `${each.name}: ${each.value.slice(0, 200)}`),
  ];
}"""
VIEWS = {
    "now": ("#reason", "#blockers", "#last-action", "#problems", "#inputs", "#commissioning-text",
            "#commissioning-checks", "#path", "#commissioning-firmware"),
    "plan": ("#plan-reason", "#plan-windows", "#plan-sources"),
    "bridges": ("pv-bridge h2", "pv-gates tbody", "pv-install", "#verdicts", "pv-adopt"),
    "recovery": ("pv-cable-job pre", "pv-cable-port", "#recoveries", "#needs", "#fault"),
    "firmware": ("pv-trust", "#channels", "#offers", "pv-campaigns", "pv-build"),
    "journal": ("#events", "#events pre", "#report"),
    "settings": ("pv-check", "pv-commissioning", "#findings"),
}  # fmt: skip


def spoiled(told: Any, key: str = "", kept: frozenset[str] = frozenset()) -> Any:
    """Return a picture of the agent in which everybody who has a word says what is hostile."""
    if isinstance(told, dict):
        return {
            name: spoiled(it, name, frozenset(MEANS.get(name, kept))) for name, it in told.items()
        } | ({"latest": {HOSTILE: HOSTILE}} if key == "channels" else {})
    if isinstance(told, list | tuple):
        return [spoiled(it, key, kept) for it in told]
    if isinstance(told, str) and key in SAYS - kept:
        return HOSTILE
    return told


def spoiled_guard() -> dict[str, Any]:
    """Return what the guard shows of names and sentences that come from outside."""
    reason = Reason("hostile", HOSTILE, HOSTILE)
    reading = dataclasses.replace(QUIET.readings[0], unit=HOSTILE, source=HOSTILE, detail=HOSTILE)
    window = PlanWindow("discharge", NOON, NOON.replace(hour=13), 1800, 2000, 40, reason)
    outlook = PlanPicture(
        NOON, "solver", "cost", HOSTILE[:200], reason, 9.4, (), (window,),
        (PlanSource("pv", HOSTILE, None, HOSTILE),),
    )  # fmt: skip
    test = dataclasses.replace(
        QUIET.commissioning, text=HOSTILE, firmware=HOSTILE, stage="failed",
        checks=(CheckView("timer", "failed", HOSTILE, HOSTILE),),
    )  # fmt: skip
    return {
        "reason": reason, "blockers": (reason,), "problems": (reason,), "path": HOSTILE,
        "readings": (reading, *QUIET.readings[1:]), "commissioning": test, "plan": PlanView(),
        "last_action": ActionView(HOSTILE, HOSTILE, NOON, HOSTILE), "outlook": outlook,
    }  # fmt: skip


class Lies(full_house.Kept):
    """A journal that was told what is hostile."""

    async def events(self, _wanted: Wanted) -> list[Event]:
        did = {"by": HOSTILE, "action": HOSTILE, "outcome": HOSTILE}
        said = {"text": HOSTILE, HOSTILE[:300]: HOSTILE[:300]}
        return [Event(2, NOON, "audit", did), Event(1, NOON, "bridge_said", said)]

    async def report(self, _days: int) -> list[DayReport]:
        tally = Tally([NOON.date()], QUIET.at.tzinfo)  # type: ignore[arg-type]
        tally.event(Event(1, NOON, "stop", {"reason": "over_export", "text": HOSTILE}))
        return tally.reports()


@pytest.fixture
async def spoiled_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(full_house, "Kept", Lies)
    report = {**test_support.REPORT, "findings": spoiled(test_support.REPORT["findings"])}
    monkeypatch.setattr(test_support, "REPORT", report)
    house = full_house.full_house(tmp_path)
    house.bridges.lines = [
        {
            **spoiled(it, "", frozenset(MEANS["bridges"])),
            "findings": [{"code": "moved", "text": HOSTILE}],
        }
        for it in house.bridges.lines
    ]
    house.bridges.judged = spoiled(house.bridges.judged)
    house.releases.now = spoiled(house.releases.now)
    house.flashing.now = spoiled(house.flashing.now)
    needs = {"fault": HOSTILE, "needs_flashing": [HOSTILE]}
    house.recovery.now = spoiled(house.recovery.now) | needs
    house.guard.show(**spoiled_guard())
    house.guard.answer = Answer(accepted=False, code="hostile", text=HOSTILE)
    house.port = await house.server.start("127.0.0.1", 0)
    async with ClientSession(house.url, headers=WRITES) as house.client:
        yield house
    await house.server.stop()


async def test_on_every_view_it_is_text_in_its_own_order_and_stays_within_a_phone(
    bundle: Path, page: Page, spoiled_house: House
) -> None:
    assert bundle
    await page.set_viewport_size({"width": 360, "height": 740})
    await shown(page, spoiled_house)
    for view, places in VIEWS.items():
        await page.evaluate(f"location.hash = '#/{view}'")
        await expect(page.locator(f"pv-view-{view} pv-card").first).to_be_visible()
        if view == "settings":
            await page.get_by_role("button", name="Run the check-up").click()
        for place in places:
            words = ORDERED if place == "#events pre" else SEEN  # where quotes are told as JSON
            await expect(page.locator(place).filter(has_text=words).first).to_be_attached()
        for each in await page.locator("main details").all():
            await each.evaluate("(each) => { each.open = true; }")
        assert await page.evaluate(STRANGE) == [], view
        assert await page.title() == "PV Edge Agent", view
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, view


async def test_an_answer_of_any_length_leaves_the_stop_free_and_a_dialog_its_way_out(
    bundle: Path, page: Page, spoiled_house: House
) -> None:
    assert bundle
    await page.set_viewport_size({"width": 360, "height": 740})
    await shown(page, spoiled_house)
    await page.get_by_role("button", name="Start discharge").click()
    await expect(page.locator("#answer")).to_contain_text(SEEN)
    stop = page.get_by_role("button", name="Emergency stop")
    await stop.click()  # which fails where something lies over it
    told = page.locator("pv-stop [role=alert]")
    await expect(told).to_contain_text(SEEN)
    await told.get_by_role("button", name="Close").click()
    await page.evaluate("location.hash = '#/bridges'")
    await page.get_by_role("button", name="Restart").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"Restart {SEEN}")
    assert await page.evaluate(STRANGE) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_have_count(0)
