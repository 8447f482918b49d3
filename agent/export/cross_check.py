"""
Whether two sources of one house tell the same.

Where there are a bridge and Home Assistant, each reads the same inverter at its own pace. A value
of the other source was true at some moment of the last minute and a half, so it has to lie where
ours has been meanwhile, give or take what a meter may be off. One that does not for two minutes is
worth a person's attention: a wrong sign, a unit, another inverter, an entity of something else.
It stops nothing: commands rest on the source that gives them.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.export.snapshot import Reason
from agent.house.readings import HouseSample, Reading

APART_S = 90.0
"""So far apart may two readings of one moment arrive; Core asks for a value that stands still
only after a minute."""
TOLD_AFTER_S = 120.0
POWER_W, POWER_SHARE = 100.0, 0.05
"""What the meter may be off: of small powers, and of great ones."""
SOC_PERCENT = 2.0


@dataclass(frozen=True, slots=True)
class Apart:
    """One value of both sources."""

    past: tuple[tuple[float, float], ...] = ()
    """When ours was what, oldest first."""
    since_s: float | None = None
    """Since when the other one lies elsewhere."""
    text: str = ""
    source: str = ""

    @property
    def begun_s(self) -> float | None:
        """Since when ours is known."""
        return self.past[0][0] if self.past else None


Watch = dict[str, Apart]
_NAMES = {"grid_w": "Grid power", "battery_w": "Battery power", "soc_percent": "State of charge"}


def compared(before: Watch, own: HouseSample, other: HouseSample, now_s: float) -> Watch:
    """
    Return the comparison after one more look.

    Args:
        before: so far; empty at the begin.
        own: of the source that commands rest on.
        other: of the one that checks.
        now_s: the moment, in monotonic seconds.
    """
    return {
        name: _compared(before.get(name, Apart()), name, getattr(own, name), getattr(other, name),
                        now_s)
        for name in _NAMES
    }  # fmt: skip


def _compared(before: Apart, name: str, own: Reading, other: Reading, now_s: float) -> Apart:
    if not own.good or own.value is None:
        return Apart()
    past = (*(it for it in before.past if it[0] >= now_s - APART_S), (now_s, own.value))
    begun_s = before.begun_s if before.begun_s is not None else now_s
    if not other.good or other.value is None or other.age_s(now_s) > APART_S:
        return Apart(past)
    unit = "%" if name == "soc_percent" else "W"
    off = SOC_PERCENT if unit == "%" else max(POWER_W, POWER_SHARE * abs(other.value))
    values = [value for _, value in past]
    if min(values) - off <= other.value <= max(values) + off:
        return Apart(past)
    # Ours has to be known for as long as the other's value may be old.
    if now_s - begun_s < APART_S / 2:
        return Apart(past)
    since_s = now_s if before.since_s is None else before.since_s
    text = (
        f"{_NAMES[name]}: {own.source} shows {own.value:.0f} {unit}, and {other.source} "
        f"{other.value:.0f} {unit}."
    )
    return Apart(past, since_s, text, other.source)


def disagreements(watch: Watch, now_s: float) -> tuple[Reason, ...]:
    """Return what the two sources disagree about, and have for long enough."""
    return tuple(
        Reason(
            "sources_disagree",
            f"{apart.text} Both should show the same inverter: check sign, unit and entity.",
            apart.source,
        )
        for apart in watch.values()
        if apart.since_s is not None and now_s - apart.since_s >= TOLD_AFTER_S
    )
