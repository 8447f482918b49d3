"""The simulator as a process of its own, as acceptance tests and demos run it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pymodbus.client import AsyncModbusTcpClient

from agent.house.alphaess import DispatchBlock
from agent.simulator.control import change
from agent.simulator.inverter import Inverter
from agent.simulator.plant import Plant

ROOT = Path(__file__).parents[2]
FOREIGN = DispatchBlock(True, 4000, 10, 900).registers()


@dataclass
class Running:
    process: asyncio.subprocess.Process
    modbus_port: int
    control: str

    async def state(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as http, http.get(f"{self.control}/state") as answer:
            state: dict[str, Any] = await answer.json()
            return state

    async def set(self, wishes: object) -> tuple[int, dict[str, Any]]:
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self.control}/set", json=wishes) as answer,
        ):
            return answer.status, await answer.json()


@asynccontextmanager
async def simulator(*arguments: str) -> AsyncIterator[Running]:
    command = (sys.executable, "-m", "agent.simulator", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        control = f"http://127.0.0.1:{ready['control_port']}"
        yield Running(process, ready["modbus_port"], control)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_it_says_its_ports_serves_both_and_ends_by_sigterm() -> None:
    still = ("--speed", "0", "--seed", "3", "--response-ms", "1")
    async with simulator(*still, "--soc", "44", "--pv-w", "1000", "--load-w", "300") as running:
        client = AsyncModbusTcpClient("127.0.0.1", port=running.modbus_port)
        assert await client.connect()
        soc = await client.read_holding_registers(0x0102, count=1, device_id=85)
        assert soc.registers == [440]

        state = await running.state()
        assert state["plant"]["soc_percent"] == pytest.approx(44)
        status, state = await running.set({"advance_s": 60, "block": FOREIGN})
        assert status == 200
        assert state["dispatch"]["active"]
        assert state["writes"] == 0
        status, state = await running.set({"advance_s": 60})
        assert state["plant"]["true_battery_w"] == pytest.approx(4000, abs=1)
        assert state["plant"]["pv_w"] == 1000

        await client.write_register(0x0800, 90, device_id=85)
        state = await running.state()
        assert (state["writes"], state["last_writes"][0]["values"]) == (1, [90])
        assert state["clients"] == 1

        running.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.process.wait(), 10) == 0
        client.close()


async def test_a_wrong_wish_is_answered_with_what_is_possible() -> None:
    async with simulator("--speed", "0") as running:
        for wrong in (
            {"spede": 1},
            {"plant": {"soc_percent": 140}},
            {"plant": {"soc": 40}},
            {"faults": {"freeze": ["grid"]}},
            {"block": [1, 2]},
            {"speed": -1},
            [],
        ):
            status, answer = await running.set(wrong)
            assert status == 400, wrong
            assert answer["error"]
        assert (await running.state())["speed"] == 0


def test_a_wish_with_one_wrong_part_changes_nothing() -> None:
    inverter = Inverter(Plant(), speed=0)
    with pytest.raises(ValueError, match="soc_percent takes"):
        change(inverter, {"faults": {"mute": True}, "plant": {"soc_percent": -3}})
    assert not inverter.faults.mute


def test_plant_and_faults_are_steered_together() -> None:
    inverter = Inverter(Plant(), speed=0)
    change(
        inverter,
        {
            "plant": {"soc_percent": 12, "pv_override_w": 0, "load_override_w": None, "gain": 1.1},
            "faults": {"freeze": ["grid_w"], "slow_s": 2},
            "speed": 10,
        },
    )
    assert inverter.plant.soc_percent == pytest.approx(12)
    assert inverter.plant.gain == 1.1
    assert inverter.faults.freeze == {"grid_w"}
    assert inverter.speed == 10
    change(inverter, {"clear_faults": True})
    assert inverter.faults.slow_s == 0
