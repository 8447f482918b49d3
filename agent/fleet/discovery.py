"""
Hears of devices from Home Assistant: as they announce themselves, and whom it remembers.

Both come over the one link to Core and need no network of ours. From 2025.10 on Core passes the
announcements on that it hears; an older one has its registry only, which is read at each connect
and whenever it changes. While the link is down Core vouches for nobody, and nobody is forgotten.

Source: ha_platform.md, sections 2.5 and 6.4; run on Core 2024.1.0 and 2026.11.0.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from agent.fleet import core_words
from agent.fleet.sighting import Sighting, Source
from agent.homeassistant.errors import CallRefusedError, CoreError
from agent.homeassistant.link import Link
from agent.homeassistant.websocket import CoreConnection, Stream

LOG = logging.getLogger(__name__)
ANNOUNCEMENTS = "zeroconf/subscribe_discovery"
ADVICE = "Give the agent the token of an administrator."
RETRY_S = 30.0
SETTLE_S = 0.5
"""A restart of Core changes its registry many times in a row; one reading is enough."""


class CoreDiscovery:
    """Words from Core; `run` keeps them coming until cancelled."""

    def __init__(
        self,
        core: CoreConnection,
        *,
        on_word: Callable[[Sighting], None],
        on_withdrawn: Callable[[Source, str], None],
        on_silent: Callable[[Source], None],
        on_read: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._core = core
        self._on_word = on_word
        self._on_withdrawn = on_withdrawn
        self._on_silent = on_silent
        self._on_read = on_read
        """Told whenever everybody whom Core remembers was passed on."""
        self._monotonic = monotonic
        self._due = asyncio.Event()
        self._refusal = ""
        self.hears_announcements: bool | None = None
        """Whether this Core passes announcements on; `None` before it was asked."""

    async def run(self) -> None:
        """Listen and read until cancelled; no failure of Core ends it."""
        with contextlib.ExitStack() as stack:
            stack.callback(
                self._core.subscribe(Stream(ANNOUNCEMENTS, self._heard, refused=self._deaf))
            )
            stack.callback(
                self._core.subscribe_events("device_registry_updated", lambda _event: self._wake())
            )
            stack.callback(self._core.subscribe_link(self._linked))
            self._due.set()
            while True:
                await self._due.wait()
                self._due.clear()
                if self._core.link.up and not await self._read_registry():
                    await asyncio.sleep(RETRY_S)
                    self._due.set()
                await asyncio.sleep(SETTLE_S)

    async def again(self) -> bool:
        """Ask Core now whom it remembers; return whether it answered."""
        return self._core.link.up and await self._read_registry()

    async def _read_registry(self) -> bool:
        """Pass on whom Core remembers; return whether it could be read."""
        try:
            entries = await self._core.command("config_entries/get", domain="esphome")
            devices = await self._core.command("config/device_registry/list")
        except CallRefusedError as error:
            if str(error) != self._refusal:  # it is asked again and again, and said once
                LOG.warning(
                    "Home Assistant does not let us read its devices: %s. %s", error, ADVICE
                )
            self._refusal = str(error)
            return False
        except CoreError as error:
            LOG.debug("Home Assistant's devices could not be read: %s", error)
            return False
        self._refusal = ""
        for word in core_words.adopted(devices, entries, self._monotonic()):
            self._on_word(word)
        self._on_read()
        return True

    def _heard(self, event: Mapping[str, Any]) -> None:
        self.hears_announcements = True
        for word in core_words.announcements(event, self._monotonic()):
            self._on_word(word)
        for name in core_words.withdrawals(event):
            self._on_withdrawn(Source.CORE_ZEROCONF, name)

    def _deaf(self, error: CallRefusedError) -> None:
        self.hears_announcements = False
        if error.code == "unknown_command":
            LOG.info("this Home Assistant passes no announcements on: that came with 2025.10")
        else:
            LOG.warning("Home Assistant does not let us hear announcements: %s. %s", error, ADVICE)

    def _linked(self, link: Link) -> None:
        if link.up:
            self._wake()
        else:
            self._on_silent(Source.CORE_ZEROCONF)

    def _wake(self) -> None:
        self._due.set()
