"""
Drives the full test's second part: one stronger dispatch, written twice, and the wait for the
counter.

What is planned and judged is in `second_part`. Whatever comes in between (an input lost, a load
that goes off and leaves more export than the limit) ends this part, never the result of the first.
"""

from __future__ import annotations

from agent.export import commissioning as cms
from agent.export import second_part as second_
from agent.export.asks import cost_obstacle
from agent.export.commissioning_checks import REACHED_W, Powers, alone_check, first_failure
from agent.export.commitments import Commitment, Purpose, Seen, seen_since
from agent.export.counter_lag import Moment
from agent.export.inputs import SAMPLES_BEFORE_COMMAND
from agent.export.lease import worst_case_wh
from agent.export.leasing import cutoff_percent
from agent.export.limiter import GUARD_BAND_W
from agent.export.replacing import replace
from agent.export.second_part import Second
from agent.export.snapshot import Reason
from agent.export.turn import Turn
from agent.house.alphaess import DispatchBlock

_PATIENCE_S = 120.0
_REST_S = 10.0
"""Between the parts: the battery is on its own again, and the counter is first read at rest."""
_OVERDUE_S = 60.0
_OF_THE_COUNTER = ("exported_", "produced_")


def begin_second(test: cms.Commissioning, now_s: float) -> cms.Commissioning:
    """Return a test whose first part has passed, waiting for the start of the second one."""
    return replace(
        test,
        stage=cms.Stage.WAITING,
        part=2,
        begun_s=now_s,
        text="The first part passed. Waiting to start the second one.",
    )


def drive_second(turn: Turn, powers: Powers | None) -> cms.Commissioning:
    """Return the test one look further in its second part."""
    test = turn.state.commissioning
    second = test.second
    if second is None:
        return _planned(turn, test, powers)
    second = _traced(turn, second)
    test = replace(test, second=second)
    if second.sent_s is None:
        return _write_first(turn, test, second)
    if second.over_s is not None:
        return _counted(turn, test, second)
    trouble = _trouble(turn)
    if trouble:
        turn.begin_stop(Reason("commissioning_over", trouble))
        return _ended(turn, test, second, trouble)
    return _watched(turn, test, second, powers)


def _planned(turn: Turn, test: cms.Commissioning, powers: Powers | None) -> cms.Commissioning:
    config, waited_s = turn.config, turn.now_s - test.begun_s
    ready = (
        powers is not None
        and not turn.state.lost
        and turn.state.good_samples >= SAMPLES_BEFORE_COMMAND
        and turn.seen.seen is Seen.IDLE
        and turn.look.sample.exported_wh.good
        and waited_s >= max(_REST_S, config.path.exit_lag_s)
    )
    if powers is None or not ready:
        late = waited_s > _PATIENCE_S
        return (
            cms.interrupted(test, "The house was not ready for its second part.") if late else test
        )
    plan = second_.plan(
        powers.grid_w + powers.battery_w,
        config.export_limit_w or 0.0,
        turn.left_wh(),
        turn.pv_bound_w(),
        config.exported_rules.step_wh,
        config.path,
    )
    obstacle = cost_obstacle(turn, plan.power_w, plan.first_s + plan.again_s)
    if obstacle is not None:
        return cms.interrupted(test, obstacle.text)
    return replace(test, second=_traced(turn, plan))


def _write_first(turn: Turn, test: cms.Commissioning, second: Second) -> cms.Commissioning:
    number = _write(turn, second.power_w, second.first_s)
    text = f"{second.power_w} W for {second.first_s} s was written; it will be written again."
    second = replace(second, sent_s=turn.now_s, number=number)
    return replace(test, stage=cms.Stage.RUNNING, second=second, text=text)


def _write(turn: Turn, power_w: int, duration_s: int) -> int:
    number = turn.next_number()
    block = DispatchBlock(True, power_w, cutoff_percent(turn), duration_s)
    worst_wh = worst_case_wh(power_w, duration_s, turn.config.path)
    commitment = Commitment(
        number, Purpose.COMMISSIONING, block, worst_wh, turn.now_s, turn.look.now.local
    )
    turn.set(commitments=(*turn.state.commitments, commitment))
    turn.say("commissioning_sent", f"{power_w} W for {duration_s} s was written.", number=number)
    turn.write(number, block, "commissioning")
    return number


def _traced(turn: Turn, second: Second) -> Second:
    """Note what meter and counter say now; both as they stand, also where the ledger doubts."""
    sample = turn.look.sample
    grid_w, counter = turn.usable(sample.grid_w), sample.exported_wh
    grid = None if grid_w is None else Moment(sample.grid_w.vouched_s, grid_w)
    told = counter.good and counter.value is not None
    return second_.traced(
        second, grid, Moment(counter.vouched_s, counter.value or 0.0) if told else None
    )


def _trouble(turn: Turn) -> str:
    """Return why the dispatch has to end now; empty when nothing stands against it."""
    lost = [r for r in turn.state.lost if not r.code.startswith(_OF_THE_COUNTER)]
    if lost:
        return f"An input was lost. {lost[0].text}"
    grid_w, limit_w = turn.usable(turn.look.sample.grid_w), turn.config.export_limit_w or 0.0
    if grid_w is not None and -grid_w > limit_w + GUARD_BAND_W:
        return f"{-grid_w:.0f} W were exported, more than the limit of {limit_w:.0f} W."
    return ""


def _watched(
    turn: Turn, test: cms.Commissioning, second: Second, powers: Powers | None
) -> cms.Commissioning:
    seen, path = turn.seen, turn.config.path
    number = seen.commitment.number if seen.seen is Seen.OURS and seen.commitment else 0
    if second.again_number and number == second.again_number:
        second = replace(second, arrived=True)
    there = powers is not None and abs(powers.battery_w - second.power_w) <= REACHED_W * 2
    if powers is not None and number and powers.battery_w > second.reached_w:
        second = replace(second, reached_w=powers.battery_w)
    due = second.rewritten_s is None and number == second.number
    if due and second_.may_rewrite(second, turn.now_s):
        again_number = _write(turn, second.power_w, second.again_s)
        second = replace(second, rewritten_s=turn.now_s, again_number=again_number)
        test = replace(test, text="The second command was written; watching what it does.")
    start = turn.look.sample.dispatch.start
    if second.arrived:
        between_s = second_.told_apart_s(second, test.delay_s or 0.0, rounds_up=test.rounds_up)
        if number and seen_since(start, between_s):
            second = replace(second, extends=True)
        elif seen.seen is Seen.IDLE and second.extends is None:
            second = replace(second, extends=start.changed_s > between_s)
    newest_s = second.rewritten_s or second.sent_s or turn.now_s
    gone = not there or turn.now_s - start.changed_s > path.exit_lag_s + _REST_S
    if seen.seen is Seen.IDLE and start.changed_s > newest_s and gone:
        turn.set(commitments=(), settled_s=turn.now_s + path.exit_lag_s)
        second = replace(second, over_s=turn.now_s)
        text = "The dispatch is over; waiting for the export counter to tell what left."
        return replace(test, second=second, stage=cms.Stage.ENDING, text=text)
    longest_s = max(second.first_s, second.again_s) + path.command_delay_s + path.exit_lag_s
    if turn.now_s - newest_s > longest_s + _OVERDUE_S:
        text = "The second dispatch was still running after its time. It was stopped; control is "
        return cms.failed(replace(test, second=second), f"{text}locked. Run the test again.")
    return replace(test, second=second)


def _counted(turn: Turn, test: cms.Commissioning, second: Second) -> cms.Commissioning:
    rules = turn.config.exported_rules
    if not second_.counter_done(second, turn.now_s, rules.step_wh, rules.poll_s):
        return test
    return _ended(turn, test, second, "")


def _ended(turn: Turn, test: cms.Commissioning, second: Second, trouble: str) -> cms.Commissioning:
    """Return the test with what the second part has told."""
    if trouble:
        return cms.interrupted(test, trouble)
    found, lag_s = second_.all_checks(second, turn.config.exported_rules.step_wh)
    found = (*found, alone_check(turn.now_s - (test.bus.begun_s or turn.now_s)))
    kept = [c for c in test.checks if c.code not in {check.code for check in found}]
    checks = (*kept, *found)
    test = replace(
        test,
        checks=checks,
        counter_lag_s=lag_s,
        rewrite_extends=second.extends,
        second=replace(second, exported_w=(), counter_wh=()),  # told, and no longer needed
    )
    failure = first_failure(checks)
    if failure is not None:
        return cms.failed(test, failure.words)
    late = "not measured" if lag_s is None else f"{lag_s:.0f} s"
    return replace(
        test,
        stage=cms.Stage.PASSED,
        at=turn.look.now.local,
        text=f"Passed in full: gain {test.gain or 0:.2f}, counter lag {late}, a rewrite "
        f"{'extends the time' if second.extends else 'was not seen'}.",
    )
