"""The publisher against a real mosquitto: what is said, when, and what happens when it breaks."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import signal
import socket
from pathlib import Path

import pytest

from agent.export.requests import Request, RequestKind
from agent.export.snapshot import HealthStatus, Phase
from agent.surface import mqtt, mqtt_session
from agent.surface.entities import ENTITIES
from agent.surface.mqtt import BrokerAddress, MqttPublisher, MqttStatus
from tests.peers.fixtures import MakeBroker
from tests.peers.mosquitto import Broker
from tests.peers.process import free_port
from tests.surface.desks import HandGuard, HandSettings
from tests.surface.mqtt_scene import PATIENCE_S, Agent, running, until, watching


@pytest.fixture
def base(request: pytest.FixtureRequest) -> str:
    return f"agent_{abs(hash(request.node.nodeid))}"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Try again soon; the real pauses are tried on their own."""
    monkeypatch.setattr(Agent, "folder", tmp_path)
    monkeypatch.setattr(mqtt, "BACKOFF_FIRST_S", 0.05)
    monkeypatch.setattr(mqtt, "BACKOFF_LONGEST_S", 0.2)


async def test_everything_is_announced_and_retained(broker: Broker, base: str) -> None:
    async with running(Agent(broker, base)) as agent, watching(broker, base) as late:
        await until(lambda: late.last.get(agent.topics.status) == "online")
        assert {topic for topic in late.last if topic.endswith("/config")} >= {
            agent.topics.config(entity) for entity in ENTITIES
        }
        configs = {
            entity.slot: json.loads(late.last[agent.topics.config(entity)]) for entity in ENTITIES
        }
        assert late.last[configs["system_health"]["state_topic"]] == "Healthy"
        attributes = json.loads(late.last[configs["system_health"]["json_attributes_topic"]])
        assert attributes["error_state"] == "none"


async def test_online_is_said_after_the_states(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        topics = [topic for topic, _ in watcher.log if topic.startswith(base)]
        last_state = max(n for n, topic in enumerate(topics) if topic.endswith("/state"))
        assert topics.index(agent.topics.status) > last_state


async def test_only_changes_are_published(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        watcher.log.clear()
        agent.guard.show()  # only the time moved
        agent.guard.show(soc_percent=41.0)
        await until(lambda: watcher.last.get(agent.state("current_soc")) == "41.0")
        states = [topic for topic, _ in watcher.log if topic.startswith(base)]
        assert states == [agent.state("current_soc")]


async def test_a_change_of_health_is_published_at_once(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        agent.guard.show(health=HealthStatus.STALE_DATA, data_staleness_s=31.0)
        await until(lambda: watcher.last.get(agent.state("system_health")) == "Stale Data")
        assert loop.time() - began_s < mqtt_session.ROUND_S / 2
        await until(lambda: watcher.last.get(agent.state("data_staleness")) == "31.0")


async def test_many_snapshots_make_one_round_a_second(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        watcher.log.clear()
        for soc in range(100):
            agent.guard.show(soc_percent=float(soc))
        await until(lambda: watcher.last.get(agent.state("current_soc")) == "99.0")
        assert [text for topic, text in watcher.log if topic.startswith(base)] == ["99.0"]


async def test_a_press_reaches_the_guard(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        for entity in ENTITIES:
            if entity.request:
                watcher.say(agent.press(entity.key), "PRESS")
        kinds = [entity.request for entity in ENTITIES if entity.request]
        await until(lambda: len(agent.guard.requests) == len(kinds))
        assert agent.guard.requests == [Request(kind, by="mqtt") for kind in kinds]


async def test_a_retained_press_is_ignored(broker: Broker, base: str) -> None:
    agent = Agent(broker, base)
    async with watching(broker, base) as watcher:
        watcher.say(agent.press("start_discharge"), "PRESS", retain=True)
        async with running(agent):
            # A press of now comes after the retained one was delivered.
            await until(lambda: watcher.last.get(agent.topics.status) == "online")
            watcher.say(agent.press("stop_discharge"), "PRESS")
            await until(lambda: agent.guard.requests)
            assert agent.guard.requests == [Request(RequestKind.STOP_DISCHARGE, by="mqtt")]
        watcher.say(agent.press("start_discharge"), "", retain=True)


@pytest.mark.parametrize("text", ["", "press", "ON", "PRESS ", "\x00", "[" * 5000])
async def test_a_press_with_other_words_is_ignored(broker: Broker, base: str, text: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        watcher.say(agent.press("start_discharge"), text)
        watcher.say(agent.press("acknowledge"), "PRESS")
        await until(lambda: agent.guard.requests)
        assert [request.kind for request in agent.guard.requests] == [RequestKind.ACKNOWLEDGE]


async def test_a_press_given_while_we_were_away_is_not_carried_out_later(
    make_broker: MakeBroker, base: str
) -> None:
    broker = make_broker(persistent=True)
    agent = Agent(broker, base)
    async with watching(broker, base) as watcher:
        async with running(agent):
            await until(lambda: watcher.last.get(agent.topics.status) == "online")
            agent.connection.shutdown(socket.SHUT_RDWR)
            watcher.say(agent.press("start_discharge"), "PRESS")
        async with running(agent):
            watcher.say(agent.press("stop_discharge"), "PRESS")
            await until(lambda: agent.guard.requests)
        kinds = [request.kind for request in agent.guard.requests]
        assert RequestKind.START_DISCHARGE not in kinds


async def test_a_lost_socket_says_offline_and_the_return_online(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        watcher.log.clear()
        agent.connection.shutdown(socket.SHUT_RDWR)
        await until(lambda: (agent.topics.status, "offline") in watcher.log, "offline")
        await until(lambda: watcher.last[agent.topics.status] == "online", "online")
        assert agent.asked == 2


async def test_a_clean_stop_says_offline(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher:
        async with running(Agent(broker, base)) as agent:
            await until(lambda: watcher.last.get(agent.topics.status) == "online")
        await until(lambda: watcher.last[agent.topics.status] == "offline")
        assert agent.publisher.state.status is MqttStatus.STOPPED
        assert not agent.guard.watched


async def test_a_will_that_comes_late_is_corrected(broker: Broker, base: str) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        watcher.say(agent.topics.status, "offline", retain=True)
        await until(lambda: watcher.log[-1] == (agent.topics.status, "online"))


async def test_after_a_broker_restart_everything_is_there_again(
    make_broker: MakeBroker, base: str
) -> None:
    broker = make_broker()  # its retained messages die with it
    async with running(Agent(broker, base)) as agent:
        await asyncio.to_thread(broker.stop)
        await agent.reaches(MqttStatus.UNREACHABLE)
        agent.guard.show(phase=Phase.IDLE, soc_percent=12.0)
        await asyncio.to_thread(broker.start)
        async with watching(broker, base) as watcher:
            await until(lambda: watcher.last.get(agent.topics.status) == "online")
            configs = [topic for topic in watcher.last if topic.endswith("/config")]
            assert len(configs) == len(ENTITIES)
            assert watcher.last[agent.state("current_soc")] == "12.0"
            watcher.say(agent.press("emergency_stop"), "PRESS")
            await until(lambda: agent.guard.requests)


async def test_when_core_says_that_it_started_everything_is_said_again(
    broker: Broker, base: str
) -> None:
    async with watching(broker, base) as watcher, running(Agent(broker, base)) as agent:
        await until(lambda: watcher.last.get(agent.topics.status) == "online")
        watcher.log.clear()
        watcher.say(agent.topics.birth, "online")
        await until(lambda: (agent.topics.status, "online") in watcher.log)
        said = {topic for topic, _ in watcher.log}
        assert agent.state("system_health") in said
        assert sum(topic.endswith("/config") for topic in said) == len(ENTITIES)


async def test_a_broker_that_does_not_know_us_is_a_state_with_words(
    broker: Broker, base: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    agent = Agent(broker, base, password="not-the-one")
    agent.start()
    await agent.reaches(MqttStatus.AUTH_FAILED)
    assert "mqtt_password" in agent.publisher.state.text
    agent.address = dataclasses.replace(agent.address, password=broker.password)
    await agent.reaches(MqttStatus.CONNECTED)
    await agent.stop()
    assert "not-the-one" not in caplog.text + repr(agent.address)


async def test_without_a_broker_it_goes_on_trying_and_takes_the_one_that_comes(
    make_broker: MakeBroker, base: str
) -> None:
    agent = Agent(None, base)
    agent.start()
    await agent.reaches(MqttStatus.NOT_CONFIGURED)
    agent.address = BrokerAddress("127.0.0.1", free_port())
    await agent.reaches(MqttStatus.UNREACHABLE)
    broker = make_broker()
    agent.address = BrokerAddress(broker.host, broker.port, broker.username, broker.password)
    await agent.reaches(MqttStatus.CONNECTED)
    await agent.stop()


@pytest.mark.parametrize("host", ["", "no such host", "a" * 300, "127.0.0.1"])
async def test_an_address_that_cannot_be_is_a_state_not_an_end(base: str, host: str) -> None:
    agent = Agent(None, base)
    agent.address = BrokerAddress(host, 1 if host else 0)
    agent.start()
    await until(lambda: agent.asked >= 2)
    assert agent.publisher.state.status is MqttStatus.UNREACHABLE
    await agent.stop()


async def test_a_supervisor_that_cannot_be_asked_is_asked_again(base: str) -> None:
    asked = 0

    async def ask() -> BrokerAddress | None:
        nonlocal asked
        asked += 1
        raise TimeoutError("the Supervisor is starting")

    publisher = MqttPublisher(HandGuard(), ask, settings=HandSettings(Agent.folder))
    task = asyncio.create_task(publisher.run())
    await until(lambda: asked >= 2)
    assert publisher.state.status is MqttStatus.UNREACHABLE
    assert "Supervisor is starting" in publisher.state.text
    task.cancel()
    await asyncio.wait([task])


async def test_a_broker_that_says_nothing_is_given_up_and_leaves_no_thread(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something accepts the connection and never answers."""
    monkeypatch.setattr(mqtt_session, "CONNECT_DEADLINE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        agent = Agent(None, base)
        agent.address = BrokerAddress("127.0.0.1", mute.getsockname()[1])
        agent.start()
        await agent.reaches(MqttStatus.UNREACHABLE)
        assert "did not answer" in agent.publisher.state.text
        await agent.stop()


async def test_a_frozen_broker_is_noticed_and_does_not_hold_up_the_stop(
    make_broker: MakeBroker, base: str
) -> None:
    broker = make_broker()
    assert broker._process
    loop = asyncio.get_running_loop()
    agent = Agent(broker, base)
    async with running(agent):
        os.kill(broker._process.pid, signal.SIGSTOP)
        began_s = loop.time()
        await agent.reaches(MqttStatus.UNREACHABLE)
        assert loop.time() - began_s < 3 * agent.keepalive_s
        os.kill(broker._process.pid, signal.SIGCONT)
        await agent.reaches(MqttStatus.CONNECTED)
        os.kill(broker._process.pid, signal.SIGSTOP)
        began_s = loop.time()
        await agent.stop()
        assert loop.time() - began_s < 3 * mqtt_session.FAREWELL_S


async def test_pauses_grow_to_a_minute_and_no_longer(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    pauses: list[float] = []
    really = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await really(0)

    agent = Agent(None, base)
    with monkeypatch.context() as patch:
        patch.setattr(mqtt, "sleep", note)
        agent.start()
        async with asyncio.timeout(PATIENCE_S):
            while len(pauses) < 9:
                await really(0)
    await agent.stop()
    assert pauses[:9] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
