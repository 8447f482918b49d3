"""
Takes in one sample: the energy account, the freshness of every input, the net load.

Runs first in every look, whatever else happens: protection does not depend on anything that
comes later.
"""

from __future__ import annotations

from agent.export import agreement, day_clock, freshness, gain, limiter, plausible, resting
from agent.export import commitments as com
from agent.export.agreement import Agreement
from agent.export.lease import SECONDS_PER_HOUR
from agent.export.ledger import Flow, Ledger, advance
from agent.export.plausible import CONTRADICTED
from agent.export.replacing import quick
from agent.export.snapshot import ErrorState, Reason
from agent.export.states import HoldKind
from agent.export.turn import DARK_W, Turn

SAMPLES_BEFORE_COMMAND = 2
_BREAKER_EVERY_S = 10.0
_flow = quick(Flow)
_DELIVERED_AFTER_S = 10.0
"""After a power has settled for the limiter, an inverter with 4 s of lag still creeps on."""


def take_in(turn: Turn) -> None:
    """Bring ledger, freshness, net load and breach up to this moment."""
    _hand_over(turn)
    sample, state = turn.look.sample, turn.state
    turn.set(day_clock=day_clock.watch(state.day_clock, turn.look.now))
    ledger, told = _account(turn)
    still = freshness.watch_stillness(
        state.still,
        sample.battery_w,
        state.lost,
        turn.now_s,
        dispatching=bool(state.commitments),
    )
    limits = turn.config.thresholds
    rules = plausible.watch(
        state.plausible,
        sample,
        limits.battery_capacity_wh,
        turn.now_s,
        dispatching=bool(state.commitments),
    )
    soc = freshness.watch_soc(state.soc, sample, turn.now_s, believed=rules.balanced)
    turn.set(ledger=ledger, agreement=told, soc=soc, still=still, plausible=rules)
    lost = freshness.problems(sample, ledger, soc, still, limits, turn.now_s)
    if sample.linked:
        lost = (*lost, *plausible.contradictions(rules, sample, turn.now_s))
        lost = (*lost, *_silent_readback(turn))
    lost = (*lost, *agreement.disagreement(turn.state.agreement, sample.exported_wh.source))
    lost = (*lost, *day_clock.doubts(turn.state.day_clock, turn.look.now))
    _note_changes(turn, lost)
    _count_samples(turn, bool(lost))
    _observe_net_load(turn)
    _learn_gain(turn)
    _check_breach(turn)


def _hand_over(turn: Turn) -> None:
    """Note the path in use, and when nothing of the one before can run any more."""
    turn.set(path=turn.config.path)
    handover = turn.state.handover
    if handover is not None and handover.over(turn.state.commitments, turn.now_s):
        turn.set(handover=None)
        turn.say("path_taken_over", f"Nothing of the path {handover.before} can run any more.")


def _silent_readback(turn: Turn) -> tuple[Reason, ...]:
    """Return what is wrong with the read-back of a lease; a test is written once and waits."""
    state, path = turn.state, turn.config.path
    if not state.commitments or state.commissioning.busy:
        return ()
    newest = state.commitments[-1]
    renewed_s = path.renew_after_s
    if newest.purpose in com.RESTS:
        renewed_s = max(renewed_s, resting.renewal_s(turn, newest) - newest.sent_s)
    limit_s = renewed_s + path.verify_s
    return freshness.silent_readback(turn.look.sample.dispatch, state.still, limit_s, turn.now_s)


def _account(turn: Turn) -> tuple[Ledger, Agreement]:
    """Return the ledger with what may have flowed, and how far counter and power agree."""
    sample, config = turn.look.sample, turn.config
    # A meter that stands still where it should move would be charged for hours.
    doubted = "grid_power" in turn.state.still.doubted
    grid_w = None if doubted else turn.usable(sample.grid_w)
    worst_w = com.exposure_w(turn.state.commitments, turn.gain)
    if turn.state.handover is not None:
        worst_w = max(worst_w, turn.state.handover.worst_w)
    if turn.state.foreign is not None:
        worst_w = max(worst_w, turn.state.foreign.power_w)
    if worst_w > 0 or any(c.lets_out for c in turn.state.commitments):
        worst_w += turn.pv_bound_w()
    before = turn.state.ledger
    exported_w = None if grid_w is None else max(0.0, -grid_w)
    sure_w, still_w = _sure_sun_w(turn)
    ledger = advance(
        before,
        day_clock.believed(turn.state.day_clock, turn.look.now),
        (sample.exported_wh, sample.produced_wh),
        (config.exported_rules, config.produced_rules),
        _flow(
            exported_w=exported_w,
            produced_w=turn.sun_w(),
            worst_w=worst_w,
            sure_produced_w=sure_w,
            still_produced_w=still_w,
        ),
    )
    hours = (turn.now_s - before.at_s) / SECONDS_PER_HOUR
    believed_w = exported_w if turn.state.plausible.balanced else None
    told = agreement.watch(turn.state.agreement, (before, ledger), believed_w, hours)
    if ledger.day != before.day:
        turn.set(breach=False, completed=None)
        turn.say(
            "new_day",
            f"The account of {before.day} is closed; {ledger.day} begins.",
            exported_wh=before.exported_wh,
            produced_wh=before.produced_wh,
        )
    return ledger, told


def _sure_sun_w(turn: Turn) -> tuple[float, float]:
    """
    Return the PV power of a meter that moves, and that of one that stands still.

    Sun never stands still, a frozen register does; in the dusk a live meter may for a while.
    """
    reading, pv_w = turn.look.sample.pv_w, turn.usable(turn.look.sample.pv_w)
    if pv_w is None or pv_w <= 0.0:
        return 0.0, 0.0
    still_s = turn.now_s - reading.changed_s
    if still_s > turn.config.thresholds.stale_after_s:
        return 0.0, pv_w
    return (pv_w, 0.0) if pv_w > DARK_W else (0.0, 0.0)


def _note_changes(turn: Turn, lost: tuple[Reason, ...]) -> None:
    before = {reason.code for reason in turn.state.lost}
    for reason in lost:
        if reason.code not in before:
            turn.say("input_lost", reason.text, code=reason.code, source=reason.source)
    if before and not lost:
        turn.say("inputs_back", "All inputs are good again.")
    turn.set(lost=lost)


def _count_samples(turn: Turn, bad: bool) -> None:
    """Count fresh consistent samples in a row, and failures for the breaker."""
    state, sample = turn.state, turn.look.sample
    if bad:
        since = state.inputs_bad_s
        if since is None or turn.now_s - since >= _BREAKER_EVERY_S:
            turn.set(inputs_bad_s=turn.now_s)
            turn.breaker_failed()
        turn.set(good_samples=0)
        return
    key = (sample.grid_w.vouched_s, turn.battery_s)
    if key[0] > state.sample_key[0] and key[1] > state.sample_key[1]:
        turn.set(sample_key=key, good_samples=state.good_samples + 1)
    if state.inputs_bad_s is not None and turn.state.good_samples >= SAMPLES_BEFORE_COMMAND:
        turn.set(inputs_bad_s=None, breaker=state.breaker.succeeded())
        told = state.error_reason is not None and state.error_reason.code == CONTRADICTED
        if state.error in _INPUT_ERRORS and not told:
            turn.set(error=ErrorState.NONE, error_reason=None)


_INPUT_ERRORS = frozenset(
    {
        ErrorState.LOST_INPUT,
        ErrorState.SOC_READ_FAILED,
        ErrorState.STALE_DATA,
        ErrorState.NO_DATA,
    }
)


def _observe_net_load(turn: Turn) -> None:
    sample = turn.look.sample
    grid_w, battery_w = turn.usable(sample.grid_w), turn.battery_w()
    if grid_w is None or battery_w is None or not turn.state.plausible.balanced:
        return
    power = limiter.PowerSample(grid_w, sample.grid_w.vouched_s, battery_w, turn.battery_s)
    told_w = turn.settled_w() * turn.power_gain
    turn.set(net=limiter.observe(turn.state.net, power, turn.state.settled_s, turn.now_s, told_w))


def _learn_gain(turn: Turn) -> None:
    """Learn from a discharge whose power has stood long enough to be delivered."""
    state = turn.state
    leases = state.commitments
    if not turn.config.path.learns_gain or not leases or state.lost:
        return
    power_w = leases[-1].block.power_w
    settled_s = state.settled_s + _DELIVERED_AFTER_S
    steady = leases[0].confirmed_s is not None and leases[0].block.power_w == power_w
    if not steady or turn.look.sample.battery_w.vouched_s < settled_s:
        return
    battery_w = turn.battery_w()
    if battery_w is not None:
        turn.set(gain=gain.learn(state.gain, power_w, battery_w, turn.battery_s))


def _check_breach(turn: Turn) -> None:
    """Stop for good when more left the house than was produced and granted."""
    state, config = turn.state, turn.config
    # A rest that was written in the dark lets nothing out, so nothing is its fault.
    leased = any(c.lets_out and c.worst_case_wh > 0 for c in state.commitments)
    if state.breach or not leased or not state.ledger.known:
        return
    broken = next((account for account in turn.accounts() if account.breached), None)
    if broken is None:
        return
    turn.set(breach=True)
    granted_wh = broken.allowed_wh + config.allowance.safety_margin_wh
    over_wh = broken.exported_wh - granted_wh
    turn.begin_stop(
        Reason(
            "over_export",
            f"{broken.exported_wh / 1000:.2f} kWh were exported, {over_wh:.0f} Wh more than "
            "produced and granted. The discharge was stopped; look at the journal before you "
            "acknowledge.",
        ),
        hold=HoldKind.SAFETY,
        error=ErrorState.OVER_EXPORT,
    )
