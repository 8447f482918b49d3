"""
The process that fleet.py measures: the agent's keeper, or nothing but aioesphomeapi, on N bridges.

It measures itself: its processor time, its memory, and how old each sensor's state is when it is
handed over, to the listener of the keeper's values or to the callback of the bare client. Every
state is counted; the first and the last of each device's packet are timed, so that the measuring
costs little beside what is measured, and the same in both.

    python -m benchmarks.fleet_clients ours|bare SETTLE_S WINDOW_S [KEY]   bridges on standard input
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil

from benchmarks.fleet_bridges import LOOPBACK, SENSORS, since

_ALL_ONLINE_S = 60.0
_MB = 1_000_000
TIMED = frozenset({1, SENSORS})
"""Keys of the sensors whose states are timed: the first and the last of a packet."""
Bridges = list[tuple[str, int]]


class Meter:
    """Takes states while it is told to, and remembers how old they were."""

    def __init__(self) -> None:
        self.delays_ms = array("f")
        self.states = 0
        self.began_s = 0.0
        """When the first connection was asked for, with everything imported."""

    def reset(self) -> None:
        """Begin the window of time that is measured."""
        self.states = 0
        del self.delays_ms[:]


@asynccontextmanager
async def ours(bridges: Bridges, key: str | None, meter: Meter) -> AsyncIterator[None]:
    """Keep the bridges with the agent's keeper; entered when all are online."""
    from agent.fleet.events import BridgeEvent, EventKind  # noqa: PLC0415 - the bare client
    from agent.fleet.identity import Mac  # noqa: PLC0415 - must not pay for them
    from agent.fleet.keeper import Keeper  # noqa: PLC0415
    from agent.fleet.panel import Value  # noqa: PLC0415
    from agent.fleet.sighting import Sighting, Source  # noqa: PLC0415

    online: set[str | None] = set()
    all_online = asyncio.Event()
    others: list[str] = []

    def event(it: BridgeEvent) -> None:
        if it.kind is EventKind.ONLINE:
            online.add(it.mac)
            if len(online) == len(bridges):
                all_online.set()
        else:
            others.append(str(it.kind))

    timed = {f"sensor.value_{number - 1}" for number in TIMED}

    def take(_mac: Mac, value: Value) -> None:
        meter.states += 1
        if value.entity in timed and isinstance(value.value, float):
            meter.delays_ms.append(since(value.value))

    keeper = Keeper(keys=lambda _mac: key, on_event=event, on_value=take)
    meter.began_s = time.monotonic()
    running = asyncio.create_task(keeper.run())
    for number, (mac, port) in enumerate(bridges):
        keeper.word(
            Sighting(
                source=Source.ZEROCONF,
                at_s=time.monotonic(),
                mac=Mac(mac),
                name=f"simulated-{number}",
                addresses=(LOOPBACK,),
                api_port=port,
            )
        )
    async with asyncio.timeout(_ALL_ONLINE_S):
        await all_online.wait()
    yield
    if others:
        print(f"bridges were also: {others}", file=sys.stderr)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


@asynccontextmanager
async def bare(bridges: Bridges, key: str | None, meter: Meter) -> AsyncIterator[None]:
    """Connect to the bridges with the library alone."""
    from aioesphomeapi.client import APIClient  # noqa: PLC0415 - only what is measured
    from aioesphomeapi.model import EntityState, SensorState  # noqa: PLC0415

    def take(state: EntityState) -> None:
        meter.states += 1
        if state.key in TIMED and isinstance(state, SensorState):
            meter.delays_ms.append(since(state.state))

    async def connect(port: int) -> APIClient:
        client = APIClient(LOOPBACK, port, None, noise_psk=key)
        await client.connect(login=True)
        await client.device_info_and_list_entities()
        client.subscribe_states(take)
        return client

    meter.began_s = time.monotonic()
    clients = await asyncio.gather(*(connect(port) for _, port in bridges))
    yield
    await asyncio.gather(*(client.disconnect() for client in clients))


async def measure(
    kind: str, bridges: Bridges, settle_s: float, window_s: float, key: str | None
) -> dict[str, float]:
    """Connect to all, let it settle, and return what a window of time cost."""
    meter = Meter()
    kept = ours if kind == "ours" else bare
    async with kept(bridges, key, meter):
        online_s = time.monotonic() - meter.began_s
        await asyncio.sleep(settle_s)
        meter.reset()
        cpu_s, at_s = time.process_time(), time.monotonic()
        await asyncio.sleep(window_s)
        cpu_s, took_s = time.process_time() - cpu_s, time.monotonic() - at_s
        states, ranked = meter.states, sorted(meter.delays_ms)
        rss = psutil.Process().memory_info().rss
    return {
        "cpu_cores": round(cpu_s / took_s, 4),
        "rss_mb": round(rss / _MB, 1),
        "online_s": round(online_s, 3),
        "delay_p50_ms": round(ranked[len(ranked) // 2], 2),
        "delay_p99_ms": round(ranked[int(len(ranked) * 0.99)], 2),
        "states_per_s": round(states / took_s, 1),
    }


if __name__ == "__main__":
    asked_kind, settle, window, *rest = sys.argv[1:]
    found = asyncio.run(
        measure(
            asked_kind, json.load(sys.stdin), float(settle), float(window), next(iter(rest), None)
        )
    )
    print(json.dumps(found))
