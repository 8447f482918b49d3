"""
Takes the pictures of the docs: the demo's own page in Chromium, while it discharges.

`script/pictures` runs it. The same seed gives the same weather; times and figures differ a little.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from tests.peers.install import chromium

IMAGES = Path(__file__).parents[1] / "docs/images"
WIDE = ViewportSize(width=1180, height=610)
DESK = ViewportSize(width=1180, height=900)
PHONE = ViewportSize(width=360, height=780)
VIEWS = {
    "now": "pv-now-chart canvas",
    "plan": "#plan-windows",
    "bridges": "main pv-card",
    "recovery": "main pv-card",
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
SETTLES_S = 30
"""So that what was exported can be seen."""


async def main() -> int:
    """Start the demo, wait for its discharge, take the pictures, end it."""
    path = chromium()
    if path is None:
        sys.stderr.write("no Chromium: run script/setup\n")
        return 1
    IMAGES.mkdir(exist_ok=True)
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "demo", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert demo.stdout is not None
        async with asyncio.timeout(60):
            while not (said := _OPEN.search(await demo.stdout.readline())):
                pass
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=path, args=["--no-sandbox", "--disable-gpu"]
            )
            page = await browser.new_page(viewport=WIDE)
            await page.goto(said[1].decode())
            await taken(page)
            await taken_of_views(browser, said[1].decode())
            await browser.close()
    finally:
        if demo.returncode is None:
            demo.terminate()
        await demo.wait()
    return 0


async def taken(page: Page) -> None:
    """Take every picture of a page that shows the demo."""
    lease = page.locator("#lease")
    # The commissioning test before it is a discharge too.
    await expect(lease).to_contain_text("Discharge at", timeout=DISCHARGES_WITHIN_MS)
    await page.wait_for_timeout(SETTLES_S * 1000)
    await page.screenshot(path=IMAGES / "page.png")
    # The sticky header would lie over it.
    await page.evaluate("document.querySelector('header').style.position = 'static'")
    await page.locator("#plan-chart").screenshot(path=IMAGES / "plan.png")


async def taken_of_views(browser: Browser, url: str) -> None:
    """Take a picture of every view, and of the first one dark on a phone."""
    page = await browser.new_page(viewport=DESK)
    for view, sign in VIEWS.items():
        await page.goto(f"{url.rstrip('/')}/#/{view}")
        await _worth_it(page, sign)
        await page.screenshot(path=IMAGES / f"view-{view}.png")
    await page.close()
    phone = await browser.new_page(viewport=PHONE, color_scheme="dark")
    await phone.goto(f"{url.rstrip('/')}/#/now")
    await _worth_it(phone, VIEWS["now"])
    await phone.screenshot(path=IMAGES / "view-now-phone.png")
    await phone.close()


async def _worth_it(page: Page, sign: str) -> None:
    await expect(page.locator("main")).to_have_attribute("data-link", "live")
    await expect(page.locator(sign).first).to_be_visible()
    await page.wait_for_timeout(DRAWN_WITHIN_MS)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
