"""
Home Assistant down: the house is guarded through its bridge.

A real Core with the package on the inverter's Modbus TCP, the real firmware of the bridge on its
serial line, the agent as it is started. What is asserted of the inverter was seen at the inverter.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest

from agent.clock import SystemClock
from agent.export import memory
from agent.export.commissioning import Commissioning, Stage
from agent.export.guard import STATE_NAME
from agent.fleet.gate_models import Block
from agent.fleet.identity import Mac
from agent.fleet.keys import KeyFile, Keyring, KeySource, SecretKind, checked, with_secret
from agent.journal import Journal
from agent.simulator.inverter import Inverter, InverterSettings
from agent.simulator.plant import Plant, PlantSettings
from agent.simulator.serial_line import SerialLine
from tests.acceptance.parts import Agent, Json, eventually
from tests.acceptance.prepared import ZONE, ha_identity
from tests.acceptance.stack import noon_zone
from tests.bridge.scene import GONE_S, MOMENT_S, RESET, until
from tests.fleet.test_agent import listed, sticker
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import BRIDGE
from tests.peers.fixtures import MakeDevice
from tests.peers.ha_client import CoreClient
from tests.peers.homeassistant import Core
from tests.peers.house import house
from tests.peers.install import NEWEST, installed_core
from tests.peers.process import tail

pytestmark = [pytest.mark.bridge_path, pytest.mark.peers("inverter", f"homeassistant {NEWEST}")]

LIMIT_W = 3680
DOWN_S = 180
"""How long Home Assistant is away."""
OVER_S = 15
"""How long the bridge's path may take to come back below the limit."""
LEASE_S = 60
ALLOWED_WH = 100
WRITE_REGISTERS = 16
COUNTERS = (
    "sensor.alphaess_today_s_energy_feed_to_grid_meter",
    "sensor.alphaess_today_s_energy_from_pv",
)
SHADOW = "sensor.wrong_sign"
NOTIFIED = "export_monitor_sources_disagree"
Figure = Callable[[str, str, float], None]


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


async def test_limit_and_allowance_hold_while_home_assistant_is_down_and_no_dispatch_outlives_us(
    make_device: MakeDevice, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with scene(make_device, tmp_path, tolerance_kwh=ALLOWED_WH / 1000) as it:
        await it.free(60)
        exported_wh = it.plant.true_exported_wh
        await it.discharges()
        await it.core.stopped()
        down_s = time.monotonic()
        await asyncio.sleep(10)
        it.plant.load_override_w = 200.0  # somebody switches the oven off
        await until(lambda: it.plant.grid_w < -LIMIT_W, 5, "the house uses less")
        await until(lambda: it.plant.grid_w >= -LIMIT_W, OVER_S, "back below the limit")
        await it.idle(DOWN_S)
        used_wh = it.plant.true_exported_wh - exported_wh
        record_property("exported of 100 Wh without Home Assistant", round(used_wh))
        assert ALLOWED_WH / 2 < used_wh <= ALLOWED_WH
        assert "allowance_used" in await it.codes("blockers")
        assert not await it.codes("problems")

        await it.agent.settings(tolerance_kwh=3)
        await it.free(15)
        await it.discharges()
        await asyncio.sleep(max(0.0, DOWN_S - (time.monotonic() - down_s)))
        assert it.core.pid is None
        assert it.plant.dispatch.active
        assert max(it.over_s) <= OVER_S
        record_property("seconds above the limit, the longest", round(max(it.over_s), 1))

        writes = len(it.inverter.writes)
        it.agent.kill()
        killed_s = time.monotonic()
        await until(
            lambda: RESET in [write.values for write in it.inverter.writes[writes:]],
            GONE_S + MOMENT_S,
            "the bridge writes the reset",
        )
        await until(lambda: it.plant.grid_w > -100, 10, "nothing leaves the house")
        took_s = time.monotonic() - killed_s
        record_property("the bridge has ended what a killed agent left after", round(took_s, 1))
        assert took_s <= LEASE_S
        assert not it.plant.dispatch.active


async def test_each_path_takes_over_from_the_other_and_never_are_there_two_owners(
    make_device: MakeDevice, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    wishes = {"tolerance_kwh": 20, "fallback_path": "ha_register"}
    async with scene(make_device, tmp_path, moved=True, **wishes) as it:
        await it.free(60)
        await it.discharges()
        await asyncio.to_thread(it.device.kill)
        gone_s = time.monotonic()
        await it.has("path_fallback", 120)
        by_bridge = it.serial_starts()
        await it.free(120)
        await it.discharges(60)
        record_property("Home Assistant discharges after", round(time.monotonic() - gone_s))
        assert it.serial_starts() == by_bridge
        assert time.monotonic() - by_bridge[-1] > LEASE_S, "the bridge's last lease was over"

        await asyncio.to_thread(it.device.start)
        await asyncio.sleep(15)  # it is online; the path stays where the discharge runs
        assert "path_fallback" in await it.codes("problems")
        await it.core.stopped()
        gone_s = time.monotonic()
        last = [write for write in it.inverter.writes if write.values[0]][-1]
        await it.has("path_fallback", 150, gone=True)
        await it.free(150)
        await it.discharges(60)
        record_property("the bridge discharges after", round(time.monotonic() - gone_s))
        first_s = it.serial_starts()[len(by_bridge)]
        assert first_s - last.at_s > last.values[-1], "Home Assistant's last lease was over"
        assert max(it.over_s, default=0.0) <= OVER_S


async def test_what_home_assistant_reads_otherwise_is_told_and_stops_nothing(
    make_device: MakeDevice, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    wishes = {"tolerance_kwh": 20, "entities": {"grid_power": SHADOW}}
    async with (
        scene(make_device, tmp_path, **wishes) as it,
        CoreClient(it.core.url, it.core.token) as client,
    ):

        async def reads(sign: int) -> None:
            while True:
                grid_w = sign * it.plant.grid_w
                await client.says(SHADOW, f"{grid_w:.0f}", unit_of_measurement="W")
                await asyncio.sleep(2)

        async def told() -> bool:
            return NOTIFIED in await client.notifications()

        reading = asyncio.create_task(reads(-1))
        await it.free(60)
        await it.discharges()
        took_s = await it.has("sources_disagree", 180)
        record_property("a wrong sign in Home Assistant is told after", round(took_s))
        await eventually(told, 30, "a notification says so", client.notifications)
        assert it.plant.dispatch.active
        assert it.plant.grid_w < -2500

        done = await it.agent.ask("restart_device", sticker(it.device))
        assert (done["accepted"], done["code"]) == (False, Block.DISCHARGING), done
        assert it.plant.dispatch.active

        reading.cancel()
        reading = asyncio.create_task(reads(1))
        await it.has("sources_disagree", 120, gone=True)
        await it.agent.request("stop_discharge")
        await it.idle(30)
        reading.cancel()
