"""
A dispatch that ends by itself unless it is renewed.

The inverter's Dispatch Time is a dead-man switch: when it runs out, the inverter returns to
self-consumption without being told. A lease is written only when everything that could leave
the house until then, at worst, still fits what is left of the allowance. Whatever dies
afterwards, the day's limit holds.

Source: control.md, findings 2 and 8, and section 4.5 (exposure after a kill).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

SECONDS_PER_HOUR = 3600
_WEAKER = 0.9
"""Factor between two powers that are tried when the shortest lease is still too dear."""
_DURATIONS = 3
"""Different times that successive leases of a path of minutes choose from."""


@dataclass(frozen=True, slots=True)
class CommandPath:
    """What commissioning measured between the agent and this inverter's power stage."""

    name: str
    max_discharge_w: float
    min_discharge_w: float
    lease_s: int
    """Length of a lease while the allowance is far."""
    shortest_lease_s: int
    """Below this the power is reduced instead: a lease must outlive its own renewal."""
    renew_after_s: float
    duration_step_s: int
    """Durations are written in multiples of this: 1 s in registers, 60 s through helpers."""
    command_delay_s: float
    """From the write to the frame that starts the inverter's timer, the worst seen."""
    exit_lag_s: float
    """From the end of the Dispatch Time to zero power, the worst seen."""
    gain: float
    """Delivered power over commanded power, the highest seen, at least 1."""
    verify_s: float
    """From a delivered write until registers and battery power must show it."""
    power_step_w: int = 1
    """Powers are written in multiples of this, rounded towards zero."""
    cutoff_step_percent: int = 0
    """Cut-offs are written in multiples of this, rounded up; 0 leaves them as they are."""
    reduce_every_s: float = 3.0
    """Shortest time between two reductions of the power."""
    has_toggle: bool = False
    """A toggle stands for the dispatch. It only writes what changes, and it stays on when the
    inverter has ended the dispatch unaided."""
    learns_gain: bool = False
    """Powers come often enough to learn the gain while a dispatch runs."""
    longest_stale_s: float = math.inf
    """An older power ends a discharge, whatever longer time the settings allow."""
    longest_answer_s: float = math.inf
    """A command not answered by then is unconfirmed, whatever longer time the settings allow."""
    repeat_after_s: float = math.inf
    """A reduction that the registers do not show by then is written again while the limit is
    exceeded; where read-backs are slower than renewals, the renewal repeats it."""


HA_REGISTER = CommandPath(
    "ha_register", 5000, 300, 90, 40, 20, 1, command_delay_s=15, exit_lag_s=8, gain=1.1, verify_s=40
)
"""Core's modbus hub behind a package of 141 sensors, before commissioning has measured it."""
DIRECT = CommandPath(
    "direct",
    5000,
    300,
    lease_s=60,
    shortest_lease_s=30,
    renew_after_s=15,
    duration_step_s=1,
    command_delay_s=4,
    exit_lag_s=8,
    gain=1.1,
    verify_s=20,
    learns_gain=True,
    longest_stale_s=18,
    longest_answer_s=4,
    repeat_after_s=4,
)
"""Registers within one hop: Modbus TCP to the simulated inverter."""
BRIDGE = replace(DIRECT, name="bridge")
"""Registers within one hop, too: an ESPHome bridge on the inverter's RS485 line. A command that
waits there is given up after 3 s, within the delay."""

HA_HELPERS = CommandPath(
    "ha_helpers",
    5000,
    300,
    lease_s=360,
    shortest_lease_s=180,
    renew_after_s=75,
    duration_step_s=60,
    command_delay_s=15,
    exit_lag_s=8,
    gain=1.1,
    verify_s=45,
    power_step_w=100,
    cutoff_step_percent=1,
    reduce_every_s=10,
    has_toggle=True,
)
"""The package's own toggles and sliders: whole minutes, 0.1 kW, and only changes are written. Its
automations drop a change that comes while they still carry out the last one, so reductions wait."""


def measured(path: CommandPath, delay_s: float, exit_lag_s: float, gain: float) -> CommandPath:
    """
    Return the path with what commissioning saw, bounded so that one lucky test cannot unmake it.

    The delay seen once is not the worst: half is added, and never less than a quarter of the
    default is believed. The gain is never taken below 1.
    """
    return replace(
        path,
        command_delay_s=min(30.0, max(path.command_delay_s / 4, 1.5 * delay_s)),
        exit_lag_s=max(path.exit_lag_s / 2, 1.5 * exit_lag_s),
        gain=min(1.25, max(1.0, gain * 1.02)),
    )


@dataclass(frozen=True, slots=True)
class Lease:
    """One dispatch as it is written to the inverter."""

    power_w: float
    duration_s: int
    worst_case_wh: float
    """Energy that may leave the house from now until the inverter has surely stopped."""


def worst_case_wh(exported_w: float, duration_s: float, path: CommandPath) -> float:
    """Return the energy that a command of this length may let out at this power, in Wh."""
    return exported_w * (path.command_delay_s + duration_s + path.exit_lag_s) / SECONDS_PER_HOUR


def longest_affordable(
    wanted_w: float,
    left_wh: float,
    pv_bound_w: float,
    unconfirmed_w: float,
    path: CommandPath,
    over_within_s: float = math.inf,
    unconfirmed_s: float = math.inf,
) -> Lease | None:
    """
    Return the longest lease at the wanted power that the allowance pays for in advance.

    Near the end of the allowance the lease first gets shorter, then weaker, then there is none:
    what is left is worth less than the risk. An older command whose end is known is paid for
    twice over: to its end, in case the new one is lost, and until the new one has taken hold.

    Args:
        wanted_w: battery power the controller asks for, positive for discharge.
        left_wh: allowance minus the upper bound of what may have been exported already.
        pv_bound_w: most that the sun could add during the lease.
        unconfirmed_w: power of an older command that may still be running; 0 once read back,
            and for a rest, which lets out sun alone.
        path: traits found at commissioning.
        over_within_s: by then the inverter has surely stopped, at the latest: the day's end.
        unconfirmed_s: the older command has surely ended by then; unknown by default.

    Raises:
        ValueError: an input is negative; a caller that produces one has lost track of its signs.
    """
    if min(wanted_w, pv_bound_w, unconfirmed_w) < 0:
        raise ValueError(f"lease inputs below zero: {wanted_w=} {pv_bound_w=} {unconfirmed_w=}")
    power_w = whole_steps_w(min(wanted_w, path.max_discharge_w), path)
    lost_wh = 0.0
    if unconfirmed_s < math.inf:
        lost_wh = (unconfirmed_w + pv_bound_w) * unconfirmed_s / SECONDS_PER_HOUR
    while power_w >= path.min_discharge_w and lost_wh <= left_wh:
        exported_w, before_wh = power_w * path.gain + pv_bound_w, 0.0
        weaker_w = max(0.0, unconfirmed_w - power_w * path.gain)
        if unconfirmed_s < math.inf:
            takes_hold_s = min(unconfirmed_s, path.command_delay_s + path.exit_lag_s)
            before_wh = weaker_w * takes_hold_s / SECONDS_PER_HOUR
        else:
            exported_w += weaker_w
        duration_s = _affordable_s(exported_w, left_wh - before_wh, over_within_s, path)
        if duration_s >= path.shortest_lease_s:
            worst_wh = before_wh + worst_case_wh(exported_w, duration_s, path)
            return Lease(power_w, duration_s, max(lost_wh, worst_wh))
        power_w = whole_steps_w(power_w * _WEAKER, path)
    return None


def whole_steps_w(power_w: float, path: CommandPath) -> float:
    """Return the power as the path can write it, never stronger than asked."""
    if path.power_step_w == 1:
        return power_w
    return float(int(power_w / path.power_step_w) * path.power_step_w)


def next_duration_s(longest_s: int, taken_s: Sequence[int], path: CommandPath) -> int:
    """
    Return a Dispatch Time that differs from those of commands which may still be running.

    Only then does the register move, which proves the renewal, and only then does a helper
    write at all: on a path of minutes the times go 6, 5, 6; where two commands are open, 4.

    Args:
        longest_s: what the allowance pays for; whole steps of the path.
        taken_s: Dispatch Times of the commands that may run, oldest first.
        path: traits of the path; a time has to outlive its own renewal.
    """
    least_s = path.renew_after_s + path.command_delay_s
    steps = [longest_s - n * path.duration_step_s for n in range(_DURATIONS)]
    possible = [duration_s for duration_s in steps if duration_s >= least_s] or [longest_s]
    free = [duration_s for duration_s in possible if duration_s not in taken_s]
    changed = [duration_s for duration_s in possible if duration_s not in taken_s[-1:]]
    return (free or changed or possible)[0]


def _affordable_s(
    exported_w: float, left_wh: float, over_within_s: float, path: CommandPath
) -> int:
    around_s = path.command_delay_s + path.exit_lag_s
    paid = worst_case_wh(exported_w, path.lease_s, path) <= left_wh
    if paid and over_within_s >= path.lease_s + around_s:
        return path.lease_s
    paid_s = left_wh * SECONDS_PER_HOUR / exported_w if exported_w > 0 else math.inf
    duration_s = int(min(paid_s, over_within_s) - around_s)
    return duration_s - duration_s % path.duration_step_s
