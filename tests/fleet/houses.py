"""A keeper that runs among real devices, with everything it said."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from agent.fleet.bridge import Bridge
from agent.fleet.contact import ContactState
from agent.fleet.events import BridgeEvent
from agent.fleet.findings import FindingCode, findings
from agent.fleet.identity import OUR_PROJECTS, Mac
from agent.fleet.keeper import Keeper, Keys
from agent.fleet.own_zeroconf import OwnZeroconf
from agent.fleet.sighting import Sighting, Source
from tests.peers.esphome import Device
from tests.peers.fixtures import MakeDevice
from tests.peers.process import LOOPBACK


def no_keys(_mac: Mac) -> str | None:
    """Have no key for any device."""
    return None


class House:
    """A keeper with everything it said."""

    def __init__(self, keys: Keys, devices: list[Device]) -> None:
        self.events: list[BridgeEvent] = []
        self._came = asyncio.Event()
        ports = {device.mac: device.ota_port for device in devices}
        self.keeper = Keeper(
            keys=keys,
            on_event=self.events.append,
            on_change=lambda _fleet: self._came.set(),
            on_value=lambda _mac, _value: self._came.set(),
            upload_ports=lambda at: ports.get(at or "", devices[0].ota_port if devices else 1),
        )

    def state(self, device: Device) -> ContactState | None:
        record = self.keeper.fleet.records.get(Mac(device.mac))
        return record.contact.state if record and record.contact else None

    def findings(self, device: Device) -> set[FindingCode]:
        found = findings(self.keeper.fleet, OUR_PROJECTS, time.monotonic())
        return {it.code for it in found[Mac(device.mac)]}

    def bridge(self, device: Device) -> Bridge:
        found = self.keeper.bridge(Mac(device.mac))
        assert found is not None
        return found

    def value(self, device: Device, entity: str) -> object:
        shown = self.bridge(device).panel.values.get(entity)
        return shown.value if shown else None

    async def until(self, holds: Callable[[], object], timeout_s: float = 15) -> float:
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            seen = {it.title: it.contact for it in self.keeper.fleet.records.values()}
            raise AssertionError(f"{seen}, strangers {set(self.keeper.fleet.strangers)}") from None
        return time.monotonic() - began_s


@asynccontextmanager
async def house(keys: Keys, *devices: Device, hears: bool = False) -> AsyncIterator[House]:
    """
    Run a keeper; with `hears`, it takes announcements on loopback.

    Those are heard by everybody on this machine, also by tests that run beside this one: only who
    needs them should listen.
    """
    it = House(keys, list(devices))
    work = [it.keeper.run()]
    if hears:
        ours = OwnZeroconf(
            on_word=it.keeper.word, on_withdrawn=it.keeper.withdrawn, interfaces=[LOOPBACK]
        )
        work.append(ours.run())
    running = [asyncio.create_task(each) for each in work]
    try:
        yield it
    finally:
        for task in running:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def announced_device(make_device: MakeDevice, configuration: str, number: int) -> Device:
    """Return a device that no test run beside this one has: it will be announced to all of them."""
    run = os.getpid()
    return make_device(
        configuration, name=f"bridge{run}-{number}", mac=f"02{run % (1 << 24):06x}{number:04x}"
    )


def by_hand(device: Device, **said: object) -> Sighting:
    """Return what a person writes down: an address, and the MAC if he knows it."""
    return Sighting(
        source=Source.MANUAL,
        at_s=time.monotonic(),
        addresses=(LOOPBACK,),
        api_port=device.api_port,
        **said,  # type: ignore[arg-type]
    )
