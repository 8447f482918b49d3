"""
The energy of the local day, twice: the best estimate, and the most it can have been.

A counter that arrives every minute in steps of 10 Wh cannot say what left the house since its
last tick. So everything that a running command and the sun could have let out since then counts
as exported (`unverified`) until the counter ticks again and tells; a counter that is known to tell
late proves that much less. Which day it is, `day_clock` says.

Source: control.md 4.2 (ledger, unverified) and cases 2 to 5, 12 to 17; defects D-16, D-20.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from agent.clock import Instant
from agent.export import lateness, ticking
from agent.export.accrual import NOTHING, Accrual
from agent.export.counting import (
    CounterFault,
    CounterRules,
    DayCounter,
    came_back,
    charged,
    count,
    flowed,
    should_have_ticked,
    turned,
    vouched,
)
from agent.export.lateness import Lateness
from agent.export.leakage import Leakage
from agent.export.lease import SECONDS_PER_HOUR
from agent.export.replacing import replace
from agent.export.rolling import Rolling
from agent.export.ticking import Ticking
from agent.house.readings import CounterKind, Reading

__all__ = ["CounterFault", "CounterRules", "DayCounter", "Flow", "Ledger", "advance", "restored"]

_STILL_S = 120.0
"""Longest that a PV meter may stand still and then be believed to have shown what was."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The energy account of one local day."""

    day: date
    at_s: float
    exported: DayCounter = field(default_factory=DayCounter)
    produced: DayCounter = field(default_factory=DayCounter)
    unverified_wh: float = 0.0
    """What may have left the house since the export counter last ticked."""

    rest_wh: float | None = None
    """Most that the export counter's next step hid when it last ticked; `None` for a whole one."""
    accrual: Accrual = NOTHING
    """The same in pieces of time, for as long as a tick may look back."""
    open_s: float | None = None
    """Since when some command of a discharge runs, or may run, without a break."""
    late: Lateness = field(default_factory=Lateness)
    ticking: Ticking = ticking.AT_REST
    leakage: Leakage = field(default_factory=Leakage)
    rolling: Rolling = field(default_factory=Rolling)
    still_w: float = 0.0
    """What a PV meter shows that does not move, and"""
    still_h: float = 0.0
    """for how long it has."""
    other_meter: bool = False
    """The path has changed: its counters have not spoken yet, and will begin somewhere else."""

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
        return self.exported.day_wh + self.open_wh(step_wh)

    def open_wh(self, step_wh: float) -> float:
        """Return the most that has left the house and is in no tick yet."""
        rest_wh = step_wh if self.rest_wh is None else min(step_wh, self.rest_wh)
        return rest_wh + self.unverified_wh

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
    still_produced_w: float = 0.0
    """PV power of a meter that stands still."""


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
    ledger = _turn_day(ledger, now)
    now_s = now.monotonic_s
    hours = max(0.0, now_s - ledger.at_s) / SECONDS_PER_HOUR
    produced, still_w, still_h = _produced(ledger, readings[1], rules[1], flow, hours, now_s)
    exported = count(
        flowed(ledger.exported, flow.exported_w, rules[0], hours, now_s),
        readings[0],
        rules[0],
        now_s,
    )
    added_wh = max(flow.worst_w, flow.exported_w or 0.0) * hours
    late = lateness.watched(
        ledger.late, flow.exported_w, (flow.exported_w or 0.0) * hours, now_s, rules[0].poll_s
    )
    seen = ticking.AT_REST
    if flow.worst_w > 0.0:
        lag_s = _lag_s(late, rules[0])
        seen = ticking.watch(ledger.ticking, flow.exported_w, hours, now_s, lag_s)
    flown = replace(
        ledger,
        at_s=now_s,
        produced=produced,
        unverified_wh=ledger.unverified_wh + added_wh,
        accrual=ledger.accrual.added(
            now_s, ledger.at_s, added_wh, rules[0].poll_s, _lag_s(late, rules[0])
        ),
        open_s=None if flow.worst_w <= 0.0 else ledger.open_s or ledger.at_s,
        late=late,
        leakage=ledger.leakage.passed(flow, hours, now.day_left_s),
        still_w=still_w,
        still_h=still_h,
        ticking=seen,
    )
    after = _verified(flown, exported, readings[0], rules[0], now_s)
    rolling = ledger.rolling.moved(
        now_s,
        after.exported.day_wh - ledger.exported.day_wh,
        produced.day_wh - ledger.produced.day_wh,
        now_s - now.day_begun_s if ledger.produced.last_wh is None else ledger.produced.tick_s,
    )
    return after if rolling is ledger.rolling else replace(after, rolling=rolling)


def _produced(
    ledger: Ledger,
    reading: Reading,
    rules: CounterRules,
    flow: Flow,
    hours: float,
    now_s: float,
) -> tuple[DayCounter, float, float]:
    """
    Return the production counter, and what its power meter shows while it stands still.

    In the dusk a live meter may show the same watts for a minute or two. Only when it moves again
    is that believed, and no more of it than both values allow.
    """
    counter = count(
        flowed(ledger.produced, flow.produced_w, rules, hours, now_s), reading, rules, now_s
    )
    if flow.still_produced_w > 0.0:
        return counter, flow.still_produced_w, ledger.still_h + hours
    if counter.tick_s != ledger.produced.tick_s:
        # The step has told of everything up to its reading.
        hours = min(hours, reading.age_s(now_s) / SECONDS_PER_HOUR)
        return vouched(counter, flow.sure_produced_w * hours, rules), 0.0, 0.0
    stood_wh = 0.0
    if flow.sure_produced_w > 0.0:
        stood_h = min(ledger.still_h, _STILL_S / SECONDS_PER_HOUR)
        stood_wh = min(ledger.still_w, flow.sure_produced_w) * stood_h
    return vouched(counter, flow.sure_produced_w * hours + stood_wh, rules), 0.0, 0.0


def _lag_s(late: Lateness, rules: CounterRules) -> float:
    return max(rules.lag_s, late.learned_s)


def _verified(
    ledger: Ledger, exported: DayCounter, reading: Reading, rules: CounterRules, now_s: float
) -> Ledger:
    """Return the account with the new state of the export counter, and what that proves."""
    before, unverified_wh = ledger.exported, ledger.unverified_wh
    if ledger.other_meter and exported.last_wh is not None:
        # Its first value tells nothing of what left the house since the other counter's last.
        exported = replace(exported, day_wh=exported.day_wh + unverified_wh)
        return replace(
            ledger, exported=exported, unverified_wh=0.0, rest_wh=None, other_meter=False
        )
    if came_back(before, exported, rules, now_s):
        # What flowed meanwhile may never be told: it is charged as far as a command can have run.
        told_wh = exported.day_wh - before.day_wh
        exported = charged(exported, max(0.0, unverified_wh - told_wh))
        return replace(ledger, exported=exported, unverified_wh=0.0, rest_wh=None)
    if exported.tick_s != before.tick_s:
        # A tick proves the energy up to when it was read, which after a gap is not now, and less
        # the lag of the counter.
        lag_s = _lag_s(ledger.late, rules)
        told_s = now_s - reading.age_s(now_s) - lag_s
        most_wh = rules.max_power_w * (now_s - told_s) / SECONDS_PER_HOUR
        after_wh = min(unverified_wh, ledger.accrual.after_wh(told_s), most_wh)
        late = lateness.ticked(
            ledger.late,
            exported.day_wh - before.day_wh,
            rules.step_wh,
            now_s - reading.age_s(now_s),
        )
        return replace(
            ledger,
            exported=exported,
            unverified_wh=after_wh,
            rest_wh=_rest_wh(ledger, before, told_s, lag_s),
            late=late,
            ticking=ticking.moved(ledger.ticking, before.flow_wh),
            leakage=ledger.leakage.told(exported.day_wh - before.day_wh),
        )
    stopped = exported.fault is None and ticking.overdue(ledger.ticking, rules.step_wh)
    if stopped or should_have_ticked(exported, rules, now_s):
        exported = replace(exported, fault=CounterFault.STANDS_STILL, doubt_since_s=now_s)
    return replace(ledger, exported=exported)


def _rest_wh(ledger: Ledger, before: DayCounter, told_s: float, lag_s: float) -> float | None:
    """
    Return the most that flowed between a tick's step and its reading; `None` where unknown.

    The reading before still showed the old value, so the step was passed since; a command that
    ran all the while bounds what came on top of it.
    """
    if before.read_s is None or before.fault is not None or ledger.open_s is None:
        return None
    unread_s = before.read_s - lag_s
    if ledger.open_s > unread_s:
        return None
    rest_wh = ledger.accrual.after_wh(unread_s) - ledger.accrual.after_wh(told_s)
    return rest_wh if rest_wh >= 0.0 else None


def _turn_day(ledger: Ledger, now: Instant) -> Ledger:
    """Start the new day's account; what is unverified is charged to both days."""
    if now.day <= ledger.day:
        # A wall clock set back must not grant yesterday's allowance again.
        return ledger
    return replace(
        ledger,
        day=now.day,
        exported=turned(ledger.exported, produced=False),
        produced=turned(ledger.produced, produced=True),
        leakage=ledger.leakage.closed(),
    )


def restored(
    ledger: Ledger,
    now: Instant,
    away_s: float,
    exposure_wh: float,
    rules: tuple[CounterRules, CounterRules],
    *,
    other_meter: bool = False,
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
        other_meter: the counters are those of another path. Their values are others; the day goes
            on with what is known of it, and with all that the old ones had not told.
    """
    if other_meter:
        return _on_other_meter(ledger, now, exposure_wh, rules)

    def moved(counter: DayCounter, rule: CounterRules) -> DayCounter:
        kept = ledger.day >= now.day or (rule.kind is CounterKind.LIFETIME and rule.conservative_up)
        return replace(
            counter,
            last_wh=counter.last_wh if kept else None,
            sure_wh=counter.sure_wh if kept else 0.0,
            carried_wh=counter.carried_wh if kept else rule.step_wh,
            seen_s=now.monotonic_s - away_s,
            tick_s=now.monotonic_s - away_s,
            read_s=None,
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
        rest_wh=None,
        accrual=NOTHING,
        ticking=ticking.AT_REST,
        open_s=None,
        still_w=0.0,
        still_h=0.0,
    )


def _on_other_meter(
    ledger: Ledger, now: Instant, exposure_wh: float, rules: tuple[CounterRules, CounterRules]
) -> Ledger:
    """
    Return the account as other counters go on with it.

    What may have left the house and is in no tick of the old counter is charged for good. Of the
    production's first step nothing is believed: the old counter may have told it.
    """
    exported, produced = (
        DayCounter(
            seen_s=now.monotonic_s,
            tick_s=now.monotonic_s,
            day_wh=counter.day_wh,
            carried_wh=rule.step_wh,
        )
        for counter, rule in zip((ledger.exported, ledger.produced), rules, strict=True)
    )
    open_wh = ledger.open_wh(rules[0].step_wh) + exposure_wh
    return replace(
        ledger,
        at_s=now.monotonic_s,
        exported=replace(exported, day_wh=exported.day_wh + open_wh),
        produced=produced,
        unverified_wh=0.0,
        rest_wh=None,
        accrual=NOTHING,
        ticking=ticking.AT_REST,
        open_s=None,
        still_w=0.0,
        still_h=0.0,
        other_meter=True,
    )
