"""
Builds the house that the settings name: its meter, its actuator, and what keeps them alive.

Home Assistant's entities for a real inverter, or the simulated inverter for the demo. Each is a
context that the app enters with the guard and leaves when the guard has given the battery back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import TypeVar

from agent.clock import SystemClock
from agent.homeassistant.websocket import CoreConnection
from agent.house.hass_alphaess import HELPER_TRAITS, TRAITS, HassAlphaEss
from agent.house.hass_entities import EntityMapping, HelperMapping
from agent.house.hass_helpers import HassHelpers
from agent.house.port import BatteryActuator, SiteMeter
from agent.settings import Settings

_LIVED_S = 60.0
"""A house begins in balance, not with a battery that has yet to follow the sun."""
_AFTERNOON_S = 17.25 * 3600
_PRODUCED_WH = 4200.0
_EXPORTED_WH = 300.0
_FORECAST_WH = 6000.0
_MappingT = TypeVar("_MappingT", EntityMapping, HelperMapping)


@dataclass(frozen=True, slots=True)
class House:
    """One way to one inverter."""

    meter: SiteMeter
    actuator: BatteryActuator
    identity: Callable[[], str]
    """Path and inputs, for the commissioning record; empty while they are not known."""
    run: Callable[[], Awaitable[None]]
    """Has to run while the house is in use."""


@asynccontextmanager
async def of_home_assistant(settings: Settings, core: CoreConnection) -> AsyncIterator[House]:
    """Give the house behind Home Assistant's entities, and its Modbus hub or its helpers."""
    through_helpers = settings.path == HELPER_TRAITS.path
    adapter = HassAlphaEss(
        core,
        _chosen(EntityMapping, settings),
        hub=settings.modbus_hub,
        unit=settings.modbus_unit,
        soc_scale=settings.dispatch_soc_scale,
        traits=HELPER_TRAITS if through_helpers else TRAITS,
    )
    helpers: HassHelpers | None = None
    if through_helpers:
        helpers = HassHelpers(
            core,
            _chosen(HelperMapping, settings),
            lambda: adapter.sample().dispatch,
            adapter.refresh,
        )

    def identity() -> str:
        mapping = adapter.mapping
        if not mapping.grid_power or not mapping.battery_power or not mapping.dispatch_start:
            return ""
        inputs = (mapping.grid_power, mapping.battery_power, mapping.soc, mapping.dispatch_start)
        written = f"{settings.modbus_hub}/{settings.modbus_unit}/{settings.dispatch_soc_scale}"
        if helpers is not None:
            written = f"{helpers.mapping.discharge_button}/{helpers.mapping.discharge_power}"
        return " ".join((adapter.traits.path, written, *(str(value) for value in inputs)))

    yield House(adapter, helpers or adapter, identity, adapter.run)


def _chosen(mapping: type[_MappingT], settings: Settings) -> _MappingT:
    """Return the entities that the user has chosen for this mapping."""
    chosen = settings.entities.model_dump()
    names = {field.name for field in fields(mapping)}
    return mapping(**{name: value for name, value in chosen.items() if name in names})


@asynccontextmanager
async def simulated(clock: SystemClock, seed: int) -> AsyncIterator[House]:
    """
    Give a simulated house with a real Modbus TCP connection to it, for demo and bench.

    It is late afternoon there, and 4.2 kWh were produced and 0.3 kWh exported before.

    Args:
        clock: for the local day of the counters.
        seed: the same seed gives the same weather and loads.
    """
    # Imported here: the simulator and its Modbus library cost a real installation nothing.
    from agent.house.embedded import EmbeddedHouse  # noqa: PLC0415
    from agent.simulator.inverter import Inverter  # noqa: PLC0415
    from agent.simulator.plant import Plant, PlantSettings  # noqa: PLC0415

    plant = Plant(PlantSettings(seed=seed, start_s=_AFTERNOON_S - _LIVED_S, soc_percent=72.0))
    plant.step(_LIVED_S)
    async with Inverter(plant) as inverter:
        adapter = EmbeddedHouse(
            "127.0.0.1",
            inverter.port,
            day_base=(
                plant.true_exported_wh - _EXPORTED_WH,
                plant.true_produced_wh - _PRODUCED_WH,
            ),
            forecast_today_wh=_FORECAST_WH,
            today=lambda: clock.now().day,
        )
        yield House(adapter, adapter, lambda: "direct simulated inverter", adapter.run)
