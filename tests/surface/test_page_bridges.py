"""The bridges on the page: what each needs, how it is flashed, how a factory image leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import FilePayload, Locator, Page, expect

from agent.fleet.findings import Finding, FindingCode
from agent.fleet.operations import Op
from agent.surface.desk import Upload
from tests.surface.conftest import House, shown
from tests.surface.desks import NOON
from tests.surface.hand_bridges import HOSTILE, MAC, SECRET, line, verdict
from tests.surface.hand_jobs import BY, ended, job
from tests.surface.hand_releases import offer

OTHER = "02:00:5E:10:00:02"
FACTORY = "pv-edge.alphaess-bridge-factory"


def card(page: Page, mac: str = MAC) -> Locator:
    return page.locator(f"pv-bridge[data-mac='{mac}']")


def judged(result: str, **changes: Any) -> dict[str, Any]:
    """Return a verdict of the time that the guard of these tests lives in."""
    return verdict(result, **{"at": NOON.isoformat(), **changes})


async def test_a_hostile_bridge_changes_nothing_but_text_and_stays_within_a_phone(
    page: Page, house: House
) -> None:
    long = f"{HOSTILE}\u202e\x07{'W' * 10_000}"
    text = f"It does not answer. {long}"
    found = (Finding(FindingCode.MOVED, f"Its address was {long}."),)
    names = dict.fromkeys(("title", "name", "address", "project", "version", "board"), long)
    house.bridges.show(line(**names, state="hung", words="Hangs", next_step=text, findings=found))
    house.bridges.judged = {MAC: judged("warn")}
    house.releases.show(bridges=[offer(notes=long, title=long, installed=long)])
    house.flashing.show(jobs=[ended(title=long, version=long, text=long, evidence=[long])])
    await page.set_viewport_size({"width": 360, "height": 740})
    await shown(page, house, "bridges")
    await expect(card(page)).to_contain_text(HOSTILE)
    await expect(page.locator("#verdicts")).to_contain_text(HOSTILE)
    await page.locator("pv-gates summary").click()
    await expect(page.locator("pv-gates tbody")).to_contain_text(HOSTILE)
    assert await page.title() == "PV Edge Agent"
    assert await page.locator("main img").count() == 0
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_nobody_there_is_said_with_what_helps_and_every_source_is_asked_again(
    page: Page, house: House
) -> None:
    await shown(page, house, "bridges")
    await expect(page.locator("#none")).to_contain_text("No ESPHome device was found")
    await expect(page.locator("#none a")).to_have_attribute("href", "#/settings")
    await expect(page.locator("pv-verdicts")).to_contain_text("No update was made here yet")
    await page.get_by_role("button", name="Look for bridges again").click()
    await expect(page.locator("#answer")).to_contain_text("Every source was asked")
    assert house.bridges.asked == [(Op.DISCOVER, None, BY)]


async def test_gates_are_run_and_told_with_evidence_while_they_are_believed(
    page: Page, house: House
) -> None:
    house.bridges.show(line(), line(mac=OTHER, title="Shed"))
    await shown(page, house, "bridges")
    await expect(card(page, OTHER)).to_contain_text("Its gates were not run yet")
    await card(page).get_by_role("button", name="Run gates").click()
    await expect(page.locator("#answer")).to_contain_text("Its gates were run: pass.")
    assert house.bridges.asked == [(Op.RUN_GATES, MAC, BY)]
    house.bridges.judged = {MAC: judged("warn")}
    house.bridges.show(line(), line(mac=OTHER, title="Shed"))
    told = card(page).locator("pv-gates")
    await expect(told.locator("summary")).to_contain_text("which blocks an update")
    await told.locator("summary").press("Enter")
    for text in ("Reachable", "GATE-001", "It is connected."):
        await expect(told.locator("tbody")).to_contain_text(text)
    before = (NOON - timedelta(minutes=11)).isoformat()
    ahead = datetime.now(UTC).isoformat()  # of a clock that was set back since
    for at in (before, ahead):
        house.bridges.judged = {MAC: judged("warn", strict=False, at=at)}
        house.bridges.show(line())
        await expect(told.locator("summary")).to_contain_text("which does not block")
        await expect(told.locator("summary")).to_contain_text("no longer believed")
        await expect(told.locator("tbody")).to_be_visible()  # it was open before the news
        house.bridges.judged = {MAC: judged("pass")}
        house.bridges.show(line())
        await expect(told.locator("summary")).not_to_contain_text("no longer believed")


async def test_a_restart_and_a_removal_ask_first_and_tell_a_refusal(
    page: Page, house: House
) -> None:
    gone = line(mac=OTHER, title="Shed", state="unreachable", words="Not reachable")
    house.bridges.show(line(), gone)
    await shown(page, house, "bridges")
    restart = card(page).get_by_role("button", name="Restart")
    await restart.click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert house.bridges.asked == []
    house.bridges.words = "A discharge runs through it. Stop that first."
    await restart.click()
    await page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    await expect(page.locator("#answer")).to_contain_text("A discharge runs through it.")
    assert house.bridges.asked == [(Op.RESTART, MAC, BY)]
    await expect(card(page, OTHER).get_by_role("button", name="Restart")).to_have_count(0)
    await card(page, OTHER).get_by_role("button", name="Remove").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(card(page, OTHER)).to_have_count(0)


async def test_a_key_is_entered_asked_for_or_taken_from_a_file_and_never_shown(
    page: Page, house: House
) -> None:
    house.bridges.show(line(state="key_missing", words="Wants a key", next_step="Enter its key."))
    await shown(page, house, "bridges")
    key = card(page).get_by_label("Encryption key")
    await key.fill(SECRET)
    house.bridges.refusal = ValueError("This is not base64")
    await card(page).get_by_role("button", name="Save key").click()
    await expect(page.locator("#answer")).to_contain_text("This is not base64")
    house.bridges.show(line(state="wrong_key", words="Does not fit", next_step="Enter its key."))
    await expect(card(page)).to_contain_text("Does not fit")
    await expect(key).to_have_value(SECRET)  # what somebody is typing stays
    house.bridges.refusal = None
    await key.press("Enter")
    await expect(key).to_have_value("")
    await card(page).get_by_role("button", name="Ask Home Assistant").click()
    await expect(page.locator("#answer")).to_contain_text("Ask Home Assistant: The key was stored")
    assert house.bridges.keys == [(MAC, SECRET), (MAC, f"asked by {BY}")]
    await page.locator("pv-secrets summary").click()
    take = page.get_by_role("button", name="Take the key")
    await take.click()
    await expect(page.locator("#said")).to_have_text("Choose a file first.")
    text = f"shed_key: {SECRET}\n"
    file: FilePayload = {"name": "secrets.yaml", "mimeType": "text/yaml", "buffer": text.encode()}
    await page.get_by_label("secrets.yaml", exact=True).set_input_files(file)
    choices = [{"mac": MAC, "title": f"Plant room {HOSTILE}"}]
    house.bridges.answer = {"text": "Whose?", "bridges": choices, "names": ["shed_key"]}
    await take.click()
    await page.get_by_label("Name of its key").select_option("shed_key")
    house.bridges.answer = {"text": "Stored for Plant room: key.", "stored": MAC}
    await take.click()
    await expect(page.locator("#said")).to_have_text("Stored for Plant room: key.")
    assert house.bridges.uploads[-1] == Upload(None, text, MAC, "shed_key")
    assert SECRET not in str(house.audited)


async def test_an_update_is_accepted_by_name_followed_and_told_with_its_verdict(
    page: Page, house: House
) -> None:
    house.bridges.show(line(), line(mac=OTHER, title="Shed"))
    never = {
        "code": "wrong-chip",
        "text": "For another chip.",
        "next_step": "Take it.",
        "ack": None,
    }
    house.releases.show(bridges=[offer(), offer(mac=OTHER, refusals=[never])])
    await shown(page, house, "bridges")
    await expect(card(page, OTHER)).to_contain_text("cannot be installed before this is solved")
    install = card(page).get_by_role("button", name="Install 1.1.0")
    await expect(card(page, OTHER).get_by_role("button", name="Install")).to_have_count(0)
    await expect(install).to_be_disabled()
    await card(page).get_by_label("I accept (ack_stale)").check()
    house.flashing.show(jobs=[])  # a picture that comes meanwhile takes no tick away
    await install.click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"{MAC} runs 1.0.0")
    await dialog.get_by_role("button", name="Install 1.1.0").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    assert house.flashing.asked == [("install", MAC, "1.1.0", ("ack_stale",), BY, False)]
    house.flashing.show(jobs=[job()])
    bar = card(page).get_by_role("progressbar")
    await expect(bar).to_have_attribute("aria-valuenow", "41")
    for text in ("Upload: The image is being sent. 41 %", "52 kB/s", "about 75 s left", "by Ada"):
        await expect(card(page)).to_contain_text(text)
    await expect(install).to_have_count(0)
    house.flashing.show(jobs=[job(may_cancel=True)])
    await card(page).get_by_role("button", name="Cancel").click()
    await expect(page.locator("#answer")).to_contain_text("Cancel: It was done.")
    house.flashing.show(jobs=[ended()], may_go_back=[MAC])
    row = page.locator("#verdicts tbody tr")
    for text in ("Rolled back", "in: On trial", "runs the old build again", "Tell the publisher."):
        await expect(row).to_contain_text(text)
    await row.locator("summary").click()
    await expect(row.locator("li").first).to_have_text("It came back with the old build.")
    await card(page).get_by_role("button", name="Go back").click()
    await page.get_by_role("dialog").get_by_role("button", name="Go back").click()
    await expect(page.locator("#answer")).to_contain_text("Go back: It was done.")
    assert house.flashing.asked[1:] == [
        ("cancel", "a1b2", BY),
        ("back", MAC, ("ack_downgrade",), BY),
    ]


async def test_a_bridge_that_is_written_over_its_cable_is_shown_there_and_not_among_updates(
    page: Page, house: House
) -> None:
    house.bridges.lines = [line()]
    house.releases.show(bridges=[offer()])
    house.flashing.show(jobs=[job(way="serial"), {**ended(), "way": "serial"}])
    await shown(page, house, "bridges")
    await expect(page.locator("pv-verdicts")).to_contain_text("No update was made here yet")
    await expect(card(page).get_by_role("progressbar")).to_have_count(0)
    await card(page).get_by_role("link", name="written over its cable now").click()
    await expect(page.locator("pv-view-recovery #none")).to_be_visible()


async def test_a_channel_is_chosen_and_a_refusal_puts_the_choice_back(
    page: Page, house: House
) -> None:
    house.bridges.show(line())
    house.releases.show(bridges=[offer()])
    await shown(page, house, "bridges")
    channel = card(page).get_by_label("Channel")
    await channel.select_option("beta")
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    house.releases.refusal = ValueError("Nobody signs that channel.")
    await channel.select_option("x-acme")
    await expect(page.locator("#answer")).to_contain_text("Nobody signs that channel.")
    await expect(channel).to_have_value("")
    assert house.releases.asked[0] == ("channel", MAC, "beta", BY)


async def test_a_factory_image_is_led_to_production_by_what_is_seen_of_it(
    page: Page, house: House
) -> None:
    factory = {"project": FACTORY, "kind": "factory"}
    house.bridges.show(line(**factory, state="key_missing", words="Wants a key"))
    await shown(page, house, "bridges")
    way = page.locator(f"[data-way='{MAC}']")
    now = way.locator("li[aria-current=step]")
    await expect(now).to_contain_text("The agent is connected to it")
    house.bridges.show(line(**factory))
    await expect(now).to_contain_text("Run its gates.")
    house.bridges.judged = {MAC: judged("fail")}
    house.bridges.show(line(**factory))
    await expect(now).to_contain_text("the evidence says what to repair")
    await expect(now).to_have_class("failed")
    house.bridges.judged = {MAC: judged("pass")}
    house.bridges.show(line(**factory))
    await expect(now).to_contain_text("the source has to be verified")
    change = offer(title="Plant room", standing="change", refusals=[])
    house.releases.show(bridges=[change])
    await expect(now).to_contain_text("Install it, at the offer above")
    await card(page).get_by_role("button", name="Install 1.1.0").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("only a cable brings that back")
    act = dialog.get_by_role("button", name="Install 1.1.0")
    await expect(act).to_be_disabled()  # until the version was typed
    await dialog.get_by_role("textbox").fill("1.1.0")
    await act.click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    before = {"before": f"{FACTORY} 1.0.0"}
    house.flashing.show(jobs=[job(**before, stage="postcheck")])
    await expect(now).to_contain_text("on trial until it has kept running")
    house.flashing.show(jobs=[ended(**before)])  # the sign of a rollback: the same identity
    await expect(now).to_contain_text("It still runs its factory image.")
    house.flashing.show(jobs=[ended(**before, result="confirmed", stage="complete")])
    house.bridges.show(line())
    await expect(way.locator("li.done")).to_have_count(6)
    await expect(now).to_have_count(0)


async def test_without_the_agent_nothing_can_be_asked(page: Page, house: House) -> None:
    house.bridges.show(line())
    house.releases.show(bridges=[offer(refusals=[])])
    await shown(page, house, "bridges")
    await house.server.stop()
    await expect(page.locator("main")).to_have_attribute("data-link", "lost")
    await expect(card(page)).to_contain_text("Connected")  # the last that is known, greyed
    for each in await page.locator("main button").all():
        await expect(each).to_be_disabled()
    await expect(card(page).get_by_label("Channel")).to_be_disabled()
