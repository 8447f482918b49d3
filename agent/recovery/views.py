"""
Ports, chips and recoveries in the words of page and entities.

Pure functions; what devices said is passed on as text, and the page sets it as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.firmware.job.models import JobState
from agent.firmware.job.progress import Progress
from agent.firmware.serial.models import SerialDevice
from agent.firmware.serial.ports import Adapter, SerialPort
from agent.fleet.identity import written
from agent.recovery.policy import Choice
from agent.recovery.words import KINDS, described, locks
from agent.surface.cable_shown import ChipView, PortView
from agent.surface.fleet_view import iso
from agent.surface.recovery_view import BLANK, IDLE, RecoveryView


@dataclass(frozen=True, slots=True)
class Identified:
    """What a chip has told, and what is known of it here."""

    device: SerialDevice
    at: datetime
    title: str = ""
    """Of a bridge that is known here, "" of a stranger."""
    needs_flashing: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """How a question to a chip stands."""

    phase: str = ""
    """What goes on; "" if nothing does."""
    code: str = ""
    text: str = ""
    """Why it came to nothing."""
    found: Identified | None = None


def port_json(
    port: SerialPort,
    used_by: tuple[str, ...],
    asked: Asked,
    offered: Iterable[Choice],
    channel: str,
) -> PortView:
    """Return one line of the list of ports."""
    found = asked.found
    return {
        "port": port.path,
        "node": port.node,
        "socket": port.by_path,
        "title": port.title,
        "kind": KINDS[port.adapter],
        "stick": port.adapter is Adapter.STICK,
        "mac": written(port.mac) if port.mac else "",
        "used_by": list(used_by),
        "phase": asked.phase,
        "code": asked.code,
        "text": asked.text,
        "device": _device(found, offered, channel) if found else None,
    }


def _device(found: Identified, offered: Iterable[Choice], channel: str) -> ChipView:
    device = found.device
    revision = device.revision
    return {
        "at": iso(found.at),
        "text": described(device),
        "chip": device.chip,
        "description": device.description,
        "revision": None if revision is None else f"v{revision // 100}.{revision % 100}",
        "mac": written(device.mac) if device.mac else "",
        "flash_size": device.flash_size,
        "locks": list(locks(device)),
        "table": [
            {"label": it.label, "offset": it.offset, "size": it.size, "app": it.is_app}
            for it in device.table
        ],
        "app": f"{device.app_name} {device.app_version}".strip(),
        "known": found.title,
        "needs_flashing": found.needs_flashing,
        "channel": channel,
        "releases": [
            {"channel": it.channel, "project": it.project, "version": it.version} for it in offered
        ],
    }


def view_of(
    jobs: Mapping[str, JobState],
    progress: Mapping[str, Progress],
    needs: Iterable[str],
    ports: int,
    asking: str,
) -> RecoveryView:
    """
    Return what Home Assistant is shown.

    Args:
        jobs: those over the cable.
        progress: by job.
        needs: MACs of the bridges that need flashing.
        ports: how many there are.
        asking: the port of a chip that is being asked, "" if none is.
    """
    newest = tuple(jobs.values())[::-1]
    last = next(iter(newest), None)
    running = next((it for it in newest if it.open), None)
    base = {**BLANK, "ports": ports, "needs_flashing": sorted(needs)}
    if last is not None and last.verdict is not None:
        base |= {"last_result": last.verdict.result.value, "last_text": last.verdict.text}
    if running is None:
        return RecoveryView("identify" if asking else IDLE, {**base, "port": asking or None})
    release, how_far = running.request.release, progress.get(running.id)
    base |= {
        "port": running.request.port,
        "mac": written(running.mac),
        "release": f"{release.project} {release.version}",
        "progress": int(how_far.percent) if how_far else None,
    }
    return RecoveryView(running.stage.value, base)
