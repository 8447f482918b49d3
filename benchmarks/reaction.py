"""
How long after a change in Home Assistant the command leaves, beside a poller of ten seconds.

An event is the state of charge becoming `unavailable` while the battery is being discharged. It
is timed from just before the benchmark tells Core until the agent's `modbus.write_register`
frame passes a tap on the agent's connection: Core's own handling, the agent's decision and its
entry in the journal are all in the figure. The peer does what Energy Export Monitor does, as a
client of the same Core: every 10 s it reads the states and calls a service for what has changed.

Then the same from the inverter's side: the grid power that its registers show becomes one that
no house has, Core polls it behind the package's 141 sensors, and the stop leaves. That figure is
Core's polling more than ours; it is reported without a target.

    python benchmarks/reaction.py [--quick] [--json] [--core VERSION]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.simulator.inverter import Inverter
from benchmarks.made_house import PREFIX, MadeHouse, hub
from benchmarks.running import (
    agent,
    alongside,
    directory,
    need_core,
    note,
    percentile,
)
from benchmarks.tap import tapped
from tests.peers.ha_client import CoreClient
from tests.peers.house import House, house
from tests.peers.install import CORES, OLDEST, MissingPeerError
from tests.peers.process import free_port

TARGET_P99_MS = 100.0
POLL_S = 10.0
_NO_HOUSE_W = 60_000.0
_GRID = "sensor.alphaess_power_grid"


async def states(made: MadeHouse, events: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds from each lost input to the stop, and the agent's share of them."""
    found, own = [], []
    for number in range(events):
        await made.dispatched()
        # Somewhere within the second after which the agent would look by itself.
        await asyncio.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - no secret
        at_s = await made.say("soc", "unavailable")
        left_s = await made.stopped()
        found.append(1000 * (left_s - at_s))
        own.append(1000 * (left_s - made.tap.told_s[f"{PREFIX}soc"]))
        await made.say("soc", 80 - number % 3)
        await made.begun()
    return found, own


async def registers(made: MadeHouse, home: House, client: CoreClient, events: int) -> list[float]:
    """Return the milliseconds from each impossible grid power in the inverter to the stop."""
    found = []
    for _ in range(events):
        await made.dispatched()
        await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        at_s = time.monotonic()
        home.inverter.plant.load_override_w = _NO_HOUSE_W
        found.append(1000 * (await made.stopped() - at_s))
        home.inverter.plant.load_override_w = None
        await client.until(_GRID, lambda state: abs(float(state)) < _NO_HOUSE_W / 2)
        await made.begun()
    return found


async def poller(home: House, events: int, periods: int) -> list[float]:
    """
    Return the milliseconds from each change to the call of a poller of ten seconds.

    The events are spread evenly over its periods; each is seen at the next poll, as it would be.
    """
    headers = {"Authorization": f"Bearer {home.core.token}"}
    changed_s: dict[str, float] = {}
    found: list[float] = []

    async def change(http: aiohttp.ClientSession) -> None:
        for number in range(events):
            entity_id = f"sensor.peer_{number}"
            changed_s[entity_id] = time.monotonic()
            url = f"{home.core.url}/api/states/{entity_id}"
            async with http.post(url, json={"state": "unavailable"}) as answer:
                answer.raise_for_status()
            await asyncio.sleep(periods * POLL_S / events)

    async def poll(http: aiohttp.ClientSession) -> None:
        seen: set[str] = set()
        while len(seen) < events:
            await asyncio.sleep(POLL_S)
            async with http.get(f"{home.core.url}/api/states") as answer:
                now = {state["entity_id"] for state in await answer.json()}
            fresh = sorted(now & changed_s.keys() - seen)
            seen.update(fresh)
            found.extend(1000 * (time.monotonic() - changed_s[entity]) for entity in fresh)
            url = f"{home.core.url}/api/services/homeassistant/update_entity"
            async with http.post(url, json={"entity_id": fresh}) as answer:
                answer.raise_for_status()

    async with aiohttp.ClientSession(headers=headers) as http, asyncio.TaskGroup() as tasks:
        tasks.create_task(change(http))
        tasks.create_task(poll(http))
    return found


@asynccontextmanager
async def discharging(home: House, data: Path, other: dict[str, str]) -> AsyncIterator[MadeHouse]:
    """Run an agent on a made house that it discharges; `other` inputs come from the package."""
    core = home.core
    port = free_port()
    async with tapped(core.port) as tap, MadeHouse(core.url, core.token, tap, other) as made:
        await made.prepare(data)
        async with alongside(agent(data, port, tap.url, core.token)) as running:
            await asyncio.to_thread(running.answers, port, "/health")
            made.agent_port = port
            await made.begun()
            yield made


async def run(quick: bool, version: str) -> dict[str, float]:
    """Start the house, measure, and return the figures."""
    need_core(version)
    with directory() as place:
        (place / "core").mkdir()
        note(f"starting Home Assistant {version}")
        async with Inverter() as obedient:
            packages = {"bench": hub(obedient.port)}
            async with house(version, place / "core", packages=packages) as home:
                events, periods = (25, 2) if quick else (200, 12)
                peer = asyncio.create_task(poller(home, events, periods))
                async with discharging(home, place / "states", {}) as made:
                    note(f"{events} changes in Core")
                    changes, own = await states(made, events)
                other = {"grid_power": _GRID}
                async with (
                    discharging(home, place / "registers", other) as made,
                    home.client() as client,
                ):
                    note("changes in the inverter")
                    modbus = await registers(made, home, client, 3 if quick else 25)
                note("waiting for the poller")
                polled = await peer
    return {
        "p50_ms": round(percentile(changes, 50), 1),
        "p99_ms": round(percentile(changes, 99), 1),
        "max_ms": round(max(changes), 1),
        "agent_p50_ms": round(percentile(own, 50), 1),
        "agent_p99_ms": round(percentile(own, 99), 1),
        "events": len(changes),
        "poller_p50_ms": round(percentile(polled, 50), 1),
        "poller_p99_ms": round(percentile(polled, 99), 1),
        "modbus_p50_ms": round(percentile(modbus, 50), 1),
        "modbus_p99_ms": round(percentile(modbus, 99), 1),
        "modbus_events": len(modbus),
    }


def main() -> int:
    """Measure and print; 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--quick", action="store_true", help="25 events, under a minute")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    parser.add_argument("--core", default=OLDEST, choices=list(CORES), help="version of Core")
    args = parser.parse_args()
    try:
        found = asyncio.run(run(args.quick, args.core))
    except MissingPeerError as error:
        print(f"reaction: {error}", file=sys.stderr)
        return 2
    missed = found["p99_ms"] >= TARGET_P99_MS
    note(
        f"{found['events']} changes in Core to our frame: p50 {found['p50_ms']} ms, "
        f"p99 {found['p99_ms']} ms (target below {TARGET_P99_MS:g}: "
        f"{'MISSED' if missed else 'ok'}), worst {found['max_ms']} ms"
    )
    note(f"of it the agent: p50 {found['agent_p50_ms']} ms, p99 {found['agent_p99_ms']} ms")
    note(
        f"poller of {POLL_S:g} s: p50 {found['poller_p50_ms']} ms, p99 {found['poller_p99_ms']} ms"
    )
    note(
        f"{found['modbus_events']} changes in the inverter to our frame: "
        f"p50 {found['modbus_p50_ms']} ms, p99 {found['modbus_p99_ms']} ms"
    )
    print(json.dumps(found) if args.json else "see above")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
