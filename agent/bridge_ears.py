"""
Who tells the running agent of bridges: Home Assistant, our own ears on the network, the settings.

Either may be missing or fall silent by itself; what was heard goes to whoever listens.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.fleet.discovery import CoreDiscovery
from agent.fleet.identity import mac_of
from agent.fleet.sighting import Sighting, Source
from agent.homeassistant.websocket import CoreConnection
from agent.setting_texts import bridge_list, networks
from agent.settings import Settings

if TYPE_CHECKING:
    from agent.fleet.own_zeroconf import OwnZeroconf

LOG = logging.getLogger(__name__)
ANSWERS_S = 3.0
"""How long devices take to answer a question to all of them."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is called with what was heard."""

    word: Callable[[Sighting], None]
    withdrawn: Callable[[Source, str], None]
    silent: Callable[[Source], None]
    found: Callable[[], None]
    """Everybody who was asked has had the time to answer."""


class Ears:
    """Home Assistant's discovery and our own, while they run."""

    def __init__(self, core: CoreConnection | None, hearing: Hearing) -> None:
        self._core = core
        self._hearing = hearing
        self._discovery: CoreDiscovery | None = None
        self._own: OwnZeroconf | None = None
        """Our own ears, while they hear."""

    @property
    def up(self) -> bool:
        """Whether anybody can tell us of a new bridge now."""
        core = self._discovery is not None and self._core is not None and self._core.link.up
        return core or self._own is not None

    async def run(self, bridge_networks: str) -> None:
        """Listen until cancelled, on our own only where networks are named for it."""
        async with asyncio.TaskGroup() as tasks:
            if self._core is not None:
                tasks.create_task(self._hear_core(self._core))
            if bridge_networks:
                tasks.create_task(self._hear(networks(bridge_networks)))

    async def ask(self) -> None:
        """
        Ask again who is there.

        Raises:
            OSError: nobody could be asked; the text says why.
        """
        core, own = self._discovery, self._own
        if own is not None:
            own.again()
            await asyncio.sleep(ANSWERS_S)
        if core is not None and await core.again():
            return
        if own is None:
            raise OSError(
                "Nobody could be asked: Home Assistant does not answer, and no network is "
                "listened on. Look at its link, or set bridge_networks."
            )
        self._hearing.found()

    async def _hear_core(self, core: CoreConnection) -> None:
        hearing = self._hearing
        self._discovery = CoreDiscovery(
            core,
            on_word=hearing.word,
            on_withdrawn=hearing.withdrawn,
            on_silent=hearing.silent,
            on_read=hearing.found,
        )
        try:
            await self._discovery.run()
        finally:
            self._discovery = None

    async def _hear(self, addresses: tuple[str, ...]) -> None:
        hearing = self._hearing
        module = await asyncio.to_thread(importlib.import_module, "agent.fleet.own_zeroconf")
        interfaces = None if addresses == ("all",) else addresses
        own = module.OwnZeroconf(
            on_word=hearing.word, on_withdrawn=hearing.withdrawn, interfaces=interfaces
        )
        self._own = own
        heard = asyncio.get_running_loop().call_later(ANSWERS_S, hearing.found)
        try:
            await own.run()
        except OSError as error:
            LOG.warning(
                "announcements of bridges cannot be heard on this machine: %s. Bridges are still "
                "found through Home Assistant and the list in the settings",
                error,
            )
        finally:
            heard.cancel()
            self._own = None
            hearing.silent(Source.ZEROCONF)


def written_down(settings: Settings, now_s: float) -> list[Sighting]:
    """Return what the list in the settings says, as words of the fleet."""
    return [
        Sighting(
            source=Source.MANUAL,
            at_s=now_s,
            mac=mac_of(it.mac),
            addresses=(it.host,),
            api_port=it.api_port,
            upload_port=it.upload_port,
        )
        for it in bridge_list(settings.bridge_list)
    ]
