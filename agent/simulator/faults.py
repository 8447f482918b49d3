"""
What can go wrong between a house and its controller, one switch each.

A controller is judged by what it does when the data lie, so every way of lying that users have
reported can be switched on while the simulated inverter runs. Faults of single values name the
values; the others concern the whole server.

Source: control.md, section 4.3; ha_e2e.md, section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

VALUE_NAMES = frozenset(
    {
        "grid_w",
        "battery_w",
        "pv_w",
        "soc_percent",
        "exported_wh",
        "imported_wh",
        "produced_wh",
        "dispatch",
    }
)
"""Values that a fault can be restricted to; `dispatch` is the whole block from 0x0880."""

_JUMPS = {
    "grid_w": 9_000.0,
    "battery_w": 9_000.0,
    "pv_w": 9_000.0,
    "soc_percent": 35.0,
    "exported_wh": 5_000.0,
    "imported_wh": 5_000.0,
    "produced_wh": 5_000.0,
}

_SLOWEST_S = 3600


class FaultError(ValueError):
    """No such switch, no such value, or a setting that the switch cannot take."""


@dataclass(slots=True)
class Faults:
    """The switches; every one is off by default and may be thrown at any time."""

    freeze: set[str] = field(default_factory=set)
    """Serve what was served last, for ever."""
    exception: set[str] = field(default_factory=set)
    """Answer reads of these values with exception 4, device failure."""
    unavailable_as_zero: set[str] = field(default_factory=set)
    """Serve 0 where the value is not known."""
    jump: set[str] = field(default_factory=set)
    """Serve far too much: 9 kW, 35 %, 5 kWh."""
    negative_jump: set[str] = field(default_factory=set)
    """Serve far too little by the same amounts; counters go backwards."""
    mute: bool = False
    """Accept connections, never answer, carry nothing out."""
    drop: bool = False
    """Close every connection, new ones at once."""
    slow_s: float = 0.0
    """Carry out at once, answer this much later."""
    refuse_writes: bool = False
    """Answer writes with exception 2, illegal address."""
    lose_writes: bool = False
    """Acknowledge writes and forget them."""

    def set(self, **switches: object) -> None:
        """
        Throw switches by name; values for single values are names or `True` for all of them.

        Raises:
            FaultError: no such switch, no such value, or a type that the switch cannot take.
        """
        self.apply(switches)

    def apply(self, switches: Mapping[str, object]) -> None:
        """Like `set`, for switches that arrive as JSON; all or none of them take effect."""
        known = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        checked: dict[str, Any] = {}
        for name, wanted in switches.items():
            if name not in known:
                raise FaultError(f"no fault {name!r}; there are {', '.join(sorted(known))}")
            if isinstance(known[name], set):
                checked[name] = _names(name, wanted)
            elif isinstance(known[name], bool):
                checked[name] = _switch(name, wanted)
            else:
                checked[name] = _seconds(name, wanted)
        for name, value in checked.items():
            setattr(self, name, value)

    def clear(self) -> None:
        """Switch every fault off."""
        fresh = Faults()
        for entry in fields(self):
            setattr(self, entry.name, getattr(fresh, entry.name))

    def as_json(self) -> dict[str, object]:
        """Return all switches in JSON types."""
        shown: dict[str, object] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            shown[entry.name] = sorted(value) if isinstance(value, set) else value
        return shown

    def bend(self, name: str, value: float) -> float:
        """Return a value as the faults of its name show it."""
        if name in self.unavailable_as_zero:
            return 0.0
        bent = value + _JUMPS[name] * ((name in self.jump) - (name in self.negative_jump))
        if bent == value or name in {"grid_w", "battery_w"}:
            return bent
        return min(100.0, max(0.0, bent)) if name == "soc_percent" else max(0.0, bent)


def _names(fault: str, wanted: object) -> set[str]:
    allowed = frozenset(_JUMPS) if fault.endswith("jump") else VALUE_NAMES
    if isinstance(wanted, bool):
        return set(allowed) if wanted else set()
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):
        raise FaultError(f"fault {fault!r} takes a list of values or true, not {wanted!r}")
    names = set(wanted)
    if not names <= allowed:
        raise FaultError(
            f"fault {fault!r} knows no {', '.join(map(repr, names - allowed))}; "
            f"there are {', '.join(sorted(allowed))}"
        )
    return names


def _switch(fault: str, wanted: object) -> bool:
    if not isinstance(wanted, bool):
        raise FaultError(f"fault {fault!r} takes true or false, not {wanted!r}")
    return wanted


def _seconds(fault: str, wanted: object) -> float:
    if (
        isinstance(wanted, int | float)
        and not isinstance(wanted, bool)
        and 0 <= wanted <= _SLOWEST_S
    ):
        return float(wanted)
    raise FaultError(f"fault {fault!r} takes 0 to {_SLOWEST_S} seconds, not {wanted!r}")
