"""What the agent sends of firmware, made by hand."""

from __future__ import annotations

from typing import Any

from agent.releases.views import NOBODY_SIGNED
from tests.surface.hand_bridges import HOSTILE, MAC

DIGEST = "ab" * 32


def source(**changes: Any) -> dict[str, Any]:
    """Return a source, as the agent sends it."""
    shown: dict[str, Any] = {
        "name": "official",
        "kind": "official",
        "freshness": "stale",
        "why": f"The signatures of timestamp expired. {HOSTILE}",
        "words": "Last confirmed 12 Mar 2027, revocations since then are unknown here.",
        "confirmed": "2027-03-12T10:00:00+00:00",
        "stale_since": "2027-04-02T10:00:00+00:00",
        "carrier": "cache",
        "development": False,
        "root_sha256": DIGEST,
        "roles": [{"role": "timestamp", "version": 7, "expires": "2027-04-02T10:00:00+00:00"}],
        "channels": [
            {
                "name": "stable",
                "freshness": "stale",
                "why": "",
                "paused": True,
                "reason": "A bad release.",
                "latest": {"pv-edge.alphaess-bridge": "1.1.0"},
            }
        ],
        "events": [],
    }
    return {**shown, **changes}


def offer(**changes: Any) -> dict[str, Any]:
    """Return what a bridge is offered, as the agent sends it."""
    stale = {
        "code": "stale-metadata",
        "text": "What is known was right once.",
        "next_step": "Connect this house.",
        "ack": "ack_stale",
    }
    shown: dict[str, Any] = {
        "mac": MAC,
        "title": f"Plant room {HOSTILE}",
        "channel": "stable",
        "own_channel": None,
        "project": "pv-edge.alphaess-bridge",
        "installed": "1.0.0",
        "standing": "update",
        "why": "",
        "source": "official",
        "latest": "1.1.0",
        "released": "2027-03-01T10:00:00+00:00",
        "notes": f"Reads faster.\n{HOSTILE}",
        "notes_url": "javascript:document.title='owned'",
        "security": "critical",
        "sha256": DIGEST,
        "size": 1000,
        "refusals": [stale],
        "missing": ["ack_stale"],
        "floor": 1,
    }
    return {**shown, **changes}


def build(**changes: Any) -> dict[str, Any]:
    """Return a build of one's own, as the agent sends it."""
    shown: dict[str, Any] = {
        "sha256": DIGEST,
        "size": 196_608,
        "layout": "application",
        "chip": "esp32",
        "project": f"acme.bridge {HOSTILE}",
        "version": "1.2.3",
        "built": "2025-11-22T08:00:00+00:00",
        "idf": "v5.5",
        "whole": True,
        "signatures": 0,
        "sentence": NOBODY_SIGNED,
    }
    return {**shown, **changes}
