"""
Hears the announcements of devices itself, where the network lets it.

Only a plain machine or host networking does: what reaches a container in Home Assistant's own
network are announcements without an answer to our questions. So this is one source of several,
and a socket that cannot be opened is said once and missed by nobody.

Source: ha_platform.md, section 2.5; esphome.md, section 4; python-zeroconf 0.154.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from zeroconf import InterfaceChoice, IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from agent.fleet.sighting import (
    SERVICE_TYPE,
    Sighting,
    Source,
    announced,
    instance_name,
)

LOG = logging.getLogger(__name__)
ASK_MS = 3000.0
"""How long a device has to complete its announcement."""


class OwnZeroconf:
    """Words from announcements; `run` listens until cancelled."""

    def __init__(
        self,
        *,
        on_word: Callable[[Sighting], None],
        on_withdrawn: Callable[[Source, str], None],
        interfaces: Sequence[str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_word = on_word
        self._on_withdrawn = on_withdrawn
        self._interfaces = interfaces
        self._monotonic = monotonic
        self._due = asyncio.Event()
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """
        Listen until cancelled.

        Raises:
            OSError: this machine does not let us listen; the other sources remain.
        """
        interfaces = list(self._interfaces) if self._interfaces else InterfaceChoice.All
        heard = AsyncZeroconf(interfaces=interfaces, ip_version=IPVersion.V4Only)
        try:
            while True:
                await self._browse(heard.zeroconf)
        finally:
            for task in self._asking.values():
                task.cancel()
            await heard.async_close()

    def again(self) -> None:
        """Ask the network now who is there."""
        self._due.set()

    async def _browse(self, zeroconf: Zeroconf) -> None:
        """Listen until somebody wants to ask again: a browser asks when it begins."""
        self._due.clear()
        browser = AsyncServiceBrowser(zeroconf, SERVICE_TYPE, handlers=[self._changed])
        try:
            await self._due.wait()
        finally:
            await browser.async_cancel()

    def _changed(
        self,
        zeroconf: Zeroconf,
        service_type: str,
        name: str,
        state_change: ServiceStateChange,
    ) -> None:
        if state_change is ServiceStateChange.Removed:
            node = instance_name(name)
            if node is not None:
                self._on_withdrawn(Source.ZEROCONF, node)
            return
        info = AsyncServiceInfo(service_type, name)
        if info.load_from_cache(zeroconf):
            self._pass_on(info)
        elif name not in self._asking:
            task = asyncio.get_running_loop().create_task(self._ask(zeroconf, info))
            self._asking[name] = task
            task.add_done_callback(lambda _done: self._asking.pop(name, None))

    async def _ask(self, zeroconf: Zeroconf, info: AsyncServiceInfo) -> None:
        if await info.async_request(zeroconf, ASK_MS):
            self._pass_on(info)
        else:
            LOG.debug("%r announced itself and did not answer", info.name)

    def _pass_on(self, info: AsyncServiceInfo) -> None:
        word = announced(
            Source.ZEROCONF,
            self._monotonic(),
            instance=info.name,
            addresses=[str(it) for it in info.ip_addresses_by_version(IPVersion.All)],
            port=info.port,
            txt={key.lower(): value for key, value in info.decoded_properties.items()},
        )
        if word is not None:
            self._on_word(word)
