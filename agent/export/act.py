"""
Turns wishes into leases and stops into verified stops.

A lease is renewed only while every input is fresh and every check passes; a stop is written
again until the inverter's registers and the power at the connection point show it.

Source: ARCHITECTURE, rules (energy); control.md 4.2; defects D-01 to D-06, D-09, D-16, D-19.
"""

from __future__ import annotations

from dataclasses import replace

from agent.export import commissioning as cms
from agent.export import commitments as com
from agent.export.asks import CUTOFF_ABOVE_FLOOR_PERCENT, soc_obstacle
from agent.export.commitments import Commitment, Purpose, Seen
from agent.export.inputs import SAMPLES_BEFORE_COMMAND
from agent.export.lease import Lease, longest_affordable, worst_case_wh
from agent.export.limiter import PowerRule, discharge_power_w
from agent.export.snapshot import ErrorState, Mode, Reason
from agent.export.states import HoldKind, Stopping
from agent.export.turn import Turn
from agent.house.alphaess import RESET_BLOCK, DispatchBlock

_STOP_AGAIN_S = 10.0
_STOP_REPORT_S = 60.0
_STOPPED_W = 250.0
_REDUCE_W = 50.0
_REDUCE_EVERY_S = 3.0
_RESTART = 1.2
"""A pause ends only when clearly more than the useful minimum could flow."""
_DURATIONS = 8
"""Successive leases differ in their last seconds, so that the register proves each renewal."""
_COMMISSION_PATIENCE_S = 120.0
_ADOPT_PATIENCE_S = 30.0
"""Longest that a restarted agent leaves an adoptable dispatch to its own timer unjudged."""


def supervise(turn: Turn) -> None:
    """Stop what has become unsafe, unwanted or done."""
    wish = turn.state.wish
    if wish is None:
        return
    config = turn.config
    if config.mode is Mode.OBSERVE:
        turn.begin_stop(Reason("observe_mode", "The mode was set to observe."))
    elif config.export_limit_w is None:
        turn.begin_stop(Reason("export_limit_unset", "The export limit was removed."))
    elif turn.state.lost:
        _suspend(turn, turn.state.lost[0])
    elif wish.purpose is Purpose.DISCHARGE:
        obstacle = soc_obstacle(turn)
        if config.target_export_w <= 0:
            turn.begin_stop(Reason("target_is_zero", "The wanted export was set to 0 W."))
        elif obstacle is not None:
            complete(turn, obstacle)
    elif (turn.look.sample.soc_percent.value or 0.0) >= config.charge_target_soc_percent:
        complete(turn, Reason("battery_full", "The battery has reached its charge target."))


def _suspend(turn: Turn, lost: Reason) -> None:
    """An input is lost: stop actively; the wish goes on when all inputs are good again."""
    if turn.state.hold is not None:
        return
    if turn.state.adopting and turn.now_s - turn.state.begun_s < _ADOPT_PATIENCE_S:
        # Right after a restart no input has spoken yet; the dispatch found is judged first.
        return
    reason = Reason("lost_input", f"Stopped because an input was lost. {lost.text}", lost.source)
    turn.begin_stop(reason, ends_wish=False, hold=HoldKind.PAUSE, error=ErrorState.LOST_INPUT)


def complete(turn: Turn, reason: Reason) -> None:
    """The wish has come to its proper end."""
    if turn.state.wish is not None and turn.state.wish.purpose is Purpose.DISCHARGE:
        turn.set(completed=reason)
    turn.begin_stop(reason)


def carry_out(turn: Turn) -> None:
    """Write what has to be written now."""
    if turn.state.stopping is not None:
        _stop(turn, turn.state.stopping)
        return
    _release_hold(turn)
    if turn.state.commissioning.busy:
        _commission(turn)
    elif _may_lease(turn):
        _lease(turn)


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
        fresh = com.seen_since(start, stopping.sent_s) or waited
        if fresh and _power_is_down(turn):
            seconds = turn.now_s - stopping.since_s
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
    """Return True unless fresh powers show that the battery is still sent to the grid."""
    sample = turn.look.sample
    grid_w, battery_w = turn.usable(sample.grid_w), turn.usable(sample.battery_w)
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


def _may_lease(turn: Turn) -> bool:
    state = turn.state
    return (
        state.wish is not None
        and state.hold is None
        and not state.adopting
        and not state.lost
        and state.good_samples >= SAMPLES_BEFORE_COMMAND
        and state.foreign is None
        and state.ledger.known
        and not any(c.status is com.Status.SENT for c in state.commitments)
    )


def _lease(turn: Turn) -> None:
    """Start, renew or reduce the dispatch that the wish wants."""
    wish = turn.state.wish
    if wish is None:
        return
    path = turn.config.path
    newest = turn.state.commitments[-1] if turn.state.commitments else None
    since_s = turn.now_s - newest.sent_s if newest else None
    if wish.purpose is Purpose.CHARGE:
        if since_s is None or since_s >= path.renew_after_s:
            power_w = -turn.config.charge_power_w
            cutoff = turn.config.charge_target_soc_percent
            _send(turn, Purpose.CHARGE, Lease(power_w, path.lease_s, 0.0), cutoff)
        return
    if newest is not None and turn.state.net.lowest_w is None:
        # Just adopted: what the house draws is not known yet, and no reason to interrupt.
        return
    power_w = _power(turn)
    if power_w < path.min_discharge_w * (1.0 if newest else _RESTART):
        if newest is not None:
            _pause(turn, power_w)
        return
    reduces = newest is not None and power_w < newest.block.power_w - _REDUCE_W
    due = since_s is None or since_s >= path.renew_after_s
    if not due and not (reduces and since_s is not None and since_s >= _REDUCE_EVERY_S):
        return
    older_w = com.exposure_w(turn.state.commitments, path.gain)
    lease = longest_affordable(power_w, max(0.0, turn.left_wh()), turn.pv_bound_w(), older_w, path)
    if lease is None:
        complete(
            turn,
            Reason(
                "allowance_used",
                f"The day's allowance is used: {max(0.0, turn.left_wh()):.0f} Wh are left, less "
                "than the next lease could let out at worst.",
            ),
        )
        return
    floor = turn.floor_percent() or turn.config.min_soc_percent
    _send(turn, Purpose.DISCHARGE, lease, min(100.0, floor + CUTOFF_ABOVE_FLOOR_PERCENT))


def _power(turn: Turn) -> float:
    """Return the battery power that limit, target and house allow now."""
    config, state, sample = turn.config, turn.state, turn.look.sample
    last_w = max((c.block.power_w for c in state.commitments), default=0)
    return discharge_power_w(
        PowerRule(
            config.export_limit_w or 0.0,
            config.target_export_w,
            config.path.max_discharge_w,
            config.path.gain,
        ),
        state.net,
        sample.grid_w.value or 0.0,
        sample.battery_w.value or 0.0,
        last_w,
        turn.now_s - state.raised_s,
    )


def _pause(turn: Turn, power_w: float) -> None:
    turn.begin_stop(
        Reason(
            "nothing_to_discharge",
            f"Limit, load and sun leave {power_w:.0f} W for the battery, less than its useful "
            "minimum; it goes on when there is more.",
        ),
        ends_wish=False,
        hold=HoldKind.PAUSE,
    )


def _send(turn: Turn, purpose: Purpose, lease: Lease, cutoff_percent: float) -> None:
    number = turn.next_number()
    duration_s = lease.duration_s - number % _DURATIONS
    block = DispatchBlock(True, int(lease.power_w), cutoff_percent, duration_s)
    last_w = max((c.block.power_w for c in turn.state.commitments), default=0)
    if block.power_w > last_w:
        turn.set(raised_s=turn.now_s)
    commitment = Commitment(
        number, purpose, block, lease.worst_case_wh, turn.now_s, turn.look.now.local
    )
    first = not turn.state.commitments
    turn.set(commitments=(*turn.state.commitments, commitment))
    turn.say(
        "lease" if first else "renewal",
        f"{purpose.value} {block.power_w} W for {duration_s} s, worst case "
        f"{lease.worst_case_wh:.0f} Wh of {turn.left_wh():.0f} Wh left.",
        number=number,
        power_w=block.power_w,
        duration_s=duration_s,
        worst_case_wh=round(lease.worst_case_wh, 1),
        left_wh=round(turn.left_wh(), 1),
        exported_upper_wh=round(
            turn.state.ledger.exported_upper_wh(turn.config.exported_rules.step_wh), 1
        ),
    )
    turn.write(number, block, purpose.value)


def _commission(turn: Turn) -> None:
    """Drive the commissioning test one look further."""
    test = turn.state.commissioning
    powers = _powers(turn)
    if test.stage is cms.Stage.WAITING:
        _begin_test(turn, test, powers)
        return
    commitment = next(
        (c for c in turn.state.commitments if c.purpose is Purpose.COMMISSIONING), None
    )
    if commitment is None and turn.now_s - test.sent_s < cms.TEST_DURATION_S:
        test = cms.failed(test, "The test command was refused or lost. See the journal.")
    else:
        idle = turn.seen.seen is Seen.IDLE and com.seen_since(
            turn.look.sample.dispatch.start, test.sent_s
        )
        test = cms.watch(test, powers, idle=idle, now_s=turn.now_s, path=turn.config.path)
    turn.set(commissioning=test)
    if test.stage is cms.Stage.PASSED:
        turn.set(
            commissioning=replace(test, at=turn.look.now.local),
            commitments=(),
            settled_s=turn.now_s + turn.config.path.exit_lag_s,
        )
        turn.say(
            "commissioning_passed",
            test.text,
            delay_s=test.delay_s,
            exit_lag_s=test.exit_lag_s,
            gain=test.gain,
            path=test.path,
        )
    elif test.stage is cms.Stage.FAILED:
        turn.say("commissioning_failed", test.text, path=test.path)
        turn.begin_stop(Reason("commissioning_failed", test.text))


def _begin_test(turn: Turn, test: cms.Commissioning, powers: cms.Powers | None) -> None:
    ready = (
        powers is not None
        and not turn.state.lost
        and turn.state.good_samples >= SAMPLES_BEFORE_COMMAND
        and turn.seen.seen is Seen.IDLE
    )
    if not ready or powers is None:
        if turn.now_s - test.begun_s > _COMMISSION_PATIENCE_S:
            text = "No two fresh samples with an idle inverter came. Check the inputs; try again."
            turn.set(commissioning=cms.failed(test, text))
        return
    obstacle = soc_obstacle(turn)
    if obstacle is not None:
        turn.set(commissioning=cms.failed(test, f"{obstacle.text} Charge the battery first."))
        return
    test = cms.sent(test, turn.now_s, powers)
    floor = turn.floor_percent() or turn.config.min_soc_percent
    number = turn.next_number()
    block = DispatchBlock(
        True, test.power_w, min(100.0, floor + CUTOFF_ABOVE_FLOOR_PERCENT), cms.TEST_DURATION_S
    )
    worst_wh = worst_case_wh(test.power_w, cms.TEST_DURATION_S, turn.config.path)
    commitment = Commitment(
        number, Purpose.COMMISSIONING, block, worst_wh, turn.now_s, turn.look.now.local
    )
    turn.set(commissioning=test, commitments=(*turn.state.commitments, commitment))
    turn.say("commissioning_sent", test.text, number=number)
    turn.write(number, block, "commissioning")


def _powers(turn: Turn) -> cms.Powers | None:
    sample = turn.look.sample
    grid_w, battery_w = turn.usable(sample.grid_w), turn.usable(sample.battery_w)
    if grid_w is None or battery_w is None:
        return None
    at_s = min(sample.grid_w.changed_s, sample.battery_w.changed_s)
    return cms.Powers(battery_w, grid_w, at_s)
