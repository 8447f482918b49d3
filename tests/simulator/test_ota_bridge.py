"""The simulated bridge takes uploads as a real one: ESPHome's own uploader says so."""

from __future__ import annotations

import asyncio
import hashlib
import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from agent.simulator.ota_boot import Flash, Image, Timing
from agent.simulator.ota_bridge import OtaBridge
from agent.simulator.ota_rules import Auth, Failure, Fault, OtaRules, Stage
from tests.peers.esphome_firmware import API_KEY, firmware
from tests.peers.esphome_uploader import Job, uploaded
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


@pytest.mark.peers("bridge", "esphome")
async def test_esphomes_own_uploader_meets_a_bridge_in_every_dialect(tmp_path: Path) -> None:
    if firmware("plain") is None:
        pytest.skip("no ESPHome: run script/setup")
    file = tmp_path / "image.bin"
    file.write_bytes(IMAGE)
    cases = {name: (*case, "") for name, case in GOOD.items()} | BAD
    async with AsyncExitStack() as stack:
        bridges = [
            await stack.enter_async_context(OtaBridge(Flash(OLD), rules, timing=FAST))
            for rules, *_ in cases.values()
        ]
        jobs = [
            Job(bridge.host, bridge.port, str(file), password, key)
            for bridge, (_, password, key, _) in zip(bridges, cases.values(), strict=True)
        ]
        told = await asyncio.to_thread(uploaded, jobs)
        for name, bridge, said in zip(cases, bridges, told, strict=True):
            sentence = cases[name][3]
            assert (said.code == 0) == (name in GOOD), f"{name}: {said.log}"
            assert sentence in said.log, f"{name}: {said.log}"
            assert bridge.uploads == (name in GOOD), name
            if name in GOOD:
                await until(lambda: bridge.flash.boots == 2)  # noqa: B023 - awaited at once
                assert bridge.flash.running.sha256 == hashlib.sha256(IMAGE).hexdigest(), name
