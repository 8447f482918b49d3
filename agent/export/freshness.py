"""
Whether each input may still be believed.

Freshness is per value and from its source's own report time: a loop that runs is no proof that
its inputs live. Grid and battery power must be younger than 30 s, and must have *moved* within
that time while a dispatch runs, because a frozen register is re-reported as if it were new. A
state of charge that stands still while energy flows is contradicted by that energy. A produced
counter may be old: it can only under-allow. A battery at rest stands still by right.

Source: control.md cases 12 to 15; ha_e2e.md section 4 (staleness facts); defects S1, D-09.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from agent.export.lease import SECONDS_PER_HOUR
from agent.export.ledger import CounterFault, Ledger
from agent.export.replacing import quick, replace
from agent.export.snapshot import Reason
from agent.house.readings import DispatchReadings, HouseSample, Reading

_SOC_CONTRADICTION = 0.02
"""Share of the battery's capacity that must have moved the state of charge."""
_REST_W = 50.0
"""A battery within this neither charges nor discharges."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Ages from which a value is no longer believed, in seconds."""

    stale_after_s: float = 30.0
    warn_after_s: float = 15.0
    soc_stale_after_s: float = 120.0
    battery_capacity_wh: float = 10_000.0


@dataclass(frozen=True, slots=True)
class SocWatch:
    """Energy through the battery since the state of charge last moved."""

    soc_percent: float | None = None
    moved_wh: float = 0.0
    at_s: float = 0.0


def watch_soc(
    watch: SocWatch, sample: HouseSample, now_s: float, *, believed: bool = True
) -> SocWatch:
    """Return the watch after one more sample; a power that is not believed moves nothing."""
    value = sample.soc_percent.value
    if value is None or value != watch.soc_percent:
        return SocWatch(value, 0.0, now_s)
    hours = max(0.0, now_s - watch.at_s) / SECONDS_PER_HOUR
    moved_wh = abs(sample.battery_w.value or 0.0) * hours if believed else 0.0
    return _soc_watch(value, watch.moved_wh + moved_wh, now_s)


_soc_watch = quick(SocWatch)


@dataclass(frozen=True, slots=True)
class Stillness:
    """Since when a power that stands still is to be doubted, in monotonic seconds."""

    idle_s: float = -math.inf
    """Newest moment without a dispatch; only from then on a live meter has to move."""
    rested_s: float = -math.inf
    """
    Newest moment at which the battery did nothing, so that its meter stood still by right.

    Full or at its reserve it shows the same power for hours, and neither Core before 2024.8 nor a
    template vouches for a value that does not change.
    """
    doubted: frozenset[str] = frozenset()
    """Powers that did not move in a dispatch; they are not believed again before they move."""

    def battery_known_s(self, battery: Reading) -> float:
        """Return when the battery's power was last known to be so."""
        return max(battery.vouched_s, self.rested_s)


def watch_stillness(
    still: Stillness,
    battery: Reading,
    lost: tuple[Reason, ...],
    now_s: float,
    *,
    dispatching: bool,
) -> Stillness:
    """Return the stillness after one more sample; `lost` is what was wrong until now."""
    codes = {reason.code for reason in lost}
    doubted = still.doubted
    if codes or doubted:
        doubted = frozenset(c for c in ("grid_power", "battery_power") if f"{c}_frozen" in codes)
    if dispatching:
        return still if doubted == still.doubted else replace(still, doubted=doubted)
    distrusted = {"battery_power_stale", "battery_power_frozen"} & codes
    rests = battery.good and abs(battery.value or 0.0) <= _REST_W and not distrusted
    return Stillness(now_s, now_s if rests else still.rested_s, doubted)


def problems(
    sample: HouseSample,
    ledger: Ledger,
    soc: SocWatch,
    still: Stillness,
    limits: Thresholds,
    now_s: float,
) -> tuple[Reason, ...]:
    """Return why the inputs may not be relied on, worst first; empty when they may."""
    if not sample.linked:
        return (
            Reason(
                "link_down",
                "The connection to the inverter's data is down; the agent keeps trying. "
                "Check that Home Assistant (or the bridge) is running.",
                sample.grid_w.source,
            ),
        )
    battery = sample.battery_w
    found = [
        *_power("grid_power", sample.grid_w, sample.grid_w.vouched_s, still, limits, now_s),
        *_power("battery_power", battery, still.battery_known_s(battery), still, limits, now_s),
        *_state_of_charge(sample.soc_percent, soc, limits, now_s),
        *_counter("exported", "Exported energy", sample.exported_wh, ledger.exported.fault),
        *_counter("produced", "PV energy", sample.produced_wh, ledger.produced.fault),
        *(_unusable("dispatch", "The inverter's dispatch state", sample.dispatch.start)),
    ]
    return tuple(found)


def _unusable(code: str, name: str, reading: Reading) -> Iterator[Reason]:
    if not reading.good:
        why = reading.detail or f"{reading.source} gives no usable value; check that it exists."
        yield Reason(f"{code}_{reading.quality.value}", f"{name}: {why}", reading.source)


def _power(
    code: str, reading: Reading, known_s: float, still: Stillness, limits: Thresholds, now_s: float
) -> Iterator[Reason]:
    if not reading.good:
        yield from _unusable(code, _in_words(code), reading)
        return
    age_s, unmoved_s = now_s - known_s, now_s - reading.changed_s
    if code not in still.doubted:
        unmoved_s = min(unmoved_s, now_s - still.idle_s)
    if age_s > limits.stale_after_s:
        yield Reason(
            f"{code}_stale",
            f"{_in_words(code)}: {reading.source} was last reported {age_s:.0f} s ago, more than "
            f"{limits.stale_after_s:.0f} s. Check the inverter's connection.",
            reading.source,
        )
    elif unmoved_s > limits.stale_after_s:
        yield Reason(
            f"{code}_frozen",
            f"{_in_words(code)}: {reading.source} has stood at {reading.value:.0f} W for "
            f"{now_s - reading.changed_s:.0f} s although the battery was commanded; a live meter "
            "moves. Check the inverter.",
            reading.source,
        )


def _in_words(code: str) -> str:
    return code.capitalize().replace("_", " ")


def _state_of_charge(
    reading: Reading, soc: SocWatch, limits: Thresholds, now_s: float
) -> Iterator[Reason]:
    if not reading.good:
        yield from _unusable("soc", "State of charge", reading)
        return
    contradicted_wh = limits.battery_capacity_wh * _SOC_CONTRADICTION
    if reading.reported_s is not None and reading.age_s(now_s) > limits.soc_stale_after_s:
        yield Reason(
            "soc_stale",
            f"State of charge: {reading.source} was last reported {reading.age_s(now_s):.0f} s "
            f"ago, more than {limits.soc_stale_after_s:.0f} s. Check the inverter's connection.",
            reading.source,
        )
    elif soc.moved_wh > contradicted_wh:
        yield Reason(
            "soc_frozen",
            f"State of charge: {reading.source} has not moved while {soc.moved_wh:.0f} Wh went "
            "through the battery. Check the inverter's connection.",
            reading.source,
        )


_COUNTER_WORDS = {
    CounterFault.FELL: "has fallen; it is not believed until it recovers or stays for 15 minutes",
    CounterFault.JUMPED: "has risen by more than could have flowed; it is being watched",
    CounterFault.STANDS_STILL: "has stood still while the meter showed export",
}


def _counter(
    code: str, name: str, reading: Reading, fault: CounterFault | None
) -> Iterator[Reason]:
    if not reading.good:
        yield from _unusable(code, name, reading)
    elif fault is not None:
        yield Reason(
            f"{code}_{fault.value}",
            f"{name}: {reading.source} {_COUNTER_WORDS[fault]}.",
            reading.source,
        )


def silent_readback(
    dispatch: DispatchReadings, still: Stillness, limit_s: float, now_s: float
) -> tuple[Reason, ...]:
    """
    Return why the dispatch registers may not be relied on while a lease runs.

    Each renewal moves one of them, so a read-back that nobody has vouched for longer than a
    renewal takes to show is a picture of the past: an old one may even equal a new lease.
    """
    registers = (dispatch.start, dispatch.power_w, dispatch.duration_s)
    age_s = now_s - max(still.idle_s, *(register.vouched_s for register in registers))
    if age_s <= limit_s:
        return ()
    return (
        Reason(
            "dispatch_stale",
            f"The inverter's dispatch state: {dispatch.start.source} was last reported "
            f"{age_s:.0f} s ago, although the dispatch was renewed since. Check the inverter's "
            "connection.",
            dispatch.start.source,
        ),
    )


def warnings(sample: HouseSample, limits: Thresholds, now_s: float) -> tuple[Reason, ...]:
    """Return what is getting old but may still be used."""
    reading = sample.grid_w
    age_s = reading.age_s(now_s)
    if not reading.good or not limits.warn_after_s < age_s <= limits.stale_after_s:
        return ()
    return (
        Reason(
            "grid_power_late",
            f"Grid power: {reading.source} was last reported {age_s:.0f} s ago.",
            reading.source,
        ),
    )
