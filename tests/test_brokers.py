"""Where the broker is, is the Supervisor's to say; it may say so late, and something else later."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.brokers import find_broker
from agent.options import SUPERVISOR_CORE_URL, Options
from agent.surface import mqtt
from agent.surface.mqtt import BrokerAddress, MqttStatus
from tests.peers.fixtures import MakeBroker
from tests.peers.mosquitto import Broker
from tests.peers.process import free_port
from tests.peers.supervisor import BROKER, SupervisorStandIn
from tests.surface.mqtt_scene import Agent, until

SUPERVISED = Options(ha_url=SUPERVISOR_CORE_URL)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Agent, "folder", tmp_path)
    monkeypatch.setattr(mqtt, "BACKOFF_FIRST_S", 0.05)
    monkeypatch.setattr(mqtt, "BACKOFF_LONGEST_S", 0.2)


class Supervised(Agent):
    """A publisher that asks the Supervisor, as the app does."""

    def __init__(self, supervisor: SupervisorStandIn) -> None:
        super().__init__(None, "agent_supervised")
        self._supervisor = supervisor
        self.token = supervisor.token

    async def _ask(self) -> BrokerAddress | None:
        self.asked += 1
        return await find_broker(SUPERVISED, lambda: self.token, self._supervisor.url)

    async def says(self, status: MqttStatus, words: str) -> None:
        await until(
            lambda: self.publisher.state.status is status and words in self.publisher.state.text,
            f"{status}: {words}",
        )


def offer(supervisor: SupervisorStandIn, broker: Broker, password: str | None = None) -> None:
    """Have the Supervisor tell of a broker."""
    secret = broker.password if password is None else password
    supervisor.broker = {
        **BROKER,
        "host": broker.host,
        "port": broker.port,
        "username": broker.username,
        "password": secret,
    }


@pytest.mark.peers("supervisor")
async def test_a_broker_that_comes_late_moves_and_changes_its_password_is_found_each_time(
    make_broker: MakeBroker,
) -> None:
    first, second = make_broker(), make_broker()
    async with SupervisorStandIn() as supervisor:
        supervisor.ready, supervisor.broker = False, None
        agent = Supervised(supervisor)
        agent.start()
        await agent.says(MqttStatus.UNREACHABLE, "still starting")
        supervisor.ready = True
        await agent.says(MqttStatus.NOT_CONFIGURED, "install the Mosquitto app")
        supervisor.mqtt_declared = False
        await agent.says(MqttStatus.UNREACHABLE, "403")
        supervisor.mqtt_declared = True
        offer(supervisor, first, password="of yesterday")
        await agent.says(MqttStatus.AUTH_FAILED, "refused our login")
        offer(supervisor, first)
        await agent.says(MqttStatus.CONNECTED, str(first.port))
        offer(supervisor, second)
        first.stop()
        await agent.says(MqttStatus.CONNECTED, str(second.port))
        supervisor.broker = None
        second.stop()
        await agent.says(MqttStatus.NOT_CONFIGURED, "guard works without")
        offer(supervisor, second)
        second.start()
        agent.token = "of the start before"
        await agent.says(MqttStatus.UNREACHABLE, "401")
        agent.token = supervisor.token
        await agent.says(MqttStatus.CONNECTED, str(second.port))
        await agent.stop()


async def test_a_broker_of_the_options_goes_before_the_supervisors() -> None:
    options = Options(ha_url=SUPERVISOR_CORE_URL, mqtt_host="broker.lan", mqtt_port=8883)
    gone = f"http://127.0.0.1:{free_port()}"
    assert await find_broker(options, lambda: "t", gone) == BrokerAddress("broker.lan", 8883)
    with pytest.raises(OSError, match="cannot be reached"):
        await find_broker(SUPERVISED, lambda: "t", gone)
    assert await find_broker(Options(ha_url="http://ha.lan:8123"), lambda: "t", gone) is None
