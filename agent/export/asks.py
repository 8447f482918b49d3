"""
Answers what is asked of the guard, and says why a start would be refused.

A refusal names the first thing in the way and what to do about it. Stops are never refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.export import commissioning
from agent.export.commissioning_checks import second_master
from agent.export.commitments import RESTS, Purpose, Seen
from agent.export.inputs import SAMPLES_BEFORE_COMMAND
from agent.export.lease import Lease, whole_steps_w, worst_case_wh
from agent.export.pricing import still_open
from agent.export.replacing import replace
from agent.export.requests import Answer, Request, RequestKind
from agent.export.snapshot import ErrorState, Mode, Reason, StatisticsView
from agent.export.states import GuardConfig, GuardState, HoldKind, Wish
from agent.export.turn import Turn

_AGAIN_FROM_WH = 60.0
"""Once the allowance was used up, less is not started for: each little sun would start and stop the
battery anew (control.md, section 5, recommended defaults)."""
_AGAIN_W = 1500.0
"""In the dark no sun comes again and again, only what was kept for leaks or told late; a short
lease at this power, well above what a house draws itself, is worth a start then."""
_LETS_OUT_W = 50.0
CUTOFF_ABOVE_FLOOR_PERCENT = 1.0
"""The register truncates downwards, and at the cut-off the grid would feed the house (D-27)."""


def answer_all(turn: Turn) -> tuple[Answer, ...]:
    """Answer every request of this look, in order."""
    return tuple(_answer(turn, request) for request in turn.look.requests)


def _answer(turn: Turn, request: Request) -> Answer:
    match request.kind:
        case RequestKind.START_DISCHARGE:
            answer = _start(turn, request, Purpose.DISCHARGE)
        case RequestKind.START_CHARGE:
            answer = _start(turn, request, Purpose.CHARGE)
        case RequestKind.STOP_DISCHARGE | RequestKind.STOP_CHARGE:
            answer = _stop(turn, request)
        case RequestKind.EMERGENCY_STOP:
            answer = _emergency(turn, request)
        case RequestKind.ACKNOWLEDGE:
            answer = _acknowledge(turn)
        case RequestKind.COMMISSION | RequestKind.COMMISSION_FULL:
            answer = _commission(turn, request)
        case RequestKind.CALCULATE:
            answer = Answer(True, "accepted", "Calculated with the newest values.")
        case RequestKind.RESET_STATISTICS:
            turn.set(statistics=StatisticsView(since=turn.look.now.local), last_action=None)
            answer = Answer(True, "accepted", "Starts and stops are counted from zero again.")
    turn.say(
        "request",
        answer.text,
        asked=request.kind.value,
        by=request.by,
        accepted=answer.accepted,
        code=answer.code,
    )
    return answer


def _start(turn: Turn, request: Request, purpose: Purpose) -> Answer:
    turn.set(pace=turn.state.pace.asked(turn.now_s))
    wish = turn.state.wish
    if wish is not None and wish.purpose is purpose and wish.until is not None:
        turn.set(wish=replace(wish, by=request.by, power_w=None, until=None))
        text = f"The {purpose.value} of the plan is yours now and goes on beyond its window."
        return Answer(True, "taken_over", text)
    if wish is not None and wish.purpose is purpose:
        return Answer(True, "already_running", f"The {purpose.value} is already under way.")
    obstacle = next(blockers(turn, purpose), None)
    if obstacle is None and wish is not None:
        # The plan's rest makes way: it is ended first, and then what was asked for begins.
        turn.begin_stop(Reason("requested", f"Ended as asked for by {request.by}."), by=request.by)
    if obstacle is not None:
        error = _ERROR_OF_REFUSAL.get(obstacle.code.split("_")[0])
        if error is not None and turn.state.lost:
            turn.fail(error, obstacle)
        return Answer(False, obstacle.code, obstacle.text)
    turn.set(
        wish=Wish(purpose, request.by, turn.now_s, turn.look.now.local),
        completed=None,
        error=ErrorState.NONE,
        error_reason=None,
    )
    turn.did(
        f"start_{purpose.value}", Reason("requested", f"Asked for by {request.by}."), request.by
    )
    return Answer(
        True, "accepted", f"The {purpose.value} starts; the inverter's registers will confirm it."
    )


_ERROR_OF_REFUSAL = {
    "soc": ErrorState.SOC_READ_FAILED,
    "grid": ErrorState.STALE_DATA,
    "battery": ErrorState.STALE_DATA,
    "link": ErrorState.NO_DATA,
    "exported": ErrorState.NO_DATA,
    "produced": ErrorState.NO_DATA,
    "dispatch": ErrorState.NO_DATA,
}


def _stop(turn: Turn, request: Request) -> Answer:
    state = turn.state
    if state.commissioning.busy:
        turn.set(
            commissioning=commissioning.interrupted(state.commissioning, "Stopped by request.")
        )
    idle = turn.seen.seen is Seen.IDLE
    if state.wish is None and not state.commitments and state.stopping is None and idle:
        return Answer(True, "nothing_running", "Nothing was running.")
    turn.begin_stop(
        Reason("requested", f"Stopped as asked for by {request.by}."),
        by=request.by,
    )
    return Answer(True, "accepted", "The battery is being stopped; the inverter will confirm it.")


def _emergency(turn: Turn, request: Request) -> Answer:
    if turn.state.commissioning.busy:
        turn.set(
            commissioning=commissioning.interrupted(turn.state.commissioning, "Emergency stop.")
        )
    # Stop even what cannot be seen: an unreadable inverter may be running.
    turn.set(stopping=None)
    turn.begin_stop(
        Reason(
            "emergency_stop",
            f"Emergency stop by {request.by}. Nothing is started until it is acknowledged.",
        ),
        by=request.by,
        hold=HoldKind.SAFETY,
    )
    return Answer(
        True, "accepted", "Emergency stop: the reset is being written; watch for its verification."
    )


def _acknowledge(turn: Turn) -> Answer:
    turn.set(error=ErrorState.NONE, error_reason=None)
    if turn.state.hold is None or turn.state.hold.kind is not HoldKind.SAFETY:
        return Answer(True, "nothing_latched", "No safety stop was waiting.")
    # Seen by a person: a later safety stop is another one, and so is a later over-export.
    turn.set(hold=None, breach=False)
    return Answer(True, "accepted", "The safety stop is acknowledged; starts are possible again.")


def _commission(turn: Turn, request: Request) -> Answer:
    state = turn.state
    if state.commissioning.busy:
        return Answer(True, "already_running", "The commissioning test is already under way.")
    busy = state.wish is not None or state.commitments or state.stopping is not None
    if busy or state.foreign is not None:
        return Answer(
            False, "battery_busy", "A dispatch is running; stop it, then start the test again."
        )
    obstacle = next(_obstacles_to_any_command(turn), None)
    if obstacle is not None:
        return Answer(False, obstacle.code, obstacle.text)
    heard = second_master(turn.config.foreign_requests)
    if heard is not None:
        return Answer(False, "second_master", heard.words)
    full = request.kind is RequestKind.COMMISSION_FULL
    test = commissioning.begin(turn.now_s, request.by, turn.config.path_identity, full=full)
    turn.set(commissioning=test)
    then = "then a stronger power, twice; up to ten minutes" if full else "about a minute longer"
    return Answer(
        True,
        "accepted",
        f"The test writes {commissioning.TEST_POWER_W} W for "
        f"{commissioning.duration_s(turn.config.path)} s and watches it end by itself; {then}.",
    )


def _obstacles_to_any_command(turn: Turn) -> Iterator[Reason]:
    state, config = turn.state, turn.config
    if config.rival:
        yield Reason("second_controller", config.rival)
    if state.hold is not None and state.hold.kind is HoldKind.SAFETY:
        yield Reason("latched", f"{state.hold.reason.text} Acknowledge it first.")
    if config.export_limit_w is None:
        yield Reason(
            "export_limit_unset",
            "The export limit of the connection point is not set. Set export_limit_w first, for "
            "example 3680 W.",
        )
    yield from state.lost
    if state.handover is not None:
        yield state.handover.reason(turn.now_s)
    if state.adopting or state.good_samples < SAMPLES_BEFORE_COMMAND:
        yield Reason(
            "waiting_for_samples",
            "Two fresh consistent samples are needed first; try again in a moment.",
        )


def blockers(turn: Turn, purpose: Purpose) -> Iterator[Reason]:
    """Yield everything that stands in the way of a start now, worst first."""
    state, config = turn.state, turn.config
    yield from _mode(state, config)
    yield from _obstacles_to_any_command(turn)
    if state.foreign is not None and state.foreign.announced:
        yield Reason(
            "foreign_controller",
            f"Somebody else runs the battery at {state.foreign.power_w:.0f} W. End that first.",
        )
    if state.commissioning.busy:
        yield Reason("commissioning", "The commissioning test is running; wait for its end.")
    if state.wish is not None and state.wish.purpose not in (purpose, *RESTS):
        yield Reason(
            f"{state.wish.purpose.value}_active",
            f"A {state.wish.purpose.value} is under way; stop it first. The two exclude each "
            "other.",
        )
    retry_s = state.breaker.retry_in_s(turn.now_s, config.breaker_failures, config.breaker_pause_s)
    if retry_s > 0:
        yield Reason(
            "breaker_open",
            f"{state.breaker.failures} failures in a row; new operations wait another "
            f"{retry_s:.0f} s.",
        )
    if purpose is Purpose.DISCHARGE:
        yield from _discharge(turn)
    elif (
        purpose is Purpose.CHARGE
        and (turn.look.sample.soc_percent.value or 0.0) >= config.charge_target_soc_percent
    ):
        yield Reason("battery_full", "The battery has reached its charge target.")


def _mode(state: GuardState, config: GuardConfig) -> Iterator[Reason]:
    if config.mode is Mode.OBSERVE:
        yield Reason("observe_mode", "The agent only observes. Set mode to control first.")
    test = state.commissioning
    if test.passed_for(config.path_identity) and test.outdated_by(config.firmware):
        yield firmware_changed(test.firmware, config.firmware)
    elif not test.passed_for(config.path_identity):
        yield Reason(
            "not_commissioned",
            "The commissioning test has not passed for this path and these inputs. Run it first.",
        )


def firmware_changed(before: str, now: str) -> Reason:
    """Return why an inverter with another firmware has to be tested again."""
    return Reason(
        "firmware_changed",
        f"The inverter runs firmware {now}, and the commissioning test was passed with {before}. "
        "Run the test again: what its timer does may have changed.",
    )


def _discharge(turn: Turn) -> Iterator[Reason]:
    if turn.config.target_export_w <= 0:
        yield Reason(
            "target_is_zero",
            "The wanted export (target_export_w) is 0 W, so there is nothing to discharge for. "
            "Set it, for example to 3000 W.",
        )
    obstacle = soc_obstacle(turn)
    if obstacle is not None:
        yield obstacle
    if not turn.state.ledger.known:
        yield Reason("counters_unknown", "The day's energy counters have not been read yet.")
        return
    left_wh = max(0.0, turn.left_wh())
    used_up = turn.state.completed is not None and turn.state.completed.code == "allowance_used"
    least_w, net_w = turn.config.path.min_discharge_w, turn.state.net.newest_w or 0.0
    wanted_w = max(least_w, turn.config.target_export_w + net_w)
    lease = turn.affordable(least_w) and turn.affordable(wanted_w)
    if lease is None or not lets_out(turn, lease, wanted_w):
        yield Reason(
            "allowance_used",
            f"{left_wh:.0f} Wh are left of the day's allowance until midnight: "
            "not enough for the shortest discharge at its worst.",
        )
    elif used_up and left_wh < again_from_wh(turn):
        yield Reason(
            "allowance_used",
            f"The day's allowance was used up; {left_wh:.0f} Wh are there again, and a discharge "
            f"begins again from {again_from_wh(turn):.0f} Wh on.",
        )


def lets_out(turn: Turn, lease: Lease, wanted_w: float) -> bool:
    """
    Return False for a lease so weak, for want of allowance, that the house would draw all of it.

    The battery feeds the house without being told. The lease would let nothing out and cost its
    worst case all the same, until a tick of the counter that may never come.
    """
    net_w = turn.state.net.newest_w or 0.0
    path = turn.config.path
    most_w = whole_steps_w(min(wanted_w, path.max_discharge_w), path)
    return lease.power_w >= most_w or lease.power_w > net_w + _LETS_OUT_W


def again_from_wh(turn: Turn) -> float:
    """Return what has to be left of an allowance that was used up before a discharge begins, Wh."""
    if turn.pv_bound_w() > 0.0:
        return _AGAIN_FROM_WH
    path = turn.config.path
    shortest_wh = worst_case_wh(_AGAIN_W * turn.gain, path.shortest_lease_s, path)
    return min(_AGAIN_FROM_WH, shortest_wh)


def reserve_reached(turn: Turn) -> bool | None:
    """Return whether the observed reserve forbids a discharge; `None` when that is not known."""
    if not turn.config.observe_reserve_soc:
        return False
    reserve, soc = turn.look.sample.reserve_soc_percent, turn.look.sample.soc_percent
    if not reserve.good or reserve.value is None or not soc.good or soc.value is None:
        return None
    return soc.value <= reserve.value + CUTOFF_ABOVE_FLOOR_PERCENT


def soc_obstacle(turn: Turn, above_percent: float = CUTOFF_ABOVE_FLOOR_PERCENT) -> Reason | None:
    """Return why the state of charge forbids a discharge, if it is no further above the floor."""
    floor = turn.floor_percent()
    soc = turn.look.sample.soc_percent.value
    if floor is None:
        reserve = turn.look.sample.reserve_soc_percent
        return Reason(
            "reserve_unknown",
            f"The observed reserve is not known: {reserve.detail or reserve.source}.",
            reserve.source,
        )
    if soc is None or soc > floor + above_percent:
        return None
    kind = "reserve" if floor > turn.config.min_soc_percent else "minimum"
    return Reason(
        f"soc_at_{kind}",
        f"The battery is at {soc:.1f} %, and the {kind} to keep is {floor:.0f} %.",
        turn.look.sample.soc_percent.source,
    )


def cost_obstacle(turn: Turn, power_w: float, duration_s: float) -> Reason | None:
    """
    Return why the day cannot pay for a commissioning test of this power and length.

    The safety margin is not asked for: a test must be possible on a day whose sun has not made up
    for the margin yet, and what it lets out is known to the watt-hour.
    """
    path, sun_w = turn.config.path, turn.pv_bound_w()
    older_wh = still_open(turn.state.commitments, path, turn.now_s, sun_w).worst_wh(sun_w)
    cost_wh = worst_case_wh(power_w * path.gain + sun_w, duration_s, path) + older_wh
    left_wh = max(0.0, turn.granted_left_wh())
    if cost_wh <= left_wh:
        return None
    return Reason(
        "allowance_used",
        f"The test may let out {cost_wh:.0f} Wh, and {left_wh:.0f} Wh may still be exported today. "
        "Run it again when the sun has produced more.",
    )
