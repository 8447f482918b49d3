"""
Takes the pictures of the docs: the page in Chromium, a picture of each view.

`script/pictures` runs it. Most are of the demo while it discharges; bridges and cables are of a
house that `pictured.py` makes up, because the demo has neither. The same seed gives the same
weather; times and figures differ a little. Names that are given make only these pictures.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.peers.install import chromium
from tests.pictured import pictured

IMAGES = Path(__file__).parents[1] / "docs/images"
DESK = (1180, 860)
PHONE = (360, 780)
SIGNS = {
    "now": "pv-now-chart canvas",
    "plan": "#plan-windows",
    "bridges": "pv-verdicts table",
    "recovery": "#recoveries",
    "firmware": "#channels",
    "journal": "#events",
    "settings": "pv-mapping table",
}
"""The views, and what is there when one is worth a picture."""
DRAWN_WITHIN_MS = 2500
"""Charts are drawn every two seconds."""
_OPEN = re.compile(rb"open (http://127\.0\.0\.1:\d+)")
DISCHARGES_WITHIN_MS = 240_000
"""The demo runs its commissioning test first, about a minute."""
AFTERNOON_H = 17
WEST_MOST_H = 12
"""As far as the zones of IANA go."""
SETTLES_S = 30
"""So that what was exported can be seen."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One file in `docs/images`."""

    name: str
    view: str
    size: tuple[int, int] = DESK
    scheme: Literal["light", "dark"] = "light"
    language: str = "en"


OF_THE_DEMO = (
    Picture("now", "now", (1060, 880)),
    Picture("now-phone", "now", PHONE, scheme="dark"),
    Picture("plan", "plan"),
    Picture("firmware", "firmware"),
    Picture("journal", "journal"),
    Picture("settings", "settings"),
)
OF_BRIDGES = (
    Picture("bridges", "bridges", scheme="dark"),
    Picture("bridges-german", "bridges", PHONE, language="de"),
    Picture("recovery", "recovery", (1180, 760)),
)


async def main(wanted: set[str]) -> int:
    """Take the pictures that are wanted, all of them without names."""
    path = chromium()
    if path is None:
        sys.stderr.write("no Chromium: run script/setup\n")
        return 1
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        for pictures, house in ((OF_BRIDGES, _bridges()), (OF_THE_DEMO, _demo())):
            chosen = [each for each in pictures if not wanted or each.name in wanted]
            if chosen:
                async with house as url:
                    if pictures is OF_THE_DEMO:
                        await _discharging(browser, url)
                    for each in chosen:
                        await _taken(browser, url, each)
        await browser.close()
    return 0


@asynccontextmanager
async def _demo() -> AsyncIterator[str]:
    """Run the demo; gives its address."""
    with tempfile.TemporaryDirectory() as data:
        _write_settings(data)
        arguments = ("-m", "agent", "demo", "--port", "0", "--data", data)
        demo = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert demo.stdout is not None
            async with asyncio.timeout(60):
                while not (said := _OPEN.search(await demo.stdout.readline())):
                    pass
            yield said[1].decode()
        finally:
            if demo.returncode is None:
                demo.terminate()
            await demo.wait()


def _write_settings(data: str) -> None:
    settings = json.dumps({"time_zone": _late_in_the_afternoon()})
    Path(data, "settings.json").write_text(settings)


def _late_in_the_afternoon() -> str:
    """Return a zone in which it is now as late as in the demo's house, whose sun knows no clock."""
    behind_h = (datetime.now(UTC).hour - AFTERNOON_H) % 24
    return f"Etc/GMT+{behind_h}" if behind_h <= WEST_MOST_H else f"Etc/GMT-{24 - behind_h}"


@asynccontextmanager
async def _bridges() -> AsyncIterator[str]:
    """Serve the house with bridges; gives its address."""
    with tempfile.TemporaryDirectory() as folder:
        house = pictured(Path(folder))
        port = await house.server.start("127.0.0.1", 0)
        yield f"http://127.0.0.1:{port}"
        await house.server.stop()


async def _discharging(browser: Browser, url: str) -> None:
    """Wait until the demo discharges, and some of it can be seen."""
    page = await browser.new_page()
    await page.goto(_address(url, "now"))
    # The commissioning test before it is a discharge too.
    await expect(page.locator("#lease")).to_contain_text(
        "Discharge at", timeout=DISCHARGES_WITHIN_MS
    )
    await page.wait_for_timeout(SETTLES_S * 1000)
    await page.close()


async def _taken(browser: Browser, url: str, it: Picture) -> None:
    width, height = it.size
    page = await browser.new_page(
        viewport={"width": width, "height": height}, color_scheme=it.scheme
    )
    await page.add_init_script(f"localStorage['pv-edge-agent-language'] = '{it.language}'")
    await page.goto(_address(url, it.view))
    await _worth_it(page, SIGNS[it.view])
    await page.screenshot(path=IMAGES / f"{it.name}.png")
    await page.close()


def _address(url: str, view: str) -> str:
    return f"{url}/#/{view}"


async def _worth_it(page: Page, sign: str) -> None:
    await expect(page.locator("main")).to_have_attribute("data-link", "live")
    await expect(page.locator(sign).first).to_be_visible()
    await page.wait_for_timeout(DRAWN_WITHIN_MS)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(set(sys.argv[1:]))))
