"""Our uploads to real ESPHome firmware, over networks that are good and that are not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from agent.firmware.ota.driver import Limits, upload
from agent.firmware.ota.models import Outcome, Progress, Reason, Secrets, Upload
from agent.firmware.ota.payload import Form, Payload, Wire, encoded
from tests.firmware.ota.between import Between, Trouble
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import API_KEY, OLDER, OTA_PASSWORD, TRIAL, firmware
from tests.peers.esphome_trial import TrialDevice, image
from tests.peers.fixtures import MakeDevice
from tests.peers.process import LOOPBACK
from tests.peers.test_esphome import client

pytestmark = pytest.mark.peers("esphome")

PASSWORD = Secrets(password=OTA_PASSWORD)
KEY = Secrets(noise_psk=API_KEY)
OTHER_KEY = "YW5vdGhlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGU="
ONCE = Limits(answer_s=0.4, extra_attempts=0)


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialDevice]:
    """Return one device for all cases; each leaves it running something."""
    if firmware(TRIAL) is None:
        pytest.skip("no ESPHome firmware: run script/setup")
    where = tmp_path_factory.mktemp("bridge")
    with TrialDevice(where, name="bridge-1", mac="02005e10ff02") as device:
        yield device


async def runs(device: Device, version: str) -> None:
    """Return when the device runs that version."""
    async with asyncio.timeout(10):
        while True:
            try:
                async with client(device) as connection:
                    if (await connection.device_info()).project_version == version:
                        return
            except Exception:  # noqa: BLE001, S110 - it restarts
                pass
            await asyncio.sleep(0.05)


async def send(
    port: int, payload: Payload | bytes, secrets: Secrets = PASSWORD, limits: Limits = ONCE
) -> Upload:
    payload = payload if isinstance(payload, Payload) else Payload(payload)
    return await upload([LOOPBACK], port, payload, secrets, deadline_s=20, limits=limits)


@pytest.mark.parametrize(("secrets", "version"), [(PASSWORD, "1.1.0"), (KEY, "1.1.1")])
async def test_a_good_upload_is_acknowledged_to_the_last_byte_and_runs(
    bridge: TrialDevice, secrets: Secrets, version: str
) -> None:
    seen: list[Progress] = []
    done = await upload(
        [LOOPBACK],
        bridge.ota_port,
        Payload(image(version)),
        secrets,
        progress=seen.append,
        deadline_s=20,
    )
    assert (done.outcome, done.attempts, done.encrypted) == (Outcome.SENT, 1, secrets is KEY)
    wire_bytes = len(encoded(image(version), Form.DEFLATE).data)
    acknowledged = [it.acknowledged_bytes for it in seen]
    assert acknowledged == sorted(acknowledged)
    assert acknowledged[-1] == done.acknowledged_bytes == done.total_bytes == wire_bytes
    assert len(set(acknowledged)) > 10
    assert seen[-1].rate_bytes_per_s > 0
    await runs(bridge, version)


@pytest.mark.parametrize(
    ("secrets", "reason", "code", "sentence"),
    [
        (Secrets(password="wrong"), Reason.WRONG_PASSWORD, 0x82, "did not accept the upload pass"),
        (Secrets(), Reason.NO_PASSWORD, None, "asks for an upload password"),
        (Secrets(noise_psk=OTHER_KEY), Reason.WRONG_KEY, None, "another encryption key"),
    ],
)
async def test_a_wrong_secret_is_refused_at_once_and_in_words(
    bridge: TrialDevice, secrets: Secrets, reason: Reason, code: int | None, sentence: str
) -> None:
    done = await send(bridge.ota_port, image("9.9.9"), secrets, Limits())
    assert (done.outcome, done.verdict.reason, done.verdict.code) == (Outcome.REFUSED, reason, code)
    assert sentence in done.verdict.text
    assert (done.attempts, done.last_block_sent) == (1, False)


class Announced(Payload):
    """An image that says it is of another size."""

    async def form(self, form: Form) -> Wire:
        wire = await super().form(form)
        return Wire(form, wire.data, wire.md5, 300 << 20)


class Damaged(Payload):
    """An image that changes on its way."""

    async def form(self, form: Form) -> Wire:
        wire = await super().form(form)
        return Wire(form, wire.data, "0" * 32, wire.image_bytes)


@pytest.mark.parametrize(
    ("payload", "reason", "code", "sent"),
    [
        (Announced(b"too large"), Reason.PREPARE, 0x81, False),
        (Payload(b"no program" * 5000), Reason.UPDATE_END, 0x84, True),
        (Damaged(b"no program" * 5000), Reason.DAMAGED, 0x8B, True),
    ],
)
async def test_an_image_that_the_bridge_cannot_use_is_refused_even_after_the_last_block(
    bridge: TrialDevice, payload: Payload, reason: Reason, code: int, sent: bool
) -> None:
    done = await send(bridge.ota_port, payload)
    assert (done.outcome, done.verdict.reason, done.verdict.code) == (Outcome.REFUSED, reason, code)
    assert done.last_block_sent == sent


async def test_a_bridge_that_requires_encryption_gets_it_or_nothing(
    make_device: MakeDevice,
) -> None:
    with make_device("strict", name="bridge-2") as device:
        done = await send(device.ota_port, image("1.2.0"), PASSWORD)
        assert (done.outcome, done.verdict.code) == (Outcome.REFUSED, 0x94)
        assert "API encryption key" in done.verdict.next_step
        assert (await send(device.ota_port, image("1.2.0"), KEY)).outcome is Outcome.SENT
        await runs(device, "1.2.0")


async def test_a_bridge_of_an_older_esphome_takes_the_newest_firmware(
    make_device: MakeDevice,
) -> None:
    device = make_device("older", name="bridge-3")
    device.switch_on()
    await asyncio.to_thread(device.wait_upload, 1)
    kept = await send(device.ota_port, image("1.3.0"), KEY)
    assert (kept.outcome, kept.verdict.reason) == (Outcome.REFUSED, Reason.NOT_ENCRYPTED)
    wrong = await send(device.ota_port, image("1.3.0"), Secrets(password="wrong"))
    assert (wrong.outcome, wrong.verdict.code) == (Outcome.REFUSED, 0x82)
    done = await send(device.ota_port, image("1.3.0"))
    assert (done.outcome, done.total_bytes) == (Outcome.SENT, len(image("1.3.0")))
    device.key = API_KEY
    await runs(device, "1.3.0")
    assert f"ESPHome version {OLDER} " in device.log(1000)


async def test_a_connection_cut_before_the_last_block_is_tried_again(bridge: TrialDevice) -> None:
    quick = Limits(answer_s=2, pause_s=0.05)
    async with Between(bridge.ota_port, Trouble(up_bytes=60_000)) as network:
        done = await send(network.port, image("1.3.0"), limits=quick)
    assert (done.outcome, done.attempts) == (Outcome.SENT, 2)
    assert "lost" in done.evidence[0]
    await runs(bridge, "1.3.0")


async def test_a_stalled_connection_ends_in_time_and_leaves_the_bridge_as_it_was(
    bridge: TrialDevice,
) -> None:
    await asyncio.to_thread(bridge.wait_api)
    async with Between(bridge.ota_port, Trouble(up_bytes=60_000, stalls=True)) as network:
        done = await send(network.port, image("9.9.9"))
    assert (done.outcome, done.verdict.reason) == (Outcome.FAILED, Reason.SILENT)
    assert "said nothing for 0.4 s after" in done.verdict.text
    assert (done.last_block_sent, done.attempts) == (False, 1)
    assert (await send(bridge.ota_port, image("1.4.0"), limits=Limits())).outcome is Outcome.SENT
    await runs(bridge, "1.4.0")


@pytest.mark.parametrize("stalls", [False, True])
async def test_answers_lost_after_the_last_block_are_ambiguous_and_it_is_not_sent_again(
    bridge: TrialDevice, stalls: bool
) -> None:
    version = f"1.5.{int(stalls)}"
    payload = Payload(image(version))
    blocks = -(-len((await payload.form(Form.DEFLATE)).data) // 8192)
    # Before the acknowledgements: version 2, features 2, nonce 65, and 41, 42 and 43.
    trouble = Trouble(down_bytes=2 + 2 + 65 + 3 + blocks, stalls=stalls)
    async with Between(bridge.ota_port, trouble) as network:
        done = await send(network.port, payload, limits=Limits(answer_s=1.0, pause_s=0.01))
    assert (done.outcome, done.attempts, done.last_block_sent) == (Outcome.AMBIGUOUS, 1, True)
    assert done.acknowledged_bytes == done.total_bytes
    assert "may have committed it or not" in done.verdict.text
    await runs(bridge, version)  # it had


async def test_a_wish_to_stop_closes_the_connection_and_the_bridge_takes_the_next(
    bridge: TrialDevice,
) -> None:
    await asyncio.to_thread(bridge.wait_api)
    stop = asyncio.Event()
    done = await upload(
        [LOOPBACK],
        bridge.ota_port,
        Payload(image("9.9.9")),
        KEY,
        progress=lambda it: stop.set() if it.acknowledged_bytes else None,
        deadline_s=20,
        cancel=stop,
    )
    assert (done.outcome, done.last_block_sent) == (Outcome.CANCELLED, False)
    assert 0 < done.acknowledged_bytes < done.total_bytes
    assert (await send(bridge.ota_port, image("1.6.0"))).outcome is Outcome.SENT
    await runs(bridge, "1.6.0")
