"""
Whether the inputs contradict each other, although each may be believed by itself.

Grid + battery + PV is what the house draws, and no house draws less than nothing. A battery has
no more power than its capacity can give, and its charge moves no faster than that power. What
breaks one of these rules for longer than readings are apart is named and ends the dispatch.

PV that no input counts makes the house seem to feed in by itself: a balance that has stood below
zero for minutes at rest is learned as such, not complained about for ever.

Source: control.md case 16 (jumps and signs); the balance is Kirchhoff's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.export.lease import SECONDS_PER_HOUR
from agent.export.replacing import quick
from agent.export.snapshot import Reason
from agent.house.readings import HouseSample

APART_S = 20.0
"""Readings of one moment arrive this far apart behind a busy Core; a ramp is no contradiction."""
LEARNED_AFTER_S = 300.0
"""So long may a rule stay broken before it is the rule that is wrong."""
CONTRADICTIONS = frozenset({"grid_power_unbalanced", "battery_power_implausible"})
"""Codes of what only a dispatch may bring to light: at rest the lie can be too small to see."""
CONTRADICTED = "inputs_contradict"
"""Code of the stop that one of them brings; it stays until somebody has seen it."""
_BALANCE_W = 500.0
_BALANCE_SHARE = 0.1
_C_RATE = 1.2
"""Most power of a home battery, in capacities per hour."""
_LEAST_BOUND_W = 10_000.0
_SOC_STEP_PERCENT = 2.0


@dataclass(frozen=True, slots=True)
class Watch:
    """What of the recent past the rules need; times are monotonic seconds."""

    unbalanced_s: float | None = None
    """Since when the house would draw less than nothing."""
    uncounted_w: float = 0.0
    """Feed-in at rest that no input counts, as learned."""
    overpowered_s: float | None = None
    """Since when the battery shows more power than it can have."""
    soc_percent: float | None = None
    """Newest believed state of charge."""
    soc_s: float = 0.0
    jumped_s: float | None = None
    """Since when the state of charge is one that it cannot have reached."""

    @property
    def balanced(self) -> bool:
        """Whether the powers of this moment fit together."""
        return self.unbalanced_s is None and self.overpowered_s is None


def watch(
    before: Watch, sample: HouseSample, capacity_wh: float, now_s: float, *, dispatching: bool
) -> Watch:
    """
    Return the watch after one more sample.

    Args:
        before: the watch so far.
        sample: the newest values; those that are not good break no rule.
        capacity_wh: of the battery.
        now_s: the moment.
        dispatching: a command of ours may run; only at rest may feed-in be learned.
    """
    battery_w = sample.battery_w.value
    beyond = battery_w is not None and abs(battery_w) > _power_bound_w(capacity_wh)
    unbalanced_s, uncounted_w = _balance(before, sample, now_s, dispatching=dispatching)
    percent, seen_s, jumped_s = _soc(before, sample, capacity_wh, now_s)
    return _watch(
        unbalanced_s=unbalanced_s,
        uncounted_w=uncounted_w,
        overpowered_s=_since(before.overpowered_s, now_s, broken=beyond),
        soc_percent=percent,
        soc_s=seen_s,
        jumped_s=jumped_s,
    )


_watch = quick(Watch)


def _balance(
    before: Watch, sample: HouseSample, now_s: float, *, dispatching: bool
) -> tuple[float | None, float]:
    """Return since when the house would draw less than nothing, and what is learned of it."""
    load_w = _load_w(sample)
    if load_w is None:
        return None, before.uncounted_w
    swing_w = max(abs(sample.grid_w.value or 0.0), abs(sample.battery_w.value or 0.0))
    low_w = -_BALANCE_W - _BALANCE_SHARE * swing_w - before.uncounted_w
    since_s = _since(before.unbalanced_s, now_s, broken=load_w < low_w)
    if since_s is not None and not dispatching and now_s - since_s > LEARNED_AFTER_S:
        return None, -load_w
    return since_s, before.uncounted_w


def contradictions(w: Watch, sample: HouseSample, now_s: float) -> Iterator[Reason]:
    """Yield what has contradicted the rest for longer than readings are apart."""
    grid, battery, pv, soc = sample.grid_w, sample.battery_w, sample.pv_w, sample.soc_percent
    if w.overpowered_s is not None and now_s - w.overpowered_s > APART_S / 4:
        yield Reason(
            "battery_power_implausible",
            f"Battery power: {battery.source} says {battery.value or 0.0:.0f} W, more than this "
            "battery can have (battery_capacity_kwh in the settings). Check its unit and scale.",
            battery.source,
        )
    elif w.unbalanced_s is not None and now_s - w.unbalanced_s > APART_S:
        yield Reason(
            "grid_power_unbalanced",
            f"Grid power {grid.value or 0.0:.0f} W ({grid.source}), battery "
            f"{battery.value or 0.0:.0f} W ({battery.source}) and PV {pv.value or 0.0:.0f} W "
            f"({pv.source}) would make the house draw {_load_w(sample) or 0.0:.0f} W: one of them "
            "is wrong. Check signs and sources.",
            grid.source,
        )
    if w.jumped_s is not None:
        yield Reason(
            "soc_jumped",
            f"State of charge: {soc.source} jumped from {w.soc_percent or 0.0:.1f} to "
            f"{soc.value or 0.0:.1f} %, faster than the battery can. It is believed when it "
            f"stays for {LEARNED_AFTER_S / 60:.0f} minutes.",
            soc.source,
        )


def _load_w(sample: HouseSample) -> float | None:
    """Return what the house draws by the three powers; `None` when one of them is missing."""
    grid_w, battery_w, pv_w = sample.grid_w.value, sample.battery_w.value, sample.pv_w.value
    if grid_w is None or battery_w is None or pv_w is None:
        return None
    return grid_w + battery_w + pv_w


def _since(since_s: float | None, now_s: float, *, broken: bool) -> float | None:
    if not broken:
        return None
    return now_s if since_s is None else since_s


def _power_bound_w(capacity_wh: float) -> float:
    return max(_LEAST_BOUND_W, _C_RATE * capacity_wh)


def _soc(
    before: Watch, sample: HouseSample, capacity_wh: float, now_s: float
) -> tuple[float | None, float, float | None]:
    """Return the believed charge, when it was seen, and since when another one is shown."""
    percent, known = sample.soc_percent.value, before.soc_percent
    if percent is None:
        return known, before.soc_s, before.jumped_s
    elapsed_s = max(0.0, now_s - before.soc_s)
    moved_wh = _power_bound_w(capacity_wh) * elapsed_s / SECONDS_PER_HOUR
    possible_percent = _SOC_STEP_PERCENT + 100.0 * moved_wh / capacity_wh
    if known is not None and abs(percent - known) > possible_percent:
        jumped_s = now_s if before.jumped_s is None else before.jumped_s
        if now_s - jumped_s <= LEARNED_AFTER_S:
            return known, before.soc_s, jumped_s
    return percent, now_s, None
