"""
What a helper of Home Assistant can be set to, whatever its domain.

The same slider is an `input_number` in the package and a `number` or a `select` in its ports; the
same toggle an `input_boolean` or a `switch`. Range, unit and availability are those that the
entity itself tells, and a value that does not fit is refused here, in words, because Core refuses
it without anybody noticing and keeps the old one.

Source: export_monitor.md 4.3 and 4.8; defects D-08, D-23 and D-28.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from agent.homeassistant.states import EntityState
from agent.house.hass_entities import NOT_A_VALUE, Quantity

FORCED_POWER = Quantity("power", "kW", {"kW": 1000.0, "W": 1.0}, 0, 50_000, "W")
FORCED_TIME = Quantity("duration", "min", {"min": 60.0, "s": 1.0, "h": 3600.0}, 0, 86_400, "s")
CUTOFF = Quantity("cut-off", "%", {"%": 1.0}, 0, 100, "%")

_SLIDERS = frozenset({"input_number", "number"})
_CHOICES = frozenset({"input_select", "select"})
_SWITCHES = frozenset({"input_boolean", "switch"})
_ON = frozenset({"on", "true", "yes", "enabled", "1"})
_OFF = frozenset({"off", "false", "no", "disabled", "0"})
_TIME_FIELDS = 3
_NEAR = 1e-3
_MOST_WITHOUT_UNIT = 100.0
"""A power slider that goes further than this and tells no unit is in W, not in kW."""


class HelperError(Exception):
    """A helper cannot be used, or did not do what it was told; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One helper and the value it shall have, in its own unit."""

    entity_id: str
    value: float
    service: str
    data: dict[str, Any]
    shown: str
    """The value with its unit, as a person would read it."""
    quantity: Quantity

    @property
    def domain(self) -> str:
        """Domain of the entity and of its service."""
        return self.entity_id.partition(".")[0]

    def is_shown_by(self, state: EntityState) -> bool:
        """Whether the helper has this value; only another one would be written."""
        number = _number(state.state)
        return number is not None and abs(number - self.value) < _NEAR


def setting(state: EntityState, value: float, quantity: Quantity) -> Setting:
    """
    Return how to set a helper to a value.

    Args:
        state: the helper as it is now.
        value: in the quantity's canonical unit.
        quantity: what the helper is for.

    Raises:
        HelperError: it is unavailable, of a kind that cannot be set, or cannot take the value.
    """
    _available(state, _UNAVAILABLE.get(quantity.name, ""))
    own = round(value / _factor(state, quantity), 4)
    unit = state.unit or quantity.expected
    shown = f"{own:g} {unit}"
    domain = state.entity_id.partition(".")[0]
    if domain in _SLIDERS:
        _in_range(state, own, unit, quantity)
        data = {"entity_id": state.entity_id, "value": own}
        return Setting(state.entity_id, own, "set_value", data, shown, quantity)
    if domain in _CHOICES:
        data = {"entity_id": state.entity_id, "option": _option(state, own, shown, quantity)}
        return Setting(state.entity_id, own, "select_option", data, shown, quantity)
    raise HelperError(
        f"{state.entity_id}: a {domain} cannot be set to a {quantity.name}; choose a number, an "
        "input_number or a select in the settings"
    )


def is_on(state: EntityState) -> bool:
    """
    Whether a toggle is on.

    Raises:
        HelperError: it does not tell.
    """
    _available(state)
    return state.state.strip().lower() in _ON


def is_off(state: EntityState) -> bool:
    """Whether a toggle is surely off; one that does not tell is not."""
    return state.state.strip().lower() in _OFF and not state.restored


def switching(state: EntityState, *, on: bool) -> tuple[str, str, dict[str, object]]:
    """
    Return domain, service and data that switch a toggle.

    Raises:
        HelperError: nothing of its domain can be switched.
    """
    domain = state.entity_id.partition(".")[0]
    target: dict[str, object] = {"entity_id": state.entity_id}
    if domain in _SWITCHES:
        return domain, "turn_on" if on else "turn_off", target
    if domain in _CHOICES:
        words = _ON if on else _OFF
        for option in _options(state):
            if option.strip().lower() in words:
                return domain, "select_option", {**target, "option": option}
        word = "on" if on else "off"
        raise HelperError(f"{state.entity_id} has no option {word!r}; choose the package's toggle")
    raise HelperError(
        f"{state.entity_id}: a {domain} cannot be switched on and off; choose an input_boolean, a "
        "switch or a select in the settings"
    )


def timer_s(state: EntityState | None) -> int | None:
    """
    Return the seconds that a timer was started for; `None` where it does not tell.

    Core writes `0:30:00` where others write `00:30:00`: texts that are never equal (D-23).
    """
    text = state.attributes.get("duration") if state is not None else None
    parts = text.split(":") if isinstance(text, str) else []
    if len(parts) != _TIME_FIELDS or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    hours, minutes, seconds = map(int, parts)
    return (hours * 60 + minutes) * 60 + seconds


def _available(state: EntityState, hint: str = "") -> None:
    text = state.state.strip()
    if state.restored or text.lower() in NOT_A_VALUE:
        raise HelperError(
            f"{state.entity_id} is {text or 'empty'}; nothing was written. Look at it in Home "
            f"Assistant{hint}"
        )


_UNAVAILABLE = {"power": "; the package's power sliders need its inverter AC limit to be chosen"}


def _factor(state: EntityState, quantity: Quantity) -> float:
    if state.unit is None:
        most = _number(state.attributes.get("max"))
        if quantity is FORCED_POWER and most is not None and most > _MOST_WITHOUT_UNIT:
            raise HelperError(
                f"{state.entity_id} goes up to {most:g} and tells no unit, so it cannot be in kW; "
                "set unit_of_measurement where it is defined, or choose another entity"
            )
        return quantity.factors[quantity.expected]
    if state.unit not in quantity.factors:
        raise HelperError(
            f"{state.entity_id} is in {state.unit[:12]!r}; a {quantity.name} needs "
            f"{' or '.join(quantity.factors)}. Choose another entity in the settings"
        )
    return quantity.factors[state.unit]


def _in_range(state: EntityState, own: float, unit: str, quantity: Quantity) -> None:
    low, high = (_number(state.attributes.get(name)) for name in ("min", "max"))
    if low is None or high is None:
        raise HelperError(
            f"{state.entity_id} tells no range, so it is no slider; choose another entity"
        )
    if not low <= own <= high:
        raise HelperError(
            f"{state.entity_id} takes {low:g} to {high:g} {unit}, not {own:g}: the {quantity.name} "
            f"was refused and nothing was written. {_REMEDY[quantity.name]}"
        )


_REMEDY = {
    "power": "Lower max_discharge_w or charge_power_kw, or choose a higher inverter AC limit in "
    "the package",
    "duration": "Choose the package's own duration slider",
    "cut-off": "Set min_soc_percent within that range",
}


def _option(state: EntityState, own: float, shown: str, quantity: Quantity) -> str:
    options = _options(state)
    for option in options:
        number = _number(option)
        if number is not None and abs(number - own) < _NEAR:
            return option
    offered = ", ".join(options)[:80] or "nothing"
    raise HelperError(
        f"{state.entity_id} offers {offered}, not {shown}: the {quantity.name} was refused and "
        "nothing was written. Choose a slider that takes it"
    )


def _options(state: EntityState) -> list[str]:
    options = state.attributes.get("options")
    return [str(option) for option in options] if isinstance(options, list) else []


def _number(value: object) -> float | None:
    """Return what an attribute or a state says, if that is a finite number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip().split(" ")[0]  # `3 kW`, as an option may say
    if "_" in text or not text.isascii():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
