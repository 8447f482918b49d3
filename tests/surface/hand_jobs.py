"""What the agent sends of updates, made by hand."""

from __future__ import annotations

from typing import Any

from tests.surface.hand_bridges import HOSTILE, MAC

OTHER = "02:00:5E:10:00:02"
BY = "page: local"


def job(**changes: Any) -> dict[str, Any]:
    """Return a job, as the agent sends it."""
    shown: dict[str, Any] = {
        "job": "a1b2",
        "mac": MAC,
        "title": f"Plant room {HOSTILE}",
        "project": "pv-edge.alphaess-bridge",
        "version": f"1.1.0 {HOSTILE}",
        "before": "pv-edge.alphaess-bridge 1.0.0",
        "stage": "upload",
        "failed_in": None,
        "open": True,
        "percent": 41,
        "text": "The image is being sent.",
        "rate_bytes_s": 52_000,
        "left_s": 75,
        "by": "Ada",
        "acks": [],
        "goes_back": False,
        "campaign": "",
        "asked": "2026-06-21T12:00:00+00:00",
        "ended": None,
        "sent": True,
        "may_cancel": False,
        "upload": "",
        "result": None,
        "code": "",
        "evidence": [],
        "next_step": "",
    }
    return {**shown, **changes}


def ended(**changes: Any) -> dict[str, Any]:
    """Return a job with a verdict."""
    over: dict[str, Any] = {
        "open": False,
        "stage": "failed",
        "failed_in": "postcheck",
        "ended": "2026-06-21T12:04:00+00:00",
        "result": "rolled_back",
        "text": "It took the new image and runs the old build again.",
        "evidence": ["It came back with the old build.", f"Its log says {HOSTILE}"],
        "next_step": "Tell the publisher.",
    }
    return job(**{**over, **changes})


def campaign(**changes: Any) -> dict[str, Any]:
    """Return the update of many, as the agent sends it."""
    places = [("ready", False), ("failed", True)]
    shown: dict[str, Any] = {
        "campaign": "c0ffee",
        "project": "pv-edge.alphaess-bridge",
        "version": "1.1.0",
        "status": "stopped",
        "why": f"1 of 1 failed: {MAC}. Look at them, then resume or abort. {HOSTILE}",
        "by": "Ada",
        "planned": "2026-06-21T12:00:00+00:00",
        "parallel": 1,
        "counts": {"failed": 1, "ready": 1},
        "members": [
            {
                "mac": mac,
                "title": f"Bridge {HOSTILE}",
                "canary": canary,
                "standing": standing,
                "until": None,
                "attempts": 0,
            }
            for mac, (standing, canary) in zip((OTHER, MAC), places, strict=True)
        ],
    }
    return {**shown, **changes}
