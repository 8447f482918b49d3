"""esptool lives in the flashing process alone."""

from __future__ import annotations

from tests.test_footprint_imports import loaded_by

ROOM = [
    "boot_log",
    "checks",
    "driver",
    "errors",
    "hotplug",
    "layout",
    "messages",
    "models",
    "pace",
    "plan",
    "ports",
    "worker",
]


def test_nothing_of_the_room_loads_esptool_before_a_job_runs() -> None:
    modules = ", ".join(f"agent.firmware.serial.{name}" for name in ROOM)
    loaded = loaded_by(f"import {modules}")
    assert not {"esptool", "serial", "esp_pylib", "rich"} & loaded
