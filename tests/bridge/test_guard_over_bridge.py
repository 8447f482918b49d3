"""The guard through a real bridge: the limit holds, and no dispatch outlives an agent."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path

from agent.export.requests import Request, RequestKind
from agent.house.alphaess import RESET_BLOCK
from tests.bridge.guarding import LIMIT_W, evening, guarding
from tests.bridge.scene import GONE_S, MOMENT_S, RESET, blocks, bridge, until
from tests.peers.fixtures import MakeDevice

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
