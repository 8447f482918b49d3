"""
Ports as they come and go.

Source: esptool.md, section 5, "HA container facts".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from agent.firmware.serial.ports import SerialPort, list_ports

HOTPLUG_S = 1.0
"""How often the list is read; a person sees a new port within twice that."""


async def watch_ports(
    dev: Path = Path("/dev"), sys: Path = Path("/sys"), every_s: float = HOTPLUG_S
) -> AsyncIterator[tuple[SerialPort, ...]]:
    """Yield the ports now, and again each time that something was plugged in or pulled out."""
    # The kernel's own events do not reach a container's network namespace.
    before: tuple[SerialPort, ...] | None = None
    while True:
        ports = list_ports(dev, sys)
        if ports != before:
            before = ports
            yield ports
        await asyncio.sleep(every_s)
