"""
How late a counter tells what the power meter has seen.

Commissioning measures it where it can; a counter may become late afterwards, or only in some
firmware, and a guard that believes a tick to be of this moment would count a minute of discharge
too little. So each time an export begins out of rest, the ticks are laid against the measured
power: a tick of so many Wh cannot tell of a time in which clearly less had flowed. What two ticks
of a stretch agree on is believed, within bounds, and only ever makes the guard more careful.

Source: control.md, assumption attacks ("counter secretly 60 s late": up to 39 Wh).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agent.export.replacing import replace

MOST_LAG_S = 120.0
"""Later than this a counter is not merely late: it stands still, and the guard stops."""
_QUIET_W = 30.0
_PIECE_S = 3.0
_METER_ERROR = 0.03
_RAMP_S = 10.0
"""Powers are read this far apart; a counter is not late because of them."""
_LEAST_LAG_S = 10.0
_LONGEST_STRETCH_WH = 1000.0
"""Beyond this the meters' own error hides a lag of a minute."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """What has been seen of one counter's lag."""

    learned_s: float = 0.0
    """The lag to reckon with, at most `MOST_LAG_S`."""
    quiet_s: float | None = None
    """Since when nothing flows; the counter has caught up after a while."""
    measured_wh: float | None = None
    """Energy since the stretch began; `None` while none is watched."""
    told_wh: float = 0.0
    """What the counter has told of it."""
    curve: tuple[tuple[float, float], ...] = ()
    """Times, and what had been measured by then; oldest first."""
    suspected_s: float = 0.0
    """Lag that the last tick showed."""


def watched(
    late: Lateness, exported_w: float | None, energy_wh: float, now_s: float, poll_s: float
) -> Lateness:
    """
    Return what is known after one more look.

    Args:
        late: so far.
        exported_w: measured now; `None` where it is not known.
        energy_wh: measured since the last look.
        now_s: the moment, monotonic.
        poll_s: longest usual time between two reports of the counter.
    """
    if exported_w is None:
        return _ended(late)
    if exported_w < _QUIET_W:
        quiet_s = now_s if late.quiet_s is None else late.quiet_s
        if now_s - quiet_s < MOST_LAG_S + poll_s:
            return replace(late, quiet_s=quiet_s) if late.quiet_s is None else late
        return Lateness(late.learned_s, quiet_s, 0.0, 0.0, ((now_s, 0.0),))
    if late.measured_wh is None:
        return late if late.quiet_s is None else replace(late, quiet_s=None)
    measured_wh = late.measured_wh + energy_wh
    if measured_wh > _LONGEST_STRETCH_WH:
        return _ended(late)
    curve = late.curve
    if not curve or now_s - curve[-1][0] >= _PIECE_S:
        curve = (*curve[-_pieces(poll_s) :], (now_s, measured_wh))
    return replace(late, quiet_s=None, measured_wh=measured_wh, curve=curve)


def ticked(late: Lateness, told_wh: float, step_wh: float, read_s: float) -> Lateness:
    """
    Return what is known after the counter has moved by so much.

    Args:
        late: so far.
        told_wh: how far it moved.
        step_wh: its resolution.
        read_s: when its source read it, monotonic.
    """
    if late.measured_wh is None or not late.curve:
        return late
    told_wh += late.told_wh
    surely_s = _reached_s(late, told_wh * (1 + _METER_ERROR) + step_wh)
    if surely_s is None or read_s - surely_s - _RAMP_S < _LEAST_LAG_S:
        return replace(late, told_wh=told_wh, suspected_s=0.0)
    most_s = _reached_s(late, told_wh * (1 - _METER_ERROR) - step_wh)
    lag_s = min(MOST_LAG_S, read_s - (surely_s if most_s is None else most_s))
    # One odd tick may be a poll that came late; the smaller of two in a row is believed.
    believed_s = max(late.learned_s, min(lag_s, late.suspected_s))
    return replace(late, told_wh=told_wh, suspected_s=lag_s, learned_s=believed_s)


def _reached_s(late: Lateness, energy_wh: float) -> float | None:
    """Return when so much had been measured, at the latest; `None` before that or long ago."""
    if energy_wh <= late.curve[0][1]:
        return late.curve[0][0] if energy_wh >= 0.0 else None
    return next((at_s for at_s, wh in late.curve if wh >= energy_wh), None)


def _pieces(poll_s: float) -> int:
    return math.ceil((MOST_LAG_S + 2 * poll_s) / _PIECE_S)


def _ended(late: Lateness) -> Lateness:
    if late.measured_wh is None and late.quiet_s is None:
        return late
    return Lateness(late.learned_s)
