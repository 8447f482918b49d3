"""
How fast the page is: its first state, an event's way to the screen, and what many pages cost.

A real Chromium opens the built page from the real server, which runs as its own process with a
made house behind it: a day of readings, one each second, and a plan of 36 hours. Beside it the
plainest page that the same server and browser can show: the state as its own JSON, and a line of
script that writes one sentence of it.

    python benchmarks/page.py [--quick] [--long [MINUTES]] [--clients N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.async_api import Browser, Page

from benchmarks import page_browser
from benchmarks.page_browser import SIGNS, Held
from benchmarks.running import ROOT, directory, environment, note, percentile
from tests.peers.install import MissingPeerError

TARGETS = {
    "first_state_ms": 1000.0,
    "event_to_pixels_p95_ms": 200.0,
    "views_first_ms": 1000.0,
    "views_event_p95_ms": 200.0,
    "bundle_kb": 150.0,
    "clients_cpu_percent": 15.0,
    "tab_growth_percent": 10.0,
    "server_growth_percent": 10.0,
}
ANY_MOMENT = (0.05, 1.5, 1)
"""Least and most seconds between two events, and the seconds of the house that pass in one."""
APART = (0.4, 1.0, 1)
"""Each is told for itself, so that where no number is shown the time can tell them apart."""
EACH_SECOND = (1.0, 1.0, 1)
SIXTY_FOLD = (0.25, 0.25, 15)
MANY = 50
_SETTLE_MINUTES = 2
"""The first minutes of a long run belong to the start: what is used is compiled, caches fill."""


class Server:
    """The process of `page_server.py`."""

    def __init__(self, pid: int, says: asyncio.StreamReader, hears: asyncio.StreamWriter) -> None:
        self.process = psutil.Process(pid)
        self._says = says
        self._hears = hears
        self.url = ""

    async def answer(self) -> dict[str, Any]:
        """Return its next line."""
        line = await self._says.readline()
        if not line:
            raise RuntimeError("the server of the page ended; what it said stands above")
        told: dict[str, Any] = json.loads(line)
        return told

    async def ask(self, *words: object) -> list[tuple[int, float]]:
        """Tell it to run or to halt, and return the events until then."""
        self._hears.write((" ".join(map(str, words)) + "\n").encode())
        return [(number, at) for number, at in (await self.answer())["events"]]


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    """Build the page if its sources changed, and serve it."""
    await asyncio.to_thread(subprocess.run, [ROOT / "script/page", "build"], check=True)
    with directory() as folder:
        started = await asyncio.create_subprocess_exec(
            sys.executable, ROOT / "benchmarks/page_server.py", folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
            limit=16 * 1024 * 1024,
        )  # fmt: skip
        if started.stdout is None or started.stdin is None:
            raise RuntimeError("it was started without pipes")
        found = Server(started.pid, started.stdout, started.stdin)
        try:
            found.url = f"http://127.0.0.1:{(await found.answer())['port']}"
            yield found
        finally:
            if started.returncode is None:
                started.terminate()
            await started.wait()


async def loads(
    among: Browser, it: Server, times: int, looked_at: Sequence[str] = tuple(SIGNS)
) -> dict[str, float]:
    """Open each view cold, the first of them several times."""
    note(f"opening the page {times} times, and each view")
    await page_browser.load(among, it.url, "now")  # the disk's cache is no part of it
    found = [await page_browser.load(among, it.url, "now") for _ in range(times)]
    plain = [await page_browser.plainest_load(among, it.url) for _ in range(times)]
    views = {}
    for view in looked_at:
        again = [await page_browser.load(among, it.url, view) for _ in range(1 + times // 4)]
        views[f"{view}_first_ms"] = round(statistics.median(each.state_ms for each in again), 1)
    carried = found[0].carried
    return {
        "first_state_ms": round(statistics.median(each.state_ms for each in found), 1),
        "first_chart_ms": round(statistics.median(each.chart_ms for each in found), 1),
        "plainest_first_ms": round(statistics.median(plain), 1),
        "views_first_ms": max(views.values()),
        **views,
        "transfer_kb": round(sum(sent for _, sent, _ in carried) / 1000, 1),
        "ingress_transfer_kb": round(sum(size for _, _, size in carried) / 1000, 1),
        "history_kb": round(sum(size for name, _, size in carried if "history" in name) / 1000, 1),
        "bundle_kb": round(bundle_bytes() / 1000, 1),
    }


def bundle_bytes() -> int:
    """Return the size of everything that the page can load, compressed."""
    packed = (ROOT / "agent/surface/web/dist/assets").glob("*.gz")
    return sum(path.stat().st_size for path in packed)


async def pixels(among: Browser, it: Server, seconds: float) -> dict[str, float]:
    """Time events until they are painted: on the first view at any moment, then on each other."""
    note("timing events until they are painted")
    found = {}
    async with page_browser.tab(among) as page:
        await page_browser.follow_plainest(page, it.url)
        plain = await timed(page, it, ANY_MOMENT, seconds)
    async with page_browser.tab(among) as page:
        await page_browser.follow(page, it.url, "now")
        ours = await timed(page, it, ANY_MOMENT, seconds)
        for view in SIGNS:
            await page_browser.follow(page, it.url, view)
            delays = await timed(page, it, APART, seconds / 4)
            found[f"{view}_event_p95_ms"] = round(percentile(delays, 95), 1)
    return {
        "event_to_pixels_p50_ms": round(percentile(ours, 50), 1),
        "event_to_pixels_p95_ms": round(percentile(ours, 95), 1),
        "plainest_event_p50_ms": round(percentile(plain, 50), 1),
        "plainest_event_p95_ms": round(percentile(plain, 95), 1),
        "views_event_p95_ms": max(found.values()),
        **found,
        "events": len(ours),
    }


async def timed(
    page: Page, it: Server, pace: tuple[float, float, int], seconds: float
) -> list[float]:
    """Let events come for a while and return their delays in ms."""
    await it.ask("run", *pace)
    await asyncio.sleep(seconds)
    events = await it.ask("halt")
    return page_browser.delays_ms(events, await page_browser.seen(page))


async def crowd(it: Server, count: int, seconds: float) -> dict[str, float]:
    """Return the server's processor time with so many pages open, of one core."""
    note(f"{count} open pages")
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(it.url, connector=connector, timeout=timeout) as session:
        heard = [0] * count
        joined = [asyncio.Event() for _ in heard]

        async def listen(number: int) -> None:
            async with session.get("/api/stream") as answer:
                async for chunk in answer.content.iter_any():
                    heard[number] += chunk.count(b"event: delta")
                    joined[number].set()

        listening = [asyncio.create_task(listen(number)) for number in range(count)]
        for each in joined:
            await each.wait()
        found = {}
        for name, pace in (("", EACH_SECOND), ("fast_", SIXTY_FOLD)):
            await it.ask("run", *pace)
            found[f"clients_{name}cpu_percent"] = await _cpu_percent(it, seconds)
            await it.ask("halt")
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    if min(heard) < seconds:
        raise RuntimeError(f"a client heard {min(heard)} events in {seconds:.0f} s: it was lost")
    return {"clients": count, **found}


async def _cpu_percent(it: Server, seconds: float) -> float:
    def spent_s() -> float:
        times = it.process.cpu_times()
        return float(times.user + times.system)

    before_s, began_s = spent_s(), time.monotonic()
    await asyncio.sleep(seconds)
    return round(100 * (spent_s() - before_s) / (time.monotonic() - began_s), 2)


async def endure(among: Browser, it: Server, minutes: float) -> dict[str, float]:
    """
    Show live data at 60 times real time and return how tab and server grew.

    Every half minute each view is looked at once, and the tab's rubbish is collected.
    """
    note(f"{minutes:g} hours of the house in {minutes:g} minutes")
    found: list[tuple[Held, float]] = []
    async with page_browser.tab(among) as page:
        await page_browser.follow(page, it.url, "now")
        await page.evaluate("window.seen = {push() {}}")  # a list of ours must not be what grows
        await it.ask("run", *SIXTY_FOLD)
        ends_s = time.monotonic() + 60 * minutes
        settled_s = time.monotonic() + 60 * min(_SETTLE_MINUTES, minutes / 4)
        while time.monotonic() < ends_s or len(found) < 2:
            for view in (*SIGNS, "now"):
                await page_browser.show(page, view)
            await asyncio.sleep(min(30.0, 60 * minutes / 8))
            if time.monotonic() >= settled_s:
                rss_mb = it.process.memory_info().rss / 1e6
                found.append((await page_browser.held(page), rss_mb))
                note(f"{found[-1][0]}, server {rss_mb:.1f} MB")
        events = await it.ask("halt")
    return grown(found) | {"long_events": len(events), "long_minutes": minutes}


def grown(found: list[tuple[Held, float]]) -> dict[str, float]:
    """
    Return how much the last third of the looks holds over the first third, medians of both.

    Args:
        found: what the tab held at each look, and the server's resident memory in MB.
    """
    third = max(1, len(found) // 3)

    def percent(values: list[float]) -> float:
        first, last = statistics.median(values[:third]), statistics.median(values[-third:])
        return round(100 * (last / first - 1), 2)

    return {
        "tab_growth_percent": percent([tab.heap_mb for tab, _ in found]),
        "node_growth_percent": percent([tab.nodes for tab, _ in found]),
        "listener_growth_percent": percent([tab.listeners for tab, _ in found]),
        "server_growth_percent": percent([rss_mb for _, rss_mb in found]),
        "tab_heap_mb": round(found[-1][0].heap_mb, 2),
        "server_rss_mb": round(found[-1][1], 1),
    }


def missed(found: dict[str, float]) -> list[str]:
    """Return the targets that were not met, of those that were measured."""
    return [name for name, most in TARGETS.items() if found.get(name, 0) >= most]


async def run(quick: bool, clients: int, minutes: float) -> dict[str, float]:
    """Measure and return the figures; with minutes, the long run alone."""
    async with page_browser.browser() as among, server() as it:
        if minutes:
            return await endure(among, it, minutes)
        return {
            **await loads(among, it, 3 if quick else 9),
            **await pixels(among, it, 6 if quick else 60),
            **await crowd(it, clients, 5 if quick else 20),
        }


def main() -> int:
    """Measure and print; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    parser.add_argument("--clients", type=int, default=MANY, help="open pages at once")
    parser.add_argument(
        "--long", type=float, nargs="?", const=8.0, default=0.0, metavar="MINUTES",
        help="instead: as many hours of live data as minutes, 8 of them",
    )  # fmt: skip
    args = parser.parse_args()
    try:
        found = asyncio.run(run(args.quick, args.clients, args.long))
    except MissingPeerError as error:
        print(f"page: {error}", file=sys.stderr)
        return 2
    failed = missed(found)
    for name, most in TARGETS.items():
        with contextlib.suppress(KeyError):
            verdict = "MISSED" if name in failed else "ok"
            note(f"{name:24} {found[name]:8.1f}  target below {most:g}: {verdict}")
    print(json.dumps(found) if args.json else "see above")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
