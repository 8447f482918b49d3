"""What the agent sends of bridges, made by hand."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from agent.fleet.views import BridgeView

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
MAC = "02:00:5E:10:00:01"
SECRET = "c2VjcmV0LWtleS1vZi1hLXRlc3Qtd2l0aC0zMi1ieXQ="


def line(**changes: Any) -> dict[str, Any]:
    """Return a line of the list, as the agent sends it."""
    view: dict[str, Any] = {
        "mac": MAC,
        "title": "Plant room",
        "name": "bridge-1",
        "address": "192.168.1.20",
        "project": "pv-edge.alphaess-bridge",
        "version": "1.0.0",
        "esphome": "2026.10.0",
        "board": "esp32dev",
        "kind": "production",
        "state": "online",
        "words": "Connected",
        "since": "2026-06-21T12:00:00+00:00",
        "next_step": "",
        "findings": (),
    }
    return {**asdict(BridgeView(**(view | changes))), "keys": {}}


def verdict(result: str, **changes: Any) -> dict[str, Any]:
    """Return a verdict, as the agent sends it."""
    now = datetime.now(UTC).isoformat()
    gate = {"gate": "GATE-001", "name": "Reachable", "result": result, "at": now}
    shown = {"overall": result, "at": now, "holds_s": 600, "strict": True, "gates": []}
    return {**shown, "gates": [{**gate, "evidence": f"It is connected. {HOSTILE}"}], **changes}
