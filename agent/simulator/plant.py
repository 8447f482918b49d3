"""
A house with photovoltaics, loads and a hybrid inverter that obeys physics, without a clock.

`Plant.step` moves time on; energy never appears or vanishes: PV + battery + grid always equals
the load. The battery's inverter answers late and not quite exactly, PV and battery share one AC
limit, and without a dispatch the inverter runs its own self-consumption. The same settings and
the same steps give the same house, to the last bit.

Source: control.md, sections 3 and 4.1; export_monitor.md, section 4.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from agent.simulator.dispatch import Command, Dispatch, DispatchSettings
from agent.simulator.loads import Loads
from agent.simulator.sky import SECONDS_PER_DAY, Sky, Weather, clear_sky_share

SECONDS_PER_HOUR = 3600.0
_LONGEST_STEP_S = 1.0
"""Longer steps are cut up, so that a minute is the same however it is asked for."""
_TAPER_FROM_PERCENT = 95.0
_TAPER_SHARE = 0.1
_FULL_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class PlantSettings:
    """What the house is like; powers in W at the AC side, energies in Wh."""

    seed: int = 1
    start_s: float = 12 * SECONDS_PER_HOUR
    """Time of day at which the simulation begins."""
    sunrise_s: float = 6 * SECONDS_PER_HOUR
    sunset_s: float = 20 * SECONDS_PER_HOUR
    weather: Weather = Weather.MIXED
    pv_peak_w: float = 5500.0
    base_load_w: float = 260.0
    capacity_wh: float = 10_000.0
    soc_percent: float = 60.0
    floor_soc_percent: float = 4.0
    """The battery's own protection stops discharging here."""
    max_charge_w: float = 5000.0
    max_discharge_w: float = 5000.0
    charge_efficiency: float = 0.96
    discharge_efficiency: float = 0.96
    ac_limit_w: float = 5000.0
    """PV and battery together cannot pass more through the hybrid inverter."""
    lag_s: float = 1.0
    """Time constant with which battery power follows its set-point."""
    gain: float = 1.0
    """Delivered over commanded power; 0.93 to 1.10 has been seen."""
    noise_w: float = 3.0
    """Largest error of the meters of grid and battery: a live value always moves."""
    exported_start_wh: float = 1_234_560.0
    imported_start_wh: float = 2_345_670.0
    produced_start_wh: float = 9_876_500.0
    charged_start_wh: float = 3_210_000.0
    discharged_start_wh: float = 2_980_000.0
    dispatch: DispatchSettings = field(default_factory=DispatchSettings)

    def __post_init__(self) -> None:
        positive = (self.capacity_wh, self.lag_s, self.charge_efficiency, self.ac_limit_w)
        if min(positive) <= 0 or not 0 < self.discharge_efficiency <= 1:
            raise ValueError("capacity, lag, efficiencies and AC limit must be above zero")
        if self.charge_efficiency > 1:
            raise ValueError("a charge efficiency above 1 would make energy")


class Plant:
    """
    One house, stepped by hand.

    `pv_override_w` and `load_override_w` pin PV and load to a value; `soc_percent` and
    `seconds_of_day` may be set at any time.
    """

    def __init__(self, settings: PlantSettings | None = None) -> None:
        self.settings = settings or PlantSettings()
        source = random.Random(self.settings.seed)  # noqa: S311 - weather, not keys
        self._random = source
        self.sky = Sky(source, self.settings.weather)
        self.time_s = self.settings.start_s
        """Seconds since midnight of day 0; never turns back unless a test sets the clock."""
        self._loads = Loads(source, self.settings.base_load_w, self.time_s)
        self.dispatch = Dispatch(self.settings.dispatch)
        self.pv_override_w: float | None = None
        self.load_override_w: float | None = None
        self.gain = self.settings.gain
        self._stored_wh = 0.0
        self.soc_percent = self.settings.soc_percent
        self.pv_w = 0.0
        self.load_w = 0.0
        self.true_battery_w = 0.0
        self.true_grid_w = 0.0
        self.battery_w = 0.0
        """As its meter shows it; positive discharges."""
        self.grid_w = 0.0
        """As the meter shows it; positive imports."""
        self.true_exported_wh = self.settings.exported_start_wh
        self.true_imported_wh = self.settings.imported_start_wh
        self.true_produced_wh = self.settings.produced_start_wh
        self.true_charged_wh = self.settings.charged_start_wh
        self.true_discharged_wh = self.settings.discharged_start_wh
        self._follow = (0.0, 0.0)
        self._floor_wh = self.settings.floor_soc_percent / _FULL_PERCENT * self.settings.capacity_wh

    @property
    def seconds_of_day(self) -> float:
        """Time of day in the house."""
        return self.time_s % SECONDS_PER_DAY

    @seconds_of_day.setter
    def seconds_of_day(self, seconds: float) -> None:
        if not 0 <= seconds < SECONDS_PER_DAY:
            raise ValueError(f"{seconds} s is not a time of day")
        self.time_s = self.day * SECONDS_PER_DAY + seconds
        self._loads.rewind(self.time_s)

    @property
    def day(self) -> int:
        """Midnights since the start."""
        return int(self.time_s // SECONDS_PER_DAY)

    @property
    def soc_percent(self) -> float:
        """State of charge, 0 to 100."""
        return self._stored_wh / self.settings.capacity_wh * _FULL_PERCENT

    @soc_percent.setter
    def soc_percent(self, percent: float) -> None:
        if not 0 <= percent <= _FULL_PERCENT:
            raise ValueError(f"{percent} % is not a state of charge")
        self._stored_wh = percent / _FULL_PERCENT * self.settings.capacity_wh

    @property
    def inverter_w(self) -> float:
        """Power that the inverter gives to the AC side."""
        return self.pv_w + self.true_battery_w

    def step(self, dt_s: float) -> None:
        """Let this much time pass; nothing else moves the house."""
        if not 0 <= dt_s < math.inf:
            raise ValueError(f"time cannot move by {dt_s} s")
        while dt_s > _LONGEST_STEP_S:
            self._tick(_LONGEST_STEP_S)
            dt_s -= _LONGEST_STEP_S
        if dt_s > 0:
            self._tick(dt_s)

    def coast(self, dt_s: float) -> None:
        """
        Let time pass as one long step, its end standing for all of it.

        Much cheaper than `step`, and good for hours in which nobody commands: what a load's
        switching lets out within a second is not in it.
        """
        if not 0 < dt_s < math.inf:
            raise ValueError(f"time cannot move by {dt_s} s")
        self._tick(dt_s)

    def _tick(self, dt_s: float) -> None:
        settings = self.settings
        self.time_s += dt_s
        pv_w = self._pv(dt_s)
        load_w = self._loads.step(self.time_s)
        if self.load_override_w is not None:
            load_w = self.load_override_w
        battery_w = self._battery(pv_w, load_w, dt_s)
        pv_w = min(pv_w, settings.ac_limit_w - battery_w)
        grid_w = load_w - pv_w - battery_w

        hours = dt_s / SECONDS_PER_HOUR
        if battery_w > 0:
            self.true_discharged_wh += battery_w * hours
            self._stored_wh -= battery_w * hours / settings.discharge_efficiency
        else:
            self.true_charged_wh -= battery_w * hours
            self._stored_wh -= battery_w * hours * settings.charge_efficiency
        if not 0.0 <= self._stored_wh <= settings.capacity_wh:
            self._stored_wh = min(settings.capacity_wh, max(0.0, self._stored_wh))
        if grid_w > 0:
            self.true_imported_wh += grid_w * hours
        else:
            self.true_exported_wh -= grid_w * hours
        self.true_produced_wh += pv_w * hours
        self.pv_w, self.load_w = pv_w, load_w
        self.true_battery_w, self.true_grid_w = battery_w, grid_w
        noise_w, draw = settings.noise_w, self._random.random
        self.battery_w = battery_w + noise_w * (2.0 * draw() - 1.0)
        self.grid_w = grid_w + noise_w * (2.0 * draw() - 1.0)

    def _pv(self, dt_s: float) -> float:
        """Return what the sun offers, before the inverter's limit."""
        share = self.sky.step(dt_s)
        if self.pv_override_w is not None:
            return self.pv_override_w
        settings, second = self.settings, self.time_s % SECONDS_PER_DAY
        height = clear_sky_share(second, settings.sunrise_s, settings.sunset_s)
        return settings.pv_peak_w * height * share

    def _battery(self, pv_w: float, load_w: float, dt_s: float) -> float:
        """Return the battery's power after lag and limits; positive discharges."""
        settings = self.settings
        soc_percent = self._stored_wh / settings.capacity_wh * _FULL_PERCENT
        command = self.dispatch.step(dt_s, soc_percent)
        if command is None:
            wanted_w = load_w - pv_w
        else:
            wanted_w = self._dispatched(command, pv_w, load_w, soc_percent)
        if self._follow[0] != dt_s:
            self._follow = (dt_s, 1.0 - math.exp(-dt_s / settings.lag_s))
        before_w = self.true_battery_w
        battery_w = before_w + self._follow[1] * (wanted_w - before_w)

        if battery_w < 0:
            return max(
                -min(self._accepts(soc_percent, dt_s), settings.ac_limit_w + pv_w), battery_w
            )
        most_w = min(settings.max_discharge_w, max(0.0, settings.ac_limit_w - pv_w))
        usable_wh = (self._stored_wh - self._floor_wh) * settings.discharge_efficiency
        return min(most_w, max(0.0, usable_wh * SECONDS_PER_HOUR / dt_s), battery_w)

    def _accepts(self, soc_percent: float, dt_s: float) -> float:
        """Return the charge power that the battery takes: less when nearly full, none when full."""
        settings = self.settings
        free_wh = (settings.capacity_wh - self._stored_wh) / settings.charge_efficiency
        taper = 1.0
        if soc_percent > _TAPER_FROM_PERCENT:
            left = (_FULL_PERCENT - soc_percent) / (_FULL_PERCENT - _TAPER_FROM_PERCENT)
            taper = _TAPER_SHARE + (1.0 - _TAPER_SHARE) * left
        return min(settings.max_charge_w * taper, free_wh * SECONDS_PER_HOUR / dt_s)

    def _dispatched(
        self, command: Command, pv_w: float, load_w: float, soc_percent: float
    ) -> float:
        """Return the set-point of a dispatch by its mode; export_monitor.md, section 4.5."""
        match command.mode:
            case 2:
                # At the target SOC the battery idles and the dispatch stays active.
                return 0.0 if command.done(soc_percent) else command.power_w * self.gain
            case 1:
                return max(-abs(command.power_w), min(0.0, load_w - pv_w))
            case 4:
                return self.settings.ac_limit_w - pv_w
            case 6 | 7:
                return -self.settings.max_charge_w
            case 19:
                return max(0.0, load_w - pv_w)
            case _:
                return load_w - pv_w
