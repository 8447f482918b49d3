"""
What a lease was written on, so that every watt-hour of forced export is explained afterwards.

With each command the journal keeps what may have been exported at most, what was left, what the
command could cost at worst, until when, and what the inverter has shown of the command before.
The last command's read-back stands in the stop that ends it.

Source: control.md T11.
"""

from __future__ import annotations

from agent.export import commitments as com
from agent.export.commitments import Commitments
from agent.export.lease import SECONDS_PER_HOUR, CommandPath
from agent.house.readings import HouseSample, Reading


def of_worst_case(
    worst_case_wh: float, duration_s: int, path: CommandPath, older: Commitments, sun_w: float
) -> dict[str, object]:
    """
    Return what a command's worst case is made of.

    Args:
        worst_case_wh: what the command may cost.
        duration_s: its time, as it is written.
        path: delay and lag around it, and gain.
        older: commands that may still run when it is written.
        sun_w: most that the sun may add meanwhile.
    """
    over_within_s = path.command_delay_s + duration_s + path.exit_lag_s
    return {
        "over_within_s": round(over_within_s, 1),
        "worst_w": round(worst_case_wh * SECONDS_PER_HOUR / over_within_s),
        "older_w": round(com.exposure_w(older, path.gain)),
        "sun_w": round(sun_w),
    }


def of_readback(commitments: Commitments, sample: HouseSample) -> dict[str, object]:
    """Return what the registers have shown of our commands last, and the powers of this moment."""
    shown = next((c for c in reversed(commitments) if c.confirmed_s is not None), None)
    after_s = shown.confirmed_s - shown.sent_s if shown and shown.confirmed_s is not None else None
    return {
        "shown_number": shown.number if shown else None,
        "shown_after_s": None if after_s is None else round(after_s, 1),
        "battery_w": _value(sample.battery_w),
        "grid_w": _value(sample.grid_w),
    }


def _value(reading: Reading) -> float | None:
    return reading.value if reading.good else None
