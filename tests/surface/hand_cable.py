"""What the agent sends of ports and recoveries, made by hand."""

from __future__ import annotations

from typing import Any

from agent.surface.cable_desk import CableWish
from tests.cable_help import MAC, PROJECT
from tests.surface.hand_bridges import HOSTILE

PART = {"label": "nvs", "offset": 0x9000, "size": 0x5000}


def port(**changes: Any) -> dict[str, Any]:
    """Return a port, as the agent sends it."""
    shown: dict[str, Any] = {
        "port": "/dev/ttyUSB0",
        "node": "/dev/ttyUSB0",
        "socket": "",
        "title": f"CP2102N {HOSTILE}",
        "kind": "a converter",
        "stick": False,
        "mac": "",
        "used_by": ["ZHA"],
        "phase": "",
        "code": "no-answer",
        "text": "no-one answers",
        "device": None,
    }
    return {**shown, **changes}


def job(**changes: Any) -> dict[str, Any]:
    """Return a recovery, as the agent sends it."""
    shown: dict[str, Any] = {
        "job": "j1",
        "way": "serial",
        "port": "/dev/ttyUSB1",
        "mac": MAC,
        "title": "",
        "project": PROJECT,
        "version": f"1.1.0 {HOSTILE}",
        "stage": "write",
        "failed_in": None,
        "open": True,
        "percent": 41,
        "text": "It is written.",
        "rate_bytes_s": 52_000,
        "left_s": 75,
        "by": "Ada",
        "ended": None,
        "may_cancel": False,
        "writes": False,
        "result": None,
        "evidence": [],
        "next_step": "",
        "log": [f"esptool said {HOSTILE}"],
        "has_log": True,
    }
    return {**shown, **changes}


def judged(wish: CableWish) -> dict[str, Any]:
    """Answer a check: what is older has to be accepted by name."""
    against = {
        "code": "downgrade",
        "text": f"Older {HOSTILE}.",
        "next_step": "",
        "ack": "ack_downgrade",
    }
    accepted = "ack_downgrade" in wish.acks
    refusals = [] if accepted else [against]
    text = f"Write 1.0.0 to {wish.mac}?"
    return {"accepted": accepted, "code": "", "text": text, "refusals": refusals, "digest": "d1"}
