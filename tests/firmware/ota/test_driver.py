"""Our uploads to simulated bridges: every dialect, every failure, and many at once."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack

import pytest

from agent.firmware.ota.driver import Limits, upload
from agent.firmware.ota.models import Outcome, Reason, Secrets
from agent.firmware.ota.payload import Form, Payload
from agent.simulator.ota_boot import Flash, Timing
from agent.simulator.ota_bridge import OtaBridge
from agent.simulator.ota_rules import Auth, Failure, Fault, OtaRules, Stage
from tests.peers.process import LOOPBACK, free_port
from tests.simulator.test_ota_bridge import BAD, GOOD, IMAGE, OLD
from tests.simulator.waiting import until
from tests.test_footprint_imports import loaded_by

pytestmark = pytest.mark.peers("bridge")

QUICK = Limits(connect_s=1, greeting_s=0.3, answer_s=0.3, extra_attempts=0)
STAYS = Timing(closes_s=60)
"""Nothing restarts under a case that looks at what was committed."""
TWICE = Limits(connect_s=1, greeting_s=0.3, answer_s=0.3, extra_attempts=1, pause_s=0.01)


def bridge_of(*faults: Fault, **rules: object) -> OtaBridge:
    rules = {"greeting_s": 0.5, "data_s": 0.5, **rules}
    return OtaBridge(Flash(OLD), OtaRules(faults=faults, **rules), timing=STAYS)  # type: ignore[arg-type]


async def test_every_dialect_of_a_bridge_is_spoken() -> None:
    payload = Payload(IMAGE)
    wanted = hashlib.sha256(IMAGE).hexdigest()
    for name, (rules, password, key) in GOOD.items():
        secrets = Secrets(password, key, allow_md5=rules.auth is Auth.MD5)
        quick = Timing(closes_s=0.0, boots_s=0.0)
        async with OtaBridge(Flash(OLD), rules, timing=quick) as bridge:
            done = await upload([LOOPBACK], bridge.port, payload, secrets, deadline_s=5)
            assert done.outcome is Outcome.SENT, (name, done)
            assert done.encrypted == (key is not None), name
            await until(lambda: bridge.flash.boots == 2)
            assert bridge.flash.running.sha256 == wanted, name


async def test_every_refusal_of_a_bridge_is_final_and_says_what_to_do() -> None:
    payload = Payload(IMAGE)
    expected = {
        "wrong password": Reason.WRONG_PASSWORD,
        "no password": Reason.NO_PASSWORD,
        "wrong key": Reason.WRONG_KEY,
        "key required": Reason.ENCRYPTION_REQUIRED,
        "too large": Reason.TOO_LARGE,
        "signature": Reason.SIGNATURE,
        "downgrade": Reason.DOWNGRADE,
        "flash": Reason.WRITING_FLASH,
        "features": Reason.ENCRYPTION_REQUIRED,
    }
    for name, (rules, password, key, _) in BAD.items():
        async with OtaBridge(Flash(OLD), rules, timing=STAYS) as bridge:
            secrets = Secrets(password, key)
            done = await upload([LOOPBACK], bridge.port, payload, secrets, deadline_s=5)
            assert (done.outcome, done.attempts) == (Outcome.REFUSED, 1), (name, done)
            assert done.verdict.reason is expected[name]
            assert done.verdict.next_step, name
            assert bridge.uploads == 0, name


@pytest.mark.parametrize("failure", [Failure.STALL, Failure.CUT])
@pytest.mark.parametrize("stage", Stage)
async def test_a_failure_before_the_last_block_is_repeated_and_one_after_it_never(
    stage: Stage, failure: Failure
) -> None:
    fault = Fault(stage, failure, after_bytes=9000 if stage is Stage.DATA else 0, times=1)
    late = stage in {Stage.RECEIVED, Stage.CHECKING, Stage.COMMITTED}
    async with bridge_of(fault) as bridge:
        done = await upload(
            [LOOPBACK], bridge.port, Payload(IMAGE), Secrets(), deadline_s=5, limits=TWICE
        )
        if not late:
            assert (done.outcome, done.attempts) == (Outcome.SENT, 2), done
            assert len(done.evidence) == 2
            return
        assert (done.outcome, done.attempts) == (Outcome.AMBIGUOUS, 1), done
        assert done.verdict.reason is (Reason.LOST if failure is Failure.CUT else Reason.SILENT)
        await until(lambda: bridge.uploads == (stage is Stage.COMMITTED))


async def test_an_error_that_comes_while_blocks_are_under_way_is_heard() -> None:
    image = bytes(range(256)) * 8000
    fault = Fault(Stage.DATA, Failure.ERROR, 0x83, 30_000)
    for rules in ({"deflate": False}, {"deflate": False, "version": 1}):
        async with bridge_of(fault, slot_bytes=1 << 22, **rules) as bridge:
            done = await upload([LOOPBACK], bridge.port, Payload(image), Secrets(), deadline_s=5)
        assert (done.outcome, done.verdict.code) == (Outcome.REFUSED, 0x83), done
        assert done.attempts == 1


async def test_addresses_are_tried_in_turn_and_nobody_there_is_said_in_words() -> None:
    nobody = free_port()
    done = await upload(
        [LOOPBACK, "127.0.0.2"], nobody, Payload(IMAGE), Secrets(), deadline_s=5, limits=TWICE
    )
    assert (done.outcome, done.verdict.reason) == (Outcome.FAILED, Reason.UNREACHABLE)
    assert (done.attempts, done.address) == (3, None)
    assert "127.0.0.2: Nothing took the connection: Connect" in done.evidence[1]
    async with bridge_of() as bridge:
        where = ["127.0.0.2", LOOPBACK]
        done = await upload(where, bridge.port, Payload(IMAGE), Secrets(), deadline_s=5)
    assert (done.outcome, done.attempts, done.address) == (Outcome.SENT, 2, LOOPBACK)


async def test_the_deadline_ends_it_wherever_it_stands() -> None:
    for stage, outcome in ((Stage.AUTH, Outcome.FAILED), (Stage.CHECKING, Outcome.AMBIGUOUS)):
        async with bridge_of(Fault(stage, Failure.STALL), greeting_s=5, data_s=5) as bridge:
            done = await upload([LOOPBACK], bridge.port, Payload(IMAGE), Secrets(), deadline_s=0.2)
        assert (done.outcome, done.verdict.reason) == (outcome, Reason.DEADLINE)
        assert "not over after 0.2 s; it stood after" in done.verdict.text
        assert done.seconds < 2


async def test_a_wish_to_stop_counts_until_the_last_block_and_between_attempts() -> None:
    stop = asyncio.Event()
    async with bridge_of() as bridge:
        done = await upload(
            [LOOPBACK],
            bridge.port,
            Payload(IMAGE),
            Secrets(),
            progress=lambda it: stop.set() if it.sent_bytes == it.total_bytes else None,
            deadline_s=5,
            cancel=stop,
        )
    assert stop.is_set()
    assert done.outcome is Outcome.SENT
    waiting = Limits(pause_s=60)
    stop.clear()
    asyncio.get_running_loop().call_later(0.05, stop.set)
    done = await upload(
        [LOOPBACK],
        free_port(),
        Payload(IMAGE),
        Secrets(),
        deadline_s=5,
        cancel=stop,
        limits=waiting,
    )
    assert (done.outcome, done.attempts) == (Outcome.CANCELLED, 1)
    assert done.seconds < 2


async def test_a_cancelled_task_closes_its_connection_and_leaves_the_image_to_the_others() -> None:
    payload = Payload(IMAGE)
    stall = Fault(Stage.CHECKSUM, Failure.STALL)
    async with bridge_of(stall, data_s=20) as bridge:
        task = asyncio.ensure_future(
            upload([LOOPBACK], bridge.port, payload, Secrets(), deadline_s=5)
        )
        await until(lambda: bridge.hits[stall] == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with bridge_of() as bridge:
        done = await upload([LOOPBACK], bridge.port, payload, Secrets(), deadline_s=5)
    assert done.outcome is Outcome.SENT


async def test_a_key_is_given_up_only_for_a_bridge_that_is_named() -> None:
    key = GOOD["noise"][2]
    async with bridge_of() as bridge:
        kept = await upload(
            [LOOPBACK], bridge.port, Payload(IMAGE), Secrets(None, key), deadline_s=5
        )
        assert (kept.outcome, kept.verdict.reason) == (Outcome.REFUSED, Reason.NOT_ENCRYPTED)
        plain = Secrets(None, key, allow_plaintext=True)
        done = await upload([LOOPBACK], bridge.port, Payload(IMAGE), plain, deadline_s=5)
        assert (done.outcome, done.encrypted) == (Outcome.SENT, False)


async def test_many_uploads_of_one_image_share_its_bytes_and_each_form_is_made_once() -> None:
    payload = Payload(IMAGE)
    async with AsyncExitStack() as stack:
        bridges = [await stack.enter_async_context(bridge_of()) for _ in range(20)]
        done = await asyncio.gather(
            *(
                upload([LOOPBACK], it.port, payload, Secrets(), deadline_s=10, limits=QUICK)
                for it in bridges
            )
        )
    assert {it.outcome for it in done} == {Outcome.SENT}
    assert await payload.form(Form.DEFLATE) is await payload.form(Form.DEFLATE)
    assert (await payload.form(Form.PLAIN)).data.obj is IMAGE


async def test_what_cannot_be_uploaded_is_said_before_anything_is_opened() -> None:
    with pytest.raises(ValueError, match="0 bytes cannot be uploaded"):
        Payload(b"")
    with pytest.raises(ValueError, match="needs an address"):
        await upload([], 3232, Payload(IMAGE), Secrets(), deadline_s=1)


def test_an_agent_that_never_encrypted_an_upload_has_not_loaded_what_that_takes() -> None:
    loaded = loaded_by("import agent.firmware.ota.driver")
    assert not {"aioesphomeapi", "noise", "cryptography"} & loaded
