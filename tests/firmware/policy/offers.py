"""A bridge, an offer and a wish with nothing against them, to be changed by the tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agent.firmware.image.models import ImageFacts, Layout, SignatureBlock
from agent.firmware.manifest.models import Brakes, ImageKind, ReleaseImage
from agent.firmware.policy.decide import decide
from agent.firmware.policy.models import (
    Ack,
    Asker,
    Code,
    Decision,
    Device,
    Finding,
    Offer,
    Way,
    Wish,
)
from agent.firmware.trust.models import Freshness
from tests.firmware.manifest.documents import A, release

DEVICE = Device(
    mac="aabbccddee01",
    project="acme.bridge",
    version="1.1.0",
    chip="esp32",
    board="esp32dev",
    chip_revision=301,
    hw="r1",
    slot_size=1_900_544,
    flash_size=4_194_304,
    floor=2,
)
RELEASE = release()
OTA, FACTORY = RELEASE.images
AUTOMATIC = Wish(Way.OTA, Asker.AUTOMATIC)
PERSON = Wish(Way.OTA, Asker.PERSON)
CABLE = Wish(Way.SERIAL, Asker.PERSON)
RECOVERY = Wish(Way.SERIAL, Asker.RECOVERY, reason="it does not boot")
EVERY_ACK = frozenset(Ack)


def facts_of(image: ReleaseImage, **fields: Any) -> ImageFacts:
    """Return what a file says of itself that is as its manifest says."""
    ota = image.kind is ImageKind.OTA
    good = ImageFacts(
        layout=Layout.APPLICATION if ota else Layout.FACTORY,
        size=image.size,
        sha256=image.sha256,
        md5=image.md5 or "e" * 32,
        chip=image.chip,
        min_chip_revision=300,
        max_chip_revision=399,
        flash_size=4_194_304,
        project="acme.bridge",
        version="1.2.0",
        checksum_ok=True,
        hash_ok=True,
        signatures=(SignatureBlock("rsa3072", A, valid=True),),
    )
    return replace(good, **fields)


def offer(image: ReleaseImage | None = None, **fields: Any) -> Offer:
    """Return an offer that is fresh and whose file is as its manifest says."""
    chosen = image or OTA
    good: dict[str, Any] = {
        "release": RELEASE,
        "image": chosen,
        "freshness": Freshness.FRESH,
        "brakes": Brakes({"acme.bridge": 1}),
        "facts": facts_of(chosen),
    }
    return Offer(**{**good, **fields})


def asked(
    wish: Wish = PERSON,
    acks: set[Ack] | frozenset[Ack] = frozenset(),
    on: dict[str, Any] | None = None,
    **fields: Any,
) -> Decision:
    """Return the decision on the good offer after changes of the device and the offer."""
    image = FACTORY if wish.way is Way.SERIAL else OTA
    wanted = replace(wish, acks=frozenset(acks))
    return decide(replace(DEVICE, **(on or {})), offer(**{"image": image, **fields}), wanted)


def codes(findings: tuple[Finding, ...]) -> list[Code]:
    """Return the codes of findings, in their order."""
    return [it.code for it in findings]
