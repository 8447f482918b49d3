"""Signed documents as a publisher would write them, to be changed by the tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from agent.firmware.manifest.models import Channel, Halt, Release
from agent.firmware.manifest.parse import parse_channel, parse_halt, parse_release

Document = dict[str, Any]
Change = Callable[[Document], Any]
A, B, C = "a" * 64, "b" * 64, "c" * 64
RELEASE: Document = {
    "schema": 1,
    "project": "acme.bridge",
    "version": "1.2.0",
    "rollback_index": 3,
    "min_version": "1.0.0",
    "hw": ["r1", "r2"],
    "boards": ["esp32dev"],
    "min_chip_revision": 301,
    "trusts": [A, B],
    "source": {"repo": "https://example.com/acme", "commit": "0" * 40, "config": "b/edge.yaml"},
    "esphome": "2026.10.0",
    "released": "2026-11-22T08:00:00Z",
    "notes": "Reads the meter twice as often.\nKeeps the lease.",
    "notes_url": "https://example.com/acme/1.2.0",
    "security": "moderate",
    "health": {"confirm_after_s": 90, "expect_entities": ["sensor.grid_power"]},
    "images": [
        {
            "kind": "ota",
            "chip": "esp32",
            "file": "acme-1.2.0.ota.bin",
            "size": 1_053_312,
            "sha256": A,
            "signed_by": [A],
            "slot_size": 1_900_544,
            "md5": "d" * 32,
        },
        {
            "kind": "factory",
            "chip": "esp32",
            "file": "acme-1.2.0.factory.bin",
            "size": 1_118_848,
            "sha256": B,
            "flash_size": 4_194_304,
            "parts": [
                {"offset": 4096, "from": 4096, "size": 24_000},
                {"offset": 32_768, "from": 32_768, "size": 3072},
                {"offset": 65_536, "from": 65_536, "size": 1_053_312},
            ],
        },
    ],
}
CHANNEL: Document = {
    "schema": 1,
    "projects": {
        "acme.bridge": {
            "latest": "1.2.0",
            "releases": [
                {
                    "version": "1.0.0",
                    "rollback_index": 2,
                    "manifest": "stable/acme.bridge/1.0.0.json",
                },
                {
                    "version": "1.2.0",
                    "rollback_index": 3,
                    "manifest": "stable/acme.bridge/1.2.0.json",
                    "rollout": [{"after_h": 1, "share": 0.05}, {"after_h": 24.5, "share": 1}],
                },
            ],
        }
    },
    "policy": {"min_rollback_index": {"acme.bridge": 2}, "revoked": [C], "paused": False},
}
HALT: Document = {"schema": 1, "paused": True, "reason": "1.2.0 forgets its key", "revoked": [A]}


def text(document: Document, change: Change | None = None) -> bytes:
    """Return the bytes of a document after a change."""
    changed = deepcopy(document)
    if change is not None:
        change(changed)
    return json.dumps(changed).encode()


def release(change: Change | None = None, **fields: object) -> Release:
    """Return a release after a change."""
    return parse_release(text({**RELEASE, **fields}, change))


def channel(change: Change | None = None, name: str = "stable") -> Channel:
    """Return a channel after a change."""
    return parse_channel(text(CHANNEL, change), name)


def halt(change: Change | None = None) -> Halt:
    """Return a halt after a change."""
    return parse_halt(text(HALT, change))
