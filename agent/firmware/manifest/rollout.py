"""
When a bridge's turn comes, without a server that counts.

Waves are signed with the channel: so many hours after the release, that share of all bridges takes
it unattended. A bridge finds its own place from its MAC and the manifest's digest, so the places
are spread evenly and nobody is first every time. Waves hold back the unattended only.

Source: signing.md 6.3; Bottlerocket's waves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from agent.firmware.manifest.models import Wave


def wave_position(mac: str, manifest_sha256: str) -> float:
    """Return the place of a bridge in the rollout of one manifest, from 0 to below 1."""
    plain = mac.replace(":", "").replace("-", "").lower()
    digest = hashlib.sha256(f"{plain} {manifest_sha256.lower()}".encode()).digest()
    # 53 bits are what a float holds: 64 of them could be rounded up to 1.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def due_share(rollout: Sequence[Wave], released: datetime, now: datetime) -> float:
    """Return the share of all bridges whose turn has come; without waves everybody's has."""
    if not rollout:
        return 1.0
    hours = (now - released).total_seconds() / 3600
    return max((it.share for it in rollout if it.after_h <= hours), default=0.0)
