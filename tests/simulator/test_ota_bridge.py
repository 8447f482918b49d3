"""The simulated bridge takes uploads as a real one: ESPHome's own uploader says so."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from agent.firmware.ota.driver import Limits, upload
from agent.firmware.ota.models import Outcome, Reason, Secrets
from agent.firmware.ota.payload import Payload
from agent.firmware.ota.wire import MAGIC
from agent.simulator.ota_boot import (
    BAD_BOOTS,
    Cause,
    Fate,
    Flash,
    Image,
    Timing,
    confirmed,
    started,
)
from agent.simulator.ota_bridge import OtaBridge
from agent.simulator.ota_rules import Auth, Failure, Fault, OtaRules, Stage, accepts_all
from tests.peers.esphome_firmware import API_KEY, OLDER_HOME, OTA_PASSWORD, firmware
from tests.peers.esphome_uploader import Job, uploaded
from tests.peers.fixtures import MakeDevice
from tests.peers.process import LOOPBACK
from tests.simulator.waiting import until

OLD = Image("old", "1.0.0")
NEW = Image("new", "1.1.0")
FAST = Timing(closes_s=0.01, boots_s=0.01, fails_after_s=0.05, watchdog_s=0.05, good_after_s=0.2)
IMAGE = random.Random(1).randbytes(30_000) + bytes(20_000)  # noqa: S311 - any image will do
WRONG_KEY = "YW5vdGhlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGU="


def failing(stage: Stage, code: int, after_bytes: int = 0) -> OtaRules:
    return OtaRules(faults=(Fault(stage, Failure.ERROR, code, after_bytes),))


SHA256 = OtaRules(auth=Auth.SHA256, password="secret")
GOOD: dict[str, tuple[OtaRules, str | None, str | None]] = {
    "open": (OtaRules(), None, None),
    "uncompressed": (OtaRules(deflate=False), None, None),
    "version 1": (OtaRules(version=1, deflate=False), None, None),
    "version 1, deflate": (OtaRules(version=1), None, None),
    "not extended": (OtaRules(extended=False), None, None),
    "not extended, gzip": (OtaRules(extended=False, gzip=True), None, None),
    "extended, gzip": (OtaRules(deflate=False, gzip=True), None, None),
    "sha256": (SHA256, "secret", None),
    "md5": (OtaRules(extended=False, auth=Auth.MD5, password="secret"), "secret", None),
    "noise": (OtaRules(noise_psk=API_KEY), None, API_KEY),
    "noise, uncompressed": (OtaRules(noise_psk=API_KEY, deflate=False), None, API_KEY),
    "noise, version 1": (OtaRules(noise_psk=API_KEY, version=1), None, API_KEY),
    "noise required": (
        OtaRules(noise_psk=API_KEY, encryption_required=True),
        None,
        API_KEY,
    ),
    "noise offered": (OtaRules(noise_psk=API_KEY), None, None),
}
BAD: dict[str, tuple[OtaRules, str | None, str | None, str]] = {
    "wrong password": (SHA256, "other", None, "Is the password correct"),
    "no password": (SHA256, None, None, "no password given"),
    "wrong key": (OtaRules(noise_psk=API_KEY), None, WRONG_KEY, "encryption key correct"),
    "key required": (
        OtaRules(noise_psk=API_KEY, encryption_required=True),
        None,
        None,
        "requires an encrypted OTA connection",
    ),
    "too large": (OtaRules(slot_bytes=40_000), None, None, "OTA partition on the ESP is too small"),
    "signature": (OtaRules(verify=lambda _: 0x8D), None, None, "signature verification failed"),
    "downgrade": (OtaRules(verify=lambda _: 0x93), None, None, "downgrade protection"),
    "flash": (failing(Stage.DATA, 0x83, 9000), None, None, "Writing OTA data to flash"),
    "features": (failing(Stage.FEATURES, 0x94), None, None, "requires an encrypted"),
}


@pytest.mark.parametrize("older", [False, True], ids=["newest", "older"])
@pytest.mark.peers("bridge", "esphome")
async def test_esphomes_own_uploader_meets_a_bridge_in_every_dialect(
    tmp_path: Path, older: bool
) -> None:
    if firmware("plain") is None or not OLDER_HOME.exists():
        pytest.skip("no ESPHome: run script/setup")
    file = tmp_path / "image.bin"
    file.write_bytes(IMAGE)
    cases = {name: (*case, "") for name, case in GOOD.items()} | BAD
    if older:  # it cannot encrypt, and has no words for what is newer than it
        cases = {
            name: (rules, password, key, sentence)
            for name, (rules, password, key, sentence) in cases.items()
            if key is None and rules.verify is accepts_all
        }
        del cases["key required"], cases["features"]
    async with AsyncExitStack() as stack:
        bridges = [
            await stack.enter_async_context(OtaBridge(Flash(OLD), rules, timing=FAST))
            for rules, *_ in cases.values()
        ]
        jobs = [
            Job(bridge.host, bridge.port, str(file), password, key)
            for bridge, (_, password, key, _) in zip(bridges, cases.values(), strict=True)
        ]
        told = await asyncio.to_thread(uploaded, jobs, older=older)
        for name, bridge, said in zip(cases, bridges, told, strict=True):
            sentence = cases[name][3]
            assert (said.code == 0) == (name in GOOD), f"{name}: {said.log}"
            assert sentence in said.log, f"{name}: {said.log}"
            assert bridge.uploads == (name in GOOD), name
            if name in GOOD:
                await until(lambda: bridge.flash.boots == 2)  # noqa: B023 - awaited at once
                assert bridge.flash.running.sha256 == hashlib.sha256(IMAGE).hexdigest(), name


def test_a_restart_confirms_an_image_on_trial_and_a_death_brings_the_old_one_back() -> None:
    fresh = started(Flash(OLD, boots=1), Cause.OTA, NEW)
    assert (fresh.running, fresh.other, fresh.on_trial) == (NEW, OLD, True)
    for cause in (Cause.CRASH, Cause.WATCHDOG, Cause.POWER):
        back = started(fresh, cause)
        assert (back.running, back.rolled_back, back.on_trial) == (OLD, True, False), cause
        assert back.reset_reason is cause
        assert started(confirmed(fresh), cause).running == NEW, cause
    kept = started(fresh, Cause.RESTART)
    assert (kept.running, kept.on_trial) == (NEW, False)
    assert started(kept, Cause.CRASH).running == NEW


def test_without_rollback_an_image_that_keeps_dying_ends_in_safe_mode_and_leaves_it() -> None:
    flash = started(Flash(OLD, rollback=False), Cause.OTA, NEW)
    for boot in range(1, BAD_BOOTS + 1):
        assert not flash.safe_mode, boot
        flash = started(flash, Cause.CRASH)
        assert flash.running == NEW
    assert flash.safe_mode
    assert not started(flash, Cause.RESTART).safe_mode
    assert started(flash, Cause.OTA, OLD).running == OLD


@pytest.mark.parametrize("fate", [Fate.NEVER_UP, Fate.CRASHES, Fate.HANGS, Fate.GOOD])
@pytest.mark.peers("bridge")
async def test_a_bridge_lives_with_an_uploaded_image_as_its_fate_says(fate: Fate) -> None:
    lived: list[tuple[str, bool]] = []

    def note(bridge: OtaBridge) -> None:
        lived.append((bridge.flash.running.version, bridge.is_up))

    read = {"read": lambda _: replace(NEW, fate=fate), "changed": note}
    async with OtaBridge(Flash(OLD), OtaRules(), timing=FAST, **read) as bridge:
        done = await upload([LOOPBACK], bridge.port, Payload(IMAGE), Secrets(), deadline_s=5)
        assert done.outcome is Outcome.SENT
        if fate is Fate.GOOD:
            await until(lambda: bridge.flash.boots == 2 and not bridge.flash.on_trial)
            assert bridge.flash.running.version == "1.1.0"
            return
        await until(lambda: bridge.flash.rolled_back and bridge.is_up)
        assert bridge.flash.running == OLD
        was_up = ("1.1.0", True) in lived
        assert was_up == (fate is not Fate.NEVER_UP)
        cause = Cause.WATCHDOG if fate is Fate.HANGS else Cause.CRASH
        assert bridge.flash.reset_reason is cause
        again = await upload([LOOPBACK], bridge.port, Payload(IMAGE), Secrets(), deadline_s=5)
        assert again.outcome is Outcome.SENT


@pytest.mark.peers("bridge")
async def test_a_hanging_bridge_takes_connections_and_answers_none() -> None:
    slow = replace(FAST, fails_after_s=0.0, watchdog_s=60)
    hangs = Flash(replace(OLD, fate=Fate.HANGS))
    async with OtaBridge(hangs, OtaRules(), timing=slow) as bridge:
        await until(lambda: not bridge.is_up)
        quick = Limits(greeting_s=0.1, extra_attempts=0)
        done = await upload(
            [LOOPBACK], bridge.port, Payload(IMAGE), Secrets(), deadline_s=5, limits=quick
        )
    assert (done.outcome, done.verdict.reason) == (Outcome.FAILED, Reason.SILENT)


PROBES = {
    "no greeting of ours": [b"GET /"],
    "no password by SHA-256": [MAGIC, b"\x00"],
    "extended": [MAGIC, b"\x06"],
    "deflate": [MAGIC, b"\x16"],
    "wrong answer": [MAGIC, b"\x06", b"0" * 128],
}


@pytest.mark.peers("bridge", "esphome")
async def test_it_answers_probes_as_real_firmware_does(make_device: MakeDevice) -> None:
    rules = OtaRules(auth=Auth.SHA256, password=OTA_PASSWORD)
    with make_device("plain", name="bridge-1") as device:
        async with OtaBridge(Flash(OLD), rules) as bridge:
            for name, probe in PROBES.items():
                real = await answers(device.ota_port, probe)
                assert await answers(bridge.port, probe) == real, name
                assert real, name


async def answers(port: int, probe: list[bytes]) -> list[bytes]:
    """Return what comes after each step; of a nonce only that it is one."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    found = []
    for step in probe:
        writer.write(step)
        try:
            async with asyncio.timeout(0.15):
                said = b""
                while piece := await reader.read(4096):
                    said += piece
                said += b" and hung up"
        except TimeoutError:
            pass
        found.append(re.sub(rb"[0-9a-f]{64}", b"<nonce>", said))
    writer.close()
    return found
