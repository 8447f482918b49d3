"""Before an image leaves, gates and policy speak about this bridge and this digest, now."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from agent.firmware.job.models import BuildId, Request
from agent.firmware.job.preflight import Looked, Preflight, as_gates_see_it, checked
from agent.firmware.manifest.models import Health, ImageKind, Release, ReleaseImage
from agent.firmware.policy.models import Ack, Code, Decision, Finding
from agent.fleet.contact import Contact, ContactState
from agent.fleet.gate_models import Reading, Rules
from tests.firmware.job.timeline import RELEASE as REF
from tests.fleet.devices import mac
from tests.fleet.test_gates import NOW_S, evidence

PROJECT = "PVAutonomy.Edge101"
IMAGE = ReleaseImage(ImageKind.OTA, "esp32", "ota.bin", REF.size_bytes, REF.digest)
RELEASE = Release(
    PROJECT,
    "1.1.0",
    3,
    datetime(2026, 11, 20, tzinfo=UTC),
    "",
    (IMAGE,),
    Health(60),
)
REQUEST = Request(mac(1), replace(REF, project=PROJECT), "Ada")
YES = Decision(())
NO = Decision((Finding(Code.IMAGE_REVOKED, "It was revoked.", "Choose another.", None),))


def looked(decision: Decision = YES, **changes: Any) -> Looked:
    seen = evidence(**changes)
    return Looked(seen, RELEASE, IMAGE, decision, Rules(), NOW_S)


def test_with_nothing_against_it_the_build_of_now_is_what_it_is_measured_against() -> None:
    check = checked(REQUEST, looked())
    assert check.allowed, check.refusals
    assert check.before == BuildId(PROJECT, "1.0.4", "2026-11-21")


def test_gates_and_policy_each_refuse_in_their_own_words() -> None:
    weak = checked(REQUEST, looked(signal=Reading(-90.0, NOW_S)))
    assert weak.code == "gates_failed"
    assert "Signal is -90 dBm." in weak.refusals[0]
    revoked = checked(REQUEST, looked(NO))
    assert (revoked.code, revoked.refusals) == (
        "image-revoked",
        ("It was revoked. Choose another.",),
    )
    both = checked(REQUEST, looked(NO, contact=Contact(ContactState.HUNG, 0.0)))
    assert len(both.refusals) == 2


def test_pv04_the_word_on_one_bridge_or_image_lets_no_other_pass() -> None:
    other = checked(replace(REQUEST, mac=mac(10)), looked())
    assert not other.allowed
    assert other.before is None
    changed = checked(REQUEST, replace(looked(), image=replace(IMAGE, sha256="cd" * 32)))
    assert changed.code == "image-changed"
    stale = checked(REQUEST, replace(looked(), now_s=NOW_S + 601))
    assert stale.code == "gates_stale"


def test_a_family_of_chips_and_open_boards_are_no_contradiction_and_another_chip_is() -> None:
    small = replace(IMAGE, chip="esp32c3")
    assert checked(REQUEST, replace(looked(told={"platform": "ESP32"}), image=small)).allowed
    esp8266 = checked(REQUEST, looked(told={"platform": "ESP8266"}))
    assert "chip esp8266" in esp8266.refusals[0]
    boards = replace(RELEASE, boards=("another-board",))
    wrong = checked(REQUEST, replace(looked(), release=boards))
    assert "board esp32dev" in wrong.refusals[0]


def test_another_project_passes_the_gates_only_where_a_person_has_accepted_it() -> None:
    foreign = looked(told={"project_name": "acme.garage"})
    assert not checked(REQUEST, foreign).allowed
    accepted = replace(REQUEST, acks=(Ack.PROJECT_CHANGE,))
    assert "acme.garage" in as_gates_see_it(accepted, foreign).projects


async def test_where_there_is_nothing_to_look_at_the_words_say_so() -> None:
    async def gather(_: Request) -> Looked | str:
        return "The bridge was removed meanwhile."

    check = await Preflight(gather).check(REQUEST)
    assert check.refusals == ("The bridge was removed meanwhile.",)
