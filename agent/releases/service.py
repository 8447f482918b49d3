"""
Keeps what is known of releases: looks when it starts, every six hours, and when it is asked to.

Every look happens in a worker process; here nothing waits for a disk or a mirror. What the app
brought and what was verified before is known within seconds of the start, mirrors are asked
afterwards. A look that goes wrong is a state with words: what was known goes on counting, as
stale. Nothing here can end the agent, and nothing here writes to a bridge.

Source: signing.md 4.5.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.firmware.manifest.models import Release
from agent.firmware.trust.models import ChannelKnowledge, Freshness, ReleaseName, SourceKnowledge
from agent.firmware.trust.source import Online, Question, Source, TrustError, TrustPolicy, place_of
from agent.firmware.trust.worker import look_in_worker, releases_in_worker
from agent.fleet.identity import Mac, written
from agent.fleet.record import BridgeRecord, Fleet
from agent.fleet.sighting import Source as Told
from agent.journal import Journal, JournalError
from agent.releases.memory import (
    Memory,
    ReleaseEvent,
    as_json,
    figures,
    forgotten,
    looked,
    ran,
    recalled,
    words,
)
from agent.releases.needs import Wanted, wanted_manifests
from agent.releases.offers import Shelf, Traits, observed_floor, offer_of, shelf_of
from agent.releases.pace import capped, changed, next_look_s
from agent.releases.sources import OFFICIAL, Found
from agent.settings import Settings, SettingsStore
from agent.surface.notification_rules import Notification
from agent.surface.release_notifications import releases_due
from agent.surface.release_view import BridgeOffer, TrustView

BUILT = datetime(2026, 11, 22, tzinfo=UTC)
"""Nobody runs this version at an earlier time; moved with every version."""
STATE = "releases"
AGAIN_S = 60.0
SPACING_S = 1.0
"""Shortest time between two looks at the bridges; of many one always moves."""
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Setup:
    """Where this agent finds its releases."""

    data_dir: Path
    bundle: Path | None
    """The folder of signed documents that the app came with; `None` if it came without one."""
    built: datetime = BUILT
    allow_development: bool = False
    """For the demo and a test bench: the keys of such a root are public."""
    cafile: str | None = None
    """Certificates to trust in place of the system's."""
    settle_s: float = 3.0
    """How long the first look waits: a start belongs to the guard and the bridges."""


class ReleaseService:
    """What is known of all sources, and what it means for each bridge."""

    def __init__(
        self,
        setup: Setup,
        store: SettingsStore,
        journal: Journal,
        now: Callable[[], datetime],
        sources: Callable[[], Found],
    ) -> None:
        """
        Prepare; `run` looks.

        Args:
            setup: where everything lies.
            store: channels and mirrors.
            journal: keeps floors and alarms.
            now: the site's time.
            sources: returns every source; reads the disk.
        """
        self._setup = setup
        self._store = store
        self._journal = journal
        self._now = now
        self._sources = sources
        self._found = Found()
        self.fleet: Callable[[], Fleet] = Fleet
        """The bridges; set by whoever has some."""
        self._chosen = store.current.releases
        self._memory = Memory()
        self._known: dict[str, SourceKnowledge] = {}
        self._questions: dict[str, Question] = {}
        self._manifests: dict[Wanted, Release] = {}
        self._problems: dict[Wanted, str] = {}
        self._shelves: tuple[Shelf, ...] = ()
        self._offers: dict[Mac, tuple[Any, BridgeOffer]] = {}
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._due = False
        self._wakes: list[Callable[[], None]] = []
        self.looking = False

    # What is known.

    @property
    def trust(self) -> TrustView:
        """Return what is known of all sources."""
        return TrustView(tuple(self._known.values()), self._memory.since)

    @property
    def shelves(self) -> tuple[Shelf, ...]:
        """Return every channel of every source with the manifests that were read."""
        return self._shelves

    def shelf(self, channel: str) -> Shelf | None:
        """Return what a channel offers, with the word of everybody who gates it."""
        return shelf_of(channel, self._shelves, self._found.needed)

    def gated(self, channel: str) -> bool:
        """Return whether more than one has to sign what comes to a channel."""
        return self._found.needed.get(channel, 1) > 1

    def question(self, source: str) -> Question | None:
        """Return how a source was asked last; `None` where there is no such source."""
        return self._questions.get(source)

    def floors(self, mac: Mac) -> Mapping[str, int]:
        """Return the highest rollback index that a bridge was seen to run, by project."""
        return self._memory.floors.get(mac, {})

    def notifications(self) -> Mapping[str, Notification]:
        """Return what a person should be told now, by the id on the wall."""
        return releases_due(self._memory.alarms)

    def offer(self, record: BridgeRecord) -> BridgeOffer:
        """Return what one bridge is offered."""
        channel = self._store.current.releases.channel_of(record.mac)
        floors = self.floors(record.mac)
        told = record.told
        said = (told.project_name, told.project_version, told.platform, told.board, told.ota_signed)
        key = (channel, said, floors)
        before = self._offers.get(record.mac)
        if before is None or before[0] != key:
            before = key, offer_of(record, Traits(floors), channel, self.shelf(channel))
            self._offers[record.mac] = before
        return before[1]

    def offers(self) -> Mapping[Mac, BridgeOffer]:
        """Return what each bridge is offered."""
        records = self.fleet().records
        for gone in self._offers.keys() - records.keys():
            del self._offers[gone]
        return {mac: self.offer(record) for mac, record in records.items()}

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever something of it may have changed; return what ends that."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake) if wake in self._wakes else None

    def notice(self) -> None:
        """Take note that the bridges may have changed."""
        self._wake.set()

    # Looking.

    async def run(self) -> None:
        """Keep all of it up to date until cancelled."""
        await self._recall()
        await asyncio.sleep(self._setup.settle_s)
        end = self._store.subscribe(self._settings)
        online = False
        try:
            while True:
                try:
                    await self._look_at_all(online=online)
                    asks_again, online = not online and self._mirrored(), True
                    if not asks_again:
                        await self._follow()
                except Exception:
                    _LOGGER.exception("looking for releases failed; it is begun again")
                    await asyncio.sleep(AGAIN_S)
        finally:
            end()

    async def look(self) -> str:
        """Look at every source again, and say in a sentence what is known now."""
        await self._look_at_all(online=True)
        told = " ".join(words(it) for it in self._known.values())
        return told or self._found.problem or "There is no source."

    @property
    def problem(self) -> str:
        """Why nobody is trusted, if somebody should be; else ""."""
        return self._found.problem

    async def _follow(self) -> None:
        """Wait until the next look is due; meanwhile read what the bridges make necessary."""
        loop = asyncio.get_running_loop()
        wait_s = next_look_s(self._known.values(), self._now(), random.random())  # noqa: S311 - spreads load
        until_s = loop.time() + wait_s
        while not self._due:
            async with self._lock:
                await self._read_manifests()
                await self._note_floors()
            try:
                async with asyncio.timeout_at(until_s):
                    await self._wake.wait()
            except TimeoutError:
                return
            self._wake.clear()
            if not self._due:
                await asyncio.sleep(SPACING_S)
        self._due = False

    async def _look_at_all(self, *, online: bool) -> None:
        async with self._lock:
            self.looking = True
            self._changes()
            try:
                self._found = await asyncio.to_thread(self._sources)
                self._leave_out()
                self._problems.clear()
                for source in self._found.sources:
                    await self._look_at(source, online=online)
                self._shelve()
                await self._read_manifests()
                await self._note_floors()
            finally:
                self.looking = False
                self._changes()

    async def _look_at(self, source: Source, *, online: bool) -> None:
        question = self._question(source)
        self._questions[source.name] = question
        if not online:
            near = tuple(it for it in source.carriers if not isinstance(it, Online))
            question = replace(question, source=replace(source, carriers=near))
        before = self._known.get(source.name)
        try:
            known = await look_in_worker(question)
        except TrustError as error:
            await self._note([(ReleaseEvent.FAILED, {"source": source.name, "text": str(error)})])
            known = capped(before, source.name, str(error))
        self._known[source.name] = known
        self._memory = looked(self._memory, known, self._now())
        events: list[tuple[str, Mapping[str, object]]] = [
            (
                ReleaseEvent.ALARM,
                {"source": known.source, "of": it.kind, "carrier": it.carrier, "text": it.text},
            )
            for it in known.events
        ]
        if changed(before, known):
            events.append((ReleaseEvent.LOOKED, figures(known)))
            _LOGGER.info("releases_looked: %s", words(known))
        for alarm in known.events:
            _LOGGER.warning("releases_alarm: %s, %s: %s", known.source, alarm.carrier, alarm.text)
        if events:
            await self._note(events)

    def _mirrored(self) -> bool:
        """Whether anybody could be asked online."""
        carriers = (it for each in self._questions.values() for it in each.source.carriers)
        return any(isinstance(it, Online) for it in carriers)

    def _question(self, source: Source) -> Question:
        setup = self._setup
        policy = TrustPolicy(setup.allow_development)
        place = place_of(setup.data_dir, source.name)
        return Question(source, place, setup.built, self._now().astimezone(UTC), policy)

    def _leave_out(self) -> None:
        """Forget the sources that are no longer there."""
        for gone in self._known.keys() - {it.name for it in self._found.sources}:
            del self._known[gone]
            self._questions.pop(gone, None)
            self._manifests = {it: of for it, of in self._manifests.items() if it.source != gone}
            self._memory = forgotten(self._memory, gone)

    # Manifests.

    def _missing(self) -> list[Wanted]:
        chosen = self._store.current.releases
        wanted = wanted_manifests(self._known.values(), self.fleet(), chosen, self._manifests)
        return [it for it in wanted if it not in self._manifests and it not in self._problems]

    async def _read_manifests(self) -> None:
        """Read what is missing; what was read stays, for a published path keeps its content."""
        anything = False
        while missing := self._missing():
            anything = True
            for source in {it.source: None for it in missing}:
                await self._read_of(source, [it for it in missing if it.source == source])
        if anything:
            self._shelve()

    async def _read_of(self, source: str, wanted: Sequence[Wanted]) -> None:
        """Read these manifests of one source in one visit, each or why it cannot be read."""
        names = [ReleaseName(it.channel, it.project, it.version) for it in wanted]
        found: Sequence[Release | TrustError]
        try:
            found = await releases_in_worker(self._questions[source], names)
        except TrustError as error:
            found = [error] * len(wanted)
        for it, one in zip(wanted, found, strict=True):
            if isinstance(one, TrustError):
                self._problems[it] = str(one)
                _LOGGER.warning("%s %s: %s", it.project, it.version, one)
            else:
                self._manifests[it] = one

    def _shelve(self) -> None:
        self._shelves = tuple(self._each_shelf())
        self._offers.clear()
        self._changes()

    def _each_shelf(self) -> Iterator[Shelf]:
        for known in self._known.values():
            for channel in known.channels or self._no_channels(known):

                def of(kept: Mapping[Wanted, Any]) -> Mapping[str, Any]:
                    here = known.source, channel.name  # noqa: B023 - called at once
                    return {k.path: v for k, v in kept.items() if (k.source, k.channel) == here}

                yield Shelf(known.source, channel, of(self._manifests), of(self._problems))

    def _no_channels(self, known: SourceKnowledge) -> list[ChannelKnowledge]:
        """Return empty channels that say why nothing is known of their source."""
        names = self._questions[known.source].source.channels
        return [ChannelKnowledge(it, Freshness.NONE, known.why, None, None) for it in names]

    # Floors and memory.

    def _risen(self) -> list[tuple[BridgeRecord, Memory]]:
        found = []
        for record in self.fleet().records.values():
            channel = self._store.current.releases.channel_of(record.mac)
            heard = (OFFICIAL, channel)
            told = [it for it in self._shelves if {it.source, it.knowledge.name} & {*heard}]
            ran_now = observed_floor(record, told) if Told.CONNECTION in record.live else None
            higher = ran(self._memory, record.mac, *ran_now) if ran_now else None
            found += [(record, higher)] if higher else []
        return found

    async def _note_floors(self) -> None:
        while risen := self._risen():
            record, self._memory = risen[0]
            floors = dict(self._memory.floors[record.mac])
            mac = written(record.mac)
            await self._note([(ReleaseEvent.FLOOR, {"mac": mac, "floors": floors})])
            self._changes()

    async def _recall(self) -> None:
        try:
            kept = await self._journal.load_state(STATE)
            self._memory = recalled(kept) if kept else Memory()
        except (JournalError, ValueError, KeyError, TypeError, AttributeError) as error:
            _LOGGER.warning("what was kept of releases cannot be used: %s", error)

    async def _note(self, events: list[tuple[str, Mapping[str, object]]]) -> None:
        try:
            await self._journal.record({STATE: as_json(self._memory)}, events, self._now())
        except JournalError as error:
            _LOGGER.error("not in the journal: %s (%s)", events[0][0], error)  # noqa: TRY400 - its words are enough

    def _settings(self, settings: Settings) -> None:
        before, self._chosen = self._chosen, settings.releases
        if self._chosen == before:
            return
        # Another channel may need other manifests, another mirror another look.
        self._due |= (before.mirrors, before.hosts) != (self._chosen.mirrors, self._chosen.hosts)
        self._wake.set()
        self._changes()

    def _changes(self) -> None:
        for wake in tuple(self._wakes):
            wake()
