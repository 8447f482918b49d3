"""The inverter's firmware is read where it can be, and stays known while its source is away."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from agent.house.embedded import EmbeddedHouse
from agent.house.firmware import EmbeddedFirmware
from agent.simulator.inverter import Inverter
from tests.house.embedded_scene import house, inverter
from tests.simulator.waiting import until

__all__ = ["house", "inverter"]
VERSIONS = "inverter G1.08, ARM A1.32, EMS 1.2.3"


async def test_versions_come_from_the_registers_and_outlive_the_link(
    house: EmbeddedHouse, inverter: Inverter
) -> None:
    firmware = EmbeddedFirmware(house)
    assert firmware() == ""
    reading = asyncio.create_task(firmware.run())
    try:
        await until(lambda: firmware() == VERSIONS)
        inverter.faults.drop = True
        inverter.hang_up()
        await until(lambda: not house.sample().linked)
        assert firmware() == VERSIONS
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
