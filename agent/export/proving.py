"""
Drives the commissioning test: writes its command, watches it end, keeps its result.

What is measured and judged is in `commissioning`; here it meets the inverter. The full test goes
on in `proving_second`.
"""

from __future__ import annotations

from agent.export import commissioning as cms
from agent.export import commitments as com
from agent.export.asks import cost_obstacle, soc_obstacle
from agent.export.bus_watch import watch_bus
from agent.export.commissioning_checks import Powers, second_master, soc_in_doubt
from agent.export.commitments import Commitment, Purpose, Seen
from agent.export.inputs import SAMPLES_BEFORE_COMMAND
from agent.export.lease import worst_case_wh
from agent.export.leasing import cutoff_percent
from agent.export.proving_second import begin_second, drive_second
from agent.export.replacing import replace
from agent.export.snapshot import Reason
from agent.export.turn import Turn
from agent.house.alphaess import DispatchBlock
from agent.house.readings import Reading

_COMMISSION_PATIENCE_S = 120.0
_EARLY_S = 5.0
"""So much before its time a dispatch may be over without anybody's doing."""


def drive_test(turn: Turn) -> None:
    """Drive the commissioning test one look further."""
    _watch_bus(turn)
    test = turn.state.commissioning
    foreign = turn.state.foreign
    heard = second_master(turn.config.foreign_requests)
    if heard is not None:
        _finish(turn, replace(cms.failed(test, heard.words), checks=(heard,)))
    elif test.bus.foreign:
        _finish(turn, cms.shared(test, test.bus.foreign))
    elif foreign is not None and foreign.announced:
        what = f"a dispatch of {foreign.power_w:.0f} W runs that was started"
        _finish(turn, cms.shared(test, what))
    elif test.part > 1:
        _finish(turn, drive_second(turn, powers_of(turn)))
    elif test.stage is cms.Stage.WAITING:
        _begin_test(turn, test, powers_of(turn))
    else:
        _watch(turn, test)


def _watch(turn: Turn, test: cms.Commissioning) -> None:
    ours = any(c.purpose is Purpose.COMMISSIONING for c in turn.state.commitments)
    if not ours and turn.now_s - test.sent_s < test.duration_s:
        _finish(turn, cms.failed(test, "The test command was refused or lost. See the journal."))
        return
    start = turn.look.sample.dispatch.start
    glance = cms.Glance(
        now_s=turn.now_s,
        powers=powers_of(turn),
        running=turn.seen.seen is Seen.OURS,
        idle=turn.seen.seen is Seen.IDLE and com.seen_since(start, test.sent_s),
        fell_s=start.changed_s,
        soc_percent=turn.look.sample.soc_percent.value or 0.0,
    )
    _finish(turn, cms.watch(test, glance, turn.config.path))


def _finish(turn: Turn, test: cms.Commissioning) -> None:
    """Take the test over, and carry out what its stage asks for."""
    turn.set(commissioning=test)
    if test.stage is cms.Stage.PASSED:
        if test.part == 1:
            test = replace(test, at=turn.look.now.local, firmware=turn.config.firmware)
            turn.set(commissioning=begin_second(test, turn.now_s) if test.full else test)
        turn.say("commissioning_passed", test.text, path=test.path, **_figures(test))
        if turn.state.stopping is None:
            _seen_over(turn)
    elif test.stage is cms.Stage.FAILED:
        turn.say("commissioning_failed", test.text, path=test.path, **_figures(test))
        if turn.seen.seen is not Seen.OTHER:  # a foreign dispatch is not ours to stop
            turn.begin_stop(Reason("commissioning_failed", test.text))
    elif test.stage is cms.Stage.WAITING and test.part == 1:
        turn.say("commissioning_repeated", test.text, path=test.path)
        _seen_over(turn)


def _figures(test: cms.Commissioning) -> dict[str, object]:
    return {
        "delay_s": test.delay_s,
        "dead_s": test.dead_s,
        "exit_lag_s": test.exit_lag_s,
        "gain": test.gain,
        "rounds_up": test.rounds_up,
        "rewrite_extends": test.rewrite_extends,
        "counter_lag_s": test.counter_lag_s,
        "firmware": test.firmware,
        "checks": {check.code: check.verdict.value for check in test.checks},
    }


def _watch_bus(turn: Turn) -> None:
    test = turn.state.commissioning
    blocks = [c.block for c in turn.state.commitments if c.purpose is Purpose.COMMISSIONING]
    second, due_s = test.second, test.sent_s + test.duration_s
    if second is not None and second.sent_s is not None:
        due_s = second.sent_s + second.first_s
    over = test.stage is cms.Stage.WAITING or turn.now_s > due_s - _EARLY_S
    bus = watch_bus(test.bus, turn.look.sample.dispatch, blocks, turn.now_s, over=over)
    if bus != test.bus:
        turn.set(commissioning=replace(test, bus=bus))


def _seen_over(turn: Turn) -> None:
    """The dispatch has ended unaided; nothing of it is left but a toggle in Home Assistant."""
    turn.set(commitments=(), settled_s=turn.now_s + turn.config.path.exit_lag_s)
    if turn.config.path.has_toggle:
        turn.begin_stop(Reason("commissioning_over", "The test is over; its toggle goes off."))


def _begin_test(turn: Turn, test: cms.Commissioning, powers: Powers | None) -> None:
    doubt = soc_in_doubt(turn.look.sample.soc_percent.value)
    if doubt is not None:
        _finish(turn, replace(cms.failed(test, doubt.words), checks=(doubt,)))
        return
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
    waiting = cms.at_rest(test, powers, turn.now_s)
    if waiting is not None:
        turn.set(commissioning=waiting)
        return
    test = cms.sent(test, turn.now_s, powers, turn.config.path)
    obstacle = cost_obstacle(turn, test.power_w, test.duration_s)
    if obstacle is not None:
        turn.set(commissioning=cms.failed(turn.state.commissioning, obstacle.text))
        return
    number = turn.next_number()
    block = DispatchBlock(True, test.power_w, cutoff_percent(turn), test.duration_s)
    worst_wh = worst_case_wh(test.power_w, test.duration_s, turn.config.path)
    commitment = Commitment(
        number, Purpose.COMMISSIONING, block, worst_wh, turn.now_s, turn.look.now.local
    )
    turn.set(commissioning=test, commitments=(*turn.state.commitments, commitment))
    turn.say("commissioning_sent", test.text, number=number)
    turn.write(number, block, "commissioning")


def powers_of(turn: Turn) -> Powers | None:
    """Return the powers of this look, if those of grid and battery are fresh."""
    sample = turn.look.sample
    grid_w, battery_w = turn.usable(sample.grid_w), turn.battery_w()
    if grid_w is None or battery_w is None:
        return None
    known_s = min(_known_s(turn, reading) for reading in (sample.grid_w, sample.battery_w))
    return Powers(battery_w, grid_w, sample.battery_w.changed_s, known_s, turn.sun_w())


def _known_s(turn: Turn, reading: Reading) -> float:
    """
    Return until when the power is known to have been so.

    Core before 2024.8 tells changes only: what has changed since the command, and is usable,
    still stands.
    """
    changed = reading.changed_s > turn.state.commissioning.sent_s
    return turn.now_s if changed and reading.reported_s is None else reading.vouched_s
