"""
A house behind a bridge: for cases in which the agent commands through it.

A real Core with the package on the inverter's Modbus TCP, the real firmware of the bridge on its
serial line, the agent as it is started. What is asserted of the inverter was seen at the inverter.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest

from agent.clock import SystemClock
from agent.export import memory
from agent.export.commissioning import Commissioning, Stage
from agent.export.guard import STATE_NAME
from agent.fleet.identity import Mac
from agent.fleet.keys import KeyFile, Keyring, KeySource, SecretKind, checked, with_secret
from agent.journal import Journal
from agent.simulator.inverter import Inverter, InverterSettings
from agent.simulator.plant import Plant, PlantSettings
from agent.simulator.serial_line import SerialLine
from tests.acceptance.parts import Agent, Json, eventually
from tests.acceptance.prepared import ZONE, ha_identity
from tests.acceptance.stack import noon_zone
from tests.fleet.test_agent import listed, sticker
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import BRIDGE
from tests.peers.fixtures import MakeDevice
from tests.peers.homeassistant import Core
from tests.peers.house import house
from tests.peers.install import NEWEST, installed_core
from tests.peers.process import tail

LIMIT_W = 3680
WRITE_REGISTERS = 16
JUST_S = 16
COUNTERS = (
    "sensor.alphaess_today_s_energy_feed_to_grid_meter",
    "sensor.alphaess_today_s_energy_from_pv",
)


@dataclass
class Scene:
    """One house, and what the inverter went through."""

    plant: Plant
    inverter: Inverter
    line: SerialLine
    device: Device
    core: Core
    agent: Agent
    over_s: list[float] = field(default_factory=list)
    """How long each stretch above the limit lasted."""

    async def shown(self) -> object:
        state = await self.agent.state()
        names = ("phase", "reason", "blockers", "problems", "lease", "energy", "last_action")
        events = [f"{it['kind']}: {it.get('text')}" for it in self.agent.events()[-12:]]
        return {name: state[name] for name in names} | {"journal": events}, tail(self.agent.log)

    async def codes(self, name: str) -> set[str]:
        return {it["code"] for it in (await self.agent.state())[name]}

    async def free(self, within_s: float) -> None:
        async def holds() -> bool:
            return not await self.codes("blockers")

        await eventually(holds, within_s, "nothing stands in the way of a start", self.shown)

    async def discharges(self, within_s: float = 30) -> None:
        answer = await self.agent.request("start_discharge")
        assert answer["code"] == "accepted", answer

        async def holds() -> bool:
            lease = (await self.agent.state())["lease"]
            return bool(lease and lease["confirmed"]) and self.plant.grid_w < -2500

        await eventually(holds, within_s, "it discharges", self.shown)

    async def renewed(self) -> None:
        """Wait until a command has just arrived, so that none is on its way."""

        async def holds() -> bool:
            lease = (await self.agent.state())["lease"]
            fresh = lease and lease["remaining_s"] > lease["duration_s"] - JUST_S
            return bool(fresh and lease["confirmed"])

        await eventually(holds, 60, "a lease was just renewed", self.shown)

    async def idle(self, within_s: float) -> float:
        async def holds() -> bool:
            return not self.plant.dispatch.active and self.plant.grid_w > -100

        return await eventually(holds, within_s, "nothing leaves the house", self.shown)

    async def has(self, code: str, within_s: float, *, gone: bool = False) -> float:
        async def holds() -> bool:
            return (code in await self.codes("problems")) is not gone

        return await eventually(holds, within_s, f"{code}: {not gone}", self.shown)

    def serial_starts(self) -> list[float]:
        """When the bridge wrote a dispatch that starts, on the monotonic clock."""
        return [
            it.at_s
            for it in self.line.exchanges
            if it.function == WRITE_REGISTERS and it.request[7:9] == b"\x00\x01"
        ]

    async def watch(self) -> None:
        """Measure how long more than the limit leaves the house, each time."""
        since_s: float | None = None
        while True:
            over = self.plant.grid_w < -LIMIT_W - 1
            if over and since_s is None:
                since_s = time.monotonic()
                self.over_s.append(0.0)
            elif since_s is not None:
                self.over_s[-1] = time.monotonic() - since_s
                since_s = since_s if over else None
            await asyncio.sleep(0.1)


@asynccontextmanager
async def scene(
    make_device: MakeDevice, directory: Path, *, moved: bool = False, **wishes: object
) -> AsyncIterator[Scene]:
    """Run it, with both paths commissioned; with `moved`, the package's daily meters have moved."""
    if installed_core(NEWEST) is None:
        pytest.skip(f"Home Assistant {NEWEST} is not installed: run script/setup")
    plant = Plant(PlantSettings(soc_percent=100 if moved else 80))
    plant.pv_override_w, plant.load_override_w = (6000.0, 300.0) if moved else (0.0, 2000.0)
    inverter = Inverter(plant, InverterSettings(response_s=0.05), speed=40 if moved else 1)
    async with (
        house(NEWEST, directory / "core", inverter=inverter, slowest_scan_s=2) as home,
        SerialLine(inverter) as line,
        aiohttp.ClientSession() as http,
    ):
        if moved:
            async with home.client() as client:
                await client.until_known(COUNTERS)
            inverter.speed = 1.0
            plant.soc_percent, plant.pv_override_w, plant.load_override_w = 80.0, 0.0, 2000.0
        device = make_device(BRIDGE, name=f"bridge{os.getpid()}", tty=line.path)
        await asyncio.to_thread(device.start)
        agent = Agent(directory, http)
        agent.environment |= {"PV_EDGE_HA_URL": home.core.url, "PV_EDGE_HA_TOKEN": home.core.token}
        settings: Json = {
            "mode": "control",
            "path": "bridge",
            "path_bridge": sticker(device),
            "bridge_list": listed(device),
            "export_limit_w": LIMIT_W,
            "target_export_w": 3000,
            "safety_margin_kwh": 0,
            "minimum_off_s": 0,
            "time_zone": noon_zone(),
            **wishes,
        }
        stored(agent.data, settings, device)
        await both_commissioned(agent.data, device, home.core)
        found = Scene(plant, inverter, line, device, home.core, agent)
        watching = asyncio.create_task(found.watch())
        try:
            await agent.start()
            yield found
        finally:
            watching.cancel()
            print(await agent.tail())  # noqa: T201 - a failed test shows it
            agent.kill()
            await asyncio.to_thread(device.kill)


def stored(data: Path, settings: Json, device: Device) -> None:
    """Write settings and the bridge's key."""
    data.mkdir()
    (data / "settings.json").write_text(json.dumps(settings))
    secret = checked(SecretKind.API_KEY, device.key or "")
    whose, ring = Mac(device.mac), Keyring()
    KeyFile(data).store(with_secret(ring, whose, SecretKind.API_KEY, secret, KeySource.ENTERED))


async def both_commissioned(data: Path, device: Device, core: Core) -> None:
    """Write a journal in which both paths have passed their test."""
    now = SystemClock(ZONE).now()
    passed = Commissioning(
        Stage.PASSED, "", path=f"bridge {sticker(device)}/0.392", delay_s=2, exit_lag_s=2, gain=1.0
    )
    other = replace(passed, path=await ha_identity(core, {"path": "ha_register"}))
    state = replace(memory.fresh(now), commissioning=passed, other_tests=(other,))
    async with await Journal.open(data / "journal.sqlite3") as journal:
        await journal.save_state(STATE_NAME, memory.journaled(state, now), now.local)
