"""
The two ways on which commands go through Core, and what a user may expect of each.

The same cases run on both. The figures are the promises that README and guide make, written down
apart from the agent's own: an agent that changed its mind would be caught here.
"""

from __future__ import annotations

from dataclasses import dataclass

TIMER = "timer.alphaess_helper_force_discharging_timer"
TOGGLE = "input_boolean.alphaess_helper_force_discharging"


@dataclass(frozen=True, slots=True)
class HousePath:
    """One way, as the setting `path` names it."""

    name: str
    lease_s: int
    """Longest Dispatch Time that the agent may write."""
    renewed_within_s: float
    """From one lease to the next, with a queue before it."""
    spare_wh: float
    """Left of the allowance when the last discharge begins: for a first lease and some weaker
    ones."""
    faster: float
    """Speed of the inverter's clock while nobody is there to touch its dispatch; at 1 the test
    waits as a user would."""
    toggle: str | None = None
    """Stands for the dispatch in Core."""
    timer: str | None = None
    """Core's own, beside the inverter's."""


PATHS = {
    path.name: path
    for path in (
        HousePath("ha_register", lease_s=90, renewed_within_s=60, spare_wh=90, faster=1),
        HousePath(
            "ha_helpers",
            lease_s=360,
            renewed_within_s=120,
            spare_wh=90,
            faster=30,
            toggle=TOGGLE,
            timer=TIMER,
        ),
    )
}
