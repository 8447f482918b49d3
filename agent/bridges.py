"""
The bridges of the house, as the running agent keeps them.

Sources of words, connections, journal and page meet here. The client for bridges is loaded when
the first word of one comes: a house without bridges pays nothing for them. Whatever goes wrong
here is written down and begun again; the guard never notices.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.bridge_ears import Ears, Hearing, written_down
from agent.fleet.contact import Contact
from agent.fleet.events import BridgeEvent, Pace
from agent.fleet.identity import OUR_PROJECTS, Mac, mac_of, written
from agent.fleet.keys import KeyFile
from agent.fleet.memory import recalled, remembered
from agent.fleet.record import Fleet
from agent.fleet.sighting import Sighting, Source
from agent.fleet.views import views
from agent.homeassistant.websocket import CoreConnection
from agent.journal import Journal, JournalError
from agent.settings import Settings, SettingsStore

if TYPE_CHECKING:
    from agent.fleet.bridge import Bridge
    from agent.fleet.keeper import Keeper
    from agent.fleet.panel import Value

LOG = logging.getLogger(__name__)
AGAIN_S = 60.0
STATE = "bridges"
REMEMBER_EVERY_S = 15.0
VIEWED_FOR_S = 60.0
"""How old a picture may become by which nothing has changed: it tells how long ago things were."""
Told = Callable[["Keeper"], None]
ToldValue = Callable[["Value"], None]
ToldContact = Callable[[Contact], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """What has failed, and when."""

    text: str
    at: datetime


class Bridges:
    """`BridgesDesk`: finds the bridges, keeps them connected, and shows them."""

    def __init__(
        self,
        store: SettingsStore,
        core: CoreConnection | None,
        keys: KeyFile,
        journal: Journal,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._keys = keys
        self._journal = journal
        self._now = now
        """The site's time."""
        self._keeper: Keeper | None = None
        self._waiting: list[Told] = []
        """What was said before there was a keeper to hear it."""
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._wakes: list[Callable[[], None]] = []
        self._moments: dict[float, str] = {}
        self._shown: list[dict[str, Any]] | None = None
        self._shown_s = 0.0
        self._fleet: Fleet | None = None
        """As the keeper showed it last; `None` before there was one."""
        self._ears = Ears(core, Hearing(self._word, self._withdrawn, self._silent, self._found))
        self.lent: Callable[[], frozenset[Mac]] = frozenset
        """Bridges that are being flashed: nobody reads or commands the inverter through them."""
        self.discovered: datetime | None = None
        """When every source that could be asked had last answered; `None` before."""
        self.fault: Fault | None = None
        """What has failed of ours, until it is begun again."""
        self._memory: dict[str, Any] = {}
        """What was written down of the fleet for the next start."""
        self._notes: set[asyncio.Task[None]] = set()
        self._pace = Pace()
        self._listeners: dict[Mac, list[tuple[ToldValue, ToldContact]]] = {}
        self._contacts: dict[Mac, Contact] = {}
        """As those who listen were told last."""

    def shown(self) -> list[dict[str, Any]]:
        """Return one line per bridge, in JSON's words."""
        now_s = time.monotonic()
        if self._keeper is None:
            return []
        if self._shown is None or now_s - self._shown_s > VIEWED_FOR_S:
            self._shown, self._shown_s = self._view(self._keeper, now_s), now_s
        return self._shown

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever the list may have changed; return a function that ends it."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake) if wake in self._wakes else None

    def listen(self, mac: Mac, value: ToldValue, contact: ToldContact) -> Callable[[], None]:
        """
        Tell each value that one bridge pushes, and each change of its connection.

        What it has told before is told at once. Returns a function that ends it.
        """
        listener = (value, contact)
        listeners = self._listeners.setdefault(mac, [])
        listeners.append(listener)
        bridge = self.bridge(mac)
        for known in () if bridge is None else tuple(bridge.panel.values.values()):
            value(known)
        return lambda: listeners.remove(listener) if listener in listeners else None

    async def run(self) -> None:
        """Keep the bridges until cancelled; follows the settings."""
        await self._kept(self._follow)

    async def _kept(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a part until it ends by itself; a bug of ours in it may not cost the guard."""
        while True:
            try:
                await work()
            except Exception:
                LOG.exception("a part of the bridges failed; it is begun again")
                text = (
                    "What keeps the bridges has failed and is begun again within a minute. The "
                    "guard goes on. Please report it, with the log."
                )
                self.fault = Fault(text, self._now())
                self._changes()
                await asyncio.sleep(AGAIN_S)
                self.fault = None
                self._changes()
            else:
                return

    @property
    def fleet(self) -> Fleet:
        """Return all bridges as they are now."""
        return self._keeper.fleet if self._keeper else Fleet()

    @property
    def complete(self) -> bool:
        """Whether everybody who is known to any source is in `fleet` by now."""
        if self._store.current.bridges != "watch":
            return True
        heard = self._keeper is not None or not self._wanted.is_set()
        return heard and self.discovered is not None

    @property
    def sources_up(self) -> bool:
        """Whether anybody can tell us of a new bridge now."""
        return self._ears.up

    def bridge(self, mac: Mac) -> Bridge | None:
        """Return the connection to a bridge, `None` while there is no address for it."""
        return self._keeper.bridge(mac) if self._keeper else None

    def refresh(self) -> None:
        """Use the keys as they are stored now."""
        if self._keeper is not None:
            self._keeper.refresh()
        self._changes()

    async def discover(self) -> None:
        """
        Ask every source again who is there, and try every bridge that is not connected.

        Raises:
            OSError: nobody could be asked; the text says why.
        """
        if self._keeper is not None:
            self._keeper.hurry()
        await self._ears.ask()

    async def forget(self, mac: str) -> None:
        """
        Remove a bridge from the list; it comes back when somebody speaks of it.

        Raises:
            ValueError: there is no such bridge.
        """
        whose, keeper = mac_of(mac), self._keeper
        if whose is None or keeper is None or whose not in keeper.fleet.records:
            raise ValueError("There is no such bridge")
        keeper.forget(whose)
        self._list(keeper)  # an address that was written down may belong to another one now
        await self._remember()

    async def _follow(self) -> None:
        end = self._store.subscribe(lambda _: self._changed.set())
        try:
            while True:
                served = self._store.current
                async with self._served(served):
                    while _choice(self._store.current) == _choice(served):
                        await self._changed.wait()
                        self._changed.clear()
                        self._say(self._list, wanted=bool(self._store.current.bridge_list))
        finally:
            end()

    @asynccontextmanager
    async def _served(self, settings: Settings) -> AsyncIterator[None]:
        """Run sources and connections as the settings want them, until the block ends."""
        running = asyncio.create_task(self._kept(partial(self._serve, settings)))
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self._changes()

    async def _serve(self, settings: Settings) -> None:
        """Run all of it; what fails takes the rest along, because the words would be lost."""
        self._waiting.clear()
        self._wanted.clear()
        self._fleet = self.discovered = None
        if settings.bridges != "watch":
            return
        if settings.bridge_list:
            self._wanted.set()
        await self._recall()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._connect())
            tasks.create_task(self._keep_memory())
            tasks.create_task(self._ears.run(settings.bridge_networks))

    async def _recall(self) -> None:
        """Hear of those who were there before this start."""
        try:
            self._memory = await self._journal.load_state(STATE) or {}
        except JournalError as error:
            LOG.warning("the bridges of the last start are not known: %s", error)
        for word in recalled(self._memory, self._now().date(), time.monotonic()):
            self._word(word)

    async def _keep_memory(self) -> None:
        try:
            while True:
                await asyncio.sleep(REMEMBER_EVERY_S)
                await self._remember()
        finally:
            await self._remember()

    async def _remember(self) -> None:
        """Write down who is there, if that is anything new."""
        if self._fleet is None:
            return
        now = self._now()
        kept = remembered(self._fleet, self._memory, now.date())
        if kept == self._memory:
            return
        try:
            await self._journal.save_state(STATE, kept, now)
        except JournalError as error:
            LOG.warning("the bridges could not be written down for the next start: %s", error)
        self._memory = kept  # also then: it is tried again with the next change, not for ever

    async def _connect(self) -> None:
        """Keep the connections, from the first word of a bridge on."""
        await self._wanted.wait()
        module = await asyncio.to_thread(importlib.import_module, "agent.fleet.keeper")
        keeper: Keeper = module.Keeper(
            keys=self._key_of,
            on_event=self._note,
            on_change=self._take,
            on_value=self._value,
        )
        self._keeper = keeper
        try:
            self._list(keeper)
            waiting, self._waiting = self._waiting, []
            for tell in waiting:
                tell(keeper)
            await keeper.run()
        finally:
            self._keeper = None
            self._moments.clear()

    def _word(self, word: Sighting) -> None:
        self._say(lambda keeper: keeper.word(word), wanted=True)

    def _withdrawn(self, source: Source, name: str) -> None:
        self._say(lambda keeper: keeper.withdrawn(source, name))

    def _silent(self, source: Source) -> None:
        self._say(lambda keeper: keeper.silent(source))

    def _list(self, keeper: Keeper) -> None:
        keeper.listed(written_down(self._store.current, time.monotonic()))

    def _say(self, tell: Told, *, wanted: bool = False) -> None:
        """Tell the keeper now, or when there is one; `wanted` is what makes it necessary."""
        if self._keeper is not None:
            tell(self._keeper)
        elif wanted or self._wanted.is_set():
            self._waiting.append(tell)
            self._wanted.set()

    def _found(self) -> None:
        self.discovered = self._now()
        self._changes()

    def _take(self, fleet: Fleet) -> None:
        self._fleet = fleet
        for mac, listeners in self._listeners.items():
            record = fleet.records.get(mac)
            now = record.contact if record is not None else None
            if now is not None and now != self._contacts.get(mac):
                self._contacts[mac] = now
                for _, contact in tuple(listeners):
                    contact(now)
        self._changes()

    def _value(self, mac: Mac, value: Value) -> None:
        for told, _ in tuple(self._listeners.get(mac, ())):
            told(value)

    def _changes(self) -> None:
        self._shown = None
        for wake in tuple(self._wakes):
            wake()

    def _view(self, keeper: Keeper, now_s: float) -> list[dict[str, Any]]:
        now = self._now()
        strangers = keeper.strangers()
        begun = _begun(keeper.fleet, strangers)
        # A moment is told once and stays: reckoned anew it would come out otherwise each time.
        self._moments = {
            since_s: self._moments.get(since_s)
            or (now - timedelta(seconds=now_s - since_s)).isoformat(timespec="seconds")
            for since_s in begun
        }
        lines = views(keeper.fleet, strangers, OUR_PROJECTS, now_s, self._moments.__getitem__)
        return [asdict(line) | {"keys": self._sources(mac_of(line.mac))} for line in lines]

    def _key_of(self, mac: Mac) -> str | None:
        return self._keys.ring.api_key(mac)

    def _sources(self, mac: Mac | None) -> dict[str, str]:
        """Return which secrets there are for a bridge and whence, never what they are."""
        found = self._keys.ring.sources(mac) if mac else {}
        return {str(kind): str(source) for kind, source in found.items()}

    def _note(self, event: BridgeEvent) -> None:
        keeper, left_out = self._keeper, self._pace.admitted(event.mac, event.at_s)
        if left_out is None:
            return
        record = keeper.fleet.records.get(event.mac) if keeper and event.mac else None
        data = {
            "text": event.text,
            "mac": written(event.mac) if event.mac else None,
            "name": record.title if record else None,
            **event.figures,
            **({"left_out": left_out} if left_out else {}),
        }
        task = asyncio.get_running_loop().create_task(self._append(str(event.kind), data))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _append(self, kind: str, data: dict[str, Any]) -> None:
        try:
            await self._journal.append(kind, data, self._now())
        except JournalError as error:
            LOG.error("not in the journal: %s of %s (%s)", kind, data["mac"], error)  # noqa: TRY400 - its words are enough


def _choice(settings: Settings) -> tuple[str, str]:
    """Return what makes other sources of it when it changes."""
    return settings.bridges, settings.bridge_networks


def _begun(fleet: Fleet, strangers: dict[Any, Contact]) -> set[float]:
    contacts = [record.contact for record in fleet.records.values()]
    return {it.since_s for it in (*contacts, *strangers.values()) if it is not None}
