"""
The one bridge that a flash on the command line is about, through the fleet's own connection.

Who answers at the address says which MAC it is; from then on everything belongs to that MAC. There
is no guard here, so what the bridge itself shows of a dispatch is what keeps it from being flashed.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from agent.firmware.job.observer import build_of
from agent.firmware.job.over_the_air import Place
from agent.firmware.ota.models import Secrets
from agent.flash_models import Exit, FlashError, FlashWish
from agent.fleet.contact import REFUSED, Contact
from agent.fleet.evidence import Around, evidence_of
from agent.fleet.gate_models import Evidence
from agent.fleet.identity import Mac
from agent.fleet.keys import KeyFile
from agent.fleet.probe import ports
from agent.fleet.record import BridgeRecord
from agent.fleet.sighting import Sighting, Source

if TYPE_CHECKING:
    from agent.fleet.keeper import Keeper

DISPATCH = "sensor.dispatch_start"
"""Shows 1 while the inverter runs a dispatch, also somebody else's."""
KNOCK_S = 2.0


class OneBridge:
    """The bridge at an address; also `SafeMoment` for it."""

    def __init__(self, wish: FlashWish) -> None:
        self._wish = wish
        self._keys = KeyFile(wish.data)
        self._wakes: list[Callable[[], None]] = []
        module = importlib.import_module("agent.fleet.keeper")  # loads aioesphomeapi
        self.keeper: Keeper = module.Keeper(
            keys=self.api_key,
            on_event=lambda _: None,
            on_change=lambda _: self._changed(),
            upload_ports=lambda _mac: wish.upload_port,
        )

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        self.keeper.listed(
            [
                Sighting(
                    source=Source.MANUAL,
                    at_s=time.monotonic(),
                    addresses=(self._wish.host,),
                    api_port=self._wish.api_port,
                    upload_port=self._wish.upload_port,
                )
            ]
        )
        await self.keeper.run()

    async def found(self) -> Mac:
        """
        Return who answers at the address, once it has let us in.

        Raises:
            FlashError: nobody answers, or it does not let us in.
        """
        mac: Mac | None = None
        try:
            async with asyncio.timeout(self._wish.find_s):
                while True:
                    mac = next(iter(self.keeper.fleet.records), None)
                    contact = self._contact(mac)
                    if mac is not None and contact is not None and contact.state in REFUSED:
                        raise FlashError(Exit.REFUSED, str(contact.state), contact.detail)
                    if mac is not None and contact is not None and contact.online:
                        return mac
                    await self._change()
        except TimeoutError:
            contact = self._contact(mac)
            told = contact.detail if contact else ""
            text = f"{self._wish.host} did not let us in within {self._wish.find_s:.0f} s. {told}"
            step = "Check its power, its address and --api-port."
            raise FlashError(Exit.UNCHANGED, "unreachable", f"{text.strip()} {step}") from None

    async def stable(self, mac: Mac, say: Callable[[str], None]) -> None:
        """Return when it has been connected without a break for as long as was asked."""
        stable_s = self._wish.stable_s
        if stable_s:
            say(f"Watching it for {stable_s:.0f} s first.")
        while True:
            contact = self._contact(mac)
            left_s = stable_s
            if contact is not None and contact.online:
                left_s -= time.monotonic() - contact.since_s
                if left_s <= 0:
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._change()

    def record(self, mac: Mac) -> BridgeRecord:
        """Return what is known of it."""
        return self.keeper.fleet.records[mac]

    async def evidence(self, mac: Mac, now: Callable[[], datetime]) -> Evidence | None:
        """Return what the gates judge, as it is now; `None` if it was never connected."""
        told = self.record(mac).told
        at = (told.addresses or (self._wish.host,))[:1]
        knocked = await ports(at, self._wish.api_port, self._wish.upload_port, KNOCK_S)
        bridge = self.keeper.bridge(mac)
        if bridge is None:
            return None
        found = evidence_of(
            self.record(mac),
            bridge.panel.values,
            bridge.panel.entities,
            Around(knocked.upload, self._dispatching(mac)),
            time.monotonic(),
            now(),
        )
        if self._wish.bench:
            return replace(found, health={}, modbus={}, expects_modbus=False)
        return found

    def place(self, mac: Mac) -> Place | None:
        """Return where it takes uploads, `None` while it does not answer by itself."""
        record = self.record(mac)
        if build_of(record) is None:
            return None
        own = record.sightings[Source.CONNECTION].addresses
        return Place(own or (self._wish.host,), self._wish.upload_port)

    def api_key(self, mac: Mac) -> str | None:
        """Return the key that was given for it, else the one in the data directory."""
        return self._wish.given.api_key or self._keys.ring.api_key(mac)

    def secrets(self, mac: Mac) -> Secrets:
        """Return what opens it."""
        given = self._wish.given
        password = given.password or self._keys.ring.upload_password(mac)
        return Secrets(password, self.api_key(mac), given.allow_md5, given.allow_plaintext)

    async def hold(self, mac: Mac) -> str:
        """Say whether the bridge itself shows a dispatch; see `SafeMoment`."""
        if self._dispatching(mac):
            return "A dispatch runs through it; it is flashed when that has ended."
        return ""

    def release(self, mac: Mac) -> None:
        """Nobody was asked to let go of it."""

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call back whenever something may have changed."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake) if wake in self._wakes else None

    def _contact(self, mac: Mac | None) -> Contact | None:
        if mac is not None:
            return self.record(mac).contact
        return next(iter(self.keeper.strangers().values()), None)

    def _dispatching(self, mac: Mac) -> frozenset[Mac]:
        bridge = self.keeper.bridge(mac)
        shown = bridge.panel.values.get(DISPATCH) if bridge else None
        value = shown.value if shown else None
        return frozenset({mac}) if isinstance(value, int | float) and value > 0 else frozenset()

    def _changed(self) -> None:
        for wake in tuple(self._wakes):
            wake()

    async def _change(self) -> None:
        came = asyncio.Event()
        end = self.subscribe(came.set)
        try:
            await came.wait()
        finally:
            end()
