"""
Takes the pictures of the docs: the demo's own page in Chromium, while it discharges.

`script/pictures` runs it. The same seed gives the same weather; times and figures differ a little.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from playwright.async_api import Page, async_playwright, expect

from tests.peers.install import chromium

IMAGES = Path(__file__).parents[1] / "docs/images"
WIDE, TALL = {"width": 1180, "height": 640}, {"width": 390, "height": 760}
_OPEN = re.compile(rb"open (http://127\.0\.0\.1:\d+)")
DISCHARGES_WITHIN_MS = 240_000
"""The demo runs its commissioning test first, about a minute."""
CHART_S = 45
"""So that the chart of the last hour has something to show."""


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
            await browser.close()
    finally:
        if demo.returncode is None:
            demo.terminate()
        await demo.wait()
    return 0


async def taken(page: Page) -> None:
    """Take every picture of a page that shows the demo."""
    running = page.locator("#phase")
    await expect(running).to_have_text("Discharging", timeout=DISCHARGES_WITHIN_MS)
    await page.wait_for_timeout(CHART_S * 1000)
    await page.screenshot(path=IMAGES / "page.png")
    for name, card in (("plan", "plan-title"), ("power", "chart-title")):
        await page.locator(f"section[aria-labelledby={card}]").screenshot(
            path=IMAGES / f"{name}.png"
        )
    await page.set_viewport_size(TALL)
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=IMAGES / "phone.png")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
