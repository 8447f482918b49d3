"""Settings over MQTT, with a real mosquitto: taken, refused with a reason, and told again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.export.requests import Answer
from agent.surface import mqtt_session
from agent.surface.discovery import Topics
from agent.surface.entities import ENTITIES, Platform
from agent.surface.mqtt_commands import Commands
from tests.peers.mosquitto import Broker
from tests.surface.desks import HandGuard, HandSettings
from tests.surface.mqtt_scene import Agent, Watcher, running, until, watching

BY_SLOT = {entity.slot: entity for entity in ENTITIES}
NUMBERS = [entity for entity in ENTITIES if entity.platform is Platform.NUMBER]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Agent, "folder", tmp_path)


@pytest.fixture
def base(request: pytest.FixtureRequest) -> str:
    return f"commands_{abs(hash(request.node.nodeid))}"


def answer(watcher: Watcher, agent: Agent, slot: str) -> dict[str, Any]:
    topic = agent.topics.attributes(BY_SLOT[slot])
    return dict(json.loads(watcher.last.get(topic, "{}")))


async def test_a_number_shows_its_setting_and_changes_it(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        shown = agent.topics.state(BY_SLOT["number_target_export"])
        await until(lambda: watcher.last.get(shown) == "0")
        watcher.say(agent.topics.command(BY_SLOT["number_target_export"]), "2500")
        await until(lambda: watcher.last.get(shown) == "2500")
        assert agent.settings.current()["target_export_w"] == 2500
        assert answer(watcher, agent, "number_target_export")["last_accepted"] is True
        assert agent.audited == [("mqtt", 'settings {"target_export_w": "2500"}', "changed")]


async def test_a_limit_that_nobody_has_set_is_unknown(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(
            lambda: watcher.last.get(agent.topics.state(BY_SLOT["number_export_limit"])) == "None"
        )


@pytest.mark.parametrize(
    "text", ["99999", "-1", "nan", "inf", "None", "lots", "1e400", "\x00", "9" * 5000]
)
async def test_a_value_out_of_range_changes_nothing_and_is_answered(
    broker: Broker, base: str, text: str
) -> None:
    """Core refuses by itself; whoever speaks to the broker directly is refused here."""
    slot = "number_target_export"
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        watcher.log.clear()
        watcher.say(agent.topics.command(BY_SLOT[slot]), text)
        await until(lambda: answer(watcher, agent, slot).get("last_accepted") is False)
        assert "0 to 5000 W" in answer(watcher, agent, slot)["last_answer"]
        await until(lambda: (agent.topics.state(BY_SLOT[slot]), "0") in watcher.log)
        assert agent.settings.current()["target_export_w"] == 0
        ((by, _, outcome),) = agent.audited
        assert by == "mqtt"
        assert outcome.startswith("invalid: target_export_w")


@pytest.mark.parametrize("key", ["enable_auto_discharge", "enable_auto_charge"])
async def test_a_switch_takes_on_and_off_and_nothing_else(
    broker: Broker, base: str, key: str
) -> None:
    slot = f"switch_{key}"
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(lambda: watcher.last.get(agent.topics.state(BY_SLOT[slot])) == "OFF")
        watcher.log.clear()
        watcher.say(agent.topics.command(BY_SLOT[slot]), "ON")
        await until(lambda: answer(watcher, agent, slot).get("last_accepted") is True)
        await until(lambda: (agent.topics.state(BY_SLOT[slot]), "ON") in watcher.log)
        assert agent.settings.current()[key] is True
        watcher.say(agent.topics.command(BY_SLOT[slot]), "true")
        await until(lambda: "not ON or OFF" in answer(watcher, agent, slot)["last_answer"])


async def test_a_retained_value_is_ignored(broker: Broker, base: str) -> None:
    agent = Agent(broker, base)
    topic = agent.topics.command(BY_SLOT["number_target_export"])
    async with watching(broker, base) as watcher:
        watcher.say(topic, "4000", retain=True)
        async with running(agent):
            await until(lambda: watcher.last.get(agent.topics.status) == "online")
            watcher.say(agent.topics.command(BY_SLOT["number_minimum_soc"]), "30")
            await until(lambda: agent.settings.current()["min_soc_percent"] == 30)
            assert agent.settings.current()["target_export_w"] == 0
        watcher.say(topic, "", retain=True)


async def test_of_many_values_the_newest_stays(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        entity = BY_SLOT["number_minimum_soc"]
        for soc in range(4, 101):
            watcher.client.publish(agent.topics.command(entity), str(soc), 1)
        await until(lambda: watcher.last.get(agent.topics.state(entity)) == "100")
        assert agent.settings.current()["min_soc_percent"] == 100


async def test_d45_a_number_shows_what_was_set_on_the_page(broker: Broker, base: str) -> None:
    """D-45: a setting changed elsewhere never reached the display of its entity."""
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        shown = agent.topics.state(BY_SLOT["number_safety_margin"])
        await until(lambda: watcher.last.get(shown) == "0.5")
        await agent.settings.update({"safety_margin_kwh": 1.5}, "page: Anna")
        agent.guard.show()
        await until(lambda: watcher.last.get(shown) == "1.5")


async def test_d42_no_change_masks_a_later_one(broker: Broker, base: str) -> None:
    """D-42: what the form set was masked for ever by what the number had set before."""
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        entity = BY_SLOT["number_target_export"]
        watcher.say(agent.topics.command(entity), "1000")
        await until(lambda: watcher.last.get(agent.topics.state(entity)) == "1000")
        await agent.settings.update({"target_export_w": 2000}, "page: Anna")
        agent.guard.show()
        await until(lambda: watcher.last.get(agent.topics.state(entity)) == "2000")
        watcher.say(agent.topics.command(entity), "1500")
        await until(lambda: watcher.last.get(agent.topics.state(entity)) == "1500")


async def test_d43_a_switch_can_always_be_changed(broker: Broker, base: str) -> None:
    """D-43: a switch could not change what the options held."""
    agent = Agent(broker, base)
    entity = BY_SLOT["switch_enable_auto_discharge"]
    async with watching(broker, base) as watcher, running(agent):
        for text in ("ON", "OFF", "ON"):
            watcher.say(agent.topics.command(entity), text)
            await until(lambda said=text: watcher.last.get(agent.topics.state(entity)) == said)
            assert agent.settings.current()["enable_auto_discharge"] is (text == "ON")
        await agent.settings.update({"enable_auto_discharge": False}, "page: Anna")
        agent.guard.show()
        await until(lambda: watcher.last.get(agent.topics.state(entity)) == "OFF")


async def test_a_refused_press_says_so_at_its_button(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        agent.guard.answer = Answer(False, "target_is_zero", "The wanted export is 0 W. Set it.")
        watcher.say(agent.press("start_discharge"), "PRESS")
        await until(lambda: answer(watcher, agent, "start_discharge"))
        told = answer(watcher, agent, "start_discharge")
        assert (told["last_accepted"], told["last_code"]) == (False, "target_is_zero")
        assert told["last_answer"] == "The wanted export is 0 W. Set it."


async def test_many_presses_make_one_round_a_second(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        watcher.log.clear()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for _ in range(50):
            watcher.client.publish(agent.press("calculate_discharge"), "PRESS", 1)
        await until(lambda: len(agent.guard.requests) == 50)
        topic = agent.topics.attributes(BY_SLOT["calculate_discharge"])
        await until(lambda: topic in [said for said, _ in watcher.log])
        rounds = sum(said == topic for said, _ in watcher.log)
        assert rounds <= 1 + (loop.time() - began_s) / mqtt_session.ROUND_S


async def test_another_prefix_takes_every_entity_back_and_announces_it_anew(
    broker: Broker, base: str
) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        watcher.log.clear()
        await agent.settings.update({"entity_prefix": "energy_export_monitor"}, "test")
        agent.guard.show()
        last = agent.topics.config(ENTITIES[-1])
        await until(lambda: watcher.last.get(last, "").count('"energy_export_monitor_'))
        for entity in ENTITIES:
            said = [text for topic, text in watcher.log if topic == agent.topics.config(entity)]
            assert said[0] == ""
            assert json.loads(said[1])["object_id"] == f"energy_export_monitor_{entity.key}"


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(slot=st.sampled_from([it.slot for it in NUMBERS]), payload=st.binary(max_size=80))
async def test_no_payload_ever_leaves_the_range_or_ends_the_worker(
    tmp_path_factory: pytest.TempPathFactory, slot: str, payload: bytes
) -> None:
    entity = BY_SLOT[slot]
    desk = HandSettings(tmp_path_factory.mktemp("fuzz"))
    commands = Commands(HandGuard(), desk, ENTITIES, Topics())
    worker = asyncio.create_task(commands.run())
    told = asyncio.Event()
    commands.tell = lambda *_: told.set()
    assert commands.take(Topics().command(entity), payload, retained=False)
    if payload:
        async with asyncio.timeout(5):
            await told.wait()
    assert not worker.done()
    worker.cancel()
    value = desk.current()[entity.setting or ""]
    assert entity.span
    assert value is None or entity.span.minimum <= value <= entity.span.maximum
