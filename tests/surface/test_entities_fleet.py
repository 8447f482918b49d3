"""The entities of PVAutonomy Ops are always there, complete, and mean the bridge they name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.fleet.contact import Contact, ContactState
from agent.fleet.findings import Finding, FindingCode
from agent.fleet.gate_models import Block, Gate, GateId, Reading, Refusal, Result, Verdict
from agent.fleet.identity import Mac, written
from agent.fleet.operations import Op, Operation, OpState, refused
from agent.fleet.record import Fleet, contacted
from agent.fleet.sighting import Source
from agent.surface.entities_bridge import BRIDGE_ENTITIES
from agent.surface.entities_fleet import FLEET_ENTITIES, FleetEntity
from agent.surface.entities_model import Platform
from agent.surface.fleet_view import FleetView, chosen, labels
from tests.fleet.devices import fleet_of, mac, word

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
PRODUCTION, FACTORY = "pv-edge.alphaess-bridge", "PVAutonomy.Edge101Factory"
ROWS = {it.entity_id: it for it in FLEET_ENTITIES}
STATUS = ROWS["sensor.pvautonomy_ops_status"]
FIRST = FleetView(version="0.1.0", now_s=10.0)


def fleet(*online: int) -> Fleet:
    known = fleet_of(
        word(1, Source.CONNECTION, name="bridge-1", project_name=PRODUCTION),
        word(10, Source.CONNECTION, name="bridge-10", project_name=FACTORY),
        word(3, Source.CONNECTION, name="garage", project_name="acme.garage"),
    )
    for number in (1, 3, 10):
        state = ContactState.ONLINE if number in online else ContactState.UNREACHABLE
        known = contacted(known, mac(number), Contact(state, 5.0, "" if number in online else "x"))
    return known


def view(**changes: Any) -> FleetView:
    well = {mac(1): {"binary_sensor.inverter": Reading(True, 9.0)}}
    wanted: dict[str, Any] = {"fleet": fleet(1, 3, 10), "discovered": AT, "values": well}
    return replace(FIRST, **{**wanted, **changes})


def verdict(target: Mac, result: Result) -> Verdict:
    gates = (Gate(GateId.HEALTH, result, "health", AT), Gate(GateId.STABLE, Result.PASS, "s", AT))
    return Verdict(target, "ab" * 32, 9.0, AT, gates)


def told(row: FleetEntity, now: FleetView) -> dict[str, Any]:
    assert row.attributes is not None
    return dict(row.attributes(now))


def test_every_id_of_the_old_contract_is_there_with_both_names_of_the_button() -> None:
    assert set(ROWS) == {
        "sensor.pvautonomy_ops_status",
        "sensor.pvautonomy_ops_devices_count",
        "button.pvautonomy_ops_discover",
        "button.pvautonomy_ops_run_gates",
        "button.pvautonomy_ops_flash_firmware",
        "button.pvautonomy_ops_flash_production",
        "button.pvautonomy_ops_restart_device",
        "select.pvautonomy_ops_target_device",
    }
    one, other = (ROWS[f"button.pvautonomy_ops_flash_{it}"] for it in ("firmware", "production"))
    assert (one.press, one.attributes) == (other.press, other.attributes)


def test_pv12_every_row_speaks_before_anything_is_known_and_keeps_its_attributes() -> None:
    """The old entities came into being with Home Assistant's start only, or not at all."""
    busy = refused(Op.FLASH, None, Refusal(Block.BUSY, "discover runs."), AT)
    late = view(
        target=mac(1),
        operations={it: replace(busy, op=it) for it in Op},
        verdicts={mac(1): verdict(mac(1), Result.WARN)},
    )
    for row in FLEET_ENTITIES:
        assert row.value is None or row.value(FIRST) is not None
        if row.attributes is not None:
            assert told(row, FIRST).keys() == told(row, late).keys()
    assert STATUS.value is not None
    assert STATUS.value(FIRST) == "initializing"


def test_the_status_has_every_attribute_of_the_old_contract() -> None:
    assert told(STATUS, FIRST).keys() == {
        *("version", "contract_version", "last_discovery", "devices_total", "devices_online"),
        *("devices_offline", "active_device", "active_device_kind", "last_error"),
        *("last_error_time", "factory_devices", "production_devices", "factory_count"),
        *("production_count", "op_state", "op_name", "op_started", "op_finished", "op_progress"),
        *("op_duration_ms", "last_action", "last_action_time", "gates_last_run", "gates_overall"),
        *("gates_passed_count", "gates_failed_count", "gates_warn_count", "gates_fail"),
        *("gates_warn", "gates_details", "flash_stage", "flash_version", "flash_target_device"),
        *("flash_last_success", "flash_last_error", "flash_last_error_time"),
    }


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "ok"),
        ({"fleet": Fleet()}, "warn"),
        ({"fleet": fleet(1, 3)}, "warn"),
        ({"fleet": fleet(1, 10)}, "ok"),  # the garage is somebody else's
        ({"sources_up": False}, "degraded"),
        ({"discovered": None}, "initializing"),
        ({"fault": "bridge_keys.json cannot be used"}, "error"),
    ],
)
def test_the_status_is_a_word_of_the_contract(changes: dict[str, Any], state: str) -> None:
    assert STATUS.value is not None
    assert STATUS.value(view(**changes)) == state
    assert state in STATUS.states
    assert told(STATUS, view(**changes)).keys() == told(STATUS, FIRST).keys()


@pytest.mark.parametrize("shown", [None, Reading(None, 9.0), Reading(False, 9.0)])
def test_pv05_a_bridge_whose_health_does_not_say_well_is_not_online(shown: Reading | None) -> None:
    """The old count took an unavailable health sensor for a healthy bridge."""
    values = {mac(1): {"binary_sensor.inverter": shown} if shown else {}}
    found = told(STATUS, view(values=values))
    assert (found["devices_total"], found["devices_online"], found["devices_offline"]) == (2, 1, 1)


def test_the_count_is_of_ours_and_tells_who_was_never_reached() -> None:
    row = ROWS["sensor.pvautonomy_ops_devices_count"]
    assert row.value is not None
    assert row.value(view()) == 2
    young = fleet_of(word(1, name="bridge-1", project_name=PRODUCTION))
    wanted = {"online": 0, "offline": 0, "unknown": 1, "factory": 0, "production": 1}
    assert told(row, view(fleet=young)) == wanted


def test_pv08_a_label_means_exactly_one_bridge() -> None:
    """The old integration looked for a name within names: bridge-1 was found in bridge-10."""
    known = fleet(1)
    assert chosen(known, "bridge-1") == mac(1)
    assert chosen(known, "bridge-10") == mac(10)
    assert chosen(known, "none") is None
    for no_name in ("bridge", "bridge-", "Bridge-1 ", ""):
        with pytest.raises(ValueError, match="choose again"):
            chosen(known, no_name)


def test_pv08_two_bridges_of_one_name_and_one_called_none_have_labels_of_their_own() -> None:
    known = fleet_of(
        word(1, name="twin"), word(2, name="Twin"), word(3, name="none"), word(4, name="own")
    )
    found = labels(known)
    assert set(found.values()) == {mac(1), mac(2), mac(3), mac(4)}
    assert found["own"] == mac(4)
    assert f"twin ({written(mac(1))})" in found
    assert {chosen(known, each) for each in found} == set(found.values())
    row = ROWS["select.pvautonomy_ops_target_device"]
    assert row.options is not None
    assert row.value is not None
    for target in (None, *found.values()):
        now = replace(FIRST, fleet=known, target=target)
        assert row.value(now) in row.options(now)


def test_a_target_that_is_gone_is_none() -> None:
    row = ROWS["select.pvautonomy_ops_target_device"]
    assert row.value is not None
    assert row.value(view(target=mac(99))) == "none"
    assert told(STATUS, view(target=mac(99)))["active_device"] is None


def test_pv04_the_gates_that_are_shown_are_those_of_the_chosen_bridge() -> None:
    """The old verdict was of the whole fleet, whoever was chosen."""
    verdicts = {mac(1): verdict(mac(1), Result.PASS), mac(10): verdict(mac(10), Result.FAIL)}
    shown = [
        told(STATUS, view(target=target, verdicts=verdicts))["gates_overall"]
        for target in (mac(1), mac(10), mac(3), None)
    ]
    assert shown == ["pass", "fail", None, None]


@pytest.mark.parametrize("op", Op)
def test_pv14_pv17_a_refused_press_is_told_by_its_button_and_by_the_status(op: Op) -> None:
    """The old buttons crashed where there was no result, and kept what they had said before."""
    before = Operation(op=op, state=OpState.SUCCESS, started=AT, finished=AT, result="success")
    at = AT + timedelta(minutes=1)
    busy = refused(op, mac(1), Refusal(Block.BUSY, "Another operation runs."), at)
    (row, *_) = (it for it in FLEET_ENTITIES if it.press is op)
    assert told(row, view(operations={op: before}))["error_message"] is None
    found = told(row, view(operations={op: busy}))
    assert found["error_message"] == "Another operation runs."
    assert found["last_result"] in {"failed", "error", "rejected"}
    status = told(STATUS, view(operations={op: busy}))
    assert (status["op_state"], status["op_name"]) == ("failed", op)
    assert (status["last_error"], status["last_error_time"]) == (
        "Another operation runs.",
        "2026-11-22T08:01:00+00:00",
    )


def test_what_runs_is_shown_before_what_was_begun_later() -> None:
    runs = Operation(op=Op.FLASH, state=OpState.RUNNING, started=AT, progress_percent=40)
    later = refused(Op.DISCOVER, None, Refusal(Block.BUSY, "x"), AT + timedelta(seconds=9))
    found = told(STATUS, view(operations={Op.FLASH: runs, Op.DISCOVER: later}))
    assert (found["op_state"], found["op_progress"]) == ("running", 40)


def of_bridge(key: str, now: FleetView, number: int) -> tuple[object, dict[str, Any]]:
    (row,) = (it for it in BRIDGE_ENTITIES if it.key == key)
    record = now.fleet.records[mac(number)]
    return row.value(now, record), dict(row.attributes(now, record)) if row.attributes else {}


def test_each_bridge_has_a_device_of_its_own_by_its_mac() -> None:
    ids = {it.unique_id(mac(number)) for it in BRIDGE_ENTITIES for number in (1, 10)}
    assert len(ids) == 2 * len(BRIDGE_ENTITIES)
    assert all(mac(1) in it or mac(10) in it for it in ids)


def test_a_bridge_shows_what_it_says_and_nothing_that_it_does_not() -> None:
    values = {
        mac(1): {
            "sensor.signal": Reading(-61.2, 9.0),
            "sensor.uptime": Reading(3600.0, 9.0),
            "binary_sensor.inverter": Reading(True, 9.0),
        }
    }
    remarkable = {mac(1): (Finding(FindingCode.MOVED, "Its address was another."),)}
    now = view(
        values=values,
        remarkable=remarkable,
        verdicts={mac(1): verdict(mac(1), Result.WARN)},
    )
    assert of_bridge("signal", now, 1)[0] == -61
    assert of_bridge("uptime", now, 1)[0] == 3600
    assert of_bridge("last_verdict", now, 1)[0] == "warn"
    state, attributes = of_bridge("connectivity", now, 1)
    assert state == "ON"
    assert attributes["findings"] == ["Its address was another."]
    assert attributes["mac"] == written(mac(1))
    assert of_bridge("signal", now, 10)[0] is None
    assert of_bridge("uptime", now, 10)[0] is None
    assert of_bridge("last_verdict", now, 10)[0] == "unknown"
    assert of_bridge("connectivity", view(fleet=fleet(1)), 10)[0] == "OFF"


def test_a_value_that_is_no_number_is_unknown() -> None:
    for odd in (True, "strong", float("nan")):
        now = view(values={mac(1): {"sensor.signal": Reading(odd, 9.0)}})
        assert of_bridge("signal", now, 1)[0] is None


def test_no_row_needs_a_platform_that_home_assistant_lacks() -> None:
    platforms = {it.platform for it in (*FLEET_ENTITIES, *BRIDGE_ENTITIES)}
    assert platforms <= set(Platform)
