"""From one path to another: one owner at every moment, and the day's limit holds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.export import handover
from agent.export.commitments import UNCONFIRMED_HORIZON_S
from agent.export.counting import CounterRules
from agent.export.handover import Handover, Left
from agent.export.lease import BRIDGE, HA_REGISTER
from agent.export.states import GuardConfig
from agent.house.port import WriteStatus
from agent.house.readings import CounterKind, missing
from tests.export.bench import COMMISSIONED, CONFIG, Bench

HA = replace(CONFIG, path_identity="ha_register bench")
OTHER = replace(
    HA,
    path=BRIDGE,
    path_identity="bridge bench",
    exported_rules=CounterRules(CounterKind.LIFETIME, 10, 6, 10_000, conservative_up=True),
    produced_rules=CounterRules(CounterKind.LIFETIME, 100, 6, 10_000, conservative_up=False),
)
BEFORE_WH = {"exported_wh": 7_654_320.0, "produced_wh": 12_345_600.0}
"""What the lifetime counters count more than the day's."""
WAYS = pytest.mark.parametrize(
    ("first", "second"), [(HA, OTHER), (OTHER, HA)], ids=["to-the-bridge", "to-home-assistant"]
)


def changed(bench: Bench, config: GuardConfig, away_s: float = 3) -> None:
    """Let another path take over, as the app does: through the journal."""
    journaled = json.loads(json.dumps(bench.kill()))
    bench.run(away_s)
    bench.config = config
    of_bridge = config.path.name == "bridge"
    for name, more_wh in BEFORE_WH.items():
        bench.base[name] += -more_wh if of_bridge else more_wh
        bench.values[name] = missing(name)  # the other counter has not spoken yet
    bench.restart(journaled)


def discharging(config: GuardConfig, produced_wh: float = 5000.0) -> Bench:
    """Home Assistant's counters know of the day; a bridge that goes on from them knows it too."""
    bench = Bench(HA, produced_wh=produced_wh)
    mine, other = (replace(COMMISSIONED, path=each.path_identity) for each in (HA, OTHER))
    bench.state = replace(bench.state, commissioning=mine, other_tests=(other,))
    bench.run(70)
    if config is OTHER:
        changed(bench, OTHER)
        bench.run(70)
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 2000, 60)
    bench.run(30)
    return bench


@WAYS
@pytest.mark.parametrize("at_s", [0, 7, 19])
@pytest.mark.parametrize("late_s", [0, 30, 250])
def test_nothing_is_started_while_a_command_of_the_other_path_may_still_come(
    first: GuardConfig, second: GuardConfig, at_s: int, late_s: int
) -> None:
    """The last commands before the change are answered never, and run up to minutes late."""
    bench = discharging(first)
    bench.run(at_s)
    if late_s:
        bench.unconfirmed_after_s = late_s
        bench.fate = lambda _: (True, WriteStatus.UNCONFIRMED)
        written = len(bench.writes)
        bench.run_until(lambda: len(bench.writes) > written, 90)
    changed(bench, second)
    bench.fate = lambda _: (True, WriteStatus.DELIVERED)
    late = [it for it in bench.pending if it.command.block.start and it.runs]
    assert bool(late) == bool(late_s)
    taken = len(bench.writes)
    for _ in range(600):
        bench.run(1)
        bench.start()
        started = any(block.start for _, block in bench.writes[taken:])
        if started:
            break
    assert started, bench.view().blockers
    assert not [it for it in late if it in bench.pending], "a command of the old path is to come"
    kinds = bench.kinds()
    assert "path_taken_over" in kinds
    assert kinds.index("path_taken_over") < len(kinds) - 1 - kinds[::-1].index("start_discharge")


@WAYS
def test_the_day_goes_on_with_what_is_known_of_it(first: GuardConfig, second: GuardConfig) -> None:
    bench = discharging(first)
    bench.run(300)
    before_wh = bench.state.ledger.exported_wh
    changed(bench, second)
    bench.run_until(lambda: bench.state.ledger.known, 70)
    after = bench.state.ledger
    assert after.exported_wh >= before_wh
    assert after.exported_wh <= before_wh + 250, "what was open is charged, and no more"
    assert after.produced_wh <= 5000


@WAYS
def test_the_allowance_holds_over_many_changes(first: GuardConfig, second: GuardConfig) -> None:
    bench = discharging(first, produced_wh=900.0)
    exported_wh = bench.plant.true_exported_wh
    for turn in range(6):
        bench.run(60)
        changed(bench, (second, first)[turn % 2])
        for _ in range(150):
            bench.run(1)
            bench.start()
    bench.run(120)
    assert bench.plant.true_exported_wh - exported_wh <= 900


def test_a_stop_that_was_seen_lets_the_other_path_start_at_once() -> None:
    bench = discharging(HA)
    bench.state = replace(bench.state, wish=None)
    bench.run_until(lambda: not bench.state.commitments and bench.state.stopping is None, 60)
    changed(bench, OTHER)
    assert bench.state.handover is None


def test_what_a_path_left_is_not_forgotten_by_a_restart_nor_by_going_back() -> None:
    bench = discharging(HA)
    bench.fate = lambda _: (True, WriteStatus.UNCONFIRMED)
    bench.unconfirmed_after_s = 250
    bench.run(25)
    changed(bench, OTHER)
    left = bench.state.handover
    assert left is not None
    assert not left.certain
    bench.run(20)
    bench.restart(json.loads(json.dumps(bench.kill())))
    again = bench.state.handover
    assert again is not None
    assert again.until_s == pytest.approx(left.until_s, abs=1)
    changed(bench, HA)
    back = bench.state.handover
    assert back is not None
    assert back.until_s >= left.until_s - 1


def test_each_path_keeps_its_own_test() -> None:
    bench = discharging(HA)
    changed(bench, OTHER)
    assert bench.state.commissioning.passed_for("bridge bench")
    changed(bench, HA)
    assert bench.state.commissioning.passed_for("ha_register bench")
    assert [test.path for test in bench.state.other_tests] == ["bridge bench"]


def test_a_path_that_was_never_tested_is_locked() -> None:
    bench = discharging(HA)
    bench.state = replace(bench.state, other_tests=())
    changed(bench, OTHER)
    bench.run(400)
    assert bench.start().code == "not_commissioned"


def test_a_command_counts_by_the_slower_of_both_paths() -> None:
    bench = discharging(HA)
    slow = Left("ha_register", command_delay_s=30, exit_lag_s=60, gain=1.2)
    newest = bench.state.commitments[-1]
    _, left = handover.taken_over((newest,), slow, BRIDGE, bench.now_s)
    assert left is not None
    assert left.until_s == pytest.approx(newest.sent_s + 30 + newest.block.duration_s + 60)
    assert left.worst_w == newest.block.power_w * 1.2
    unsure = replace(newest, status=type(newest.status).UNCONFIRMED)
    _, left = handover.taken_over((unsure,), slow, BRIDGE, bench.now_s)
    assert left is not None
    assert left.until_s >= bench.now_s + UNCONFIRMED_HORIZON_S + newest.block.duration_s + 60


def test_two_that_were_left_are_over_when_both_are() -> None:
    one, two = Handover("a", 100, True, 500), Handover("b", 90, False, 900)
    both = handover.later(one, two)
    assert both == Handover("b", 100, False, 900)
    assert not both.over((), 99)
    assert both.over((), 100)
    assert handover.later(None, one) is one
    assert HA_REGISTER.name == HA.path.name
