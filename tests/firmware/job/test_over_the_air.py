"""How an upload ended, in the job's words: what may be on trial is never taken for a failure."""

from __future__ import annotations

import asyncio

import pytest

from agent.firmware.job.models import MAYBE_TAKEN, How, Request, UploadEnd
from agent.firmware.job.over_the_air import OverTheAir, Place, ended
from agent.firmware.ota.driver import Limits
from agent.firmware.ota.models import Outcome, Reason, Secrets, Upload, Verdict
from agent.firmware.ota.payload import Payload
from agent.simulator.ota_rules import OtaRules
from tests.firmware.job.simulated import LOOPBACK, Bridge, made, release_of


def over(outcome: Outcome, reason: Reason, total: int = 4096, code: int | None = None) -> UploadEnd:
    verdict = Verdict(outcome, reason, "It ended.", "Look.", code)
    return ended(Upload(verdict, LOOPBACK, False, 0, total, False, 1, 1.0, ()))


@pytest.mark.parametrize(
    ("end", "how", "taken", "network"),
    [
        (over(Outcome.SENT, Reason.COMMITTED), How.SENT, True, False),
        (over(Outcome.AMBIGUOUS, Reason.LOST), How.CUT_LATE, True, True),
        (over(Outcome.AMBIGUOUS, Reason.DEADLINE), How.CUT_LATE, True, False),
        (over(Outcome.FAILED, Reason.LOST), How.CUT, False, True),
        (over(Outcome.FAILED, Reason.UNREACHABLE, 0), How.NOT_BEGUN, False, True),
        (over(Outcome.CANCELLED, Reason.CANCELLED), How.CUT, False, False),
        (over(Outcome.CANCELLED, Reason.CANCELLED, 0), How.NOT_BEGUN, False, False),
        (over(Outcome.REFUSED, Reason.SIGNATURE, code=0x8D), How.REFUSED, False, False),
    ],
)
def test_each_end_of_an_upload_has_its_word(
    end: UploadEnd, how: How, taken: bool, network: bool
) -> None:
    assert (end.how, end.how in MAYBE_TAKEN, end.network) == (how, taken, network)
    assert ("(0x8D)" in end.text) == (how is How.REFUSED)


async def test_a_bridge_that_is_nowhere_gets_nothing_and_a_wish_to_stop_ends_an_upload() -> None:
    data = made("1.1.0")
    stop = asyncio.Event()

    async def payload(_: object) -> Payload:
        return Payload(data)

    async with Bridge(1, OtaRules()) as bridge:
        wish = Request(bridge.mac, release_of(data, "1.1.0"), "Ada")
        nowhere = OverTheAir(lambda _: None, lambda _: Secrets(), payload)
        end = await nowhere.upload(wish, lambda *_: None)
        assert (end.how, end.code, end.network) == (How.NOT_BEGUN, "unreachable", True)
        air = OverTheAir(
            lambda _: Place((LOOPBACK,), bridge.port),
            lambda _: Secrets(),
            payload,
            limits=Limits(connect_s=2.0),
            cancel=stop,
        )
        stop.set()
        end = await air.upload(wish, lambda *_: None)
        assert (end.code, bridge.uploads) == ("cancelled", 0)
        assert bridge.flash.running.version == "1.0.0"
