"""Home Assistant is told how good the knowledge of releases is, and called when somebody lies."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent.firmware.manifest.models import Security
from agent.firmware.policy.models import Code, Decision
from agent.firmware.policy.models import Finding as Against
from agent.firmware.trust.models import (
    ChannelKnowledge,
    EventKind,
    Freshness,
    RoleState,
    SecurityEvent,
    SourceKnowledge,
)
from agent.surface import mqtt_fleet
from agent.surface.entities_bridge import BRIDGE_ENTITIES
from agent.surface.entities_release import RELEASE_ENTITIES
from agent.surface.fleet_view import FleetView
from agent.surface.notifications import Notifier
from agent.surface.release_notifications import ID_PREFIX, releases_due
from agent.surface.release_view import BridgeOffer, Standing, TrustView, confirmed_words
from tests.firmware.manifest.documents import release
from tests.fleet.devices import fleet_of, mac, word
from tests.peers.mosquitto import Broker
from tests.surface.desks import NOON, HandFleet, HandGuard
from tests.surface.mqtt_scene import Agent, running, until, watching
from tests.surface.test_notifications import HandWall

(TRUST,) = RELEASE_ENTITIES
ONE = mac(1)


def known(freshness: Freshness, **more: Any) -> SourceKnowledge:
    channel = ChannelKnowledge("stable", freshness, "It is old.", None, None, as_of=NOON)
    made: dict[str, Any] = {
        "channels": (channel,),
        "roles": (RoleState("timestamp", 7, NOON),),
        "carrier": "cache",
        "confirmed": NOON,
    }
    return SourceKnowledge("official", freshness, "It is old.", **{**made, **more})


def view(*sources: SourceKnowledge, **more: Any) -> FleetView:
    trust = TrustView(sources, {"official": NOON})
    fleet = fleet_of(word(1, name="bridge-1", project_name="acme.bridge", project_version="1.0.0"))
    return FleetView(version="0.1.0", now_s=9.0, fleet=fleet, trust=trust, **more)


def offer(**more: Any) -> BridgeOffer:
    against = Against(Code.WRONG_BOARD, "It is for other boards.", "Choose another.")
    made: dict[str, Any] = {
        "standing": Standing.UPDATE,
        "release": release(),
        "decision": Decision((against,)),
    }
    return BridgeOffer(mac=ONE, channel="stable", installed="1.0.0", **{**made, **more})


def told(now: FleetView) -> dict[str, Any]:
    assert TRUST.attributes
    return dict(TRUST.attributes(now))


def test_the_state_is_the_worst_of_all_sources_and_says_whose_and_why() -> None:
    assert TRUST.value
    assert TRUST.entity_id == "sensor.pv_edge_trust_state"
    assert (TRUST.value(view()), told(view())["source"]) == ("none", None)
    good = SourceKnowledge("acme", Freshness.FRESH, "")
    now = view(good, known(Freshness.STALE))
    assert TRUST.value(now) == "stale"
    said = told(now)
    assert said.keys() == told(view()).keys()
    assert (said["source"], said["why"], said["carrier"]) == ("official", "It is old.", "cache")
    assert said["stale_since"] == said["last_confirmed"] == "2026-06-21T12:00:00+00:00"
    assert said["sources"]["official"]["expires"] == {"timestamp": "2026-06-21T12:00:00+00:00"}
    assert set(TRUST.states) == set(Freshness)
    json.dumps(said)


def test_the_words_of_stale_knowledge_name_the_day_that_counts() -> None:
    stale = known(Freshness.STALE)
    end = "revocations since then are unknown here."
    assert confirmed_words(stale) == f"Last confirmed 21 Jun 2026, {end}"
    assert confirmed_words(known(Freshness.STALE, confirmed=None)) == confirmed_words(stale)
    assert confirmed_words(known(Freshness.FRESH)) == ""
    never = confirmed_words(known(Freshness.STALE, confirmed=None, channels=()))
    assert never.startswith("Never confirmed online")


def test_a_bridge_says_what_it_is_offered_with_all_keys_also_where_nothing_is() -> None:
    (row,) = (it for it in BRIDGE_ENTITIES if it.key == "firmware")
    assert row.attributes
    now = view(offers={ONE: offer()})
    record = now.fleet.records[ONE]
    said = dict(row.attributes(now, record))
    assert said.keys() == dict(row.attributes(view(), record)).keys()
    assert [said[it] for it in ("channel", "latest_version", "update", "security")] == [
        "stable", "1.2.0", "update", Security.MODERATE.value,
    ]  # fmt: skip
    assert said["blocked_by"] == ["wrong-board"]
    json.dumps(said)


async def test_state_and_offer_reach_the_broker_and_follow_what_changes(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, "folder", tmp_path)
    monkeypatch.setattr(mqtt_fleet, "ROUND_S", 0.05)
    base = "releases_on_mqtt"
    fleet = HandFleet(view(known(Freshness.FRESH)))
    state = f"{base}/fleet/trust_state/state"
    firmware = f"{base}/bridge/{ONE}/firmware/attributes"
    async with watching(broker, base) as watcher, running(Agent(broker, base, fleet=fleet)):
        await until(lambda: watcher.last.get(state) == "fresh")
        config = f"{base}/homeassistant/sensor/pv_edge_agent/fleet_trust_state/config"
        announced = json.loads(watcher.last[config])
        assert announced["default_entity_id"] == "sensor.pv_edge_trust_state"
        assert announced["options"] == ["fresh", "stale", "none"]
        await until(lambda: firmware in watcher.last)
        assert json.loads(watcher.last[firmware])["latest_version"] is None
        fleet.show(trust=TrustView((known(Freshness.STALE),)), offers={ONE: offer()})
        await until(lambda: watcher.last.get(state) == "stale")
        await until(lambda: json.loads(watcher.last[firmware])["latest_version"] == "1.2.0")


async def test_an_alarm_stands_on_the_wall_until_it_is_over_and_no_text_of_it_is_markup() -> None:
    text = "It was signed by <b>nobody</b> [x](http://y)"
    event = SecurityEvent(EventKind.ROLLBACK, "https://mirror.example", text, NOON)
    behind = SecurityEvent(EventKind.CLOCK_BEHIND, "clock", "It is 1970.", NOON)
    alarms = {("official", it.kind): it for it in (event, behind)}
    (note,) = releases_due(alarms).values()
    assert r"\<b\>nobody\</b\> \[x\](http://y)" in note.message
    guard, wall = HandGuard(), HandWall()
    wall.shown = {"pv_edge_release_old": "x", "pv_edge_bridge_old": "x", "others": "stays"}
    due = [releases_due(alarms)]
    prefixes = ("pv_edge_bridge_", ID_PREFIX)
    notifier = Notifier(
        guard, wall, calm_s=0.02, spacing_s=0.01, also=lambda: due[0], also_ids=prefixes
    )
    task = asyncio.create_task(notifier.run())
    await wall.until(lambda: set(wall.shown) == {"others", "pv_edge_release_rollback_official"})
    due[0] = {}
    guard.show()
    await wall.until(lambda: set(wall.shown) == {"others"})
    task.cancel()
    await asyncio.wait([task])
