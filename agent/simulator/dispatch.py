"""
The inverter's side of a dispatch: it ends by itself when its seconds are over.

The registers from 0x0880 are what was written; this says which of it moves the battery now.
Between the write and the power there is a dead time, and the sources disagree about details, so
each disagreement is a setting: a guard that only works with one of them is not safe.

Source: control.md, section 3; Hillview package, dispatch block; dallonby and senalse field notes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from agent.house.alphaess import (
    DISPATCH_ADDRESS,
    POWER_OFFSET,
    SOC_SCALE_FIELD,
)

BLOCK_COUNT = 11
"""Nine registers everywhere; newer firmware adds flow direction and PV switch."""
_WORD = 0x1_0000
_START, _POWER, _MODE, _SOC, _TIME = 0, 1, 5, 6, 7
_FULL_SOC_RAW = 255
_ROUNDING_S = 1e-6
"""Many small steps add up to a little less than their sum."""
_RESTARTS_TIMER = frozenset({_START, _TIME, _TIME + 1})
"""A new power or SOC does not extend the countdown (senalse 1.13)."""


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """How this inverter treats a dispatch; the defaults are what most reports agree on."""

    dead_time_s: float = 2.0
    """From the write to the first change of power."""
    exit_lag_s: float = 0.0
    """From the end of the Dispatch Time to the return to self-consumption."""
    soc_scale: float = SOC_SCALE_FIELD
    """Percent per bit of the target SOC: 0.392 in the field, 0.4 on paper."""
    timer_ignored: bool = False
    timer_step_s: int = 1
    """60 rounds the Dispatch Time up to whole minutes, without showing it."""
    shortest_s: int = 0
    """Shorter Dispatch Times are clamped upwards, and read back so."""
    counts_down: bool = False
    """The Dispatch Time that is read back runs down; the real one keeps what was written."""
    rewrite_extends: bool = True
    """A block written while a dispatch runs starts the countdown anew; else the first goes on."""
    zero_ignored: bool = False
    """0 W is taken for no command: the registers show it, and self-consumption goes on."""
    least_w: float = 0.0
    """A discharge cannot be weaker: 0 W becomes this, as far as the target SOC lets it."""
    soc_target_ends: bool = False
    """The dispatch ends at the target SOC; the real one stays active at 0 W."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a dispatch asks of the battery."""

    mode: int
    power_w: float
    """Positive discharges; at the inverter's gain of 1."""
    target_soc_percent: float

    def done(self, soc_percent: float) -> bool:
        """True when the battery has reached the target of this command."""
        if self.power_w > 0:
            return soc_percent <= self.target_soc_percent
        return self.power_w < 0 and soc_percent >= self.target_soc_percent


class Dispatch:
    """Holds the dispatch registers and runs their timer."""

    def __init__(self, settings: DispatchSettings) -> None:
        self._settings = settings
        self.registers = [0, 0, POWER_OFFSET, 0, POWER_OFFSET, 0, 0, 0, 90, 255, 0]
        self.remaining_s = 0.0
        """Until the dispatch ends by itself; 0 while none runs."""
        self.acting: Command | None = None
        """What moves the battery now; `None` is self-consumption."""
        self._pending: deque[tuple[float, Command | None]] = deque()
        self._time_s = 0.0

    @property
    def active(self) -> bool:
        """True while register 0x0880 reads 1."""
        return self.registers[_START] == 1

    @property
    def power_w(self) -> int:
        """Power in the registers, positive for discharge."""
        return self.registers[_POWER] * _WORD + self.registers[_POWER + 1] - POWER_OFFSET

    @property
    def duration_s(self) -> int:
        """Dispatch Time in the registers."""
        return self.registers[_TIME] * _WORD + self.registers[_TIME + 1]

    def readable(self) -> list[int]:
        """Return the block as a client reads it."""
        words = list(self.registers)
        if self._settings.counts_down and self.active:
            left_s = max(0, int(self.remaining_s))
            words[_TIME], words[_TIME + 1] = left_s // _WORD, left_s % _WORD
        return words

    def write(self, offset: int, values: list[int]) -> None:
        """Take over registers from 0x0880 + `offset`, as one frame."""
        if offset < 0 or offset + len(values) > BLOCK_COUNT:
            raise ValueError(
                f"registers {DISPATCH_ADDRESS + offset:#06x}+{len(values)} are not the block's"
            )
        was_active = self.active
        self.registers[offset : offset + len(values)] = values
        if not self.active:
            self.remaining_s = 0.0
            self._later(None, self._settings.dead_time_s)
            return
        written_s = self.duration_s
        if 0 < written_s < self._settings.shortest_s:
            written_s = self._settings.shortest_s
            self.registers[_TIME : _TIME + 2] = [written_s // _WORD, written_s % _WORD]
        restarts = self._settings.rewrite_extends or not was_active
        if restarts and _RESTARTS_TIMER.intersection(range(offset, offset + len(values))):
            step_s = self._settings.timer_step_s
            self.remaining_s = float(-(-written_s // step_s) * step_s)
        self._later(self._command(), self._settings.dead_time_s)

    def step(self, dt_s: float, soc_percent: float) -> Command | None:
        """Let time pass and return what moves the battery now."""
        self._time_s += dt_s
        while self._pending and self._pending[0][0] <= self._time_s:
            self.acting = self._pending.popleft()[1]
        if self.registers[_START] != 1:
            return self.acting
        if not self._settings.timer_ignored:
            self.remaining_s -= dt_s
            if self.remaining_s <= _ROUNDING_S:
                self._end()
        if self._settings.soc_target_ends and self.acting and self.acting.done(soc_percent):
            self._end()
        return self.acting

    def _end(self) -> None:
        """Leave the dispatch without being told: 0x0880 reads 0, the rest stays as written."""
        self.registers[_START] = 0
        self.remaining_s = 0.0
        self._pending.clear()
        self._later(None, self._settings.exit_lag_s)

    def _later(self, command: Command | None, delay_s: float) -> None:
        due_s = self._time_s + delay_s
        while self._pending and self._pending[-1][0] >= due_s:
            self._pending.pop()  # an exit that still lags is overtaken by a renewal
        if delay_s <= 0.0:
            self.acting = command
        else:
            self._pending.append((due_s, command))

    def _command(self) -> Command | None:
        if self.power_w == 0 and self._settings.zero_ignored:
            return None
        raw_soc = self.registers[_SOC]
        target = 100.0 if raw_soc >= _FULL_SOC_RAW else raw_soc * self._settings.soc_scale
        power_w = float(self.power_w)
        if power_w >= 0:
            power_w = max(power_w, self._settings.least_w)
        return Command(self.registers[_MODE], power_w, min(100.0, target))
