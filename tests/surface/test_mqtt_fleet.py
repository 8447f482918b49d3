"""The bridges over MQTT, with a real mosquitto: told, commanded, refused and removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.fleet.contact import Contact, ContactState
from agent.fleet.gate_models import Block, Refusal
from agent.fleet.identity import Mac
from agent.fleet.operations import Op
from agent.fleet.record import Fleet, contacted
from agent.fleet.sighting import Source
from agent.surface import mqtt_fleet
from agent.surface.entities_bridge import BRIDGE_ENTITIES
from agent.surface.entities_release import FLEET_ROWS
from agent.surface.fleet_view import FleetView
from tests.fleet.devices import fleet_of, mac, word
from tests.peers.mosquitto import Broker
from tests.surface.desks import NOON, HandFleet
from tests.surface.mqtt_scene import Agent, Watcher, running, until, watching

ONE, TEN = mac(1), mac(10)
NO_UPDATES = Refusal(Block.NO_IMAGE, "This version does not update bridges over the air yet.")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Agent, "folder", tmp_path)
    monkeypatch.setattr(mqtt_fleet, "ROUND_S", 0.05)


@pytest.fixture
def base(request: pytest.FixtureRequest) -> str:
    return f"fleet_{abs(hash(request.node.nodeid))}"


def two(*online: int) -> Fleet:
    known = fleet_of(
        word(1, Source.CONNECTION, name="bridge-1", project_name="pv-edge.alphaess-bridge"),
        word(10, Source.CONNECTION, name="bridge-10", project_name="PVAutonomy.Edge101Factory"),
    )
    for number in online:
        known = contacted(known, mac(number), Contact(ContactState.ONLINE, 5.0))
    return known


def desk(fleet: Fleet | None = None, **more: Any) -> HandFleet:
    known = two(1, 10) if fleet is None else fleet
    view = {"version": "0.1.0", "now_s": 9.0, "fleet": known, "discovered": NOON, "complete": True}
    return HandFleet(FleetView(**{**view, **more}))


def fleet_topic(base: str, key: str, what: str = "state") -> str:
    return f"{base}/fleet/{key}/{what}"


def bridge_topic(base: str, whose: Mac, key: str, what: str = "state") -> str:
    return f"{base}/bridge/{whose}/{key}/{what}"


def config_of(base: str, whose: Mac, key: str) -> str:
    (row,) = (it for it in BRIDGE_ENTITIES if it.key == key)
    return f"{base}/homeassistant/{row.platform.value}/pv_edge_agent/bridge_{whose}_{key}/config"


def attributes(watcher: Watcher, base: str, key: str) -> dict[str, Any]:
    return dict(json.loads(watcher.last.get(fleet_topic(base, key, "attributes"), "{}")))


def options(watcher: Watcher, base: str) -> list[str]:
    topic = f"{base}/homeassistant/select/pv_edge_agent/fleet_target_device/config"
    return list(json.loads(watcher.last.get(topic, "{}")).get("options", []))


async def test_every_row_is_announced_and_told_before_the_agent_is_online(
    broker: Broker, base: str
) -> None:
    agent = Agent(broker, base, fleet=desk())
    async with watching(broker, base) as watcher, running(agent):
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        found = [json.loads(text) for at, text in watcher.last.items() if at.endswith("/config")]
        ids = {it["default_entity_id"] for it in found}
        assert {row.entity_id for row in FLEET_ROWS} <= ids
        assert {row.entity_id(each) for row in BRIDGE_ENTITIES for each in (ONE, TEN)} <= ids
        assert len({it["unique_id"] for it in found}) == len(found)
        assert all(it["availability"] == [{"topic": agent.topics.status}] for it in found)
        assert all("connections" not in it["device"] for it in found)
        assert watcher.last[fleet_topic(base, "devices_count")] == "2"
        assert watcher.last[bridge_topic(base, TEN, "connectivity")] == "ON"
        assert options(watcher, base) == ["none", "bridge-1", "bridge-10"]


async def test_pv12_a_bridge_that_comes_later_is_there_without_any_restart(
    broker: Broker, base: str
) -> None:
    fleet = desk(Fleet())
    async with watching(broker, base) as watcher, running(Agent(broker, base, fleet=fleet)):
        await until(lambda: options(watcher, base) == ["none"])
        assert watcher.last[fleet_topic(base, "devices_count")] == "0"
        fleet.show(fleet=two(1))
        await until(lambda: watcher.last.get(bridge_topic(base, ONE, "connectivity")) == "ON")
        await until(lambda: watcher.last.get(bridge_topic(base, TEN, "connectivity")) == "OFF")
        await until(lambda: options(watcher, base) == ["none", "bridge-1", "bridge-10"])


async def test_many_bridges_are_told_of_in_portions_that_a_broker_can_queue(
    broker: Broker, base: str
) -> None:
    many = fleet_of(*(word(number, name=f"bridge-{number}") for number in range(1, 61)))
    agent = Agent(broker, base, fleet=desk(many))
    async with watching(broker, base) as watcher, running(agent):
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        last = bridge_topic(base, mac(60), "connectivity")
        assert last not in watcher.last
        await until(lambda: watcher.last.get(last) == "OFF")
        shown = {topic for topic in watcher.last if topic.endswith("/connectivity/state")}
        assert len(shown) == 60


async def test_only_the_bridge_that_changes_is_told_again(broker: Broker, base: str) -> None:
    fleet = desk()
    async with watching(broker, base) as watcher, running(Agent(broker, base, fleet=fleet)):
        await until(lambda: watcher.last.get(bridge_topic(base, TEN, "connectivity")) == "ON")
        watcher.log.clear()
        fleet.show(fleet=contacted(two(1, 10), TEN, Contact(ContactState.HUNG, 8.0, "It hangs.")))
        await until(lambda: watcher.last.get(bridge_topic(base, TEN, "connectivity")) == "OFF")
        assert not [topic for topic, _ in watcher.log if ONE in topic]


async def test_a_press_is_carried_out_and_what_became_of_it_stands_at_the_button(
    broker: Broker, base: str
) -> None:
    fleet = desk()
    async with watching(broker, base) as watcher, running(Agent(broker, base, fleet=fleet)) as it:
        await until(lambda: watcher.last.get(it.topics.status) == "online")
        watcher.say(fleet_topic(base, "discover", "press"), "PRESS")
        await until(lambda: attributes(watcher, base, "discover")["last_result"] == "success")
        fleet.refusal = NO_UPDATES
        for times, key in enumerate(("flash_firmware", "flash_production"), start=1):
            watcher.say(fleet_topic(base, key, "press"), "PRESS")
            await until(lambda times=times: fleet.pressed.count((Op.FLASH, "mqtt")) == times)
            await until(
                lambda key=key: attributes(watcher, base, key)["error_message"] == NO_UPDATES.text
            )
            assert attributes(watcher, base, key)["last_result"] == "blocked"
        assert attributes(watcher, base, "status")["last_error"] == NO_UPDATES.text
        assert fleet.pressed == [(Op.DISCOVER, "mqtt"), (Op.FLASH, "mqtt"), (Op.FLASH, "mqtt")]


async def test_a_retained_press_and_a_strange_one_do_nothing(broker: Broker, base: str) -> None:
    fleet = desk()
    topic = fleet_topic(base, "restart_device", "press")
    async with watching(broker, base) as watcher:
        watcher.say(topic, "PRESS", retain=True)
        async with running(Agent(broker, base, fleet=fleet)) as agent:
            await until(lambda: watcher.last.get(agent.topics.status) == "online")
            watcher.say(topic, "press")
            watcher.say(fleet_topic(base, "discover", "press"), "PRESS")
            await until(lambda: fleet.pressed)
            assert fleet.pressed == [(Op.DISCOVER, "mqtt")]
        watcher.say(topic, "", retain=True)


async def test_a_choice_means_exactly_one_and_a_refused_one_leaves_the_old(
    broker: Broker, base: str
) -> None:
    fleet = desk()
    shown = fleet_topic(base, "target_device")
    async with watching(broker, base) as watcher, running(Agent(broker, base, fleet=fleet)) as it:
        await until(lambda: watcher.last.get(it.topics.status) == "online")
        watcher.say(fleet_topic(base, "target_device", "set"), "bridge-1")
        await until(lambda: watcher.last.get(shown) == "bridge-1")
        assert fleet.now.target == ONE
        watcher.log.clear()
        watcher.say(fleet_topic(base, "target_device", "set"), "bridge")
        await until(lambda: "choose again" in str(attributes(watcher, base, "target_device")))
        await until(lambda: (shown, "bridge-1") in watcher.log)  # Core showed the other one
        assert fleet.now.target == ONE


async def test_new_options_are_there_before_the_state_is_told_once_more(
    broker: Broker, base: str
) -> None:
    fleet = desk(Fleet())
    async with watching(broker, base) as watcher, running(Agent(broker, base, fleet=fleet)):
        await until(lambda: options(watcher, base) == ["none"])
        watcher.log.clear()
        fleet.show(fleet=two(1), target=ONE)
        shown = (fleet_topic(base, "target_device"), "bridge-1")
        await until(lambda: watcher.log.count(shown) == 2)
        topics = [topic for topic, _ in watcher.log]
        first = next(at for at, topic in enumerate(topics) if topic.endswith("device/config"))
        assert first < watcher.log.index(shown)


async def test_a_bridge_that_is_removed_leaves_nothing_behind(broker: Broker, base: str) -> None:
    fleet = desk()
    async with watching(broker, base) as watcher, running(Agent(broker, base, fleet=fleet)):
        await until(lambda: watcher.last.get(bridge_topic(base, TEN, "connectivity")) == "ON")
        records = {ONE: two(1, 10).records[ONE]}
        fleet.show(fleet=Fleet(records), complete=False)
        fleet.show(complete=True)
        await until(
            lambda: not [topic for topic, text in watcher.last.items() if text and TEN in topic]
        )
        assert watcher.last[config_of(base, TEN, "connectivity")] == ""
        assert watcher.last[config_of(base, ONE, "connectivity")]


async def test_a_bridge_that_went_while_the_agent_was_away_is_removed_once_all_are_known(
    broker: Broker, base: str
) -> None:
    async with watching(broker, base) as watcher:
        async with running(Agent(broker, base, fleet=desk())):
            await until(lambda: watcher.last.get(bridge_topic(base, TEN, "connectivity")) == "ON")
        only = Fleet({ONE: two(1, 10).records[ONE]})
        fleet = desk(only, complete=False)
        async with running(Agent(broker, base, fleet=fleet)) as agent:
            await until(lambda: watcher.last.get(agent.topics.status) == "online")
            watcher.say(fleet_topic(base, "discover", "press"), "PRESS")
            await until(lambda: attributes(watcher, base, "discover")["last_result"] == "success")
            assert watcher.last[config_of(base, TEN, "connectivity")]  # it may yet be told of
            fleet.show(complete=True)
            await until(lambda: watcher.last.get(bridge_topic(base, TEN, "connectivity")) == "")
            assert watcher.last[config_of(base, TEN, "connectivity")] == ""


async def test_when_core_says_that_it_started_the_bridges_are_told_again(
    broker: Broker, base: str
) -> None:
    agent = Agent(broker, base, fleet=desk())
    async with watching(broker, base) as watcher, running(agent):
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        watcher.log.clear()
        watcher.say(agent.topics.birth, "online")
        wanted = {config_of(base, each, row.key) for each in (ONE, TEN) for row in BRIDGE_ENTITIES}
        await until(lambda: wanted <= {topic for topic, _ in watcher.log})
