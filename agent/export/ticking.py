"""
How a counter moves while a discharge runs steadily, and when it has stopped to.

A counter tells in steps, is polled, may be late, and may be refreshed by its inverter only now and
then; none of that is known beforehand. But once it has moved a few times, more than that cannot
flow without another move. So the energy between its moves is remembered, and it stands still when
clearly more has surely flowed since the last one. Surely: at the lowest power of the time by which
it may be late, so that a power that has just risen accuses nobody.

Until there are such moves, and where the power never stands, `counting` finds it, later.

Forgotten at the end of each discharge and with a restart: then the slower rule waits.

Source: control.md 4.2 (stop when), T6 and case 13.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter

CLEAR_W = 300.0
"""Less is the swing of a house around zero, which a meter may net and samples cannot see."""
_LATE_S = 60.0
"""A counter may be as late as this without anybody knowing."""
_POLL_S = 15.0
"""Powers are polled this far apart behind a busy Core."""
_PIECE_S = 5.0
_MOVES = 3
_KEPT = 8
_LONGER = 1.25
"""A poll that comes a quarter of its period late is no frozen counter."""
_ROUNDING = 0.5
"""Of a step: what two meters of one flow, and looks between reports, may differ by."""
_LOW_W = itemgetter(1)


@dataclass(frozen=True, slots=True)
class Ticking:
    """What was seen of one counter since the discharge began; times are monotonic seconds."""

    since_s: float = 0.0
    lows: tuple[tuple[float, float], ...] = ()
    """Begin of each piece of the recent past and the lowest power in it, oldest first."""
    sure_wh: float = 0.0
    """What has surely flowed for the counter since it last moved."""
    moves_wh: tuple[float, ...] = ()
    """Measured energy between its newest moves."""


AT_REST = Ticking()


def watch(
    before: Ticking, exported_w: float | None, hours: float, now_s: float, lag_s: float
) -> Ticking:
    """
    Return what is known after one more look at a running discharge.

    Args:
        before: so far.
        exported_w: power to the grid since the last look; `None` where it is not known.
        hours: since the last look.
        now_s: the moment, monotonic.
        lag_s: how late the counter is known to be.
    """
    if exported_w is None or exported_w < CLEAR_W:
        return AT_REST
    lows = before.lows
    if not lows:
        return Ticking(now_s, ((now_s, exported_w),))
    window_s = max(_LATE_S, lag_s) + _POLL_S
    if lows[0][0] < now_s - window_s - _PIECE_S:
        lows = tuple(piece for piece in lows if piece[0] >= now_s - window_s - _PIECE_S)
    if lows and now_s - lows[-1][0] < _PIECE_S:
        if exported_w < lows[-1][1]:
            lows = (*lows[:-1], (lows[-1][0], exported_w))
    else:
        lows = (*lows, (now_s, exported_w))
    sure_w = min(map(_LOW_W, lows)) if now_s - before.since_s > window_s else 0.0
    return Ticking(before.since_s, lows, before.sure_wh + sure_w * hours, before.moves_wh)


def moved(before: Ticking, flow_wh: float) -> Ticking:
    """Return what is known after the counter has moved, `flow_wh` after the time before."""
    if not before.lows:
        return before
    moves_wh = (*before.moves_wh[1 - _KEPT :], flow_wh)
    return Ticking(before.since_s, before.lows, 0.0, moves_wh)


def overdue(ticking: Ticking, step_wh: float) -> bool:
    """Return True when so much has surely flowed that a counter that lives had moved."""
    moves_wh = ticking.moves_wh
    if len(moves_wh) < _MOVES:
        return False
    return ticking.sure_wh > _LONGER * max(step_wh, *moves_wh) + _ROUNDING * step_wh
