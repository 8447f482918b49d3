"""A bridge in safe mode gets a release only if a person asks and it is proven who it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent.firmware.job import recovery, replay
from agent.firmware.job.models import (
    Blame,
    BuildId,
    How,
    JobState,
    Patience,
    Request,
    Result,
    Stage,
    UploadEnd,
    Verdict,
)
from agent.firmware.job.over_the_air import OverTheAir, Place
from agent.firmware.job.preflight import Looked, checked
from agent.firmware.job.recovery import Known, Proof, left_there, own_addresses, proof_of
from agent.firmware.job.replay import Jobs
from agent.firmware.job.verdict import NotYet, concluded
from agent.firmware.job.watch import Mark, Sight, Watch
from agent.firmware.ota.driver import Limits
from agent.firmware.ota.models import Secrets
from agent.firmware.ota.payload import Payload
from agent.firmware.policy.models import Ack, Code, Decision, Finding
from agent.fleet.contact import Contact, ContactState, Port
from agent.fleet.gate_models import Rules
from agent.fleet.record import BridgeRecord, contacted
from agent.fleet.sighting import Source
from agent.simulator.ota_rules import Auth, OtaRules
from tests.firmware.job.simulated import LOOPBACK, Bridge, made, release_of
from tests.firmware.job.test_preflight import IMAGE, PROJECT, RELEASE, REQUEST, YES
from tests.fleet.devices import fleet_of, mac, word
from tests.fleet.test_gates import AT, NOW_S, evidence

SAFE = Contact(ContactState.SAFE_MODE, 900.0)
BAD = replace(REQUEST, release=replace(REQUEST.release, digest="ef" * 32, version="1.2.0"))
SENT = UploadEnd(How.SENT, "It took the image.")
LOST = Verdict(Result.LOST, "It is in safe mode.", ("It is safe mode.",), Blame.RELEASE, "lost")
LEFT = JobState(
    "bad",
    BAD,
    Stage.FAILED,
    AT - timedelta(minutes=10),
    upload=SENT,
    upload_began=True,
    marks=frozenset({Mark.SAFE_MODE}),
    verdict=LOST,
    ended_at=AT - timedelta(minutes=5),
)
KNOWN = Known(LEFT, Proof.KEY, ("192.0.2.7",))
NO = Decision((Finding(Code.DOWNGRADE, "It goes back.", "Accept it.", Ack.DOWNGRADE),))


def looked(known: Known = KNOWN, decision: Decision = YES, **changes: Any) -> Looked:
    """Return what there is to see of a bridge in safe mode: no health, no value, no reading."""
    silent: dict[str, Any] = {
        "health": {"binary_sensor.health": None},
        "modbus": {"sensor.a": None},
    }
    seen = evidence(**{"contact": SAFE, **silent, **changes})
    return Looked(seen, RELEASE, IMAGE, decision, Rules(), NOW_S, known)


def test_a_bridge_that_we_left_in_safe_mode_and_that_can_prove_itself_may_be_flashed() -> None:
    check = checked(REQUEST, looked())
    assert check.allowed, check.refusals
    assert check.safe_mode
    assert check.before == BuildId(PROJECT, "1.2.0")


@pytest.mark.parametrize(
    ("code", "words", "request_", "changes"),
    [
        ("gates_failed", "It is safe mode", replace(REQUEST, asker="automatic"), {}),
        ("gates_failed", "It is safe mode", replace(REQUEST, asker="recovery"), {}),
        ("gates_failed", "It is safe mode", replace(REQUEST, campaign="c1"), {}),
        ("safe-mode-not-ours", "unknown", REQUEST, {"known": replace(KNOWN, left=None)}),
        ("safe-mode-no-proof", "by cable", REQUEST, {"known": replace(KNOWN, proof=None)}),
        ("safe-mode-no-address", "by cable", REQUEST, {"known": replace(KNOWN, addresses=())}),
        (
            "safe-mode-same-image",
            "Choose another",
            replace(BAD, release=REQUEST.release),
            {"known": replace(KNOWN, left=replace(LEFT, request=REQUEST))},
        ),
        ("safe-mode-not-ours", "unknown", REQUEST, {"known": Known()}),
        ("gates_failed", "port for uploads", REQUEST, {"upload_port": Port.CLOSED}),
        ("gates_failed", "discharge runs", REQUEST, {"discharging_through": frozenset({mac(1)})}),
        ("gates_failed", "does not say", REQUEST, {"discharging_through": None}),
        ("gates_failed", "is flashing it", REQUEST, {"busy": "ESPHome"}),
        ("gates_failed", "project acme.garage", REQUEST, {"told": {"project_name": "acme.garage"}}),
        ("gates_failed", "chip esp8266", REQUEST, {"told": {"platform": "ESP8266"}}),
        ("downgrade", "It goes back.", REQUEST, {"decision": NO}),
    ],
)
def test_everything_else_in_safe_mode_is_refused_with_its_sentence(
    code: str, words: str, request_: Request, changes: dict[str, Any]
) -> None:
    check = checked(request_, looked(**changes))
    assert not check.allowed
    assert check.code == code
    assert words in " ".join(check.refusals)


@pytest.mark.parametrize("state", [it for it in ContactState if it is not ContactState.SAFE_MODE])
def test_the_evidence_of_safe_mode_opens_no_bridge_in_any_other_state(state: ContactState) -> None:
    known = checked(REQUEST, looked(contact=Contact(state, 900.0)))
    assert not known.allowed
    assert not known.safe_mode


def test_who_has_run_since_the_upload_is_in_safe_mode_for_another_reason() -> None:
    def check(connected_s: float) -> str:
        seen = looked(told={"at_s": connected_s})
        return checked(REQUEST, seen).code

    five_minutes_ago_s = NOW_S - 300
    assert check(five_minutes_ago_s - 1) == ""
    assert check(five_minutes_ago_s + 1) == "safe-mode-not-ours"


def jobs(*told: JobState) -> Jobs:
    return Jobs({it.id: it for it in told})


def tried(result: Result, *marks: Mark, **said: Any) -> JobState:
    verdict = replace(LOST, result=result)
    told: dict[str, Any] = {"id": "then", "marks": frozenset(marks), "verdict": verdict, **said}
    return replace(LEFT, **told)


def test_the_journal_says_that_it_was_left_there_by_the_last_job_that_sent_anything() -> None:
    safe = Mark.SAFE_MODE
    again = tried(Result.UNCHANGED, safe, from_safe_mode=True)
    not_sent = tried(Result.UNCHANGED, upload_began=False)
    for since in ((), (again,), (not_sent,), (again, not_sent)):
        assert left_there(jobs(LEFT, *since), mac(1)) == LEFT
    lived_on = (
        tried(Result.CONFIRMED, safe),
        tried(Result.LOST),
        tried(Result.AMBIGUOUS, safe),
        tried(Result.ROLLED_BACK, safe),
        tried(Result.UNCHANGED, safe),
        replace(again, verdict=None),
    )
    for then in lived_on:
        assert left_there(jobs(LEFT, then), mac(1)) is None, then
    assert left_there(jobs(LEFT), mac(10)) is None
    assert left_there(jobs(), mac(1)) is None


def test_what_was_let_through_while_it_was_online_is_not_sent_in_safe_mode() -> None:
    under_way = replace(LEFT, stage=Stage.UPLOAD, verdict=None)
    assert not recovery.may_send(jobs(under_way), mac(1))
    for_safe_mode = replace(under_way, from_safe_mode=True)
    assert recovery.may_send(jobs(for_safe_mode), mac(1))
    assert not recovery.may_send(jobs(for_safe_mode), mac(10))
    automatic = replace(REQUEST, asker="automatic")
    assert not recovery.may_send(jobs(replace(for_safe_mode, request=automatic)), mac(1))


def test_only_a_secret_that_no_other_bridge_has_is_a_proof() -> None:
    key, password = Secrets(noise_psk="key"), Secrets(password="word")
    both = Secrets("word", "key")
    assert proof_of(mac(1), {mac(1): key, mac(2): Secrets(noise_psk="other")}) is Proof.KEY
    assert proof_of(mac(1), {mac(1): password, mac(2): Secrets("other")}) is Proof.PASSWORD
    for shared in (key, password):
        assert proof_of(mac(1), {mac(1): shared, mac(2): both}) is None
    # With a key the password is never asked for, so it proves nothing.
    assert proof_of(mac(1), {mac(1): both, mac(2): key}) is None
    assert proof_of(mac(1), {mac(1): Secrets(), mac(2): key}) is None
    assert proof_of(mac(1), {mac(1): Secrets(password="")}) is None
    assert proof_of(mac(1), {}) is None


def test_an_address_is_its_own_if_it_answered_there_and_nobody_else_does_now() -> None:
    def record(number: int, source: Source, address: str, *, here: bool) -> BridgeRecord:
        fleet = fleet_of(word(number, source, addresses=(address,)))
        state = ContactState.ONLINE if here else ContactState.SAFE_MODE
        return contacted(fleet, mac(number), Contact(state, 0.0)).records[mac(number)]

    own = record(1, Source.CONNECTION, "192.0.2.7", here=False)
    assert own_addresses(own, [own]) == ("192.0.2.7",)
    kept = record(1, Source.MEMORY, "192.0.2.7", here=False)
    assert own_addresses(kept, []) == ("192.0.2.7",)
    announced = record(1, Source.ZEROCONF, "192.0.2.7", here=False)
    assert own_addresses(announced, []) == ()
    another = record(2, Source.CONNECTION, "192.0.2.7", here=True)
    assert own_addresses(own, [own, another]) == ()
    gone = record(2, Source.CONNECTION, "192.0.2.7", here=False)
    assert own_addresses(own, [gone]) == ("192.0.2.7",)


def test_safe_mode_is_told_once_it_stands_and_while_it_can_be_mended() -> None:
    def at(now_s: float, since_s: float, end: UploadEnd, *, from_safe_mode: bool) -> Any:
        state = replace(
            LEFT, stage=Stage.POSTCHECK, verdict=None, upload=end, from_safe_mode=from_safe_mode
        )
        sight = Sight(now_s, ContactState.SAFE_MODE, since_s)
        return concluded(state, Watch(100.0, last=sight), now_s, Patience())

    assert isinstance(at(129.9, 120.0, SENT, from_safe_mode=False), NotYet)
    found = at(130.0, 120.0, SENT, from_safe_mode=False)
    assert (found.result, found.blame) == (Result.LOST, Blame.RELEASE)
    assert "Install a release that worked" in found.text
    # Who was there before and took the image has yet to be seen booting it.
    assert isinstance(at(189.9, 50.0, SENT, from_safe_mode=True), NotYet)
    assert at(190.0, 50.0, SENT, from_safe_mode=True).result is Result.LOST
    refused = UploadEnd(How.REFUSED, "Another key.", "wrong_key")
    still = at(110.0, 50.0, refused, from_safe_mode=True)
    assert (still.result, still.code, still.blame) == (
        Result.UNCHANGED,
        "wrong_key",
        Blame.HELD_BACK,
    )
    assert "still in safe mode" in still.text


def test_the_journal_keeps_that_a_bridge_was_flashed_from_safe_mode() -> None:
    at = AT - timedelta(hours=1)
    line = {"job": "j", "line": "stage", "stage": "upload", "before": None, "safe_mode": True}
    told = replay.replay([(at, replay.data_of(replay.asked("j", REQUEST))), (at, line)])
    assert told.by_id["j"].from_safe_mode
    told = replay.replay(
        [(at, replay.data_of(replay.asked("j", REQUEST))), (at, {**line, "safe_mode": "yes"})]
    )
    assert not told.by_id["j"].from_safe_mode


async def sent(
    bridge: Bridge, secrets: Secrets, change: Callable[[Request], Request] = lambda it: it
) -> UploadEnd:
    image = made("1.1.0")

    async def payload(_: object) -> Payload:
        return Payload(image)

    air = OverTheAir(
        lambda _: Place((LOOPBACK,), bridge.port, in_safe_mode=True),
        lambda _: secrets,
        payload,
        limits=Limits(connect_s=1, answer_s=1, extra_attempts=0),
    )
    asked = Request(bridge.mac, release_of(image, "1.1.0"), "Ada")
    return await air.upload(change(asked), lambda _done, _total: None)


async def test_who_answers_in_safe_mode_without_proving_itself_gets_no_byte() -> None:
    own = Secrets(password="its own")
    async with Bridge(1) as anybody:
        end = await sent(anybody, own)
        assert (end.how, end.code) == (How.REFUSED, "unproven")
        assert "does not prove who it is" in end.text
        # What may be given up for a bridge elsewhere is not given up here.
        lenient = await sent(anybody, Secrets(noise_psk="x" * 43 + "=", allow_plaintext=True))
        assert lenient.code == "not_encrypted"
        assert anybody.uploads == 0
    async with Bridge(2, OtaRules(auth=Auth.SHA256, password="another's")) as other:
        assert (await sent(other, own)).code == "wrong_password"
        assert other.uploads == 0
    async with Bridge(3, OtaRules(auth=Auth.SHA256, password="its own")) as itself:
        for by in ({"asker": "automatic"}, {"campaign": "c1"}):
            no = await sent(itself, own, lambda it, by=by: replace(it, **by))
            assert (no.how, no.code) == (How.NOT_BEGUN, "safe-mode-person")
        assert itself.uploads == 0
        assert (await sent(itself, own)).how is How.SENT


def test_a_proof_is_never_one_of_the_weak_ways_in() -> None:
    hard = recovery.proving(Secrets("word", "key", allow_md5=True, allow_plaintext=True))
    assert hard == Secrets("word", "key", proves=True)
