"""The battery rests where the plan says so, and never at anybody's cost."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from agent.export import resting
from agent.export.commitments import Purpose
from agent.export.lease import DIRECT, HA_HELPERS
from agent.export.pace import WritePace
from agent.export.plan_advice import Standing, Switches
from agent.export.plan_problem import Battery, Costs, Problem, Site, Slot
from agent.export.plan_rollout import KEEP_OFF, Action, Proposal, rollout
from agent.export.plan_words import windows
from agent.export.planner import Method, Plan
from agent.export.requests import RequestKind
from agent.export.snapshot import ErrorState, Phase, Reason
from agent.house.port import WriteStatus
from agent.simulator.dispatch import DispatchSettings
from tests.export.bench import CONFIG, LONDON, NOON
from tests.export.test_following import BEFORE, HALF_HOUR, Planned
from tests.export.worst import span_of, worst_of_all_wh

HOLD = Proposal(Action.HOLD)
SHARED = Proposal(Action.SHARE_SUN, -1000.0)
ALL = Switches(discharge=True, charge=True, rest=True)


def plan(*proposals: Proposal, pv_w: float = 0.0) -> Plan:
    asked = (*proposals, *[KEEP_OFF] * (8 - len(proposals)))
    begin = NOON + BEFORE
    slots = tuple(
        Slot(begin + n * HALF_HOUR, begin + (n + 1) * HALF_HOUR, begin.astimezone(LONDON).date(),
             pv_w, 400.0, carbon_g_per_kwh=200.0)
        for n in range(len(asked))
    )  # fmt: skip
    site = Site(3680, produced_wh=50_000, can_hold=True)
    problem = Problem(slots, Battery(10_000, 5000), site, zone=LONDON)
    priced = [Costs(200, 200, known=True)] * len(slots)
    steps = rollout(problem, asked, priced)
    return Plan(Method.SOLVER, Reason("solved", "x"), steps, windows(problem, steps, priced))


class Resting(Planned):
    """The bench with a planner that lets the battery rest."""

    def __init__(self, *proposals: Proposal, **house: Any) -> None:
        super().__init__(**house)
        self.switches = ALL
        self.asked = plan(*proposals, pv_w=house.get("pv_w", 0.0))
        self.standing = Standing(self.asked, self.now().local)

    @property
    def reason(self) -> str:
        last = self.state.last_action
        return last.reason if last is not None else ""

    @property
    def waits(self) -> str:
        """Return the code of what the plan waits for."""
        waits = self.view().plan_waits
        return waits.code if waits is not None else ""

    @property
    def starts(self) -> int:
        """Return how often the plan began to rest."""
        return self.kinds().count("start_rest")

    def rests_until(self, minutes: float) -> None:
        """See that it rests until then, after one start."""
        self.until(minutes)
        assert self.dispatching
        assert self.starts == 1


def _with(**changes: Any) -> Any:
    return dataclasses.replace(CONFIG, **changes)


def test_a_rest_keeps_the_charge_and_takes_six_writes_an_hour() -> None:
    bench = Resting(HOLD, HOLD, HOLD)
    bench.until(1)
    assert bench.view().phase is Phase.REST_ACTIVE
    assert bench.view().reason.code == "resting"
    before = bench.plant.soc_percent
    assert bench.plant.battery_w == pytest.approx(0, abs=20)
    bench.until(85)
    assert bench.dispatching
    assert bench.plant.soc_percent == pytest.approx(before, abs=0.1)
    assert bench.plant.grid_w == pytest.approx(400, abs=50)
    assert len(bench.writes) <= 9  # in 85 minutes
    bench.until(91)
    assert not bench.dispatching
    assert bench.reason == "plan_window_over"


@pytest.mark.parametrize("path", [DIRECT, HA_HELPERS])
def test_a_rest_works_on_every_path_with_few_writes(path: Any) -> None:
    bench = Resting(HOLD, HOLD)
    bench.config = _with(path=path)
    bench.rests_until(55)
    assert len(bench.writes) <= 7
    if path is HA_HELPERS:
        assert all(block.duration_s % 60 == 0 for _, block in bench.writes)


def test_a_source_that_tells_no_report_times_lets_a_rest_go_on() -> None:
    bench = Resting(HOLD, HOLD, report_times=False)
    bench.rests_until(55)


def test_sun_that_the_plan_did_not_expect_goes_into_the_battery() -> None:
    bench = Resting(HOLD, HOLD)
    bench.until(5)
    bench.plant.pv_override_w = 2500.0
    bench.run_until(lambda: not bench.dispatching, 30)
    bench.run(20)
    assert bench.reason == "rest_sun"
    assert bench.plant.battery_w < -1500
    assert bench.waits == "plan_tries_again"
    bench.until(14)
    assert not bench.dispatching  # the strongest sun of ten minutes counts
    bench.plant.pv_override_w = 0.0
    bench.until(29)
    assert bench.dispatching


def test_a_share_of_the_sun_is_stored_and_the_rest_of_it_leaves() -> None:
    bench = Resting(SHARED, SHARED, pv_w=2500.0, soc_percent=50)
    bench.until(10)
    assert bench.view().reason.code == "sharing_sun"
    assert bench.plant.battery_w == pytest.approx(-1000, abs=100)
    assert bench.export_w == pytest.approx(1100, abs=100)


def test_a_cloud_leaves_the_battery_to_itself() -> None:
    bench = Resting(SHARED, SHARED, pv_w=2500.0, soc_percent=50)
    bench.until(5)
    bench.plant.pv_override_w = 0.0
    bench.run_until(lambda: not bench.dispatching, 30)
    bench.run(20)
    assert bench.reason == "rest_cloud"
    assert bench.plant.battery_w == pytest.approx(400, abs=60)


def test_a_rest_never_brings_the_export_above_the_limit() -> None:
    bench = Resting(SHARED, SHARED, pv_w=3000.0, soc_percent=50)
    bench.config = _with(export_limit_w=2000)
    bench.until(5)
    assert bench.dispatching
    bench.plant.pv_override_w = 3900.0
    bench.run_until(lambda: bench.export_w > 2000, 10)
    bench.run_until(lambda: bench.export_w < 2000, 15)
    assert bench.reason == "rest_limit"
    bench.until(30)
    assert bench.kinds().count("start_share_sun") == 1


def test_no_rest_begins_near_the_limit() -> None:
    bench = Resting(SHARED, pv_w=3000.0, soc_percent=50)
    bench.config = _with(export_limit_w=1500)
    bench.until(20)
    assert not bench.writes
    assert bench.waits == "rest_limit"


@pytest.mark.parametrize("produced_wh", [0.0, 500.0])
def test_a_share_of_the_sun_waits_until_the_day_pays_for_it(produced_wh: float) -> None:
    bench = Resting(SHARED, pv_w=2500.0, soc_percent=50, produced_wh=produced_wh, exported_wh=500)
    bench.run(40)
    assert not bench.writes


def test_in_the_dark_a_rest_needs_no_allowance() -> None:
    bench = Resting(HOLD, produced_wh=0.0)
    bench.until(10)
    assert bench.dispatching
    assert bench.exported_today_wh < 1


def test_a_share_of_the_sun_fills_the_reserve_first() -> None:
    bench = Resting(SHARED, pv_w=2500.0, soc_percent=15)
    bench.until(10)
    assert not bench.writes
    assert bench.waits == "soc_at_minimum"


def test_every_rest_by_day_fits_the_allowance_until_the_inverter_has_ended_it() -> None:
    bench = Resting(SHARED, SHARED, pv_w=2500.0, soc_percent=50, produced_wh=700.0)
    checked, commands = 0, 0
    while bench.now_s < 1000 + 1800:
        bench.run(1)
        path = bench.config.path
        if len(bench.writes) > commands and bench.state.commitments:
            commands = len(bench.writes)
            spans = [span_of(each, path, bench.now_s) for each in bench.state.commitments]
            sun_w = 2500 * 1.2 + 200
            worst_wh = worst_of_all_wh(spans, path, sun_w, bench.now_s)
            upper_wh = bench.state.ledger.exported_upper_wh(10)
            assert 0 < worst_wh <= bench.state.ledger.produced_wh - upper_wh + 1
            checked += 1
    assert checked > 3


def test_a_persons_start_goes_before_a_rest() -> None:
    bench = Resting(HOLD, HOLD)
    bench.until(5)
    assert not bench.view().blockers
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 2500, 60)
    assert bench.state.wish is not None
    assert bench.state.wish.by == "test"
    assert bench.view().phase is Phase.DISCHARGE_ACTIVE
    bench.until(29)
    assert bench.plant.battery_w > 2500


@pytest.mark.parametrize("stop", [RequestKind.STOP_DISCHARGE, RequestKind.EMERGENCY_STOP])
def test_a_persons_stop_ends_a_rest_until_the_next_window(stop: RequestKind) -> None:
    bench = Resting(HOLD, HOLD)
    bench.until(5)
    assert bench.ask(stop).accepted
    bench.until(29)
    assert not bench.dispatching
    assert bench.starts == 1


def test_a_rest_that_is_switched_off_is_not_carried_out() -> None:
    bench = Resting(HOLD)
    bench.switches = Switches(discharge=True, charge=True)
    bench.until(20)
    assert not bench.writes


def test_commissioning_locks_rests_too() -> None:
    bench = Resting(HOLD, commissioned=False)
    bench.until(20)
    assert not bench.writes
    assert bench.waits == "not_commissioned"


def test_an_inverter_that_ignores_0_w_is_found_out_and_not_tried_again_in_this_window() -> None:
    bench = Resting(HOLD, HOLD, dispatch=DispatchSettings(zero_ignored=True))
    bench.until(28)
    assert bench.kinds().count("rest_failed") == 1
    assert bench.starts == 1
    assert bench.state.error is ErrorState.NONE
    assert not bench.dispatching
    assert bench.start().accepted


def test_an_inverter_that_rounds_0_w_up_is_held_by_the_target_charge() -> None:
    bench = Resting(HOLD, dispatch=DispatchSettings(least_w=300.0))
    bench.until(10)
    assert bench.plant.battery_w == pytest.approx(0, abs=20)
    assert bench.export_w <= 0


def test_a_killed_agent_leaves_the_battery_to_the_inverter_within_a_quarter_of_an_hour() -> None:
    bench = Resting(HOLD, HOLD)
    bench.until(5)
    bench.kill()
    exported_wh = bench.plant.true_exported_wh
    assert bench.run_until(lambda: not bench.dispatching, 900) <= resting.DARK_LEASE_S
    bench.run(10)
    assert bench.plant.battery_w == pytest.approx(400, abs=60)
    assert bench.plant.true_exported_wh == exported_wh


def test_a_restarted_agent_adopts_its_rest() -> None:
    bench = Resting(HOLD, HOLD)
    bench.until(5)
    bench.restart(json.loads(json.dumps(bench.kill())))
    bench.run(30)
    assert "adopted" in bench.kinds()
    assert bench.dispatching
    assert [c.purpose for c in bench.state.commitments] == [Purpose.REST]


def test_a_lost_renewal_is_written_again() -> None:
    bench = Resting(HOLD, HOLD)
    bench.until(5)
    bench.fate = lambda _: (False, WriteStatus.DELIVERED)
    bench.until(11)
    bench.fate = lambda _: (True, WriteStatus.DELIVERED)
    bench.rests_until(25)


def test_a_rest_waits_for_the_pace_of_writes_and_is_not_sent_to_a_start_of_a_discharge() -> None:
    bench = Resting(HOLD, HOLD)
    bench.state = dataclasses.replace(bench.state, pace=WritePace(15.0, bench.now_s))
    bench.run_until(lambda: bench.view().reason.code == "writes_spared", 120)
    assert "Press start" not in bench.view().reason.text
    assert not bench.writes
    bench.until(29)
    assert bench.dispatching


def test_lost_inputs_end_a_rest_actively() -> None:
    bench = Resting(HOLD, HOLD)
    bench.until(5)
    for name in ("grid_w", "battery_w"):
        bench.twists[name] = lambda reading: dataclasses.replace(reading, value=None)
    bench.frozen |= {"grid_w", "battery_w"}
    bench.run_until(lambda: not bench.dispatching, 60)
