"""
A house with an agent that may control it at once, for cases that are about something else.

The parts are those of `stack`, each a process of its own. It is in a hurry where the promise does
not depend on it: counters are read every 2 s, and the journal holds a passed commissioning test.
The day has exported more than was produced, which the contract's tolerance grants.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent import houses
from agent.clock import SystemClock
from agent.export import memory
from agent.export.commissioning import Commissioning, Stage
from agent.export.guard import STATE_NAME
from agent.homeassistant.link import LinkState
from agent.journal import Journal
from agent.setting_models import Settings
from tests.acceptance.parts import Json, eventually
from tests.acceptance.paths import PATHS
from tests.acceptance.people import SHADOWED, all_is_well, lies
from tests.acceptance.stack import (
    JUDGED_WITHIN_S,
    QUIET,
    Stack,
    without_agent,
)
from tests.homeassistant.linked import linked, until, until_link
from tests.peers.homeassistant import Core
from tests.peers.install import CORES, installed_core, program

PRODUCED_KWH, EXPORTED_KWH, TOLERANCE_KWH = 6.0, 6.5, 5.0
WISHES: Json = {
    "mode": "control",
    "export_limit_w": 3680,
    "target_export_w": 3000,
    "tolerance_kwh": TOLERANCE_KWH,
    "minimum_off_s": 0,
    "entities": SHADOWED,
}
ZONE = ZoneInfo("Europe/London")
AC_LIMIT = "input_select.alphaess_helper_inverter_ac_limit"
TOLERANCE = "number.export_monitor_tolerance"
USUAL: Json = {
    "breaker_failures": 5,
    "breaker_pause_s": 60,
    "stale_after_s": 30,
    "write_deadline_s": 30,
}
"""Settings that cases shorten, as the guide has them."""


@asynccontextmanager
async def prepared_each(
    path: str, make_directory: Callable[[str], Path]
) -> AsyncIterator[dict[str, Stack]]:
    """Run a house of each Core version with an agent that commands on this path."""
    missing = [version for version in CORES if installed_core(version) is None]
    if missing or program("mosquitto") is None:
        pytest.skip(f"not installed: {', '.join(missing) or 'mosquitto'}; run script/setup")
    async with AsyncExitStack() as exits:
        built = await asyncio.gather(
            *(
                exits.enter_async_context(prepared(version, make_directory(version), path))
                for version in CORES
            )
        )
        yield dict(zip(CORES, built, strict=True))


@asynccontextmanager
async def prepared(version: str, directory: Path, path: str) -> AsyncIterator[Stack]:
    """Run one such house until the block ends."""
    wishes = WISHES | {"path": path}
    began_s = time.monotonic()
    async with without_agent(version, PATHS[path], directory, slowest_scan_s=2) as house:
        await house.has_had(PRODUCED_KWH, EXPORTED_KWH)
        for shadow, kwh in (("produced_today", PRODUCED_KWH), ("exported_today", EXPORTED_KWH)):
            await house.client.until(SHADOWED[shadow], lambda state, kwh=kwh: float(state) >= kwh)
        agent = house.agent
        agent.data.mkdir()
        (agent.data / "settings.json").write_text(json.dumps(wishes))
        journal = await commissioned(agent.data, await ha_identity(house.core, wishes))
        await journal.close()
        await agent.start()
        await house.ready()
        house.up_s = time.monotonic() - began_s
        yield house


async def commissioned(data: Path, identity: str) -> Journal:
    """Return a journal in which this path has passed its test."""
    journal = await Journal.open(data / "journal.sqlite3")
    now = SystemClock(ZONE).now()
    test = Commissioning(Stage.PASSED, "", path=identity, delay_s=2, exit_lag_s=2, gain=1.0)
    state = replace(memory.fresh(now), commissioning=test)
    await journal.save_state(STATE_NAME, memory.journaled(state, now), now.local)
    return journal


async def calmed(house: Stack) -> None:
    """Bring back what a case may have left, until nothing runs and nothing is wrong."""
    await house.simulator.set(clear_faults=True, plant=QUIET)
    for name in SHADOWED.values():
        await lies(house, name.removeprefix("sensor.shadow_"), "none")
    await house.client.call("input_select.select_option", AC_LIMIT, option="10")
    await house.agent.settings(tolerance_kwh=TOLERANCE_KWH, **USUAL)
    await house.agent.request("stop_discharge")

    async def resting() -> bool:
        await house.agent.request("acknowledge")
        state = await house.agent.state()
        free = state["lease"] is None and not state["blockers"]
        return free and await house.simulator.idle()

    await eventually(resting, JUDGED_WITHIN_S, "nothing runs and a start is possible", house.shown)
    await all_is_well(house)


async def ha_identity(core: Core, wishes: Json) -> str:
    """Return path and inputs as the agent will name them."""
    settings = Settings.model_validate(wishes)
    async with (
        linked(core.url, lambda: core.token) as link,
        houses.of_home_assistant(settings, link) as built,
    ):
        running = asyncio.create_task(built.run())
        try:
            await until_link(link, LinkState.UP)
            await until(built.meter.subscribe, lambda: " sensor." in built.identity(), 30)
            return built.identity()
        finally:
            running.cancel()
            await asyncio.wait([running])
