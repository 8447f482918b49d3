"""
The Alpha ESS register map, served from the plant.

Values that move are encoded from the plant at the moment of the read; the rest of the map holds
constants of a plausible SMILE-G3, so that a Home Assistant package with 141 sensors finds every
address it polls. An address that no document names is refused, as the inverter does.

Source: export_monitor.md, section 4.2; AlphaESS Modbus protocol V1.28.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.house import alphaess as map_
from agent.house.alphaess import Register
from agent.simulator.dispatch import BLOCK_COUNT
from agent.simulator.faults import Faults
from agent.simulator.plant import Plant

_SERVED = (
    range(0x0030),
    range(0x0080, 0x00B0),
    range(0x0100, 0x0160),
    range(0x0400, 0x0470),
    range(0x0640, 0x0680),
    range(0x0700, 0x0762),
    range(0x0800, 0x0870),
    range(map_.DISPATCH_ADDRESS, map_.DISPATCH_ADDRESS + BLOCK_COUNT),
    range(0x08D0, 0x08E0),
    range(0x1000, 0x1030),
)
"""Banks of the vendor's document; the gaps between them answer exception 2."""
_WRITABLE = (
    range(0x0700, 0x0701),
    range(0x0740, 0x0743),
    range(0x0800, 0x0801),
    range(0x084F, 0x0862),
    range(map_.DISPATCH_ADDRESS, map_.DISPATCH_ADDRESS + BLOCK_COUNT),
)
_FIRST_DAY = datetime(2026, 6, 1, tzinfo=UTC)
_BATTERY_V = 208.0
_GRID_V = 230
_STRING_V = 380.0
_STRING_SHARE = 0.6
"""Of the PV power on the first of two strings."""
_EMPTY_MIN = 0xFFFF


class IllegalAddressError(Exception):
    """The request touches an address that this inverter does not have."""


@dataclass(frozen=True, slots=True)
class _Field:
    register: Register
    read: Callable[[Plant], float]
    fault: str = ""
    """Name under which faults know this value."""


def _stepped(value: float, step: float) -> float:
    return math.floor(value / step + 1e-9) * step


def _first_string(plant: Plant) -> float:
    return float(round(plant.pv_w * _STRING_SHARE))


def _second_string(plant: Plant) -> float:
    return round(plant.pv_w) - _first_string(plant)


def _status(plant: Plant) -> float:
    """High byte charge state, low byte discharge state (V1.28, note 1)."""
    return float((int(plant.true_battery_w < 0) << 8) | int(plant.true_battery_w > 0))


def _minutes_left(plant: Plant) -> float:
    if plant.true_battery_w < 1:
        return float(_EMPTY_MIN >> 1)
    stored_wh = plant.soc_percent / 100 * plant.settings.capacity_wh
    return min(_EMPTY_MIN >> 1, stored_wh / plant.true_battery_w * 60)


def _clock(plant: Plant) -> datetime:
    return _FIRST_DAY + timedelta(seconds=int(plant.time_s))


def _word(name: str, address: int, read: Callable[[Plant], float], scale: float = 1) -> _Field:
    return _Field(Register(name, address, 1, signed=True, scale=scale), read)


def _double(name: str, address: int, read: Callable[[Plant], float], scale: float = 1) -> _Field:
    return _Field(Register(name, address, 2, signed=True, scale=scale), read)


def _live(*, counters_swapped: bool) -> tuple[_Field, ...]:
    exported, imported = map_.EXPORTED_WH, map_.IMPORTED_WH
    if counters_swapped:  # as dallonby's map has them
        exported, imported = imported, exported
    return (
        _Field(map_.GRID_W, lambda p: p.grid_w, "grid_w"),
        _double("grid_a_w", 0x001B, lambda p: p.grid_w),
        _Field(
            exported,
            lambda p: _stepped(p.true_exported_wh, map_.EXPORTED_WH.scale),
            "exported_wh",
        ),
        _Field(
            imported,
            lambda p: _stepped(p.true_imported_wh, map_.IMPORTED_WH.scale),
            "imported_wh",
        ),
        _Field(map_.BATTERY_W, lambda p: p.battery_w, "battery_w"),
        _Field(map_.SOC_PERCENT, lambda p: _stepped(p.soc_percent, 0.1), "soc_percent"),
        _word("battery_a", 0x0101, lambda p: p.battery_w / _BATTERY_V, 0.1),
        _word("battery_status", 0x0103, _status),
        _word("capacity_wh", 0x0119, lambda p: p.settings.capacity_wh, 100),
        _double("charged_wh", 0x0120, lambda p: _stepped(p.true_charged_wh, 100), 100),
        _double("discharged_wh", 0x0122, lambda p: _stepped(p.true_discharged_wh, 100), 100),
        _word("minutes_left", 0x0127, _minutes_left),
        _double("inverter_a_w", 0x0406, lambda p: p.inverter_w),
        _double("inverter_w", 0x040C, lambda p: p.inverter_w),
        _word("pv1_a", 0x041E, lambda p: p.pv_w * _STRING_SHARE / _STRING_V, 0.1),
        _Field(map_.PV_STRINGS_W[0], _first_string, "pv_w"),
        _word("pv2_a", 0x0422, lambda p: p.pv_w * (1 - _STRING_SHARE) / _STRING_V, 0.1),
        _Field(map_.PV_STRINGS_W[1], _second_string, "pv_w"),
        _Field(
            map_.PRODUCED_WH,
            lambda p: _stepped(p.true_produced_wh, map_.PRODUCED_WH.scale),
            "produced_wh",
        ),
        _double("pv_w", 0x0453, lambda p: round(p.pv_w)),
        _word("clock_yymm", 0x0740, lambda p: (_clock(p).year - 2000) << 8 | _clock(p).month),
        _word("clock_ddhh", 0x0741, lambda p: _clock(p).day << 8 | _clock(p).hour),
        _word("clock_mmss", 0x0742, lambda p: _clock(p).minute << 8 | _clock(p).second),
    )


_CONSTANTS = {
    0x0001: [200],  # grid CT rate
    0x0014: [_GRID_V, _GRID_V, _GRID_V],
    0x0081: [200],  # PV CT rate
    0x0100: [round(_BATTERY_V * 10)],
    0x0107: [0x0101, 3301, 0x0101, 3296],  # lowest and highest cell, mV
    0x010B: [0x0101, 0x0101, 231, 0x0101, 0x0102, 252],  # cell temperatures, 0.1 degC
    0x0111: [250, 250],  # BMS limits, 0.1 A
    0x0115: [1, 2, 3],  # versions
    0x0118: [4],  # packs
    0x011A: [1],
    0x011B: [990],  # state of health
    0x0124: [0, 1234],  # charged from the grid, 0.1 kWh
    0x0400: [_GRID_V * 10, _GRID_V * 10, _GRID_V * 10],
    0x041C: [5000],  # grid frequency, 0.01 Hz
    0x041D: [round(_STRING_V * 10)],
    0x0421: [round(_STRING_V * 10)],
    0x0435: [353],  # inverter temperature, 0.1 degC
    map_.WORK_MODE.address: [1],  # online
    0x0640: [0x4731, 0x2E30, 0x3800, 0x0000, 0x0000],  # "G1.08"
    0x0645: [0x4131, 0x2E33, 0x3200, 0x0000, 0x0000],  # "A1.32"
    0x064A: [0x5349, 0x4D55, 0x4C41, 0x5445, 0x4430, 0x3030, 0x3100, 0],  # "SIMULATED0001"
    0x0700: [100],
    0x074B: [0x0001, 0x0002, 0x0003],
    map_.MAX_FEED_PERCENT.address: [100],
    0x0801: [0, 6000],  # PV capacity of the storage inverter, W
    0x0808: [0xC000, 0x020A, 0xFFFF, 0xFF00, 0xC000, 0x0201],  # 192.0.2.10/24, documentation
    0x0810: [0],  # baud rate: 9600
    0x084F: [0, 10],  # no period control; discharging cut-off SOC
    0x0855: [100],  # charging cut-off SOC
    0x1000: [3],  # grid code
    0x100B: [2645, 2530, 1840, 2070, 5200, 5150, 4700, 4750],
}


class RegisterMap:
    """Reads and writes of the map, with the faults of single values applied."""

    def __init__(self, plant: Plant, faults: Faults, *, counters_swapped: bool = False) -> None:
        self._plant = plant
        self._faults = faults
        self._fields = _live(counters_swapped=counters_swapped)
        self._served_last: dict[Register | str, list[int]] = {}
        self._kept = {
            address + n: word
            for address, words in _CONSTANTS.items()
            for n, word in enumerate(words)
        }

    def read(self, address: int, count: int) -> list[int]:
        """
        Return the words of an address range as a client gets them.

        Raises:
            IllegalAddressError: part of the range does not exist.
        """
        _within(_SERVED, address, count)
        words = [self._kept.get(address + n, 0) for n in range(count)]
        for entry in self._fields:
            if _overlaps(entry.register.address, entry.register.words, address, count):
                _put(words, address, entry.register.address, self._field(entry))
        if _overlaps(map_.DISPATCH_ADDRESS, BLOCK_COUNT, address, count):
            _put(words, address, map_.DISPATCH_ADDRESS, self._dispatch())
        return words

    def concerns(self, address: int, count: int) -> set[str]:
        """Return the names of the values that lie in an address range."""
        names = {
            entry.fault
            for entry in self._fields
            if _overlaps(entry.register.address, entry.register.words, address, count)
        }
        if _overlaps(map_.DISPATCH_ADDRESS, BLOCK_COUNT, address, count):
            names.add("dispatch")
        return names - {""}

    def write(self, address: int, values: list[int]) -> None:
        """
        Carry out one written frame.

        Raises:
            IllegalAddressError: part of the range does not exist or is read-only.
        """
        _within(_WRITABLE, address, len(values))
        if address >= map_.DISPATCH_ADDRESS:
            self._plant.dispatch.write(address - map_.DISPATCH_ADDRESS, values)
        else:
            self._kept.update({address + n: value for n, value in enumerate(values)})

    def _field(self, entry: _Field) -> list[int]:
        value = entry.read(self._plant)
        if not entry.fault:
            return map_.encode(entry.register, value)
        last = self._served_last.get(entry.register)
        if last is None or entry.fault not in self._faults.freeze:
            last = map_.encode(entry.register, self._faults.bend(entry.fault, value))
            self._served_last[entry.register] = last
        return last

    def _dispatch(self) -> list[int]:
        if "dispatch" in self._faults.unavailable_as_zero:
            return [0] * BLOCK_COUNT
        last = self._served_last.get("dispatch")
        if last is None or "dispatch" not in self._faults.freeze:
            last = self._plant.dispatch.readable()
            self._served_last["dispatch"] = last
        return last


def _within(banks: tuple[range, ...], address: int, count: int) -> None:
    if not any(address in bank and address + count - 1 in bank for bank in banks):
        raise IllegalAddressError(f"no registers {address:#06x}+{count}")


def _overlaps(first: int, first_count: int, second: int, second_count: int) -> bool:
    return first < second + second_count and second < first + first_count


def _put(words: list[int], address: int, at: int, values: list[int]) -> None:
    """Lay the values over the words where both ranges meet."""
    for n, value in enumerate(values):
        if 0 <= at + n - address < len(words):
            words[at + n - address] = value
