"""
One connection to one bridge, kept up for as long as there is a bridge.

It connects, asks who is there, and lets nobody in under another's name: the MAC is compared on
every connection, because a plaintext device proves nothing else. Then states arrive as the device
pushes them. When the connection ends it says which end that was, looks whether the device is
still there, and connects again the moment it can. Whoever holds a bridge gets events, the
device's own word on itself, and values; it decides nothing.

This module loads aioesphomeapi, which no agent without a bridge should pay for: import it when
there is one.

Source: esphome.md, section 4, run on ESPHome 2026.10 with aioesphomeapi 46.23.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from aioesphomeapi.client import APIClient
from aioesphomeapi.core import APIConnectionError, InvalidEncryptionKeyAPIError
from aioesphomeapi.model import ConnectionClosedEvent, EntityState
from aioesphomeapi.reconnect_logic import ReconnectLogic

from agent.fleet.contact import HANG_S, REFUSED, Contact, ContactState, Ending, Port, after, looked
from agent.fleet.endings import KEY_WANTED, another, cause, ending_of, refusal
from agent.fleet.events import OF_STATE, TEXTS, BridgeEvent
from agent.fleet.identity import mac_of
from agent.fleet.introduction import Target, firmware_figures, introduced, locked, runs
from agent.fleet.panel import Panel, Value
from agent.fleet.probe import ports, resolved
from agent.fleet.sighting import Sighting, usable

LOG = logging.getLogger(__name__)
T = TypeVar("T")
logging.getLogger("aioesphomeapi").setLevel(logging.ERROR)  # our events say it, and say it once
CLIENT_INFO = "PV Edge Agent"
NAME_NOT_FOUND = "Its address is not known and its name leads nowhere: no power or no network."
HANDSHAKE_BEGINS_S = 0.1
GOODBYE_S = 2.0
"""How long a device may take to answer our goodbye."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient a connection is."""

    keepalive_s: float = 1.8
    """Pings go out so often; silence for 5.5 of them, under 10 s, is the end. Two more seconds
    may pass before the first, and the knock that follows takes `knock_s`: within 15 s in all."""
    knock_s: float = 1.5
    resolve_s: float = 3.0
    look_every_s: float = 5.0
    """How often an absent device is looked for; an announcement is quicker."""
    look_again_s: float = 1.0
    """Safe mode is believed after two looks: a booting device opens its ports one by one."""
    hung_retry_s: float = 20.0
    refused_retry_s: float = 60.0


class Bridge:
    """A supervised connection; `run` keeps it up, everything else may be called at any time."""

    def __init__(
        self,
        target: Target,
        *,
        on_event: Callable[[BridgeEvent], None],
        on_contact: Callable[[Contact], None] = lambda _contact: None,
        on_word: Callable[[Sighting], None] = lambda _word: None,
        on_value: Callable[[Value], None] = lambda _value: None,
        timing: Timing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._on_event = on_event
        self._on_contact = on_contact
        self._on_word = on_word
        self._on_value = on_value
        self._timing = timing or Timing()
        self._monotonic = monotonic
        self._contact = Contact(ContactState.CONNECTING, monotonic())
        self.panel = Panel()
        """What the device shows and takes."""
        self._client: APIClient | None = None
        self._logic: ReconnectLogic | None = None
        self._left_s: float | None = None
        self._addresses: tuple[str, ...] = ()
        self._throwaway: str | None = None
        self._silence = False
        self._suspected = False
        self._turn = asyncio.Event()  # this attempt or connection is to be given up
        self._look = asyncio.Event()  # the device may be in another state than we think

    @property
    def contact(self) -> Contact:
        """Return how the connection is now."""
        return self._contact

    def redirect(self, target: Target) -> None:
        """Use another address or key; a connection that stands is kept while it is the same."""
        old, self._target = self._target, target
        same = (old.mac, old.key, old.api_port) == (target.mac, target.key, target.api_port)
        if same and (self._contact.online or set(target.hosts) <= set(old.hosts)):
            return
        self._turn.set()

    def seen(self) -> None:
        """Try now: somebody heard of the device."""
        if self._logic is not None and not self._contact.online:
            self._logic.notify_device_seen()

    async def run(self) -> None:
        """Keep the connection up until cancelled; no failure of network or device ends it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            while True:
                self._turn.clear()
                await self._serve(self._target)
                if self._contact.state is ContactState.WRONG_DEVICE:
                    self._turn.clear()
                    await wait_for(self._turn, self._timing.refused_retry_s)

    async def _serve(self, target: Target) -> None:
        """Stay connected to the target until it changes or has to be left alone."""
        if self._contact.state is ContactState.ONLINE or self._contact.state in REFUSED:
            self._become(ContactState.CONNECTING)
        addresses = self._addresses = await self._addresses_of(target)
        if not addresses:
            self._become(ContactState.UNREACHABLE, NAME_NOT_FOUND)
            await wait_for(self._turn, self._timing.look_every_s)
            return
        client = APIClient(
            addresses[0],
            target.api_port,
            None,
            client_info=CLIENT_INFO,
            keepalive=self._timing.keepalive_s,
            noise_psk=target.key or self._throwaway,
            addresses=list(addresses),
            expected_mac=target.mac,
            provide_time=False,  # the clock of a device that is not ours is not ours to set
        )
        forget = client.add_connection_closed_callback(self._closed)
        logic = ReconnectLogic(
            client=client,
            on_connect=self._connected,
            on_disconnect=self._disconnected,
            on_connect_error=self._failed,
            name=target.title or None,
            zeroconf_wake=False,  # discovery knows who was seen
        )
        self._client, self._logic = client, logic
        try:
            await logic.start()
            await self._turn.wait()
        finally:
            forget()
            self._client = self._logic = None
            self.panel.end()
            await self._stop(logic, client)
            with contextlib.suppress(APIConnectionError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await client.disconnect()
            client.force_disconnect()

    async def _stop(self, logic: ReconnectLogic, client: APIClient) -> None:
        """
        End the attempts to connect; without a connection, also a handshake that may never end.

        In the moment in which a socket becomes a transport, aioesphomeapi 46.23 closes the one
        and loses the other. The next socket of that number is refused by asyncio then, and so is
        each after it. A handshake that has been let begin is closed as a whole.
        """
        stopping = asyncio.ensure_future(logic.stop())
        if not self._contact.online:
            await asyncio.wait([stopping], timeout=HANDSHAKE_BEGINS_S)
            client.force_disconnect()
        await stopping

    async def _addresses_of(self, target: Target) -> tuple[str, ...]:
        """
        Return what to dial: the addresses, or without any what the names lead to.

        The library is given no names: it would ask the network for them itself, on every
        interface, and wait for the answer even where an address is known.
        """
        known = usable(target.hosts)
        return known or await resolved(target.hosts, self._timing.resolve_s)

    async def _connected(self) -> None:
        client, target = self._client, self._target
        if client is None:
            return
        try:
            info, entities, actions = await client.device_info_and_list_entities()
        except (APIConnectionError, TimeoutError) as error:
            LOG.debug("%s did not say who it is: %s", target.title, error)
            client.force_disconnect()
            return
        mac = mac_of(info.mac_address)
        if target.mac is not None and mac != target.mac:
            self._refuse(ContactState.WRONG_DEVICE, another(info.name, info.mac_address))
            return
        now_s = self._monotonic()
        _tell(self._on_word, introduced(info, client.connected_address, target, now_s))
        self.panel.begin(client, target.title, entities, actions)
        figures = firmware_figures(info)
        if self._left_s is not None:
            figures["away_s"] = round(now_s - self._left_s, 1)
            self._left_s = None
        self._silence = False
        self._become(ContactState.ONLINE, runs(info), figures)
        client.subscribe_states(self._take)

    def _take(self, state: EntityState) -> None:
        value = self.panel.take(state, self._monotonic())
        if value is not None:
            _tell(self._on_value, value)

    def _closed(self, event: ConnectionClosedEvent) -> None:
        """Say which end it was; the library calls this before it connects again."""
        self.panel.end()
        if not self._contact.online:
            return
        self._left_s = self._monotonic()
        ending = ending_of(event)
        if ending is Ending.SILENCE:
            self._silence = True  # whether it hangs or is gone shows at its ports
            self._become(ContactState.CONNECTING)
            self._look.set()
        else:
            self._become(after(ending, None), cause(event))

    async def _disconnected(self, _expected: bool) -> None:
        """Do nothing: `_closed` was told more."""

    async def _failed(self, error: Exception) -> None:
        if self._client is None:
            return  # it failed because we gave it up
        refused = refusal(error, self._target.mac)
        if refused is not None and self._ask_by_throwaway(refused[0]):
            return
        if refused is not None:
            if isinstance(error, InvalidEncryptionKeyAPIError):
                word = locked(error, self._target, self._monotonic())
                if word is not None:
                    _tell(self._on_word, word)
                if not self._target.key:
                    refused = ContactState.KEY_MISSING, KEY_WANTED
            self._refuse(*refused)
            return
        if self._contact.state in REFUSED:
            self._become(ContactState.CONNECTING)
        self._look.set()

    def _ask_by_throwaway(self, state: ContactState) -> bool:
        """
        Knock with a key that cannot fit; return whether that is to be tried now.

        A device that wants a key says who it is only to somebody who has one, if a wrong one.
        """
        if state is not ContactState.KEY_MISSING or self._target.mac or self._throwaway:
            return False
        self._throwaway = base64.b64encode(secrets.token_bytes(32)).decode()
        self._turn.set()
        return True

    def _refuse(self, state: ContactState, text: str) -> None:
        self._become(state, text)
        if state is ContactState.WRONG_DEVICE:
            self._turn.set()

    async def _watch(self) -> None:
        """Find out what a device without a connection is up to, and when it is back."""
        patience_s = self._timing.look_every_s
        while True:
            woken = await wait_for(self._look, patience_s)
            self._look.clear()
            patience_s = self._timing.look_every_s
            if self._contact.online or self._contact.state in REFUSED:
                continue
            patience_s = await self._consider()
            if self._contact.state is ContactState.HUNG:
                patience_s = self._timing.hung_retry_s
                if not woken:  # a reset leaves the attempt that waits waiting: begin another
                    self._turn.set()

    async def _consider(self) -> float:
        """Knock and draw the conclusion; return when to look again, in seconds."""
        target, timing = self._target, self._timing
        dialled = self._addresses
        found = await ports(dialled, target.api_port, target.upload_port, timing.knock_s)
        before = self._contact
        if before.online or target is not self._target:
            return timing.look_every_s
        if self._silence:
            self._silence = False
            state = after(Ending.SILENCE, found)
        else:
            state = looked(before.state, self._monotonic() - before.since_s, found)
        if state is ContactState.SAFE_MODE and before.state is not state and not self._suspected:
            self._suspected = True
            return timing.look_again_s
        self._suspected = False
        self._become(state)
        if state is ContactState.UNREACHABLE and self._client is not None:
            # Its address may have changed with nobody to tell; its name may still lead there.
            self._client.add_addresses(await resolved(target.hosts, timing.resolve_s))
        if found.api is Port.OPEN and state is not ContactState.HUNG:
            self.seen()
            return HANG_S  # an attempt is under way; knocks would only fill the device's queue
        return timing.look_every_s

    def _become(
        self, state: ContactState, text: str = "", figures: dict[str, str | float] | None = None
    ) -> None:
        """Change the state and say so; what is as it was is not said twice."""
        if state is self._contact.state:
            return
        now_s = self._monotonic()
        kind = OF_STATE.get(state)
        text = text or (TEXTS.get(kind, "") if kind else "")
        self._contact = Contact(state, now_s, "" if state is ContactState.ONLINE else text)
        _tell(self._on_contact, self._contact)
        if kind is None:
            return
        LOG.info("%s: %s: %s", kind, self._target.title or self._target.hosts[0], text)
        event = BridgeEvent(kind, text, self._target.mac, now_s, figures or {})
        _tell(self._on_event, event)


def _tell(listener: Callable[[T], None], told: T) -> None:
    """Call a listener; its bug may not cost the connection."""
    try:
        listener(told)
    except Exception:
        LOG.exception("a listener to a bridge failed")


async def wait_for(event: asyncio.Event, timeout_s: float) -> bool:
    """Return whether the event came within the time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
            return True
    return False
