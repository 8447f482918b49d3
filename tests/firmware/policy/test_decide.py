"""What may go onto a bridge: the cases of the lab, one by one, each with its sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.firmware.image.models import Layout, SignatureBlock
from agent.firmware.manifest.models import Brakes
from agent.firmware.policy.models import Ack, Asker, Code, Decision, Way, Wish
from agent.firmware.policy.words import SENTENCES
from agent.firmware.trust.models import Freshness
from tests.firmware.manifest.documents import A, B, C
from tests.firmware.policy.offers import (
    AUTOMATIC,
    CABLE,
    EVERY_ACK,
    FACTORY,
    OTA,
    PERSON,
    RECOVERY,
    RELEASE,
    asked,
    codes,
    facts_of,
)

NEWER = {"version": "1.3.0"}
FLOOR = {"floor": 4}
SIGNED_FLOOR = {"brakes": Brakes({"acme.bridge": 4})}


def refused(decision: Decision, *wanted: Code) -> str:
    """Check the codes of the refusals and return the first one's sentence."""
    assert codes(decision.refusals) == list(wanted)
    assert not decision.allowed
    return decision.refusals[0].text


def test_d01_an_automatic_update_with_everything_right_is_allowed() -> None:
    decision = asked(AUTOMATIC)
    assert decision.allowed
    assert decision.accepted == ()
    assert asked(PERSON).allowed
    assert asked(CABLE).allowed
    assert asked(RECOVERY).allowed


@pytest.mark.parametrize("wish", [AUTOMATIC, PERSON, CABLE, RECOVERY])
def test_d02_an_image_for_another_chip_is_refused(wish: Wish) -> None:
    words = refused(asked(wish, EVERY_ACK, on={"chip": "ESP32-C3"}), Code.WRONG_CHIP)
    assert words == "The image is for esp32, the bridge has ESP32-C3."
    assert asked(wish, on={"chip": "ESP32"}).allowed


def test_d03_another_hardware_revision_is_refused() -> None:
    words = refused(asked(PERSON, EVERY_ACK, on={"hw": "r3"}), Code.WRONG_HARDWARE_REVISION)
    assert words == "The release is for board revisions r1, r2, that of the bridge is r3."
    refused(asked(RECOVERY, EVERY_ACK, on={"hw": "r3"}), Code.WRONG_HARDWARE_REVISION)
    refused(asked(RECOVERY, EVERY_ACK, on={"board": "esp12e"}), Code.WRONG_BOARD)


def test_d04_another_project_has_to_be_accepted_by_a_person() -> None:
    other = {"project": "acme.pump"}
    words = refused(asked(on=other), Code.PROJECT_DIFFERS)
    assert words == "The bridge runs acme.pump, the release is of acme.bridge."
    assert codes(asked(PERSON, {Ack.PROJECT_CHANGE}, on=other).accepted) == [Code.PROJECT_DIFFERS]
    refused(asked(AUTOMATIC, EVERY_ACK, on=other), Code.PROJECT_DIFFERS)
    refused(asked(on={"project": ""}), Code.PROJECT_DIFFERS)


def test_d05_a_factory_image_over_the_air_is_refused() -> None:
    decision = asked(PERSON, EVERY_ACK, image=FACTORY, facts=facts_of(FACTORY))
    words = refused(decision, Code.FACTORY_NEEDS_SERIAL)
    assert words.startswith("A factory image cannot go over the air")


def test_d06_an_ota_image_over_the_cable_has_no_flash_plan() -> None:
    decision = asked(RECOVERY, EVERY_ACK, image=OTA, facts=facts_of(OTA))
    words = refused(decision, Code.NO_FLASH_PLAN)
    assert "does not say where it goes in the flash" in words
    bare = replace(FACTORY, parts=())
    refused(asked(CABLE, image=bare, facts=facts_of(bare)), Code.NO_FLASH_PLAN)


def test_d07_an_image_larger_than_its_slot_or_the_flash_is_refused() -> None:
    decision = asked(PERSON, EVERY_ACK, on={"slot_size": 1_053_311})
    words = refused(decision, Code.SLOT_TOO_SMALL)
    assert words == "The image has 1053312 bytes, the slot of the bridge takes 1053311."
    assert asked(on={"slot_size": 1_053_312}).allowed
    small = replace(OTA, slot_size=1_053_311)
    refused(asked(image=small, on={"slot_size": None}), Code.SLOT_TOO_SMALL)
    refused(asked(CABLE, EVERY_ACK, on={"flash_size": 2_097_152}), Code.FLASH_TOO_SMALL)
    assert asked(CABLE, on={"flash_size": None, "slot_size": 1}).allowed


def test_d08_an_automatic_downgrade_is_refused_whatever_was_accepted() -> None:
    words = refused(asked(AUTOMATIC, EVERY_ACK, on=NEWER), Code.DOWNGRADE)
    assert words == "The bridge runs 1.3.0, and 1.2.0 is older."


def test_d09_a_downgrade_with_the_same_index_is_a_persons_to_accept() -> None:
    assert asked(on=NEWER).missing == {Ack.DOWNGRADE}
    decision = asked(PERSON, {Ack.DOWNGRADE}, on={**NEWER, "floor": 3})
    assert decision.allowed
    assert codes(decision.accepted) == [Code.DOWNGRADE]


@pytest.mark.parametrize("wish", [AUTOMATIC, PERSON, CABLE])
def test_d10_below_the_device_floor_nobody_goes_without_a_recovery(wish: Wish) -> None:
    words = refused(asked(wish, EVERY_ACK, on=FLOOR), Code.BELOW_DEVICE_FLOOR)
    assert words == "Its rollback index 3 is below 4, which this bridge has already had."
    assert asked(wish, on={"floor": 3}).allowed


def test_d11_a_recovery_over_the_cable_may_go_below_the_device_floor_with_a_reason() -> None:
    acks = {Ack.DEVICE_FLOOR, Ack.DOWNGRADE}
    decision = asked(RECOVERY, acks, on={**FLOOR, **NEWER})
    assert decision.allowed
    assert codes(decision.accepted) == [Code.BELOW_DEVICE_FLOOR, Code.DOWNGRADE]
    silent = replace(RECOVERY, reason=" \n")
    words = refused(asked(silent, EVERY_ACK, on=FLOOR), Code.REASON_MISSING)
    assert "there is none" in words
    over_the_air = replace(RECOVERY, way=Way.OTA)
    refused(asked(over_the_air, EVERY_ACK, on=FLOOR), Code.BELOW_DEVICE_FLOOR)


def test_d12_a_recovery_below_the_signed_floor_is_told_both_floors() -> None:
    decision = asked(RECOVERY, on=FLOOR, **SIGNED_FLOOR)
    words = refused(decision, Code.BELOW_SIGNED_FLOOR, Code.BELOW_DEVICE_FLOOR)
    assert words == "Its rollback index 3 is below 4, the least that the publisher allows."


def test_d13_no_acknowledgement_passes_the_signed_floor() -> None:
    refused(asked(RECOVERY, EVERY_ACK, on=FLOOR, **SIGNED_FLOOR), Code.BELOW_SIGNED_FLOOR)
    assert asked(RECOVERY, brakes=Brakes({"acme.bridge": 3, "acme.pump": 9})).allowed


def test_d14_stale_metadata_stops_the_automatic() -> None:
    words = refused(asked(AUTOMATIC, EVERY_ACK, freshness=Freshness.STALE), Code.STALE)
    assert "what was revoked since is not known here" in words


def test_d15_stale_metadata_has_to_be_accepted_by_a_person() -> None:
    decision = asked(freshness=Freshness.STALE)
    refused(decision, Code.STALE)
    assert decision.missing == {Ack.STALE}
    assert asked(PERSON, {Ack.STALE}, freshness=Freshness.STALE).allowed


def test_d16_a_recovery_with_accepted_stale_metadata_goes_on() -> None:
    decision = asked(RECOVERY, {Ack.STALE}, freshness=Freshness.STALE)
    assert decision.allowed
    assert codes(decision.accepted) == [Code.STALE]


@pytest.mark.parametrize("wish", [AUTOMATIC, PERSON, CABLE, RECOVERY])
def test_d17_without_trusted_metadata_nothing_is_flashed(wish: Wish) -> None:
    words = refused(asked(wish, EVERY_ACK, freshness=Freshness.NONE), Code.NO_TRUSTED_METADATA)
    assert words == "Nothing that this house trusts vouches for acme.bridge 1.2.0."


def test_d18_a_revoked_image_is_refused_by_its_manifest_and_by_its_own_digest() -> None:
    revoked = Brakes(revoked=frozenset({A}))
    words = refused(asked(PERSON, EVERY_ACK, brakes=revoked), Code.IMAGE_REVOKED)
    assert words == f"The publisher has revoked this image: {A}."
    refused(asked(PERSON, EVERY_ACK, brakes=revoked, facts=None), Code.IMAGE_REVOKED)
    swapped = facts_of(OTA, sha256=C)
    decision = asked(facts=swapped, brakes=Brakes(revoked=frozenset({C})))
    refused(decision, Code.IMAGE_REVOKED, Code.IMAGE_DIFFERS)


def test_d19_a_paused_channel_stops_the_automatic_and_no_person() -> None:
    paused = Brakes(paused=True, reason="1.2.0 forgets its key")
    words = refused(asked(AUTOMATIC, EVERY_ACK, brakes=paused), Code.CHANNEL_PAUSED)
    assert words == "Automatic updates are paused. 1.2.0 forgets its key"
    assert asked(PERSON, brakes=paused).allowed
    assert asked(RECOVERY, brakes=paused).allowed


def test_d20_a_missing_stepping_stone_stops_over_the_air_only() -> None:
    old = {"version": "0.9.9"}
    words = refused(asked(PERSON, EVERY_ACK, on=old), Code.NEEDS_STEPPING_STONE)
    assert words == "1.2.0 can only follow 1.0.0 or later, the bridge runs 0.9.9."
    assert asked(CABLE, on=old).allowed
    assert asked(on={"version": "1.0"}).allowed
    unknown = asked(PERSON, EVERY_ACK, on={"version": None})
    assert unknown.refusals[0].text.endswith("the bridge runs something unknown.")
    refused(unknown, Code.NEEDS_STEPPING_STONE)


def test_d21_a_bridge_that_knows_none_of_the_keys_would_reject_the_signature() -> None:
    stranger = {"trusts": frozenset({B})}
    words = refused(asked(PERSON, EVERY_ACK, on=stranger), Code.DEVICE_WOULD_REJECT_SIGNATURE)
    assert words.endswith(f"it is signed by {A}.")
    refused(asked(facts=None, on=stranger), Code.DEVICE_WOULD_REJECT_SIGNATURE)
    assert asked(CABLE, on=stranger).allowed
    unsigned = replace(OTA, signed_by=())
    bare = facts_of(unsigned, signatures=(SignatureBlock("rsa3072", B, valid=False),))
    words = refused(
        asked(image=unsigned, facts=bare, on=stranger), Code.DEVICE_WOULD_REJECT_SIGNATURE
    )
    assert words.endswith("it is signed by nobody.")


def test_d22_a_bridge_that_knows_one_of_two_keys_takes_it() -> None:
    assert asked(on={"trusts": frozenset({B, A})}).allowed
    both = tuple(SignatureBlock("rsa3072", it, valid=True) for it in (C, A))
    assert asked(facts=facts_of(OTA, signatures=both), on={"trusts": frozenset({C})}).allowed


def test_a_bridge_with_downgrade_protection_refuses_over_the_air_and_not_over_the_cable() -> None:
    guarded = {**NEWER, "refuses_downgrade": True}
    words = refused(asked(PERSON, {Ack.DOWNGRADE}, on=guarded), Code.DEVICE_WOULD_REJECT_DOWNGRADE)
    assert words == "The bridge runs 1.3.0 and refuses older versions such as 1.2.0 over the air."
    assert asked(CABLE, {Ack.DOWNGRADE}, on=guarded).allowed
    assert asked(PERSON, on={"refuses_downgrade": True}).allowed


@pytest.mark.parametrize("wish", [AUTOMATIC, PERSON])
def test_over_the_air_what_nobody_knows_is_no_fit(wish: Wish) -> None:
    words = refused(asked(wish, EVERY_ACK, on={"chip": None}), Code.CHIP_UNKNOWN)
    assert words == "Nobody knows which chip the bridge has; the image is for esp32."
    refused(asked(wish, EVERY_ACK, on={"board": None}), Code.WRONG_BOARD)
    refused(asked(wish, EVERY_ACK, on={"hw": None}), Code.WRONG_HARDWARE_REVISION)


def test_what_is_not_known_to_be_the_same_project_over_the_air_may_be_another() -> None:
    for wish in (AUTOMATIC, PERSON, replace(CABLE, asker=Asker.AUTOMATIC)):
        refused(asked(wish, on={"project": None}), Code.PROJECT_DIFFERS)
    assert asked(CABLE, on={"project": None}).allowed


def test_a_silent_chip_on_the_cable_is_recovered_without_more_questions() -> None:
    silent = {"project": None, "version": None, "chip": None, "board": None, "hw": None}
    assert asked(RECOVERY, on=silent).allowed
    assert asked(CABLE, on=silent).allowed
    assert not asked(replace(CABLE, asker=Asker.AUTOMATIC), on=silent).allowed


@pytest.mark.parametrize(
    ("revision", "allowed"), [(None, True), (300, False), (301, True), (399, True), (400, False)]
)
def test_a_chip_outside_of_the_revisions_of_the_image_is_refused(
    revision: int | None, allowed: bool
) -> None:
    decision = asked(PERSON, EVERY_ACK, on={"chip_revision": revision})
    assert decision.allowed is allowed
    for it in decision.refusals:
        assert it.code is Code.CHIP_REVISION
        assert "for chip revisions from v3.1 to v3.99, the bridge has v" in it.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"size": 1_053_311}, "1053311 bytes instead of 1053312"),
        ({"sha256": C}, "another SHA-256"),
        ({"md5": "0" * 32}, "another MD5"),
        ({"chip": "esp32c3"}, "for esp32c3 instead of esp32"),
        ({"layout": Layout.FACTORY}, "factory instead of application"),
        ({"project": "acme.pump"}, "project acme.pump instead of acme.bridge"),
        ({"version": "1.1.9"}, "version 1.1.9 instead of 1.2.0"),
        ({"signatures": ()}, "a signature that its manifest promises is missing or false"),
        (
            {"signatures": (SignatureBlock("rsa3072", A, valid=False),)},
            "a signature that its manifest promises is missing or false",
        ),
    ],
)
def test_a_file_that_is_not_what_its_manifest_says_is_refused(
    fields: dict[str, Any], words: str
) -> None:
    decision = asked(PERSON, EVERY_ACK, facts=facts_of(OTA, **fields))
    said = refused(decision, Code.IMAGE_DIFFERS)
    assert said == f"The file is not what its manifest says: {words}."


def test_a_damaged_file_is_refused() -> None:
    damaged = facts_of(OTA, checksum_ok=False, hash_ok=False)
    refused(asked(PERSON, EVERY_ACK, facts=damaged), Code.IMAGE_DAMAGED, Code.IMAGE_DAMAGED)
    assert asked(facts=facts_of(OTA, hash_ok=None)).allowed


@pytest.mark.parametrize("project", ["sph10k-haus-03", "", None])
def test_a_descriptor_with_the_nodes_name_says_nothing_of_the_release(project: str | None) -> None:
    """ESPHome writes its own version and the node's name there unless it protects downgrades."""
    assert asked(facts=facts_of(OTA, project=project, version="2026.1.1")).allowed


def test_a_descriptor_holds_31_characters_of_a_longer_project() -> None:
    name = "acme.a-bridge-with-a-name-that-is-long"
    long = replace(RELEASE, project=name)
    cut = facts_of(OTA, project=name[:31])
    assert asked(release=long, facts=cut, on={"project": name}).allowed
    assert not asked(
        release=long, facts=replace(cut, project=name[:30]), on={"project": name}
    ).allowed


def test_an_own_build_is_accepted_by_name_and_never_automatic() -> None:
    words = refused(asked(own=True), Code.UNSIGNED)
    assert words == "This is an own build: nobody but this house signed it."
    assert codes(asked(PERSON, {Ack.UNSIGNED}, own=True).accepted) == [Code.UNSIGNED]
    refused(asked(AUTOMATIC, EVERY_ACK, own=True), Code.UNSIGNED)


@pytest.mark.parametrize(
    ("position", "share", "due"),
    [
        (0.0, 0.0, False),
        (0.049, 0.05, True),
        (0.05, 0.05, False),
        (0.99, 1.0, True),
        (1.0, 1.0, True),
    ],
)
def test_the_automatic_waits_for_its_wave_and_a_person_does_not(
    position: float, share: float, due: bool
) -> None:
    turn = {"wave_position": position, "wave_share": share}
    assert asked(replace(AUTOMATIC, **turn)).allowed is due
    assert asked(replace(PERSON, **turn)).allowed
    if not due:
        words = refused(asked(replace(AUTOMATIC, **turn)), Code.NOT_YOUR_WAVE)
        assert words.startswith(f"The release reaches {share * 100:.0f} % of all bridges so far")


def test_a_version_that_is_none_may_be_a_step_back_and_is_a_persons_to_accept() -> None:
    assert asked(CABLE, on={"version": "dev"}).missing == {Ack.DOWNGRADE}
    assert asked(CABLE, on={"version": None}).allowed
    refused(asked(replace(CABLE, asker=Asker.AUTOMATIC), on={"version": None}), Code.DOWNGRADE)
    free = replace(RELEASE, min_version=None)
    unknown = asked(on={"version": None}, release=free)
    assert unknown.missing == {Ack.DOWNGRADE}
    words = "The bridge runs something unknown, and 1.2.0 may be older."
    assert refused(unknown, Code.DOWNGRADE) == words
    refused(asked(AUTOMATIC, EVERY_ACK, on={"version": "dev"}, release=free), Code.DOWNGRADE)


def test_everything_that_speaks_against_it_is_said_at_once() -> None:
    decision = asked(
        PERSON,
        on={"chip": "esp32c3", "hw": "r9", "floor": 9, "version": "2.0", "trusts": frozenset({B})},
        freshness=Freshness.STALE,
        brakes=Brakes({"acme.bridge": 9}, frozenset({A}), paused=True),
    )
    refused(
        decision,
        Code.STALE,
        Code.IMAGE_REVOKED,
        Code.BELOW_SIGNED_FLOOR,
        Code.WRONG_CHIP,
        Code.WRONG_HARDWARE_REVISION,
        Code.DEVICE_WOULD_REJECT_SIGNATURE,
        Code.BELOW_DEVICE_FLOOR,
        Code.DOWNGRADE,
    )


def test_what_a_bridge_says_of_itself_does_no_harm_in_a_sentence() -> None:
    text = refused(asked(on={"project": "{x}\x1b[2J\n" + "y" * 500}), Code.PROJECT_DIFFERS)
    assert text.isprintable()
    assert "The bridge runs {x}[2Jyyy" in text
    assert len(text) < 250


def test_every_code_has_a_sentence_and_a_next_step() -> None:
    assert set(SENTENCES) == set(Code)
    for sentence, step in SENTENCES.values():
        assert sentence.endswith((".", "}"))
        assert step.endswith(".")
