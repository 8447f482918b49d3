"""One click on the started agent, and what it says afterwards is what the bridge really runs."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.parts import eventually
from tests.firmware.ota.between import Between, Trouble
from tests.flashing.scene import Installer, installing, sticker
from tests.peers.esphome_firmware import TRIAL, firmware
from tests.peers.esphome_trial import Fate, TrialDevice, image
from tests.peers.fixtures import MakeCore
from tests.peers.ha_client import CoreClient
from tests.peers.install import NEWEST
from tests.peers.mosquitto import Broker
from tests.peers.process import LOOPBACK

pytestmark = pytest.mark.peers("esphome")
STORY = ["asked", "preflight", "download", "verify", "upload", "uploaded", "postcheck"]


def on_trial(folder: Path, name: str, mac: str) -> TrialDevice:
    if firmware(TRIAL) is None:
        pytest.skip("no ESPHome firmware: run script/setup")
    return TrialDevice(folder / name, name=name, mac=mac)


async def test_a_click_is_confirmed_and_one_that_crashes_is_told_as_what_it_is(
    tmp_path: Path, make_core: MakeCore, broker: Broker
) -> None:
    device = on_trial(tmp_path, "bridge-1", "02005e300001")
    core = make_core(NEWEST, broker=broker)
    update = f"update.pv_edge_bridge_{device.mac}_update"
    async with core, CoreClient(core.url, core.token) as home:
        stages = await home.subscribe("pvautonomy_ops_flash_stage")
        with device:
            async with installing(tmp_path, device, core=core, broker=broker) as agent:
                await agent.publishes("1.1.0", image("1.1.0"))
                await agent.start()
                await agent.is_offered(device, "1.1.0")
                await home.until(update, "on")
                name = await agent.installs(device, "1.1.0")
                await home.until_state(update, lambda it: it["attributes"]["in_progress"])
                job = await agent.verdict(name)
                assert job["result"] == "confirmed", job
                story = agent.story(name)
                assert [it for it in story if it in STORY] == STORY
                assert story[-1] == "complete"
                assert device.events == ["staged", "confirmed"]
                await home.until_state(update, lambda it: not it["attributes"]["in_progress"])
                assert home.states[update]["state"] == "off"
                assert home.states[update]["attributes"]["installed_version"] == "1.1.0"
                assert await last(stages, "complete") == (100, "1.1.0", None)

                await agent.publishes("1.2.0", image("1.2.0", Fate.CRASHES))
                await agent.settings(**{"flashing.mqtt_install": True})
                await agent.is_offered(device, "1.2.0")
                await home.until(update, "on")
                await can_install(home, update)
                await home.call("update.install", update)
                job = await agent.verdict(await began(agent, "1.2.0"))
                assert (job["result"], job["by"]) == ("rolled_back", "mqtt"), job
                assert device.events[-2:] == ["staged", "rolled back"]

                async def is_told() -> bool:
                    return f"pv_edge_flash_{device.mac}" in await home.notifications()

                await eventually(is_told, 20, "a person is told", home.notifications)
                _, version, error = await last(stages, "failed")
                assert (version, error) == ("1.2.0", job["text"])


async def last(events: asyncio.Queue[dict[str, Any]], stage: str) -> tuple[int, str, str | None]:
    """Return what Core's bus says of a stage, once it says it."""
    async with asyncio.timeout(20):
        while True:
            it = (await events.get())["data"]
            if it["stage"] == stage:
                return it["progress"], it["version"], it["error"]


async def can_install(home: CoreClient, update: str) -> None:
    """Return when Core's entity has its button: the discovery message has changed."""
    await home.until_state(update, lambda it: bool(it["attributes"]["supported_features"] & 1))


async def began(agent: Installer, version: str) -> str:
    async def holds() -> bool:
        return any(it["version"] == version for it in await agent.jobs())

    await eventually(holds, 20, f"a job for {version}", agent.jobs)
    return next(str(it["job"]) for it in await agent.jobs() if it["version"] == version)


async def test_an_agent_that_is_killed_while_it_sends_classifies_the_job_at_its_next_start(
    tmp_path: Path,
) -> None:
    """The bridge is gone for the guard at once, and is given back with a verdict."""
    device = on_trial(tmp_path, "bridge-1", "02005e300001")
    with device:
        stalled = [Trouble(up_bytes=60_000, stalls=True)] * 20  # the gates knock, too
        async with Between(device.ota_port, *stalled) as between:
            place = f"{LOOPBACK}:{device.api_port}/{between.port} = {sticker(device)}"
            async with installing(tmp_path, device, bridge_list=place) as agent:
                await agent.publishes("1.1.0", image("1.1.0"))
                await agent.start()
                await agent.is_offered(device, "1.1.0")
                name = await agent.installs(device, "1.1.0")

                async def sending() -> bool:
                    return (await agent.job(name))["percent"] > 30

                await eventually(sending, 20, "bytes are on their way", agent.jobs)
                status, answer = await agent.posts("flashing/cancel", {"job": name})
                assert status == 409
                assert "could leave it half done" in answer["text"]
                refused = await agent.ask("restart_device", sticker(device))
                assert "trial" in refused["text"]
                agent.kill()
                await agent.start()
                job = await agent.verdict(name)
                assert job["result"] == "unchanged", job
                assert "interrupted" in str([it for it in agent.events() if "upload" in it])
                again = await agent.ask("restart_device", sticker(device))
                assert again["accepted"], again


async def test_a_stop_waits_for_the_upload_that_runs_and_the_campaign_ends_after_the_next_start(
    tmp_path: Path,
) -> None:
    device = on_trial(tmp_path, "bridge-1", "02005e300001")
    with device:
        async with installing(tmp_path, device) as agent:
            await agent.publishes("1.1.0", image("1.1.0"))
            await agent.start()
            await agent.is_offered(device, "1.1.0")
            status, answer = await agent.posts("flashing/campaigns", {"macs": [sticker(device)]})
            assert status == 200, answer
            name = await began(agent, "1.1.0")

            async def sending() -> bool:
                return "upload" in agent.story(name)

            await eventually(sending, 20, "it is sent", agent.jobs)
            code, _ = await agent.terminated(signal.SIGTERM, 30)
            assert code == 0
            assert "uploaded" in agent.story(name)
            await agent.start()
            job = await agent.verdict(name)
            assert (job["result"], device.events) == ("confirmed", ["staged", "confirmed"]), job

            async def finished() -> bool:
                (campaign,) = (await agent.state())["flashing"]["campaigns"]
                return bool(campaign["status"] == "finished" and campaign["counts"]["confirmed"])

            await eventually(finished, 20, "the campaign has ended", agent.jobs)


async def test_a_boot_loop_is_left_in_safe_mode_and_one_click_mends_it(tmp_path: Path) -> None:
    if firmware(TRIAL) is None:
        pytest.skip("no ESPHome firmware: run script/setup")
    device = TrialDevice(tmp_path / "bridge-1", name="bridge-1", mac="02005e300001", rollback=False)
    with device:
        async with installing(tmp_path, device) as agent:
            await agent.publishes("1.1.0", image("1.1.0", Fate.LOOPS))
            await agent.start()
            await agent.is_offered(device, "1.1.0")
            job = await agent.verdict(await agent.installs(device, "1.1.0"))
            assert job["result"] == "lost", job
            assert "safe mode" in job["text"]
            await agent.publishes("1.2.0", image("1.2.0"))
            job = await agent.verdict(await agent.installs(device, "1.2.0"))
            assert job["result"] == "confirmed", job
            assert device.events[-1] == "confirmed"
