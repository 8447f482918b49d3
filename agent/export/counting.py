"""
What one counter tells of the day, and what it is not believed.

Counters that fall, jump or stand still while power flows are named, and never hand allowance
back: a fall or a jump is watched until it has stayed for a quarter of an hour, energy that a
restarted meter has lost is charged, and the first step after a midnight is credited to a
production only as far as power measured since then vouches for it.

Source: control.md cases 12 to 16; defects D-16, D-20.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.export.lease import SECONDS_PER_HOUR
from agent.export.replacing import replace
from agent.house.readings import CounterKind, Reading

PERSISTENCE_S = 900.0
"""A fallen or jumped value that stays this long is a reset, a replaced meter or a late catch-up."""
MISSED_TICKS = 4
_LATE_POLL_S = 15.0
_RETURN_S = 10.0
"""A counter that was away for longer comes back from a restart of its source, not from a blink."""
_MIDNIGHT_S = 900.0
_SLACK = 1.5
_UNKNOWN_SHARE = 0.9
_LEARNED_SHARE = 0.98
_LEAST_SHARE = 0.5
_LEARNED_FROM_STEPS = 5
_FORGOTTEN_FROM_STEPS = 200
_CARRIED = 1.1
_BLIND_WH = 1.0
"""Less than this unmeasured does not spoil a comparison."""
_ROLLS_AT_STEPS = 2**32
"""The inverter's lifetime counters are unsigned 32-bit registers."""


class CounterFault(StrEnum):
    """Why a counter is not believed at the moment."""

    FELL = "counter_fell"
    JUMPED = "counter_jumped"
    STANDS_STILL = "counter_frozen"


@dataclass(frozen=True, slots=True)
class CounterRules:
    """What a counter can be expected to do."""

    kind: CounterKind
    step_wh: float
    poll_s: float
    max_power_w: float
    """More than this cannot flow: it tells a catch-up from a jump."""
    conservative_up: bool
    """A doubtful rise counts (exports) or does not (production)."""
    lag_s: float = 0.0
    """How much later than the power it tells what flowed, as commissioning found it."""

    @property
    def poll_wh(self) -> float:
        """Return the most that can flow between two polls."""
        return self.max_power_w * self.poll_s / SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class DayCounter:
    """One counter's share of the day."""

    last_wh: float | None = None
    """Newest believed value of the counter."""
    seen_s: float = 0.0
    """When a believed value was last there."""
    tick_s: float = 0.0
    """When it last moved."""
    day_wh: float = 0.0
    flow_wh: float = 0.0
    """Measured energy since it last moved: what it should have shown."""
    due_s: float | None = None
    """Since when so much has flowed that it should have moved."""
    away_s: float | None = None
    """Since when there is no value."""
    blind_wh: float = 0.0
    """Most that can have flowed unmeasured since it last moved."""
    doubt_wh: float | None = None
    """A value that fell or jumped and is being watched."""
    doubt_since_s: float = 0.0
    """Since when it is watched, or stands still."""
    fault: CounterFault | None = None
    sure_wh: float = 0.0
    """Part of its next step that a meter which moves vouches for."""
    awaits_reset: bool = False
    """The local day has turned and the daily counter has not yet followed."""
    carried_wh: float = 0.0
    """Most of its next step that belongs to the day before."""
    read_s: float | None = None
    """When its source last read a believed value; `None` where that is not told."""
    told_wh: float = 0.0
    """Recent steps, and"""
    measured_wh: float = 0.0
    """what the power measured meanwhile came to: how far the two agree."""


def came_back(before: DayCounter, after: DayCounter, rules: CounterRules, now_s: float) -> bool:
    """
    Return True when a daily counter of Core is there again after a restart of its source.

    Before 2026 such a meter loses what flowed between its last poll and the restart.
    """
    return (
        rules.kind is CounterKind.DAILY
        and before.away_s is not None
        and after.away_s is None
        and after.fault in (None, CounterFault.STANDS_STILL)
        and now_s - before.away_s > _RETURN_S
    )


def vouched(counter: DayCounter, produced_wh: float, rules: CounterRules) -> DayCounter:
    """
    Return the production counter with what was surely produced of its next step.

    It moves in steps of 100 Wh, so on average 50 Wh of the day are not in it. Measured power tells
    most of that: as much as it and the counter were seen to agree, a tenth less while that is not
    known, and never the full step.
    """
    daily = rules.kind is CounterKind.DAILY
    if counter.fault is not None or counter.last_wh is None or (counter.awaits_reset and daily):
        return counter if counter.sure_wh == 0.0 else replace(counter, sure_wh=0.0)
    if produced_wh <= 0.0:
        return counter
    share = _sure_share(counter, rules)
    most_wh = min(share, _LEARNED_SHARE) * rules.step_wh
    return replace(counter, sure_wh=min(most_wh, counter.sure_wh + share * produced_wh))


def _sure_share(counter: DayCounter, rules: CounterRules) -> float:
    if counter.told_wh < _LEARNED_FROM_STEPS * rules.step_wh or counter.measured_wh <= 0.0:
        return _UNKNOWN_SHARE
    share = _LEARNED_SHARE * counter.told_wh / counter.measured_wh
    return min(1.0, max(_LEAST_SHARE, share))


def turned(counter: DayCounter, *, produced: bool) -> DayCounter:
    """Return the counter at the begin of a local day; what its next step hides is carried over."""
    if not produced:
        return replace(counter, day_wh=0.0, awaits_reset=True)
    carried_wh = counter.carried_wh + _CARRIED * counter.flow_wh + counter.blind_wh
    return replace(counter, day_wh=0.0, sure_wh=0.0, carried_wh=carried_wh, awaits_reset=True)


def flowed(
    counter: DayCounter, power_w: float | None, rules: CounterRules, hours: float, now_s: float
) -> DayCounter:
    """Return the counter with what power says has flowed; where that is not known, at most."""
    if hours == 0.0 or power_w == 0.0:
        return counter
    if power_w is None:
        return replace(counter, blind_wh=counter.blind_wh + rules.max_power_w * hours)
    flow_wh = counter.flow_wh + power_w * hours
    due_s = counter.due_s
    if due_s is None and flow_wh >= MISSED_TICKS * rules.step_wh:
        due_s = now_s
    return replace(counter, flow_wh=flow_wh, due_s=due_s)


def should_have_ticked(counter: DayCounter, rules: CounterRules, now_s: float) -> bool:
    """Return True when so much has flowed for so long that the counter must stand still."""
    return (
        counter.fault is None
        and counter.last_wh is not None
        and counter.due_s is not None
        and now_s - counter.due_s > 2 * rules.poll_s + _LATE_POLL_S + rules.lag_s
    )


def count(counter: DayCounter, reading: Reading, rules: CounterRules, now_s: float) -> DayCounter:
    """Return the counter's share of the day after one more reading."""
    value = reading.value
    if not reading.good or value is None:
        return counter if counter.away_s is not None else replace(counter, away_s=now_s)
    # A value that was read a minute ago says nothing of that minute.
    unread_wh = rules.max_power_w * max(0.0, reading.age_s(now_s)) / SECONDS_PER_HOUR
    read_s = None if reading.reported_s is None else min(now_s, reading.vouched_s)
    if counter.last_wh is None:
        # What is known of the day came from another counter, if there is anything.
        first = value if rules.kind is CounterKind.DAILY else counter.day_wh
        if rules.conservative_up:
            first = max(first, counter.day_wh)
        return replace(
            _ticked(counter, value, first, now_s),
            blind_wh=max(unread_wh, rules.poll_wh),
            carried_wh=counter.carried_wh,
            read_s=read_s,
        )
    if value == counter.last_wh:
        return _unmoved(counter, rules, now_s, read_s)
    if counter.awaits_reset and rules.kind is CounterKind.DAILY:
        return replace(_after_midnight(counter, value, rules, now_s), read_s=read_s)
    moved = _moved(counter, value, rules, now_s)
    if moved.tick_s == counter.tick_s:
        return moved
    told_wh, measured_wh = _agreement(counter, moved, rules)
    return replace(
        moved,
        flow_wh=min(counter.flow_wh, unread_wh),
        # A meter that follows another counter looks new when it is asked, and shows the last poll
        # of its source; what was not measured meanwhile may still come with the next steps.
        blind_wh=min(counter.blind_wh, max(unread_wh, min(counter.blind_wh / 2, rules.poll_wh))),
        read_s=read_s,
        told_wh=told_wh,
        measured_wh=measured_wh,
    )


def _agreement(before: DayCounter, after: DayCounter, rules: CounterRules) -> tuple[float, float]:
    """Return what the counter told of late, and what was measured meanwhile."""
    if before.fault is not None or before.blind_wh > _BLIND_WH or before.carried_wh > 0.0:
        return before.told_wh, before.measured_wh
    told_wh = before.told_wh + after.day_wh - before.day_wh
    measured_wh = before.measured_wh + before.flow_wh
    if told_wh > _FORGOTTEN_FROM_STEPS * rules.step_wh:
        return told_wh / 2, measured_wh / 2
    return told_wh, measured_wh


def _ticked(counter: DayCounter, value: float, day_wh: float, now_s: float) -> DayCounter:
    """Return the counter with a value that is believed, and nothing open."""
    return DayCounter(
        value, now_s, now_s, day_wh, told_wh=counter.told_wh, measured_wh=counter.measured_wh
    )


def _unmoved(
    counter: DayCounter, rules: CounterRules, now_s: float, read_s: float | None
) -> DayCounter:
    """
    Return the counter after a reading that shows the same value again.

    One that stands still may not forbid the rest of the day when nothing flows that could move it:
    what was measured instead is charged. If it catches up after all, that counts twice.
    """
    if counter.fault not in (None, CounterFault.STANDS_STILL):
        # A value that fell or jumped and came back was a glitch.
        return replace(counter, seen_s=now_s, away_s=None, doubt_wh=None, fault=None, read_s=read_s)
    counter = replace(counter, seen_s=now_s, away_s=None, read_s=read_s)
    if counter.fault is None or now_s - counter.doubt_since_s <= PERSISTENCE_S:
        return counter
    return charged(counter, counter.flow_wh if rules.conservative_up else 0.0)


def charged(counter: DayCounter, energy_wh: float) -> DayCounter:
    """Return the counter with energy that it did not tell, and nothing more to wait for."""
    return replace(counter, day_wh=counter.day_wh + energy_wh, flow_wh=0.0, due_s=None, fault=None)


def _moved(counter: DayCounter, value: float, rules: CounterRules, now_s: float) -> DayCounter:
    """Take a step that is possible; watch one that is not until it has proved itself."""
    delta = value - (counter.last_wh or 0.0)
    possible_wh = _SLACK * counter.flow_wh + counter.blind_wh + MISSED_TICKS * rules.step_wh
    if delta < 0 and rules.kind is CounterKind.LIFETIME:
        rolled = delta + _ROLLS_AT_STEPS * rules.step_wh
        delta = rolled if rolled <= possible_wh else delta
    if 0 < delta <= possible_wh:
        return _ticked(counter, value, counter.day_wh + _of_today(counter, delta, rules), now_s)
    fault = CounterFault.FELL if delta < 0 else CounterFault.JUMPED
    if counter.doubt_wh is None or counter.fault is not fault:
        return replace(counter, doubt_wh=value, doubt_since_s=now_s, fault=fault)
    if now_s - counter.doubt_since_s < PERSISTENCE_S:
        return replace(counter, doubt_wh=value)
    gained = 0.0
    if rules.conservative_up:
        # A meter that was replaced may show anything; more than the connection carries it is not.
        flowed_wh = rules.max_power_w * (now_s - counter.seen_s) / SECONDS_PER_HOUR
        gained = min(delta, flowed_wh) if delta > 0 else counter.flow_wh + counter.blind_wh
    return _ticked(counter, value, counter.day_wh + gained, now_s)


def _of_today(counter: DayCounter, delta_wh: float, rules: CounterRules) -> float:
    """Return what of a step was produced on this day; the first one hides some of yesterday."""
    if counter.carried_wh <= 0.0 or rules.conservative_up:
        return delta_wh
    surely_wh = max(counter.sure_wh, delta_wh - min(rules.step_wh, counter.carried_wh))
    return min(delta_wh, surely_wh)


def _after_midnight(
    counter: DayCounter, value: float, rules: CounterRules, now_s: float
) -> DayCounter:
    """Take the first move of a daily counter after the day has turned."""
    last_wh = counter.last_wh or 0.0
    if value < last_wh or now_s - counter.seen_s > _MIDNIGHT_S:
        # It was reset: all it shows belongs to the new day.
        ticked = _ticked(counter, value, counter.day_wh + value, now_s)
        return replace(ticked, carried_wh=0.0 if value > 0.0 else counter.carried_wh)
    gained = value - last_wh if rules.conservative_up else 0.0
    # A counter that stood at zero has nothing to reset; its first step is the new day's.
    first = value if last_wh == 0 else gained
    ticked = _ticked(counter, value, counter.day_wh + first, now_s)
    return replace(ticked, awaits_reset=last_wh > 0)
