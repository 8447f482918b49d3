"""Gates judge one bridge and one image on evidence, and what nobody knows is a failure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.fleet.contact import Contact, ContactState, Port
from agent.fleet.gate_models import (
    Block,
    Evidence,
    GateId,
    Image,
    Reading,
    Release,
    Result,
    Rules,
    Verdict,
)
from agent.fleet.gates import attributes, flash_refusal, judge, restart_refusal
from agent.fleet.record import contacted
from agent.fleet.sighting import Source
from tests.fleet.devices import fleet_of, mac, word

NOW_S = 1000.0
AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
RELEASE = Release(
    "ab" * 32, 1_053_312, True, frozenset({"PVAutonomy.Edge101"}), "ESP32", frozenset({"esp32dev"})
)
IMAGE = Image(RELEASE.digest, RELEASE.size_bytes)
RULES = Rules()


def evidence(number: int = 1, told: dict[str, Any] | None = None, **changes: Any) -> Evidence:
    said: dict[str, Any] = {
        "name": f"bridge-{number}",
        "project_name": "PVAutonomy.Edge101",
        "project_version": "1.0.4",
        "built": "2026-11-21",
        "board": "esp32dev",
    }
    fleet = fleet_of(word(number, Source.CONNECTION, **{**said, **(told or {})}))
    contact = changes.pop("contact", Contact(ContactState.ONLINE, 0.0))
    good: dict[str, Any] = {
        "upload_port": Port.OPEN,
        "health": {"binary_sensor.health": False},
        "modbus": {"sensor.grid_power": Reading(1.0, NOW_S - 2)},
        "discharging_through": frozenset(),
    }
    record = contacted(fleet, mac(number), contact).records[mac(number)]
    return Evidence(record=record, at_s=NOW_S, at=AT, **{**good, **changes})


def verdict(seen: Evidence | None = None) -> Verdict:
    return judge(seen or evidence(), RELEASE, IMAGE, RULES)


def result(gate: GateId, seen: Evidence, release: Release = RELEASE) -> Result:
    (found,) = (it for it in judge(seen, release, IMAGE, RULES).gates if it.gate is gate)
    assert found.evidence
    assert found.at == AT
    return found.result


def test_a_bridge_with_nothing_against_it_passes_every_gate() -> None:
    assert {it.gate: it.result for it in verdict().gates} == dict.fromkeys(GateId, Result.PASS)
    assert flash_refusal(verdict(), mac(1), IMAGE.digest, NOW_S, RULES) is None


@pytest.mark.parametrize(
    ("gate", "wanted", "changes"),
    [
        (GateId.REACHABLE, "fail", {"contact": Contact(ContactState.HUNG, 0.0)}),
        (GateId.REACHABLE, "fail", {"contact": Contact(ContactState.SAFE_MODE, 0.0)}),
        (GateId.STABLE, "fail", {"contact": Contact(ContactState.ONLINE, NOW_S - 299)}),
        (GateId.STABLE, "pass", {"contact": Contact(ContactState.ONLINE, NOW_S - 300)}),
        (GateId.UPLOAD_PORT, "fail", {"upload_port": Port.CLOSED}),
        (GateId.UPLOAD_PORT, "fail", {"upload_port": None}),
        (GateId.SIGNAL, "warn", {"signal": Reading(-80.0, NOW_S)}),
        (GateId.SIGNAL, "fail", {"signal": Reading(-90.0, NOW_S)}),
        (GateId.SIGNAL, "warn", {"signal": Reading(None, NOW_S)}),
        (GateId.HEAP, "fail", {"heap": Reading(9000.0, NOW_S)}),
        (GateId.MODBUS, "warn", {"modbus": {}}),
        (GateId.MODBUS, "fail", {"modbus": {"sensor.a": Reading(1.0, NOW_S - 31)}}),
        (GateId.MODBUS, "fail", {"modbus": {"sensor.a": Reading(None, NOW_S)}}),
        (GateId.MODBUS, "warn", {"modbus": {"a": Reading(1.0, NOW_S), "b": None}}),
        (GateId.NOT_DISCHARGING, "fail", {"discharging_through": frozenset({mac(1)})}),
        (GateId.NOT_DISCHARGING, "pass", {"discharging_through": frozenset({mac(10)})}),
        (GateId.NOT_DISCHARGING, "fail", {"discharging_through": None}),
        (GateId.NOT_BUSY, "fail", {"busy": "Home Assistant"}),
        (GateId.FIRMWARE_KNOWN, "fail", {"told": {"project_version": None}}),
        (GateId.IDENTITY, "fail", {"told": {"project_name": "acme.garage"}}),
        (GateId.IDENTITY, "fail", {"told": {"board": None}}),
        (GateId.IDENTITY, "fail", {"told": {"platform": "ESP8266"}}),
    ],
)
def test_each_gate_looks_at_its_own_thing(
    gate: GateId, wanted: str, changes: dict[str, Any]
) -> None:
    assert result(gate, evidence(**changes)) == wanted


def test_a_board_revision_has_to_be_told_where_the_release_names_one() -> None:
    release = replace(RELEASE, revisions=frozenset({"B"}))
    found = [result(GateId.IDENTITY, evidence(revision=it), release) for it in ("B", "A", None)]
    assert found == ["pass", "fail", "fail"]


@pytest.mark.parametrize(
    "change", [{"verified": False}, {"digest": "cd" * 32}, {"size_bytes": 300 * 1024}]
)
def test_an_image_has_to_be_the_one_of_a_verified_manifest(change: dict[str, Any]) -> None:
    assert result(GateId.IMAGE, evidence(), replace(RELEASE, **change)) is Result.FAIL


def test_pv04_a_verdict_belongs_to_one_bridge_and_one_image() -> None:
    for target, digest in ((mac(10), IMAGE.digest), (mac(1), "cd" * 32)):
        refusal = flash_refusal(verdict(), target, digest, NOW_S, RULES)
        assert refusal
        assert refusal.reason is Block.ANOTHER


@pytest.mark.parametrize(("later_s", "fresh"), [(0, True), (600, True), (601, False), (-1, False)])
def test_pv04_pv11_a_verdict_is_stale_after_its_time_and_before_it_with_words(
    later_s: float, fresh: bool
) -> None:
    refusal = flash_refusal(verdict(), mac(1), IMAGE.digest, NOW_S + later_s, RULES)
    assert (refusal is None) == fresh
    assert refusal is None or (refusal.reason is Block.STALE and "min" in refusal.text)


@pytest.mark.parametrize("state", [None, "unavailable", "unknown", "", "on", True])
def test_pv05_a_health_sensor_that_does_not_say_off_is_a_failure(state: Any) -> None:
    assert result(GateId.HEALTH, evidence(health={"binary_sensor.health": state})) is Result.FAIL


def test_pv05_a_production_bridge_without_a_health_sensor_is_a_failure() -> None:
    assert result(GateId.HEALTH, evidence(health={})) is Result.FAIL


def test_pv08_a_verdict_for_bridge_1_is_none_for_bridge_10() -> None:
    ten = verdict(evidence(10))
    assert (ten.mac, verdict().mac) == (mac(10), mac(1))
    assert flash_refusal(ten, mac(1), IMAGE.digest, NOW_S, RULES) is not None
    through_ten = evidence(discharging_through=frozenset({mac(10)}))
    assert result(GateId.NOT_DISCHARGING, through_ten) is Result.PASS


def test_pv10_a_warning_blocks_only_where_gates_are_strict() -> None:
    warned = verdict(evidence(modbus={}))
    strict = flash_refusal(warned, mac(1), IMAGE.digest, NOW_S, RULES)
    assert strict
    assert strict.reason is Block.WARNED
    lenient = replace(RULES, strict=False)
    assert flash_refusal(warned, mac(1), IMAGE.digest, NOW_S, lenient) is None
    failed = verdict(evidence(upload_port=None))
    refusal = flash_refusal(failed, mac(1), IMAGE.digest, NOW_S, lenient)
    assert refusal
    assert refusal.reason is Block.FAILED


def test_pv14_pv17_without_a_verdict_there_is_a_refusal_and_every_attribute() -> None:
    refusal = flash_refusal(None, mac(1), IMAGE.digest, NOW_S, RULES)
    assert refusal
    assert refusal.reason is Block.MISSING
    assert attributes(None).keys() == attributes(verdict()).keys()


def test_the_attributes_keep_the_old_ids() -> None:
    told = attributes(verdict(evidence(health={}, modbus={})))
    assert (told["gates_overall"], told["gates_passed_count"]) == ("fail", len(GateId) - 2)
    assert (told["gates_fail"], told["gates_warn"]) == (["GATE-002"], ["GATE-004"])
    assert told["gates_last_run"] == "2026-11-22T08:00:00+00:00"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"on_trial": True}, Block.ON_TRIAL),
        ({"busy": "Another job"}, Block.BUSY),
        ({"discharging_through": frozenset({mac(1)})}, Block.DISCHARGING),
        ({"discharging_through": frozenset({mac(10)})}, None),
        ({"discharging_through": None}, Block.DISCHARGING),
    ],
)
def test_a_restart_waits_for_a_trial_an_upload_and_a_discharge(
    changes: dict[str, Any], reason: Block | None
) -> None:
    wanted: dict[str, Any] = {"on_trial": False, "discharging_through": frozenset(), "busy": None}
    refusal = restart_refusal(mac(1), **{**wanted, **changes})
    assert (refusal.reason if refusal else None) is reason


def test_without_a_release_all_else_is_judged_and_what_needs_one_fails() -> None:
    """Nothing is known of an image before updates over the air exist; nothing is invented."""
    told = judge(evidence(), None, None, Rules())
    failed = {it.gate for it in told.of(Result.FAIL)}
    assert failed == {GateId.IDENTITY, GateId.IMAGE}
    assert all(it.evidence for it in told.gates)
    assert {it.gate for it in told.gates} == set(GateId)
    assert flash_refusal(told, told.mac, "ab" * 32, told.at_s, Rules()) is not None
