"""One click on the started agent, and what it says afterwards is what the bridge really runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.parts import eventually
from tests.flashing.scene import Installer, installing
from tests.peers.esphome_firmware import TRIAL, firmware
from tests.peers.esphome_trial import Fate, TrialDevice, image
from tests.peers.fixtures import MakeCore
from tests.peers.ha_client import CoreClient
from tests.peers.install import NEWEST
from tests.peers.mosquitto import Broker
from tests.surface.mqtt_scene import until, watching

pytestmark = pytest.mark.peers("esphome")
STORY = ["asked", "preflight", "download", "verify", "upload", "uploaded", "postcheck"]


def on_trial(folder: Path, name: str, mac: str) -> TrialDevice:
    if firmware(TRIAL) is None:
        pytest.skip("no ESPHome firmware: run script/setup")
    return TrialDevice(folder / name, name=name, mac=mac)


async def test_a_click_is_confirmed_and_one_that_crashes_is_told_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_core: MakeCore, broker: Broker
) -> None:
    device = on_trial(tmp_path, "bridge-1", "02005e300001")
    core = make_core(NEWEST, broker=broker)
    update = f"pv_edge_agent/bridge/{device.mac}/update"
    async with core, watching(broker, "pv_edge_agent") as home:
        with device:
            async with installing(tmp_path, monkeypatch, device, core=core, broker=broker) as agent:
                await agent.publishes("1.1.0", image("1.1.0"))
                await agent.start()
                await agent.is_offered(device, "1.1.0")
                name = await agent.installs(device, "1.1.0")
                job = await agent.verdict(name)
                assert job["result"] == "confirmed", job
                story = agent.story(name)
                assert [it for it in story if it in STORY] == STORY
                assert story[-1] == "complete"
                assert device.events == ["staged", "confirmed"]

                def shown() -> dict[str, object]:
                    return dict(json.loads(home.last.get(f"{update}/state", "{}")))

                await until(lambda: shown().get("installed_version") == "1.1.0")
                assert "in_progress" not in shown()

                await agent.publishes("1.2.0", image("1.2.0", Fate.CRASHES))
                await agent.settings(**{"flashing.mqtt_install": True})
                await agent.is_offered(device, "1.2.0")
                await until(lambda: shown().get("latest_version") == "1.2.0")
                home.say(f"{update}/install", "INSTALL")
                bad = await began(agent, "1.2.0")
                job = await agent.verdict(bad)
                assert (job["result"], job["by"]) == ("rolled_back", "mqtt"), job
                assert device.events[-2:] == ["staged", "rolled back"]
                async with CoreClient(core.url, core.token) as client:

                    async def told() -> bool:
                        return f"pv_edge_flash_{device.mac}" in await client.notifications()

                    await eventually(told, 20, "a person is told", client.notifications)
                assert device.name in job["title"].lower().replace(" ", "-")
                await until(lambda: shown().get("installed_version") == "1.1.0")


async def began(agent: Installer, version: str) -> str:
    async def holds() -> bool:
        return any(it["version"] == version for it in await agent.jobs())

    await eventually(holds, 20, f"a job for {version}", agent.jobs)
    return next(str(it["job"]) for it in await agent.jobs() if it["version"] == version)
