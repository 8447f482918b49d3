"""
What the gates of a bridge are told, and what they say.

Source: pvautonomy.md, sections 3 and 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.fleet.contact import Port
from agent.fleet.identity import Mac
from agent.fleet.record import BridgeRecord

Shown = bool | float | str | None


class Result(StrEnum):
    """What a gate says."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    FAIL = "fail"


class GateId(StrEnum):
    """The gates; the first four keep the ids of PVAutonomy Ops."""

    REACHABLE = "GATE-001"
    HEALTH = "GATE-002"
    IDENTITY = "GATE-003"
    MODBUS = "GATE-004"
    STABLE = "GATE-005"
    FIRMWARE_KNOWN = "GATE-006"
    UPLOAD_PORT = "GATE-007"
    SIGNAL = "GATE-008"
    HEAP = "GATE-009"
    NOT_DISCHARGING = "GATE-010"
    NOT_BUSY = "GATE-011"
    IMAGE = "GATE-012"


@dataclass(frozen=True, slots=True)
class Rules:
    """How strict the gates are; the thresholds are judgement, not measurement."""

    strict: bool = True
    """Whether a warning blocks."""
    fresh_s: float = 600.0
    """How long a verdict is believed."""
    stable_s: float = 300.0
    """How long it must have been connected without a break."""
    modbus_s: float = 30.0
    """How old a Modbus reading may be."""
    weak_dbm: float = -75.0
    lost_dbm: float = -85.0
    small_heap_bytes: float = 40_000.0
    least_heap_bytes: float = 20_000.0


@dataclass(frozen=True, slots=True)
class Release:
    """What the manifest says of one image."""

    digest: str
    """SHA-256 in lower-case hexadecimal."""
    size_bytes: int
    verified: bool
    """The manifest's signatures were checked and are good."""
    projects: frozenset[str]
    """Projects that it may replace."""
    chip: str
    boards: frozenset[str]
    """Boards that it is for; empty where the chip says enough."""
    revisions: frozenset[str] = frozenset()
    """Board revisions that it is for; empty where they do not matter."""


@dataclass(frozen=True, slots=True)
class Image:
    """The file that would be sent."""

    digest: str
    size_bytes: int
    fetched: bool = True
    """Whether the file is here; else this is what the manifest says that it will be."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value and when it arrived."""

    value: Shown
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen of one bridge; `None` where nobody asked or it did not say."""

    record: BridgeRecord
    at_s: float
    """When it was gathered, on our monotonic clock."""
    at: datetime
    """The same moment for people, with a time zone."""
    upload_port: Port | None = None
    health: Mapping[str, Shown] = field(default_factory=dict)
    """Each health sensor that it must have: true or "on" is a problem, false or "off" is none."""
    modbus: Mapping[str, Reading | None] = field(default_factory=dict)
    """Each Modbus reading that it must have."""
    expects_modbus: bool = True
    """False for a factory image: nothing is connected to it yet."""
    signal: Reading | None = None
    """dBm; `None` where it exposes none."""
    heap: Reading | None = None
    """Free bytes; `None` where it exposes none."""
    revision: str | None = None
    discharging_through: frozenset[Mac] | None = None
    """Bridges through which a dispatch runs now; `None` if the guard could not say."""
    busy: str | None = None
    """Who else flashes it, if anybody does."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate's word."""

    gate: GateId
    result: Result
    evidence: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """All gates for one bridge and one image."""

    mac: Mac
    digest: str
    at_s: float
    at: datetime
    gates: tuple[Gate, ...]

    @property
    def overall(self) -> Result:
        """Return the worst of them."""
        found = {it.result for it in self.gates}
        return next(it for it in (Result.FAIL, Result.WARN, Result.PASS) if it in found)

    def of(self, result: Result) -> tuple[Gate, ...]:
        """Return the gates with that result."""
        return tuple(it for it in self.gates if it.result is result)


class Block(StrEnum):
    """Why something is refused; the words of PVAutonomy Ops where it had one."""

    MISSING = "gates_missing"
    ANOTHER = "gates_of_another"
    STALE = "gates_stale"
    FAILED = "gates_failed"
    WARNED = "gates_warned"
    ON_TRIAL = "image_on_trial"
    DISCHARGING = "discharging"
    BUSY = "op_busy"
    NO_TARGET = "device_not_selected"
    UNKNOWN_TARGET = "device_not_discovered"
    NO_IMAGE = "no_release"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, and what to do."""

    reason: Block
    text: str
