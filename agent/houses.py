"""
Builds the house that the settings name: its meter, its actuator, and what keeps them alive.

Home Assistant's entities or a bridge for a real inverter, or the simulated inverter for the demo.
Where there are both, one commands and the other one's values are there to compare. Each is a
context that the app enters with the guard and leaves when the guard has given the battery back.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from agent.bridges import Bridges
from agent.clock import SystemClock
from agent.fleet.identity import mac_of
from agent.homeassistant.websocket import CoreConnection
from agent.house.feed_in import SENSOR, EmbeddedFeedIn, FeedInPort, HassFeedIn
from agent.house.firmware import BridgeFirmware, EmbeddedFirmware, HassFirmware
from agent.house.hass_alphaess import HELPER_TRAITS, TRAITS, HassAlphaEss
from agent.house.hass_entities import EntityMapping, HelperMapping
from agent.house.hass_helpers import HassHelpers
from agent.house.port import BatteryActuator, SiteMeter
from agent.house.readings import Reading, missing
from agent.planning import Sources
from agent.settings import Settings

if TYPE_CHECKING:  # it loads the client of bridges
    from agent.house.bridge_alphaess import BridgeAlphaEss

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
    firmware: Callable[[], str] = lambda: ""
    """Of the inverter, for the commissioning record; empty while it is not known."""
    feed_in: FeedInPort | None = None
    """The inverter's own feed-in limit; `None` where the path cannot write it."""
    other: SiteMeter | None = None
    """The same house as another path reads it; it runs with this one."""
    foreign_requests: Callable[[], int] = lambda: 0
    """How many requests of a second master on the line were heard, if any was of late."""


@asynccontextmanager
async def on_path(
    path: str, settings: Settings, core: CoreConnection, bridges: Bridges
) -> AsyncIterator[House]:
    """Give the house as it is commanded on this path, with what another source says of it."""
    async with AsyncExitStack() as ends:
        if path == "bridge":
            yield await ends.enter_async_context(of_bridge(settings, core, bridges))
            return
        house = await ends.enter_async_context(of_home_assistant(settings, core, path))
        if "bridge" in settings.paths:
            other = await ends.enter_async_context(_bridge(settings, bridges))
            house = replace(house, other=other)
        yield house


@asynccontextmanager
async def of_bridge(
    settings: Settings, core: CoreConnection, bridges: Bridges
) -> AsyncIterator[House]:
    """
    Give the house behind the bridge of the settings.

    The connection is the one that the agent keeps to this bridge anyway. What a bridge cannot
    know, forecast and reserve, is Home Assistant's as it was told last.
    """
    hass = _alphaess(settings, core, TRAITS.path)
    forecast, reserve = _Lasting(hass.forecast_today), _Lasting(hass.reserve_soc)
    async with _bridge(settings, bridges, forecast, reserve) as adapter:
        yield House(
            adapter,
            adapter,
            lambda: f"bridge {settings.path_bridge}/{settings.dispatch_soc_scale}",
            hass.run,
            BridgeFirmware(adapter.text),
            other=hass,
            foreign_requests=lambda: adapter.heard_of_late(time.monotonic()),
        )


class _Lasting:
    """A reading that stays what it was while its source is away; its age tells that."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read
        self._last: Reading | None = None

    def __call__(self) -> Reading:
        reading = self._read()
        if reading.good or self._last is None:
            self._last = reading if reading.good else None
            return reading
        return self._last


@asynccontextmanager
async def _bridge(
    settings: Settings,
    bridges: Bridges,
    forecast: Callable[[], Reading] = lambda: missing("forecast"),
    reserve: Callable[[], Reading] = lambda: missing("reserve_soc"),
) -> AsyncIterator[BridgeAlphaEss]:
    mac = mac_of(settings.path_bridge)
    if mac is None:
        raise ValueError("the settings name no bridge")
    # Loaded here: without a bridge nobody pays for its client.
    module = await asyncio.to_thread(importlib.import_module, "agent.house.bridge_alphaess")
    adapter: BridgeAlphaEss = module.BridgeAlphaEss(
        lambda: None if mac in bridges.lent() else bridges.bridge(mac),
        soc_scale=settings.dispatch_soc_scale,
        forecast_today=forecast,
        reserve_soc=reserve,
    )
    end = bridges.listen(mac, adapter.value, adapter.contact)
    try:
        yield adapter
    finally:
        end()


def _alphaess(settings: Settings, core: CoreConnection, path: str) -> HassAlphaEss:
    return HassAlphaEss(
        core,
        _chosen(EntityMapping, settings),
        hub=settings.modbus_hub,
        unit=settings.modbus_unit,
        soc_scale=settings.dispatch_soc_scale,
        traits=HELPER_TRAITS if path == HELPER_TRAITS.path else TRAITS,
    )


@asynccontextmanager
async def of_home_assistant(
    settings: Settings, core: CoreConnection, path: str | None = None
) -> AsyncIterator[House]:
    """Give the house behind Home Assistant's entities, and its Modbus hub or its helpers."""
    path = path or settings.path
    through_helpers = path == HELPER_TRAITS.path
    adapter = _alphaess(settings, core, path)
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

    feed_in = None
    if helpers is None:
        entity = settings.entities.feed_in_limit or SENSOR
        name = f"{path} {settings.modbus_hub}/{settings.modbus_unit}"
        feed_in = HassFeedIn(core, adapter, entity, name)
    firmware = HassFirmware(core)
    yield House(adapter, helpers or adapter, identity, adapter.run, firmware, feed_in)


def _chosen(mapping: type[_MappingT], settings: Settings) -> _MappingT:
    """Return the entities that the user has chosen for this mapping."""
    chosen = settings.entities.model_dump()
    names = {field.name for field in fields(mapping)}
    return mapping(**{name: value for name, value in chosen.items() if name in names})


def made_up_forecasts(now: Callable[[], datetime]) -> Sources:
    """
    Give forecasts for the demo that are made up, and say so.

    Args:
        now: the present moment; the simulated house believes that it is late afternoon then.
    """
    # Imported here, as the rest of the simulator.
    from agent.simulator.made_up import MadeUp  # noqa: PLC0415

    return MadeUp(now() - timedelta(seconds=_AFTERNOON_S))


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
        identity = "direct simulated inverter"
        firmware = EmbeddedFirmware(adapter)

        async def run() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(adapter.run())
                tasks.create_task(firmware.run())

        feed_in = EmbeddedFeedIn(adapter, identity)
        yield House(adapter, adapter, lambda: identity, run, firmware, feed_in)
