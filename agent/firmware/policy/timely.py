"""
Whether an unattended update has its turn. Nothing here stops a person.

Source: signing.md 4.5 and 6.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.firmware.manifest.versions import version_key
from agent.firmware.policy.models import Asker, Code, Device, Finding, Offer, Wish
from agent.firmware.policy.words import finding


def timely(device: Device, offer: Offer, wish: Wish) -> Iterator[Finding]:
    """Yield why nobody should be surprised by this update now."""
    if wish.asker is not Asker.AUTOMATIC:
        return
    if offer.brakes.paused:
        yield finding(Code.CHANNEL_PAUSED, why=offer.brakes.reason)
    if not (wish.wave_share >= 1 or wish.wave_position < wish.wave_share):
        yield finding(Code.NOT_YOUR_WAVE, share=f"{wish.wave_share * 100:.0f}")
    running = version_key(device.version)
    if (
        device.project == offer.release.project
        and running is not None
        and running == version_key(offer.release.version)
    ):
        yield finding(Code.NOTHING_NEW, version=offer.release.version)
