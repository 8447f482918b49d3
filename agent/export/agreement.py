"""
Whether the export counter and the measured power tell the same story.

A counter that stands still is found by its missing ticks. One that moves, but by too little (read
with the wrong scale, of one phase only, or the neighbour of the right register), would let out a
multiple of the allowance without ever looking wrong. So clear export is summed up from the power,
and beside it what the counter has shown of it; while the counter lags far behind, nothing is
discharged. It may catch up, and a new day begins anew. A counter that shows more than was measured
only under-allows. What it tells of a time in which nothing was measured proves nothing: such a step
counts as much as was measured beside it.

The sums survive a restart: each one forgotten would let out the slack again.

Source: control.md 4.2 (power integral) and cases 9 and 16.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.export.ledger import Ledger
from agent.export.snapshot import Reason
from agent.export.ticking import CLEAR_W

_SHARE = 0.7
_BLIND_WH = 1.0
_SLACK_WH = 150.0
"""A minute of full power that a counter may be late, its step, and what a Core restart loses."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Clear export of this day since the agent has watched, in Wh."""

    measured_wh: float = 0.0
    """From the power at the connection point."""
    counted_wh: float = 0.0
    """From the counter, and from what was charged in its place."""

    @property
    def broken(self) -> bool:
        """True when the counter has shown far less than was measured."""
        return self.measured_wh * _SHARE > self.counted_wh + _SLACK_WH


def watch(
    before: Agreement, ledgers: tuple[Ledger, Ledger], exported_w: float | None, hours: float
) -> Agreement:
    """
    Return the agreement after one more look.

    Args:
        before: so far.
        ledgers: the account before and after this look.
        exported_w: power to the grid since the last look; `None` where it is not known, or
            contradicts the other powers.
        hours: since the last look.
    """
    old, new = ledgers
    if new.day != old.day:
        return Agreement()
    counted_wh = new.exported.day_wh - old.exported.day_wh
    measured_wh = exported_w * hours if exported_w is not None and exported_w >= CLEAR_W else 0.0
    if counted_wh > 0.0 and old.exported.blind_wh > _BLIND_WH:
        flowed_wh = old.exported.flow_wh + (exported_w or 0.0) * hours
        counted_wh = min(counted_wh, max(0.0, flowed_wh))
    first = old.exported.last_wh is None
    if first or (counted_wh == 0.0 and measured_wh == 0.0):
        return before
    return Agreement(before.measured_wh + measured_wh, before.counted_wh + counted_wh)


def disagreement(agreement: Agreement, source: str) -> Iterator[Reason]:
    """Yield why the export counter is not believed."""
    if agreement.broken:
        yield Reason(
            "exported_counter_disagrees",
            f"Exported energy: {source} has counted {agreement.counted_wh:.0f} Wh where the grid "
            f"power says {agreement.measured_wh:.0f} Wh. Nothing is discharged until it catches up "
            "or the day ends; check the counter's unit, scale and register.",
            source,
        )
