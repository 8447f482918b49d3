"""
Drives the commissioning test: writes its one command, watches it end, keeps its result.

What is measured and judged is in `commissioning`; here it meets the inverter.
"""

from __future__ import annotations

from dataclasses import replace

from agent.export import commissioning as cms
from agent.export import commitments as com
from agent.export.asks import soc_obstacle
from agent.export.commitments import Commitment, Purpose, Seen
from agent.export.inputs import SAMPLES_BEFORE_COMMAND
from agent.export.lease import worst_case_wh
from agent.export.leasing import cutoff_percent
from agent.export.snapshot import Reason
from agent.export.turn import Turn
from agent.house.alphaess import DispatchBlock
from agent.house.readings import Reading

_COMMISSION_PATIENCE_S = 120.0


def drive_test(turn: Turn) -> None:
    """Drive the commissioning test one look further."""
    test = turn.state.commissioning
    powers = _powers(turn)
    if test.stage is cms.Stage.WAITING:
        _begin_test(turn, test, powers)
        return
    commitment = next(
        (c for c in turn.state.commitments if c.purpose is Purpose.COMMISSIONING), None
    )
    if commitment is None and turn.now_s - test.sent_s < test.duration_s:
        test = cms.failed(test, "The test command was refused or lost. See the journal.")
    else:
        idle = turn.seen.seen is Seen.IDLE and com.seen_since(
            turn.look.sample.dispatch.start, test.sent_s
        )
        test = cms.watch(test, powers, idle=idle, now_s=turn.now_s, path=turn.config.path)
    turn.set(commissioning=test)
    if test.stage is cms.Stage.PASSED:
        turn.set(commissioning=replace(test, at=turn.look.now.local))
        turn.say(
            "commissioning_passed",
            test.text,
            delay_s=test.delay_s,
            exit_lag_s=test.exit_lag_s,
            gain=test.gain,
            path=test.path,
        )
        _seen_over(turn)
    elif test.stage is cms.Stage.WAITING:
        turn.say("commissioning_repeated", test.text, path=test.path)
        _seen_over(turn)
    elif test.stage is cms.Stage.FAILED:
        turn.say("commissioning_failed", test.text, path=test.path)
        turn.begin_stop(Reason("commissioning_failed", test.text))


def _seen_over(turn: Turn) -> None:
    """The dispatch has ended unaided; nothing of it is left but a toggle in Home Assistant."""
    turn.set(commitments=(), settled_s=turn.now_s + turn.config.path.exit_lag_s)
    if turn.config.path.has_toggle:
        turn.begin_stop(Reason("commissioning_over", "The test is over; its toggle goes off."))


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
    test = cms.sent(test, turn.now_s, powers, turn.config.path)
    number = turn.next_number()
    block = DispatchBlock(True, test.power_w, cutoff_percent(turn), test.duration_s)
    worst_wh = worst_case_wh(test.power_w, test.duration_s, turn.config.path)
    commitment = Commitment(
        number, Purpose.COMMISSIONING, block, worst_wh, turn.now_s, turn.look.now.local
    )
    turn.set(commissioning=test, commitments=(*turn.state.commitments, commitment))
    turn.say("commissioning_sent", test.text, number=number)
    turn.write(number, block, "commissioning")


def _powers(turn: Turn) -> cms.Powers | None:
    sample = turn.look.sample
    grid_w, battery_w = turn.usable(sample.grid_w), turn.battery_w()
    if grid_w is None or battery_w is None:
        return None
    known_s = min(_known_s(turn, reading) for reading in (sample.grid_w, sample.battery_w))
    return cms.Powers(battery_w, grid_w, sample.battery_w.changed_s, known_s)


def _known_s(turn: Turn, reading: Reading) -> float:
    """
    Return until when the power is known to have been so.

    Core before 2024.8 tells changes only: what has changed since the command, and is usable,
    still stands.
    """
    changed = reading.changed_s > turn.state.commissioning.sent_s
    return turn.now_s if changed and reading.reported_s is None else reading.vouched_s
