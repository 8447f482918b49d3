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
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from agent import __version__, demo, houses
from agent.bridge_rooms import BridgeRooms
from agent.brokers import find_broker
from agent.clock import SystemClock
from agent.desks import HISTORY_EVERY_S, Reception, SettingsCounter
from agent.doctor_ahead import Ahead
from agent.export.feed_in_keeper import FeedInKeeper
from agent.export.guard import Guard
from agent.export.recorder import Recorder
from agent.fleet.keys import KeyFile
from agent.homeassistant.errors import CoreError
from agent.homeassistant.websocket import CoreConnection
from agent.house.port import SiteMeter
from agent.house.series import Series
from agent.houses import House
from agent.instance import sole_owner
from agent.journal import Journal, JournalError
from agent.load_learning import LoadLearner
from agent.options import SUPERVISOR_CORE_URL, Options
from agent.plan_inputs import HomeSources
from agent.planning import RECENT_S, Planning, Sources
from agent.settings import Settings, SettingsStore
from agent.site import SiteChoices, wanted_feed_in
from agent.support import Support
from agent.surface.bridge_notifications import ID_PREFIX
from agent.surface.discovery_ids import watch_ids
from agent.surface.entities import ENTITIES
from agent.surface.mqtt import BrokerAddress, MqttNames, MqttPublisher
from agent.surface.notifications import Notifier
from agent.surface.web.auth import Gate, LookupFailedError, Policy
from agent.surface.web.server import WebServer
from agent.two_ways import TwoWays

RELEASE_S = 25.0
"""Longest wait for the verified stop at the end; well within the Supervisor's 120 s."""
RESTORE_S = 20.0
"""Longest wait for the inverter's own feed-in limit to be back; only where it was changed."""
_SITE_STATE = "site"
_FORECASTS = ("forecast_tomorrow", "ci_forecast", "buy_rates", "sell_rates")
"""Entities that only plans read."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Demo:
    """The embedded house of `script/run`."""

    seed: int = 7


@dataclass(frozen=True, slots=True)
class Place:
    """Where this process lives."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8099
    demo: Demo | None = None


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
        self._journal = journal
        self._recorder = recorder
        self._clock = clock
        self._core: CoreConnection | None = None
        self._meter: SiteMeter
        """Of the house in use; set before anything that asks for it."""
        if place.demo is None:
            self._core = CoreConnection(options.ha_url, self._token)
        self._keys = KeyFile(place.data_dir)
        self._bridges: BridgeRooms | None = None
        if self._core is not None:
            local = lambda: clock.now().local  # noqa: E731 - a name for one line
            self._bridges = BridgeRooms(store, self._core, self._keys, journal, local, self._audit)
        self.stopping = asyncio.Event()
        self._rebuild = asyncio.Event()
        self._sources, self._learner = self._found_sources(), LoadLearner(journal)
        self._planning = Planning(
            lambda: store.current, clock, lambda: clock.zone, self._sources, self._learner
        )
        self._path_key = _path_key(store.current)
        self._ways = TwoWays(store.current)
        self._audits: set[asyncio.Task[None]] = set()

    @property
    def supervised(self) -> bool:
        """True as an app of the Supervisor."""
        return self._options.ha_url == SUPERVISOR_CORE_URL

    async def run(self, ready: Callable[[int], None]) -> None:
        """Run until `stopping` is set; `ready` is told the port of the page."""
        desk: Reception | None = None
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

    async def _open(self, tasks: asyncio.TaskGroup, doors: AsyncExitStack, desk: Reception) -> int:
        """Open page and MQTT, and whatever else lasts as long as the process."""
        now = self._clock.now().local
        desk.recall(await self._journal.samples(now - timedelta(hours=1), now))
        doors.callback(self._store.subscribe(self._settings_changed))
        doors.callback(self._store.subscribe(self._planning.settings_changed))
        names = MqttNames(version=__version__)
        counter = SettingsCounter(self._store, desk.wake)
        bridges = self._bridges
        publisher = MqttPublisher(
            desk,
            self._broker,
            names,
            settings=counter,
            audit=self._audit,
            fleet=bridges.work if bridges else None,
        )
        lasting = {
            "history": self._remember(desk),
            "mqtt": publisher.run(),
            "planning": self._planning.run(desk),
        }
        notifier = None
        if self._core is not None:
            also = bridges.notifications if bridges else dict
            notifier = Notifier(desk, self._core, also=also, also_ids=ID_PREFIX)
            lasting |= {
                "core": self._core.run(),
                "zone": self._follow_zone(self._core),
                "notifications": notifier.run(),
                "ids": watch_ids(
                    self._core, ENTITIES, lambda: self._store.current.entity_prefix, desk.notice
                ),
            }
        if bridges is not None:
            bridges.guard = desk
            lasting["bridges"] = bridges.run()
        if self._place.demo is not None:
            lasting["demo"] = demo.show(desk)
        for name, work in lasting.items():
            doors.callback(tasks.create_task(work, name=name).cancel)
        support = Support(
            self._options,
            self._place.data_dir,
            self._store,
            self._journal,
            desk,
            lambda: self._meter,
            publisher,
            self._core,
            notifier,
            self._ahead(desk),
            self._keys,
            bridges.bridges if bridges else None,
        )
        gate = Gate(Policy(self.supervised), self._is_admin)
        desks = bridges.desks if bridges else None
        web = WebServer(desk, counter, gate, self._audit, support=support, bridges=desks)
        doors.push_async_callback(web.stop)
        return await web.start(self._place.host, self._place.port)

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

    async def _remember(self, desk: Reception) -> None:
        while True:
            desk.remember()
            await asyncio.sleep(HISTORY_EVERY_S)

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

    async def _is_admin(self, user_id: str) -> bool:
        if self._core is None:
            return False
        try:
            async with asyncio.timeout(self._store.current.service_timeout_s):
                user = await self._core.get_user(user_id)
        except (CoreError, TimeoutError) as error:
            raise LookupFailedError(str(error)) from error
        return user is not None and user.active and user.admin

    def _audit(self, by: str, action: str, outcome: str) -> None:
        task = asyncio.get_running_loop().create_task(self._note(by, action, outcome))
        self._audits.add(task)
        task.add_done_callback(self._audits.discard)

    async def _note(self, by: str, action: str, outcome: str) -> None:
        try:
            data = {"by": by, "action": action, "outcome": outcome}
            await self._journal.append("audit", data, self._clock.now().local)
        except JournalError as error:
            _log.error("not in the journal: %s by %s: %s (%s)", action, by, outcome, error)

    def _token(self) -> str:
        return self._options.core_token().get_secret_value()

    async def _broker(self) -> BrokerAddress | None:
        """Return the broker of the options, else the Supervisor's, else none."""
        return await find_broker(self._options, self._token)


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
    """Run one agent until SIGTERM or SIGINT."""
    async with opened(options, place) as app:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, app.stopping.set)
        await app.run(ready)
