"""
What the commands that run, or may still run, can let out at worst.

Commands reach the inverter in the order in which they were sent, and each takes the place of the
one before. So a command whose end is known costs its power until that end, and no longer than
until the next one has taken hold. A call that timed out may begin at any moment of the next
minutes: it is paid for as one whole lease more, whatever else runs.

Source: control.md 4.2 (P_worst) and cases 24 and 25.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.export.commitments import Commitments, exposure_w
from agent.export.lease import SECONDS_PER_HOUR, CommandPath


@dataclass(frozen=True, slots=True)
class StillOpen:
    """The commands that may still run, as a new one has to reckon with them."""

    power_w: float
    """Strongest of those whose end is known, at the worst gain and without sun."""
    for_s: float
    """All of those have surely ended by then."""
    doubtful_wh: float
    """Most that those can let out that may begin at any moment."""

    def worst_wh(self, sun_w: float) -> float:
        """Return the most that all of them can let out from now on, in Wh."""
        return (self.power_w + sun_w) * self.for_s / SECONDS_PER_HOUR + self.doubtful_wh


def still_open(
    commitments: Commitments, path: CommandPath, now_s: float, sun_w: float
) -> StillOpen:
    """
    Return what the commitments can still let out.

    Args:
        commitments: every command that may still run; charges let nothing out, rests only sun.
        path: traits of the path.
        now_s: the moment, monotonic.
        sun_w: most that the sun could add meanwhile.
    """
    discharges = tuple(c for c in commitments if c.lets_out)
    certain = tuple(c for c in discharges if c.certain)
    ends_s = max((c.ends_by_s(path, now_s) for c in certain), default=now_s)
    doubtful_wh = sum(
        (max(0, c.block.power_w) * path.gain + sun_w)
        * (c.block.duration_s + path.exit_lag_s)
        / SECONDS_PER_HOUR
        for c in discharges
        if not c.certain
    )
    return StillOpen(exposure_w(certain, path.gain), max(0.0, ends_s - now_s), doubtful_wh)
