"""
A whole house with the agent in it: every part a process of its own, as in a user's home.

Simulated inverter, real broker, real Core with the Hillview package, the agent as it is started
by hand. A test steers it as people and accidents do: by Home Assistant's entities, by the page's
API, by signals. It judges by the inverter's own registers and energy counters, which nothing
between can flatter.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from tests.acceptance.parts import Agent, Json, Simulator, eventually
from tests.peers import hillview
from tests.peers.ha_client import CoreClient
from tests.peers.homeassistant import Core
from tests.peers.mosquitto import Broker
from tests.peers.process import tail

LEASE_S = 90
"""Longest Dispatch Time that the agent writes on this path."""
EXIT_LAG_S = 10
"""From its end until the battery rests, with a little for the poll of a test."""
PRODUCED_KWH = 6.0
"""What the sun gave before the tests begin: the day's allowance."""
EXPORTED_KWH = 0.3
ANSWER_S = {"2024.1.0": 0.03, "2026.11.0": 0.05}
"""Time the inverter takes for one answer. At 50 ms the package's 141 sensors ask for 107 % of the
hub's time; Core 2024.1 queues every poll without bound, so that after some minutes a write waits
for half a minute and longer, whoever sends it. Not while a Core starts: 2024.1 waits up to five
minutes for a moment without a pending poll before it counts as started."""
JUDGED_WITHIN_S = 120
"""Core 2024.1 keeps no report times and takes up to a minute to ask the inverter again for every
value that stands still; until then a restarted agent believes nothing."""
FULL_SUN: Json = {"pv_override_w": 5000, "load_override_w": 0, "soc_percent": 100}
QUIET: Json = {"pv_override_w": 500, "load_override_w": 700, "soc_percent": 72}


@dataclass(slots=True)
class Stack:
    """One house."""

    simulator: Simulator
    broker: Broker
    core: Core
    agent: Agent
    client: CoreClient
    up_s: float = 0.0
    """Seconds until everything ran and the agent had fresh values."""
    exported_before_wh: float = 0.0
    """Reading of the inverter's counter when the day's meters were set."""

    async def press(self, button: str) -> None:
        """Press a button of the agent's device in Home Assistant."""
        await self.client.call("button.press", f"button.export_monitor_{button}")

    async def exported_wh(self) -> float:
        """Return what has truly left the house today, as the allowance counts it."""
        counters = (await self.simulator.state())["counters"]
        return counters["exported_wh"] - self.exported_before_wh + EXPORTED_KWH * 1000

    async def ready(self, within_s: float = JUDGED_WITHIN_S) -> float:
        """Wait until nothing but a commissioning test stands in the way of a start."""

        async def holds() -> bool:
            return _could_start(await self.agent.state())

        return await eventually(holds, within_s, "a start is possible", self.shown)

    async def reads(self, entities: Mapping[str, str | None]) -> None:
        """Have the agent read these entities, commissioned with them; `None` is its own choice."""
        values = (await self.agent.setting_values())["values"]
        changes = {f"entities.{name}": entity for name, entity in entities.items()}
        # They are always set together; one of them tells.
        if values["entities.grid_power"] != entities["grid_power"]:
            before = await self._grid_source()
            await self.agent.settings(**changes)

            async def taken() -> bool:
                return await self._grid_source() != before

            await eventually(taken, 60, "the other sensors are read", self.shown)
        await self.ready()
        if not (await self.agent.state())["commissioning"]["passed"]:
            await self.commissioned()

    async def _grid_source(self) -> str:
        readings = (await self.agent.state())["readings"]
        return next(it["source"] for it in readings if it["name"] == "grid_w")

    async def commissioned(self) -> float:
        """Run the commissioning test for real and return its seconds."""
        assert (await self.agent.request("commission"))["accepted"]

        async def over() -> bool:
            return not (await self.agent.state())["commissioning"]["running"]

        seconds = await eventually(over, 150, "the commissioning test is over", self.shown)
        test = (await self.agent.state())["commissioning"]
        assert test["passed"], test
        return seconds

    async def discharging(self, within_s: float = 60) -> float:
        """Wait until the inverter discharges and the agent has seen that it does."""

        async def holds() -> bool:
            lease = (await self.agent.state())["lease"]
            return bool(lease and lease["confirmed"]) and await self.simulator.discharging()

        return await eventually(holds, within_s, "discharge confirmed", self.shown)

    async def started(self, within_s: float = 60) -> float:
        """Start a discharge through Home Assistant; return the seconds to the first registers."""
        began_s = time.monotonic()
        await self.press("start_discharge")
        await eventually(self.simulator.discharging, within_s, "discharge", self.shown)
        seconds = time.monotonic() - began_s
        await self.discharging(within_s)
        return seconds

    async def stopped(self, within_s: float = 60) -> float:
        """Stop through Home Assistant, wait until it is seen to be over; return the seconds."""
        began_s, since = time.monotonic(), self.agent.last_event()
        await self.press("stop_discharge")
        await self.agent.wrote("stop_verified", since, within_s)
        await eventually(self.simulator.idle, within_s, "the battery rests", self.shown)
        return time.monotonic() - began_s

    async def at_rest(self) -> None:
        """Bring back what a test may have left, so that one that failed costs no other its case."""
        await self.simulator.set(
            clear_faults=True,
            faults={"slow_s": ANSWER_S[self.core.version]},
            plant=QUIET,
        )
        if self.core.pid is None:
            await self.returned()
        if self.agent.popen is None:
            await self.agent.start()
        await self.agent.settings(safety_margin_kwh=0.5)
        await self.ready()
        await self.agent.request("stop_discharge")
        await self.agent.request("acknowledge")

        async def resting() -> bool:
            state = await self.agent.state()
            free = state["lease"] is None and _could_start(state)
            return free and await self.simulator.idle()

        await eventually(resting, 120, "nothing runs and a start is possible", self.shown)

    async def meters_written_down(self) -> None:
        """
        Restart Core in order.

        It writes its meters down then, else every 15 minutes; one that is killed before that
        begins its day again, and an agent that has seen more waits 15 minutes to believe it.
        """
        await self.core.stopped()
        await self.returned()
        await self.ready()

    async def returned(self) -> None:
        """Start Core again and see it through the package's reset."""
        await self.simulator.set(faults={"slow_s": 0})
        self.core.spawn()
        await self.core.running(120)
        await self.simulator.set(faults={"slow_s": ANSWER_S[self.core.version]})
        await self.client.__aexit__(None, None, None)
        self.client.states.clear()
        await self.client.__aenter__()
        await reset_over(self.client)

    async def shown(self) -> object:
        """Return what a failed test needs to say."""
        try:
            state = await self.agent.state()
        except aiohttp.ClientError as error:
            return f"the agent is silent ({error}); {tail(self.agent.log, 15)}"
        names = ("phase", "reason", "blockers", "problems", "lease", "energy", "last_action")
        dispatch = (await self.simulator.state())["dispatch"]
        events = [f"{it['kind']}: {it.get('text')}" for it in self.agent.events()[-12:]]
        return {name: state[name] for name in names} | {"inverter": dispatch, "journal": events}


def _could_start(state: Json) -> bool:
    return {blocker["code"] for blocker in state["blockers"]} <= {"not_commissioned"}


def noon_zone() -> str:
    """Return a time zone where it is about noon: no test may run into the house's midnight."""
    hours = 12 - datetime.now(UTC).hour
    return "Etc/UTC" if hours == 0 else f"Etc/GMT{-hours:+d}"


@asynccontextmanager
async def stack(version: str, directory: Path) -> AsyncIterator[Stack]:
    """Run a house with an agent that may control it, not yet commissioned, until the block ends."""
    began_s = time.monotonic()
    async with AsyncExitStack() as exits:
        http = await exits.enter_async_context(aiohttp.ClientSession())
        simulator = Simulator(directory / "simulator.log")
        exits.callback(simulator.kill)
        await simulator.start(http, pv_w=500, load_w=700)
        broker = exits.enter_context(Broker(directory / "mosquitto"))
        (directory / "core").mkdir()
        core = Core(
            version,
            directory / "core",
            broker=broker,
            packages={"alphaess": hillview.package(simulator.modbus_port)},
            time_zone=noon_zone(),
        )
        exits.callback(core.kill)
        core.spawn()
        await core.running(120)
        await simulator.set(faults={"slow_s": ANSWER_S[version]})
        client = await exits.enter_async_context(CoreClient(core.url, core.token))
        agent = Agent(directory, http)
        exits.callback(agent.kill)
        agent.meet(core, broker)
        house = Stack(simulator, broker, core, agent, client)
        await reset_over(client)
        await _produce(house)
        await agent.start()
        await agent.settings(
            mode="control", export_limit_w=3680, target_export_w=3000, minimum_off_s=0
        )
        await house.ready()
        house.up_s = time.monotonic() - began_s
        yield house


async def reset_over(client: CoreClient) -> None:
    """Wait for the end of the reset that the package makes at each start of Core."""
    await client.until_state(
        "automation.alphaess_dispatch_reset_full",
        lambda state: (
            state["attributes"].get("last_triggered") is not None
            and state["attributes"].get("current") == 0
        ),
        60,
    )


async def _produce(house: Stack) -> None:
    """Let the day's meters show a sunny morning, without waiting for one."""
    client, simulator = house.client, house.simulator
    meters = {
        "sensor.alphaess_today_s_energy_from_pv": PRODUCED_KWH,
        "sensor.alphaess_today_s_energy_feed_to_grid_meter": EXPORTED_KWH,
    }
    totals = [
        "sensor.alphaess_total_energy_from_pv",
        "sensor.alphaess_total_energy_feed_to_grid_meter",
    ]
    for total in totals:  # the first polls may meet a hub that is not connected yet
        await client.call("homeassistant.update_entity", total)
    await client.until_known(totals, 90)
    # A daily meter of Core has neither value nor unit until its counter has moved.
    await simulator.set(plant=FULL_SUN)
    await simulator.set(advance_s=180)
    await simulator.set(plant=QUIET)
    for total in totals:
        await client.call("homeassistant.update_entity", total)
    await client.until_known(meters, 90)
    for meter, kwh in meters.items():
        await client.call("utility_meter.calibrate", meter, value=f"{kwh:.2f}")
        await client.until(meter, lambda state, kwh=kwh: float(state) >= kwh)
    house.exported_before_wh = (await simulator.state())["counters"]["exported_wh"]
