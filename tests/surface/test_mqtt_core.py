"""
What the oldest and the newest real Home Assistant make of our entities.

One Core per version carries all of it, because starts are the dear part: the cases below build on
each other in the order of the file. Times are held against those that were measured on an idle
machine for a publisher of the facts (ha_e2e.md section 3); the factor `SLACK` is for a busy one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from agent.export.requests import Request
from agent.export.snapshot import HealthStatus, Reason
from agent.fleet.contact import Contact, ContactState
from agent.fleet.gate_models import Block, Refusal
from agent.fleet.record import contacted, seen
from agent.fleet.sighting import Source
from agent.homeassistant.websocket import CoreConnection
from agent.surface import discovery_ids
from agent.surface.discovery import state_text, unique_id
from agent.surface.discovery_ids import CODE, READ_COMMAND, watch_ids
from agent.surface.entities import ENTITIES, Entity, Platform
from agent.surface.entities_bridge import BRIDGE_ENTITIES
from agent.surface.entities_release import FLEET_ROWS
from agent.surface.fleet_view import FleetView
from agent.surface.mqtt import BrokerAddress, MqttPublisher, MqttStatus
from tests.fleet.devices import fleet_of, mac, word
from tests.peers import table
from tests.peers.ha_client import CoreClient, CoreRefusedError
from tests.peers.homeassistant import Core
from tests.peers.install import installed_core, program
from tests.peers.mosquitto import Broker
from tests.surface.desks import QUIET, HandFleet, HandGuard, HandSettings

PREFIX, OTHER_PREFIX = "export_monitor", "energy_export_monitor"
SLACK = 4
OURS = ("pv_edge", "export_monitor", "pvautonomy", "default_entity_id")
"""Words of ours in the log of Core."""
GONE = {"unavailable", "unknown"}
TAKEN = "export_monitor_forecast_pv_today"
"""An id that somebody else holds before we come."""


def entity_id(entity: Entity, prefix: str = PREFIX) -> str:
    taken = f"{prefix}_{entity.key}" == TAKEN
    return f"{entity.platform}.{prefix}_{entity.key}{'_2' if taken else ''}"


SENSOR = {entity.key: entity_id(entity) for entity in ENTITIES if entity.platform == "sensor"}
HEALTH = SENSOR["system_health"]


BRIDGES = FleetView(
    version="0.1.0",
    now_s=9.0,
    fleet=contacted(
        fleet_of(
            word(1, Source.CONNECTION, name="bridge-1", project_name="pv-edge.alphaess-bridge"),
            word(10, Source.CONNECTION, name="bridge-10", project_name="PVAutonomy.Edge101Factory"),
        ),
        mac(1),
        Contact(ContactState.ONLINE, 5.0),
    ),
    discovered=QUIET.at,
    complete=True,
)
(STATUS,) = (it for it in FLEET_ROWS if it.key == "status")


def ids_of_bridges() -> dict[str, str]:
    """Return every unique id of the bridges with the id that it should have in Core."""
    fleet = {row.unique_id: row.entity_id for row in FLEET_ROWS}
    each = {
        row.unique_id(whose): row.entity_id(whose)
        for row in BRIDGE_ENTITIES
        for whose in BRIDGES.fleet.records
    }
    return {**fleet, **each}


class Scene:
    """A Core, a broker and our publisher with desks made by hand."""

    def __init__(self, core: Core, broker: Broker, settings: HandSettings) -> None:
        self.core, self.broker, self.settings = core, broker, settings
        self.guard = HandGuard()
        self.fleet = HandFleet(BRIDGES)
        self.note: Callable[[str, object], None] = lambda name, value: None
        """Takes a measured figure into the table of the run."""
        self.publisher = self._publisher()
        self._task: asyncio.Task[None] | None = None

    async def _address(self) -> BrokerAddress:
        broker = self.broker
        return BrokerAddress(broker.host, broker.port, broker.username, broker.password)

    def _publisher(self) -> MqttPublisher:
        return MqttPublisher(self.guard, self._address, settings=self.settings, fleet=self.fleet)

    def start(self) -> None:
        self.publisher = self._publisher()
        self._task = asyncio.create_task(self.publisher.run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    def client(self) -> CoreClient:
        return CoreClient(self.core.url, self.core.token)

    async def timed(self, what: str, expected_s: float, wait: Awaitable[Any]) -> None:
        """Wait, remember how long, and fail when it took much longer than the facts say."""
        self.held(what, expected_s, await seconds_of(wait))

    def held(self, what: str, expected_s: float, seconds: float) -> None:
        """Note a figure, and fail when it is much more than the facts say."""
        took_s = self.measured(what, seconds)
        assert took_s < expected_s * SLACK, (what, took_s)

    def measured(self, what: str, seconds: float) -> float:
        """Note how long something took in this Core."""
        took_s = round(seconds, 2)
        self.note(f"{what} ({self.core.version})", took_s)
        return took_s


async def seconds_of(wait: Awaitable[Any]) -> float:
    began_s = asyncio.get_running_loop().time()
    await wait
    return asyncio.get_running_loop().time() - began_s


def same(shown: str, said: str | None, entity: Entity) -> bool:
    """Tell whether Core's state is what the table made of the picture."""
    if said is None:
        return entity.platform is Platform.BUTTON and shown != "unavailable"
    if said == "None" or shown in GONE:
        return said in {"None", "unknown"} and shown == "unknown"
    if entity.numeric:
        return float(shown) == pytest.approx(float(said), abs=0.01)
    return shown.lower() == said.lower()


async def all_as_told(client: CoreClient, scene: Scene, prefix: str = PREFIX) -> None:
    """Wait until every state is what the table makes of the picture."""
    settings, picture = scene.settings.current(), scene.guard.shown
    told = {entity_id(it, prefix): (it, state_text(it, picture, settings)) for it in ENTITIES}

    def wrong(states: dict[str, Any]) -> dict[str, Any]:
        return {
            at: states.get(at)
            for at, (entity, said) in told.items()
            if at not in states or not same(states[at]["state"], said, entity)
        }

    try:
        await client.until_all(lambda states: not wrong(states), 60)
    except TimeoutError:
        raise AssertionError(wrong(client.states)) from None


@pytest.fixture(scope="module")
def scene(
    core_version: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    if installed_core(core_version) is None or program("mosquitto") is None:
        pytest.skip(f"Home Assistant {core_version} or mosquitto is missing: run script/setup")
    foreign = {"template": [{"sensor": [{"name": TAKEN, "unique_id": "theirs", "state": "1"}]}]}
    with Broker(tmp_path_factory.mktemp("mosquitto")) as broker:
        core = Core(
            core_version,
            tmp_path_factory.mktemp(f"core-{core_version}"),
            broker=broker,
            configuration=foreign,
        )
        made = Scene(core, broker, HandSettings(tmp_path_factory.mktemp("settings")))
        core.spawn()
        try:
            core.wait_running()
            yield made
        finally:
            core.kill()
            print(core.log(60))  # noqa: T201 - a failed test shows it


@pytest.fixture(autouse=True)
async def lived(
    scene: Scene,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> AsyncIterator[None]:
    """Run the publisher for one case; the Core goes on."""
    scene.note = record_property
    table.record(request, f"homeassistant {scene.core.version}")
    table.record(request, "mosquitto")
    scene.guard.shown = QUIET
    scene.fleet.now = BRIDGES
    scene.start()
    yield
    await scene.stop()


async def test_core_holds_every_entity_with_the_id_and_the_clothes_of_the_table(
    scene: Scene,
) -> None:
    """Ids, names, units, classes, categories, ranges, words: from Core's registry and states."""
    async with scene.client() as client:
        await scene.timed("first discovery of every entity", 1.5, all_as_told(client, scene))
        await client.until_all(lambda states: set(ids_of_bridges().values()) <= set(states), 30)
        registry = await client.command(READ_COMMAND)
        ours = {row["unique_id"]: row for row in registry if row["platform"] == "mqtt"}
        guard = {unique_id(entity) for entity in ENTITIES}
        assert set(ours) == guard | set(ids_of_bridges())
        ours = {unique: row for unique, row in ours.items() if unique in guard}
        found = await client.command(
            "config/entity_registry/get_entries",
            entity_ids=[row["entity_id"] for row in ours.values()],
        )
        for entity in ENTITIES:
            row = found[ours[unique_id(entity)]["entity_id"]]
            assert row["entity_id"] == entity_id(entity)
            assert row["entity_category"] == entity.category, entity
            assert row["original_device_class"] == entity.device_class, entity
            assert row["original_name"] == entity.name, entity
            assert row["disabled_by"] is None
            shown = client.states[entity_id(entity)]
            wears = shown["attributes"]
            assert wears.get("unit_of_measurement") == entity.unit, entity
            assert wears.get("state_class") == entity.state_class, entity
            if not scene.core.version.startswith("2024"):  # which shows no words of ours
                assert tuple(wears.get("options", ())) == entity.options, entity
            assert wears["friendly_name"] == f"Export Monitor {entity.name}"
            if entity.span:
                span = entity.span
                limits = (wears["min"], wears["max"], wears["step"], wears["mode"])
                assert limits == (span.minimum, span.maximum, span.step, span.mode), entity
            if entity.attributes:
                said = json.loads(json.dumps(dict(entity.attributes(QUIET))))
                assert said.items() <= wears.items(), entity


async def test_an_id_that_another_integration_holds_is_found_and_forgotten_when_it_is_renamed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery_ids, "SETTLE_S", 0.2)
    reports: asyncio.Queue[tuple[Reason, ...]] = asyncio.Queue()
    core = CoreConnection(scene.core.url, lambda: scene.core.token)
    tasks = [
        asyncio.create_task(core.run()),
        asyncio.create_task(watch_ids(core, ENTITIES, lambda: PREFIX, reports.put_nowait)),
    ]
    numbered = f"sensor.{TAKEN}_2"
    async with asyncio.timeout(30), scene.client() as client:
        (found,) = await reports.get()
        assert (found.code, found.source) == (CODE, numbered)
        assert "template" in found.text
        rename = {"entity_id": numbered, "new_entity_id": "sensor.my_forecast"}
        await client.command("config/entity_registry/update", **rename)
        assert await reports.get() == ()
        rename = {"entity_id": "sensor.my_forecast", "new_entity_id": numbered}
        await client.command("config/entity_registry/update", **rename)
        assert len(await reports.get()) == 1
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_every_button_reaches_the_guard(scene: Scene) -> None:
    buttons = [entity for entity in ENTITIES if entity.platform is Platform.BUTTON]
    scene.guard.requests.clear()
    async with scene.client() as client:
        await client.until(HEALTH, "Healthy")
        for entity in buttons:
            await client.call("button.press", entity_id=entity_id(entity))
        for entity in buttons:
            await client.until_state(
                entity_id(entity), lambda it: it["attributes"].get("last_accepted") is True
            )
    wanted = [Request(entity.request, by="mqtt") for entity in buttons if entity.request]
    assert scene.guard.requests == wanted


async def test_core_holds_every_entity_of_the_bridges_under_its_id_and_each_has_a_device(
    scene: Scene,
) -> None:
    async with scene.client() as client:
        await client.until_all(lambda states: set(ids_of_bridges().values()) <= set(states), 30)
        registry = await client.command(READ_COMMAND)
        given = {row["unique_id"]: row for row in registry if row["platform"] == "mqtt"}
        for unique, wanted in ids_of_bridges().items():
            assert given[unique]["entity_id"] == wanted
        devices = {it["id"]: it for it in await client.command("config/device_registry/list")}
        homes = {unique: devices[given[unique]["device_id"]]["name"] for unique in ids_of_bridges()}
        assert {homes[row.unique_id] for row in FLEET_ROWS} == {"PVAutonomy Ops"}
        assert {homes[row.unique_id(mac(1))] for row in BRIDGE_ENTITIES} == {"bridge-1"}
        assert {homes[row.unique_id(mac(10))] for row in BRIDGE_ENTITIES} == {"bridge-10"}
        await client.until("sensor.pvautonomy_ops_devices_count", "2")
        await client.until("sensor.pvautonomy_ops_status", "warn")
        await client.until(f"binary_sensor.pv_edge_bridge_{mac(1)}_connectivity", "on")
        await client.until(f"sensor.pv_edge_bridge_{mac(1)}_signal", "unknown")
        shown = client.states["sensor.pvautonomy_ops_status"]["attributes"]
        assert STATUS.attributes is not None
        assert shown.keys() >= STATUS.attributes(BRIDGES).keys()


async def test_pv12_a_bridge_is_chosen_asked_and_removed_from_a_core_that_runs(
    scene: Scene,
) -> None:
    """The old entities came with a start of Home Assistant only."""
    target = "select.pvautonomy_ops_target_device"
    third = f"binary_sensor.pv_edge_bridge_{mac(3)}_connectivity"
    async with scene.client() as client:
        await client.until(target, "unknown")
        scene.fleet.show(fleet=seen(BRIDGES.fleet, word(3, Source.CONNECTION, name="shed")))
        await client.until(third, "off")
        options = ["none", "bridge-1", "bridge-10", "shed"]
        await client.until_state(target, lambda it: it["attributes"].get("options") == options)
        await client.call("select.select_option", entity_id=target, option="shed")
        await client.until(target, "shed")
        assert scene.fleet.now.target == mac(3)
        scene.fleet.refusal = Refusal(Block.NO_IMAGE, "Not over the air yet.")
        for key in ("flash_firmware", "flash_production"):
            at = f"button.pvautonomy_ops_{key}"
            await client.call("button.press", entity_id=at)
            await client.until_state(
                at, lambda it: it["attributes"].get("error_message") == "Not over the air yet."
            )
        scene.fleet.show(fleet=BRIDGES.fleet)
        await client.until_all(lambda states: third not in states, 30)
        await client.until(target, "unknown")
        registry = await client.command(READ_COMMAND)
        assert third not in {row["entity_id"] for row in registry}


async def test_every_number_goes_there_and_back_and_none_beyond_its_range(scene: Scene) -> None:
    slowest_s = 0.0
    async with scene.client() as client:
        await client.until(HEALTH, "Healthy")
        for entity in ENTITIES:
            if entity.span is None:
                continue
            at, span = entity_id(entity), entity.span
            wanted = round(span.minimum + 3 * span.step, 3)
            await client.call("number.set_value", entity_id=at, value=wanted)
            echo = client.until(at, lambda state, v=wanted: state not in GONE and float(state) == v)
            slowest_s = max(slowest_s, await seconds_of(echo))
            assert scene.settings.current()[entity.setting or ""] == wanted
            with pytest.raises(CoreRefusedError):
                await client.call("number.set_value", entity_id=at, value=span.maximum + span.step)
            assert scene.settings.current()[entity.setting or ""] == wanted
    scene.held("slowest echo of a number", 0.5, slowest_s)


async def test_an_automatic_switch_turns_on_and_off(scene: Scene) -> None:
    async with scene.client() as client:
        await client.until(HEALTH, "Healthy")
        for entity in ENTITIES:
            if entity.platform is not Platform.SWITCH:
                continue
            at = entity_id(entity)
            for action, word in (("turn_on", "on"), ("turn_off", "off")):
                await client.call(f"switch.{action}", entity_id=at)
                await client.until_state(at, lambda it, word=word: it["state"] == word)
                assert scene.settings.current()[entity.setting or ""] is (word == "on")


async def test_what_is_not_known_is_unknown_and_health_stays_available(scene: Scene) -> None:
    async with scene.client() as client:
        await client.until(HEALTH, "Healthy")
        energy = dataclasses.replace(QUIET.energy, headroom_wh=None)
        scene.guard.show(
            energy=energy,
            soc_percent=None,
            data_staleness_s=None,
            health=HealthStatus.ERROR,
            readings=(),
            observe_reserve_soc=True,
        )
        for key in ("export_headroom", "current_soc", "data_staleness", "discharge_needed"):
            await client.until(SENSOR[key], "unknown")
        await client.until("binary_sensor.export_monitor_reserve_limit_reached", "unknown")
        await client.until("binary_sensor.export_monitor_data_stale", "on")
        await client.until(HEALTH, "Error")


async def test_an_agent_that_dies_is_unavailable_at_once_and_back_soon(scene: Scene) -> None:
    async with scene.client() as client:
        await client.until(HEALTH, "Healthy")
        session = scene.guard._listeners[0].__self__  # type: ignore[attr-defined]
        session._end_socket()  # no goodbye: the broker has to notice
        await scene.timed("agent killed, to unavailable", 0.5, client.until(HEALTH, "unavailable"))
        await scene.timed("agent back after a lost connection", 2.5, all_as_told(client, scene))
        await scene.stop()
        await client.until(HEALTH, "unavailable")
        scene.start()
        await scene.timed("agent restarted, to every entity", 1.5, all_as_told(client, scene))


async def test_after_a_broker_restart_everything_is_there_again(scene: Scene) -> None:
    async with scene.client() as client:
        await client.until(HEALTH, "Healthy")
        await asyncio.to_thread(scene.broker.stop)
        await scene.timed("broker gone, to unavailable", 0.5, client.until(HEALTH, "unavailable"))
        async with asyncio.timeout(10):
            while scene.publisher.state.status is not MqttStatus.UNREACHABLE:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        scene.guard.show(soc_percent=12.0)
        await asyncio.to_thread(scene.broker.start)
        # Core's own wait before it tries again: 2 s (2024.1), 9 s (2026.11).
        await scene.timed("broker restarted, to every entity", 11, all_as_told(client, scene))
        assert client.state(SENSOR["current_soc"]) == "12.0"


async def test_another_prefix_renames_every_entity_and_back(scene: Scene) -> None:
    async with scene.client() as client:
        await client.until(HEALTH, "Healthy")
        for prefix, before in ((OTHER_PREFIX, PREFIX), (PREFIX, OTHER_PREFIX)):
            await scene.settings.update({"entity_prefix": prefix}, "test")
            scene.guard.show()
            there = all_as_told(client, scene, prefix)
            await scene.timed(f"every entity renamed to {prefix}", 3, there)
            registry = await client.command(READ_COMMAND)
            ids = {row["entity_id"] for row in registry if row["platform"] == "mqtt"}
            others = set(ids_of_bridges().values())  # which have a prefix of their own
            assert ids == {entity_id(entity, prefix) for entity in ENTITIES} | others
            assert entity_id(ENTITIES[0], before) not in client.states


async def test_after_a_restart_of_core_everything_is_there_without_our_doing(scene: Scene) -> None:
    await asyncio.to_thread(scene.core.stop)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    scene.core.spawn()
    await scene.core.running()
    async with scene.client() as client:
        await all_as_told(client, scene)
    took_s = scene.measured("Core restarted, to every entity", loop.time() - began_s)
    # A start of Core itself is measured in the same breath, so a busy machine is not our fault.
    assert took_s < scene.core.started_in_s + 3 * SLACK
    complaints = [
        line
        for line in scene.core.log(2000).splitlines()
        if any(word in line for word in OURS)
        and "outside valid range" not in line  # the values that it refused above
    ]
    assert complaints == []
