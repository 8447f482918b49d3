"""USB recovery on the page: a dead bridge is brought back with real esptool, by clicks alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from playwright.async_api import Page, expect

from agent.surface.cable_desk import CableWish
from agent.surface.web.auth import Gate, Policy
from tests.cable_help import MAC, PLUGGED, PROJECT, VERSION
from tests.firmware.serial.boards import SETTINGS
from tests.recovery.scene import STICK, recovering
from tests.surface.conftest import WRITES, House, make_house, opened
from tests.surface.test_page_releases import HOSTILE, as_supervisor

SLOWLY = 30_000


async def test_a_dead_bridge_is_brought_back_by_clicks_and_its_settings_stay(
    page: Page, tmp_path: Path
) -> None:
    async with recovering(tmp_path) as agent:
        PLUGGED.append(STICK)
        await page.goto(agent.url)
        await expect(page.locator("body")).to_have_attribute("data-link", "live")
        stick = page.locator(f"[data-port='{STICK.path}']")
        await expect(stick).to_contain_text("radio stick")
        await stick.get_by_role("button", name="Identify").click()
        await expect(page.locator("#answer")).to_contain_text("flashing would ruin it")
        PLUGGED.remove(STICK)
        await expect(stick).to_have_count(0, timeout=2_000)

        line = page.locator("#recovery-ports > div")
        assert not agent.bench.esp.commands
        await line.get_by_role("button", name="Identify").click()
        chip = line.locator(".chip")
        for text in ("ESP32-C3", MAC, "4 MiB", "none", f"{PROJECT} 1.0.0", "a stranger"):
            await expect(chip).to_contain_text(text, timeout=SLOWLY)
        await chip.get_by_label("Release").select_option(label=f"{PROJECT} {VERSION} (stable)")
        await chip.get_by_role("button", name="Check").click()
        await expect(chip.locator(".decided")).to_contain_text("Say why", timeout=SLOWLY)
        await chip.get_by_label("Why is it recovered?").fill("it does not start")
        await chip.get_by_role("button", name="Check").click()
        await expect(chip.locator(".decided")).to_contain_text(
            f"Write {PROJECT} {VERSION} to the esp32c3 {MAC}?", timeout=SLOWLY
        )
        await chip.get_by_text("Write it", exact=True).click()
        job = page.locator("#recovery-jobs .job")
        await expect(job.locator(".said")).to_contain_text("==", timeout=SLOWLY)
        row = page.locator("#recovery-history tr")
        await expect(row).to_contain_text("Confirmed", timeout=SLOWLY)
        await expect(row).to_contain_text("The bridge is recovered.")
        assert agent.bench.flashed
        assert agent.bench.settings == SETTINGS
        async with page.expect_download() as downloading:
            await row.get_by_role("button", name="Download the log").click()
        log = read(await (await downloading.value).path())
        assert f"{PROJECT} {VERSION} for {MAC}" in log
        assert "== write" in log
        assert "password" not in log

        agent.bench.port.unplug()
        PLUGGED.clear()
        await expect(page.locator("#recovery-none")).to_contain_text("only charge", timeout=2_000)
        PLUGGED.append(agent.plugged)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


async def test_what_devices_say_is_set_as_text_and_a_write_is_stopped_by_a_second_button_only(
    page: Page, house: House
) -> None:
    house.recovery.show(ports=[port()], jobs=[job(writes=True)], needs_flashing=[MAC])
    await opened(page, house)
    line = page.locator("#recovery-ports > div")
    for text in (HOSTILE, "In use by ZHA", "no-one answers"):
        await expect(line).to_contain_text(text)
    await expect(page.locator("#recovery-picture")).to_have_attribute("open", "")
    await expect(page.locator("#recovery-picture svg")).to_be_visible()
    await line.get_by_label("This is a bridge").check()
    await line.get_by_role("button", name="Identify").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    assert house.recovery.asked == [("identify", "/dev/ttyUSB0", True)]
    shown = page.locator("#recovery-jobs .job")
    await expect(shown.locator("progress")).to_have_js_property("value", 41)
    for text in ("Write: It is written.", "52 kB/s", "about 75 s left", "esptool said"):
        await expect(shown).to_contain_text(text)
    insists = shown.get_by_role("button", name="Stop the write")
    await expect(insists).to_be_hidden()
    house.recovery.code = "writes"
    await shown.get_by_role("button", name="Cancel the recovery").click()
    await expect(shown.locator(".warned")).to_contain_text("Not now.")
    await insists.click()
    assert house.recovery.asked[1:] == [("cancel", "j1", False), ("cancel", "j1", True)]
    await expect(page.locator("#recovery-needs")).to_contain_text(MAC)
    assert await page.title() == "PV Edge Agent"


PART = {"label": "nvs", "offset": 0x9000, "size": 0x5000}


def judged(wish: CableWish) -> dict[str, Any]:
    """Answer a check: what is older has to be accepted by name."""
    against = {
        "code": "downgrade",
        "text": f"Older {HOSTILE}.",
        "next_step": "",
        "ack": "ack_downgrade",
    }
    accepted = "ack_downgrade" in wish.acks
    refusals = [] if accepted else [against]
    text = f"Write 1.0.0 to {wish.mac}?"
    return {"accepted": accepted, "code": "", "text": text, "refusals": refusals, "digest": "d1"}


async def test_what_speaks_against_it_is_accepted_by_name_and_erasing_takes_the_mac_typed(
    page: Page, house: House
) -> None:
    house.recovery.checks = judged
    release = {"channel": "beta", "project": PROJECT, "version": "1.0.0"}
    chip = {
        "at": "2026-06-21T12:00:00+00:00", "chip": "esp32", "description": f"ESP32 {HOSTILE}",
        "revision": "v3.0", "mac": MAC, "flash_size": 4 << 20, "locks": [], "app": "",
        "known": "Shed", "needs_flashing": True, "table": [PART],
        "releases": [{**release, "version": "1.1.0"}, release],
    }  # fmt: skip
    line = port(used_by=[], code="", text="", device=chip)
    house.recovery.show(ports=[line])
    await opened(page, house)
    shown = page.locator("#recovery-ports .chip")
    for text in (f"ESP32 {HOSTILE}", "Shed, needs flashing", "v3.0"):
        await expect(shown).to_contain_text(text)
    await shown.get_by_text("Partition table").click()
    await expect(shown).to_contain_text("nvs: 20 KiB at 0x9000")
    await shown.get_by_label("Release").select_option(label=f"{PROJECT} 1.0.0 (beta)")
    await shown.get_by_label("Why is it recovered?").fill("dead")
    await shown.get_by_label("Erase its Wi-Fi settings").check()
    await shown.get_by_label("Copy before").select_option("full")
    await shown.get_by_role("button", name="Check").click()
    house.recovery.show(ports=[{**line, "phase": ""}])  # a picture that comes meanwhile
    await shown.get_by_label("I accept (ack_downgrade)").click()
    await expect(shown).to_contain_text("Accepted: ack_downgrade.")
    await shown.get_by_label(f"Type {MAC}").fill(MAC.lower())
    await shown.get_by_text("Write it", exact=True).click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    ((_, wish),) = house.recovery.asked
    assert wish == CableWish(
        port="/dev/ttyUSB0",
        mac=MAC,
        **release,
        digest="d1",
        reason="dead",
        acks=("ack_downgrade",),
        erase_settings=True,
        typed=MAC.lower(),
        backup="full",
    )


async def test_everybody_sees_the_ports_and_only_an_administrator_asks_and_writes(
    tmp_path: Path,
) -> None:
    async def nobody(_user: str) -> bool:
        return False

    visitor = {"X-Remote-User-Id": "u1", "X-Remote-User-Name": "Visitor"}
    made = make_house(tmp_path, Gate(Policy(supervised=True), nobody))
    made.server._gate.admit = as_supervisor(made.server._gate)  # type: ignore[method-assign]
    number = await made.server.start("127.0.0.1", 0)
    url = f"http://127.0.0.1:{number}"
    async with ClientSession(url, headers={**WRITES, **visitor}) as http:
        for what in ("identify", "check", "write", "cancel"):
            async with http.post(f"/api/recovery/{what}", json={"port": "/dev/x"}) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "not_admin")
        async with http.get("/api/recovery") as answer:
            assert (answer.status, (await answer.json())["ports"]) == (200, [])
        async with http.get("/api/recovery/log?job=j1") as answer:
            assert answer.status == 400
            assert "not there any more" in (await answer.json())["text"]
    await made.server.stop()
    assert made.recovery.asked == []
    assert {it[2] for it in made.audited} == {"not_admin"}


def port(**changes: Any) -> dict[str, Any]:
    """Return a port, as the agent sends it."""
    shown: dict[str, Any] = {
        "port": "/dev/ttyUSB0",
        "node": "/dev/ttyUSB0",
        "socket": "",
        "title": f"CP2102N {HOSTILE}",
        "kind": "a converter",
        "stick": False,
        "mac": "",
        "used_by": ["ZHA"],
        "phase": "",
        "code": "no-answer",
        "text": "no-one answers",
        "device": None,
    }
    return {**shown, **changes}


def job(**changes: Any) -> dict[str, Any]:
    """Return a recovery, as the agent sends it."""
    shown: dict[str, Any] = {
        "job": "j1",
        "way": "serial",
        "port": "/dev/ttyUSB1",
        "mac": MAC,
        "title": "",
        "project": PROJECT,
        "version": f"1.1.0 {HOSTILE}",
        "stage": "write",
        "failed_in": None,
        "open": True,
        "percent": 41,
        "text": "It is written.",
        "rate_bytes_s": 52_000,
        "left_s": 75,
        "by": "Ada",
        "ended": None,
        "may_cancel": False,
        "writes": False,
        "result": None,
        "evidence": [],
        "next_step": "",
        "log": [f"esptool said {HOSTILE}"],
        "has_log": True,
    }
    return {**shown, **changes}
