"""
Who uses a port already: Home Assistant's integrations and apps, and programs of this machine.

Home Assistant knows its own from 2026.5 on; an older one does not have the question, and then it
is not known. A stick that an integration has is somebody's Zigbee, whatever converter it carries.

Source: ha_platform.md 6.4 (`usb/list_serial_ports`); esptool.md, section 0.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.firmware.serial.ports import SerialPort, holders
from agent.fleet.identity import label
from agent.homeassistant.errors import CoreError
from agent.homeassistant.websocket import CoreConnection

Users = Mapping[str, tuple[str, ...]]
"""Who uses a port, by its `path`."""
COMMAND = "usb/list_serial_ports"


def told_by_core(ports: Iterable[SerialPort], told: object) -> dict[str, tuple[str, ...]]:
    """
    Return who of Home Assistant uses which port.

    Args:
        ports: what there is here.
        told: the answer to `usb/list_serial_ports` with `include_usage`; what is of another form
            says nothing.
    """
    found: dict[str, tuple[str, ...]] = {}
    entries = [it for it in told if isinstance(it, Mapping)] if isinstance(told, list) else []
    for port in ports:
        names = {port.node, port.by_id, port.by_path} - {""}
        mine = (it for it in entries if {it.get("device"), it.get("resolved_device")} & names)
        users = [user for it in mine for user in _users(it.get("consumers"))]
        if users:
            found[port.path] = tuple(dict.fromkeys(users))
    return found


async def users_of(ports: tuple[SerialPort, ...], core: CoreConnection | None) -> Users:
    """Return who uses which port, as far as that can be seen; nothing is opened or sent."""
    told: object = None
    if core is not None and ports:
        try:
            told = await core.command(COMMAND, include_usage=True)
        except CoreError:
            told = None  # an older Core has no such question, and one that is away no answer
    known = told_by_core(ports, told)
    for port in ports:
        here = await asyncio.to_thread(holders, port.node)
        names = tuple(f"{it.name} (process {it.pid})" for it in here if not _ours(it.pid))
        if names:
            known[port.path] = (*known.get(port.path, ()), *names)
    return known


def _users(consumers: object) -> list[str]:
    if not isinstance(consumers, list):
        return []
    found = []
    for it in consumers:
        if isinstance(it, Mapping):
            title, domain = (_word(it.get(key)) for key in ("title", "domain"))
            domain = domain or _word(it.get("slug"))
            of = f" ({domain})" if domain and domain != title else ""
            found.append(f"{title or domain or 'something'}{of} of Home Assistant")
    return found


def _word(told: object) -> str:
    return label(told) or "" if isinstance(told, str) else ""


def _ours(pid: int) -> bool:
    """Whether a process is a job of this very agent."""
    try:
        return f"PPid:\t{os.getpid()}\n" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
