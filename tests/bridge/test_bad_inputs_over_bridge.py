"""
A discharge through a bridge lives only while every value it rests on is believable.

The registers of the inverter lie, each in its own way, while the real firmware reads them: the
discharge is stopped and seen to be over at the inverter, what lies is named, and nothing starts
while it does. Then it is believed again, and the next discharge runs.

What cannot be told from the truth is no case here: a grid power that reads as if somebody had begun
to charge a car.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.export.guard import Guard
from agent.export.requests import Request, RequestKind
from agent.simulator.inverter import Inverter
from tests.bridge.guarding import SETTINGS, evening, guarding
from tests.bridge.scene import RESET, blocks, bridge, until
from tests.peers.fixtures import MakeDevice

pytestmark = pytest.mark.bridge_path

VERIFIED_WITHIN_S = 30
"""What a bridge's path promises."""
LEASE_S = 60
WATCHED_S = 5
"""The agent looks every second, and its next lease would follow its first good look."""
BELIEVED_WITHIN_S = 90
FELT_W = 2500
NOISE_W = 20.0
SMALL_BATTERY_KWH = 1.0
"""A frozen state of charge is contradicted by 2 % of the battery's capacity; with 10 kWh that takes
four minutes at 3 kW, and is meant to."""
Record = Callable[[str, object], None]


@dataclass(frozen=True, slots=True)
class Lie:
    """A value of the inverter and how it lies."""

    value: str
    fault: str
    entity: str
    capacity_kwh: float = 10.0
    only_seen_moving: bool = False
    """With the battery at rest the lie is too small to see: a person may start again."""

    def __str__(self) -> str:
        return f"{self.value} {self.fault}"


GRID, BATTERY, SOC = "sensor.grid_power", "sensor.battery_power", "sensor.battery_soc"
EXPORTED, PRODUCED = "sensor.exported_energy", "sensor.produced_energy"
LIES = [
    Lie("grid_w", "exception", GRID),
    Lie("grid_w", "freeze", GRID),
    Lie("grid_w", "negative_jump", GRID),
    Lie("grid_w", "unavailable_as_zero", GRID),
    Lie("battery_w", "exception", BATTERY),
    Lie("battery_w", "freeze", BATTERY, only_seen_moving=True),
    Lie("battery_w", "negative_jump", BATTERY, only_seen_moving=True),
    Lie("battery_w", "unavailable_as_zero", BATTERY, only_seen_moving=True),
    Lie("soc_percent", "exception", SOC),
    Lie("soc_percent", "freeze", SOC, SMALL_BATTERY_KWH, only_seen_moving=True),
    Lie("soc_percent", "jump", SOC),
    Lie("soc_percent", "unavailable_as_zero", SOC),
    Lie("exported_wh", "exception", EXPORTED),
    Lie("exported_wh", "jump", EXPORTED),
    Lie("exported_wh", "unavailable_as_zero", EXPORTED),
    Lie("produced_wh", "exception", PRODUCED),
    Lie("produced_wh", "jump", PRODUCED),
    Lie("produced_wh", "unavailable_as_zero", PRODUCED),
]


@pytest.mark.parametrize("value", list(dict.fromkeys(lie.value for lie in LIES)))
async def test_a_lying_register_ends_the_discharge_until_it_tells_the_truth(
    value: str, make_device: MakeDevice, tmp_path: Path, record_property: Record
) -> None:
    """Each lie in a house of its own, all at once."""
    one_at_a_time = asyncio.Lock()
    async with asyncio.TaskGroup() as houses:
        for lie in (lie for lie in LIES if lie.value == value):
            directory = tmp_path / lie.fault
            directory.mkdir()
            case = _lied_to(lie, make_device, one_at_a_time, directory, record_property)
            houses.create_task(case)


async def _lied_to(
    lie: Lie, make_device: MakeDevice, one_at_a_time: asyncio.Lock, data: Path, record: Record
) -> None:
    plant = evening(NOISE_W)
    changes = {"battery_capacity_kwh": lie.capacity_kwh, "minimum_off_s": 0}
    settings = SETTINGS.model_copy(update=changes)
    async with AsyncExitStack() as ends:
        async with one_at_a_time:  # a program that is being written cannot be started
            behind = bridge(make_device, plant=plant)
            inverter, _, device = await ends.enter_async_context(behind)
        guard = await ends.enter_async_context(guarding(data, device, settings))
        await _discharging(guard, inverter)
        began_s = time.monotonic()
        inverter.faults.set(**{lie.fault: [lie.value]})
        await until(lambda: not plant.dispatch.active, VERIFIED_WITHIN_S, f"{lie}: idle")
        assert blocks(inverter)[-1] == RESET
        left_s = VERIFIED_WITHIN_S - (time.monotonic() - began_s)
        await until(lambda: guard.snapshot().lease is None, left_s, f"{lie}: the stop is verified")
        record(f"{lie}, to the verified stop", round(time.monotonic() - began_s, 1))
        await until(lambda: lie.entity in _blamed(guard), 10, f"{lie}: {lie.entity} is named")

        if not lie.only_seen_moving:
            guard.request(Request(RequestKind.START_DISCHARGE, "test"))
        written = len(inverter.writes)
        await asyncio.sleep(WATCHED_S)
        started = [it for it in inverter.writes[written:] if it.values[0]]
        assert not started, f"{lie}: something started"

        inverter.faults.clear()
        await _discharging(guard, inverter)


async def test_a_mute_inverter_is_idle_at_the_end_of_its_lease_and_the_guard_says_so(
    make_device: MakeDevice, tmp_path: Path, record_property: Record
) -> None:
    plant = evening(NOISE_W)
    async with (
        bridge(make_device, plant=plant) as (inverter, _, device),
        guarding(tmp_path, device) as guard,
    ):
        await _discharging(guard, inverter)
        began_s = time.monotonic()
        inverter.faults.mute = True
        await until(
            lambda: guard.state.stopping is not None, VERIFIED_WITHIN_S, "a stop is asked for"
        )
        await until(lambda: not plant.dispatch.active, LEASE_S + 1, "its own timer ends it")
        record_property(
            "inverter mute, to idle by its own timer", round(time.monotonic() - began_s, 1)
        )
        assert GRID in _blamed(guard)
        inverter.faults.mute = False
        await _discharging(guard, inverter)


async def _discharging(guard: Guard, inverter: Inverter) -> None:
    """Have a discharge under way; a wish that only paused goes on by itself."""

    def goes_on() -> bool:
        shown = guard.snapshot()
        return shown.wish is not None or not shown.blockers

    await until(goes_on, BELIEVED_WITHIN_S, "nothing is in the way")
    if guard.snapshot().wish is None:
        assert guard.request(Request(RequestKind.START_DISCHARGE, "test")).code == "accepted"
    await until(lambda: _confirmed(guard), BELIEVED_WITHIN_S, "the registers show a lease")
    await until(lambda: inverter.plant.battery_w > FELT_W, 15, "the battery follows")


def _confirmed(guard: Guard) -> bool:
    lease = guard.snapshot().lease
    return lease is not None and lease.confirmed


def _blamed(guard: Guard) -> str:
    """Return all problems as one text."""
    return " ".join(f"{it.source} {it.text}" for it in guard.snapshot().problems)
