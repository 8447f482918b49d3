"""What must never pass never passes, whoever asks and whatever was accepted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.firmware.image.models import ImageFacts, Layout, SignatureBlock
from agent.firmware.manifest.models import (
    Brakes,
    Health,
    ImageKind,
    Part,
    Release,
    ReleaseImage,
)
from agent.firmware.policy.decide import decide
from agent.firmware.policy.models import Ack, Asker, Code, Device, Offer, Way, Wish
from agent.firmware.trust.models import Freshness
from tests.firmware.manifest.documents import A, B, C
from tests.firmware.policy.offers import DEVICE, EVERY_ACK, FACTORY, OTA, RELEASE, facts_of, offer

Case = tuple[Code, dict[str, Any], dict[str, Any], dict[str, Any]]
"""What is refused after which changes of the device, the offer and the file's facts."""
ALWAYS: list[Case] = [
    (Code.NO_TRUSTED_METADATA, {}, {"freshness": Freshness.NONE}, {}),
    (Code.IMAGE_REVOKED, {}, {"brakes": Brakes(revoked=frozenset({A, B}))}, {}),
    (Code.BELOW_SIGNED_FLOOR, {}, {"brakes": Brakes({"acme.bridge": 4})}, {}),
    (Code.WRONG_CHIP, {"chip": "esp32c3"}, {}, {}),
    (Code.CHIP_REVISION, {"chip_revision": 300}, {}, {}),
    (Code.WRONG_BOARD, {"board": "esp12e"}, {}, {}),
    (Code.WRONG_HARDWARE_REVISION, {"hw": "r3"}, {}, {}),
    (Code.IMAGE_DIFFERS, {}, {}, {"size": 77}),
    (Code.IMAGE_DIFFERS, {}, {}, {"sha256": C}),
    (Code.IMAGE_DIFFERS, {}, {}, {"chip": "esp32s3"}),
    (Code.IMAGE_DIFFERS, {}, {}, {"project": "acme.pump"}),
    (Code.IMAGE_DIFFERS, {}, {}, {"version": "9.9"}),
    (Code.IMAGE_DIFFERS, {}, {}, {"layout": Layout.BOOTLOADER}),
    (Code.IMAGE_DAMAGED, {}, {}, {"checksum_ok": False}),
    (Code.IMAGE_DAMAGED, {}, {}, {"hash_ok": False}),
]
BY_WAY: dict[Way, list[Case]] = {
    Way.OTA: [
        (Code.CHIP_UNKNOWN, {"chip": None}, {}, {}),
        (Code.FACTORY_NEEDS_SERIAL, {}, {"image": FACTORY}, {}),
        (Code.SLOT_TOO_SMALL, {"slot_size": 9}, {}, {}),
        (Code.DEVICE_WOULD_REJECT_SIGNATURE, {"trusts": frozenset({C})}, {}, {}),
        (Code.DEVICE_WOULD_REJECT_DOWNGRADE, {"version": "2", "refuses_downgrade": True}, {}, {}),
        (Code.NEEDS_STEPPING_STONE, {"version": "0.9"}, {}, {}),
        (Code.BELOW_DEVICE_FLOOR, {"floor": 4}, {}, {}),
    ],
    Way.SERIAL: [
        (Code.NO_FLASH_PLAN, {}, {"image": OTA}, {}),
        (Code.FLASH_TOO_SMALL, {"flash_size": 9}, {}, {}),
    ],
}
NEVER = {way: [*ALWAYS, *cases] for way, cases in BY_WAY.items()}
ACKS = [frozenset(them) for n in range(len(Ack) + 1) for them in combinations(Ack, n)]


def build(way: Way, *cases: Case) -> tuple[Device, Offer]:
    """Return the good device and offer with the changes of all cases."""
    device, fields, facts = (
        {key: value for case in cases for key, value in case[part].items()} for part in (1, 2, 3)
    )
    image = fields.pop("image", OTA if way is Way.OTA else FACTORY)
    said = facts_of(image, **facts)
    return replace(DEVICE, **device), offer(image, **{"facts": said, **fields})


def wishes(way: Way) -> Iterator[Wish]:
    for asker, acks, reason in product(Asker, ACKS, ("", "it does not boot")):
        yield Wish(way, asker, acks, reason)


@pytest.mark.parametrize("way", Way)
def test_d99_no_combination_passes_what_must_never_pass(way: Way) -> None:
    tried = 0
    for case in NEVER[way]:
        device, offered = build(way, case)
        for wish in wishes(way):
            decision = decide(device, offered, wish)
            assert not decision.allowed, (case, wish)
            assert case[0] in {it.code for it in decision.refusals}, (case, wish)
            tried += 1
    assert tried == len(NEVER[way]) * 3 * 32 * 2


@pytest.mark.parametrize("way", Way)
def test_d99_two_things_that_must_never_pass_do_not_cancel_each_other(way: Way) -> None:
    for one, other in combinations(NEVER[way], 2):
        device, offered = build(way, one, other)
        for asker in Asker:
            wish = Wish(way, asker, EVERY_ACK, "it does not boot")
            assert not decide(device, offered, wish).allowed


@pytest.mark.parametrize("way", Way)
def test_d99_what_can_be_accepted_is_passed_by_exactly_its_own_acknowledgements(way: Way) -> None:
    """What every combination of the acceptable needs is what each of its members needs."""
    device = replace(DEVICE, project="acme.pump")
    older = replace(DEVICE, version="1.3.0")
    for stale, own, (base, ack) in product(
        (False, True), (False, True), ((device, Ack.PROJECT_CHANGE), (older, Ack.DOWNGRADE))
    ):
        _, offered = build(way)
        offered = replace(offered, own=own, freshness=Freshness.STALE if stale else Freshness.FRESH)
        needed = {ack, *([Ack.STALE] if stale else []), *([Ack.UNSIGNED] if own else [])}
        for wish in wishes(way):
            decision = decide(base, offered, wish)
            if wish.asker is Asker.AUTOMATIC:
                assert not decision.allowed
                assert decision.missing == frozenset()
            else:
                said = bool(wish.reason) or wish.asker is Asker.PERSON
                assert decision.allowed is (needed <= wish.acks and said)
                assert decision.missing == needed - wish.acks


WORDS = st.sampled_from(["acme.bridge", "acme.pump", "pv-edge.alphaess-bridge", "", "{0}", "\x1b"])
VERSIONS = st.sampled_from(["1.2.0", "1.3", "0.9", "dev", "", "9" * 50])
CHIPS = st.sampled_from(["esp32", "ESP32-C3", "", "{chip}"])
DIGESTS = st.sampled_from([A, B, C, ""])
SIZES = st.sampled_from([0, 1, 4096, 4_194_304, 10**12, -1])
NAMES = st.lists(st.sampled_from(["r1", "esp32dev", ""]), max_size=2).map(tuple)
DEVICES = st.builds(
    Device,
    mac=st.just("aabbccddee01"),
    project=st.none() | WORDS,
    version=st.none() | VERSIONS,
    chip=st.none() | CHIPS,
    board=st.none() | st.sampled_from(["r1", "esp32dev"]),
    chip_revision=st.none() | st.integers(-1, 500),
    hw=st.none() | st.just("r1"),
    slot_size=st.none() | SIZES,
    flash_size=st.none() | SIZES,
    trusts=st.none() | st.frozensets(DIGESTS),
    refuses_downgrade=st.booleans(),
    floor=st.integers(-1, 5),
)
IMAGES = st.builds(
    ReleaseImage,
    kind=st.sampled_from(ImageKind),
    chip=CHIPS,
    file=st.just("a.bin"),
    size=SIZES,
    sha256=DIGESTS,
    slot_size=st.none() | SIZES,
    signed_by=st.lists(DIGESTS, max_size=2).map(tuple),
    md5=st.none() | st.just("d" * 32),
    flash_size=st.none() | SIZES,
    parts=st.lists(st.builds(Part, SIZES, SIZES, SIZES), max_size=2).map(tuple),
)
RELEASES = st.builds(
    Release,
    project=WORDS,
    version=VERSIONS,
    rollback_index=st.integers(-1, 5),
    released=st.just(RELEASE.released),
    notes=st.just(""),
    images=st.just(()),
    health=st.just(Health(0)),
    min_version=st.none() | VERSIONS,
    hw=NAMES,
    boards=NAMES,
    min_chip_revision=st.integers(0, 500),
    trusts=st.just(()),
)
FACTS = st.builds(
    ImageFacts,
    layout=st.sampled_from(Layout),
    size=SIZES,
    sha256=DIGESTS,
    md5=st.just("d" * 32),
    chip=CHIPS,
    min_chip_revision=st.integers(0, 500),
    max_chip_revision=st.none() | st.integers(0, 500),
    flash_size=st.none() | SIZES,
    project=st.none() | WORDS,
    version=st.none() | VERSIONS,
    checksum_ok=st.booleans(),
    hash_ok=st.none() | st.booleans(),
    signatures=st.lists(
        st.builds(SignatureBlock, st.just("rsa3072"), DIGESTS, valid=st.booleans()), max_size=2
    ).map(tuple),
)
BRAKES = st.builds(
    Brakes,
    st.dictionaries(WORDS, st.integers(-1, 5), max_size=2),
    st.frozensets(DIGESTS, max_size=2),
    st.booleans(),
    WORDS,
)
OFFERS = st.builds(
    Offer, RELEASES, IMAGES, st.sampled_from(Freshness), BRAKES, st.none() | FACTS, st.booleans()
)
WISHES = st.builds(
    Wish,
    st.sampled_from(Way),
    st.sampled_from(Asker),
    st.frozensets(st.sampled_from(Ack)),
    st.sampled_from(["", " ", "it does not boot"]),
    st.floats(0, 1) | st.just(float("nan")),
    st.floats(0, 1) | st.just(float("nan")),
)
# Whatever else is drawn, often enough little speaks against it.
GOOD_DEVICES = st.builds(
    lambda version, project, trusts: replace(
        DEVICE, version=version, project=project, trusts=trusts
    ),
    VERSIONS,
    st.sampled_from(["acme.bridge", "acme.pump"]),
    st.none() | st.just(frozenset({A})),
)
GOOD_OFFERS = st.builds(
    lambda image, freshness, own, brakes: offer(image, freshness=freshness, own=own, brakes=brakes),
    st.sampled_from([OTA, FACTORY]),
    st.sampled_from([Freshness.FRESH, Freshness.STALE]),
    st.booleans(),
    st.builds(Brakes, paused=st.booleans()),
)


@given(DEVICES | GOOD_DEVICES, OFFERS | GOOD_OFFERS, WISHES, st.sampled_from(Ack))
def test_every_question_has_an_answer_and_the_answers_are_of_one_mind(
    device: Device, offered: Offer, wish: Wish, another: Ack
) -> None:
    decision = decide(device, offered, wish)
    assert decision.allowed is (decision.refusals == ())
    for it in (*decision.refusals, *decision.accepted):
        assert it.text.isprintable()
        assert it.next_step
    assert all(it.ack in wish.acks for it in decision.accepted)
    assert not {it.ack for it in decision.refusals} & wish.acks
    more = decide(device, offered, replace(wish, acks=wish.acks | {another}))
    assert set(more.refusals) <= set(decision.refusals), "accepting more refuses less"
    if not decision.allowed:
        return
    release, image, facts = offered.release, offered.image, offered.facts
    assert offered.freshness is not Freshness.NONE
    assert not {image.sha256, facts.sha256 if facts else ""} & offered.brakes.revoked
    assert facts is None or (facts.sha256, facts.size) == (image.sha256, image.size)
    assert release.rollback_index >= offered.brakes.min_rollback_index.get(release.project, 0)
    assert (image.kind is ImageKind.OTA) is (wish.way is Way.OTA)
    if wish.asker is Asker.AUTOMATIC:
        person = replace(wish, asker=Asker.PERSON)
        assert decide(device, offered, person).allowed, "what nobody watches may be done by hand"
        assert offered.freshness is Freshness.FRESH
        assert not offered.brakes.paused
        assert not offered.own
