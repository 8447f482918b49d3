"""
The guard follows a plan: within a window it is a wish like a person's, only weaker.

Whatever a person does wins: a start takes the wish over, a stop ends it until the next window. A
plan never asks for more than the settings allow, starts nothing that a person's start would be
refused for, and its wish ends by itself. Nothing here protects anything: with the plan gone,
limits, allowance, leases and stops are what they were.

Source: D-31, D-33 (plans that outlived their window).
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.export import asks, resting
from agent.export.advice import PLAN, Advice, Following
from agent.export.commitments import RESTS, Purpose, Seen
from agent.export.replacing import replace
from agent.export.requests import STOPS
from agent.export.snapshot import ErrorState, Reason
from agent.export.states import Wish
from agent.export.turn import Turn

_AGAIN_S = 300.0
"""Between the end of a wish that could go no further and the next try in the same window."""
_REFILL_PERCENT = 2.0
"""A battery this near to its charge target counts as full: no charge for a few minutes."""
SHUTDOWN = "shutdown"
_GOES_ON = frozenset(
    {
        "allowance_used",
        "soc_at_minimum",
        "soc_at_reserve",
        "battery_full",
        "lost_input",
        "nothing_to_discharge",
        "observe_mode",
        "second_controller",
        "export_limit_unset",
        "target_is_zero",
        "rest_sun",
        "rest_cloud",
        "rest_limit",
        "rest_unpaid",
    }
)
"""Ends that are nobody's verdict on the window: it may go on when their cause is gone."""


def follow(turn: Turn) -> None:
    """Begin, renew or end the plan's wish."""
    _notice_people(turn)
    _notice_end(turn)
    wish, advice = turn.state.wish, turn.look.advice
    if wish is not None and wish.until is not None:
        _go_on(turn, wish, advice)
    elif wish is None and advice is not None and advice.purpose is not None:
        _begin(turn, advice, advice.purpose)


def target_export_w(turn: Turn) -> float:
    """Return the wanted grid export: the setting, or less where the plan's slot asks for less."""
    wish, wanted_w = turn.state.wish, turn.config.target_export_w
    return wanted_w if wish is None or wish.power_w is None else min(wanted_w, wish.power_w)


def charge_w(turn: Turn) -> float:
    """Return the power of a charge: the setting, or less where the plan's slot asks for less."""
    wish, most_w = turn.state.wish, turn.config.charge_power_w
    return most_w if wish is None or wish.power_w is None else min(most_w, wish.power_w)


def waits(turn: Turn) -> Reason | None:
    """Return why the plan's running window is not carried out; `None` when nothing is amiss."""
    advice, wish = turn.look.advice, turn.state.wish
    if advice is None or advice.purpose is None:
        return None
    if wish is not None:
        text = f"A {wish.purpose.value} asked for by {wish.by} goes before the plan."
        return None if wish.until is not None else Reason("person_first", text)
    return _obstacle(turn, advice.purpose)


def _notice_people(turn: Turn) -> None:
    """A person's stop is the last word on this window."""
    stops = [r for r in turn.look.requests if r.kind in STOPS and r.by != SHUTDOWN]
    advice = turn.look.advice
    ends = turn.state.following.ends or (advice.window_ends if advice else None)
    if stops and ends is not None:
        turn.set(following=Following(declined_until=ends))


def _notice_end(turn: Turn) -> None:
    """See that a wish of the plan has ended for another reason than its window."""
    following, wish = turn.state.following, turn.state.wish
    if following.ends is None or (wish is not None and wish.until is not None):
        return
    if wish is not None:  # a person has taken it over
        turn.set(following=Following())
        return
    last = turn.state.last_action
    if last is not None and last.by == SHUTDOWN:
        turn.set(following=Following())
    elif last is None or last.reason in _GOES_ON:
        turn.set(following=Following(again_s=turn.now_s + _AGAIN_S))
    else:
        turn.set(following=Following(declined_until=following.ends))


def _go_on(turn: Turn, wish: Wish, advice: Advice | None) -> None:
    now, ends = turn.look.now.local, turn.state.following.ends
    if advice is None:  # the planner has not spoken since a restart or a midnight
        if wish.until is not None and now >= wish.until:
            _end(turn, Reason("plan_window_over", "The planned time is over."))
        return
    if advice.purpose is not wish.purpose:
        if ends is not None and now >= ends:
            _end(turn, Reason("plan_window_over", "The planned window is over."))
        else:
            _end(turn, Reason("plan_withdrawn", "The plan was changed, or switched off."))
        return
    if (advice.power_w, advice.until) != (wish.power_w, wish.until):
        turn.set(wish=replace(wish, power_w=advice.power_w, until=advice.until))
    if advice.window_ends != ends:
        turn.set(following=Following(ends=advice.window_ends))


def _end(turn: Turn, reason: Reason) -> None:
    turn.set(following=Following())
    state = turn.state
    if not state.commitments and state.stopping is None and turn.seen.seen is Seen.IDLE:
        # It was pausing: nothing runs that would have to be stopped.
        turn.set(wish=None)
        turn.did("stop", reason, PLAN)
        return
    turn.begin_stop(reason, by=PLAN)


def _begin(turn: Turn, advice: Advice, purpose: Purpose) -> None:
    now = turn.look.now.local
    if advice.until is None or now >= advice.until or _obstacle(turn, purpose) is not None:
        return
    wish = Wish(purpose, PLAN, turn.now_s, now, power_w=advice.power_w, until=advice.until)
    turn.set(wish=wish, completed=None, following=Following(ends=advice.window_ends))
    turn.did(f"start_{wish.purpose.value}", Reason("planned", advice.text), PLAN)


def _obstacle(turn: Turn, purpose: Purpose) -> Reason | None:
    """Return what keeps the plan's window from being carried out now."""
    return next(_obstacles(turn, purpose), None)


def _obstacles(turn: Turn, purpose: Purpose) -> Iterator[Reason]:
    state, following = turn.state, turn.state.following
    declined = following.declined_until
    if declined is not None and turn.look.now.local < declined:
        text = "This window was stopped; the plan goes on with the next one."
        yield Reason("plan_declined", text)
    if state.error is not ErrorState.NONE and state.error_reason is not None:
        yield state.error_reason
    if state.stopping is not None:
        yield state.stopping.reason
    if state.hold is not None:
        yield state.hold.reason
    yield from asks.blockers(turn, purpose)
    if turn.now_s < following.again_s:
        text = "The window could go no further; it is tried again within some minutes."
        yield Reason("plan_tries_again", text)
    if purpose is Purpose.DISCHARGE and turn.left_wh() < asks.again_from_wh(turn):
        text = f"{max(0.0, turn.left_wh()):.0f} Wh are left of the day's allowance: too little."
        yield Reason("allowance_used", text)
    if purpose in RESTS:
        stores_w = turn.look.advice.power_w if turn.look.advice is not None else 0.0
        unfit = resting.obstacle(turn, purpose, stores_w)
        if unfit is not None:
            yield unfit
    soc, full = turn.look.sample.soc_percent.value, turn.config.charge_target_soc_percent
    if purpose is Purpose.CHARGE and soc is not None and soc > full - _REFILL_PERCENT:
        yield Reason("battery_full", "The battery is nearly at its charge target.")
