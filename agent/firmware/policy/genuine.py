"""
Whether the image is what somebody trusted said it is. Nothing but an own build can be accepted.

A SHA-256 beside a file finds damage; only one inside a signed manifest finds an exchange. So the
file that will be written is held against its manifest in everything that both of them say.

Source: signing.md 4.5 and 4.9; esptool.md, section 4; pvautonomy.md, D-06.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.firmware.image.models import ImageFacts, Layout
from agent.firmware.manifest.models import ImageKind, Release, ReleaseImage
from agent.firmware.manifest.versions import version_key
from agent.firmware.policy.models import Ack, Code, Finding, Offer
from agent.firmware.policy.words import finding
from agent.firmware.trust.models import Freshness
from agent.fleet.chips import plain_chip

LAYOUTS = {ImageKind.OTA: Layout.APPLICATION, ImageKind.FACTORY: Layout.FACTORY}
_LONGEST_PROJECT = 31
"""Characters that an application descriptor holds."""


def genuine(offer: Offer) -> Iterator[Finding]:
    """Yield what is wrong with the image or with who vouches for it."""
    release, image, facts = offer.release, offer.image, offer.facts
    if offer.freshness is Freshness.NONE:
        yield finding(Code.NO_TRUSTED_METADATA, project=release.project, version=release.version)
    if offer.freshness is Freshness.STALE:
        yield finding(Code.STALE, Ack.STALE)
    if offer.own:
        yield finding(Code.UNSIGNED, Ack.UNSIGNED)
    for digest in sorted({image.sha256, facts.sha256 if facts else image.sha256}):
        if digest in offer.brakes.revoked:
            yield finding(Code.IMAGE_REVOKED, digest=digest)
    floor = offer.brakes.min_rollback_index.get(release.project, 0)
    if release.rollback_index < floor:
        yield finding(Code.BELOW_SIGNED_FLOOR, index=release.rollback_index, floor=floor)
    if facts is not None:
        yield from _file(release, image, facts)


def signers(offer: Offer) -> frozenset[str]:
    """Return the keys that signed the image: as the file proves, else as its manifest says."""
    if offer.facts is None:
        return frozenset(offer.image.signed_by)
    return frozenset(it.key_digest for it in offer.facts.signatures if it.valid)


def _file(release: Release, image: ReleaseImage, facts: ImageFacts) -> Iterator[Finding]:
    differs = tuple(_differences(release, image, facts))
    if differs:
        yield finding(Code.IMAGE_DIFFERS, what=differs)
    if not facts.checksum_ok:
        yield finding(Code.IMAGE_DAMAGED, what="checksum")
    if facts.hash_ok is False:
        yield finding(Code.IMAGE_DAMAGED, what="hash")


def _differences(release: Release, image: ReleaseImage, facts: ImageFacts) -> Iterator[str]:
    if facts.size != image.size:
        yield f"{facts.size} bytes instead of {image.size}"
    if facts.sha256 != image.sha256:
        yield "another SHA-256"
    if image.md5 is not None and facts.md5 != image.md5:
        yield "another MD5"
    if facts.layout is not LAYOUTS[image.kind]:
        yield f"{facts.layout} instead of {LAYOUTS[image.kind]}"
    if plain_chip(facts.chip) != plain_chip(image.chip):
        yield f"for {facts.chip} instead of {image.chip}"
    # A descriptor without ESPHome's project holds the node's name and ESPHome's version there,
    # which say nothing of the release. ESPHome's projects have a dot, node names have none.
    if facts.project is not None and "." in facts.project:
        if not _same_project(facts.project, release.project):
            yield f"project {facts.project} instead of {release.project}"
        if facts.version and version_key(facts.version) != version_key(release.version):
            yield f"version {facts.version} instead of {release.version}"
    proven = {it.key_digest for it in facts.signatures if it.valid}
    if not set(image.signed_by) <= proven:
        yield "a signature that its manifest promises is missing or false"


def _same_project(found: str, wanted: str) -> bool:
    if len(found) >= _LONGEST_PROJECT:
        return wanted.startswith(found)
    return found == wanted
