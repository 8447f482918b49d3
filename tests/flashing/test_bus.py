"""What comes over Home Assistant's bus is what the entities show, once for each change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.flashing.bus import bus_events
from agent.fleet.gate_models import Gate, GateId, Result, Verdict
from agent.fleet.operations import Op, Operation, OpState
from agent.surface.flash_view import BridgeFlash, FlashView
from agent.surface.fleet_view import FleetView
from tests.fleet.devices import fleet_of, mac, word

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
QUIET = FleetView(version="0", now_s=0, fleet=fleet_of(word(1, name="bridge-1")))


def flashing(**changes: Any) -> FleetView:
    shown = {"job": "a", "stage": "upload", "version": "1.1.0", "percent": 31, "running": True}
    return replace(QUIET, flashes=FlashView({mac(1): BridgeFlash(**{**shown, **changes})}))


RUNS = Operation(op=Op.FLASH, state=OpState.RUNNING, started=AT, target=mac(1))
GATES = (
    Gate(GateId.REACHABLE, Result.PASS, "It is connected.", AT),
    Gate(GateId.HEALTH, Result.FAIL, "It has no health sensor.", AT),
)
JUDGED = replace(QUIET, verdicts={mac(1): Verdict(mac(1), "", 1.0, AT, GATES)})


def doing(operation: Operation) -> FleetView:
    return replace(QUIET, operations={operation.op: operation})


def pairs() -> list[tuple[FleetView, FleetView]]:
    """Return pictures between which there is every kind of event."""
    moved, over = replace(RUNS, progress_percent=42.0), replace(RUNS, state=OpState.SUCCESS)
    begun = doing(RUNS)
    return [
        (QUIET, begun),
        (begun, doing(moved)),
        (begun, doing(over)),
        (QUIET, JUDGED),
        (QUIET, flashing()),
    ]


def test_an_operation_is_told_when_it_begins_moves_and_ends() -> None:
    begun, moved = doing(RUNS), doing(replace(RUNS, progress_percent=42.0))
    end = AT + timedelta(seconds=9)
    ended = doing(replace(RUNS, state=OpState.FAILED, finished=end, error="It went back."))
    told = [dict(bus_events(*pair)) for pair in ((QUIET, begun), (begun, moved), (moved, ended))]
    assert [list(it) for it in told] == [
        ["pvautonomy_ops_operation_started"],
        ["pvautonomy_ops_operation_progress"],
        ["pvautonomy_ops_operation_completed"],
    ]
    assert told[1]["pvautonomy_ops_operation_progress"]["progress"] == 40
    last = told[2]["pvautonomy_ops_operation_completed"]
    assert (last["operation"], last["success"], last["error"], last["duration_ms"]) == (
        "flash_firmware",
        False,
        "It went back.",
        9000,
    )
    assert last["contract_version"] == "v1.0.0"
    assert not list(bus_events(ended, ended))


def test_one_that_was_refused_at_once_is_told_as_begun_and_ended() -> None:
    refused = Operation(op=Op.RESTART, state=OpState.FAILED, started=AT, finished=AT, error="No.")
    kinds = [kind for kind, _ in bus_events(QUIET, doing(refused))]
    assert kinds == ["pvautonomy_ops_operation_started", "pvautonomy_ops_operation_completed"]


def test_gates_are_told_once_with_what_failed() -> None:
    ((kind, data),) = bus_events(QUIET, JUDGED)
    assert kind == "pvautonomy_ops_gates_completed"
    assert (data["overall"], data["gates_total"], data["failed_gates"]) == (
        "fail",
        2,
        ["GATE-002"],
    )
    assert data["target_device"] == "bridge-1"
    assert not list(bus_events(JUDGED, JUDGED))


def test_a_stage_is_told_in_steps_and_its_end_with_the_error() -> None:
    ((kind, data),) = bus_events(QUIET, flashing())
    assert (kind, data["stage"], data["progress"]) == ("pvautonomy_ops_flash_stage", "upload", 31)
    assert data["target_device"] == "bridge-1"
    assert not list(bus_events(flashing(), flashing(percent=34)))
    assert list(bus_events(flashing(), flashing(percent=35)))
    end = flashing(stage="failed", running=False, result="lost", text="It does not answer.")
    ((_, data),) = bus_events(flashing(), end)
    assert (data["stage"], data["error"]) == ("failed", "It does not answer.")
