"""
Which entity stands for what, and whether it can: one line per entity setting, for the page.

The doctor examines a house for half a minute; this looks at what is known at once, so that whoever
chooses an entity sees in the same moment what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.homeassistant.states import EntityState
from agent.house.hass_entities import (
    CANDIDATES,
    DAY_ENERGY,
    DURATION,
    FLAG,
    MODE,
    NOT_A_VALUE,
    OPTIONAL,
    PERCENT,
    POWER,
    PV_POWER,
    Quantity,
    ids,
    read,
)
from agent.setting_entities import Entities

QUANTITIES: Mapping[str, Quantity] = {
    "grid_power": POWER,
    "battery_power": POWER,
    "pv_power": PV_POWER,
    "soc": PERCENT,
    "exported_today": DAY_ENERGY,
    "produced_today": DAY_ENERGY,
    "forecast_today": DAY_ENERGY,
    "forecast_tomorrow": DAY_ENERGY,
    "reserve_soc": PERCENT,
    "dispatch_start": FLAG,
    "dispatch_power": POWER,
    "dispatch_mode": MODE,
    "dispatch_soc": PERCENT,
    "dispatch_time": DURATION,
}
"""What the number has to be; of the other entities only a state is asked."""
NEEDED = frozenset(CANDIDATES) - OPTIONAL
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class EntityCheck:
    """One entity setting and what became of it."""

    key: str
    """Of the setting: `entities.soc`."""
    chosen: tuple[str, ...]
    used: tuple[str, ...]
    """Chosen, else found; empty where there is none."""
    verdict: str
    """`ok`, `warning`, `failure`, or `skipped` where none is needed."""
    value: float | None
    unit: str
    text: str
    """What is wrong and what to do about it, or what is read."""
    updated_at: float | None
    """Core's clock, seconds since 1970: when the oldest of them got its value; `None` without."""


def checks(
    entities: Entities,
    found: object | None,
    states: Mapping[str, EntityState],
    linked: bool,
) -> list[EntityCheck]:
    """
    Check every entity setting.

    Args:
        entities: what was chosen.
        found: mapping in use, with what was detected; `None` on a path without one.
        states: what Home Assistant tells of the entities that are watched.
        linked: whether it tells anything now.
    """
    return [_check(name, entities, found, states, linked) for name in Entities.model_fields]


def _check(
    name: str,
    entities: Entities,
    found: object | None,
    states: Mapping[str, EntityState],
    linked: bool,
) -> EntityCheck:
    key, quantity = f"entities.{name}", QUANTITIES.get(name)
    chosen = ids(getattr(entities, name))
    used = chosen or ids(getattr(found, name, None))
    unit = quantity.canonical if quantity else ""

    updated_at = _oldest(used, states) if linked else None

    def told(verdict: str, text: str, value: float | None = None) -> EntityCheck:
        return EntityCheck(key, chosen, used, verdict, value, unit, text, updated_at)

    if not used:
        if name in NEEDED and hasattr(found, name):
            return told("failure", "No entity is chosen or was found; choose one.")
        return told("skipped", "None is chosen or was found; none is needed.")
    if not linked:
        return told("skipped", "Home Assistant does not answer; its entities cannot be seen.")
    if quantity is not None:
        value, _, detail = read(used, states, quantity)
        if value is None:
            return told("failure" if chosen or name in NEEDED else "warning", f"{detail}.")
        return told("ok", f"{' + '.join(used)}: {value:g} {unit}".strip() + ".", value)
    return told(*_seen(used, states))


def _seen(used: tuple[str, ...], states: Mapping[str, EntityState]) -> tuple[str, str]:
    """Judge entities that are no numbers by their being there."""
    for entity_id in used:
        state = states.get(entity_id)
        if state is None:
            absent = "does not exist in Home Assistant, or is not read on this path"
            return "warning", f"{entity_id} {absent}; look at its name."
        if state.state.strip().lower() in NOT_A_VALUE - {"unknown"}:
            return "failure", f"{entity_id} is {state.state or 'empty'}; look at what feeds it."
    shown = (f"{entity_id} is {states[entity_id].state.strip()[:_LONGEST]}" for entity_id in used)
    return "ok", f"{', '.join(shown)}."


def _oldest(used: tuple[str, ...], states: Mapping[str, EntityState]) -> float | None:
    """Return when the one was updated that waits for the longest; a sum is as old as that."""
    known = [states[entity_id].last_updated for entity_id in used if entity_id in states]
    return min(known, default=None)
