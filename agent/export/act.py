"""
Carries out what a look has decided: stops first, then the test, then the lease.

A stop is written again until the inverter's registers and the power at the connection point
show it; nothing is started against a hold.

Source: ARCHITECTURE, rules (energy); control.md 4.2; defects D-03 to D-06, D-09, D-16.
"""

from __future__ import annotations

from dataclasses import replace

from agent.export import commitments as com
from agent.export import resting
from agent.export.asks import firmware_changed, soc_obstacle
from agent.export.commissioning import Stage
from agent.export.commitments import Purpose, Seen
from agent.export.inputs import SAMPLES_BEFORE_COMMAND
from agent.export.leasing import keep_lease
from agent.export.plausible import CONTRADICTED, CONTRADICTIONS
from agent.export.proving import drive_test
from agent.export.snapshot import ErrorState, Mode, Reason
from agent.export.states import HoldKind, Stopping, Wish
from agent.export.turn import Turn
from agent.house.alphaess import RESET_BLOCK

_STOP_AGAIN_S = 10.0
_STOP_REPORT_S = 60.0
_STOPPED_W = 250.0
_ADOPT_PATIENCE_S = 30.0
"""Longest that a restarted agent leaves an adoptable dispatch to its own timer unjudged."""


def supervise(turn: Turn) -> None:
    """Stop what has become unsafe, unwanted or done."""
    _firmware(turn)
    wish = turn.state.wish
    if wish is None:
        return
    config = turn.config
    if config.mode is Mode.OBSERVE:
        turn.begin_stop(Reason("observe_mode", "The mode was set to observe."))
    elif config.rival:
        turn.begin_stop(Reason("second_controller", config.rival))
    elif config.export_limit_w is None:
        turn.begin_stop(Reason("export_limit_unset", "The export limit was removed."))
    elif turn.state.lost:
        _suspend(turn, turn.state.lost[0])
    elif turn.state.commissioning.outdated_by(config.firmware):
        turn.begin_stop(firmware_changed(turn.state.commissioning.firmware, config.firmware))
    else:
        _go_on(turn, wish)


def _go_on(turn: Turn, wish: Wish) -> None:
    """End what is done, or can go no further."""
    config = turn.config
    if wish.purpose in com.RESTS:
        rest_over = resting.over(turn, wish)
        if rest_over is not None:
            resting.end(turn, rest_over)
    elif wish.purpose is Purpose.DISCHARGE:
        obstacle = soc_obstacle(turn)
        if config.target_export_w <= 0:
            turn.begin_stop(Reason("target_is_zero", "The wanted export was set to 0 W."))
        elif obstacle is not None:
            turn.complete(obstacle)
    elif (turn.look.sample.soc_percent.value or 0.0) >= config.charge_target_soc_percent:
        turn.complete(Reason("battery_full", "The battery has reached its charge target."))


def _firmware(turn: Turn) -> None:
    """Note the parts of a firmware that could not be read yet when the test was passed."""
    test, firmware = turn.state.commissioning, turn.config.firmware
    if not firmware or firmware == test.firmware or test.stage is not Stage.PASSED:
        return
    firmware = test.with_firmware(firmware)
    if firmware != test.firmware:
        turn.set(commissioning=replace(test, firmware=firmware))
        text = f"The inverter's firmware is {firmware}; control is locked when it changes."
        turn.say("firmware_noted", text, firmware=firmware)


def _suspend(turn: Turn, lost: Reason) -> None:
    """An input is lost: stop actively; the wish goes on when all inputs are good again."""
    if turn.state.hold is not None:
        return
    if turn.state.adopting and turn.now_s - turn.state.begun_s < _ADOPT_PATIENCE_S:
        # Right after a restart no input has spoken yet; the dispatch found is judged first.
        return
    if lost.code in CONTRADICTIONS:
        text = f"Stopped because the inputs contradict each other. {lost.text} Nothing is retried."
        contradiction = Reason(CONTRADICTED, text, lost.source)
        turn.begin_stop(contradiction, hold=HoldKind.PAUSE, error=ErrorState.LOST_INPUT)
        return
    reason = Reason("lost_input", f"Stopped because an input was lost. {lost.text}", lost.source)
    turn.begin_stop(reason, ends_wish=False, hold=HoldKind.PAUSE, error=ErrorState.LOST_INPUT)


def carry_out(turn: Turn) -> None:
    """Write what has to be written now."""
    if turn.state.stopping is not None:
        _stop(turn, turn.state.stopping)
        return
    _release_hold(turn)
    if turn.state.commissioning.busy:
        drive_test(turn)
    else:
        keep_lease(turn)


def _stop(turn: Turn, stopping: Stopping) -> None:
    """Write the reset until it is seen, or until nothing can run any more."""
    if _stop_seen(turn, stopping):
        return
    for_foreign = turn.state.foreign is not None and turn.state.foreign.stop_attempted
    if for_foreign and stopping.attempts and turn.now_s - stopping.since_s > _STOP_AGAIN_S:
        turn.set(stopping=None)
        turn.say("yielded", "The foreign dispatch did not stop; the agent yields.")
        return
    if turn.now_s - stopping.since_s > _STOP_REPORT_S and not stopping.reported:
        stopping = replace(stopping, reported=True)
        turn.set(stopping=stopping)
        turn.count("stop", stopping.purpose, success=False)
        turn.fail(
            ErrorState.DISCHARGE_STOP_FAILED,
            Reason(
                "stop_unverified",
                f"The stop could not be verified within {_STOP_REPORT_S:.0f} s "
                f"({stopping.last_detail or 'no answer'}). The inverter ends the dispatch by its "
                "own timer; look at the battery, and stop it in its app if it still discharges.",
            ),
        )
    due = stopping.sent_s is None or turn.now_s - stopping.sent_s >= _STOP_AGAIN_S
    if stopping.writing or not due:
        return
    number = turn.next_number()
    turn.set(
        stopping=replace(
            stopping,
            number=number,
            attempts=stopping.attempts + 1,
            sent_s=turn.now_s,
            writing=True,
        )
    )
    turn.write(number, RESET_BLOCK, stopping.reason.text)


def _stop_seen(turn: Turn, stopping: Stopping) -> bool:
    """Judge whether the stop is over: seen at the inverter, or ended by the timer unseen."""
    start = turn.look.sample.dispatch.start
    if stopping.sent_s is not None and turn.seen.seen is Seen.IDLE:
        waited = stopping.delivered_s is not None and (
            turn.now_s - stopping.delivered_s > 2 * turn.config.readback_poll_s
        )
        # Since the first attempt, not the newest: a register that fell in between has fallen, and
        # where nobody vouches for it again (Core before 2024.8) each repetition would ask for one
        # more.
        fresh = com.seen_since(start, stopping.since_s) or waited
        # Commands wait in one queue: a reset that arrived has the last word, an idle register
        # alone has not while an older start may still come.
        last_word = stopping.delivered_s is not None or all(
            c.certain for c in turn.state.commitments
        )
        if fresh and last_word and _power_is_down(turn):
            seconds = turn.now_s - stopping.since_s
            if not stopping.reported:
                turn.count("stop", stopping.purpose, success=True)
            turn.set(
                stopping=None,
                commitments=() if stopping.delivered_s else turn.state.commitments,
                settled_s=turn.now_s + turn.config.path.exit_lag_s,
            )
            if turn.state.error is ErrorState.DISCHARGE_STOP_FAILED:
                turn.set(error=ErrorState.NONE, error_reason=None)
            turn.say(
                "stop_verified",
                f"Stopped: the inverter's registers and the power show it after {seconds:.1f} s.",
                reason=stopping.reason.code,
                seconds=round(seconds, 1),
            )
            return True
    gone = not turn.state.commitments and turn.seen.seen is Seen.UNKNOWN
    if gone and stopping.attempts and not stopping.writing:
        turn.set(stopping=None)
        if not stopping.reported:
            turn.count("stop", stopping.purpose, success=False)
        turn.say(
            "stop_by_timer",
            "The stop could not be delivered; every lease has run out by the inverter's own "
            "timer. It will be looked at as soon as the inverter answers.",
            reason=stopping.reason.code,
            attempts=stopping.attempts,
        )
        return True
    return False


def _power_is_down(turn: Turn) -> bool:
    """
    Return True unless fresh powers show that the battery is still sent to the grid.

    A power that stands still shows what was, not what is: then the registers alone tell, and
    writing the stop again every ten seconds for as long as it stands still would prove no more.
    So it is with powers that have long contradicted each other.
    """
    contradicted = any(reason.code in CONTRADICTIONS for reason in turn.state.lost)
    if turn.state.still.doubted or contradicted:
        return True
    grid_w, battery_w = turn.usable(turn.look.sample.grid_w), turn.battery_w()
    if grid_w is None or battery_w is None:
        return True
    battery_to_grid_w = min(max(0.0, -grid_w), max(0.0, battery_w))
    return battery_to_grid_w <= _STOPPED_W


def _release_hold(turn: Turn) -> None:
    hold = turn.state.hold
    if hold is None or hold.kind is HoldKind.SAFETY:
        return
    rested = turn.now_s - hold.since_s >= turn.config.minimum_off_s
    if rested and not turn.state.lost and turn.state.good_samples >= SAMPLES_BEFORE_COMMAND:
        turn.set(hold=None)
        if turn.state.wish is not None:
            turn.say("resumed", "The pause is over.", reason=hold.reason.code)
