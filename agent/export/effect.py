"""
Sees whether the battery does what the inverter's registers show.

Registers alone prove nothing: a full or empty battery, a fault or another controller leaves them as
they are. What is off for longer than a battery takes to follow ends the wish.

Source: ARCHITECTURE, rules (one owner); control.md T10; D-22.
"""

from __future__ import annotations

from agent.export import commitments as com
from agent.export.asks import soc_obstacle
from agent.export.commitments import Commitment, Purpose
from agent.export.replies import start_failed
from agent.export.snapshot import Reason
from agent.export.turn import Turn

_WEAK_SHARE = 0.5
_STRONG_SHARE = 1.25
_STRONG_W = 300.0
_OFF_FOR_S = 20.0
_RESTING_W = 120.0
"""A battery that rests may be off by so much: its meter's noise, and the inverter's own needs."""
_OWN_CUTOFF_PERCENT = 3.5
"""So far above the floor an inverter may end by itself: one above it is written, its scale is 2 %
of the value off (0.4 or 0.392 per bit), and its own measure of charge half a percent."""


def see(turn: Turn) -> None:
    """A confirmed lease has to show in the battery power too."""
    state = turn.state
    shown = [c for c in state.commitments if c.confirmed_s is not None]
    if not shown or shown[-1].purpose is Purpose.COMMISSIONING or state.stopping is not None:
        turn.set(weak_since_s=None)
        return
    battery_w = turn.battery_w()
    if battery_w is None or turn.now_s < state.settled_s:
        return
    lease = shown[-1]
    if not _off_too_long(turn, _follows(lease, battery_w)):
        return
    if lease.purpose in com.RESTS:
        _rest_failed(turn, lease.block.power_w, battery_w)
    else:
        _failed(turn, lease, battery_w)


def _follows(lease: Commitment, battery_w: float) -> bool:
    """Return True for a battery power that fits what the registers show."""
    wanted_w = lease.block.power_w
    if lease.purpose in com.RESTS:
        # A full battery takes less than it was left, which is as good.
        return wanted_w - _STRONG_W <= battery_w <= _RESTING_W
    too_strong = _share(lease, battery_w) > _STRONG_SHARE and abs(battery_w - wanted_w) > _STRONG_W
    return not _weak(lease, battery_w) and not too_strong


def _share(lease: Commitment, battery_w: float) -> float:
    return battery_w / lease.block.power_w if lease.block.power_w else 1.0


def _weak(lease: Commitment, battery_w: float) -> bool:
    return _share(lease, battery_w) < _WEAK_SHARE


def _off_too_long(turn: Turn, follows: bool) -> bool:
    """Note since when the battery does not follow; True when that is too long."""
    if follows:
        turn.set(weak_since_s=None)
        return False
    before_s = turn.state.weak_since_s
    since_s = turn.now_s if before_s is None else before_s
    turn.set(weak_since_s=since_s)
    return turn.now_s - since_s > _OFF_FOR_S + turn.config.path.exit_lag_s


def _failed(turn: Turn, lease: Commitment, battery_w: float) -> None:
    """End what has no effect; a battery that was at its end is no failure."""
    ended = soc_obstacle(turn, _OWN_CUTOFF_PERCENT)
    if lease.purpose is Purpose.DISCHARGE and _weak(lease, battery_w) and ended is not None:
        turn.complete(ended)
        return
    text = (
        f"The registers show {lease.block.power_w} W, but the battery delivers {battery_w:.0f} W "
        "(a full or empty battery, a fault, or another controller)."
    )
    start_failed(turn, Reason("no_effect", text))


def _rest_failed(turn: Turn, wanted_w: int, battery_w: float) -> None:
    """End a rest in which the battery goes on; to the plan that is no failure of the inverter."""
    text = (
        f"The registers show {wanted_w} W, and the battery goes on at {battery_w:.0f} W: this "
        "inverter does not let it rest. The plan tries again at the next window; switch "
        "enable_rest off if it never does."
    )
    turn.say("rest_failed", text, power_w=wanted_w, battery_w=battery_w)
    turn.begin_stop(Reason("rest_no_effect", text))
