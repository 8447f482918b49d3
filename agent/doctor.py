"""
Gathers what the doctor's checks look at, by reading only, and shows what they found.

The same examination serves the command line, which brings a link of its own, and the page of a
running agent, which lends its own. The inverter is asked for nothing but what Home Assistant
polls anyway; no register is written, and the broker is told nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp

from agent import houses
from agent.brokers import find_broker, probe
from agent.doctor_ahead import Ahead, looked_ahead
from agent.doctor_checks import examine
from agent.doctor_facts import (
    CoreFacts,
    DiskFacts,
    Facts,
    InputFacts,
    RivalFacts,
    WatchFacts,
)
from agent.doctor_report import Report
from agent.homeassistant.address import CoreAddress
from agent.homeassistant.errors import CoreError
from agent.homeassistant.link import Link, LinkState
from agent.homeassistant.websocket import CoreConnection
from agent.house.hass_entities import HelperMapping
from agent.house.port import SiteMeter
from agent.house.readings import DispatchReadings, HouseSample, Reading
from agent.migration.models import NAMES
from agent.migration.reading import read_found
from agent.options import Options
from agent.plan_inputs import HomeSources
from agent.settings import Settings, SettingsStore
from agent.surface.discovery_ids import READ_COMMAND, collisions
from agent.surface.entities import ENTITIES
from agent.surface.mqtt import MqttState, MqttStatus

WATCH_S = 10.0
LINK_S = 15.0
ANSWER_S = 5.0
FAILURES = 2
"""Attempts after which nobody is expected to be there."""
SETTLE_S = 40.0
"""After a connect every value has to be asked of its source again before it may be used."""
LOOK_EVERY_S = 0.25
_TOGGLE = re.compile(
    r"(input_boolean|switch)\.alphaess_helper_(force_[a-z]+|excess_export|dispatch)"
)
_PACKAGE = "automation.alphaess_"

Progress = Callable[[str, float], None]
"""Takes what is being done, and how much of all is done, in percent."""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined, and the ways to it."""

    settings: Settings
    data_dir: Path
    url: str
    core: CoreConnection | None
    """`None` where the house is a simulated one."""
    meter: SiteMeter
    broker: Callable[[], Awaitable[MqttState | None]]
    settings_warnings: tuple[str, ...] = ()
    ahead: Ahead | None = None
    """What plans are made from."""


async def examined(patient: Patient, progress: Progress, watch_s: float = WATCH_S) -> Report:
    """Gather all facts of a patient and return what the checks make of them."""
    began_s = time.monotonic()
    progress("Looking at the data directory", 0)
    disk = await asyncio.to_thread(_disk, patient.data_dir)
    core, rivals = None, RivalFacts()
    helpers: tuple[tuple[str, str, str | None], ...] = ()
    if patient.core is not None:
        progress("Reaching Home Assistant", 5)
        await _until_linked(patient.core)
        progress("Asking Home Assistant", 15)
        core = await _core(patient.core, patient.url)
        rivals, helpers = await _rivals(patient.core, core, patient.settings)
    progress("Asking the MQTT broker", 25)
    broker = await patient.broker()
    watch, ahead = None, None
    if patient.core is None or patient.core.link.up:
        progress("Waiting for the inputs", 30)
        if core is None or core.admin is not False:  # ages are told to administrators only
            await _settled(patient.meter)
        progress(f"Watching the inputs for {watch_s:.0f} s", 45)
        asks = asyncio.create_task(looked_ahead(patient.ahead)) if patient.ahead else None
        try:
            watch = await _watched(patient.meter, watch_s)
            progress("Asking for forecasts and prices", 90)
            ahead = await asks if asks else None
        finally:
            if asks is not None:
                asks.cancel()
    zone = patient.settings.time_zone or (core.time_zone if core else "")
    facts = Facts(
        settings=patient.settings,
        disk=disk,
        settings_warnings=patient.settings_warnings,
        core=core,
        rivals=rivals,
        watch=watch,
        ahead=ahead,
        helpers=helpers,
        broker=broker,
        known_zone=_known(zone),
    )
    progress("Done", 100)
    return Report(examine(facts), datetime.now(UTC), time.monotonic() - began_s)


async def examined_alone(
    options: Options, data_dir: Path, progress: Progress, watch_s: float = WATCH_S
) -> Report:
    """Examine from the command line, beside an agent that may be running or not."""
    settings, warnings = await asyncio.to_thread(_stored_settings, data_dir)

    def token() -> str:
        return options.core_token().get_secret_value()

    async def broker() -> MqttState:
        try:
            return await probe(await find_broker(options, token))
        except OSError as error:
            return MqttState(MqttStatus.UNREACHABLE, str(error))

    # An address that nobody listens at gives the right finding when none is set.
    core = CoreConnection(options.ha_url or "http://127.0.0.1:9", token)

    def zone() -> ZoneInfo:
        name = settings.time_zone or (core.config.time_zone if core.config else "")
        return ZoneInfo(name if _known(name) else "UTC")

    # Before the link is up, so that the entities come with the first that are asked for.
    ahead = Ahead(HomeSources(core, lambda: settings, zone), lambda: datetime.now(UTC), zone)
    async with houses.of_home_assistant(settings, core) as house:
        running = [asyncio.ensure_future(core.run()), asyncio.ensure_future(house.run())]
        try:
            url = options.ha_url
            patient = Patient(settings, data_dir, url, core, house.meter, broker, warnings, ahead)
            return await examined(patient, progress, watch_s)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _stored_settings(data_dir: Path) -> tuple[Settings, tuple[str, ...]]:
    """Read the settings without touching them; the store would set a broken file aside."""
    with tempfile.TemporaryDirectory(prefix="pv-edge-doctor-") as folder:
        stored = data_dir / "settings.json"
        try:
            shutil.copyfile(stored, Path(folder) / stored.name)
        except FileNotFoundError:
            pass
        except OSError as error:
            return Settings(), (f"{stored.name} cannot be read ({error.strerror})",)
        store = SettingsStore(Path(folder))
        # What it says of the file's new name is true of our copy only.
        texts = [warning.text.partition(". It ")[0] for warning in store.warnings]
        return store.current, tuple(f"{text}; defaults would be used." for text in texts)


def _disk(folder: Path) -> DiskFacts:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"writable?")
            file.flush()
            os.fsync(file.fileno())
        free_mb = shutil.disk_usage(folder).free / 1e6
    except OSError as error:
        return DiskFacts(str(folder), error.strerror or str(error))
    return DiskFacts(str(folder), free_mb=free_mb)


def _known(zone: str) -> bool:
    try:
        ZoneInfo(zone or "UTC")
    except (ValueError, OSError):
        return False
    return True


async def _until_linked(core: CoreConnection) -> None:
    """Wait until Core has let us in, refused us, or failed twice."""
    failures = 0
    moved = asyncio.Event()

    def note(link: Link) -> None:
        nonlocal failures
        failures += link.state is LinkState.DOWN
        moved.set()

    end = core.subscribe_link(note)
    try:
        async with asyncio.timeout(LINK_S):
            while core.link.state not in {LinkState.UP, LinkState.REFUSED} and failures < FAILURES:
                moved.clear()
                await moved.wait()
    except TimeoutError:
        pass
    finally:
        end()


async def _core(core: CoreConnection, url: str) -> CoreFacts:
    if not url:
        return CoreFacts(url, LinkState.DOWN, "ha_url is not set.")
    if not core.link.up:
        refused = core.link.state is LinkState.REFUSED
        # Without a usable token nobody was even tried.
        answers = not refused or await _answers(url)
        return CoreFacts(url, core.link.state, core.link.detail, answers=answers)
    user = await _ask(core, "auth/current_user") or {}
    config = await _ask(core, "get_config") or {}
    services = await _ask(core, "get_services")
    offset_s, doubt_s = await _clock(core)
    actions = None
    if isinstance(services, dict):
        actions = frozenset(f"{d}.{s}" for d, each in services.items() for s in each)
    return CoreFacts(
        url,
        LinkState.UP,
        version=str(config.get("version", "")),
        time_zone=str(config.get("time_zone", "")),
        running=config.get("state") == "RUNNING",
        admin=user.get("is_admin"),
        user=str(user.get("name", "")),
        clock_offset_s=offset_s,
        clock_doubt_s=doubt_s,
        actions=actions,
        components=frozenset(str(each) for each in config.get("components", ())),
    )


async def _answers(url: str) -> bool:
    """Return whether anything speaks HTTP there, with or without a token."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(CoreAddress.of(url).api, allow_redirects=False),
        ):
            return True
    except (aiohttp.ClientError, OSError):  # TimeoutError is one
        return False


async def _ask(core: CoreConnection, kind: str, **what: Any) -> Any:
    """Return the answer to one command, `None` where Core gives none."""
    try:
        return await core.command(kind, 10.0, **what)
    except CoreError:
        return None


async def _clock(core: CoreConnection) -> tuple[float | None, float]:
    before = time.time()
    try:
        told = float(await core.render_template("{{ now().timestamp() }}"))
    except (CoreError, ValueError):
        return None, 0.0
    after = time.time()
    return told - (before + after) / 2, (after - before) / 2


async def _rivals(
    core: CoreConnection, facts: CoreFacts, settings: Settings
) -> tuple[RivalFacts, tuple[tuple[str, str, str | None], ...]]:
    """Find other controllers, and the helpers that the helper path would write."""
    if not core.link.up:
        return RivalFacts(), ()
    try:
        loaded = {it.domain for it in (await read_found(core)).entries if it.active}
        states = {each["entity_id"]: str(each["state"]) for each in await core.get_states()}
    except CoreError as error:
        return RivalFacts(unasked=f"Home Assistant's states could not be read: {error}"), ()
    toggles = sorted(entity for entity in states if _TOGGLE.fullmatch(entity))
    enabled = {e for e, state in states.items() if e.startswith("automation.") and state == "on"}
    users: set[str] = set()
    for toggle in toggles:
        related = await _ask(core, "search/related", item_type="entity", item_id=toggle) or {}
        users |= {each for each in related.get("automation", ()) if each in enabled}
    registry = await _ask(core, READ_COMMAND) or ()
    taken = collisions(registry, ENTITIES, settings.entity_prefix)
    rivals = RivalFacts(
        taken_ids=tuple(reason.text for reason in taken),
        integrations=tuple(f"{NAMES[domain]} ({domain})" for domain in sorted(loaded)),
        toggles_on=tuple(toggle for toggle in toggles if states[toggle] == "on"),
        automations=tuple(sorted(each for each in users if not each.startswith(_PACKAGE))),
        resets=tuple(sorted(e for e in enabled if e.startswith(f"{_PACKAGE}dispatch_reset"))),
    )
    return rivals, tuple(_helpers(settings, states))


def _helpers(settings: Settings, states: dict[str, str]) -> list[tuple[str, str, str | None]]:
    """Return the helpers that the helper path would write: chosen, else detected, else missing."""
    chosen = settings.entities.model_dump()
    names = [field.name for field in fields(HelperMapping)]
    mapping = HelperMapping(**{name: chosen.get(name) for name in names}).over(states)
    found = {name: getattr(mapping, name) for name in names}
    return [
        (name, entity or f"A helper for {name}", states.get(entity) if entity else None)
        for name, entity in found.items()
        # Not every port has timers, and a reset that was never pressed is unknown.
        if name != "reset_button" and (entity or not name.endswith("_timer"))
    ]


def _readings(sample: HouseSample) -> dict[str, Reading]:
    dispatch = {f"dispatch_{f.name}": getattr(sample.dispatch, f.name) for f in _DISPATCH}
    named = {f.name: getattr(sample, f.name) for f in fields(HouseSample)}
    return {k: v for k, v in named.items() if isinstance(v, Reading)} | dispatch


_DISPATCH = fields(DispatchReadings)
_NEEDED = ("grid_w", "battery_w", "pv_w", "soc_percent", "exported_wh", "dispatch_start")


async def _settled(meter: SiteMeter) -> None:
    """Wait until the inputs have been asked of their sources, or clearly will not be."""
    came = asyncio.Event()
    end = meter.subscribe(came.set)
    try:
        async with asyncio.timeout(SETTLE_S):
            while not all(_readings(meter.sample())[name].good for name in _NEEDED):
                came.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await came.wait()
                if _hopeless(meter.sample()):
                    return
    except TimeoutError:
        pass
    finally:
        end()


def _hopeless(sample: HouseSample) -> bool:
    """Return True when what is missing would not come by waiting."""
    readings = _readings(sample)
    bad = [readings[name] for name in _NEEDED if not readings[name].good]
    return all("waiting for" not in each.detail and "age of" not in each.detail for each in bad)


async def _watched(meter: SiteMeter, seconds: float) -> WatchFacts:
    """Look at the house again and again, and count what was reported anew."""
    times: dict[str, set[float]] = {name: set() for name in _readings(meter.sample())}
    powers: list[tuple[float, float, float]] = []
    end_s = time.monotonic() + seconds
    while True:
        sample = meter.sample()
        for name, reading in _readings(sample).items():
            if reading.good:
                told_s = reading.reported_s
                times[name].add(reading.changed_s if told_s is None else told_s)
        now_w = (sample.grid_w.value, sample.battery_w.value, sample.pv_w.value)
        if None not in now_w:
            powers.append(now_w)  # type: ignore[arg-type]  # none of them is None
        if time.monotonic() >= end_s:
            break
        await asyncio.sleep(LOOK_EVERY_S)
    now_s = time.monotonic()
    inputs = tuple(
        InputFacts(name, reading, _age(reading, now_s), max(0, len(times[name]) - 1))
        for name, reading in _readings(sample).items()
    )
    findings = tuple(str(each) for each in getattr(meter, "findings", ()))
    return WatchFacts(seconds, inputs, tuple(powers), meter.traits, findings)


def _age(reading: Reading, now_s: float) -> float | None:
    known = reading.good and (reading.reported_s or reading.changed_s) > 0
    return reading.age_s(now_s) if known else None
