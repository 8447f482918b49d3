"""
Whether a release may go onto a bridge, and everything that speaks against it at once.

Some things nobody passes: an image that is revoked, for another chip, or vouched for by nobody.
Some are a person's to accept, each by its own name: going back, an own build, knowledge that is
stale. An unattended update accepts nothing, so it needs everything to be right and to be its turn.
A pause stops the unattended only; whoever stands beside the bridge may go on.

Pure and total: every question has an answer and none raises.

Source: signing.md 4.5, the lab's D01 to D22 and D99; pvautonomy.md, D-02, D-03 and D-06.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agent.firmware.policy.families import OUR_FAMILIES
from agent.firmware.policy.fitting import fitting
from agent.firmware.policy.genuine import genuine
from agent.firmware.policy.models import Asker, Decision, Device, Offer, Wish
from agent.firmware.policy.timely import timely
from agent.firmware.policy.wanted import wanted


def decide(
    device: Device, offer: Offer, wish: Wish, families: Mapping[str, str] = OUR_FAMILIES
) -> Decision:
    """
    Return whether the offered image may be written to the device as wished.

    It is asked twice: with what is known before the image is fetched, and again at the moment of
    writing, with the file's own facts and, over the cable, with the chip that its ROM told.

    Args:
        device: what is known of the bridge; its floor belongs to the offered project.
        offer: the release, the image and how far they are trusted.
        wish: who wants it, by which way, and what was accepted.
        families: factory project to the production project that it grows into.
    """
    found = [
        *genuine(offer),
        *fitting(device, offer, wish),
        *wanted(device, offer, wish, families),
        *timely(device, offer, wish),
    ]
    if wish.asker is Asker.AUTOMATIC:
        found = [replace(it, ack=None) for it in found]
    return Decision(
        refusals=tuple(it for it in found if it.ack not in wish.acks),
        accepted=tuple(it for it in found if it.ack in wish.acks),
    )
