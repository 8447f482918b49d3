"""What PVAutonomy Ops did when it chose firmware, and what is done instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.firmware.manifest.agree import latest_of
from agent.firmware.manifest.models import ManifestError
from agent.firmware.policy.models import Ack, Code, Way, Wish
from agent.firmware.trust.models import Freshness
from tests.firmware.manifest.documents import C, channel, release
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


def test_pv02_the_latest_is_what_the_chosen_channel_says_and_no_constant() -> None:
    def beta(it: dict[str, dict[str, dict[str, object]]]) -> None:
        entry = {"version": "2.0", "rollback_index": 3, "manifest": "beta/acme.bridge/2.0.json"}
        it["projects"]["acme.bridge"] = {"latest": "2.0", "releases": [entry]}

    offered = [latest_of(it, "acme.bridge") for it in (channel(), channel(beta, "beta"))]
    assert [it.version for it in offered if it] == ["1.2.0", "2.0"]
    assert latest_of(channel(), "acme.pump") is None


def test_pv02_a_newer_bridge_is_not_taken_back_and_the_same_version_not_written_again() -> None:
    newer = {"version": "1.10.0"}
    assert codes(asked(AUTOMATIC, EVERY_ACK, on=newer).refusals) == [Code.DOWNGRADE]
    assert asked(PERSON, on=newer).missing == {Ack.DOWNGRADE}
    (same,) = asked(AUTOMATIC, EVERY_ACK, on={"version": "1.2"}).refusals
    assert (same.code, same.text) == (Code.NOTHING_NEW, "The bridge runs 1.2.0 already.")
    assert asked(PERSON, on={"version": "1.2"}).allowed


@pytest.mark.parametrize("wish", [AUTOMATIC, PERSON, CABLE, RECOVERY])
def test_pv02_what_must_never_return_does_not_however_high_its_version(wish: Wish) -> None:
    """A version is a name; what keeps an old one from returning is the signed index."""
    again = replace(RELEASE, version="99.0", rollback_index=1)
    image = OTA if wish.way is Way.OTA else FACTORY
    decision = asked(wish, release=again, facts=facts_of(image, version="99.0"))
    assert codes(decision.refusals) == [Code.BELOW_DEVICE_FLOOR]


def test_pv03_the_hardware_that_counts_is_the_devices_own() -> None:
    """The release and its manifest are in order; only the device can tell that they do not fit."""
    for told, code in (
        ({"chip": "esp32s3"}, Code.WRONG_CHIP),
        ({"board": "esp32-s3-devkitc-1"}, Code.WRONG_BOARD),
        ({"hw": "r7"}, Code.WRONG_HARDWARE_REVISION),
        ({"chip_revision": 100}, Code.CHIP_REVISION),
        ({"chip": None}, Code.CHIP_UNKNOWN),
        ({"hw": None}, Code.WRONG_HARDWARE_REVISION),
    ):
        for wish in (AUTOMATIC, PERSON, replace(RECOVERY, way=Way.OTA)):
            assert codes(asked(wish, EVERY_ACK, on=told).refusals) == [code]


def test_pv03_an_image_for_another_model_on_the_same_board_is_another_project() -> None:
    decision = asked(on={"project": "acme.bridge-mic600"})
    assert codes(decision.refusals) == [Code.PROJECT_DIFFERS]


def test_pv06_a_digest_beside_the_file_is_no_trust() -> None:
    """The file is exactly what its manifest says, but nobody trusted says so."""
    for wish in (AUTOMATIC, PERSON, CABLE, RECOVERY):
        decision = asked(wish, EVERY_ACK, freshness=Freshness.NONE)
        assert codes(decision.refusals) == [Code.NO_TRUSTED_METADATA]


def test_pv06_an_exchanged_file_is_refused_although_it_fits_the_bridge() -> None:
    exchanged = facts_of(OTA, sha256=C, md5="f" * 32)
    assert codes(asked(PERSON, EVERY_ACK, facts=exchanged).refusals) == [Code.IMAGE_DIFFERS]


def test_pv06_an_image_has_a_size_that_it_can_have() -> None:
    with pytest.raises(ManifestError, match="size: it is 10000000000, it has to be a whole num"):
        release(lambda it: it["images"][0].update(size=10**10, slot_size=10**10))
