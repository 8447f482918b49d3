"""
Whether another master writes the inverter's dispatch registers while we look.

Two controllers on one bus are the one thing that no lease survives: a second one may start its own
discharge while we are dead or blind. So while the commissioning test runs, every change of a
dispatch register has to be one of ours. The inverter itself clears `start` when the time is over,
and may put the rest back to neutral then.

Source: control.md finding 9 and case 27; export_monitor.md 4.6 (reset block).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from agent.export.replacing import replace
from agent.house.alphaess import POWER_OFFSET, RESET_BLOCK, DispatchBlock
from agent.house.readings import DispatchReadings

_NEUTRAL = {
    "power_w": (0.0, float(-POWER_OFFSET)),
    "cutoff_soc_percent": (0.0,),
    "duration_s": (0.0, float(RESET_BLOCK.duration_s)),
}
_TOLERANCE = {"power_w": 5.0, "cutoff_soc_percent": 1.0, "duration_s": 0.5}


@dataclass(frozen=True, slots=True)
class BusWatch:
    """The registers as they were last seen; `None` until they were."""

    power_w: float | None = None
    cutoff_soc_percent: float | None = None
    duration_s: float | None = None
    begun_s: float | None = None
    foreign: str = ""
    """The first change that was not ours, in words; empty while there was none."""


_WATCHED = tuple(f.name for f in fields(BusWatch) if f.name in _TOLERANCE)


def watch_bus(
    before: BusWatch,
    dispatch: DispatchReadings,
    ours: Iterable[DispatchBlock],
    now_s: float,
    *,
    over: bool,
) -> BusWatch:
    """
    Return the watch after one more look.

    Args:
        before: the watch so far.
        dispatch: the registers as they read now; those that are not good tell nothing.
        ours: the blocks that were written since the watch began.
        now_s: the moment, in monotonic seconds.
        over: a dispatch of ours has ended, and the inverter may have cleared the block.
    """
    blocks = tuple(ours)
    seen: dict[str, float | None] = {}
    foreign = before.foreign
    for name in _WATCHED:
        reading, was = getattr(dispatch, name), getattr(before, name)
        if not reading.good:
            seen[name] = was
            continue
        now = seen[name] = reading.value
        known = [float(getattr(block, name)) for block in blocks]
        known += _NEUTRAL[name] if over else ()
        mine = was is None or any(_same(name, now, each) for each in (was, *known))
        if not mine and not foreign:
            foreign = f"{reading.source} went from {was:g} to {now:g}"
    begun_s = now_s if before.begun_s is None else before.begun_s
    return replace(before, **seen, begun_s=begun_s, foreign=foreign)


def _same(name: str, one: float, other: float) -> bool:
    return abs(one - other) <= _TOLERANCE[name]
