"""The guard through a real bridge: the limit holds, and no dispatch outlives an agent."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.clock import SystemClock
from agent.export import memory
from agent.export.commissioning import Commissioning, Stage
from agent.export.guard import STATE_NAME, Guard
from agent.export.requests import Request, RequestKind
from agent.fleet.identity import Mac
from agent.fleet.introduction import Target
from agent.house.alphaess import RESET_BLOCK
from agent.house.bridge_alphaess import TRAITS, alone
from agent.journal import Journal
from agent.settings import Settings
from agent.simulator.plant import Plant, PlantSettings
from agent.site import guard_config
from tests.bridge.scene import GONE_S, MOMENT_S, RESET, blocks, bridge, until
from tests.peers.esphome import Device
from tests.peers.fixtures import MakeDevice

IDENTITY = "bridge test"
LIMIT_W = 3680
SETTINGS = Settings(
    mode="control",
    export_limit_w=LIMIT_W,
    target_export_w=3000,
    tolerance_kwh=3,
    safety_margin_kwh=0,
)
PATH_S = 15
"""How long a bridge's path may take to come back below the limit."""
ANOTHER_PROCESS = """
import asyncio, sys
from agent.fleet.identity import Mac
from agent.fleet.introduction import Target
from agent.house.alphaess import DispatchBlock
from agent.house.bridge_alphaess import alone

async def main():
    host, port, mac, key = sys.argv[1:]
    house = alone(Target((host,), int(port), mac=Mac(mac), key=key), on_event=print)
    running = asyncio.create_task(house.run())
    while not house.sample().linked:
        await asyncio.sleep(0.05)
    print(await house.write(DispatchBlock(True, 2500, 20, 60), 4), flush=True)
    await running

asyncio.run(main())
"""


def target_of(device: Device) -> Target:
    return Target(
        (device.host,), device.api_port, device.ota_port, Mac(device.mac), device.name, device.key
    )


@asynccontextmanager
async def guarding(data: Path, device: Device) -> AsyncIterator[Guard]:
    """Run a commissioned guard over the bridge."""
    house = alone(target_of(device), on_event=lambda _event: None)
    journal = await Journal.open(data / "journal.sqlite3")
    clock = SystemClock(ZoneInfo("Europe/London"))
    now = clock.now()
    passed = Commissioning(
        Stage.PASSED, path=IDENTITY, delay_s=2, exit_lag_s=1, gain=1.0, at=now.local
    )
    begun = replace(memory.fresh(now), commissioning=passed)
    await journal.save_state(STATE_NAME, memory.journaled(begun, now), now.local)
    guard = Guard(
        house, house, journal, clock, lambda test: guard_config(SETTINGS, TRAITS, test, IDENTITY)
    )
    await guard.recall()
    tasks = [asyncio.create_task(house.run()), asyncio.create_task(guard.run())]
    try:
        yield guard
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await journal.close()


def evening() -> Plant:
    plant = Plant(PlantSettings(soc_percent=80, noise_w=0.0))
    plant.pv_override_w, plant.load_override_w = 0.0, 2000.0
    return plant


async def test_the_limit_holds_through_the_bridge_and_the_battery_is_given_back(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    plant = evening()
    async with (
        bridge(make_device, plant=plant) as (inverter, _, device),
        guarding(tmp_path, device) as guard,
    ):
        await until(lambda: not guard.snapshot().blockers, 60, "nothing is in the way")
        assert guard.request(Request(RequestKind.START_DISCHARGE, "test")).code == "accepted"
        await until(lambda: plant.grid_w < -2500, 30, "what is wanted leaves the house")
        plant.load_override_w = 200.0  # somebody switches the oven off
        await until(lambda: plant.grid_w < -LIMIT_W, 5, "the house uses less")
        await until(lambda: plant.grid_w >= -LIMIT_W, PATH_S, "back below the limit")
        ends_s = time.monotonic() + 20  # past a renewal
        written = len(inverter.writes)
        while time.monotonic() < ends_s:
            assert plant.grid_w >= -LIMIT_W
            assert plant.dispatch.active
            await asyncio.sleep(0.1)
        assert len(inverter.writes) > written
        assert await guard.release(15)
        assert not plant.dispatch.active
        assert blocks(inverter)[-1] == tuple(RESET_BLOCK.registers())


async def test_the_dispatch_of_an_agent_that_is_killed_is_ended_by_the_bridge(
    make_device: MakeDevice,
) -> None:
    """SIGKILL, as by the kernel's out-of-memory killer: there is nobody left to say goodbye."""
    async with bridge(make_device, plant=evening()) as (inverter, _, device):
        place = (device.host, str(device.api_port), device.mac, device.key or "")
        agent = await asyncio.create_subprocess_exec(sys.executable, "-c", ANOTHER_PROCESS, *place)
        try:
            await until(lambda: inverter.plant.battery_w > 2000, 30, "it discharges")
            assert blocks(inverter) == [(1, 0, 34500, 0, 32000, 2, 51, 0, 60)]
            agent.kill()
            killed_s = time.monotonic()
            at_s = await until(lambda: RESET in blocks(inverter), GONE_S + MOMENT_S, "the reset")
            assert at_s - killed_s >= GONE_S - 1
            await until(lambda: inverter.plant.grid_w > -100, 10, "nothing leaves the house")
            assert not inverter.plant.dispatch.active
        finally:
            with suppress(ProcessLookupError):
                agent.kill()
            await agent.wait()
