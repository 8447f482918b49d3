"""
What the guard does next: one pure function from the house and the past to commands.

`step` takes everything that is remembered (`GuardState`), one look at the house and the site's
choices, and returns what is remembered next, what to write, what to journal and when to look
again. It knows no clock, no network and no logger, so a bench can step it through a year and a
journal can replay it bit for bit.
"""

from __future__ import annotations

from agent.export import act, asks, following, inputs, leasing, reconcile, replies
from agent.export.states import GuardConfig, GuardState, Look, Step
from agent.export.turn import Turn

_ACTIVE_S = 1.0
_STEADY_S = 2.0
"""Longest between two looks at a lease that runs as it should; readings wake the guard besides."""
_IDLE_S = 60.0
_STALE_BY_S = 0.1


def step(state: GuardState, look: Look, config: GuardConfig) -> Step:
    """Return what one look leads to."""
    turn = Turn(look, config, state)
    replies.take(turn)
    inputs.take_in(turn)
    reconcile.reconcile(turn)
    answers = asks.answer_all(turn)
    following.follow(turn)
    act.supervise(turn)
    act.carry_out(turn)
    return Step(turn.state, tuple(turn.commands), tuple(turn.events), answers, _wake_s(turn))


def _wake_s(turn: Turn) -> float:
    """Return when to look again: every second while anything changes, else when data grows old."""
    state = turn.state
    if _steady(turn):
        return _steady_until_s(turn)
    busy = (
        state.wish is not None
        or state.stopping is not None
        or state.commitments
        or state.foreign is not None
        or state.commissioning.busy
        or state.adopting
        or state.handover is not None
    )
    if busy:
        return turn.now_s + _ACTIVE_S
    age_s = turn.look.sample.grid_w.age_s(turn.now_s)
    until_stale_s = turn.config.thresholds.stale_after_s - age_s
    return turn.now_s + (max(_ACTIVE_S, until_stale_s) if until_stale_s > 0 else _IDLE_S / 4)


def _steady(turn: Turn) -> bool:
    """Return True while a wish waits, or its one confirmed lease runs, and nothing else does."""
    state = turn.state
    return (
        state.wish is not None
        and state.stopping is None
        and len(state.commitments) <= 1
        and all(c.confirmed_s is not None for c in state.commitments)
        and state.foreign is None
        and state.weak_since_s is None
        and not state.lost
        and not state.adopting
        and not state.commissioning.busy
    )


def _steady_until_s(turn: Turn) -> float:
    """Return when the running lease is renewed, or a power it rests on would grow stale."""
    limit_s = turn.config.thresholds.stale_after_s
    oldest_s = min(turn.look.sample.grid_w.vouched_s, turn.battery_s)
    next_s = min(turn.now_s + _STEADY_S, oldest_s + limit_s + _STALE_BY_S)
    for lease in turn.state.commitments:
        next_s = min(next_s, leasing.renewal_s(turn, lease))
    return max(next_s, turn.now_s + _ACTIVE_S / 2)
