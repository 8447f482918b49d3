"""
What the planner knows of the hours to come, from whatever entity or service the site has.

`read` takes a payload as it came and the shape that the settings name, or finds the shape by
itself. It never raises: a payload that cannot be used gives an empty series with the reason, the
plan ends, and the guard goes on. Fetching is not done here.

Source: export_monitor.md, section 5 and defects D-17, D-35 to D-38.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from enum import StrEnum

from agent.house.forecast_grid import CARBON, carbon_intensity, rates
from agent.house.forecast_pv import WATTS, forecast_solar, solcast
from agent.house.series import Series, empty


class Shape(StrEnum):
    """How a payload is built."""

    SOLCAST = "solcast"
    FORECAST_SOLAR = "forecast_solar"
    """Also Home Assistant's own `wh_hours`."""
    CARBON_INTENSITY = "carbon_intensity"
    """The GB API, the sensors made from it, and Electricity Maps."""
    RATES = "rates"


_UNITS = {
    Shape.SOLCAST: WATTS,
    Shape.FORECAST_SOLAR: WATTS,
    Shape.CARBON_INTENSITY: CARBON,
}
_READERS: dict[Shape, Callable[[object, str, tzinfo], Series]] = {
    Shape.SOLCAST: solcast,
    Shape.FORECAST_SOLAR: forecast_solar,
    Shape.CARBON_INTENSITY: carbon_intensity,
}
_SOLAR_MARKS = frozenset({"watt_hours", "watt_hours_period", "wh_hours"})


def read(
    payload: object, shape: Shape, source: str, *, unit: str = "", naive: tzinfo = UTC
) -> Series:
    """
    Return what a payload tells, or an empty series with the reason; never raises.

    Args:
        payload: JSON as it was read, or the attributes of an entity.
        shape: how it is built.
        source: entity or service, as a person would look it up.
        unit: of prices, as `p/kWh`; other shapes have one of their own.
        naive: zone of times that name none.
    """
    try:
        if shape is Shape.RATES:
            return rates(payload, source, unit, naive)
        return _READERS[shape](payload, source, naive)
    except Exception as error:  # noqa: BLE001 - whatever others sent must not reach the guard
        known = _UNITS.get(shape, unit)
        return empty(known, source, f"it cannot be read ({type(error).__name__})")


def pv_shape(payload: object) -> Shape:
    """Return the shape of a PV forecast; Solcast's where nothing speaks for another."""
    held = payload.get("result", payload) if isinstance(payload, Mapping) else payload
    if isinstance(held, Mapping) and _SOLAR_MARKS & held.keys():
        return Shape.FORECAST_SOLAR
    return Shape.SOLCAST
