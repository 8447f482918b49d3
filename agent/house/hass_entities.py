"""
Which Home Assistant entities stand for the house, and what a state text of theirs is worth.

A state is a text that anybody may have written: it becomes a number only if it is finite, carries
a unit that converts, and lies where the quantity can lie at all. Everything else is told in words
that name the entity and the next step; nothing ever becomes 0 by failing.

Source: the Hillview Lodge package (its newest names and the older `battery_soc`), Solcast PV
Forecast; defect D-21 of the old integration, which looked at no unit.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, fields

from agent.homeassistant.states import EntityState
from agent.house.readings import Quality, Reading

NOT_A_VALUE = frozenset({"unavailable", "unknown", "none", ""})


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a number has to be before it may enter a decision."""

    name: str
    expected: str
    """The unit as most houses have it; empty for a number without one."""
    factors: Mapping[str, float]
    """Accepted units, each with its factor to the canonical one."""
    low: float
    high: float
    """Limits in the canonical unit; outside is not the quantity, whatever the source says."""
    canonical: str


_W = {"W": 1.0, "kW": 1e3, "MW": 1e6}
_WH = {"Wh": 1.0, "kWh": 1e3, "MWh": 1e6}
POWER = Quantity("power", "W", _W, -50_000, 50_000, "W")
PV_POWER = Quantity("PV power", "W", _W, -200, 50_000, "W")
"""A sleeping inverter draws a few watts; that is no production, and no fault either."""
PERCENT = Quantity("percentage", "%", {"%": 1.0}, 0, 100, "%")
DAY_ENERGY = Quantity("daily energy", "kWh", _WH, 0, 1_000_000, "Wh")
DURATION = Quantity("duration", "s", {"s": 1.0, "min": 60.0, "h": 3600.0}, 0, 2**32, "s")
FLAG = Quantity("switch", "", {"": 1.0}, 0, 1, "")
MODE = Quantity("mode", "", {"": 1.0}, 0, 255, "")

Source = str | tuple[str, ...] | None
"""One entity, several that are summed, or none."""


@dataclass(frozen=True, slots=True)
class EntityMapping:
    """Which entity delivers which value; a user's choice wins over what is detected."""

    grid_power: Source = None
    battery_power: Source = None
    pv_power: Source = None
    soc: Source = None
    exported_today: Source = None
    produced_today: Source = None
    forecast_today: Source = None
    reserve_soc: Source = None
    dispatch_start: Source = None
    dispatch_power: Source = None
    dispatch_mode: Source = None
    dispatch_soc: Source = None
    dispatch_time: Source = None

    def over(self, other: EntityMapping) -> EntityMapping:
        """Return the other mapping with everything that this one sets."""
        chosen = {f.name: getattr(self, f.name) or getattr(other, f.name) for f in fields(self)}
        return EntityMapping(**chosen)

    def entity_ids(self) -> frozenset[str]:
        """Return every entity that is named."""
        return frozenset(entity for f in fields(self) for entity in ids(getattr(self, f.name)))

    def measured_ids(self) -> frozenset[str]:
        """Return the entities that the inverter feeds, so all but forecasts and helpers."""
        names = [f.name for f in fields(self) if f.name not in OPTIONAL]
        return frozenset(entity for name in names for entity in ids(getattr(self, name)))

    def dispatch_ids(self) -> list[str]:
        """Return the entities that read the dispatch block back."""
        names = [f.name for f in fields(self) if f.name.startswith("dispatch_")]
        return sorted({entity for name in names for entity in ids(getattr(self, name))})


@dataclass(frozen=True, slots=True)
class HelperMapping:
    """The package's own toggles and sliders; a user's choice wins over what is detected."""

    discharge_button: str | None = None
    discharge_power: str | None = None
    discharge_cutoff_soc: str | None = None
    discharge_duration: str | None = None
    discharge_timer: str | None = None
    charge_button: str | None = None
    charge_power: str | None = None
    charge_cutoff_soc: str | None = None
    charge_duration: str | None = None
    charge_timer: str | None = None
    reset_button: str | None = None

    def over(self, states: Container[str]) -> HelperMapping:
        """Return the mapping with what is not chosen taken from the entities that exist."""
        found = {
            name: next((entity for entity in candidates if entity in states), None)
            for name, candidates in HELPER_CANDIDATES.items()
        }
        return HelperMapping(**{name: getattr(self, name) or found[name] for name in found})

    def entity_ids(self) -> frozenset[str]:
        """Return every entity that is named."""
        return frozenset(getattr(self, f.name) for f in fields(self)) - {None}


def ids(source: Source) -> tuple[str, ...]:
    """Return the entities of a source, in order."""
    if source is None:
        return ()
    return (source,) if isinstance(source, str) else tuple(source)


_A = "sensor.alphaess_"
_STRINGS = tuple(f"{_A}pv{n}_power" for n in range(1, 5))
CANDIDATES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    # Best first; each is one entity, or several that only count together.
    "grid_power": ((f"{_A}power_grid",),),
    "battery_power": ((f"{_A}power_battery",),),
    "pv_power": (
        (f"{_A}current_pv_production",),
        (*_STRINGS, f"{_A}active_power_pv_meter"),
        _STRINGS,
    ),
    "soc": ((f"{_A}soc_battery",), (f"{_A}battery_soc",)),
    "exported_today": ((f"{_A}today_s_energy_feed_to_grid_meter",),),
    "produced_today": ((f"{_A}today_s_energy_from_pv",),),
    "forecast_today": (("sensor.solcast_pv_forecast_forecast_today",),),
    "dispatch_start": ((f"{_A}dispatch_start",),),
    "dispatch_power": ((f"{_A}dispatch_active_power",),),
    "dispatch_mode": ((f"{_A}dispatch_mode",),),
    "dispatch_soc": ((f"{_A}dispatch_soc",),),
    "dispatch_time": ((f"{_A}dispatch_time",),),
}
"""`reserve_soc` is missing: which helper means a reserve is nobody's to guess."""
OPTIONAL = frozenset({"forecast_today", "reserve_soc"})


def _forced(kind: str, what: str, *domains: str) -> tuple[str, ...]:
    return tuple(f"{domain}.alphaess_helper_force_{kind}{what}" for domain in domains)


def _helper_candidates(kind: str, name: str) -> dict[str, tuple[str, ...]]:
    slider = ("input_number", "number")
    return {
        f"{name}_button": _forced(kind, "", "input_boolean", "switch"),
        # First the one that knows the inverter's AC limit and refuses what exceeds it (D-28).
        f"{name}_power": (
            f"number.alphaess_template_force_{kind}_power",
            *_forced(kind, "_power", *slider),
        ),
        f"{name}_cutoff_soc": _forced(kind, "_cutoff_soc", *slider),
        f"{name}_duration": _forced(kind, "_duration", *slider),
        f"{name}_timer": _forced(kind, "_timer", "timer"),
    }


HELPER_CANDIDATES: Mapping[str, tuple[str, ...]] = {
    **_helper_candidates("discharging", "discharge"),
    **_helper_candidates("charging", "charge"),
    "reset_button": tuple(
        f"{domain}.alphaess_helper_dispatch_reset_full" for domain in ("input_button", "button")
    ),
}
"""The package's helpers by their purpose, best first."""
HELPER_IDS = frozenset(entity for found in HELPER_CANDIDATES.values() for entity in found)
AC_COUPLED_ENERGY = f"{_A}today_s_energy_from_pv_meter"
CANDIDATE_IDS = frozenset(
    {entity for found in CANDIDATES.values() for group in found for entity in group}
    | {AC_COUPLED_ENERGY}
)


def detect(states: Mapping[str, EntityState]) -> tuple[EntityMapping, list[str]]:
    """
    Find the entities of the Hillview package and of Solcast among those that exist.

    A candidate that holds a value wins over one that exists and holds none, so that a leftover of
    an older package does not hide the newer one.

    Returns:
        The mapping, and findings in words for a person: what is missing or not counted.
    """
    found: dict[str, Source] = {}
    findings: list[str] = []
    for name, candidates in CANDIDATES.items():
        present = [group for group in candidates if all(entity in states for entity in group)]
        telling = [group for group in present if all(tells(states[e]) for e in group)]
        if not present:
            if name not in OPTIONAL:
                looked_for = " or ".join(group[0] for group in candidates)
                findings.append(
                    f"{name}: found neither {looked_for}; choose the entity in the settings"
                    if len(candidates) > 1
                    else f"{name}: found no {looked_for}; choose the entity in the settings"
                )
            continue
        best = (telling or present)[0]
        found[name] = best[0] if len(best) == 1 else best
        if name == "soc" and len(telling) > 1:
            findings.append(
                f"soc: {' and '.join(group[0] for group in telling)} both hold a value; "
                f"{best[0]} is used, choose the other one in the settings if that is wrong"
            )
    ac_coupled = states.get(AC_COUPLED_ENERGY)
    if ac_coupled is not None and (_number(ac_coupled.state) or 0) > 0:
        findings.append(
            f"produced_today: {AC_COUPLED_ENERGY} (an AC-coupled PV meter) is not counted; "
            "choose both entities in the settings if its energy may be exported too"
        )
    return EntityMapping(**found), findings


def read(
    source: Source, states: Mapping[str, EntityState], quantity: Quantity
) -> tuple[float | None, Quality, str]:
    """Return value in the canonical unit, quality and reason; several entities are summed."""
    named = ids(source)
    if not named:
        return None, Quality.MISSING, "no entity is chosen or was found; choose one in the settings"
    total = 0.0
    for entity_id in named:
        value, quality, detail = _read_one(entity_id, states.get(entity_id), quantity)
        if value is None:
            return None, quality, detail
        total += value
    if not quantity.low <= total <= quantity.high:
        return None, Quality.INVALID, _out_of_range(" + ".join(named), total, quantity)
    return total, Quality.GOOD, ""


def _read_one(
    entity_id: str, state: EntityState | None, quantity: Quantity
) -> tuple[float | None, Quality, str]:
    if state is None:
        return (
            None,
            Quality.MISSING,
            f"{entity_id} does not exist in Home Assistant; is it renamed?",
        )
    text = state.state.strip()
    if state.restored:
        reason = (
            f"{entity_id} shows a placeholder from before Core's start; it waits for its source"
        )
        return None, Quality.UNAVAILABLE, reason
    if text.lower() in NOT_A_VALUE:
        reason = f"{entity_id} is {text or 'empty'}; look at the integration that feeds it"
        return None, Quality.UNAVAILABLE, reason
    number, shown = _number(text), text[:40]
    if number is None:
        return None, Quality.INVALID, f"{entity_id} says {shown!r}, which is not a number"
    if not math.isfinite(number):
        reason = f"{entity_id} says {shown}; look at the template or integration that feeds it"
        return None, Quality.UNAVAILABLE, reason
    return _convert(entity_id, number, state.unit or "", quantity)


def _convert(
    entity_id: str, number: float, unit: str, quantity: Quantity
) -> tuple[float | None, Quality, str]:
    if unit not in quantity.factors:
        return None, Quality.INVALID, _wrong_unit(entity_id, number, unit, quantity)
    value = number * quantity.factors[unit]
    if not quantity.low <= value <= quantity.high:
        return None, Quality.INVALID, _out_of_range(entity_id, value, quantity)
    return value, Quality.GOOD, ""


def _number(text: str) -> float | None:
    """Return what the text says; `float` alone would take 1_000 and foreign digits too."""
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _wrong_unit(entity_id: str, number: float, unit: str, quantity: Quantity) -> str:
    if not quantity.expected:
        return f"{entity_id} says {number:g} {unit[:12]}; expected a plain number without a unit"
    says = f"{number:g} in {unit[:12]!r}" if unit else f"{number:g} without a unit"
    return (
        f"{entity_id} says {says}; expected {quantity.expected}; "
        "set unit_of_measurement where the entity is defined, or choose another entity"
    )


def _out_of_range(entity_id: str, value: float, quantity: Quantity) -> str:
    unit = f" {quantity.canonical}" if quantity.canonical else ""
    return (
        f"{entity_id} says {value:g}{unit}, outside {quantity.low:g} to {quantity.high:g}{unit} "
        f"so it is no {quantity.name}; look at the entity's source"
    )


def unreadable(source: Source, quality: Quality, detail: str) -> Reading:
    """Return the reading of a source that cannot be read now."""
    return Reading(None, quality, label(source), detail=detail)


def label(source: Source) -> str:
    """Return the source as a person would look it up."""
    return " + ".join(ids(source)) or "not configured"


def tells(state: EntityState | None) -> bool:
    """Whether the entity holds anything at all, good or bad."""
    if state is None:
        return False
    return not state.restored and state.state.strip().lower() not in NOT_A_VALUE
