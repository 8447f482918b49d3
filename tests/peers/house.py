"""A whole house: an inverter with its plant, a Core that polls it, and the broker between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.simulator.inverter import Inverter
from tests.peers import hillview
from tests.peers.ha_client import CoreClient
from tests.peers.hillview import Generation
from tests.peers.homeassistant import Core
from tests.peers.mosquitto import Broker


@dataclass(frozen=True, slots=True)
class House:
    """The parts of a house that runs."""

    inverter: Inverter
    core: Core

    def client(self) -> CoreClient:
        """Return a new connection of the owner's to Core, to be entered."""
        return CoreClient(self.core.url, self.core.token)

    async def settled(self) -> None:
        """
        Wait until the package has reset the dispatch, as it does whenever Core starts.

        The reset waits for the first poll of 141 sensors and then turns every toggle off, also
        one that somebody has turned on meanwhile.
        """
        async with self.client() as client:
            await client.until_state(
                "automation.alphaess_dispatch_reset_full",
                lambda state: (
                    state["attributes"]["last_triggered"] is not None
                    and state["attributes"]["current"] == 0
                ),
            )


@asynccontextmanager
async def house(
    version: str,
    directory: Path,
    *,
    inverter: Inverter | None = None,
    broker: Broker | None = None,
    generation: Generation = Generation.CURRENT,
    slowest_scan_s: int = 60,
    packages: Mapping[str, object] | None = None,
    settle: bool = True,
    **options: Any,
) -> AsyncIterator[House]:
    """
    Run an inverter and a Core with the Hillview package, until the block ends.

    The inverter may be one that the test has made, not yet started; `options` go to `Core`. With
    `settle`, the package's reset at Core's start is over when the block begins.
    """
    async with inverter or Inverter() as running:
        package = hillview.package(
            running.port, generation=generation, slowest_scan_s=slowest_scan_s
        )
        all_packages = {"alphaess": package, **(packages or {})}
        async with Core(
            version, directory, broker=broker, packages=all_packages, **options
        ) as core:
            found = House(running, core)
            if settle:
                await found.settled()
            yield found
