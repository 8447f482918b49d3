"""
A release manifest filled from the files themselves, and every contradiction refused.

A person writes what only people know: what is new, for which boards, how a healthy bridge looks.
Sizes, digests, chip and signatures come from the file. What was written by hand all the same has
to be what the file says.

Source: signing.md 4.4, 4.9.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from agent.firmware.image.models import ImageError, ImageFacts, Layout
from agent.firmware.manifest.models import SCHEMA, ImageKind, ManifestError, Release
from agent.firmware.manifest.parse import parse_release
from agent.firmware.manifest.versions import older
from agent.firmware.signing.models import SigningError

_KINDS = {Layout.APPLICATION: ImageKind.OTA, Layout.FACTORY: ImageKind.FACTORY}


def parse_draft(data: bytes, name: str) -> dict[str, Any]:
    """
    Return a draft of a release manifest: the same fields, those of the images incomplete.

    Raises:
        SigningError: it is no JSON object.
    """
    try:
        draft = json.loads(data)
    except ValueError as error:
        raise SigningError(f"{name} is no JSON: {error}. Correct it.") from error
    if not isinstance(draft, dict) or not isinstance(draft.get("images", []), list):
        raise SigningError(f"{name} is no draft of a manifest. docs/manifests.md shows one.")
    return draft


def read_facts(name: str, data: bytes) -> ImageFacts:
    """
    Return what a file says of itself.

    Raises:
        SigningError: it is no ESP image, or a damaged one.
    """
    from agent.firmware.image.read import read_image  # noqa: PLC0415 - only for adding

    try:
        facts = read_image(data)
    except ImageError as error:
        raise SigningError(f"{name}: {error}") from error
    damaged = not facts.checksum_ok or facts.hash_ok is False
    if damaged or not all(block.valid for block in facts.signatures):
        what = "a signature does not fit" if not damaged else "checksum or hash do not fit"
        raise SigningError(f"{name} is damaged: {what}. Build or sign it again.")
    return facts


def filled(
    draft: Mapping[str, Any], files: Mapping[str, ImageFacts], slot_size: int | None
) -> Release:
    """
    Return the release of a draft and its files.

    Args:
        draft: the manifest as far as a person wrote it.
        files: what each file says, by its name.
        slot_size: bytes of the application slot, for images whose draft does not say it.

    Raises:
        SigningError: draft and files contradict each other, or something is missing.
    """
    by_hand = {str(image.get("file")): image for image in draft.get("images", ())}
    absent = sorted(set(by_hand) - set(files))
    if absent:
        raise SigningError(f"The draft names {absent[0]}, which was not given. Add the file to the "
                           "command or remove it from the draft.")  # fmt: skip
    images = [_image(name, by_hand.get(name, {}), facts, slot_size)
              for name, facts in files.items()]  # fmt: skip
    for name, facts in files.items():
        _belongs(name, facts, draft)
    revision = max((facts.min_chip_revision for facts in files.values()), default=0)
    manifest = {"schema": SCHEMA, **draft, "images": images}
    if revision:
        # A chip below it would not boot the image, whatever the draft says.
        manifest["min_chip_revision"] = max(revision, int(draft.get("min_chip_revision", 0)))
    try:
        release = parse_release(json.dumps(manifest).encode())
    except ManifestError as error:
        raise SigningError(f"The manifest would be refused by every house: {error}") from error
    return release


def check_signed(
    release: Release, facts: Mapping[str, ImageFacts], others: Iterable[Release]
) -> None:
    """
    Refuse an unsigned application for a project whose firmware verifies signatures.

    ESP-IDF stops at start when an app that was built for verification carries no signature, so an
    unsigned factory image would be a brick of our own making.

    Raises:
        SigningError: an image is unsigned.
    """
    if not is_signed(release, others):
        return
    for name, it in facts.items():
        if not it.signatures:
            raise SigningError(
                f"The application in {name} is not signed, but firmware of {release.project} "
                "verifies signatures: a bridge would refuse it, or not start with it. Sign it with "
                "espsecure and add it again."
            )


def is_signed(release: Release, others: Iterable[Release]) -> bool:
    """Return whether this release, or one before it, trusts keys or was signed by one."""
    before = [it for it in others if older(it.version, release.version)]
    return any(
        it.trusts or any(image.signed_by for image in it.images) for it in (release, *before)
    )


def _image(
    name: str, by_hand: Mapping[str, Any], facts: ImageFacts, slot_size: int | None
) -> dict[str, Any]:
    kind = _KINDS.get(facts.layout)
    if kind is None:
        raise SigningError(f"{name} is a bootloader alone. Add the ota and the factory image.")
    read: dict[str, Any] = {
        "kind": str(kind),
        "chip": facts.chip,
        "file": name,
        "size": facts.size,
        "sha256": facts.sha256,
        "signed_by": [block.key_digest for block in facts.signatures],
    }
    usual: dict[str, Any] = {}
    if kind is ImageKind.OTA:
        read["md5"] = facts.md5
        usual = {} if slot_size is None else {"slot_size": slot_size}
        if "slot_size" not in {**usual, **by_hand}:
            raise SigningError(f"How large is the slot that {name} has to fit? Say --slot-size "
                               "BYTES, or slot_size in the draft.")  # fmt: skip
    else:
        usual = {
            "flash_size": facts.flash_size,
            "parts": [{"offset": 0, "from": 0, "size": facts.size}],
        }
        _fits_flash(name, by_hand, facts)
    for field, value in read.items():
        if field in by_hand and by_hand[field] != value:
            raise SigningError(
                f"{name}: the draft says {field} {by_hand[field]!r}, the file says {value!r}. "
                "Remove it from the draft, or add the right file."
            )
    return {**usual, **by_hand, **read}


def _fits_flash(name: str, by_hand: Mapping[str, Any], facts: ImageFacts) -> None:
    flash = by_hand.get("flash_size", facts.flash_size)
    if not isinstance(flash, int):
        raise SigningError(f"{name} does not say for how much flash it is. Say flash_size in the "
                           "draft.")  # fmt: skip
    if facts.flash_size is not None and flash < facts.flash_size:
        raise SigningError(
            f"{name} is built for {facts.flash_size} bytes of flash, the draft says {flash}. "
            "Correct the draft."
        )


def _belongs(name: str, facts: ImageFacts, draft: Mapping[str, Any]) -> None:
    for what, said, wanted in (
        ("project", facts.project, draft.get("project")),
        ("version", facts.version, draft.get("version")),
    ):
        if said is not None and said != wanted:
            raise SigningError(
                f"{name} says it is {what} {said!r}, the draft says {wanted!r}. Add the file of "
                "this release, or correct the draft."
            )
