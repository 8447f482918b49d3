"""
What reaches a controller of the simulated house: old values, lost values, wrong values.

The meter polls each value at its path's own pace and keeps the newest reading, as the adapters
do; the day's faults bend what it reads. Truth stays in the plant, where the bench measures it.

Source: ARCHITECTURE, paths to the inverter; control.md, section 4.3.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from agent.export.replacing import quick
from agent.house.alphaess import POWER_OFFSET, SOC_SCALE_FIELD
from agent.house.readings import (
    GOOD,
    CounterKind,
    DispatchReadings,
    HouseSample,
    Quality,
    Reading,
)
from agent.simulator.bench_faults import Fault
from agent.simulator.bench_site import MONOTONIC_S, Day
from agent.simulator.plant import Plant

_DISPATCH = frozenset({"start", "power_w", "mode", "cutoff_soc_percent", "duration_s"})
EXPORT_STEP_WH, _PRODUCED_STEP_WH = 10.0, 100.0
_LATE_S = 60.0
_WORD = 0x1_0000


class Meter:
    """Polls the plant and shows what a controller may know; seconds count from midnight."""

    def __init__(self, plant: Plant, day: Day, source: random.Random) -> None:
        self._plant = plant
        self._day = day
        self._random = source
        self._daily = day.way.kind is CounterKind.DAILY
        self._base = {"exported_wh": plant.true_exported_wh, "produced_wh": plant.true_produced_wh}
        if not self._daily:
            self._base = dict.fromkeys(self._base, 0.0)
        self._readings: dict[str, Reading] = {}
        self._made: HouseSample | None = None
        self._next: dict[str, float] = {}
        self._soonest_s = 0.0
        self._older: deque[tuple[float, float]] = deque()
        self.linked = True
        self.last_exported_wh = plant.true_exported_wh
        """Of the plant, when its counter was last read."""
        self._mute: frozenset[str] = frozenset()
        self._frozen: frozenset[str] = frozenset()
        self._zero: frozenset[str] = frozenset()
        self._gone: frozenset[str] = frozenset()
        self._fallen_wh = 0.0
        self._late = False
        self.forecast_wh: float | None = None
        """Of the whole day, as it is shown now."""
        way = day.way
        self._periods = {
            "grid_w": day.power_s,
            "battery_w": day.power_s,
            "pv_w": way.pv_s,
            "soc_percent": way.soc_s,
            "exported_wh": way.counters_s,
            "produced_wh": way.counters_s,
            "dispatch": way.dispatch_s,
        }

    def begin(self, now_s: float) -> None:
        """Read everything, and spread the polls that follow over their periods."""
        for name, period_s in self._periods.items():
            self._poll(name, now_s)
            # A bridge reads everything that is due in one go; Core has a timer for each value.
            through_core = self._day.way.through_core
            self._next[name] = now_s + (
                self._random.uniform(0, period_s) if through_core else period_s
            )
        self._soonest_s = min(self._next.values())

    def poll(self, now_s: float) -> bool:
        """Read what is due; return whether anything was read."""
        if not self.linked or now_s < self._soonest_s:
            return False
        late_s = self._day.way.late_s
        for name, due_s in self._next.items():
            if due_s <= now_s:
                self._poll(name, now_s)
                wait_s = self._periods[name] + (self._random.uniform(0, late_s) if late_s else 0.0)
                self._next[name] = now_s + wait_s
        self._soonest_s = min(self._next.values())
        return True

    def next_s(self, name: str) -> float:
        """Return when a value is polled next."""
        return self._next[name]

    def refresh(self, at_s: float) -> None:
        """Have the dispatch registers read at this time, if no poll comes before."""
        self._next["dispatch"] = min(self._next["dispatch"], at_s)
        self._soonest_s = min(self._soonest_s, at_s)

    def rest(self, now_s: float, grid_w: float, battery_w: float, pv_w: float) -> None:
        """Show the mean of a minute in which nothing was commanded, as many polls would have."""
        for name in self._periods:
            self._poll(name, now_s)
        for name, value in (("grid_w", grid_w), ("battery_w", battery_w), ("pv_w", pv_w)):
            if name not in self._frozen | self._mute | self._zero | self._gone:
                self._keep(name, value, now_s)

    def midnight(self) -> None:
        """Let Home Assistant's daily counters begin again."""
        if self._daily:
            plant = self._plant
            self._base["exported_wh"] = plant.true_exported_wh
            self._base["produced_wh"] = plant.true_produced_wh

    def reset_counter(self) -> None:
        """Let the export counter begin again from zero at the wrong time."""
        self._base["exported_wh"] = self._plant.true_exported_wh

    def lose_flow(self, lost_wh: float) -> None:
        """Take out what a daily counter of Core misses while Core restarts."""
        if self._daily:
            self._base["exported_wh"] += lost_wh

    def bend(self, active: Iterable[Fault], now_s: float) -> None:
        """Take over which faults are active now."""
        faults = tuple(active)

        def values(*kinds: str) -> frozenset[str]:
            return frozenset().union(*(f.values for f in faults if f.kind in kinds))

        was_linked, was_gone = self.linked, self._gone
        through_core = self._day.way.through_core
        broken = ("link_down", "core_restart") if through_core else ("link_down",)
        self.linked = not any(fault.kind in broken for fault in faults)
        self._mute = values("dropout")
        self._frozen = values("freeze_power", "freeze_counter", "freeze_all")
        self._zero = values("unavailable_as_zero")
        self._gone = values("unavailable")
        self._fallen_wh = sum(f.amount for f in faults if f.kind == "negative_jump")
        self._late = any(fault.kind == "late_counter" for fault in faults)
        shown = [fault.amount for fault in faults if fault.kind == "forecast_flaps"]
        self.forecast_wh = shown[-1] if shown and shown[-1] >= 0 else None
        self._made = None
        if self.linked and not was_linked:
            self._next = dict.fromkeys(self._next, now_s)
        for name in was_gone - self._gone:
            self._next[name] = now_s
        self._soonest_s = min(self._next.values(), default=now_s)

    def sample(self) -> HouseSample:
        """Return what an adapter would deliver now."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def _make(self) -> HouseSample:
        readings, linked, gone = self._readings, self.linked, self._gone

        def unless_gone(name: str) -> Reading:
            reading = readings[name]
            if linked and ("dispatch" if name in _DISPATCH else name) not in gone:
                return reading
            return Reading(None, Quality.UNAVAILABLE, reading.source, reading.changed_s)

        of = readings.__getitem__ if linked and not gone else unless_gone
        return _sample(
            linked,
            of("grid_w"),
            of("battery_w"),
            of("pv_w"),
            of("soc_percent"),
            of("exported_wh"),
            of("produced_wh"),
            self._forecast(),
            _NO_RESERVE,
            _dispatch(
                of("start"),
                of("power_w"),
                of("mode"),
                of("cutoff_soc_percent"),
                of("duration_s"),
            ),
        )

    def _forecast(self) -> Reading:
        wh = self.forecast_wh
        return _NO_FORECAST if wh is None else Reading(wh, Quality.GOOD, "forecast")

    def _poll(self, name: str, now_s: float) -> None:
        if name in self._mute:
            return
        if name in self._frozen:
            reading = self._readings[name]
            if reading.reported_s is not None:
                self._readings[name] = replace(reading, reported_s=MONOTONIC_S + now_s)
                self._made = None
            return
        if name == "dispatch":
            words = self._plant.dispatch.readable()
            self._keep("start", float(words[0]), now_s)
            self._keep("power_w", float(words[1] * _WORD + words[2] - POWER_OFFSET), now_s)
            self._keep("mode", float(words[5]), now_s)
            self._keep("cutoff_soc_percent", words[6] * SOC_SCALE_FIELD, now_s)
            self._keep("duration_s", float(words[7] * _WORD + words[8]), now_s)
            return
        value = _RAW[name](self._plant) - self._base.get(name, 0.0)
        if name == "exported_wh":
            self.last_exported_wh = self._plant.true_exported_wh
            value = max(0.0, self._delayed(value, now_s) // EXPORT_STEP_WH * EXPORT_STEP_WH)
            value = max(0.0, value - self._fallen_wh)
        elif name == "produced_wh":
            value = value // _PRODUCED_STEP_WH * _PRODUCED_STEP_WH
        self._keep(name, 0.0 if name in self._zero else value, now_s)

    def _delayed(self, value: float, now_s: float) -> float:
        """Return the counter of a minute ago on a day whose counter is secretly late."""
        if not self._late:
            return value
        older = self._older
        older.append((now_s, value))
        while len(older) > 1 and older[1][0] <= now_s - _LATE_S:
            older.popleft()
        return older[0][1]

    def _keep(self, name: str, value: float, now_s: float) -> None:
        readings, at_s = self._readings, MONOTONIC_S + now_s
        old = readings.get(name)
        changed_s = old.changed_s if old is not None and old.value == value else at_s
        reported_s = at_s if self._day.report_times else None
        readings[name] = _reading(value, GOOD, name, changed_s, reported_s)
        self._made = None


_reading, _sample, _dispatch = quick(Reading), quick(HouseSample), quick(DispatchReadings)
_NO_FORECAST = Reading(None, Quality.MISSING, "forecast")
_NO_RESERVE = Reading(None, Quality.MISSING, "reserve")
_RAW: dict[str, Callable[[Plant], float]] = {
    "grid_w": lambda plant: round(plant.grid_w),
    "battery_w": lambda plant: round(plant.battery_w),
    "pv_w": lambda plant: round(plant.pv_w),
    "soc_percent": lambda plant: round(plant.soc_percent, 1),
    "exported_wh": lambda plant: plant.true_exported_wh,
    "produced_wh": lambda plant: plant.true_produced_wh,
}
