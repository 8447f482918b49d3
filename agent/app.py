"""
The composition root: builds the rooms, runs them together, stops them in order.

One `TaskGroup` holds everything that lives as long as the process; a second one holds the house
in use, so that another path or another mapping changes the house and nothing else. On SIGTERM
the order is: take no more work, give the battery back, say goodbye to the broker, close the
journal, exit 0.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from agent import demo, houses
from agent.auditing import Audit
from agent.bridge_rooms import BridgeRooms
from agent.clock import SystemClock
from agent.desks import Reception
from agent.doctor_ahead import Ahead
from agent.export.feed_in_keeper import FeedInKeeper
from agent.export.guard import Guard
from agent.export.recorder import Recorder
from agent.flashing.rooms import FlashRooms, Ground
from agent.fleet.identity import mac_of
from agent.fleet.keys import KeyFile
from agent.homeassistant.websocket import CoreConnection
from agent.house.port import SiteMeter
from agent.house.series import Series
from agent.houses import House
from agent.instance import sole_owner
from agent.journal import Journal
from agent.load_learning import LoadLearner
from agent.migration.desk import Migration
from agent.options import Options
from agent.place import Demo, Place
from agent.plan_inputs import HomeSources
from agent.planning import RECENT_S, Planning, Sources
from agent.recovery.rooms import RecoveryRooms
from agent.releases.rooms import ReleaseRooms, release_setup
from agent.serving import Rooms, Serving
from agent.settings import Settings, SettingsStore
from agent.site import SiteChoices, wanted_feed_in
from agent.two_ways import TwoWays
from agent.watchdog_thread import Holds, watched

__all__ = ["App", "Demo", "Place", "opened", "serve"]

RELEASE_S = 25.0
"""Longest wait for the verified stop at the end; well within the Supervisor's 120 s."""
RESTORE_S = 20.0
"""Longest wait for the inverter's own feed-in limit to be back; only where it was changed."""
_SITE_STATE = "site"
_FORECASTS = ("forecast_tomorrow", "ci_forecast", "buy_rates", "sell_rates")
"""Entities that only plans read."""
_log = logging.getLogger(__name__)


class App:
    """One running agent."""

    def __init__(
        self,
        options: Options,
        place: Place,
        store: SettingsStore,
        journal: Journal,
        recorder: Recorder,
        clock: SystemClock,
    ) -> None:
        self._options = options
        self._place = place
        self._store = store
        self.journal = self._journal = journal
        self._recorder = recorder
        self._clock = clock
        self._core: CoreConnection | None = None
        self.holds = Holds()
        """Work in other processes that must not be cut off, not even by the watchdog."""
        self._meter: SiteMeter
        """Of the house in use; set before anything that asks for it."""
        if place.demo is None:
            self._core = CoreConnection(options.ha_url, self._token)
        self._keys = KeyFile(place.data_dir)
        local = lambda: clock.now().local  # noqa: E731 - a name for one line
        self._audit = Audit(journal, local)
        self._releases = ReleaseRooms(release_setup(place), store, journal, local)
        self._bridges: BridgeRooms | None = None
        self._flashing: FlashRooms | None = None
        self._migration: Migration | None = None
        if self._core is not None:
            told = self._releases.service
            self._bridges = BridgeRooms(
                store, self._core, self._keys, journal, local, self._audit, told
            )
            ground = Ground(release_setup(place), store, journal, clock, self._keys, self.holds)
            self._flashing = FlashRooms(ground, self._bridges, self._releases)
            self._migration = Migration(self._core, store, journal, local)
            self._flashing.set_rival(self._migration.flash_rival)
        self._recovery = RecoveryRooms(journal, local, self._core, self._flashing)
        self.stopping = asyncio.Event()
        self._rebuild = asyncio.Event()
        self._sources, self._learner = self._found_sources(), LoadLearner(journal)
        self._planning = Planning(
            lambda: store.current, clock, lambda: clock.zone, self._sources, self._learner
        )
        self._path_key = _path_key(store.current)
        self._ways = TwoWays(store.current, leaves=self._bridge_leaves)

    async def run(self, ready: Callable[[int], None]) -> None:
        """Run until `stopping` is set; `ready` is told the port of the page."""
        desk: Reception | None = None
        if self._flashing is not None:
            await self._flashing.recall()  # a bridge on trial is gone before anybody looks
        if self._migration is not None:
            await self._migration.recall()
        async with asyncio.TaskGroup() as tasks, AsyncExitStack() as doors:
            while not self.stopping.is_set():
                async with self._house() as house:
                    self._meter = house.meter
                    guard = await self._guard(house)
                    if desk is None:
                        desk = Reception(guard, self._journal, self._planning)
                        ready(await self._open(tasks, doors, desk))
                    else:
                        desk.seat(guard)
                    await self._guard_house(house, guard, desk)
            if self._flashing is not None:
                await self._flashing.drain()

    async def _open(self, tasks: asyncio.TaskGroup, doors: AsyncExitStack, desk: Reception) -> int:
        """Open page and MQTT, and whatever else lasts as long as the process."""
        now = self._clock.now().local
        desk.recall(await self._journal.samples(now - timedelta(hours=1), now))
        doors.callback(self._store.subscribe(self._settings_changed))
        doors.callback(self._store.subscribe(self._planning.settings_changed))
        serving = Serving(self._rooms(), desk, self._ahead(desk))
        lasting = {**serving.lasting(), "planning": self._planning.run(desk)}
        lasting |= {"releases": self._releases.service.run(), "recovery": self._recovery.run()}
        lasting["day"] = desk.recall_day(now)
        if self._core is not None:
            lasting |= {"core": self._core.run(), "zone": self._follow_zone(self._core)}
        if self._bridges is not None:
            self._bridges.guard = desk
            lasting["bridges"] = self._bridges.run()
        if self._flashing is not None:
            self._flashing.notice = lambda problems: desk.notice(problems, "flashing")
            lasting["flashing"] = self._flashing.run(self.stopping)
        if self._migration is not None:
            self._migration.moved = desk.wake
            lasting["migration"] = self._migration.run()
        if self._place.demo is not None:
            lasting["demo"] = demo.show(desk)
        for name, work in lasting.items():
            doors.callback(tasks.create_task(work, name=name).cancel)
        return await serving.open(doors)

    def uploading(self) -> str:
        """Return what is being written to a bridge at the moment; "" for nothing."""
        return self._flashing.uploading() if self._flashing is not None else ""

    def _rooms(self) -> Rooms:
        return Rooms(
            self._options,
            self._place,
            self._store,
            self._journal,
            self._audit,
            self._keys,
            lambda: self._meter,
            self._core,
            self._bridges,
            self._releases,
            self._flashing,
            self._recovery,
            self._migration,
        )

    def _bridge_leaves(self) -> bool:
        """Whether the bridge that commands go through is wanted for an update."""
        leaving = self._flashing.moments.leaving if self._flashing else frozenset()
        return mac_of(self._store.current.path_bridge) in leaving

    async def _guard_house(self, house: House, guard: Guard, desk: Reception) -> None:
        """Guard one house until the agent stops or another house is to be guarded."""
        self._rebuild.clear()
        keeper = self._feed_in(house, desk)
        async with AsyncExitStack() as listening, asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(_run(house), name="house"),
                tasks.create_task(guard.run(), name="guard"),
            ]
            looking = self._ways.run(house, guard, desk, self._rebuild)
            running.append(tasks.create_task(looking, name="ways"))
            if keeper is not None:
                running.append(tasks.create_task(keeper.run(), name="feed-in"))
                listening.callback(self._store.subscribe(lambda _: keeper.wake()))
            waits = [
                asyncio.create_task(self.stopping.wait()),
                asyncio.create_task(self._rebuild.wait()),
            ]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                released = await guard.release(RELEASE_S)
                _log.info("battery released: %s", "verified" if released else "by its own timer")
                if keeper is not None:
                    await keeper.restore(RESTORE_S)
            finally:
                for task in (*waits, *running):
                    task.cancel()
                await guard.close()

    def _house(self) -> AbstractAsyncContextManager[House]:
        if self._core is None or self._bridges is None:
            return houses.simulated(self._clock, (self._place.demo or Demo()).seed)
        return houses.on_path(
            self._ways.in_use, self._store.current, self._core, self._bridges.bridges
        )

    def _feed_in(self, house: House, desk: Reception) -> FeedInKeeper | None:
        if house.feed_in is None:
            return None
        return FeedInKeeper(
            house.feed_in,
            house.meter,
            self._journal,
            self._clock,
            lambda: wanted_feed_in(self._store.current),
            lambda problems: desk.notice(problems, "feed_in"),
        )

    async def _guard(self, house: House) -> Guard:
        choices = SiteChoices(
            lambda: self._store.current,
            house.meter.traits,
            house.identity,
            house.firmware,
            house.foreign_requests,
            rival=self._migration.rival if self._migration else lambda: "",
        )
        guard = Guard(
            house.meter,
            house.actuator,
            self._journal,
            self._clock,
            choices,
            advise=self._planning.advice,
            note=self._recorder.note,
        )
        await guard.recall()
        return guard

    def _found_sources(self) -> Sources:
        if self._core is None:
            return houses.made_up_forecasts(lambda: self._clock.now().local)
        return HomeSources(self._core, lambda: self._store.current, lambda: self._clock.zone)

    def _ahead(self, desk: Reception) -> Ahead:
        """Return what plans are made from, for the doctor."""

        def load(now: datetime) -> Series:
            return self._learner.expected(now, self._clock.zone, desk.history(RECENT_S))

        return Ahead(self._sources, lambda: self._clock.now().local, lambda: self._clock.zone, load)

    def _settings_changed(self, settings: Settings) -> None:
        key = _path_key(settings)
        if key != self._path_key and self._core is not None:
            self._path_key = key
            self._ways.choose(settings)
            self._rebuild.set()
        if settings.time_zone:
            self._clock.zone = ZoneInfo(settings.time_zone)

    async def _follow_zone(self, core: CoreConnection) -> None:
        """Take the site's time zone from Core, where the settings leave it to Core."""
        changed = asyncio.Event()
        end = core.subscribe_link(lambda _: changed.set())
        try:
            while True:
                config = core.config
                if config is not None and not self._store.current.time_zone:
                    await self._take_zone(config.time_zone)
                await changed.wait()
                changed.clear()
        finally:
            end()

    async def _take_zone(self, name: str) -> None:
        if name == self._clock.zone.key:
            return
        try:
            self._clock.zone = ZoneInfo(name)
        except (ValueError, OSError) as error:
            _log.error("Home Assistant's time zone %r is not known here: %s", name, error)
            return
        now = self._clock.now().local
        _log.info("The site's time zone is %s", name)
        await self._journal.save_state(_SITE_STATE, {"time_zone": name}, now)

    def _token(self) -> str:
        return self._options.core_token().get_secret_value()


def _path_key(settings: Settings) -> tuple[object, ...]:
    """Return what makes another house of it when it changes."""
    return (
        settings.paths,
        settings.path_bridge,
        settings.modbus_hub,
        settings.modbus_unit,
        settings.dispatch_soc_scale,
        settings.entities.model_copy(update=dict.fromkeys(_FORECASTS)),
    )


async def _run(house: House) -> None:
    await house.run()


@asynccontextmanager
async def opened(options: Options, place: Place) -> AsyncIterator[App]:
    """
    Open settings and journal, and close them whatever happens.

    Raises:
        AlreadyRunningError: another agent uses this data directory; nothing was touched.
        JournalError, SettingError, OSError: with what to do; nothing was started.
    """
    place.data_dir.mkdir(parents=True, exist_ok=True)
    with sole_owner(place.data_dir):
        async with _opened_alone(options, place) as app:
            yield app


@asynccontextmanager
async def _opened_alone(options: Options, place: Place) -> AsyncIterator[App]:
    store = SettingsStore(place.data_dir)
    for warning in store.warnings:
        _log.warning("%s", warning)
    journal = await Journal.open(place.data_dir / "journal.sqlite3")
    recorder = Recorder(place.data_dir)
    try:
        site = await journal.load_state(_SITE_STATE) or {}
        zone = store.current.time_zone or site.get("time_zone") or "UTC"
        clock = SystemClock(ZoneInfo(zone))
        if place.demo is not None:
            await demo.prepare(store)
        yield App(options, place, store, journal, recorder, clock)
    finally:
        await asyncio.to_thread(recorder.close)
        await journal.close()


async def serve(options: Options, place: Place, ready: Callable[[int], None]) -> None:
    """
    Run one agent until SIGTERM or SIGINT.

    Raises:
        AgentIllError: its own watchdog has ended it.
    """
    async with opened(options, place) as app:
        loop = asyncio.get_running_loop()
        stop = app.stopping.set
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        async with watched(app.journal, app.holds, app.uploading, stop):
            await app.run(ready)
