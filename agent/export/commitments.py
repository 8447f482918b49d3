"""
Every command that runs, or may still run, at the inverter.

Desired state and read-back state are different things. A written block is a *commitment*: it
counts against the allowance from the moment before it is sent, and it stops counting only when
the inverter's own registers show a newer one, or when its time has surely passed. A call that
timed out may still run later, so it counts longer, not less.

Successive leases differ by a second in their duration: the register then moves with every
renewal, and a read-back proves that the renewal arrived.

Source: control.md cases 24 and 25; ARCHITECTURE, paths; defects D-09 and D-22.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from agent.export.lease import CommandPath
from agent.house.alphaess import MODE_SOC_CONTROL, DispatchBlock
from agent.house.port import WriteOutcome, WriteStatus
from agent.house.readings import DispatchReadings, Reading

UNCONFIRMED_HORIZON_S = 300.0
"""Longest that a call which timed out was seen to wait in Core's modbus queue, rounded up."""
_POWER_TOLERANCE_W = 5.0
_SOC_TOLERANCE_PERCENT = 1.0
_BEYOND = 1.3
"""No inverter delivers more than this share of its command."""
_FOLLOWS_S = 5.0
"""After a power has settled for the limiter, a slow inverter still creeps on."""
_READ_APART_S = 20.0
"""Registers of one dispatch are read within this time of each other."""


class Purpose(StrEnum):
    """What a lease is for."""

    DISCHARGE = "discharge"
    CHARGE = "charge"
    REST = "rest"
    """0 W: what is stored is kept for later."""
    SHARE_SUN = "share_sun"
    """A charge of a part of the sun's surplus, or none: the rest of it leaves."""
    COMMISSIONING = "commissioning"


RESTS = frozenset({Purpose.REST, Purpose.SHARE_SUN})
"""Let nothing out of the battery; sun that it does not take leaves the house."""


class Status(StrEnum):
    """What is known of a written lease."""

    SENT = "sent"
    DELIVERED = "delivered"
    UNCONFIRMED = "unconfirmed"
    CONFIRMED = "confirmed"
    """The inverter's registers show it."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """One written lease."""

    number: int
    purpose: Purpose
    block: DispatchBlock
    worst_case_wh: float
    sent_s: float
    sent_at: datetime
    status: Status = Status.SENT
    answered_s: float | None = None
    confirmed_s: float | None = None

    @property
    def certain(self) -> bool:
        """True when the registers have shown it, or the last hop accepted it."""
        return self.status in (Status.CONFIRMED, Status.DELIVERED)

    @property
    def lets_out(self) -> bool:
        """True when energy may leave the house because of it: of the battery, or the sun's."""
        return self.block.power_w > 0 or self.purpose in RESTS

    def ends_by_s(self, path: CommandPath, now_s: float) -> float:
        """Return when the inverter has surely ended it unaided, in monotonic seconds."""
        if self.confirmed_s is not None:
            # It cannot have begun later than it was seen; a call that waited in Core's queue
            # may have begun much later than it was sent.
            begun_s = self.confirmed_s
        elif self.certain:
            begun_s = max(self.sent_s + path.command_delay_s, self.answered_s or 0.0)
        elif self.answered_s is None:
            begun_s = now_s + path.command_delay_s
        else:
            begun_s = self.answered_s + UNCONFIRMED_HORIZON_S
        return begun_s + self.block.duration_s + path.exit_lag_s

    def runs_until_s(self) -> float:
        """Return when its timer ends if it began when it was sent: the earliest end."""
        return self.sent_s + self.block.duration_s


Commitments = tuple[Commitment, ...]


def answered(
    commitments: Commitments, number: int, outcome: WriteOutcome, now_s: float
) -> Commitments:
    """Return the commitments after the answer to one write; a refused one never ran."""
    if outcome.status is WriteStatus.REFUSED:
        return tuple(c for c in commitments if c.number != number)
    status = Status(outcome.status.value)
    return tuple(
        replace(
            c,
            status=c.status if c.status is Status.CONFIRMED else status,
            answered_s=now_s,
        )
        if c.number == number
        else c
        for c in commitments
    )


def confirmed(commitments: Commitments, number: int, now_s: float) -> Commitments:
    """Return the commitments after the registers showed one: all older ones are over."""
    return tuple(
        replace(c, status=Status.CONFIRMED, confirmed_s=c.confirmed_s or now_s)
        if c.number == number
        else c
        for c in commitments
        if c.number >= number
    )


def expired(commitments: Commitments, path: CommandPath, now_s: float) -> Commitments:
    """Return the commitments that may still run."""
    return tuple(c for c in commitments if c.ends_by_s(path, now_s) > now_s)


def exposure_w(commitments: Iterable[Commitment], gain: float) -> float:
    """Return the strongest discharge that any of the commitments may be carrying out, in W."""
    return max((max(0, c.block.power_w) * gain for c in commitments), default=0.0)


def settled_w(commitments: Commitments, battery_w: float, read_s: float, settled_s: float) -> float:
    """
    Return the power that the battery delivers by command; infinite where that is not certain.

    A battery far above it is not what this command made of it.

    Args:
        commitments: what runs, or may run.
        battery_w: what it delivers, positive discharges.
        read_s: when that and the grid power were read, the older of the two, monotonic.
        settled_s: when the last confirmed change of power had settled.
    """
    if not commitments or commitments[0].confirmed_s is None or read_s < settled_s + _FOLLOWS_S:
        return math.inf
    told_w = max(c.block.power_w for c in commitments)
    return float(told_w) if 0 < battery_w <= _BEYOND * told_w else math.inf


def unseen_for_s(commitments: Commitments, now_s: float) -> float:
    """
    Return how long a running dispatch has not shown its newest change; 0 when it shows it.

    An automation of the package drops a change that comes while it carries out the last one.
    """
    newest = commitments[-1] if commitments else None
    runs = any(c.confirmed_s is not None for c in commitments)
    if newest is None or not runs or newest.confirmed_s is not None or newest.answered_s is None:
        return 0.0
    return now_s - newest.answered_s


class Seen(StrEnum):
    """What the dispatch registers say."""

    UNKNOWN = "unknown"
    IDLE = "idle"
    OURS = "ours"
    OTHER = "other"
    """A dispatch runs that equals none of ours: foreign, or registers read at different times."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The dispatch registers, compared with what was written."""

    seen: Seen
    commitment: Commitment | None = None


UNSEEN = Observation(Seen.UNKNOWN)


def observe(commitments: Commitments, dispatch: DispatchReadings) -> Observation:
    """Compare the inverter's dispatch registers with every lease that may be running."""
    if not dispatch.start.good or dispatch.start.value is None:
        return Observation(Seen.UNKNOWN)
    if dispatch.start.value < 0.5:  # noqa: PLR2004 - a boolean register
        return Observation(Seen.IDLE)
    exact = next((c for c in reversed(commitments) if matches(c.block, dispatch)), None)
    ours = exact or _between(commitments, dispatch)
    if ours is not None:
        return Observation(Seen.OURS, ours) if _in_our_mode(dispatch) else UNSEEN
    if any(_clamped(c.block, dispatch) for c in commitments) or not _of_one_time(dispatch):
        return UNSEEN
    return Observation(Seen.OTHER)


def _in_our_mode(dispatch: DispatchReadings) -> bool:
    """Return False where our figures stand in the registers of another mode."""
    mode = dispatch.mode
    return not mode.good or _near(mode, MODE_SOC_CONTROL, 0.5)


def _clamped(block: DispatchBlock, dispatch: DispatchReadings) -> bool:
    """Return True for our time and cut-off with a weaker power: the inverter has cut it down."""
    shown_w = dispatch.power_w.value
    if shown_w is None or not _same_duration(block, dispatch) or not _same_cutoff(block, dispatch):
        return False
    return 0 < shown_w < block.power_w or block.power_w < shown_w < 0


def _of_one_time(dispatch: DispatchReadings) -> bool:
    """
    Return False where power and duration are older than the start they would belong to.

    After an inverter was mute, Core works off its polls one by one: for a while the registers
    show a new start with the power and duration of long ago.
    """
    begun_s = dispatch.start.changed_s - _READ_APART_S
    return seen_since(dispatch.power_w, begun_s) or seen_since(dispatch.duration_s, begun_s)


def _between(commitments: Commitments, dispatch: DispatchReadings) -> Commitment | None:
    """
    Return the older of two commands of ours, where some registers show it and some the newer.

    Helpers write power and duration one after the other, and the registers are read one by one.
    """
    shown: list[Commitment] = []
    for agrees in (_same_power, _same_duration, _same_cutoff):
        newest = next((c for c in reversed(commitments) if agrees(c.block, dispatch)), None)
        if newest is None:
            return None
        shown.append(newest)
    return min(shown, key=lambda commitment: commitment.number)


def matches(block: DispatchBlock, dispatch: DispatchReadings) -> bool:
    """Return True when the registers show exactly this block."""
    return (
        _same_power(block, dispatch)
        and _same_duration(block, dispatch)
        and _same_cutoff(block, dispatch)
    )


def _same_power(block: DispatchBlock, dispatch: DispatchReadings) -> bool:
    return _near(dispatch.power_w, block.power_w, _POWER_TOLERANCE_W)


def _same_duration(block: DispatchBlock, dispatch: DispatchReadings) -> bool:
    return _near(dispatch.duration_s, block.duration_s, 0.5)


def _same_cutoff(block: DispatchBlock, dispatch: DispatchReadings) -> bool:
    return _near(dispatch.cutoff_soc_percent, block.cutoff_soc_percent, _SOC_TOLERANCE_PERCENT)


def _near(reading: Reading, wanted: float, tolerance: float) -> bool:
    return reading.good and reading.value is not None and abs(reading.value - wanted) <= tolerance


def seen_since(reading: Reading, sent_s: float) -> bool:
    """Return True when the source vouched for the value after this moment."""
    return reading.vouched_s >= sent_s
