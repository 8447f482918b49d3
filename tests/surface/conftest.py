"""A server with a desk made by hand, and what it audited."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import ClientSession
from playwright.async_api import Browser, Page, async_playwright, expect

from agent.surface.desk import BridgeDesks
from agent.surface.web.api import Desks
from agent.surface.web.auth import WRITE_HEADER, WRITE_HEADER_VALUE, Gate, Policy
from agent.surface.web.server import WebServer
from tests.peers.install import chromium
from tests.surface.cable_desk import HandRecovery
from tests.surface.desks import HandBridges, HandFlashing, HandGuard, HandReleases, HandSettings
from tests.surface.hand_migration import HandMigration
from tests.surface.hand_plan import HandPlan

LOOPBACK_ONLY = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
WRITES = {WRITE_HEADER: WRITE_HEADER_VALUE}


async def never_asked(_user_id: str) -> bool:
    raise AssertionError("nobody should be looked up here")


@dataclass
class House:
    """One running server and everything around it."""

    guard: HandGuard
    settings: HandSettings
    server: WebServer
    audited: list[tuple[str, str, str]]
    bridges: HandBridges = field(default_factory=HandBridges)
    releases: HandReleases = field(default_factory=HandReleases)
    flashing: HandFlashing = field(default_factory=HandFlashing)
    recovery: HandRecovery = field(default_factory=HandRecovery)
    migration: HandMigration = field(default_factory=HandMigration)
    plan: HandPlan = field(default_factory=HandPlan)
    port: int = 0
    client: ClientSession = field(default=None)  # type: ignore[assignment]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def make_house(folder: Path, gate: Gate | None = None, heartbeat_s: float = 15) -> House:
    guard, settings = HandGuard(), HandSettings(folder)
    audited: list[tuple[str, str, str]] = []
    bridges, releases, flashing = HandBridges(), HandReleases(), HandFlashing()
    recovery = HandRecovery()
    migration = HandMigration()
    plan = HandPlan()
    server = WebServer(
        guard,
        settings,
        gate or Gate(Policy(supervised=False), never_asked),
        lambda *what: audited.append(what),
        heartbeat_s=heartbeat_s,
        desks=Desks(
            bridges=BridgeDesks(bridges, bridges, bridges),
            releases=releases,
            flashing=flashing,
            recovery=recovery,
            migration=migration,
            plan=plan,
        ),
    )
    return House(
        guard, settings, server, audited, bridges, releases, flashing, recovery, migration, plan
    )


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = make_house(tmp_path, heartbeat_s=0.2)
    made.port = await made.server.start("127.0.0.1", 0)
    async with ClientSession(made.url, headers=WRITES) as made.client:
        yield made
    await made.server.stop()


@pytest.fixture(scope="session")
async def shared_browser() -> AsyncIterator[Browser]:
    chromium_path = chromium()
    if chromium_path is None:
        pytest.skip("no Chromium: run script/setup")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path, headless=True, args=LOOPBACK_ONLY
        )
        yield browser
        await browser.close()


@pytest.fixture
def browser(chromium_path: str, shared_browser: Browser) -> Browser:
    """Return the one browser; the path is asked for so that the case counts as one of Chromium."""
    assert chromium_path
    return shared_browser


@pytest.fixture
async def page(bundle: Path, browser: Browser) -> AsyncIterator[Page]:
    """Return a page that fails its test when the browser complains about our code."""
    assert bundle.name == "dist"
    page = await browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text) if "Content Security" in message.text else None
        ),
    )
    yield page
    await page.close()
    assert complaints == []


ROOT = Path(__file__).parents[2]
FRONTEND = ROOT / "agent/surface/web/frontend"


@pytest.fixture(scope="session")
def bundle() -> Path:
    """Return the folder of the built page; builds it where its sources have changed."""
    subprocess.run([ROOT / "script/page", "build"], check=True)  # noqa: S603 - our own script
    return ROOT / "agent/surface/web/dist"


def packages() -> None:
    """Have the page's packages, axe among them, where its sources look for them."""
    subprocess.run([ROOT / "script/page", "packages"], check=True)  # noqa: S603 - our own script


async def shown(page: Page, house: House, view: str = "now") -> None:
    """Open a view of the page and wait until it shows the agent's state."""
    await page.goto(f"{house.url}/#/{view}")
    await expect(page.locator("main")).to_have_attribute("data-link", "live")
