"""What the oldest and the newest real Home Assistant make of our entities."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest

from agent.export.requests import Request, RequestKind
from agent.export.snapshot import HealthStatus
from agent.surface.entities import ENTITIES
from agent.surface.mqtt import BrokerAddress, MqttPublisher
from tests.peers.fixtures import MakeBroker, MakeCore
from tests.peers.ha_client import CoreClient
from tests.peers.homeassistant import Core
from tests.surface.desks import QUIET, HandGuard

IDS = {f"{entity.platform}.export_monitor_{entity.key}" for entity in ENTITIES}


@dataclasses.dataclass
class Scene:
    core: Core
    client: CoreClient
    guard: HandGuard
    publisher: MqttPublisher
    task: asyncio.Task[None]

    def state(self, key: str) -> str | None:
        return self.client.state(f"sensor.export_monitor_{key}")

    async def shows(self, key: str, wanted: str) -> dict[str, object]:
        attributes: dict[str, object] = (
            await self.client.until(f"sensor.export_monitor_{key}", wanted)
        )["attributes"]
        return attributes


@pytest.fixture
async def scene(
    core_version: str, make_core: MakeCore, make_broker: MakeBroker
) -> AsyncIterator[Scene]:
    broker, guard = make_broker(), HandGuard()
    address = BrokerAddress(broker.host, broker.port, broker.username, broker.password)

    async def ask() -> BrokerAddress:
        return address

    publisher = MqttPublisher(guard, ask)
    task = asyncio.create_task(publisher.run())
    core = make_core(core_version, broker=broker)
    core.spawn()
    await core.running()
    async with CoreClient(core.url, core.token) as client:
        yield Scene(core, client, guard, publisher, task)
    task.cancel()
    await asyncio.wait([task])


async def test_core_shows_every_entity_as_documented(scene: Scene) -> None:
    """One Core start for all of it: starts are the dear part."""
    client, guard = scene.client, scene.guard
    await client.until_all(lambda states: set(states) >= IDS, 30)
    attributes = await scene.shows("system_health", "Healthy")
    assert attributes["error_state"] == "none"
    assert await scene.shows("export_headroom", "4.2")

    # What is not known is unknown, not the word None, and the health entities stay available.
    energy = dataclasses.replace(QUIET.energy, headroom_wh=None)
    guard.show(
        energy=energy,
        soc_percent=None,
        data_staleness_s=None,
        health=HealthStatus.ERROR,
        readings=(),
    )
    for key in ("export_headroom", "current_soc", "data_staleness", "discharge_needed"):
        await scene.shows(key, "unknown")
    await scene.shows("system_health", "Error")

    button = "button.export_monitor_emergency_stop"
    await client.call("button.press", entity_id=button)
    async with asyncio.timeout(10):
        while not guard.requests:  # noqa: ASYNC110 - comes from a real broker
            await asyncio.sleep(0.01)
    assert guard.requests == [Request(RequestKind.EMERGENCY_STOP, by="mqtt")]

    scene.task.cancel()
    await asyncio.wait([scene.task])
    await scene.shows("system_health", "unavailable")

    complaints = [
        line
        for line in scene.core.log(500).splitlines()
        if "pv_edge_agent" in line or "export_monitor" in line or "default_entity_id" in line
    ]
    assert complaints == []
