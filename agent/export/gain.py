"""
How much more than it is told the inverter delivers, learned while a dispatch runs.

Commissioning measures the gain once, at 300 W. An inverter that gives 110 % of what it is told
takes the connection point above its limit at 3 kW, and does so at every step. So the gain is
learned on, slowly, from leases whose power has settled, and within bounds: it never falls below 1
nor far below what commissioning saw, because a battery that is held back for another reason, or an
inverter at its AC limit, looks like a weak one and is not.

Only where powers come every 2 s; behind Core the same law made excursions longer. There, and until
enough is learned, the limiter counts what is delivered beyond the command as net load that is gone.

It survives a restart: what is learned above the test's gain also pays for the leases.

Source: control.md 4.2 (servo), 4.4 and the regression of 4.7; case 30.
"""

from __future__ import annotations

from dataclasses import dataclass

_LEAST_W = 1000.0
"""A smaller power tells little: the meter's noise and the inverter's deadband are as large."""
_BELIEVED = (0.9, 1.25)
"""Outside of this another cause than the gain is at work."""
_SLOWLY = 0.02
"""Weight of one sample; at one in 2 s three quarters are learned in two minutes."""
_ENOUGH = 15
"""Samples before the mean is used."""
_HIGHEST = 1.25
_BELOW_MEASURED = 0.05


@dataclass(frozen=True, slots=True)
class Gain:
    """What was learned so far."""

    mean: float = 1.0
    """Delivered over commanded power."""
    samples: int = 0
    at_s: float = 0.0
    """Monotonic: of the newest battery power that was taken in."""


def learn(gain: Gain, commanded_w: float, battery_w: float, battery_s: float) -> Gain:
    """
    Return the gain with one more battery power, if it is new and tells something.

    Args:
        gain: what was learned so far.
        commanded_w: power of the confirmed lease, settled.
        battery_w: what the battery delivers, positive discharges.
        battery_s: when its meter said so, monotonic.
    """
    if commanded_w < _LEAST_W or battery_s <= gain.at_s:
        return gain
    share = battery_w / commanded_w
    if not _BELIEVED[0] <= share <= _BELIEVED[1]:
        return gain
    samples = gain.samples + 1
    weight = max(_SLOWLY, 1.0 / samples)
    return Gain(gain.mean + weight * (share - gain.mean), samples, battery_s)


def of_power(gain: Gain, measured: float) -> float:
    """Return the gain that a power is divided by; `measured` is what commissioning saw."""
    if gain.samples < _ENOUGH:
        return measured
    return min(_HIGHEST, max(1.0, measured - _BELOW_MEASURED, gain.mean))


def of_energy(gain: Gain, measured: float) -> float:
    """Return the gain that a lease is paid for with: never less than what commissioning saw."""
    return max(measured, of_power(gain, measured))
