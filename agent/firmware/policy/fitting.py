"""
Whether the image can run on this bridge and get there by this way. Nothing here can be accepted.

The device is asked, not an option: what a setting says about the house's hardware flashed the wrong
board for others. Over the air, what nobody knows is no fit; over the cable the ROM tells the chip
and the person sees the board.

Source: signing.md 4.4, 4.5 and 4.9; esptool.md, section 4; pvautonomy.md, D-03.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.firmware.manifest.models import ImageKind
from agent.firmware.manifest.versions import older
from agent.firmware.policy.genuine import signers
from agent.firmware.policy.models import Asker, Code, Device, Finding, Offer, Way, Wish
from agent.firmware.policy.words import finding
from agent.fleet.chips import plain_chip

_HUNDRED = 100


def fitting(device: Device, offer: Offer, wish: Wish) -> Iterator[Finding]:
    """Yield what keeps the image from running on the bridge or from getting there."""
    yield from _chip(device, offer, wish)
    yield from _board(device, offer, wish)
    if wish.way is Way.OTA:
        yield from _over_the_air(device, offer)
    else:
        yield from _over_the_cable(device, offer)


def _chip(device: Device, offer: Offer, wish: Wish) -> Iterator[Finding]:
    if device.chip is None and wish.way is Way.OTA:
        yield finding(Code.CHIP_UNKNOWN, wanted=offer.image.chip)
    if device.chip is not None and plain_chip(device.chip) != plain_chip(offer.image.chip):
        yield finding(Code.WRONG_CHIP, wanted=offer.image.chip, found=device.chip)
    if device.chip_revision is None:
        return
    facts = offer.facts
    least = max(offer.release.min_chip_revision, facts.min_chip_revision if facts else 0)
    most = facts.max_chip_revision if facts else None
    if device.chip_revision < least or (most is not None and device.chip_revision > most):
        wanted = f"from {_revision(least)}"
        if most is not None:
            wanted += f" to {_revision(most)}"
        yield finding(Code.CHIP_REVISION, wanted=wanted, found=_revision(device.chip_revision))


def _board(device: Device, offer: Offer, wish: Wish) -> Iterator[Finding]:
    seen = wish.way is Way.SERIAL and wish.asker is not Asker.AUTOMATIC
    for code, wanted, found in (
        (Code.WRONG_BOARD, offer.release.boards, device.board),
        (Code.WRONG_HARDWARE_REVISION, offer.release.hw, device.hw),
    ):
        if wanted and found not in wanted and not (found is None and seen):
            yield finding(code, wanted=wanted, found=found)


def _over_the_air(device: Device, offer: Offer) -> Iterator[Finding]:
    release, image = offer.release, offer.image
    if image.kind is not ImageKind.OTA:
        yield finding(Code.FACTORY_NEEDS_SERIAL)
    most = min((it for it in (device.slot_size, image.slot_size) if it is not None), default=None)
    size = max(image.size, offer.facts.size if offer.facts else 0)
    if most is not None and size > most:
        yield finding(Code.SLOT_TOO_SMALL, size=size, most=most)
    if device.trusts is not None and not device.trusts & signers(offer):
        who = tuple(sorted(signers(offer)))
        yield finding(Code.DEVICE_WOULD_REJECT_SIGNATURE, signers=who or "nobody")
    if device.refuses_downgrade and older(release.version, device.version):
        yield finding(
            Code.DEVICE_WOULD_REJECT_DOWNGRADE, found=device.version, version=release.version
        )
    # Versions of another project are in no order with these; there `min_version` says nothing.
    ordered = release.min_version is not None and device.project == release.project
    if ordered and older(device.version, release.min_version) is not False:
        yield finding(
            Code.NEEDS_STEPPING_STONE,
            version=release.version,
            least=release.min_version,
            found=device.version,
        )


def _over_the_cable(device: Device, offer: Offer) -> Iterator[Finding]:
    image, facts = offer.image, offer.facts
    if image.kind is not ImageKind.FACTORY or not image.parts:
        yield finding(Code.NO_FLASH_PLAN)
    if device.flash_size is None:
        return
    needed = max(
        image.flash_size or 0,
        (facts.flash_size if facts else None) or 0,
        *(it.offset + it.size for it in image.parts),
        0,
    )
    if needed > device.flash_size:
        yield finding(Code.FLASH_TOO_SMALL, size=needed, most=device.flash_size)


def _revision(number: int) -> str:
    return f"v{number // _HUNDRED}.{number % _HUNDRED}"
