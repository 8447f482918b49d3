"""
A house whose every value the benchmark says, in a real Core, guarded by the real agent.

The values are states that the benchmark posts to Core, so it knows to the microsecond when each
changed; the dispatch registers too, so that the benchmark plays an inverter that obeys at once
and the next event can follow. Commands go through Core's own Modbus hub to a simulated inverter.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo

import aiohttp

from agent.clock import SystemClock
from agent.export import memory
from agent.export.commissioning import Commissioning, Stage
from agent.export.requests import RequestKind
from agent.homeassistant.websocket import CoreConnection
from agent.house.alphaess import POWER_OFFSET, SOC_SCALE_FIELD
from agent.houses import of_home_assistant
from agent.journal import Journal
from agent.settings import SettingsStore
from benchmarks.tap import Tap, Written
from tests.peers.process import LOOPBACK

HUB = "bench"
"""A hub without the package's 141 sensors, so that Core answers a write at once."""
PREFIX = "sensor.bench_"
DISPATCHED_W = 3000
_UNITS = {
    "grid_power": "W",
    "battery_power": "W",
    "pv_power": "W",
    "soc": "%",
    "exported_today": "kWh",
    "produced_today": "kWh",
    "dispatch_start": "",
    "dispatch_power": "W",
    "dispatch_mode": "",
    "dispatch_soc": "%",
    "dispatch_time": "s",
}
_WITHIN_S = 30.0
_SAMPLE_EVERY_S = 0.1
_HOUSE_W = 400
"""What the house uses, PV taken off."""


def hub(port: int) -> dict[str, object]:
    """Return a Core package with that hub; a hub without a sensor is not loaded."""
    sensor = {"name": "Bench Work Mode", "slave": 85, "address": 0x0440, "scan_interval": 3600}
    one = {"name": HUB, "type": "tcp", "host": LOOPBACK, "port": port, "sensors": [sensor]}
    return {"modbus": [one]}


@dataclass(slots=True)
class MadeHouse:
    """The values of the house, and the cycle of dispatch and stop that the events interrupt."""

    core_url: str
    token: str
    tap: Tap
    other: dict[str, str] = field(default_factory=dict)
    """Inputs that something else than the benchmark says, as input: entity."""
    agent_port: int = 0
    """Of its page, once the agent runs."""
    _http: aiohttp.ClientSession | None = None
    _turn: int = 0

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self.token}"}
        self._http = aiohttp.ClientSession(headers=headers)
        for name, value in {
            "grid_power": 400,
            "battery_power": 0,
            "pv_power": 0,
            "soc": 80,
            "exported_today": 0.5,
            "produced_today": 40,
            "dispatch_start": 0,
            "dispatch_power": 0,
            "dispatch_mode": 0,
            "dispatch_soc": 0,
            "dispatch_time": 90,
        }.items():
            await self.say(name, value)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def say(self, name: str, value: object) -> float:
        """Post a value; return the monotonic moment just before it was sent."""
        if self._http is None:
            raise RuntimeError("enter the house first")
        if name in self.other:
            return time.monotonic()
        body = {"state": str(value), "attributes": {"unit_of_measurement": _UNITS[name]}}
        at_s = time.monotonic()
        address = f"{self.core_url}/api/states/{PREFIX}{name}"
        async with self._http.post(address, json=body) as answer:
            answer.raise_for_status()
        return at_s

    async def prepare(self, data: Path) -> None:
        """Write settings and a passed commissioning into the agent's data directory."""
        await asyncio.to_thread(data.mkdir)
        store = SettingsStore(data)
        entities = {name: f"{PREFIX}{name}" for name in _UNITS} | self.other
        await store.update(
            {
                "mode": "control",
                "export_limit_w": 3680,
                "target_export_w": DISPATCHED_W,
                "modbus_hub": HUB,
                "minimum_off_s": 0,
                "max_discharge_w": DISPATCHED_W,
                **{f"entities.{name}": entity for name, entity in entities.items()},
            },
            "benchmark",
        )
        unused = CoreConnection(self.core_url, lambda: self.token)
        async with of_home_assistant(store.current, unused) as house:
            identity = house.identity()
        clock = SystemClock(ZoneInfo("Europe/London"))
        now = clock.now()
        passed = Commissioning(
            Stage.PASSED, "", path=identity, delay_s=1, exit_lag_s=1, gain=1, at=now.local
        )
        state = replace(memory.fresh(now), commissioning=passed)
        async with await Journal.open(data / "journal.sqlite3") as journal:
            at = datetime.now(UTC)
            await journal.save_state("guard", memory.journaled(state, now), at)

    async def samples(self, battery_w: float) -> None:
        """Post new powers, both changed."""
        self._turn += 1
        await self.say("grid_power", _HOUSE_W - battery_w + self._turn % 5)
        await self.say("battery_power", battery_w + self._turn % 7)

    async def obey(self, write: Written) -> None:
        """Show in the registers what was written, as an inverter that obeys at once."""
        await self.tap.answered(write, _WITHIN_S)
        registers = write.registers
        power_w = registers[1] * 65_536 + registers[2] - POWER_OFFSET
        await self.say("dispatch_power", power_w)
        await self.say("dispatch_mode", registers[5])
        await self.say("dispatch_soc", round(registers[6] * SOC_SCALE_FIELD, 3))
        await self.say("dispatch_time", registers[7] * 65_536 + registers[8])
        await self.say("dispatch_start", registers[0])
        await self.samples(power_w)

    async def begun(self) -> None:
        """Ask for a discharge as the page does, with good samples, until the agent accepts."""
        headers = {"X-Requested-With": "pv-edge-agent"}
        url = f"http://{LOOPBACK}:{self.agent_port}/api/requests"
        until_s = time.monotonic() + _WITHIN_S
        async with aiohttp.ClientSession(headers=headers) as http:
            # Ended first: who asks anew does not wait, what is stopped again and again does.
            async with http.post(url, json={"kind": RequestKind.STOP_DISCHARGE.value}):
                pass
            while True:
                await self.samples(0)
                start = {"kind": RequestKind.START_DISCHARGE.value}
                async with http.post(url, json=start) as answer:
                    said = await answer.json()
                if said.get("accepted"):
                    return
                if time.monotonic() > until_s:
                    raise RuntimeError(f"the agent does not start a discharge: {said}")
                await asyncio.sleep(0.2)

    async def dispatched(self) -> None:
        """Give good samples until a lease leaves, and let the inverter obey it."""
        until_s = time.monotonic() + _WITHIN_S
        while time.monotonic() < until_s:
            await self.samples(0)
            with suppress(TimeoutError):
                await self.obey(await self.tap.next_write(starts=True, within_s=_SAMPLE_EVERY_S))
                return
        raise RuntimeError("no lease left the agent, though every input was good")

    async def stopped(self) -> float:
        """Wait for the stop, let the inverter obey it, and return when it left the agent."""
        stop = await self.tap.next_write(starts=False, within_s=_WITHIN_S)
        await self.obey(stop)
        return stop.at_s
