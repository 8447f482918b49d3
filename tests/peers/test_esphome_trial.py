"""A device on trial does with an image what an ESP32 does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.firmware.ota.driver import upload
from agent.firmware.ota.models import Outcome, Secrets
from agent.firmware.ota.payload import Payload
from tests.peers.esphome_firmware import API_KEY, PROJECT_VERSION
from tests.peers.esphome_trial import Fate, TrialDevice, image
from tests.peers.fixtures import MakeDevice
from tests.peers.test_esphome import client


async def sent(device: TrialDevice, version: str, fate: Fate = Fate.HEALTHY) -> None:
    done = await upload(
        [device.host],
        device.ota_port,
        Payload(image(version, fate)),
        Secrets(noise_psk=API_KEY),
        deadline_s=30,
    )
    assert done.outcome is Outcome.SENT, done


async def version(device: TrialDevice) -> str:
    async with client(device) as connection:
        return (await connection.device_info()).project_version


@pytest.mark.peers("esphome")
async def test_an_image_that_dies_or_hangs_on_trial_gives_way_to_the_one_before(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    make_device("trial", name="unused")  # skips where nothing is compiled
    device = TrialDevice(tmp_path / "device", name="bridge-1", mac="02005e10ff01")
    with device:
        await sent(device, "1.1.0")
        await asyncio.to_thread(device.wait_event, "confirmed")
        assert await version(device) == "1.1.0"
        assert device.events == ["staged", "confirmed"]
        for fate, told in (
            (Fate.CRASHES, ["staged", "rolled back"]),
            (Fate.NEVER_UP, ["staged", "rolled back"]),
            (Fate.HANGS, ["staged", "watchdog", "rolled back"]),
        ):
            boots = device.boots
            device.events.clear()
            await sent(device, "1.2.0", fate)
            await asyncio.to_thread(device.wait_boot, boots + 1)
            assert await version(device) == "1.1.0", fate
            assert device.events == told, fate


def test_an_image_can_be_told_only_a_version_of_the_same_length() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0 is not as long"):
        image("10.0.0")
    assert image() != image("1.1.0") != image("1.1.0", Fate.HANGS)
    assert PROJECT_VERSION.encode() + b"\0" not in image("9.9.9")
