"""
What a person can ask of the fleet, why it may be refused, and what became of it.

One operation runs at a time, and every press ends in a record with words: one that was refused
because something else runs, or because nothing was chosen, tells that as plainly as one that
failed. A target is a MAC; names that begin with one another or that two devices share never
decide who is meant.

Pure functions and plain records; the words of results are those of PVAutonomy Ops.

Source: pvautonomy.md 1.3 and 1.6; its defects D-08, D-14, D-17.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from agent.fleet.gate_models import Block, Refusal, Rules, Shown, Verdict
from agent.fleet.gates import flash_refusal, restart_refusal
from agent.fleet.identity import Mac
from agent.fleet.record import Fleet

NO_UPDATES = (
    "Install it under Firmware on the agent's page, which says what it is offered, and why not."
)


class Op(StrEnum):
    """What can be asked."""

    DISCOVER = "discover"
    RUN_GATES = "run_gates"
    FLASH = "flash_firmware"
    RESTART = "restart_device"


class OpState(StrEnum):
    """How far an operation is."""

    IDLE = "idle"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that was asked, and what became of it."""

    op: Op
    state: OpState
    started: datetime
    """With a time zone, as `finished`."""
    finished: datetime | None = None
    target: Mac | None = None
    progress_percent: float = 0.0
    result: str | None = None
    """One word of the old contract: `success`, `failed`, `blocked`, `rejected`, `error`, …"""
    error: str | None = None
    block: Block | None = None
    details: Mapping[str, Shown] = field(default_factory=lambda: MappingProxyType({}))
    """Figures that only this kind has, by the attribute that shows them."""

    @property
    def duration_s(self) -> float | None:
        """Return how long it took, `None` while it runs."""
        return (self.finished - self.started).total_seconds() if self.finished else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What decides whether something may be done now."""

    fleet: Fleet
    now_s: float
    """On our monotonic clock."""
    rules: Rules
    running: Operation | None = None
    verdicts: Mapping[Mac, Verdict] = field(default_factory=lambda: MappingProxyType({}))
    digest: str | None = None
    """The image that would be sent; `None` while no release is known."""
    on_trial: frozenset[Mac] = frozenset()
    flashing: Mapping[Mac, str] = field(default_factory=lambda: MappingProxyType({}))
    """Who flashes which bridge now."""
    discharging_through: frozenset[Mac] | None = None
    """`None` if the guard could not say."""


def refusal(op: Op, target: Mac | None, now: Situation) -> Refusal | None:
    """Return why this may not be done now, `None` if it may."""
    if now.running is not None and now.running.state is OpState.RUNNING:
        busy = now.running.op.replace("_", " ")
        return Refusal(Block.BUSY, f"The operation {busy} runs. Wait until it has ended.")
    return None if op is Op.DISCOVER else _about_target(op, target, now)


def refused(op: Op, target: Mac | None, why: Refusal, at: datetime) -> Operation:
    """Return the record of something that was not done."""
    return Operation(
        op=op,
        state=OpState.FAILED,
        started=at,
        finished=at,
        target=target,
        result=_result(op, why.reason),
        error=why.text,
        block=why.reason,
    )


def _result(op: Op, reason: Block) -> str:
    if op in {Op.RUN_GATES, Op.DISCOVER}:
        return "error"
    if op is Op.RESTART or reason in {Block.NO_TARGET, Block.UNKNOWN_TARGET}:
        return "rejected"
    return "failed" if reason is Block.BUSY else "blocked"


def _about_target(op: Op, target: Mac | None, now: Situation) -> Refusal | None:
    if target is None:
        return Refusal(Block.NO_TARGET, "No device is chosen. Choose one first.")
    if target not in now.fleet.records:
        text = "The chosen device is not known any more. Choose one that is."
        return Refusal(Block.UNKNOWN_TARGET, text)
    if op is Op.RESTART:
        trial = target in now.on_trial
        through, busy = now.discharging_through, now.flashing.get(target)
        return restart_refusal(target, on_trial=trial, discharging_through=through, busy=busy)
    if op is Op.RUN_GATES:
        return None
    if now.digest is None:
        return Refusal(Block.NO_IMAGE, NO_UPDATES)
    return flash_refusal(now.verdicts.get(target), target, now.digest, now.now_s, now.rules)
