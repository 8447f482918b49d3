"""Recovery on the page: a dead bridge is brought back with real esptool, by clicks alone."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Page, expect

from agent.surface.cable_desk import CableWish
from tests.cable_help import MAC, PLUGGED, PROJECT, VERSION
from tests.firmware.serial.boards import SETTINGS
from tests.recovery.scene import STICK, recovering
from tests.surface.conftest import FRONTEND, House, packages, shown
from tests.surface.hand_bridges import HOSTILE
from tests.surface.hand_cable import PART, job, judged, port
from tests.surface.sights import AXE

SLOWLY = 30_000


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


CHIP = {
    "at": "2026-06-21T12:00:00+00:00", "text": "", "chip": "esp32", "description": "ESP32",
    "revision": "v3.0", "mac": MAC, "flash_size": 4 << 20, "locks": [], "app": "",
    "channel": "beta", "known": "Shed", "needs_flashing": True, "table": [PART],
    "releases": [
        {"channel": "beta", "project": PROJECT, "version": each} for each in ("1.1.0", "1.0.0")
    ],
}  # fmt: skip


async def test_a_dead_bridge_is_brought_back_by_clicks_and_its_settings_stay(
    page: Page, tmp_path: Path
) -> None:
    async with recovering(tmp_path) as agent:
        PLUGGED.append(STICK)
        await page.goto(f"{agent.url}/#/recovery")
        stick = page.locator(f"[data-port='{STICK.path}']")
        await expect(stick).to_contain_text("to flash it would ruin it")
        await stick.get_by_role("button", name="Identify").click()
        await expect(page.locator("#answer")).to_contain_text("flashing would ruin it")
        PLUGGED.remove(STICK)
        await expect(stick).to_have_count(0, timeout=2_000)

        line = page.locator("pv-cable-port")
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
        await chip.get_by_role("button", name="Write it").click(timeout=SLOWLY)
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text(f"Write {PROJECT} {VERSION} to the esp32c3 {MAC}?")
        await expect(dialog).to_contain_text("Its settings stay.")
        await dialog.get_by_role("button", name="Write it").click()
        await expect(page.locator("pv-cable-job pre")).to_contain_text("==", timeout=SLOWLY)
        row = page.locator("#recoveries tbody tr")
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
        await expect(page.locator("#none")).to_contain_text("only charge", timeout=2_000)
        PLUGGED.append(agent.plugged)


async def test_what_devices_say_is_set_as_text_and_a_write_is_stopped_by_a_second_button_only(
    page: Page, house: House
) -> None:
    long = f"{HOSTILE}\u202e{'W' * 5_000}"
    house.recovery.show(
        ports=[port(title=f"CP2102N {long}")],
        jobs=[job(writes=True, log=[f"esptool said {long}"])],
        needs_flashing=[MAC],
    )
    await page.set_viewport_size({"width": 360, "height": 740})
    await shown(page, house, "recovery")
    line = page.locator("pv-cable-port")
    for text in (HOSTILE, "In use by ZHA", "no-one answers"):
        await expect(line).to_contain_text(text)
    await expect(page.get_by_role("img", name="Hold BOOT")).to_be_visible()
    await line.get_by_label("This is a bridge").check()
    await line.get_by_role("button", name="Identify").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    assert house.recovery.asked == [("identify", "/dev/ttyUSB0", True)]
    under_way = page.locator("pv-cable-job")
    await expect(under_way.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "41")
    for text in ("Write: It is written.", "52 kB/s", "about 75 s left", "esptool said"):
        await expect(under_way).to_contain_text(text)
    insists = under_way.get_by_role("button", name="Stop the write")
    await expect(insists).to_have_count(0)
    house.recovery.code = "writes"
    await under_way.get_by_role("button", name="Cancel").click()
    await expect(under_way.locator(".warned")).to_contain_text("Not now.")
    await insists.click()
    await expect(page.locator("#answer")).to_contain_text("all the same was refused: Not now.")
    assert house.recovery.asked[1:] == [("cancel", "j1", False), ("cancel", "j1", True)]
    await expect(page.locator("#needs")).to_contain_text(MAC)
    await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    foot = await page.locator("#answer").bounding_box()
    last = await page.locator("pv-cables-history").bounding_box()
    assert foot is not None
    assert last is not None
    assert last["y"] + last["height"] <= foot["y"]  # the answer covers nothing there
    house.recovery.show(ports=[port(phase="stub", code="", text="")], jobs=[])
    await expect(line).to_contain_text("Asking the chip: helper program")
    house.recovery.code = ""
    await line.get_by_role("button", name="Stop asking").click()
    await expect(page.locator("#answer")).to_contain_text("Stop asking: It was done.")
    assert house.recovery.asked[-1] == ("cancel", "/dev/ttyUSB0", False)
    assert await page.title() == "PV Edge Agent"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_what_speaks_against_it_is_accepted_by_name_and_erasing_takes_the_mac_typed(
    page: Page, house: House
) -> None:
    house.recovery.checks = judged
    line = port(used_by=[], code="", text="", device={**CHIP, "description": f"ESP32 {HOSTILE}"})
    house.recovery.show(ports=[line])
    await shown(page, house, "recovery")
    chip = page.locator("pv-cable-port .chip")
    for text in (f"ESP32 {HOSTILE}", "Shed, needs flashing", "v3.0"):
        await expect(chip).to_contain_text(text)
    await chip.get_by_text("Partition table").click()
    await expect(chip).to_contain_text("nvs: 20 KiB at 0x9000")
    await chip.get_by_label("Release").select_option(label=f"{PROJECT} 1.0.0 (beta)")
    await chip.get_by_label("Why is it recovered?").fill("dead")
    await chip.get_by_label("Erase its Wi-Fi settings").check()
    await chip.get_by_label("Copy before").select_option("full")
    await chip.get_by_role("button", name="Check").click()
    house.recovery.show(ports=[{**line, "node": "/dev/ttyUSB7"}])  # a picture that comes meanwhile
    await chip.get_by_label("I accept (ack_downgrade)").click()
    await expect(chip).to_contain_text("Accepted: ack_downgrade.")
    await chip.get_by_role("button", name="Write it").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("settings and keys are lost")
    await expect(dialog.get_by_role("button", name="Write it")).to_be_disabled()
    await dialog.get_by_role("textbox").fill(MAC)
    await dialog.get_by_role("button", name="Write it").click()
    await expect(page.locator("#answer")).to_contain_text("It was done.")
    ((_, wish),) = house.recovery.asked
    assert wish == CableWish(
        port="/dev/ttyUSB0", mac=MAC, channel="beta", project=PROJECT, version="1.0.0",
        digest="d1", reason="dead", acks=("ack_downgrade",), erase_settings=True, typed=MAC,
        backup="full",
    )  # fmt: skip
    await chip.get_by_label("Why is it recovered?").fill("another reason")
    await expect(chip.get_by_role("button", name="Write it")).to_have_count(0)  # it is asked anew


async def test_what_cannot_be_written_says_why_in_both_languages_and_axe_finds_nothing(
    page: Page, house: House
) -> None:
    packages()
    locked = port(
        port="/dev/a", title="A", stick=True, used_by=[], device={**CHIP, "locks": ["secure boot"]}
    )
    empty = port(port="/dev/b", title="B", used_by=[], device={**CHIP, "releases": []})
    whole = port(port="/dev/c", title="C", used_by=[], device=CHIP)
    ended = job(
        job="j0", open=False, result="lost", failed_in="write", evidence=["seen"], ended=CHIP["at"]
    )
    house.recovery.show(
        fault="No disk.", ports=[locked, empty, whole], jobs=[job(writes=True), ended]
    )
    axe = (FRONTEND / "node_modules/axe-core/axe.min.js").read_text()
    for width, scheme, language, refused, verdict in (
        (1400, "light", "en", "A locked chip cannot be written.", "Needs flashing in: Write"),
        (360, "dark", "de", "Ein gesperrter Chip kann nicht", "Muss beschrieben werden bei: "),
    ):
        await page.set_viewport_size({"width": width, "height": 900})
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        await page.add_init_script(f"localStorage['pv-edge-agent-language'] = '{language}'")
        await shown(page, house, "recovery")
        await page.reload()
        await expect(page.locator("[data-port='/dev/a']")).to_contain_text(refused)
        await expect(page.locator("[data-port='/dev/b'] pv-problem")).to_have_count(1)
        await expect(page.locator("pv-cable-wish")).to_have_count(1)
        await expect(page.locator("#fault")).to_contain_text("No disk.")
        await expect(page.locator("#recoveries tbody tr")).to_contain_text(verdict)
        for each in await page.locator("main details").all():
            await each.evaluate("(each) => { each.open = true; }")
        await page.evaluate(axe)
        assert await page.evaluate(AXE) == [], width
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
