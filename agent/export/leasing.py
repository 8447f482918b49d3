"""
Turns a wish into leases, one at a time, while everything that it rests on is good.

A lease is renewed only while every input is fresh and every check passes; what is left of the
allowance pays for it in advance, at worst.

Source: ARCHITECTURE, rules (energy); control.md 4.2; defects D-01, D-02, D-19, D-20.
"""

from __future__ import annotations

import math
from dataclasses import replace

from agent.export import audit, resting
from agent.export import commitments as com
from agent.export.asks import CUTOFF_ABOVE_FLOOR_PERCENT, lets_out
from agent.export.commitments import Commitment, Purpose
from agent.export.following import charge_w, target_export_w
from agent.export.inputs import SAMPLES_BEFORE_COMMAND
from agent.export.lease import Lease, next_duration_s, whole_steps_w
from agent.export.limiter import PowerRule, cap_w, discharge_power_w
from agent.export.snapshot import Reason
from agent.export.states import HoldKind, Wish
from agent.export.turn import Turn
from agent.house.alphaess import DispatchBlock

_REDUCE_W = 50.0
_FOLLOW_S = 20.0
"""Longest that the export stays above what is wanted, below the limit."""
_RESTART = 1.2
"""A pause ends only when clearly more than the useful minimum could flow."""
_LATER_S = 20.0
"""A renewal that can wait comes after so long at the latest."""
_LONG_S = 45.0
"""A lease of this time outlives a renewal that comes later, and one more should that be lost."""
_DURATIONS = 8
"""Successive leases differ in their last seconds, so that the register proves each renewal."""


def keep_lease(turn: Turn) -> None:
    """Start, renew or reduce the dispatch that the wish wants, if everything allows it."""
    wish = turn.state.wish
    if wish is None or not _may_lease(turn):
        return
    newest = turn.state.commitments[-1] if turn.state.commitments else None
    if newest is None and not turn.state.plausible.balanced:
        return  # Nothing begins on powers that cannot be; in a ramp they fit again in seconds.
    since_s = turn.now_s - newest.sent_s if newest else None
    if wish.purpose is Purpose.CHARGE:
        _charge(turn, since_s)
    elif wish.purpose in com.RESTS:
        _rest(turn, wish, newest)
    else:
        _discharge(turn, newest, since_s)


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


def _charge(turn: Turn, since_s: float | None) -> None:
    """Start or renew a charge; it lets nothing out, so nothing has to be paid for."""
    path = turn.config.path
    if since_s is None or since_s >= path.renew_after_s:
        lease = Lease(-charge_w(turn), path.lease_s, 0.0)
        _send(turn, Purpose.CHARGE, lease, turn.config.charge_target_soc_percent)


def _rest(turn: Turn, wish: Wish, newest: Commitment | None) -> None:
    """Start a rest, or renew it; what may leave meanwhile is the sun's, and is paid for."""
    stores_w = wish.power_w or 0.0
    if waits_for_writes(turn) is not None:
        return
    if newest is not None and not resting.due(turn, newest, stores_w):
        return
    unfit = resting.obstacle(turn, wish.purpose, stores_w) if newest is None else None
    lease = resting.lease(turn, stores_w)
    if unfit is not None or lease is None:
        resting.end(turn, unfit or resting.unpaid(turn))
    else:
        _send(turn, wish.purpose, lease, resting.CUTOFF_PERCENT)


def _discharge(turn: Turn, newest: Commitment | None, since_s: float | None) -> None:
    """Start, renew or reduce a discharge, as far as the allowance pays for it."""
    path = turn.config.path
    if newest is not None and not turn.state.net.buckets:
        # Just adopted: what the house draws is not known yet, and no reason to interrupt.
        return
    if waits_for_writes(turn) is not None:
        return
    power_w = _power(turn)
    if power_w < path.min_discharge_w * (1.0 if newest else _RESTART):
        if newest is not None:
            _pause(turn, power_w)
        return
    unseen = _unseen(turn)
    if not unseen and not _due(turn, newest, since_s, power_w):
        return
    lease = turn.affordable(power_w)
    if lease is None or not lets_out(turn, lease, power_w):
        turn.complete(
            Reason(
                "allowance_used",
                f"The day's allowance is used: {max(0.0, turn.left_wh()):.0f} Wh are left until "
                "midnight, less than the next lease could let out at worst.",
            )
        )
        return
    if unseen and newest is not None and lease.power_w == newest.block.power_w:
        # The slider stands there already, and only a change is written.
        weaker_w = lease.power_w - path.power_step_w
        if weaker_w >= path.min_discharge_w:
            lease = replace(lease, power_w=weaker_w)
    _send(turn, Purpose.DISCHARGE, lease, cutoff_percent(turn))


def renewal_s(turn: Turn, lease: Commitment) -> float:
    """Return when a lease is to be renewed, monotonic: a little later when it can well wait."""
    if lease.purpose in com.RESTS:
        return resting.renewal_s(turn, lease)
    due_s = lease.sent_s + turn.config.path.renew_after_s
    shown = lease.confirmed_s is not None
    if lease.block.power_w <= 0 or lease.block.duration_s < _LONG_S or not shown:
        return due_s
    return max(due_s, min(turn.state.pace.even_s, lease.sent_s + _LATER_S))


def waits_for_writes(turn: Turn) -> Reason | None:
    """Return why what does not run waits with its start; `None` when it need not."""
    wish, leases = turn.state.wish, turn.state.commitments
    if wish is None or wish.purpose is Purpose.CHARGE:
        return None
    if (wish.tried_s is not None and leases) or any(c.confirmed_s is not None for c in leases):
        return None
    wait_s = turn.state.pace.wait_s(turn.now_s)
    if wait_s <= 0.0:
        return None
    text = (
        "It was interrupted so often of late that the inverter is spared the next commands for "
        f"another {wait_s:.0f} s."
    )
    if wish.purpose is Purpose.DISCHARGE:
        text += " Press start to go on at once."
    return Reason("writes_spared", text)


def _unseen(turn: Turn) -> bool:
    """Return True when the package seems to have dropped a change of its helpers."""
    if not turn.config.path.has_toggle:
        return False
    unseen_s = com.unseen_for_s(turn.state.commitments, turn.now_s)
    return unseen_s > 2 * turn.config.readback_poll_s


def _due(turn: Turn, newest: Commitment | None, since_s: float | None, power_w: float) -> bool:
    """Return True when a lease has to be written now: the first, a renewal, or a reduction."""
    path = turn.config.path
    if newest is None or since_s is None or turn.now_s >= renewal_s(turn, newest):
        return True
    grid_w, limit_w = turn.look.sample.grid_w.value or 0.0, turn.config.export_limit_w or 0.0
    if -grid_w > limit_w and newest.confirmed_s is None and since_s >= path.repeat_after_s:
        return True  # The reduction is lost, and the next renewal is too far.
    if power_w >= newest.block.power_w - _REDUCE_W or since_s < path.reduce_every_s:
        return False
    # Only the limit is in a hurry. More export than wanted has been paid for, and to follow every
    # kettle would cost a write each time.
    beyond = newest.block.power_w > cap_w(_rule(turn), turn.state.net.lowest_w) + _REDUCE_W
    return beyond or -grid_w > limit_w or since_s >= _FOLLOW_S


def cutoff_percent(turn: Turn) -> float:
    """Return the cut-off of a discharge: a little above the floor, as the path can write it."""
    floor = turn.floor_percent() or turn.config.min_soc_percent
    step = turn.config.path.cutoff_step_percent
    above = floor + CUTOFF_ABOVE_FLOOR_PERCENT
    return min(100.0, math.ceil(above / step) * step if step else above)


def _power(turn: Turn) -> float:
    """Return the battery power that limit, target and house allow now."""
    state, sample = turn.state, turn.look.sample
    last_w = max((c.block.power_w for c in state.commitments), default=0)
    power_w = discharge_power_w(
        _rule(turn),
        state.net,
        sample.grid_w.value or 0.0,
        # More than is delivered cannot be taken off a command: a strong inverter would stay above.
        min(sample.battery_w.value or 0.0, turn.settled_w()),
        last_w,
        turn.now_s - state.raised_s,
    )
    newest = state.commitments[-1] if state.commitments else None
    if newest is not None and state.net.newest_s < newest.sent_s:
        # A load that has gone off shows first as an excess, and only later as a net load: to
        # believe the old one meanwhile would take back the reduction.
        return min(power_w, float(newest.block.power_w))
    return power_w


def _rule(turn: Turn) -> PowerRule:
    config = turn.config
    return PowerRule(
        config.export_limit_w or 0.0,
        target_export_w(turn),
        config.path.max_discharge_w,
        turn.power_gain,
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
    path = turn.config.path
    if path.duration_step_s > 1:
        running = [c.block.duration_s for c in turn.state.commitments]
        duration_s = next_duration_s(lease.duration_s, running, path)
    else:
        duration_s = lease.duration_s - number % _DURATIONS
    power_w = int(whole_steps_w(lease.power_w, path))
    block = DispatchBlock(True, power_w, cutoff_percent, duration_s)
    last_w = max((c.block.power_w for c in turn.state.commitments), default=0)
    if block.power_w > last_w:
        turn.set(raised_s=turn.now_s)
    commitment = Commitment(
        number, purpose, block, lease.worst_case_wh, turn.now_s, turn.look.now.local
    )
    older = turn.state.commitments
    first = not older
    wish = turn.state.wish
    if wish is not None and wish.tried_s is None:
        turn.set(wish=replace(wish, tried_s=turn.now_s))
    turn.set(commitments=(*older, commitment))
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
        produced_wh=turn.state.ledger.produced_wh,
        **audit.of_worst_case(lease.worst_case_wh, duration_s, path, older, turn.pv_bound_w()),
        **audit.of_readback(older, turn.look.sample),
    )
    turn.write(number, block, purpose.value)
