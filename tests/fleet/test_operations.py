"""What is asked of the fleet is refused with words and a record, never with a crash."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.fleet.gate_models import Block, Gate, GateId, Result, Rules, Verdict
from agent.fleet.identity import Mac
from agent.fleet.operations import Op, Operation, OpState, Situation, refusal, refused
from agent.fleet.sighting import Source
from tests.fleet.devices import fleet_of, mac, word

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
DIGEST = "ab" * 32
FLEET = fleet_of(*(word(number, Source.CONNECTION, name=f"bridge-{number}") for number in (1, 10)))
RUNNING = Operation(op=Op.DISCOVER, state=OpState.RUNNING, started=AT)


def passed(target: Mac, result: Result = Result.PASS) -> Verdict:
    gate = Gate(GateId.REACHABLE, result, "It is connected.", AT)
    return Verdict(target, DIGEST, 100.0, AT, (gate,))


def situation(**changes: Any) -> Situation:
    wanted: dict[str, Any] = {
        "fleet": FLEET,
        "now_s": 101.0,
        "rules": Rules(),
        "verdicts": {mac(1): passed(mac(1))},
        "digest": DIGEST,
        "discharging_through": frozenset(),
    }
    return Situation(**{**wanted, **changes})


def reason(op: Op, target: Mac | None, **changes: Any) -> Block | None:
    found = refusal(op, target, situation(**changes))
    assert found is None or found.text
    return found.reason if found else None


@pytest.mark.parametrize("op", Op)
def test_with_nothing_against_it_everything_may_be_done(op: Op) -> None:
    assert reason(op, mac(1)) is None


@pytest.mark.parametrize("op", Op)
def test_pv14_a_press_while_something_runs_is_a_record_with_words(op: Op) -> None:
    """The old buttons took the missing result apart and crashed, so nobody was told."""
    why = refusal(op, mac(1), situation(running=RUNNING))
    assert why is not None
    assert why.reason is Block.BUSY
    told = refused(op, mac(1), why, AT)
    assert told.state is OpState.FAILED
    assert told.error == why.text
    assert told.result in {"failed", "rejected", "error"}
    ended = replace(RUNNING, state=OpState.SUCCESS)
    assert reason(op, mac(1), running=ended) is None


@pytest.mark.parametrize("op", [it for it in Op if it is not Op.DISCOVER])
def test_pv17_without_a_target_or_a_verdict_there_is_a_refusal_and_no_exception(op: Op) -> None:
    assert reason(op, None) is Block.NO_TARGET
    assert reason(op, mac(99)) is Block.UNKNOWN_TARGET
    missing = {Op.FLASH: Block.MISSING}
    assert reason(op, mac(1), verdicts={}) is missing.get(op)
    no_image = Block.NO_IMAGE if op is Op.FLASH else None
    assert reason(op, mac(1), digest=None) is no_image


def test_pv04_the_gates_of_one_bridge_flash_no_other() -> None:
    assert reason(Op.FLASH, mac(1)) is None
    assert reason(Op.FLASH, mac(10)) is Block.MISSING
    swapped = {mac(10): passed(mac(1))}
    assert reason(Op.FLASH, mac(10), verdicts=swapped) is Block.ANOTHER


def test_pv04_a_sick_neighbour_blocks_nobody() -> None:
    verdicts = {mac(1): passed(mac(1)), mac(10): passed(mac(10), Result.FAIL)}
    assert reason(Op.FLASH, mac(1), verdicts=verdicts) is None
    assert reason(Op.FLASH, mac(10), verdicts=verdicts) is Block.FAILED


def test_a_restart_is_refused_on_trial_and_under_a_dispatch_of_that_bridge_only() -> None:
    ten = frozenset({mac(10)})
    assert reason(Op.RESTART, mac(10), on_trial=ten) is Block.ON_TRIAL
    assert reason(Op.RESTART, mac(1), on_trial=ten) is None
    assert reason(Op.RESTART, mac(10), discharging_through=ten) is Block.DISCHARGING
    assert reason(Op.RESTART, mac(1), discharging_through=ten) is None
    assert reason(Op.RESTART, mac(1), discharging_through=None) is Block.DISCHARGING


@pytest.mark.parametrize(
    ("op", "block", "word"),
    [
        (Op.FLASH, Block.NO_TARGET, "rejected"),
        (Op.FLASH, Block.STALE, "blocked"),
        (Op.FLASH, Block.BUSY, "failed"),
        (Op.RUN_GATES, Block.BUSY, "error"),
        (Op.RESTART, Block.ON_TRIAL, "rejected"),
    ],
)
def test_results_are_in_the_old_words(op: Op, block: Block, word: str) -> None:
    why = refusal(op, None, situation())
    assert why is not None
    assert refused(op, None, replace(why, reason=block), AT).result == word


def test_an_operation_knows_its_duration_only_when_it_has_ended() -> None:
    assert RUNNING.duration_s is None
    assert replace(RUNNING, finished=AT + timedelta(seconds=2)).duration_s == 2
