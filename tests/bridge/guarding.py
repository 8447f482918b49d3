"""A guard over the bridge's real firmware, with the simulated inverter behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.clock import SystemClock
from agent.export import memory
from agent.export.commissioning import Commissioning, Stage
from agent.export.guard import STATE_NAME, Guard
from agent.fleet.identity import Mac
from agent.fleet.introduction import Target
from agent.house.bridge_alphaess import TRAITS, alone
from agent.journal import Journal
from agent.settings import Settings
from agent.simulator.plant import Plant, PlantSettings
from agent.site import guard_config
from tests.peers.esphome import Device

IDENTITY = "bridge test"
LIMIT_W = 3680
SETTINGS = Settings(
    mode="control",
    export_limit_w=LIMIT_W,
    target_export_w=3000,
    tolerance_kwh=3,
    safety_margin_kwh=0,
)


def target_of(device: Device) -> Target:
    return Target(
        (device.host,), device.api_port, device.ota_port, Mac(device.mac), device.name, device.key
    )


@asynccontextmanager
async def guarding(
    data: Path, device: Device, settings: Settings = SETTINGS
) -> AsyncIterator[Guard]:
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
        house, house, journal, clock, lambda test: guard_config(settings, TRAITS, test, IDENTITY)
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


def evening(noise_w: float = 0.0) -> Plant:
    plant = Plant(PlantSettings(soc_percent=80, noise_w=noise_w))
    plant.pv_override_w, plant.load_override_w = 0.0, 2000.0
    return plant
