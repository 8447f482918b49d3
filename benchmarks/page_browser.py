"""
What a browser says about the page: when something is painted, and what a tab holds.

A change counts as painted in the first task after the frame that draws it. The clock is the
machine's own, so that a moment in the server and one in the browser can be compared.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from benchmarks.page_server import STAMP
from tests.peers.install import MissingPeerError, chromium
from tests.surface.conftest import LOOPBACK_ONLY

SIGNS = {
    "now": "pv-view-now >> pv-now-state >> #phase",
    "plan": "pv-view-plan >> #plan-windows",
    "bridges": "pv-view-bridges >> #verdicts",
    "recovery": "pv-view-recovery >> pv-card",
    "firmware": "pv-view-firmware >> #channels",
    "journal": "pv-view-journal >> #events",
    "settings": "pv-view-settings >> pv-mapping >> table",
}
"""What a view shows when it shows what it is for; `>>` goes into an element."""
_REASON = "pv-view-now >> pv-now-state >> #reason"
_LINK = "#link"
_CHART = "pv-view-now >> pv-now-chart >> pv-plot"
_TOOLS = """
window.deep = (path) => path.split(' >> ').reduce((roots, step) => {
  const found = [];
  const look = (root) => {
    found.push(...root.querySelectorAll(step));
    for (const each of root.querySelectorAll('*')) if (each.shadowRoot) look(each.shadowRoot);
  };
  for (const root of roots) look(root.shadowRoot ?? root);
  return found.slice(0, 1);
}, [document])[0];
window.painted = () => new Promise((resolve) => requestAnimationFrame(() => {
  const {port1, port2} = new MessageChannel();
  port1.onmessage = () => resolve(performance.timeOrigin + performance.now());
  port2.postMessage(null);
}));
window.until = (test, what) => new Promise((resolve, reject) => {
  const ends = performance.now() + 30000;
  const look = () => {
    if (test()) resolve();
    else if (performance.now() > ends) reject(new Error(`${what} did not come`));
    else requestAnimationFrame(look);
  };
  look();
});
window.shows = (path) => deep('main')?.dataset.link === 'live' && deep(path);
"""
_FIRST = """
until(() => shows('%s'), 'the state').then(painted)
  .then((at) => { window.first = at - performance.timeOrigin; });
until(() => deep('%s')?.data?.[0].length > 100, 'the chart').then(painted)
  .then((at) => { window.chart = at - performance.timeOrigin; });
"""
_FOLLOW = """(path) => {
  const place = deep(path);
  window.seen = [];
  new MutationObserver(() => {
    const text = place.textContent;
    painted().then((at) => window.seen.push([text, at / 1000]));
  }).observe(place, {childList: true, characterData: true, subtree: true});
}"""
_PLAINEST = """() => {
  window.seen = [];
  let state = {};
  const stream = new EventSource('stream');
  stream.addEventListener('delta', (event) => {
    state = {...state, ...JSON.parse(event.data)};
    document.body.textContent = state.reason.text;
    const text = state.reason.text;
    painted().then((at) => window.seen.push([text, at / 1000]));
  });
  return new Promise((resolve) => stream.addEventListener('snapshot', resolve, {once: true}));
}"""
_CARRIED = """() => [...performance.getEntriesByType('navigation'),
  ...performance.getEntriesByType('resource')].map((each) =>
    [each.name, each.transferSize, each.decodedBodySize])"""


@dataclass(frozen=True, slots=True)
class Load:
    """One load with nothing cached, in ms from the moment the address was opened."""

    state_ms: float
    chart_ms: float
    carried: tuple[tuple[str, int, int], ...]
    """Addresses, bytes on the line, bytes unpacked."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a tab holds after its rubbish was collected."""

    nodes: float
    listeners: float
    heap_mb: float


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """
    Start Chromium.

    Raises:
        MissingPeerError: there is none.
    """
    path = chromium()
    if path is None:
        raise MissingPeerError("there is no Chromium; run script/setup")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path=path, headless=True, args=list(LOOPBACK_ONLY)
        )
        try:
            yield started
        finally:
            await started.close()


@asynccontextmanager
async def tab(among: Browser) -> AsyncIterator[Page]:
    """Open a tab with a cache of its own."""
    context = await among.new_context(viewport={"width": 1400, "height": 900})
    page = await context.new_page()
    await page.add_init_script(_TOOLS)
    try:
        yield page
    finally:
        await context.close()


async def load(among: Browser, url: str, view: str) -> Load:
    """Load a view cold; the chart is waited for where there is one."""
    async with tab(among) as page:
        await page.add_init_script(_FIRST % (SIGNS[view], _CHART))
        await page.goto(f"{url}/#/{view}")
        last = "chart" if view == "now" else "first"
        await page.evaluate(f"until(() => window.{last}, '{view}')")
        first, chart = await page.evaluate("[window.first, window.chart ?? 0]")
        carried = await page.evaluate(_CARRIED)
    return Load(first, chart, tuple((name, sent, size) for name, sent, size in carried))


async def plainest_load(among: Browser, url: str) -> float:
    """Return the ms until the browser shows the server's state as the text that it is."""
    async with tab(among) as page:
        await page.goto(f"{url}/api/state", wait_until="commit")
        await page.evaluate("until(() => document.body?.textContent.length > 100, 'the text')")
        at: float = await page.evaluate("painted().then((at) => at - performance.timeOrigin)")
    return at


async def follow(page: Page, url: str, view: str) -> None:
    """Open a view and begin to note what is painted there with each event."""
    await page.goto(f"{url}/#/{view}")
    await show(page, view)
    await page.evaluate(_FOLLOW, _REASON if view == "now" else _LINK)


async def follow_plainest(page: Page, url: str) -> None:
    """Begin to note what a page paints that does nothing but write the reason."""
    await page.goto(f"{url}/api/state")
    await page.evaluate(_PLAINEST)


async def show(page: Page, view: str) -> None:
    """Go to a view and wait until it shows what it is for."""
    await page.evaluate(f"location.hash = '#/{view}'")
    await page.evaluate("(path) => until(() => shows(path), path)", SIGNS[view])


async def seen(page: Page) -> list[tuple[str, float]]:
    """Return what was painted, each with its moment in seconds."""
    await asyncio.sleep(0.5)  # what was sent last is on its way to the screen
    return [(text, at) for text, at in await page.evaluate("window.seen")]


def delays_ms(
    events: Sequence[tuple[int, float]], painted: Sequence[tuple[str, float]]
) -> list[float]:
    """
    Return how long after each event it was painted, or one that came after it.

    Where the text carries the number of the event, that decides; else the time does.
    """
    numbered = [
        (int(found[1]) if (found := re.search(rf"{STAMP} (\d+)", text)) else None, at)
        for text, at in painted
    ]
    delays = []
    for number, when in events:
        shows = [at for shown, at in numbered if (at > when if shown is None else shown >= number)]
        if not shows:
            raise RuntimeError(f"event {number} of {len(events)} was never painted")
        delays.append(1000 * (shows[0] - when))
    return delays


async def held(page: Page) -> Held:
    """Collect the tab's rubbish and count what is left."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    for _ in range(3):  # what a finaliser lets go is taken by the next
        await session.send("HeapProfiler.collectGarbage")
    answer: Mapping[str, Any] = await session.send("Performance.getMetrics")
    await session.detach()
    counts = {each["name"]: float(each["value"]) for each in answer["metrics"]}
    return Held(counts["Nodes"], counts["JSEventListeners"], counts["JSHeapUsedSize"] / 1e6)
