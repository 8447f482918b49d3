"""
Energy Export Monitor as it behaved, for figures beside ours.

Every ten seconds it reads four values; a discharge is one long command for the rest of the slot
or day, stopped by a poll that finds no headroom; nothing is read back; what it knows lives in
memory. Reproduced with its defects, because they are what our figures stand beside: an open
breaker skips supervision, a restart forgets that a discharge runs, a value is believed until it
is unavailable. Carbon slots come from the day's seed; the margin is 0, as on our side.

Source: export_monitor.md, sections 2.1 to 2.16 and 3.3 (D-01 to D-05, D-15, D-16, D-20).
"""

from __future__ import annotations

import math
import random

from agent.clock import Instant
from agent.export.states import Command, Event, GuardConfig, Reply
from agent.house.alphaess import RESET_BLOCK, DispatchBlock
from agent.house.readings import HouseSample, Reading
from agent.simulator.bench_guard import Controller
from agent.simulator.bench_site import DAY_S, MONOTONIC_S, Day
from agent.simulator.plant import Plant

_POLL_S = 10.0
_BREAKER_FAILURES, _BREAKER_PAUSE_S = 5, 60.0
_ADJUST_S, _DEADBAND_W, _WEAK_W = 20.0, 50.0, 100.0
_SLOT_S = 1800.0
_LONGEST_MIN = 480
_MOST_WH = 1_000_000.0
_Slot = tuple[float, float, float]
"""Begin and end in seconds since midnight, and energy in Wh."""


class LongBlock(DispatchBlock):
    """A dispatch without our bound on its time: up to eight hours, as the helper allows."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Take any time that the package's slider takes."""


class Classic:
    """The old integration with auto-discharge on, behind the interface of the bench."""

    def __init__(self, config: GuardConfig, day: Day, plant: Plant) -> None:
        source = random.Random(f"classic {day.seed}")  # noqa: S311 - carbon intensity, not keys
        self._day = day
        self._plant = plant
        self._floor_percent = config.min_soc_percent
        self._intensity = [source.uniform(50, 300) for _ in range(int(DAY_S / _SLOT_S))]
        self._error = day.forecast_error
        self._numbers = 0
        self.left_wh = 0.0
        self.wake_s = 0.0
        self._toggle_until_s = -math.inf
        self._toggle = False
        self.restart(day.instant(0.0))

    def restart(self, now: Instant) -> None:
        """Forget everything but the helpers, which Core restores (D-05)."""
        self._active = False
        self._failures = 0
        self._failed_s = -math.inf
        self._slot: float | None = None
        self._slot_from_wh = self._slot_target_wh = 0.0
        self._power_w = self._adjusted_s = 0.0
        self._slot_min: float | None = None
        self.wake_s = now.monotonic_s

    @property
    def busy(self) -> bool:
        """It polls for ever; its readings matter while it may want something."""
        return self._active or self._toggle

    @property
    def leased(self) -> bool:
        """Its discharge runs."""
        return self._active or self._toggle

    @property
    def ready(self) -> bool:
        """It asks nobody what runs."""
        return True

    def look(
        self, now: Instant, sample: HouseSample, replies: tuple[Reply, ...], *, window: bool
    ) -> tuple[tuple[Command, ...], tuple[Event, ...]]:
        """Poll every ten seconds, whatever else happens."""
        del replies
        now_s = now.monotonic_s - MONOTONIC_S
        if self._toggle and now_s >= self._toggle_until_s:
            self._toggle = False  # the package's timer
        if now.monotonic_s < self.wake_s:
            return (), ()
        self.wake_s = now.monotonic_s + _POLL_S
        if self._failures >= _BREAKER_FAILURES:
            if now_s - self._failed_s <= _BREAKER_PAUSE_S:
                return (), ()
            self._failures = 0
        soc, produced, exported = (
            _number(sample.soc_percent, 100),
            _number(sample.produced_wh, _MOST_WH),
            _number(sample.exported_wh, _MOST_WH),
        )
        if not sample.linked or soc is None or produced is None or exported is None:
            self._failures += 1
            self._failed_s = now_s
            return (), ()
        self._failures = 0
        shown_wh = sample.forecast_today_wh.value
        forecast_wh = self._forecast_wh(now_s) if shown_wh is None else shown_wh
        self.left_wh = max(produced, forecast_wh) - exported
        return tuple(self._poll(now_s, soc, produced, exported, window=window)), ()

    def _poll(
        self, now_s: float, soc: float, produced: float, exported: float, *, window: bool
    ) -> list[Command]:
        commands: list[Command] = []
        if self._active and self.left_wh <= 0:
            commands.append(self._stop())
        plan = self._plan(now_s) if window else []
        inside = next((slot for slot in plan if slot[0] <= now_s < slot[1]), None)
        done = False
        if self._active and inside is not None:
            done = self._modulate(now_s, exported, inside, commands)
        desired = inside is not None and not done
        if desired and not self._toggle and soc > self._floor_percent and self.left_wh > 0:
            commands.append(self._start(now_s, inside))
        elif self._toggle and not desired:
            commands.append(self._stop())
        return commands

    def _forecast_wh(self, now_s: float) -> float:
        """Return a forecast that is revised through the day, towards the truth at its end."""
        share = min(1.0, now_s / DAY_S)
        wobble = math.sin(now_s / 5400.0) * 0.1
        error = 1.0 + (self._error - 1.0 + wobble) * (1.0 - share)
        return self._day_total_wh * error

    @property
    def _day_total_wh(self) -> float:
        settings, plant = self._day.plant, self._plant
        made = plant.true_produced_wh - settings.produced_start_wh
        lit = min(1.0, max(0.05, (plant.time_s - settings.sunrise_s) / self._lit_s))
        return made / lit

    @property
    def _lit_s(self) -> float:
        return self._day.plant.sunset_s - self._day.plant.sunrise_s

    def _plan(self, now_s: float) -> list[_Slot]:
        """Return slots of the window, highest carbon first, until the headroom is spent (2.6)."""
        first, last = self._day.opens_s, self._day.closes_s
        slots = [(n * _SLOT_S, (n + 1) * _SLOT_S) for n in range(int(DAY_S / _SLOT_S))]
        slots = [(a, b) for a, b in slots if b > max(now_s, first) and a <= last]
        slots.sort(key=lambda slot: -self._intensity[int(slot[0] / _SLOT_S)])
        left_wh, plan = self.left_wh, list[_Slot]()
        for begins_s, ends_s in slots:
            if left_wh <= 0:
                break
            energy_wh = min(left_wh, self._day.target_w * (ends_s - max(begins_s, now_s)) / 3600)
            plan.append((begins_s, ends_s, energy_wh))
            left_wh -= energy_wh
        return plan

    def _modulate(
        self, now_s: float, exported: float, slot: _Slot, commands: list[Command]
    ) -> bool:
        """Follow the slot's energy by power (2.11); return True when its target is met."""
        if self._slot != slot[0]:
            self._slot, self._slot_from_wh, self._slot_target_wh = slot[0], exported, slot[2]
        done_wh = exported - self._slot_from_wh
        if done_wh >= self._slot_target_wh:
            commands.append(self._stop())
            return True
        left_s = slot[1] - now_s
        if now_s - self._adjusted_s < _ADJUST_S or left_s <= 60:  # noqa: PLR2004 - its own figure
            return False
        power_w = min(self._day.target_w, (self._slot_target_wh - done_wh) / left_s * 3600)
        if power_w < _WEAK_W:
            commands.append(self._stop())
            return True
        if abs(power_w - self._power_w) >= _DEADBAND_W:
            self._adjusted_s = now_s
            commands.append(self._dispatch(round(power_w, -1), self._toggle_until_s - now_s))
        return False

    def _start(self, now_s: float, slot: _Slot | None) -> Command:
        """Start for the rest of the slot; after a restart for the whole headroom (D-02)."""
        wanted_min = self.left_wh / self._day.target_w * 60
        if slot is not None and self._slot is not None:
            wanted_min = min((slot[1] - slot[0]) / 60, slot[2] / self._day.target_w * 60)
        minutes = min(_LONGEST_MIN, max(1, math.ceil(wanted_min)))
        self._active = self._toggle = True
        self._toggle_until_s = now_s + minutes * 60
        self._adjusted_s = now_s
        return self._dispatch(self._day.target_w, minutes * 60)

    def _dispatch(self, power_w: float, seconds: float) -> Command:
        self._power_w = power_w
        self._numbers += 1
        block = LongBlock(True, int(power_w), self._floor_percent, max(1, int(seconds)))
        return Command(self._numbers, block, "classic")

    def _stop(self) -> Command:
        self._active = self._toggle = False
        self._slot = None
        self._numbers += 1
        return Command(self._numbers, RESET_BLOCK, "classic")


def _number(reading: Reading, most: float) -> float | None:
    """Return a value as the old integration read it: any number in the range, however old."""
    value = reading.value
    return value if value is not None and 0 <= value <= most else None


def classic_of(config: GuardConfig, day: Day, plant: Plant) -> Controller:
    """Return the old policy for a day."""
    return Classic(config, day, plant)
