"""
Keeps one connection to each device that any source knows.

Words come in from discovery and from the connections themselves; what follows from all of them is
one pure question: whom to connect to, where, and with which key. Whenever the answer changes,
connections are begun, redirected or ended. A stranger is asked who it is, and from then on it is
the device of that MAC.

Import it when there is a bridge: it loads aioesphomeapi.

Source: the issue "Bridges", parts 1 and 2.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from agent.fleet.bridge import Bridge, Timing
from agent.fleet.contact import Contact
from agent.fleet.events import BridgeEvent
from agent.fleet.identity import Mac
from agent.fleet.introduction import UPLOAD_PORT, Target
from agent.fleet.panel import Value
from agent.fleet.record import (
    Address,
    Fleet,
    by_name,
    contacted,
    dial,
    forgotten,
    listed,
    seen,
    silent,
    withdrawn,
)
from agent.fleet.sighting import LIVE, Sighting, Source

LOG = logging.getLogger(__name__)
AGAIN_S = 60.0
SETTLE_S = 0.05
"""Words come in bursts; the question is asked once for all that came meanwhile."""
Keys = Callable[[Mac], str | None]
Ports = Callable[[Mac | None], int]
"""Where a device takes uploads; only its configuration says, and nothing announces it."""


def targets(
    fleet: Fleet, keys: Keys, upload_ports: Ports = lambda _mac: UPLOAD_PORT
) -> dict[Mac | Address, Target]:
    """Return whom to connect to: every device with an address, and every stranger."""
    found: dict[Mac | Address, Target] = {}
    named = by_name(fleet)
    for mac, record in fleet.records.items():
        own = len(named.get((record.told.name or "").casefold(), ())) == 1
        hosts, port = dial(record, name_is_its_own=own)
        if hosts:
            upload_port = record.told.upload_port or upload_ports(mac)
            found[mac] = Target(hosts, port, upload_port, mac, record.title, keys(mac))
    for address, word in fleet.strangers.items():
        host, port = address
        upload_port = word.upload_port or upload_ports(None)
        found[address] = Target((host,), port, upload_port, None, f"{host}:{port}")
    return found


async def _keep(bridge: Bridge, target: Target) -> None:
    """Run a connection; a bug of ours in one may not cost the others."""
    while True:
        try:
            await bridge.run()
        except Exception:
            LOG.exception("the connection to %s failed; it is begun again", target.title)
            await asyncio.sleep(AGAIN_S)


class Keeper:
    """The fleet and its connections; `run` keeps them until cancelled."""

    def __init__(
        self,
        *,
        keys: Keys,
        on_event: Callable[[BridgeEvent], None],
        on_change: Callable[[Fleet], None] = lambda _fleet: None,
        on_value: Callable[[Mac, Value], None] = lambda _mac, _value: None,
        upload_ports: Ports = lambda _mac: UPLOAD_PORT,
        timing: Timing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._on_event = on_event
        self._on_change = on_change
        self._on_value = on_value
        self._upload_ports = upload_ports
        self._timing = timing
        self._monotonic = monotonic
        self._fleet = Fleet()
        self._kept: dict[Mac | Address, tuple[Bridge, asyncio.Task[None]]] = {}
        self._due = asyncio.Event()

    @property
    def fleet(self) -> Fleet:
        """Return all devices as they are now."""
        return self._fleet

    def bridge(self, mac: Mac) -> Bridge | None:
        """Return the connection to a device, `None` while there is no address for it."""
        kept = self._kept.get(mac)
        return kept[0] if kept else None

    def word(self, word: Sighting) -> None:
        """Take a source's word on a device."""
        self._take(seen(self._fleet, word))
        if word.mac is not None and word.source in LIVE and (bridge := self.bridge(word.mac)):
            bridge.seen()

    def listed(self, words: Iterable[Sighting]) -> None:
        """Take the whole list that a person has written down, in place of the one before."""
        self._take(listed(self._fleet, words))

    def strangers(self) -> dict[Address, Contact]:
        """Return how the connections to those are of whom nobody knows who they are."""
        return {key: kept[0].contact for key, kept in self._kept.items() if isinstance(key, tuple)}

    def withdrawn(self, source: Source, name: str) -> None:
        """Take back what a source said of a name."""
        self._take(withdrawn(self._fleet, source, name))

    def silent(self, source: Source) -> None:
        """Take note that a source is lost as a whole."""
        self._take(silent(self._fleet, source))

    def forget(self, mac: Mac) -> None:
        """Remove a device and its connection; it comes back when a source speaks of it."""
        self._end(mac)
        self._take(forgotten(self._fleet, mac))

    def refresh(self) -> None:
        """Ask for the keys and ports again: somebody has changed one."""
        self._due.set()

    def hurry(self) -> None:
        """Try every device now that is not connected."""
        for bridge, _ in self._kept.values():
            bridge.seen()

    async def run(self) -> None:
        """Keep the connections until cancelled; no device can end it."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._due.wait()
                self._due.clear()
                wanted = targets(self._fleet, self._keys, self._upload_ports)
                for key in self._kept.keys() - wanted.keys():
                    self._end(key)
                for key, target in wanted.items():
                    if key in self._kept:
                        self._kept[key][0].redirect(target)
                    else:
                        bridge = self._make(key, target)
                        self._kept[key] = bridge, tasks.create_task(_keep(bridge, target))
                await asyncio.sleep(SETTLE_S)

    def _make(self, key: Mac | Address, target: Target) -> Bridge:
        mac = target.mac

        def contact(now: Contact) -> None:
            if mac is not None:
                self._take(contacted(self._fleet, mac, now))
            else:
                self._on_change(self._fleet)

        def word(said: Sighting) -> None:
            if isinstance(key, tuple) and (stranger := self._fleet.strangers.get(key)):
                # What a person wrote down belongs to this device from now on.
                self._take(seen(self._fleet, replace(stranger, mac=said.mac)))
            self._take(seen(self._fleet, said))

        def value(shown: Value) -> None:
            if mac is not None:
                self._on_value(mac, shown)

        return Bridge(
            target,
            on_event=self._on_event,
            on_contact=contact,
            on_word=word,
            on_value=value,
            timing=self._timing,
            monotonic=self._monotonic,
        )

    def _end(self, key: Mac | Address) -> None:
        if kept := self._kept.pop(key, None):
            kept[1].cancel()

    def _take(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._due.set()
        self._on_change(fleet)
