"""The table of entities and what Home Assistant is told about it."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.export.snapshot import (
    ActionView,
    BreakerView,
    CheckView,
    EnergyView,
    GuardSnapshot,
    HealthStatus,
    Phase,
    PlanSlot,
    PlanView,
    PowerView,
    Reason,
    SlotView,
)
from agent.surface.discovery import StateBook, Topics, announcement, state_text
from agent.surface.entities import ENTITIES, Entity, Platform
from tests.surface.desks import DISCHARGING, NOON, QUIET

TOPICS = Topics()
BY_KEY = {entity.slot: entity for entity in ENTITIES}
SENSORS = [entity for entity in ENTITIES if entity.platform is Platform.SENSOR]

power = st.none() | st.floats()
numbers = st.floats(allow_nan=True, allow_infinity=True)
slots = st.lists(
    st.builds(
        PlanSlot,
        st.datetimes(timezones=st.just(UTC)),
        st.datetimes(timezones=st.just(UTC)),
        numbers,
        power,
    ),
    max_size=60,
).map(tuple)
snapshots = st.builds(
    lambda **parts: dataclasses.replace(QUIET, **parts),
    phase=st.sampled_from(Phase),
    health=st.sampled_from(HealthStatus),
    data_staleness_s=power,
    soc_percent=power,
    reason=st.builds(Reason, st.text(), st.text()),
    problems=st.lists(st.builds(Reason, st.text(), st.text()), max_size=2).map(tuple),
    readings=st.sampled_from([(), QUIET.readings]),
    breaker=st.builds(
        BreakerView, st.booleans(), st.integers(0, 9), st.none() | st.just(NOON), numbers
    ),
    energy=st.builds(EnergyView, st.just("2026-06-21"), *[power] * 7, breach=st.booleans()),
    power=st.builds(PowerView, *[power] * 5, target_w=numbers, commanded_w=numbers),
    min_soc_percent=numbers,
    reserve_soc_percent=power,
    observe_reserve_soc=st.booleans(),
    reserve_reached=st.none() | st.booleans(),
    wish=st.sampled_from([None, "discharge", "charge"]),
    completed=st.booleans(),
    last_action=st.none() | st.builds(ActionView, st.text(), st.text(), st.just(NOON), st.text()),
    plan=st.none()
    | st.builds(
        PlanView,
        today=slots,
        tomorrow=slots,
        charge=slots,
        slot=st.none() | st.builds(SlotView, numbers, numbers, numbers),
        carbon_g_per_kwh=power,
        carbon_index=st.none() | st.text(),
    ),
)


def told(entity: Entity, prefix: str = "export_monitor") -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(announcement(entity, TOPICS, prefix, "1").payload)
    return payload


def value(key: str, snapshot: GuardSnapshot) -> str | None:
    return state_text(BY_KEY[key], snapshot)


def attributes(key: str, snapshot: GuardSnapshot) -> dict[str, Any]:
    feed = BY_KEY[key].attributes
    assert feed
    return dict(feed(snapshot))


def test_the_documented_health_entities_and_all_stops_are_there() -> None:
    assert {
        "system_health",
        "error_state",
        "data_staleness",
        "circuit_breaker_status",
        "discharge_status",
        "start_discharge",
        "stop_discharge",
        "emergency_stop",
        "acknowledge",
    } <= set(BY_KEY)


def test_d47_every_entity_has_a_unique_id_and_topics_of_its_own() -> None:
    topics = {announcement(entity, TOPICS, "export_monitor", "1").topic for entity in ENTITIES}
    assert len(topics) == len(BY_KEY) == len(ENTITIES)
    assert len({entity.slot for entity in ENTITIES}) == len(ENTITIES)
    assert len({told(entity)["unique_id"] for entity in ENTITIES}) == len(ENTITIES)


@pytest.mark.parametrize("prefix", ["export_monitor", "energy_export_monitor"])
@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.slot)
def test_an_id_is_told_both_ways_and_made_of_names_comes_out_the_same(
    entity: Entity, prefix: str
) -> None:
    payload = told(entity, prefix)
    wanted = f"{prefix}_{entity.key}"
    assert payload["object_id"] == wanted
    assert payload["default_entity_id"] == f"{entity.platform}.{wanted}"
    made = f"{payload['device']['name']} {payload['name']}".lower().replace(" ", "_")
    assert made == wanted
    assert not payload["name"].startswith(payload["device"]["name"])


def test_a_new_prefix_leaves_topic_and_unique_id_alone() -> None:
    entity = BY_KEY["system_health"]
    one, other = (announcement(entity, TOPICS, prefix, "1") for prefix in ("a", "b"))
    assert one.topic == other.topic == "homeassistant/sensor/pv_edge_agent/system_health/config"
    assert json.loads(one.payload)["unique_id"] == json.loads(other.payload)["unique_id"]


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.slot)
def test_every_entity_is_available_by_the_last_will_and_nothing_else(entity: Entity) -> None:
    payload = told(entity)
    assert payload["availability"] == [{"topic": TOPICS.status}]
    assert "expire_after" not in payload


@given(snapshot=snapshots)
def test_no_snapshot_ever_breaks_an_entity(snapshot: GuardSnapshot) -> None:
    """Text entities always have a word, enums one of theirs, numbers a number or None."""
    for entity in SENSORS:
        text = state_text(entity, snapshot)
        assert text
        assert len(text) <= 255
        if not entity.numeric:
            assert text != "None"
            assert text in entity.options or entity.device_class != "enum"
        elif text != "None":
            assert abs(float(text)) < float("inf")
        if entity.attributes:
            json.dumps(dict(entity.attributes(snapshot)), allow_nan=False)


def test_what_is_unknown_is_none_and_never_zero() -> None:
    energy = dataclasses.replace(QUIET.energy, headroom_wh=None, exported_wh=None)
    blind = dataclasses.replace(QUIET, energy=energy, data_staleness_s=None, soc_percent=None)
    unknown = ("export_headroom", "exported_today", "data_staleness", "current_soc")
    assert {value(key, blind) for key in (*unknown, "discharge_needed")} == {"None"}


def test_energy_is_shown_in_kwh() -> None:
    assert value("exported_today", QUIET) == "5.1"
    assert value("export_headroom", QUIET) == "4.2"


def test_discharge_status_uses_the_old_words() -> None:
    idle = dataclasses.replace(QUIET, phase=Phase.IDLE)
    words = [value("discharge_status", shown) for shown in (QUIET, DISCHARGING, idle)]
    assert words == ["Needed", "Active", "Idle"]
    assert attributes("discharge_status", QUIET)["blockers"] == [QUIET.blockers[0].text]


def test_health_attributes_carry_the_old_names() -> None:
    assert {
        "error_state",
        "data_age_seconds",
        "circuit_breaker_failures",
        "discharge_active",
    } <= set(attributes("system_health", QUIET))


def test_health_carries_the_commissioning_record() -> None:
    check = CheckView("timer", "passed", "It ended.", "")
    test = dataclasses.replace(
        QUIET.commissioning, dead_s=2.04, gain=0.976, rewrite_extends=True, checks=(check,)
    )
    shown = attributes("system_health", dataclasses.replace(QUIET, commissioning=test))
    record = shown["commissioning"]
    assert (record["dead_time_s"], record["gain"], record["counter_lag_s"]) == (2.0, 0.98, None)
    assert record["checks"] == {"timer": "passed"}


def test_staleness_says_when_grid_power_is_stale_and_where_it_comes_from() -> None:
    grid = dataclasses.replace(QUIET.readings[0], fresh=False)
    stale = dataclasses.replace(QUIET, readings=(grid,), stale_after_s=30.0)
    assert attributes("data_staleness", stale) == {
        "is_stale": True,
        "threshold_seconds": 30.0,
        "source": grid.source,
    }
    assert attributes("data_staleness", QUIET)["is_stale"] is False
    blind = dataclasses.replace(QUIET, readings=())
    assert attributes("data_staleness", blind)["is_stale"] is True


def test_an_open_breaker_says_when_it_failed_and_that_nothing_can_be_tried() -> None:
    breaker = BreakerView(is_open=True, failures=5, last_failure=NOON, retry_in_s=60)
    tripped = dataclasses.replace(QUIET, breaker=breaker)
    assert value("circuit_breaker_status", tripped) == "Open"
    shown = attributes("circuit_breaker_status", tripped)
    assert datetime.fromisoformat(shown["last_failure_time"]) == NOON
    assert (shown["failure_count"], shown["can_attempt"]) == (5, False)


def test_the_first_round_tells_everything_and_the_next_only_what_changed() -> None:
    book = StateBook(ENTITIES, TOPICS)
    first = {message.topic for message in book.round(QUIET, 0)}
    assert {TOPICS.state(entity) for entity in SENSORS} <= first
    assert book.round(QUIET, 60) == []
    changed = dataclasses.replace(QUIET, soc_percent=50)
    assert [m.payload for m in book.round(changed, 120)] == ["50"]


def test_a_value_that_always_moves_is_held_back_for_its_time() -> None:
    book = StateBook(ENTITIES, TOPICS)
    book.round(QUIET, 0)
    topic = TOPICS.state(BY_KEY["data_staleness"])
    moved = [
        second
        for second in range(1, 31)
        for message in book.round(dataclasses.replace(QUIET, data_staleness_s=second), second)
        if message.topic == topic
    ]
    assert moved == [10, 20, 30]


def test_a_change_of_phase_or_health_waits_for_nothing() -> None:
    book = StateBook(ENTITIES, TOPICS)
    book.round(QUIET, 0)
    sick = dataclasses.replace(QUIET, health=HealthStatus.STALE_DATA, data_staleness_s=31)
    assert book.urgent(sick)
    topics = {message.topic for message in book.round(sick, 0.1)}
    assert TOPICS.state(BY_KEY["system_health"]) in topics
    assert TOPICS.state(BY_KEY["data_staleness"]) in topics
    assert not book.urgent(sick)
    assert book.urgent(DISCHARGING)


def test_after_forgetting_everything_is_told_again() -> None:
    book = StateBook(ENTITIES, TOPICS)
    first = book.round(QUIET, 0)
    book.forget()
    assert book.round(QUIET, 0.1) == first
