"""
The bridge's firmware as a Linux program, with the simulated inverter on its serial line.

What is asserted of the inverter was seen at the inverter: its written frames and its registers.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from aioesphomeapi import APIClient, EntityState, ExecuteServiceResponse, UserService

from agent.house.alphaess import DISPATCH_ADDRESS, RESET_BLOCK, DispatchBlock
from agent.simulator.inverter import Inverter, InverterSettings
from agent.simulator.plant import Plant
from agent.simulator.serial_line import SerialLine
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import BRIDGE
from tests.peers.fixtures import MakeDevice

AGENT = "PV Edge Agent"
GONE_S = 3.0
"""`client_gone_for` of the board of the tests."""
RESET = tuple(RESET_BLOCK.registers())
MOMENT_S = 3.0
"""For what is promised 'now': the frame under way, 300 ms, the reset, and a busy test machine."""
PAUSE_S = 0.3
"""What the inverter needs between two instructions on RS485."""
TOO_LATE_S = 0.45


class Client:
    """A client of the bridge with the newest value of every entity, and when it came."""

    def __init__(self, api: APIClient) -> None:
        self.api = api
        self.values: dict[str, float | str | bool] = {}
        self.times: dict[str, list[float]] = {}
        self.service: UserService | None = None
        self.names: dict[str, int] = {}
        """Every entity's key by its name."""
        self._names: dict[int, str] = {}

    async def begin(self) -> None:
        entities, services = await self.api.list_entities_services()
        self._names = {entity.key: entity.name for entity in entities}
        self.names = {entity.name: entity.key for entity in entities}
        self.service = next(it for it in services if it.name == "write_dispatch")
        self.api.subscribe_states(self._take)

    async def write(
        self, number: int, block: DispatchBlock, *, soc_raw: int | None = None
    ) -> ExecuteServiceResponse:
        assert self.service is not None
        answer = await self.api.execute_service(
            self.service,
            {
                "number": number,
                "start": block.start,
                "power_w": block.power_w,
                "soc_raw": block.registers()[6] if soc_raw is None else soc_raw,
                "duration_s": block.duration_s,
            },
            return_response=True,
            timeout=10,
        )
        assert answer is not None
        return answer

    def newest_s(self, *names: str) -> float:
        """Return since when all of these values have come."""
        return min(self.times.get(name, [0.0])[-1] for name in names)

    def press(self, button: str) -> None:
        self.api.button_command(self.names[button])

    def _take(self, state: EntityState) -> None:
        name = self._names[state.key]
        if getattr(state, "missing_state", False):
            self.values[name] = math.nan
            return
        self.values[name] = state.state  # type: ignore[attr-defined]
        self.times.setdefault(name, []).append(time.monotonic())


@asynccontextmanager
async def connected(device: Device, name: str = AGENT) -> AsyncIterator[Client]:
    api = APIClient(device.host, device.api_port, None, noise_psk=device.key, client_info=name)
    await api.connect(login=True, log_errors=False)
    client = Client(api)
    await client.begin()
    try:
        yield client
    finally:
        with suppress(Exception):
            await api.disconnect(force=True)


async def until(holds: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait for it and return the moment on the monotonic clock."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.02)
    return time.monotonic()


@asynccontextmanager
async def bridge(
    make_device: MakeDevice, response_s: float = 0.05, plant: Plant | None = None
) -> AsyncIterator[tuple[Inverter, SerialLine, Device]]:
    """Run a bridge; it keeps the pause between two instructions, whatever a test does to it."""
    settings = InverterSettings(response_s=response_s)
    async with Inverter(plant or Plant(), settings) as inverter, SerialLine(inverter) as line:
        device = make_device(BRIDGE, name="bridge-1", tty=line.path)
        await asyncio.to_thread(device.start)
        try:
            yield inverter, line, device
        finally:
            await asyncio.to_thread(device.kill)
        if any(ending < 0 for ending in device.endings[:-1]):
            return  # it crashed; a chip takes longer to boot than the inverter needs, a program not
        pairs = itertools.pairwise(line.exchanges)
        # The bridge gives an answer up after 500 ms; here only a machine without time is so late.
        gaps_s = [b.at_s - a.until_s for a, b in pairs if a.until_s - a.at_s < TOO_LATE_S]
        shortest_s = min(gaps_s, default=PAUSE_S)
        assert shortest_s >= PAUSE_S, f"instructions {shortest_s:.3f} s apart"


@asynccontextmanager
async def quiet(line: SerialLine) -> AsyncIterator[None]:
    """Enter in the pause after an exchange, when the bridge is silent for 300 ms."""
    seen = len(line.exchanges)
    await until(lambda: len(line.exchanges) > seen, 5, "an exchange")
    await asyncio.sleep(0.05)
    yield


def discharge(power_w: int = 2000, duration_s: int = 60) -> DispatchBlock:
    return DispatchBlock(True, power_w, 20, duration_s)


def blocks(inverter: Inverter) -> list[tuple[int, ...]]:
    """Every frame that was written to the dispatch registers, as it arrived."""
    assert {(write.function, write.address) for write in inverter.writes} <= {
        (16, DISPATCH_ADDRESS)
    }
    return [write.values for write in inverter.writes]
