"""
Which of two ways to the inverter is used.

The wanted one, for as long as it is there. Where a person has named a second one, it is used once
the first has been away for a minute and the second is there; back goes it when the first has been
there for five minutes and nothing runs. How a change of path is made safe, `handover` says; here
is only when.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.export.snapshot import Reason
from agent.house.readings import HouseSample

LEAVE_AFTER_S = 60.0
"""A bridge boots in half of that; Core takes longer, and is worth leaving."""
BACK_AFTER_S = 300.0
THERE_FOR_S = 10.0
"""A path that has just come is not changed to at once."""
_FRESH_S = 60.0


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways that a person allows, and the one in use."""

    paths: tuple[str, ...]
    """The wanted one first."""
    in_use: str
    away_s: float | None = None
    """Since when the one in use is away, monotonic."""
    other_s: float | None = None
    """Since when the other one is there."""

    @property
    def other(self) -> str | None:
        """The way that is not in use."""
        return next((path for path in self.paths if path != self.in_use), None)

    def problems(self) -> tuple[Reason, ...]:
        """Return what a person should know of it."""
        if self.in_use == self.paths[0]:
            return ()
        return (
            Reason(
                "path_fallback",
                f"The path {self.paths[0]} is away: commands go through {self.in_use} until it has "
                f"been back for {BACK_AFTER_S / 60:.0f} minutes and nothing runs.",
            ),
        )


def there(sample: HouseSample, now_s: float) -> bool:
    """Return True when a path tells what a command needs."""
    needed = (sample.grid_w, sample.battery_w, sample.dispatch.start)
    return sample.linked and all(each.good and each.age_s(now_s) <= _FRESH_S for each in needed)


def watched(
    ways: Ways, now_s: float, *, up: bool, other_up: bool, busy: bool, leaves: bool = False
) -> Ways:
    """
    Return the ways after one more look.

    Args:
        ways: so far.
        now_s: the moment, in monotonic seconds.
        up: the one in use is there.
        other_up: the other one is.
        busy: something of ours runs, or is wanted to.
        leaves: the one in use is about to go away, or was taken away; it is not waited for.
    """
    if ways.other is None:
        return ways
    away_s = None if up else now_s if ways.away_s is None else ways.away_s
    other_s = None if not other_up else now_s if ways.other_s is None else ways.other_s
    there_for_s = -1.0 if other_s is None else now_s - other_s
    away = leaves or (away_s is not None and now_s - away_s >= LEAVE_AFTER_S)
    lost = away and there_for_s >= THERE_FOR_S
    back = ways.in_use != ways.paths[0] and there_for_s >= BACK_AFTER_S and not busy
    if lost or back:
        return Ways(ways.paths, ways.other)
    return Ways(ways.paths, ways.in_use, away_s, other_s)
