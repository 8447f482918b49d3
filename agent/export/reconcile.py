"""
Compares what was commanded with what the inverter's registers show.

Success is the registers and the battery power, never the absence of an error. A dispatch that
is not ours is reported and yielded to; a reset by Core's package is answered with a renewal, at
most three times an hour; a lease that outlives its own time is a safety stop.

Source: ARCHITECTURE, rules (one owner); control.md T10 and cases 24 to 27, 36; D-09, D-22, D-24.
"""

from __future__ import annotations

from dataclasses import replace

from agent.export import commitments as com
from agent.export import effect
from agent.export.commitments import Commitment, Purpose, Seen
from agent.export.inputs import SAMPLES_BEFORE_COMMAND
from agent.export.limiter import GUARD_BAND_W
from agent.export.replies import start_failed
from agent.export.snapshot import ErrorState, Mode, Reason
from agent.export.states import Foreign, HoldKind
from agent.export.turn import Turn

RESETS_PER_HOUR = 3
_HOUR_S = 3600.0
_EARLY_END_S = 3.0
_SETTLE_S = 5.0
_STEP_W = 50.0
_READ_AGAIN_S = 10.0
"""By then Core has read all registers again: a read-back of 5 s, behind other polls."""


def reconcile(turn: Turn) -> None:
    """Compare registers and commitments, and draw the consequences."""
    compared = turn.state.commitments
    turn.seen = com.observe(compared, turn.look.sample.dispatch)
    if turn.state.adopting:
        _judge_what_was_found(turn)
    else:
        _follow(turn)
    _expire(turn)
    if turn.state.commitments is not compared:
        turn.seen = com.observe(turn.state.commitments, turn.look.sample.dispatch)


def _judge_what_was_found(turn: Turn) -> None:
    """At the start: adopt the journaled lease or stop; never assume."""
    if turn.seen.seen is Seen.UNKNOWN or turn.state.good_samples < SAMPLES_BEFORE_COMMAND:
        return
    if turn.seen.seen is Seen.OTHER and not _other_persists(turn):
        return
    turn.set(adopting=False)
    found = turn.seen.commitment
    if turn.seen.seen is Seen.OURS and found is not None:
        if turn.now_s < found.runs_until_s() and turn.state.wish is not None:
            turn.set(commitments=com.confirmed(turn.state.commitments, found.number, turn.now_s))
            turn.say(
                "adopted",
                f"Adopted the running {found.purpose.value} of {found.block.power_w} W: the "
                "registers equal the journaled lease, and its end lies ahead.",
                number=found.number,
            )
            return
        text = "A dispatch of ours was found running that nobody wants, or whose end has passed."
        turn.say("stopped_at_start", text, number=found.number)
        turn.begin_stop(Reason("stopped_at_start", f"{text} It was stopped."))
        return
    turn.set(wish=None)
    if turn.seen.seen is Seen.OTHER:
        turn.set(commitments=())
        _foreign(turn)
        return
    text = "The inverter was found in its own control; nothing was adopted."
    turn.say("found_idle", text, journaled=len(turn.state.commitments))
    shown = [c for c in turn.state.commitments if c.status is com.Status.CONFIRMED]
    if shown:
        # Its registers have shown that lease and show it no more: somebody ended it meanwhile.
        turn.set(
            commitments=tuple(c for c in turn.state.commitments if _may_come(c, shown[-1], turn))
        )


def _follow(turn: Turn) -> None:
    if turn.seen.seen is Seen.OURS and turn.seen.commitment is not None:
        _ours(turn, turn.seen.commitment)
    elif turn.seen.seen is Seen.IDLE:
        _proven_late(turn)
        _idle(turn)
    if turn.seen.seen is Seen.OTHER:
        if _other_persists(turn):
            _foreign(turn)
    elif turn.state.foreign is not None and turn.seen.seen is not Seen.UNKNOWN:
        if turn.state.foreign.announced:
            turn.say("foreign_gone", "The foreign dispatch has ended.")
        turn.set(foreign=None)
    _verify_in_time(turn)
    effect.see(turn)


def _ours(turn: Turn, commitment: Commitment) -> None:
    state = turn.state
    if commitment.status is not com.Status.CONFIRMED:
        _confirm(turn, commitment)
    wanted = state.wish is not None and state.wish.purpose is commitment.purpose
    testing = commitment.purpose is Purpose.COMMISSIONING
    if not wanted and not testing and state.stopping is None:
        turn.begin_stop(Reason("late_command", "A command took effect that nobody wants any more."))
    ends_by_s = commitment.ends_by_s(turn.config.path, turn.now_s)
    overdue = turn.now_s - ends_by_s > 2 * turn.config.readback_poll_s
    # A mute inverter's registers stand in Core for minutes; they accuse nobody.
    if overdue and com.seen_since(turn.look.sample.dispatch.start, ends_by_s) and not testing:
        turn.begin_stop(
            Reason(
                "timer_ignored",
                "The inverter still runs a dispatch whose time was over "
                f"{turn.now_s - ends_by_s:.0f} s ago: its timer cannot be relied on. Stop the "
                "battery in its own app, and run the commissioning test before you acknowledge.",
            ),
            hold=HoldKind.SAFETY,
            error=ErrorState.DISCHARGE_STOP_FAILED,
        )


def _confirm(turn: Turn, commitment: Commitment) -> None:
    before = max(
        (c.block.power_w for c in turn.state.commitments if c.status is com.Status.CONFIRMED),
        default=0,
    )
    turn.set(commitments=com.confirmed(turn.state.commitments, commitment.number, turn.now_s))
    begins = commitment.purpose in com.RESTS and turn.state.wish and not turn.state.wish.started
    if begins or abs(commitment.block.power_w - before) > _STEP_W:
        turn.set(settled_s=turn.now_s + _SETTLE_S)
    wish = turn.state.wish
    if wish is not None and not wish.started:
        turn.set(wish=replace(wish, started=True))
        turn.set(breaker=turn.state.breaker.succeeded(), error=ErrorState.NONE, error_reason=None)
        turn.count("start", wish.purpose, success=True)
        turn.say(
            f"{wish.purpose.value}_started",
            f"The inverter's registers show {commitment.block.power_w} W after "
            f"{turn.now_s - commitment.sent_s:.1f} s.",
            number=commitment.number,
        )


def _proven_late(turn: Turn) -> None:
    """A stop that nobody could verify while the inverter was out of sight is over: it is idle."""
    reason = turn.state.error_reason
    if turn.state.stopping is None and reason is not None and reason.code == "stop_unverified":
        turn.set(error=ErrorState.NONE, error_reason=None)


def _idle(turn: Turn) -> None:
    """The registers show no dispatch: a confirmed lease has ended, or was reset."""
    state = turn.state
    shown = [c for c in state.commitments if c.confirmed_s is not None]
    if not shown or shown[-1].purpose is Purpose.COMMISSIONING or state.stopping is not None:
        return
    newest = shown[-1]
    if not com.seen_since(turn.look.sample.dispatch.start, newest.confirmed_s or 0.0):
        return
    turn.set(
        commitments=tuple(c for c in state.commitments if _may_come(c, newest, turn)),
        settled_s=turn.now_s + _SETTLE_S,
    )
    if turn.now_s >= newest.runs_until_s() - _EARLY_END_S:
        turn.say(
            "lease_ran_out",
            "The lease ran out before a renewal arrived; the inverter is in its own control.",
            number=newest.number,
        )
        return
    recent = tuple(t for t in state.resets_s if turn.now_s - t < _HOUR_S)
    if len(recent) < RESETS_PER_HOUR:
        turn.set(resets_s=(*recent, turn.now_s))
        turn.say(
            "reset_by_other",
            "The dispatch was reset by somebody else (Core's package does so at its start); "
            f"it is renewed, {len(recent) + 1} of {RESETS_PER_HOUR} this hour.",
        )
        return
    turn.begin_stop(
        Reason(
            "reset_too_often",
            f"The dispatch was reset {RESETS_PER_HOUR + 1} times within an hour by somebody else; "
            "the agent yields. Find the automation or app that does so.",
        ),
        hold=HoldKind.PAUSE,
        error=ErrorState.FOREIGN_CONTROLLER,
    )


def _may_come(commitment: Commitment, shown: Commitment, turn: Turn) -> bool:
    """Return True for a newer command that may still reach the idle inverter."""
    if commitment.number <= shown.number:
        return False
    if commitment.status is not com.Status.DELIVERED or commitment.answered_s is None:
        return True
    return turn.now_s - commitment.answered_s < turn.config.readback_poll_s


def _other_persists(turn: Turn) -> bool:
    """Tell a foreign dispatch from registers that were read at different times."""
    dispatch = turn.look.sample.dispatch
    if turn.state.foreign is None:
        turn.set(
            foreign=Foreign(
                turn.now_s, dispatch.power_w.value or 0.0, dispatch.duration_s.value or 0.0
            )
        )
        return False
    ours_moving = [
        c.answered_s or c.sent_s for c in turn.state.commitments if c.confirmed_s is None
    ]
    since_s = max([turn.state.foreign.since_s, *ours_moving])
    waited_s = turn.now_s - since_s
    if not ours_moving:
        # Only a command of ours through helpers takes longer until all registers show it.
        return waited_s >= min(turn.config.readback_poll_s, _READ_AGAIN_S)
    return waited_s >= turn.config.readback_poll_s


def _foreign(turn: Turn) -> None:
    """Report a dispatch that is not ours; end one beyond the limits once, then yield."""
    dispatch, config = turn.look.sample.dispatch, turn.config
    power_w, duration_s = dispatch.power_w.value or 0.0, dispatch.duration_s.value or 0.0
    foreign = turn.state.foreign
    since_s = foreign.since_s if foreign else turn.now_s
    attempted = foreign.stop_attempted if foreign else False
    if foreign is None or not foreign.announced:
        turn.set(wish=None, commitments=())
        turn.say(
            "foreign_dispatch",
            f"Somebody else runs the battery at {power_w:.0f} W for {duration_s:.0f} s; "
            "the agent yields.",
            power_w=power_w,
            duration_s=duration_s,
        )
    turn.set(foreign=Foreign(since_s, power_w, duration_s, True, attempted))
    grid_w = turn.usable(turn.look.sample.grid_w)
    limit_w = config.export_limit_w
    over_limit = limit_w is not None and grid_w is not None and -grid_w > limit_w + GUARD_BAND_W
    over_allowance = power_w > 0 and turn.left_wh() <= 0
    hold = turn.state.hold
    alarmed = hold is not None and hold.reason.code == "foreign_controller"
    observing = config.mode is Mode.OBSERVE
    if power_w <= 0 or attempted or alarmed or observing or not (over_limit or over_allowance):
        return
    turn.set(foreign=Foreign(since_s, power_w, duration_s, True, True))
    beyond = "the power limit" if over_limit else "the day's allowance"
    turn.begin_stop(
        Reason(
            "foreign_controller",
            f"Somebody else discharges the battery beyond {beyond} ({power_w:.0f} W). The agent "
            "tried to stop it once and yields. Find the other controller, then acknowledge.",
        ),
        hold=HoldKind.SAFETY,
        error=ErrorState.FOREIGN_CONTROLLER,
    )


def _verify_in_time(turn: Turn) -> None:
    """A first lease that the registers never show is a failed start."""
    state = turn.state
    if state.stopping is not None or any(c.confirmed_s is not None for c in state.commitments):
        return
    if state.wish is None or state.wish.tried_s is None:
        return
    # Commands from before a pause may still come late; they say nothing of this start.
    tried = [c for c in state.commitments if c.sent_s >= state.wish.tried_s]
    answered = [c.answered_s for c in tried if c.answered_s is not None]
    if not answered:
        return
    waited_s = turn.now_s - min(answered)
    if waited_s > turn.config.path.verify_s:
        text = (
            f"The inverter's registers did not show the command {waited_s:.0f} s after it was "
            "delivered."
        )
        start_failed(turn, Reason("start_unverified", text))


def _expire(turn: Turn) -> None:
    """Forget what can no longer run; keep what the registers still show."""
    before = turn.state.commitments
    alive = com.expired(before, turn.config.path, turn.now_s)
    if len(alive) < len(before):
        shown = turn.seen.commitment.number if turn.seen.commitment is not None else None
        turn.set(commitments=tuple(c for c in before if c in alive or c.number == shown))
