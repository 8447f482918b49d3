"""
Whether somebody wants what this would do to the bridge: go back, or become something else.

A version's order is advice: with the same rollback index, going back is a normal wish that is
accepted by name. The rollback index is not advice. Below the device's own floor only a recovery
over the cable goes, accepted and with a reason.

Source: signing.md 4.5, "Floors"; pvautonomy.md, D-02.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.firmware.manifest.versions import older
from agent.firmware.policy.models import Ack, Asker, Code, Device, Finding, Offer, Way, Wish
from agent.firmware.policy.words import finding


def wanted(
    device: Device, offer: Offer, wish: Wish, families: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield what would change the bridge in a way that has to be wanted."""
    release = offer.release
    recovery = wish.asker is Asker.RECOVERY
    if release.rollback_index < device.floor:
        ack = Ack.DEVICE_FLOOR if recovery and wish.way is Way.SERIAL else None
        yield finding(
            Code.BELOW_DEVICE_FLOOR, ack, index=release.rollback_index, floor=device.floor
        )
    if recovery and not wish.reason.strip():
        yield finding(Code.REASON_MISSING)
    if _becomes_another(device, offer, wish, families):
        yield finding(
            Code.PROJECT_DIFFERS,
            Ack.PROJECT_CHANGE,
            found=device.project,
            project=release.project,
        )
    if device.project == release.project and _goes_back(device, offer, wish):
        yield finding(
            Code.DOWNGRADE,
            Ack.DOWNGRADE,
            found=device.version,
            version=release.version,
            relation="is" if older(release.version, device.version) else "may be",
        )


def _becomes_another(device: Device, offer: Offer, wish: Wish, families: Mapping[str, str]) -> bool:
    if device.project is None:
        # A silent chip on the cable has nothing to lose; one on the network runs something.
        return wish.way is Way.OTA or wish.asker is Asker.AUTOMATIC
    if device.project == offer.release.project:
        return False
    return families.get(device.project) != offer.release.project


def _goes_back(device: Device, offer: Offer, wish: Wish) -> bool:
    back = older(offer.release.version, device.version)
    if back is None:
        return wish.way is Way.OTA or wish.asker is Asker.AUTOMATIC or device.version is not None
    return back
