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
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from agent import __version__, houses
from agent.clock import SystemClock
from agent.desks import HISTORY_EVERY_S, Reception, SettingsCounter
from agent.export.guard import Guard
from agent.export.requests import Request, RequestKind
from agent.homeassistant.errors import CoreError
from agent.homeassistant.supervisor import Supervisor, SupervisorError
from agent.homeassistant.websocket import CoreConnection
from agent.houses import House
from agent.journal import Journal, JournalError
from agent.options import SUPERVISOR_CORE_URL, Options
from agent.settings import Settings, SettingsStore
from agent.site import SiteChoices
from agent.surface.mqtt import BrokerAddress, MqttNames, MqttPublisher
from agent.surface.web.auth import Gate, LookupFailedError, Policy
from agent.surface.web.server import WebServer

RELEASE_S = 25.0
"""Longest wait for the verified stop at the end; well within the Supervisor's 120 s."""
_SITE_STATE = "site"
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


@dataclass(slots=True)
class App:
    """One running agent."""

    options: Options
    place: Place
    store: SettingsStore
    journal: Journal
    clock: SystemClock
    core: CoreConnection | None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _rebuild: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: asyncio.TaskGroup | None = None

    @property
    def supervised(self) -> bool:
        """True as an app of the Supervisor."""
        return self.options.ha_url == SUPERVISOR_CORE_URL

    async def run(self, ready: Callable[[int], None]) -> None:
        """Run until `stopping` is set; `ready` is told the port of the page."""
        async with self._house() as house:
            guard = await self._guard(house)
            desk = Reception(guard, self.journal)
            now = self.clock.now().local
            desk.recall(await self.journal.samples(now - timedelta(hours=1), now))
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                await self._serve(tasks, desk, ready, house, guard)

    async def _serve(
        self,
        tasks: asyncio.TaskGroup,
        desk: Reception,
        ready: Callable[[int], None],
        house: House,
        guard: Guard,
    ) -> None:
        counter = SettingsCounter(self.store, guard.wake)
        web = WebServer(desk, counter, self._gate(), self._audit)
        names = MqttNames(prefix=self.store.current.entity_prefix, version=__version__)
        mqtt = MqttPublisher(desk, self._broker, names)
        ready(await web.start(self.place.host, self.place.port))
        end = self.store.subscribe(self._settings_changed)
        lasting = [
            tasks.create_task(self._remember(desk), name="history"),
            tasks.create_task(mqtt.run(), name="mqtt"),
        ]
        if self.core is not None:
            lasting.append(tasks.create_task(self.core.run(), name="core"))
            lasting.append(tasks.create_task(self._follow_zone(), name="zone"))
        if self.place.demo is not None:
            lasting.append(tasks.create_task(show(desk), name="demo"))
        try:
            await self._guard_house(house, guard)
            while not self.stopping.is_set():
                async with self._house() as other:
                    successor = await self._guard(other)
                    desk.seat(successor)
                    await self._guard_house(other, successor)
        finally:
            end()
            for task in lasting:
                task.cancel()
            await web.stop()

    async def _guard_house(self, house: House, guard: Guard) -> None:
        """Guard one house until the agent stops or another house is to be guarded."""
        self._rebuild.clear()
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(_run(house), name="house"),
                tasks.create_task(guard.run(), name="guard"),
            ]
            waits = [
                asyncio.create_task(self.stopping.wait()),
                asyncio.create_task(self._rebuild.wait()),
            ]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                released = await guard.release(RELEASE_S)
                _log.info("battery released: %s", "verified" if released else "by its own timer")
            finally:
                for task in (*waits, *running):
                    task.cancel()

    def _house(self) -> AbstractAsyncContextManager[House]:
        if self.place.demo is not None or self.core is None:
            return houses.simulated(self.clock, (self.place.demo or Demo()).seed)
        return houses.of_home_assistant(self.store.current, self.core)

    async def _guard(self, house: House) -> Guard:
        choices = SiteChoices(lambda: self.store.current, house.meter.traits, house.identity)
        guard = Guard(house.meter, house.actuator, self.journal, self.clock, choices)
        await guard.recall()
        return guard

    def _settings_changed(self, settings: Settings) -> None:
        key = _path_key(settings)
        if key != self._last_key:
            self._last_key = key
            self._rebuild.set()
        if settings.time_zone:
            self.clock.zone = ZoneInfo(settings.time_zone)

    _last_key: tuple[object, ...] = ()

    def __post_init__(self) -> None:
        self._last_key = _path_key(self.store.current)

    async def _remember(self, desk: Reception) -> None:
        while True:
            desk.remember()
            await asyncio.sleep(HISTORY_EVERY_S)

    async def _follow_zone(self) -> None:
        """Take the site's time zone from Core, where the settings leave it to Core."""
        core = self.core
        if core is None:
            return
        changed = asyncio.Event()
        end = core.subscribe_link(lambda _: changed.set())
        try:
            while True:
                config = core.config
                if config is not None and not self.store.current.time_zone:
                    await self._take_zone(config.time_zone)
                await changed.wait()
                changed.clear()
        finally:
            end()

    async def _take_zone(self, name: str) -> None:
        if name == self.clock.zone.key:
            return
        try:
            self.clock.zone = ZoneInfo(name)
        except (ValueError, OSError) as error:
            _log.error("Home Assistant's time zone %r is not known here: %s", name, error)
            return
        now = self.clock.now().local
        _log.info("The site's time zone is %s", name)
        await self.journal.save_state(_SITE_STATE, {"time_zone": name}, now)

    def _gate(self) -> Gate:
        return Gate(Policy(self.supervised), self._is_admin)

    async def _is_admin(self, user_id: str) -> bool:
        if self.core is None:
            return False
        try:
            user = await self.core.get_user(user_id)
        except CoreError as error:
            raise LookupFailedError(str(error)) from error
        return user is not None and user.active and user.admin

    def _audit(self, by: str, action: str, outcome: str) -> None:
        if self._tasks is not None:
            self._tasks.create_task(self._note(by, action, outcome))

    async def _note(self, by: str, action: str, outcome: str) -> None:
        try:
            data = {"by": by, "action": action, "outcome": outcome}
            await self.journal.append("audit", data, self.clock.now().local)
        except JournalError as error:
            _log.error("not in the journal: %s by %s: %s (%s)", action, by, outcome, error)

    async def _broker(self) -> BrokerAddress | None:
        """Return the broker of the options, else the Supervisor's, else none."""
        o = self.options
        if o.mqtt_host:
            password = o.mqtt_password.get_secret_value()
            return BrokerAddress(o.mqtt_host, o.mqtt_port, o.mqtt_username, password, o.mqtt_tls)
        if not self.supervised:
            return None
        supervisor = Supervisor(lambda: o.core_token().get_secret_value())
        try:
            service = await supervisor.mqtt_service()
        except SupervisorError as error:
            raise OSError(str(error)) from error
        if service is None:
            return None
        return BrokerAddress(
            service.host, service.port, service.username, service.password, service.ssl
        )


def _path_key(settings: Settings) -> tuple[object, ...]:
    """Return what makes another house of it when it changes."""
    return (
        settings.path,
        settings.modbus_hub,
        settings.modbus_unit,
        settings.dispatch_soc_scale,
        settings.entities,
    )


async def _run(house: House) -> None:
    await house.run()


async def show(desk: Reception) -> None:
    """Demo: run the commissioning test, then ask for a discharge; both as a person would."""
    changed = asyncio.Event()
    end = desk.subscribe(changed.set)
    try:
        while True:
            picture = desk.snapshot()
            codes = {reason.code for reason in picture.blockers}
            if codes == {"not_commissioned"} and picture.commissioning.stage == "none":
                desk.request(Request(RequestKind.COMMISSION, "demo"))
            if picture.commissioning.passed and not codes:
                desk.request(Request(RequestKind.START_DISCHARGE, "demo"))
                return
            await changed.wait()
            changed.clear()
    finally:
        end()


@asynccontextmanager
async def opened(options: Options, place: Place) -> AsyncIterator[App]:
    """
    Open settings and journal, and close them whatever happens.

    Raises:
        JournalError, SettingError, OSError: with what to do; nothing was started.
    """
    place.data_dir.mkdir(parents=True, exist_ok=True)
    store = SettingsStore(place.data_dir)
    for warning in store.warnings:
        _log.warning("%s", warning)
    journal = await Journal.open(place.data_dir / "journal.sqlite3")
    try:
        site = await journal.load_state(_SITE_STATE) or {}
        zone = store.current.time_zone or site.get("time_zone") or "UTC"
        clock = SystemClock(ZoneInfo(zone))
        if place.demo is not None:
            await _prepare_demo(store)
        core = None
        if place.demo is None:
            core = CoreConnection(options.ha_url, lambda: options.core_token().get_secret_value())
        yield App(options, place, store, journal, clock, core)
    finally:
        await journal.close()


async def _prepare_demo(store: SettingsStore) -> None:
    """A newcomer's house: limit and target of a usual UK connection, ready to control."""
    if store.current.export_limit_w is None:
        await store.update(
            {"mode": "control", "export_limit_w": 3680, "target_export_w": 3000}, "demo"
        )


async def serve(options: Options, place: Place, ready: Callable[[int], None]) -> None:
    """Run one agent until SIGTERM or SIGINT."""
    async with opened(options, place) as app:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, app.stopping.set)
        await app.run(ready)
