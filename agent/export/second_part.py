"""
The full test's second dispatch: strong enough to move the export counter, written twice.

A lease lives by renewal, so a second block, written before the first one's time is over, has to
start the time anew. And the allowance is counted by the export counter, so energy that surely left
has to move that counter, by as much, and not much later. Both are tried in one dispatch, which
never exports more than half of the limit and is paid for like any lease.

Source: control.md T12 and "What to check on real hardware first"; cases 7 and 9.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.export.commissioning_checks import Check, Checks, Verdict
from agent.export.counter_lag import Lag, Moment, fitted, with_moment
from agent.export.lease import CommandPath, worst_case_wh
from agent.export.replacing import replace

_FIRST_S = 45
_AGAIN_S = 50
_REWRITE_AFTER_S = 15
_REWRITE_BEFORE_S = 10
"""Before the first time is over: later, a second block would be a new dispatch."""
_EXPORT_W = 1800.0
_WEAK_W = 300
_LIMIT_SHARE = 0.5
_TICKS = 2.2
"""Steps of the counter that the export has to fill; fewer cannot tell its direction from chance."""
_SOON_S = 10.0
COUNTER_PATIENCE_S = 180.0
"""Longest that a counter may take to tell energy that has left."""
_KILO = 1000.0
_CLIPPED_SHARE = 0.9
_SWAPPED = "It counts something else, perhaps the import: some maps have 0x0010 and 0x0012 swapped."


@dataclass(frozen=True, slots=True)
class Second:
    """The second dispatch: what is written, and what was seen of it."""

    power_w: int
    first_s: int
    again_s: int
    export_w: float
    """Wanted at the connection point; 0 where only the rewrite is tried."""
    why_weak: str = ""
    """Why the counter is not tried."""
    sent_s: float | None = None
    number: int = 0
    rewritten_s: float | None = None
    again_number: int = 0
    arrived: bool = False
    """The registers have shown the second block."""
    extends: bool | None = None
    reached_w: float = 0.0
    """Strongest power of the battery while the registers showed the dispatch."""
    over_s: float | None = None
    """When the dispatch had ended."""
    exported_w: tuple[Moment, ...] = ()
    counter_wh: tuple[Moment, ...] = ()


def plan(
    net_load_w: float,
    limit_w: float,
    left_wh: float,
    sun_w: float,
    step_wh: float,
    path: CommandPath,
) -> Second:
    """
    Return the dispatch to try: as strong as limit, battery and allowance pay for.

    Args:
        net_load_w: what the house draws beside the sun, negative while the sun feeds in.
        limit_w: hard cap of the export.
        left_wh: what may still leave today.
        sun_w: most that the sun may add meanwhile.
        step_wh: resolution of the export counter.
        path: traits of the path.
    """
    unit_s = path.duration_step_s
    first_s = -(-_FIRST_S // unit_s) * unit_s
    again_s = _AGAIN_S if unit_s == 1 else first_s + unit_s
    weak = Second(_WEAK_W, first_s, again_s, 0.0)
    if abs(net_load_w - _WEAK_W) < _WEAK_W:
        weak = replace(weak, power_w=2 * _WEAK_W)
    export_w = min(_EXPORT_W, _LIMIT_SHARE * limit_w, path.max_discharge_w - net_load_w)
    least_w = _TICKS * step_wh * 3600 / again_s
    if export_w < least_w:
        return replace(weak, why_weak="export limit or battery leave too little power for it")
    cost_wh = worst_case_wh(export_w * path.gain + sun_w, first_s + again_s, path)
    if cost_wh > left_wh:
        return replace(weak, why_weak="the day's allowance does not pay for it")
    power_w = int((net_load_w + export_w) // 100 * 100)
    if power_w < _WEAK_W:
        return replace(weak, why_weak="the sun feeds in by itself")
    return replace(weak, power_w=power_w, export_w=export_w)


def traced(second: Second, grid: Moment | None, counter: Moment | None) -> Second:
    """Return the part with one more look at grid power and export counter."""
    exported_w, counter_wh = second.exported_w, second.counter_wh
    if grid is not None:
        exported_w = with_moment(exported_w, grid.at_s, max(0.0, -grid.value))
    if counter is not None:
        counter_wh = with_moment(counter_wh, counter.at_s, counter.value)
    return replace(second, exported_w=exported_w, counter_wh=counter_wh)


def second_share(second: Second, now_s: float) -> float:
    """Return how much of this part is over, 0 to 1, as far as it can be foreseen."""
    if second.sent_s is None:
        return 0.0
    longest_s = second.first_s + second.again_s + (COUNTER_PATIENCE_S if second.export_w else 0.0)
    return min(1.0, (now_s - second.sent_s) / longest_s)


def may_rewrite(second: Second, now_s: float) -> bool | None:
    """Return True when the second block is due, `None` when it has become too late for it."""
    since_s = now_s - (second.sent_s or now_s)
    if since_s > second.first_s - _REWRITE_BEFORE_S:
        return None
    return since_s >= _REWRITE_AFTER_S


def told_apart_s(second: Second, delay_s: float, *, rounds_up: bool) -> float:
    """Return the moment that lies between the two ends that the dispatch may have."""
    unit_s = 60 if rounds_up else 1
    first_s = -(-second.first_s // unit_s) * unit_s
    again_s = -(-second.again_s // unit_s) * unit_s
    first_end_s = (second.sent_s or 0.0) + first_s
    again_end_s = (second.rewritten_s or 0.0) + again_s
    return (first_end_s + again_end_s) / 2 + delay_s


def counter_done(second: Second, now_s: float, step_wh: float, poll_s: float) -> bool:
    """Return True when the counter has told what left, or has had its time to."""
    waited_s = now_s - (second.over_s or now_s)
    if second.export_w <= 0 or waited_s > COUNTER_PATIENCE_S:
        return True
    if not second.counter_wh or waited_s < 2 * poll_s + _SOON_S:
        return False
    lag = fitted(second.exported_w, second.counter_wh, step_wh)
    return lag.moved_wh > lag.energy_wh - step_wh


def rewrite_check(second: Second) -> Check:
    """Return what was seen of the second block."""
    code = "rewrite"
    if second.extends is None:
        return Check(
            code,
            Verdict.OPEN,
            "Whether a second command extends the first one's time could not be seen: it was not "
            "shown by the registers in time.",
            "Run the full test again when Home Assistant is less busy.",
        )
    if second.extends:
        return Check(
            code,
            Verdict.PASSED,
            "A second command, written while the first one ran, started the time anew: leases can "
            "be renewed.",
        )
    return Check(
        code,
        Verdict.FAILED,
        "A second command did not extend the first one's time: the dispatch ended with the first.",
        "Leases cannot be renewed on this inverter, so a discharge would stutter. Look for a "
        "firmware update of the inverter, or use another path.",
    )


def counter_checks(second: Second, step_wh: float) -> tuple[Check, float | None]:
    """Return what the export counter made of the energy that left, and its lag in seconds."""
    code = "exported_counter"
    if second.export_w <= 0:
        text = f"The export counter was not tried: {second.why_weak}."
        return Check(code, Verdict.OPEN, text, "Run the full test again at another time."), None
    lag = fitted(second.exported_w, second.counter_wh, step_wh)
    failure = _counter_failure(lag, step_wh)
    if failure is not None:
        return Check(code, Verdict.FAILED, *failure), None
    if lag.lag_s is None:
        text = (
            f"{lag.energy_wh:.0f} Wh left the house and the export counter told "
            f"{lag.moved_wh:.0f} Wh: too few ticks to tell its lag."
        )
        return Check(code, Verdict.OPEN, text, "Run the full test again."), None
    late = "without delay" if lag.lag_s == 0 else f"up to {lag.lag_s:.0f} s late"
    text = (
        f"The export counter told {lag.moved_wh:.0f} of {lag.energy_wh:.0f} Wh that left, in "
        f"{lag.ticks} {'reading' if lag.ticks == 1 else 'readings'}, {late}: entity and unit "
        "are right."
    )
    return Check(code, Verdict.PASSED, text), lag.lag_s


def _counter_failure(lag: Lag, step_wh: float) -> tuple[str, str] | None:
    """Return what is wrong with the counter and what to do, or `None`."""
    left = f"{lag.energy_wh:.0f} Wh left the house"
    enough = lag.energy_wh > 2 * step_wh
    if lag.ticks == 0 and enough:
        return (
            f"{left}, and the export counter stood still. {_SWAPPED}",
            "Choose the counter of the energy fed to the grid; then try again.",
        )
    for factor, shown in ((_KILO, "Wh counted as kWh"), (1 / _KILO, "kWh counted as Wh")):
        if enough and abs(lag.moved_wh / factor - lag.energy_wh) < 0.5 * lag.energy_wh:
            return (
                f"{left}, and the export counter moved by {lag.moved_wh:g} Wh: {shown}.",
                "Correct its unit of measurement where the entity is defined; then try again.",
            )
    if lag.moved_wh < 0:
        return (
            f"{left}, and the export counter went back by {-lag.moved_wh:.0f} Wh.",
            "Choose a counter that only rises; then try again.",
        )
    if lag.moved_wh > 1.5 * lag.energy_wh + 2 * step_wh:
        return (
            f"{left}, and the export counter moved by {lag.moved_wh:.0f} Wh.",
            "It counts more than the export: choose the counter of the energy fed to the grid.",
        )
    return None


def all_checks(second: Second, step_wh: float) -> tuple[Checks, float | None]:
    """Return the checks of this part and the counter's lag in seconds, if it could be told."""
    counter, lag_s = counter_checks(second, step_wh)
    return (counter, rewrite_check(second), power_check(second)), lag_s


def power_check(second: Second) -> Check:
    """Return how much of a stronger power arrives."""
    code, share = "strong_power", second.reached_w / second.power_w
    text = f"Of {second.power_w} W at most {second.reached_w:.0f} W arrived"
    if share >= _CLIPPED_SHARE:
        return Check(code, Verdict.PASSED, f"{text}.")
    return Check(
        code,
        Verdict.OPEN,
        f"{text}: the inverter's AC limit, or the battery's, binds below it.",
        "Set max_discharge_w to what arrives, so that nothing is planned that cannot be.",
    )
