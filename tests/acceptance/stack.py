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
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from tests.acceptance.parts import Agent, Json, Simulator, eventually
from tests.acceptance.paths import HousePath
from tests.peers import hillview
from tests.peers.ha_client import CoreClient
from tests.peers.homeassistant import Core
from tests.peers.mosquitto import Broker
from tests.peers.process import tail

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
REST_WITHIN_S = 240
"""After an inverter that was mute Core 2024.1 works off its polls for minutes on a busy machine."""
JUDGED_WITHIN_S = 120
"""Core 2024.1 keeps no report times and takes up to a minute to ask the inverter again for every
value that stands still; until then a restarted agent believes nothing."""
FULL_SUN: Json = {"pv_override_w": 5000, "load_override_w": 0, "soc_percent": 100}
QUIET: Json = {"pv_override_w": 500, "load_override_w": 700}
PREPARED: Json = {**QUIET, "soc_percent": 72}
"""Only before the agent looks: a charge that jumps is doubted. All tests together use little."""
TOTALS = (
    "sensor.alphaess_total_energy_from_pv",
    "sensor.alphaess_total_energy_feed_to_grid_meter",
)
"""What Core's meters of the day follow."""
ANY_POLLED = "sensor.alphaess_dispatch_start"
POLLED_WITHIN_S = 8
"""Core 2024.1 takes 4 to 5 s to get round to a poll that is asked for."""
ALL_USED_W = 6000
"""A load that lets nothing out: hours that pass in seconds would make the export counter jump."""
LAST_SECONDS_S = 15
"""The end of a dispatch is seen at the pace of real life."""


@dataclass(slots=True)
class Stack:
    """One house."""

    path: HousePath
    simulator: Simulator
    broker: Broker
    core: Core
    agent: Agent
    client: CoreClient
    up_s: float = 0.0
    """Seconds until everything ran and the agent had fresh values."""
    exported_before_wh: float = 0.0
    """What the inverter's counter would have shown at the day's begin."""

    @property
    def title(self) -> str:
        """Return where a figure was measured."""
        return f"{self.core.version}, {self.path.name}"

    async def press(self, button: str) -> None:
        """Press a button of the agent's device in Home Assistant."""
        await self.client.call("button.press", f"button.export_monitor_{button}")

    async def has_had(self, produced_kwh: float, exported_kwh: float) -> None:
        """Let the day's meters show this much before the agent looks, without waiting for it."""
        client, simulator = self.client, self.simulator
        meters = {
            "sensor.alphaess_today_s_energy_from_pv": produced_kwh,
            "sensor.alphaess_today_s_energy_feed_to_grid_meter": exported_kwh,
        }
        for total in TOTALS:  # the first polls may meet a hub that is not connected yet
            await client.call("homeassistant.update_entity", total)
        await client.until_known(TOTALS, 90)
        # A daily meter of Core has neither value nor unit until its counter has moved.
        await simulator.set(plant=FULL_SUN)
        await simulator.set(advance_s=180)
        await simulator.set(plant=PREPARED)
        for total in TOTALS:  # all of it has to be in before the meter is set, or it jumps after
            await client.call("homeassistant.update_entity", total)
        await client.until_known(meters, 90)
        for meter, kwh in meters.items():
            await client.call("utility_meter.calibrate", meter, value=f"{kwh:.2f}")
            await client.until(meter, lambda state, kwh=kwh: float(state) >= kwh)
        counters = (await simulator.state())["counters"]
        self.exported_before_wh = counters["exported_wh"] - exported_kwh * 1000

    async def exported_wh(self) -> float:
        """Return what has truly left the house today, as the allowance counts it."""
        counters = (await self.simulator.state())["counters"]
        return counters["exported_wh"] - self.exported_before_wh

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
        """Run the commissioning test for real, repeats of its own included; return its seconds."""
        assert (await self.agent.request("commission"))["accepted"]

        async def over() -> bool:
            return not (await self.agent.state())["commissioning"]["running"]

        seconds = await eventually(over, 500, "the commissioning test is over", self.shown)
        test = (await self.agent.state())["commissioning"]
        assert test["passed"], test
        return seconds

    async def discharging(self, within_s: float = 60) -> float:
        """Wait until the inverter discharges and the agent has seen that it does."""

        async def holds() -> bool:
            state = await self.agent.state()
            lease = state["lease"]
            # A lease that is being stopped is confirmed too.
            wanted = state["phase"] == "DISCHARGE_ACTIVE" and state["reason"]["code"] != "stopping"
            seen = wanted and lease and lease["confirmed"]
            return bool(seen) and await self.simulator.discharging()

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

    async def inverter_s(self) -> float:
        """Return the time on the inverter's own clock."""
        seconds: float = (await self.simulator.state())["plant"]["time_s"]
        return seconds

    async def ended_by_timer(self, since_s: float) -> float:
        """
        Wait until the inverter has ended, unaided, a dispatch that nobody is there to touch.

        Args:
            since_s: a moment on the inverter's clock.

        Returns:
            The seconds from that moment to the battery's rest, on the same clock.
        """
        before = await self.simulator.state()
        assert before["dispatch"]["duration_s"] <= self.path.lease_s
        if self.path.faster > 1:
            await self._hurry()
        left_s = (await self.simulator.state())["dispatch"]["remaining_s"]
        await eventually(
            self.simulator.idle, left_s + EXIT_LAG_S, "the dispatch has ended", self.simulator.state
        )
        after = await self.simulator.state()
        touched = after["last_writes"][before["writes"] - after["writes"] :]
        assert after["writes"] == before["writes"], f"ended or extended by somebody: {touched}"
        seconds = after["plant"]["time_s"] - since_s
        assert seconds <= self.path.lease_s + EXIT_LAG_S
        return seconds

    async def _hurry(self) -> None:
        """Let the inverter's clock run faster until the last seconds of its dispatch."""

        async def nearly_over() -> bool:
            dispatch = (await self.simulator.state())["dispatch"]
            return not dispatch["active"] or dispatch["remaining_s"] <= LAST_SECONDS_S

        await self.simulator.set(plant={"load_override_w": ALL_USED_W}, speed=self.path.faster)
        try:
            await eventually(
                nearly_over, self.path.lease_s, "the dispatch runs out", self.simulator.state
            )
        finally:
            load_w = QUIET["load_override_w"]
            await self.simulator.set(plant={"load_override_w": load_w}, speed=1)

    async def timer_over(self) -> None:
        """
        Let Core's timer end behind the inverter's, where the inverter's clock ran ahead of it.

        It would else reset what another test has started by then.
        """
        if self.path.timer is not None and self.path.toggle is not None:
            await self.client.call("timer.finish", self.path.timer)
            await self.client.until(self.path.toggle, "off")

    async def at_rest(self) -> None:
        """Bring back what a test may have left, so that one that failed costs no other its case."""
        await self.simulator.set(
            clear_faults=True,
            speed=1,
            faults={"slow_s": ANSWER_S[self.core.version]},
            plant=QUIET,
        )
        if self.core.pid is None:
            await self.returned()
        if self.agent.popen is None:
            await self.agent.start()
        await self.agent.settings(safety_margin_kwh=0.5)
        await self.caught_up()
        await self.ready(REST_WITHIN_S)
        await self.agent.request("stop_discharge")
        await self.agent.request("acknowledge")

        async def resting() -> bool:
            state = await self.agent.state()
            free = state["lease"] is None and _could_start(state)
            return free and await self.simulator.idle()

        await eventually(resting, REST_WITHIN_S, "nothing runs and a start is possible", self.shown)

    async def caught_up(self) -> None:
        """
        Wait until Core has worked off the polls that it was behind with.

        After an inverter was mute, Core 2024.1 is so for minutes; a reset that it still has in its
        queue would switch off what the next test has started.
        """

        async def holds() -> bool:
            began_s = time.monotonic()
            with suppress(TimeoutError):
                await self.client.call("homeassistant.update_entity", ANY_POLLED)
            return time.monotonic() - began_s < POLLED_WITHIN_S

        await eventually(holds, 240, "Core polls without delay", self.shown)

    async def meters_written_down(self) -> None:
        """
        Restart Core in order, with all energy on its meters and no more of it on the way.

        It writes its meters down then, else every 15 minutes; one that is killed before that
        begins its day again, and an agent that has seen more waits 15 minutes to believe it. So
        does one that shows, after its start, what it had not read before.
        """
        await self.simulator.set(plant={"pv_override_w": 0})
        for total in TOTALS:
            await self.client.call("homeassistant.update_entity", total)
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
async def stack(version: str, path: HousePath, directory: Path) -> AsyncIterator[Stack]:
    """Run a house with an agent that may control it, not yet commissioned, until the block ends."""
    began_s = time.monotonic()
    async with without_agent(version, path, directory) as house:
        await house.simulator.set(faults={"slow_s": ANSWER_S[version]})
        await house.has_had(PRODUCED_KWH, EXPORTED_KWH)
        await house.agent.start()
        await house.agent.settings(
            path=path.name,
            mode="control",
            export_limit_w=3680,
            target_export_w=3000,
            minimum_off_s=0,
        )
        await house.ready()
        house.up_s = time.monotonic() - began_s
        yield house


@asynccontextmanager
async def without_agent(
    version: str, path: HousePath, directory: Path, **package: int
) -> AsyncIterator[Stack]:
    """
    Run every part of a house but its agent, which ends with them when the block ends.

    Args:
        version: of Home Assistant Core.
        path: how the agent will command.
        directory: an empty one, for what the parts write.
        package: how the Hillview package differs, as `hillview.package` takes it.
    """
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
            packages={"alphaess": hillview.package(simulator.modbus_port, **package)},
            time_zone=noon_zone(),
        )
        exits.callback(core.kill)
        core.spawn()
        await core.running(120)
        client = await exits.enter_async_context(CoreClient(core.url, core.token))
        agent = Agent(directory, http)
        exits.callback(agent.kill)
        agent.meet(core, broker)
        await reset_over(client)
        yield Stack(path, simulator, broker, core, agent, client)


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
