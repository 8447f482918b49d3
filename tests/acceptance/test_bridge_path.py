"""
Home Assistant down: the house is guarded through its bridge.

Every part is real but the inverter, see `bridge_scene`.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.fleet.gate_models import Block
from tests.acceptance.bridge_scene import LIMIT_W, scene
from tests.acceptance.parts import Json, eventually
from tests.bridge.scene import GONE_S, MOMENT_S, RESET, until
from tests.fleet.test_agent import sticker
from tests.peers.fixtures import MakeDevice
from tests.peers.ha_client import CoreClient
from tests.peers.install import NEWEST

pytestmark = [pytest.mark.bridge_path, pytest.mark.peers("inverter", f"homeassistant {NEWEST}")]

DOWN_S = 180
"""How long Home Assistant is away."""
OVER_S = 15
"""How long the bridge's path may take to come back below the limit."""
LEASE_S = 60
RELEASED_WITHIN_S = 30
QUEUED_S = 450
"""A command that Core had not answered when it stopped may have been in its queue: it is waited for
longer than for one that had arrived."""
ALLOWED_WH = 100
SHADOW = "sensor.wrong_sign"
NOTIFIED = "export_monitor_sources_disagree"
Record = Callable[[str, object], None]


async def test_limit_and_allowance_hold_while_home_assistant_is_down_and_no_dispatch_outlives_us(
    make_device: MakeDevice, tmp_path: Path, record_property: Record
) -> None:
    async with scene(make_device, tmp_path, tolerance_kwh=ALLOWED_WH / 1000) as it:
        await it.free(60)
        exported_wh = it.plant.true_exported_wh
        await it.discharges()
        await it.core.stopped()
        down_s = time.monotonic()
        # Somebody switches the oven off, while the first lease still has its full power.
        it.plant.load_override_w = 200.0
        await until(lambda: it.plant.grid_w < -LIMIT_W, 5, "the house uses less")
        await until(lambda: it.plant.grid_w >= -LIMIT_W, OVER_S, "back below the limit")
        await it.idle(DOWN_S)
        used_wh = it.plant.true_exported_wh - exported_wh
        record_property("exported of 100 Wh without Home Assistant", round(used_wh))
        assert ALLOWED_WH / 2 < used_wh <= ALLOWED_WH
        assert "allowance_used" in await it.codes("blockers")
        assert not await it.codes("problems")

        await it.agent.settings(tolerance_kwh=3)
        await it.free(15)
        await it.discharges()
        await asyncio.sleep(max(0.0, DOWN_S - (time.monotonic() - down_s)))
        assert it.core.pid is None
        assert it.plant.dispatch.active
        assert max(it.over_s) <= OVER_S
        record_property("seconds above the limit, the longest", round(max(it.over_s), 1))

        writes = len(it.inverter.writes)
        it.agent.kill()
        killed_s = time.monotonic()
        await until(
            lambda: RESET in [write.values for write in it.inverter.writes[writes:]],
            GONE_S + MOMENT_S,
            "the bridge writes the reset",
        )
        await until(lambda: it.plant.grid_w > -100, 10, "nothing leaves the house")
        took_s = time.monotonic() - killed_s
        record_property("the bridge has ended what a killed agent left after", round(took_s, 1))
        assert took_s <= LEASE_S
        assert not it.plant.dispatch.active


@pytest.mark.timeout(1200)  # Each change of path waits for what the old one may still do.
async def test_each_path_takes_over_from_the_other_and_never_are_there_two_owners(
    make_device: MakeDevice, tmp_path: Path, record_property: Record
) -> None:
    wishes = {"tolerance_kwh": 20, "fallback_path": "ha_register"}
    async with scene(make_device, tmp_path, moved=True, **wishes) as it:
        await it.free(60)
        await it.discharges()
        await asyncio.to_thread(it.device.kill)
        gone_s = time.monotonic()
        await it.has("path_fallback", 120)
        by_bridge = it.serial_starts()
        await it.free(120)
        await it.discharges(60)
        record_property("Home Assistant discharges after", round(time.monotonic() - gone_s, 1))
        assert it.serial_starts() == by_bridge
        assert time.monotonic() - by_bridge[-1] > LEASE_S, "the bridge's last lease was over"

        await asyncio.to_thread(it.device.start)
        await asyncio.sleep(15)  # it is online; the path stays where the discharge runs
        assert "path_fallback" in await it.codes("problems")
        await it.renewed()
        await it.core.stopped()
        gone_s = time.monotonic()
        last = [write for write in it.inverter.writes if write.values[0]][-1]
        await it.has("path_fallback", 150, gone=True)
        await it.free(QUEUED_S)
        await it.discharges(60)
        record_property("the bridge discharges after", round(time.monotonic() - gone_s, 1))
        first_s = it.serial_starts()[len(by_bridge)]
        assert first_s - last.at_s > last.values[-1], "Home Assistant's last lease was over"
        assert max(it.over_s, default=0.0) <= OVER_S


async def test_what_home_assistant_reads_otherwise_is_told_and_stops_nothing(
    make_device: MakeDevice, tmp_path: Path, record_property: Record
) -> None:
    wishes = {"tolerance_kwh": 20, "entities": {"grid_power": SHADOW}}
    async with (
        scene(make_device, tmp_path, **wishes) as it,
        CoreClient(it.core.url, it.core.token) as client,
    ):

        async def reads(sign: int) -> None:
            while True:
                grid_w = sign * it.plant.grid_w
                await client.says(SHADOW, f"{grid_w:.0f}", unit_of_measurement="W")
                await asyncio.sleep(2)

        async def told() -> bool:
            return NOTIFIED in await client.notifications()

        reading = asyncio.create_task(reads(-1))
        await it.free(60)
        await it.discharges()
        took_s = await it.has("sources_disagree", 180)
        record_property("a wrong sign in Home Assistant is told after", round(took_s, 1))
        await eventually(told, 30, "a notification says so", client.notifications)
        assert it.plant.dispatch.active
        assert it.plant.grid_w < -2500

        done = await it.agent.ask("restart_device", sticker(it.device))
        assert (done["accepted"], done["code"]) == (False, Block.DISCHARGING), done
        assert it.plant.dispatch.active

        reading.cancel()
        reading = asyncio.create_task(reads(1))
        await it.has("sources_disagree", 120, gone=True)
        await it.agent.request("stop_discharge")
        await it.idle(30)
        reading.cancel()


async def test_a_restarted_agent_adopts_its_dispatch_and_one_that_is_told_gives_the_battery_back(
    make_device: MakeDevice, tmp_path: Path, record_property: Record
) -> None:
    async with scene(make_device, tmp_path, tolerance_kwh=20) as it:
        await it.free(60)
        assert (await it.agent.request("commission"))["accepted"]
        test: Json = {}

        async def over() -> bool:
            test.update((await it.agent.state())["commissioning"])
            return not test["running"]

        took_s = await eventually(over, 240, "the commissioning test is over", it.shown)
        assert test["passed"], test
        record_property("commissioning test through the bridge", round(took_s, 1))

        await it.free(60)
        await it.discharges()
        since = it.agent.last_event()
        it.agent.kill()
        await it.agent.start()
        await it.agent.wrote("adopted", since, GONE_S)
        await it.agent.wrote("renewal", since, LEASE_S)
        assert "stop" not in {event["kind"] for event in it.agent.events(since)}
        assert it.plant.grid_w < -2500

        code, took_s = await it.agent.terminated(signal.SIGTERM, RELEASED_WITHIN_S)
        assert not it.plant.dispatch.active, "the agent left a dispatch behind"
        assert code == 0
        assert "stop_verified" in {event["kind"] for event in it.agent.events(since)}
        record_property("SIGTERM to verified and exit 0, through the bridge", round(took_s, 1))
        since = it.agent.last_event()
        await it.agent.start()
        await it.agent.wrote("found_idle", since, LEASE_S)
