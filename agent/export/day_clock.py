"""
Which day it is, when the wall clock jumps.

A new day brings a new allowance, so a clock that is set forward over midnight and back again
would grant one day twice. The monotonic clock never jumps: where the wall clock leaves it by more
than a minute, the old reckoning goes on, nothing is discharged, and the new time is believed once
it has stayed for five minutes. Then a machine that was suspended over midnight has its new day,
and a clock that was wrong for a moment has changed nothing. Daylight saving is no jump.

Source: control.md case 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.clock import Instant
from agent.export.snapshot import Reason

JUMP_S = 60.0
"""Less is a time server's correction; no day begins so early that it matters."""
BELIEVED_AFTER_S = 300.0
_DRIFT_S = 1.0
"""Followed in steps of this, so that most looks change nothing."""


@dataclass(frozen=True, slots=True)
class DayClock:
    """How far the wall clock is ahead of the monotonic one."""

    ahead_s: float | None = None
    """As believed; `None` before the first look of this process."""
    doubted_s: float | None = None
    """Monotonic: since when the wall clock says something else."""


def watch(clock: DayClock, now: Instant) -> DayClock:
    """Return the clock after one more look."""
    ahead_s = now.local.timestamp() - now.monotonic_s
    drift_s = JUMP_S if clock.ahead_s is None else abs(ahead_s - clock.ahead_s)
    if drift_s <= JUMP_S:
        settled = clock.doubted_s is None and drift_s < _DRIFT_S
        return clock if settled else DayClock(ahead_s)
    doubted_s = now.monotonic_s if clock.doubted_s is None else clock.doubted_s
    if now.monotonic_s - doubted_s > BELIEVED_AFTER_S:
        return DayClock(ahead_s)
    return DayClock(clock.ahead_s, doubted_s)


def believed(clock: DayClock, now: Instant) -> Instant:
    """Return the moment with the local time that is believed."""
    if clock.ahead_s is None or clock.doubted_s is None:
        return now
    stamp_s = now.monotonic_s + clock.ahead_s
    return Instant(now.monotonic_s, datetime.fromtimestamp(stamp_s, now.local.tzinfo))


def doubts(clock: DayClock, now: Instant) -> tuple[Reason, ...]:
    """Return why the day is not sure at the moment; empty when it is."""
    if clock.doubted_s is None:
        return ()
    local = believed(clock, now).local
    return (
        Reason(
            "clock_jumped",
            f"The clock says {now.local:%Y-%m-%d %H:%M}, but by the time that has passed it is "
            f"{local:%Y-%m-%d %H:%M}. It is believed when it stays for "
            f"{BELIEVED_AFTER_S / 60:.0f} minutes; check the machine's time server.",
        ),
    )
