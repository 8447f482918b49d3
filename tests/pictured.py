"""A house for the pictures of the docs: bridges and a cable, which the demo has none of."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.surface.conftest import House
from tests.surface.desks import DISCHARGING
from tests.surface.full_house import full_house

FACTORY = "02:00:5E:10:00:02"
CABLE = "/dev/serial/by-id/usb-Espressif_USB_JTAG_serial_debug_unit-if00"
PROJECT = "pv-edge.alphaess-bridge"
SIZE = 1_012_000
"""Of an image, in bytes."""
EVIDENCE = {
    "Reachable": "Connected to 192.168.1.20 for 6 h.",
    "Health": "All 3 health sensors say that all is well.",
    "Identity": f"{PROJECT} on esp32dev (esp32), as the release wants.",
    "Modbus": "The inverter's values are 2 s old.",
    "Stable": "Connected for 6 h without a break.",
    "Firmware known": "Runs 1.0.0, built 3 Nov 2026.",
    "Upload port": "Takes uploads on port 3232.",
    "Signal": "-61 dBm.",
    "Heap": "143 kB are free.",
    "Not discharging": "No dispatch runs through it.",
    "Not busy": "Nothing else flashes it.",
    "Image": f"{PROJECT} 1.1.0 of a verified release.",
}


def pictured(folder: Path) -> House:
    """
    Return the house; its server is not started.

    A production bridge that an update waits for, a factory bridge on its way, an update that was
    confirmed, and a bridge on a cable that was asked who it is.
    """
    house = full_house(folder)
    now = datetime.now(UTC)
    house.guard.shown = dataclasses.replace(DISCHARGING, at=now)
    plant, shed = house.bridges.lines
    since = (now - timedelta(hours=6)).isoformat()
    plant |= {"since": since}
    shed |= {
        "state": "online",
        "words": "Connected",
        "since": since,
        "name": "bridge-2",
        "address": "192.168.1.21",
        "project": f"{PROJECT}-factory",
        "next_step": "",
        "findings": (),
    }
    at = (now - timedelta(minutes=2)).isoformat()
    house.bridges.judged = {plant["mac"]: _judged(at), FACTORY: _judged(at)}
    _offered(house, now)
    _flashed(house, now)
    _plugged(house, now)
    return house


def _judged(at: str) -> dict[str, Any]:
    gates = [
        {"gate": f"GATE-{n:03}", "name": name, "result": "pass", "evidence": text, "at": at}
        for n, (name, text) in enumerate(EVIDENCE.items(), start=1)
    ]
    return {"overall": "pass", "at": at, "holds_s": 600, "strict": True, "gates": gates}


def _offered(house: House, now: datetime) -> None:
    (first, second) = house.releases.now["bridges"]
    offer = {
        "notes": "Reads the dispatch block back after each command.",
        "notes_url": "",
        "security": "",
        "size": SIZE,
        "released": (now - timedelta(days=9)).isoformat(),
        "refusals": [],
        "missing": [],
    }
    production = {**first, **offer, "title": "Plant room"}
    factory = {**second, **offer, "title": "Shed", "standing": "change"}
    factory["project"] = f"{PROJECT}-factory"
    house.releases.show(state="fresh", sources=[], bridges=[production, factory], builds=[])


def _flashed(house: House, now: datetime) -> None:
    over = house.flashing.now["jobs"][1]
    done = {
        "title": "Plant room",
        "version": "1.0.0",
        "before": f"{PROJECT} 0.9.4",
        "stage": "complete",
        "failed_in": None,
        "result": "confirmed",
        "text": "It runs 1.0.0, and still did after 60 s.",
        "ended": (now - timedelta(days=18)).isoformat(),
        "evidence": ["It restarted.", "It runs the new build.", "It still did after its trial."],
        "next_step": "",
    }
    house.flashing.show(jobs=[{**over, **done}], campaigns=[], may_go_back=[])


def _plugged(house: House, now: datetime) -> None:
    port, ended = house.recovery.now["ports"][0], house.recovery.now["jobs"][1]
    table = [("nvs", 0x9000, 0x5000), ("otadata", 0xE000, 0x2000), ("app0", 0x10000, 0x1C0000)]
    chip = {
        "at": now.isoformat(),
        "text": "",
        "chip": "esp32c3",
        "description": "ESP32-C3 (QFN32)",
        "revision": "0.4",
        "mac": "02:00:5E:10:00:03",
        "flash_size": 4 * 1024 * 1024,
        "locks": [],
        "table": [{"label": name, "offset": at, "size": size} for name, at, size in table],
        "app": f"{PROJECT} 1.0.0",
        "known": "Garage",
        "needs_flashing": False,
        "channel": "stable",
        "releases": [{"channel": "stable", "project": PROJECT, "version": "1.1.0"}],
    }
    plugged = {
        "port": CABLE,
        "title": "USB JTAG/serial debug unit",
        "kind": "built into the chip",
        "used_by": [],
        "code": "",
        "text": "",
        "device": chip,
    }
    done = {
        "port": CABLE,
        "title": "Garage",
        "mac": chip["mac"],
        "version": "1.0.0",
        "stage": "complete",
        "result": "confirmed",
        "text": "The bridge is recovered.",
        "ended": (now - timedelta(days=40)).isoformat(),
    }
    house.recovery.show(ports=[{**port, **plugged}], jobs=[{**ended, **done}])
