"""
What the agent tells its flashing process, and what that one answers: one JSON object a line.

Both ends are this program, so a line that does not parse is a bug or a dying process, and is
treated as the latter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from agent.firmware.manifest.models import Part
from agent.firmware.serial.models import FlashPlan, Partition, SerialDevice, Span
from agent.fleet.identity import Mac


class Job(StrEnum):
    """What the process is started for."""

    IDENTIFY = "identify"
    BACKUP = "backup"
    WRITE = "write"
    VERIFY = "verify"
    RESTART = "restart"
    OBSERVE = "observe"


class Event(StrEnum):
    """What a line from the process is about."""

    PHASE = "phase"
    PROGRESS = "progress"
    LOG = "log"
    TOUCHED = "touched"
    """From here on the device is not what it was."""
    DONE = "done"
    REFUSED = "refused"
    """By this program: with code, sentence and next step."""
    FAILED = "failed"
    """By esptool or the port: with the type of the exception and its words."""


@dataclass(frozen=True, slots=True)
class Request:
    """One job."""

    job: Job
    port: str
    baud: int
    """Bits per second once the connection stands; it begins with 115200."""
    stub: bool
    """Use the helper program, which is faster and can do more."""
    connect_attempts: int
    greeting_s: float
    """Longest wait for the helper program to say hello; esptool itself would wait for ever."""
    plan: FlashPlan | None = None
    image: str = ""
    """Path of the file to write or to compare with."""
    output: str = ""
    """Path of the backup."""
    full: bool = False
    """Back up all of the flash, not only what is hard to replace."""
    listen_s: float = 0.0
    """Longest time to listen to a start."""
    mac: Mac | None = None
    """The device that is meant, where no plan says it."""

    def to_line(self) -> bytes:
        """Return it as it goes to the process."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Request:
        """Return what a line holds; it comes from our own parent."""
        raw = json.loads(line)
        plan = raw.pop("plan")
        job = Job(raw.pop("job"))
        return cls(job=job, plan=plan_from(plan) if plan else None, **raw)


def plan_from(raw: Mapping[str, Any]) -> FlashPlan:
    """Return a plan from its JSON."""
    return FlashPlan(
        **{
            **raw,
            "parts": tuple(Part(**it) for it in raw["parts"]),
            "kept": tuple(Partition(**it) for it in raw["kept"]),
            "blank": tuple(Span(**it) for it in raw["blank"]),
        }
    )


def device_from(raw: Mapping[str, Any]) -> SerialDevice:
    """Return a device from its JSON."""
    known = {it.name for it in fields(SerialDevice)} - {"table"}
    table = tuple(Partition(**it) for it in raw["table"])
    return SerialDevice(table=table, **{name: raw[name] for name in known})
