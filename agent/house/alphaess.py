"""
The Alpha ESS register map, as far as the agent needs it, and the dispatch block.

Nine registers from 0x0880 command the battery: power, target SOC and a Dispatch Time in
seconds, after which the inverter returns to its own control unaided. They are written in one
frame, because some inverters apply single fields in an order of their own. Neutral power is
32000, never 0: raw 0 would command 32 kW of charging.

Source: AlphaESS Modbus RTU/TCP protocol V1.28 and V1.23, and the Hillview Lodge package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

POWER_OFFSET = 32_000
MODE_SOC_CONTROL = 2
SOC_SCALE_FIELD = 0.392
"""Percent per bit of the dispatch SOC as found in the field; the vendor's paper says 0.4."""
LONGEST_DISPATCH_S = 900
"""Longer than any lease; a 'for ever' time cannot be expressed."""
DISPATCH_ADDRESS = 0x0880
DISPATCH_COUNT = 9
_WORD = 0x1_0000


@dataclass(frozen=True, slots=True)
class Register:
    """One value of the inverter: where it is and how to read it."""

    name: str
    address: int
    words: int
    signed: bool
    scale: float
    """Multiply the raw integer by this to get the unit in the name."""
    offset: float = 0.0


GRID_W = Register("grid_w", 0x0021, 2, signed=True, scale=1)
BATTERY_W = Register("battery_w", 0x0126, 1, signed=True, scale=1)
PV_METER_W = Register("pv_meter_w", 0x00A1, 2, signed=True, scale=1)
PV_STRINGS_W = tuple(
    Register(f"pv{n}_w", address, 2, signed=False, scale=1)
    for n, address in enumerate((0x041F, 0x0423, 0x0427, 0x042B), start=1)
)
SOC_PERCENT = Register("soc_percent", 0x0102, 1, signed=True, scale=0.1)
EXPORTED_WH = Register("exported_wh", 0x0010, 2, signed=False, scale=10)
IMPORTED_WH = Register("imported_wh", 0x0012, 2, signed=False, scale=10)
PRODUCED_WH = Register("produced_wh", 0x043E, 2, signed=False, scale=100)
WORK_MODE = Register("work_mode", 0x0440, 1, signed=True, scale=1)
MAX_FEED_PERCENT = Register("max_feed_percent", 0x0800, 1, signed=False, scale=1)
FIRMWARE_TEXTS = {"inverter": 0x0640, "ARM": 0x0645}
"""Versions as text of ten characters; EMS versions are three numbers from 0x074B."""
FIRMWARE_TEXT_WORDS = 5
EMS_VERSION_ADDRESS = 0x074B
EMS_VERSION_WORDS = 3


def decode(register: Register, words: Sequence[int]) -> float:
    """Return the value of a register from its words, high word first."""
    raw = 0
    for word in words[: register.words]:
        raw = raw * _WORD + word
    if register.signed and raw >= _WORD**register.words // 2:
        raw -= _WORD**register.words
    return raw * register.scale + register.offset


def encode(register: Register, value: float) -> list[int]:
    """Return the words of a value, high word first; the inverse of `decode` but for rounding."""
    raw = round((value - register.offset) / register.scale) % _WORD**register.words
    return [raw // _WORD**n % _WORD for n in reversed(range(register.words))]


@dataclass(frozen=True, slots=True)
class DispatchBlock:
    """One command to the battery; ends by itself after `duration_s`."""

    start: bool
    power_w: int
    """Positive discharges, negative charges. This is battery power, not grid power."""
    cutoff_soc_percent: float
    duration_s: int

    def __post_init__(self) -> None:
        if not abs(self.power_w) < POWER_OFFSET:
            raise ValueError(f"dispatch power {self.power_w} W cannot be written")
        if not 0 < self.duration_s <= LONGEST_DISPATCH_S:
            raise ValueError(
                f"dispatch time {self.duration_s} s is not within 1 to {LONGEST_DISPATCH_S} s"
            )
        if not 0 <= self.cutoff_soc_percent <= 100:  # noqa: PLR2004 - percent
            raise ValueError(f"dispatch SOC {self.cutoff_soc_percent} % is not a percentage")

    def registers(self, soc_scale: float = SOC_SCALE_FIELD) -> list[int]:
        """Return the nine registers of the block, ready for one write."""
        raw_soc = min(255, int(self.cutoff_soc_percent / soc_scale)) if self.start else 0
        raw_power = POWER_OFFSET + self.power_w
        return [
            int(self.start),
            raw_power // _WORD,
            raw_power % _WORD,
            0,
            POWER_OFFSET,
            MODE_SOC_CONTROL if self.start else 0,
            raw_soc,
            self.duration_s // _WORD,
            self.duration_s % _WORD,
        ]


RESET_BLOCK = DispatchBlock(start=False, power_w=0, cutoff_soc_percent=0, duration_s=90)
"""What ends a dispatch, word for word as the Hillview package writes it."""
