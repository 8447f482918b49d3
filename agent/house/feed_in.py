"""
The inverter's own limit of the power fed to the grid (Max Feed to Grid, register 0x0800).

Read and written on demand only: it is a configuration register, believed to be kept in flash.
What may be written, and when, is decided in `export.feed_in`.

Source: export_monitor.md 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agent.homeassistant.errors import CoreError
from agent.homeassistant.websocket import CoreConnection
from agent.house import hass_entities
from agent.house.alphaess import MAX_FEED_PERCENT
from agent.house.port import WriteOutcome

if TYPE_CHECKING:  # a real installation does not load the simulated house
    from agent.house.embedded import EmbeddedHouse
    from agent.house.hass_alphaess import HassAlphaEss

SENSOR = "sensor.alphaess_max_feed_to_grid"
"""As the Hillview package names it."""
_FULL_PERCENT = 100


class FeedInPort(Protocol):
    """Reads and writes the limit; makes no decision."""

    name: str
    """Which inverter by which way: what was saved of another one is not restored here."""

    async def read(self, deadline_s: float) -> int | None:
        """Return the limit in percent as it is now; `None` when that cannot be known."""
        ...

    async def write(self, percent: int, deadline_s: float) -> WriteOutcome:
        """Write the limit in percent; return after `deadline_s` at the latest."""
        ...


class EmbeddedFeedIn:
    """Over the one connection of the embedded house."""

    def __init__(self, house: EmbeddedHouse, name: str) -> None:
        self._house = house
        self.name = name

    async def read(self, deadline_s: float) -> int | None:
        """Return the limit in percent as it is now; `None` when that cannot be known."""
        words = await self._house.read_registers(MAX_FEED_PERCENT.address, 1, deadline_s)
        return words[0] if words is not None and words[0] <= _FULL_PERCENT else None

    async def write(self, percent: int, deadline_s: float) -> WriteOutcome:
        """Write the limit in percent; return after `deadline_s` at the latest."""
        return await self._house.write_registers(MAX_FEED_PERCENT.address, [percent], deadline_s)


class HassFeedIn:
    """Through Home Assistant: its sensor, asked anew each time, and `modbus.write_register`."""

    def __init__(self, core: CoreConnection, adapter: HassAlphaEss, entity: str, name: str) -> None:
        self._core = core
        self._adapter = adapter
        self._entity = entity
        self.name = name

    async def read(self, deadline_s: float) -> int | None:
        """Return the limit in percent as it is now; `None` when that cannot be known."""
        self._core.watch({self._entity})
        data = {"entity_id": self._entity}
        try:
            # After its start Core shows what it knew before; only an answer of today counts.
            await self._core.call_service(
                "homeassistant", "update_entity", data, timeout_s=deadline_s
            )
        except CoreError:
            return None
        value, _, _ = hass_entities.read(self._entity, self._core.states, hass_entities.PERCENT)
        return None if value is None else round(value)

    async def write(self, percent: int, deadline_s: float) -> WriteOutcome:
        """Write the limit in percent; return after `deadline_s` at the latest."""
        return await self._adapter.write_registers(MAX_FEED_PERCENT.address, [percent], deadline_s)
