"""Whether a release may go onto a bridge."""

from __future__ import annotations

from collections.abc import Mapping

from agent.firmware.policy.models import Decision, Device, Offer, Wish

OUR_FAMILIES: Mapping[str, str] = {}


def decide(
    device: Device, offer: Offer, wish: Wish, families: Mapping[str, str] = OUR_FAMILIES
) -> Decision:
    """Return whether it may be flashed, and all that speaks against it."""
    raise NotImplementedError
