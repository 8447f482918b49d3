"""
The power that the battery may be told now.

Grid export is battery + PV - load: the battery setpoint alone bounds nothing. So the limiter
works on the *net load* (grid + battery), taken only while the battery stands still, and never
commands more than the cap plus the lowest net load of the last ten minutes: a load that will be
switched off is not exported against. What a battery delivers beyond its command is no load to be
exported against either: it comes again with the next command.

Down at once, up with a ramp; below the inverter's useful minimum there is no dispatch at all.

Source: control.md 4.2 (servo), finding 7, cases 11, 17, 30; defect D-19.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import itemgetter

from agent.export.replacing import replace

GUARD_BAND_W = 80.0
"""Kept below the cap for the meter's noise and the inverter's deadband."""
RAMP_W_PER_S = 400.0
WINDOW_S = 600.0
STEADY_W = 150.0
_BUCKET_S = 15.0
_LOW_W = itemgetter(1)
_DEEPER = 1.2
"""Taken off for each watt above the limit: an inverter that follows slowly is below it a second
sooner, and the ramp gives the rest back."""
_ALIGNED_S = 20.0
"""Two battery readings may be this far apart and still bracket a grid reading."""


@dataclass(frozen=True, slots=True)
class PowerSample:
    """Grid and battery power with the times of their newest report, in monotonic seconds."""

    grid_w: float
    grid_s: float
    battery_w: float
    battery_s: float


@dataclass(frozen=True, slots=True)
class NetLoad:
    """Net load (load minus PV) of the recent past, in W."""

    newest_w: float | None = None
    newest_s: float = -math.inf
    """Monotonic: when that was seen."""
    last: PowerSample | None = None
    """The sample before: brackets the next grid reading between two battery readings."""
    buckets: tuple[tuple[float, float], ...] = ()
    """Start of each quarter minute and the lowest net load in it, oldest first, less what the
    battery delivered beyond its command."""

    @property
    def lowest_w(self) -> float | None:
        """The lowest net load of the window; `None` before the first sample that means one."""
        return min(map(_LOW_W, self.buckets), default=None)


def observe(
    net: NetLoad, sample: PowerSample, settled_s: float, now_s: float, told_w: float = math.inf
) -> NetLoad:
    """
    Return the net loads with one more sample, if the sample means one.

    Grid and battery are read at different instants; in a ramp their sum is a ghost. A grid
    reading counts only between two battery readings that agree.

    Args:
        net: what was seen so far.
        sample: the newest powers.
        settled_s: when the last change of battery power had settled.
        now_s: the moment.
        told_w: most that the battery should deliver by its command; infinite without one.
    """
    last = net.last
    if last is not None and sample.battery_s == last.battery_s:
        return net  # Wait for the battery reading that closes the bracket.
    if last is None or abs(sample.battery_w - last.battery_w) > STEADY_W:
        return replace(net, last=sample)
    bracketed = last.battery_s <= sample.grid_s <= sample.battery_s
    aligned = sample.battery_s - last.battery_s <= _ALIGNED_S
    if not (bracketed and aligned) or last.battery_s < settled_s:
        return replace(net, last=sample)
    value = sample.grid_w + sample.battery_w
    counts_w = sample.grid_w + min(sample.battery_w, told_w)
    buckets = net.buckets
    if buckets and buckets[0][0] <= now_s - WINDOW_S:
        buckets = tuple(b for b in buckets if b[0] > now_s - WINDOW_S)
    if buckets and now_s - buckets[-1][0] < _BUCKET_S:
        buckets = (*buckets[:-1], (buckets[-1][0], min(buckets[-1][1], counts_w)))
    else:
        buckets = (*buckets, (now_s, counts_w))
    return NetLoad(value, now_s, sample, buckets)


@dataclass(frozen=True, slots=True)
class PowerRule:
    """What the site allows, in W at the connection point and at the battery."""

    export_limit_w: float
    target_export_w: float
    max_discharge_w: float
    gain: float


def cap_w(rule: PowerRule, lowest_w: float | None) -> float:
    """Return the battery power that the limit allows against the lowest net load, in W."""
    return (rule.export_limit_w - GUARD_BAND_W + (lowest_w or 0.0)) / rule.gain


def discharge_power_w(
    rule: PowerRule, net: NetLoad, grid_w: float, flows_w: float, last_w: float, elapsed_s: float
) -> float:
    """
    Return the battery power to command, in W; 0 or less means that nothing need be discharged.

    Args:
        rule: what the site allows.
        net: recent net loads.
        grid_w: measured now, positive imports.
        flows_w: battery power that an excess is taken off, positive discharges: what is measured
            now, or what was commanded where that has settled.
        last_w: power that the running dispatch commands; 0 without one.
        elapsed_s: since that power was last raised; bounds the ramp.
    """
    lowest_w = net.lowest_w
    if net.newest_w is None or lowest_w is None:
        return 0.0
    if last_w <= 0:
        # After a pause the net loads may be from before it; at rest the two powers tell more, and
        # a ghost of a ramp can only make the first lease weaker.
        lowest_w = min(lowest_w, grid_w + flows_w)
    wanted_w = rule.target_export_w + net.newest_w
    power_w = min(wanted_w, cap_w(rule, lowest_w), rule.max_discharge_w)
    excess_w = -grid_w - rule.export_limit_w
    if excess_w > 0 and last_w > 0:
        # Measured above the limit: step down from what flows, whatever the model believes.
        power_w = min(power_w, flows_w - _DEEPER * excess_w - GUARD_BAND_W)
    if last_w > 0:
        power_w = min(power_w, last_w + RAMP_W_PER_S * elapsed_s)
    return max(power_w, 0.0)
