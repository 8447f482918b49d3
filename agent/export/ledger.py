"""
The energy of the local day, twice: the best estimate, and the most it can have been.

A counter that arrives every minute in steps of 10 Wh cannot say what left the house since its
last tick. So everything that a running command and the sun could have let out since then counts
as exported (`unverified`) until the counter ticks again and tells. Counters that fall, jump or
stand still while power flows are not believed; they are named, and never hand allowance back.

Source: control.md 4.2 (ledger, unverified) and cases 12 to 17; defects D-16, D-20.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from agent.clock import Instant
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
_SURE_SHARE = 0.9


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


@dataclass(frozen=True, slots=True)
class Ledger:
    """The energy account of one local day."""

    day: date
    at_s: float
    exported: DayCounter = DayCounter()
    produced: DayCounter = DayCounter()
    unverified_wh: float = 0.0
    """What may have left the house since the export counter last ticked."""

    @property
    def known(self) -> bool:
        """True once both counters have spoken on this day."""
        return self.exported.last_wh is not None and self.produced.last_wh is not None

    @property
    def exported_wh(self) -> float:
        """Best estimate of the day's export."""
        return self.exported.day_wh + self.exported.flow_wh

    def exported_upper_wh(self, step_wh: float) -> float:
        """Return the most that can have been exported on this day."""
        return self.exported.day_wh + step_wh + self.unverified_wh

    @property
    def produced_wh(self) -> float:
        """The least that was produced on this day: full steps, and what is sure of the next."""
        return self.produced.day_wh + self.produced.sure_wh


@dataclass(frozen=True, slots=True)
class Flow:
    """Power between two looks; `None` where it is not known."""

    exported_w: float | None
    produced_w: float | None
    worst_w: float
    """Most that a command which runs, or may run, can let out; 0 without one."""
    sure_produced_w: float = 0.0
    """PV power of a meter that moves; 0 where it stands still, as in the dark or frozen."""


def advance(
    ledger: Ledger,
    now: Instant,
    readings: tuple[Reading, Reading],
    rules: tuple[CounterRules, CounterRules],
    flow: Flow,
) -> Ledger:
    """
    Return the account after one more look at the house.

    Args:
        ledger: the account so far.
        now: the moment of the look.
        readings: export counter and production counter, in Wh.
        rules: the same two, what they can be expected to do.
        flow: power since the last look.
    """
    ledger = _turn_day(ledger, now.day)
    hours = max(0.0, now.monotonic_s - ledger.at_s) / SECONDS_PER_HOUR
    exported = count(
        _flowed(ledger.exported, flow.exported_w, rules[0], hours, now.monotonic_s),
        readings[0],
        rules[0],
        now.monotonic_s,
    )
    produced = count(
        _flowed(ledger.produced, flow.produced_w, rules[1], hours, now.monotonic_s),
        readings[1],
        rules[1],
        now.monotonic_s,
    )
    produced = _vouched(produced, flow.sure_produced_w * hours, rules[1])
    unverified_wh = ledger.unverified_wh + max(flow.worst_w, flow.exported_w or 0.0) * hours
    if _came_back(ledger.exported, exported, rules[0], now.monotonic_s):
        # What flowed meanwhile may never be told: it is charged as far as a command can have run.
        told_wh = exported.day_wh - ledger.exported.day_wh
        exported = _charged(exported, max(0.0, unverified_wh - told_wh))
        unverified_wh = 0.0
    elif exported.tick_s != ledger.exported.tick_s:
        # A tick proves the energy up to when it was read, which after a gap is not now.
        since_hours = readings[0].age_s(now.monotonic_s) / SECONDS_PER_HOUR
        unverified_wh = min(unverified_wh, rules[0].max_power_w * since_hours)
    elif _should_have_ticked(exported, rules[0], now.monotonic_s):
        exported = replace(exported, fault=CounterFault.STANDS_STILL, doubt_since_s=now.monotonic_s)
    return Ledger(ledger.day, now.monotonic_s, exported, produced, unverified_wh)


def _came_back(before: DayCounter, after: DayCounter, rules: CounterRules, now_s: float) -> bool:
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


def _vouched(counter: DayCounter, produced_wh: float, rules: CounterRules) -> DayCounter:
    """
    Return the production counter with what was surely produced of its next step.

    It moves in steps of 100 Wh, so on average 50 Wh of the day are not in it. Measured power tells
    most of that; a tenth is left off for the meter's error, and a full step is never passed.
    """
    if counter.fault is not None or counter.awaits_reset or counter.last_wh is None:
        return counter if counter.sure_wh == 0.0 else replace(counter, sure_wh=0.0)
    if produced_wh <= 0.0:
        return counter
    sure_wh = min(_SURE_SHARE * rules.step_wh, counter.sure_wh + _SURE_SHARE * produced_wh)
    return replace(counter, sure_wh=sure_wh)


def _turn_day(ledger: Ledger, day: date) -> Ledger:
    """Start the new day's account; what is unverified is charged to both days."""
    if day <= ledger.day:
        # A wall clock set back must not grant yesterday's allowance again.
        return ledger
    return replace(
        ledger,
        day=day,
        exported=replace(ledger.exported, day_wh=0.0, awaits_reset=True),
        produced=replace(ledger.produced, day_wh=0.0, sure_wh=0.0, awaits_reset=True),
    )


def _flowed(
    counter: DayCounter, power_w: float | None, rules: CounterRules, hours: float, now_s: float
) -> DayCounter:
    if hours == 0.0 or power_w == 0.0:
        return counter
    if power_w is None:
        return replace(counter, blind_wh=counter.blind_wh + rules.max_power_w * hours)
    flow_wh = counter.flow_wh + power_w * hours
    due_s = counter.due_s
    if due_s is None and flow_wh >= MISSED_TICKS * rules.step_wh:
        due_s = now_s
    return replace(counter, flow_wh=flow_wh, due_s=due_s)


def _should_have_ticked(counter: DayCounter, rules: CounterRules, now_s: float) -> bool:
    return (
        counter.fault is None
        and counter.last_wh is not None
        and counter.due_s is not None
        and now_s - counter.due_s > 2 * rules.poll_s + _LATE_POLL_S
    )


def count(counter: DayCounter, reading: Reading, rules: CounterRules, now_s: float) -> DayCounter:
    """Return the counter's share of the day after one more reading."""
    value = reading.value
    if not reading.good or value is None:
        return counter if counter.away_s is not None else replace(counter, away_s=now_s)
    # A value that was read a minute ago says nothing of that minute.
    unread_wh = rules.max_power_w * max(0.0, reading.age_s(now_s)) / SECONDS_PER_HOUR
    if counter.last_wh is None:
        first = value if rules.kind is CounterKind.DAILY else 0.0
        return DayCounter(value, now_s, now_s, first, blind_wh=max(unread_wh, _poll_wh(rules)))
    if value == counter.last_wh:
        return _unmoved(counter, rules, now_s)
    if counter.awaits_reset and rules.kind is CounterKind.DAILY:
        return _after_midnight(counter, value, rules, now_s)
    moved = _moved(counter, value, rules, now_s)
    if moved.tick_s == counter.tick_s:
        return moved
    return replace(
        moved,
        flow_wh=min(counter.flow_wh, unread_wh),
        # A meter that follows another counter looks new when it is asked, and shows the last poll
        # of its source; what was not measured meanwhile may still come with the next steps.
        blind_wh=min(counter.blind_wh, max(unread_wh, min(counter.blind_wh / 2, _poll_wh(rules)))),
    )


def _poll_wh(rules: CounterRules) -> float:
    """Return the most that can flow between two polls."""
    return rules.max_power_w * rules.poll_s / SECONDS_PER_HOUR


def _unmoved(counter: DayCounter, rules: CounterRules, now_s: float) -> DayCounter:
    """
    Return the counter after a reading that shows the same value again.

    One that stands still may not forbid the rest of the day when nothing flows that could move it:
    what was measured instead is charged. If it catches up after all, that counts twice.
    """
    if counter.fault not in (None, CounterFault.STANDS_STILL):
        # A value that fell or jumped and came back was a glitch.
        return replace(counter, seen_s=now_s, away_s=None, doubt_wh=None, fault=None)
    counter = replace(counter, seen_s=now_s, away_s=None)
    if counter.fault is None or now_s - counter.doubt_since_s <= PERSISTENCE_S:
        return counter
    return _charged(counter, counter.flow_wh if rules.conservative_up else 0.0)


def _charged(counter: DayCounter, energy_wh: float) -> DayCounter:
    """Return the counter with energy that it did not tell, and nothing more to wait for."""
    return replace(counter, day_wh=counter.day_wh + energy_wh, flow_wh=0.0, due_s=None, fault=None)


def _moved(counter: DayCounter, value: float, rules: CounterRules, now_s: float) -> DayCounter:
    """Take a step that is possible; watch one that is not until it has proved itself."""
    delta = value - (counter.last_wh or 0.0)
    possible_wh = _SLACK * counter.flow_wh + counter.blind_wh + MISSED_TICKS * rules.step_wh
    if 0 < delta <= possible_wh:
        return DayCounter(value, now_s, now_s, counter.day_wh + delta)
    fault = CounterFault.FELL if delta < 0 else CounterFault.JUMPED
    if counter.doubt_wh is None or counter.fault is not fault:
        return replace(counter, doubt_wh=value, doubt_since_s=now_s, fault=fault)
    if now_s - counter.doubt_since_s < PERSISTENCE_S:
        return replace(counter, doubt_wh=value)
    gained = delta if delta > 0 and rules.conservative_up else 0.0
    lost = counter.flow_wh + counter.blind_wh if delta < 0 and rules.conservative_up else 0.0
    return DayCounter(value, now_s, now_s, counter.day_wh + gained + lost)


def _after_midnight(
    counter: DayCounter, value: float, rules: CounterRules, now_s: float
) -> DayCounter:
    """Take the first move of a daily counter after the day has turned."""
    last_wh = counter.last_wh or 0.0
    if value < last_wh or now_s - counter.seen_s > _MIDNIGHT_S:
        # It was reset: all it shows belongs to the new day.
        return DayCounter(value, now_s, now_s, counter.day_wh + value)
    gained = value - last_wh if rules.conservative_up else 0.0
    # A counter that stood at zero has nothing to reset; its first step is the new day's.
    first = value if last_wh == 0 else gained
    return DayCounter(value, now_s, now_s, counter.day_wh + first, awaits_reset=last_wh > 0)


def restored(
    ledger: Ledger,
    now: Instant,
    away_s: float,
    exposure_wh: float,
    rules: tuple[CounterRules, CounterRules],
) -> Ledger:
    """
    Return a journaled account as it may be used after a restart.

    Everything that a command could have let out while the agent was away is charged until the
    counter tells. On a new day a daily counter starts afresh: its last value says nothing.

    Args:
        ledger: as journaled; its monotonic times belong to another process.
        now: the moment of the restart.
        away_s: wall-clock seconds since it was journaled, not below 0.
        exposure_wh: most that journaled commands may have let out in the meantime.
        rules: of the export and the production counter.
    """

    def moved(counter: DayCounter, rule: CounterRules) -> DayCounter:
        kept = ledger.day >= now.day or (rule.kind is CounterKind.LIFETIME and rule.conservative_up)
        return replace(
            counter,
            last_wh=counter.last_wh if kept else None,
            sure_wh=counter.sure_wh if kept else 0.0,
            seen_s=now.monotonic_s - away_s,
            tick_s=now.monotonic_s - away_s,
            due_s=None,
            away_s=None,
            blind_wh=counter.blind_wh + rule.max_power_w * away_s / SECONDS_PER_HOUR,
            doubt_wh=None,
            fault=None,
        )

    return replace(
        ledger,
        at_s=now.monotonic_s,
        exported=moved(ledger.exported, rules[0]),
        produced=moved(ledger.produced, rules[1]),
        unverified_wh=ledger.unverified_wh + exposure_wh,
    )
