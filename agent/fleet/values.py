"""
What a bridge shows: its entities and the newest value of each, as they are pushed.

An entity is known by its domain and its object id, as `sensor.grid_power`: the same words that
stand in its configuration. A value that the device does not have is `None`, never a zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from aioesphomeapi.model import EntityInfo, EntityState

Scalar = bool | float | str | None


@dataclass(frozen=True, slots=True)
class Value:
    """One value of one entity."""

    entity: str
    """Domain and object id: `sensor.grid_power`."""
    value: Scalar
    unit: str
    at_s: float
    """When it arrived, on our monotonic clock."""


class Board:
    """The entities of one connection and their newest values."""

    def __init__(self) -> None:
        self._by_number: dict[tuple[int, int], tuple[str, str]] = {}
        self._numbers: dict[str, tuple[int, int]] = {}
        self._values: dict[str, Value] = {}

    @property
    def values(self) -> Mapping[str, Value]:
        """Return the newest value of each entity that has told one."""
        return MappingProxyType(self._values)

    @property
    def entities(self) -> frozenset[str]:
        """Return all entities of the device."""
        return frozenset(self._numbers)

    def begin(self, infos: Iterable[EntityInfo]) -> None:
        """Take the entities of a new connection; values of the old one are no longer true."""
        self._by_number.clear()
        self._numbers.clear()
        self._values.clear()
        for info in infos:
            entity = f"{domain_of(info)}.{info.object_id}"
            number = (info.device_id, info.key)
            self._by_number[number] = (entity, str(getattr(info, "unit_of_measurement", "")))
            self._numbers[entity] = number

    def end(self) -> None:
        """Forget the values: what a device said before it was lost is not how it is."""
        self._values.clear()

    def take(self, state: EntityState, now_s: float) -> Value | None:
        """Take a pushed state; return the value, or `None` for one that has no single value."""
        known = self._by_number.get((state.device_id, state.key))
        if known is None or not hasattr(state, "state"):
            return None
        entity, unit = known
        value = Value(entity, _scalar(state), unit, now_s)
        self._values[entity] = value
        return value

    def key(self, entity: str) -> tuple[int, int]:
        """
        Return device id and key of an entity.

        Raises:
            KeyError: the device has no such entity; the message says so.
        """
        try:
            return self._numbers[entity]
        except KeyError:
            raise KeyError(f"the device has no {entity}") from None


def domain_of(info: EntityInfo) -> str:
    """Return the domain of an entity: `BinarySensorInfo` is a `binary_sensor`."""
    name = type(info).__name__.removesuffix("Info")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _scalar(state: EntityState) -> Scalar:
    value = getattr(state, "state", None)
    if getattr(state, "missing_state", False) or not isinstance(value, bool | int | float | str):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
