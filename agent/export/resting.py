"""
Lets the battery rest: what is stored, or the room for later sun, is kept for a better hour.

A rest is a dispatch of 0 W, or of the charge that the plan leaves to the battery, by a lease like
every command. It lets nothing out of the battery, but sun that the battery does not take leaves
the house. So a rest ends as soon as sun comes that the plan has not reckoned with, as the export
comes near the limit, and as the day can no longer pay for the sun that may leave meanwhile: the
inverter's own control then takes the sun again. Should the agent die, the house buys for a few
minutes what the battery could have given; in the dark nothing leaves it.

Source: control.md 4.7 (what the planner gains by it); export_monitor.md 4.4 (Excess Export) and
4.5 (mode 2 with power 0: the battery idles).
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.export import asks
from agent.export.commitments import Commitment, Purpose, Seen
from agent.export.lease import SECONDS_PER_HOUR, Lease, whole_steps_w, worst_case_wh
from agent.export.limiter import GUARD_BAND_W
from agent.export.pricing import still_open
from agent.export.snapshot import Reason
from agent.export.states import Wish
from agent.export.turn import Turn

DARK_LEASE_S = 900
"""In the dark a rest lets nothing out, whoever dies: the longest time that a dispatch may be
written for, so that it costs the fewest writes. At worst a house of 2 kW buys half a kWh that its
battery could have given. By day a rest is as long as any lease of its path."""
CUTOFF_PERCENT = 100.0
"""Written with 0 W, as the package's own Excess Export does: it would stop any discharge."""
_RENEW_SHARE = 2 / 3
"""A rest that lapses for a moment harms nobody, so it need not be renewed early."""
_SUN_W = 50.0
"""So much export is sun and no longer the meter's noise."""
_CLOUD_W = 100.0
"""Import at which the sun no longer gives what the plan stores of it."""
_FOLLOW_W = 300.0
"""A share of the sun that the plan has changed by less waits for the next renewal."""
_AGAIN = 2.0
"""So many guard bands below the limit a rest begins again."""


def obstacle(turn: Turn, purpose: Purpose, stores_w: float) -> Reason | None:
    """
    Return why a rest may not begin now.

    Args:
        turn: the look.
        purpose: rest, or share of the sun.
        stores_w: charge that is left to the battery.
    """
    net_w, lowest_w = turn.state.net.newest_w, turn.state.net.lowest_w
    if net_w is None or lowest_w is None:
        return Reason("rest_unknown", "What the house draws is not known yet; the rest waits.")
    limit_w = turn.config.export_limit_w or 0.0
    found = _forbidden(turn, purpose)
    if found is None:
        found = in_the_way(purpose, stores_w, Surplus(-net_w, -lowest_w), limit_w)
    if found is None and lease(turn, stores_w) is None:
        found = unpaid(turn)
    return found


@dataclass(frozen=True, slots=True)
class Surplus:
    """Sun beyond what the house draws, in W; negative when the house needs more."""

    now_w: float
    strongest_w: float
    """Of the last ten minutes."""


def in_the_way(
    purpose: Purpose, stores_w: float, surplus: Surplus, limit_w: float
) -> Reason | None:
    """
    Return what the sun has against a rest that is to begin.

    Where too much sun is in the way the strongest of the last ten minutes counts, so that a sun
    that comes and goes does not start and stop it.

    Args:
        purpose: rest, or share of the sun.
        stores_w: charge that is left to the battery.
        surplus: of the sun.
        limit_w: export limit.
    """
    if purpose is Purpose.REST and surplus.strongest_w > 0:
        return _sun()
    if purpose is Purpose.SHARE_SUN and surplus.now_w < stores_w + _CLOUD_W:
        return _cloud()
    if surplus.strongest_w - stores_w > max(0.0, limit_w - _AGAIN * GUARD_BAND_W):
        return _near_limit(limit_w)
    return None


def over(turn: Turn, wish: Wish) -> Reason | None:
    """Return why a rest that runs has to end now; `None` while it may go on."""
    grid_w = turn.look.sample.grid_w.value or 0.0
    limit_w = turn.config.export_limit_w or 0.0
    if -grid_w > max(_SUN_W, limit_w - GUARD_BAND_W):
        return _near_limit(limit_w)
    if wish.purpose is Purpose.REST and grid_w < -_SUN_W:
        return _sun()
    found = _forbidden(turn, wish.purpose)
    if found is not None:
        return found
    shown = any(c.confirmed_s is not None for c in turn.state.commitments)
    if wish.purpose is Purpose.SHARE_SUN and shown and grid_w > _CLOUD_W:
        return _cloud()
    sun_w = turn.pv_bound_w()
    if sun_w > 0:
        path = turn.config.path
        older = still_open(turn.state.commitments, path, turn.now_s, sun_w)
        if older.worst_wh(sun_w) > turn.left_wh():
            return unpaid(turn)
    return None


def lease(turn: Turn, stores_w: float) -> Lease | None:
    """
    Return the longest rest that the day pays for; `None` when it pays for none.

    In the dark it costs nothing. While the sun shines all that the sun can be meanwhile is paid
    for, and until a new command has taken hold, the old one may still run.
    """
    path, sun_w = turn.config.path, turn.pv_bound_w()
    power_w = -whole_steps_w(stores_w, path)
    if sun_w <= 0:
        return Lease(power_w, DARK_LEASE_S, 0.0)
    around_s = path.command_delay_s + path.exit_lag_s
    older = still_open(turn.state.commitments, path, turn.now_s, sun_w)
    left_wh = turn.left_wh() - older.doubtful_wh - older.power_w * older.for_s / SECONDS_PER_HOUR
    paid_s = left_wh * SECONDS_PER_HOUR / sun_w
    longest_s = min(path.lease_s, int(min(paid_s, turn.day_left_s()) - around_s))
    longest_s -= longest_s % path.duration_step_s
    if longest_s < path.shortest_lease_s or older.for_s > paid_s:
        return None
    worst_wh = sun_w * max(older.for_s, longest_s + around_s) / SECONDS_PER_HOUR
    return Lease(power_w, longest_s, max(worst_wh, worst_case_wh(sun_w, longest_s, path)))


def end(turn: Turn, reason: Reason) -> None:
    """End a rest; the plan begins it again when nothing is in its way."""
    state = turn.state
    if not state.commitments and state.stopping is None and turn.seen.seen is Seen.IDLE:
        # It was pausing: nothing runs that would have to be stopped.
        turn.set(wish=None)
        turn.did("stop", reason, "guard")
        return
    turn.begin_stop(reason)


def renewal_s(turn: Turn, newest: Commitment) -> float:
    """Return when a rest is to be written again, monotonic."""
    path = turn.config.path
    due_s = newest.sent_s + newest.block.duration_s * _RENEW_SHARE
    by_day = turn.pv_bound_w() > 0 and newest.block.duration_s > path.lease_s
    if by_day or newest.confirmed_s is None:
        # The sun has risen; or the command is lost, and the next renewal is far.
        due_s = min(due_s, newest.sent_s + path.verify_s)
    return due_s


def due(turn: Turn, newest: Commitment, stores_w: float) -> bool:
    """Return True when a running rest has to be written again."""
    moved_w = abs(newest.block.power_w + stores_w)
    return turn.now_s >= renewal_s(turn, newest) or moved_w > _FOLLOW_W


def unpaid(turn: Turn) -> Reason:
    """Return that the day does not pay for the sun that a rest might let out."""
    return Reason(
        "rest_unpaid",
        f"{max(0.0, turn.left_wh()):.0f} Wh are left of the day's allowance: less than the sun "
        "might let out while the battery rests.",
    )


def _forbidden(turn: Turn, purpose: Purpose) -> Reason | None:
    """Return what forbids that sun is let out: the reserve is filled first."""
    if purpose is Purpose.REST:
        return None
    if turn.config.target_export_w <= 0:
        return Reason("target_is_zero", "The wanted export is 0 W: the battery takes the sun.")
    return asks.soc_obstacle(turn)


def _sun() -> Reason:
    text = "The sun gives more than the house draws: the battery takes it, and rests again later."
    return Reason("rest_sun", text)


def _cloud() -> Reason:
    text = "The sun gives no more than the plan stores of it: the battery is on its own meanwhile."
    return Reason("rest_cloud", text)


def _near_limit(limit_w: float) -> Reason:
    text = f"The sun alone comes near the export limit of {limit_w:.0f} W: the battery takes it."
    return Reason("rest_limit", text)
