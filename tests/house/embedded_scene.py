"""An embedded house on the simulated inverter, quick enough for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from agent.house.alphaess import DispatchBlock
from agent.house.embedded import EmbeddedHouse, PollPeriods
from agent.house.readings import HouseSample, Quality, Reading
from agent.simulator.inverter import Inverter
from agent.simulator.plant import Plant, PlantSettings
from tests.simulator.waiting import until

FAST = PollPeriods(
    power_s=0.04,
    pv_s=0.06,
    counters_s=0.08,
    dispatch_s=0.08,
    answer_s=0.15,
    backoff_s=0.03,
    backoff_max_s=0.1,
)
DISCHARGE = DispatchBlock(True, 3000, 20, 60)


@pytest.fixture
async def inverter() -> AsyncIterator[Inverter]:
    plant = Plant(PlantSettings(noise_w=0.0))
    plant.pv_override_w, plant.load_override_w = 2000.0, 500.0
    plant.step(60)
    async with Inverter(plant, speed=0) as running:
        yield running


@asynccontextmanager
async def polling(house: EmbeddedHouse) -> AsyncIterator[EmbeddedHouse]:
    task = asyncio.create_task(house.run())
    try:
        yield house
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def house(inverter: Inverter) -> AsyncIterator[EmbeddedHouse]:
    async with polling(EmbeddedHouse("127.0.0.1", inverter.port, periods=FAST)) as running:
        await until(lambda: complete(running.sample()))
        yield running


@pytest.fixture
async def idle(inverter: Inverter) -> AsyncIterator[EmbeddedHouse]:
    """A house that has read everything once and polls no more, so the line is free."""
    lazy = replace(FAST, dispatch_s=600.0, power_s=600.0, pv_s=600.0, counters_s=600.0)
    async with polling(EmbeddedHouse("127.0.0.1", inverter.port, periods=lazy)) as running:
        await until(lambda: complete(running.sample()))
        yield running


def read(sample: HouseSample) -> list[Reading]:
    dispatch = sample.dispatch
    return [
        sample.grid_w, sample.battery_w, sample.pv_w, sample.soc_percent,
        sample.exported_wh, sample.produced_wh, dispatch.start, dispatch.power_w,
        dispatch.mode, dispatch.cutoff_soc_percent, dispatch.duration_s,
    ]  # fmt: skip


def complete(sample: HouseSample) -> bool:
    return {reading.quality for reading in read(sample)} == {Quality.GOOD}


def nothing(sample: HouseSample) -> bool:
    qualities = {reading.quality for reading in read(sample)}
    return not sample.linked and qualities == {Quality.UNAVAILABLE}


def all_reported_after(house: EmbeddedHouse, moment_s: float) -> Callable[[], bool]:
    """Every value was read anew, with a margin for reads that were under way at the moment."""
    return lambda: all(
        (reading.reported_s or 0) > moment_s + 0.05 for reading in read(house.sample())
    )
