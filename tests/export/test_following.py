"""A day with a plan: the guard follows its windows, and everybody else goes before it."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.export.advice import PLAN
from agent.export.commitments import Purpose
from agent.export.plan_advice import NOTHING, OLDEST, Standing, Switches, advice_of
from agent.export.plan_problem import Battery, Costs, Problem, Site, Slot
from agent.export.plan_rollout import KEEP_OFF, Action, Proposal, rollout
from agent.export.plan_words import windows
from agent.export.planner import Method, Plan, no_plan
from agent.export.requests import RequestKind
from agent.export.snapshot import Mode, Phase, Reason
from agent.house.port import WriteStatus
from tests.export.bench import CONFIG, LONDON, NOON, Bench

HALF_HOUR = timedelta(minutes=30)
BEFORE = timedelta(minutes=1)
"""From the begin of the bench to the first planned slot."""
SOLD = Proposal(Action.DISCHARGE, 2400.0)
BOUGHT = Proposal(Action.CHARGE, -2000.0)
BOTH = Switches(discharge=True, charge=True)


def plan(begin: datetime, *proposals: Proposal) -> Plan:
    """Return a plan of these half hours; the rest of four hours is left to the inverter."""
    asked = (*proposals, *[KEEP_OFF] * (8 - len(proposals)))
    slots = tuple(
        Slot(begin + n * HALF_HOUR, begin + (n + 1) * HALF_HOUR, begin.astimezone(LONDON).date(),
             0.0, 400.0, carbon_g_per_kwh=200.0)
        for n in range(len(asked))
    )  # fmt: skip
    problem = Problem(slots, Battery(10_000, 8000), Site(3680, produced_wh=50_000), zone=LONDON)
    priced = [Costs(200, 200, known=True)] * len(slots)
    steps = rollout(problem, asked, priced)
    found = windows(problem, steps, priced)
    return Plan(Method.SOLVER, Reason("solved", "The best."), steps, found)


class Planned(Bench):
    """The bench with a planner that makes the same plan anew every half hour."""

    def __init__(self, *proposals: Proposal, **house: Any) -> None:
        self.standing: Standing | None = None
        self.switches = BOTH
        super().__init__(**{"produced_wh": 20_000, **house})
        self.asked = plan(NOON + BEFORE, *proposals)
        self.standing = Standing(self.asked, self.now().local)
        self.advise = lambda now: advice_of(self.standing, now, self.switches)

    def until(self, minutes: float) -> None:
        """Go to a time after the first planned half hour's begin, planning all the while."""
        goal_s = 1000.0 + BEFORE.total_seconds() + minutes * 60
        while self.now_s < goal_s:
            self.run(min(goal_s - self.now_s, 600))
            if self.standing is not None:
                self.standing = Standing(self.asked, self.now().local)

    @property
    def export_w(self) -> float:
        return -float(self.plant.grid_w)


def test_a_window_is_exported_at_the_slots_power_and_ends_by_itself() -> None:
    bench = Planned(SOLD, SOLD)
    bench.until(-0.2)
    assert not bench.writes
    bench.until(10)
    assert bench.view().phase is Phase.DISCHARGE_ACTIVE
    assert bench.export_w == pytest.approx(2000, abs=150)
    bench.until(40)
    assert bench.dispatching
    bench.until(61)
    assert not bench.dispatching
    assert bench.state.wish is None
    last = bench.state.last_action
    assert last is not None
    assert (last.action, last.by, last.reason) == ("stop", PLAN, "plan_window_over")
    assert bench.kinds().count("start_discharge") == 1
    bench.until(90)
    assert bench.kinds().count("start_discharge") == 1


def test_a_window_is_charged_at_the_slots_power() -> None:
    bench = Planned(BOUGHT, soc_percent=40)
    bench.until(10)
    assert bench.view().phase is Phase.CHARGE_ACTIVE
    assert bench.plant.battery_w == pytest.approx(-2000, abs=100)
    bench.until(31)
    assert not bench.dispatching


def test_a_plan_never_asks_for_more_than_the_target() -> None:
    bench = Planned(Proposal(Action.DISCHARGE, 5000.0))
    bench.config = _config(target_export_w=1000)
    bench.until(10)
    assert bench.export_w == pytest.approx(1000, abs=150)


@pytest.mark.parametrize(
    "changes", [{"mode": Mode.OBSERVE}, {"export_limit_w": None}, {"target_export_w": 0}]
)
def test_a_plan_starts_nothing_that_a_person_would_be_refused(changes: dict[str, Any]) -> None:
    bench = Planned(SOLD)
    bench.config = _config(**changes)
    bench.until(20)
    assert not bench.writes
    waits = bench.view().plan_waits
    assert waits is not None
    assert waits.code in {"observe_mode", "export_limit_unset", "target_is_zero"}


@pytest.mark.parametrize("off", [Switches(discharge=False, charge=True), None])
def test_a_switch_that_is_off_or_a_missing_plan_commands_nothing(off: Switches | None) -> None:
    bench = Planned(SOLD)
    if off is None:
        bench.asked = no_plan("no_forecast", "None.")
        bench.standing = Standing(bench.asked, bench.now().local)
    else:
        bench.switches = off
    bench.until(20)
    assert not bench.writes


def test_a_persons_stop_wins_until_the_next_window() -> None:
    bench = Planned(SOLD, KEEP_OFF, SOLD)
    bench.until(10)
    bench.ask(RequestKind.STOP_DISCHARGE)
    bench.until(29)
    assert not bench.dispatching
    waits = bench.view().plan_waits
    assert waits is not None
    assert waits.code == "plan_declined"
    bench.until(65)
    assert bench.dispatching
    assert bench.kinds().count("start_discharge") == 2


def test_a_stop_outlives_a_restart() -> None:
    bench = Planned(SOLD, SOLD)
    bench.until(10)
    bench.ask(RequestKind.STOP_DISCHARGE)
    bench.until(12)
    bench.restart(json.loads(json.dumps(bench.kill())))
    bench.until(55)
    assert bench.kinds().count("start_discharge") == 1


def test_a_persons_start_takes_the_window_over() -> None:
    bench = Planned(SOLD)
    bench.until(10)
    assert bench.start().code == "taken_over"
    bench.until(40)
    assert bench.dispatching
    assert bench.state.wish is not None
    assert bench.state.wish.by == "test"
    assert bench.export_w == pytest.approx(3000, abs=150)


def test_a_persons_wish_goes_before_the_plan() -> None:
    bench = Planned(BOUGHT)
    bench.start()
    bench.until(10)
    assert bench.view().phase is Phase.DISCHARGE_ACTIVE
    waits = bench.view().plan_waits
    assert waits is not None
    assert waits.code == "person_first"


def test_a_changed_plan_ends_the_window() -> None:
    bench = Planned(SOLD, SOLD)
    bench.until(10)
    bench.standing = Standing(plan(NOON), bench.now().local)
    bench.run(30)
    assert not bench.dispatching
    assert bench.state.last_action is not None
    assert bench.state.last_action.reason == "plan_withdrawn"


def test_a_switch_turned_off_ends_the_window() -> None:
    bench = Planned(SOLD, SOLD)
    bench.until(10)
    bench.switches = Switches(discharge=False, charge=True)
    bench.run(30)
    assert not bench.dispatching


def test_a_plan_that_nobody_renews_ends_within_an_hour() -> None:
    bench = Planned(SOLD, SOLD, SOLD, SOLD)
    made_s = bench.now_s
    bench.run(1200)
    assert bench.dispatching
    bench.run(made_s + OLDEST.total_seconds() + 30 - bench.now_s)
    assert not bench.dispatching
    assert bench.kinds().count("start_discharge") == 1


def test_a_window_goes_on_after_a_restart_without_a_planner_until_its_time() -> None:
    bench = Planned(SOLD)
    bench.until(5)
    journaled = json.loads(json.dumps(bench.kill()))
    bench.standing = None
    bench.run(10)
    bench.restart(journaled)
    bench.until(20)
    assert bench.dispatching
    bench.until(31)
    assert not bench.dispatching
    assert bench.state.last_action is not None
    assert bench.state.last_action.reason == "plan_window_over"


def test_a_lost_input_stops_the_window_and_it_goes_on_when_it_is_back() -> None:
    bench = Planned(SOLD, SOLD)
    bench.until(5)
    bench.linked = False
    bench.run(60)
    bench.linked = True
    bench.run(300)
    assert bench.dispatching
    assert bench.kinds().count("start_discharge") == 1


def test_a_window_that_ends_while_it_pauses_writes_nothing_more() -> None:
    bench = Planned(SOLD)
    bench.until(5)
    bench.config = _config(export_limit_w=0)
    bench.plant.load_override_w = 0.0
    bench.run_until(lambda: bench.state.hold is not None, 60)
    bench.until(29)
    before = len(bench.writes)
    bench.until(32)
    assert bench.state.wish is None
    assert len(bench.writes) == before


def test_a_start_that_failed_is_not_tried_again_by_a_plan() -> None:
    bench = Planned(SOLD, SOLD)
    bench.fate = lambda block: (not block.start, WriteStatus.DELIVERED)
    bench.until(59)
    assert bench.kinds().count("start_discharge") == 1
    waits = bench.view().plan_waits
    assert waits is not None
    assert waits.code == "plan_declined"


def test_a_window_whose_allowance_is_used_waits_and_does_not_flap() -> None:
    bench = Planned(SOLD, SOLD, produced_wh=600)
    bench.until(59)
    assert 500 < bench.exported_today_wh <= 610
    assert bench.kinds().count("start_discharge") <= 2


def test_a_shutdown_is_no_persons_stop() -> None:
    bench = Planned(SOLD)
    bench.until(5)
    bench.look(RequestKind.STOP_DISCHARGE, by="shutdown")
    bench.run(20)
    bench.restart(json.loads(json.dumps(bench.kill())))
    bench.run(60)
    assert bench.dispatching


def test_yesterdays_plan_is_no_plan_but_a_new_day_gets_a_minute() -> None:
    late = datetime(2026, 7, 1, 22, 45, tzinfo=UTC)  # 23:45 in London
    standing = Standing(plan(late, SOLD, SOLD), late.astimezone(LONDON))

    def at(minutes: float) -> Any:
        return advice_of(standing, (late + timedelta(minutes=minutes)).astimezone(LONDON), BOTH)

    assert at(14).purpose is Purpose.DISCHARGE
    assert at(15.5) is None
    assert at(16.5) == NOTHING
    assert at(14).until == datetime(2026, 7, 1, 23, 1, tzinfo=UTC)


def test_a_charge_goes_on_over_midnight_until_the_new_days_plan_is_there() -> None:
    begin = datetime(2026, 7, 1, 22, 50, tzinfo=UTC)  # 23:50 in London
    bench = Planned(BOUGHT, soc_percent=40, begin=begin)
    bench.asked = plan(begin, BOUGHT)
    bench.standing = Standing(bench.asked, bench.now().local)
    bench.run(595)
    assert bench.dispatching
    bench.run(25)
    assert bench.now().local.hour == 0
    bench.standing = Standing(bench.asked, bench.now().local)
    bench.run(120)
    assert bench.dispatching
    assert bench.kinds().count("start_charge") == 1
    assert "stop" not in bench.kinds()


def test_without_the_new_days_plan_it_ends_a_minute_after_midnight() -> None:
    begin = datetime(2026, 7, 1, 22, 50, tzinfo=UTC)
    bench = Planned(BOUGHT, soc_percent=40, begin=begin)
    bench.asked = plan(begin, BOUGHT)
    bench.standing = Standing(bench.asked, bench.now().local)
    bench.run(595)
    assert bench.dispatching
    bench.run(100)
    assert not bench.dispatching


@settings(max_examples=10, deadline=None)
@given(
    deeds=st.lists(
        st.tuples(
            st.integers(5, 600),
            st.sampled_from([*RequestKind, "link", "plan", "switch", "restart"]),
        ),
        max_size=6,
    )
)
def test_whatever_happens_a_plan_outlives_no_time_and_passes_no_allowance(
    deeds: list[tuple[int, Any]],
) -> None:
    bench = Planned(SOLD, KEEP_OFF, BOUGHT, soc_percent=60, produced_wh=900)
    bench.until(0)
    for seconds, deed in deeds:
        bench.run(seconds)
        if isinstance(deed, RequestKind):
            bench.look(deed)
        elif deed == "link":
            bench.linked = not bench.linked
        elif deed == "plan":
            bench.standing = None
        elif deed == "restart":
            bench.restart(json.loads(json.dumps(bench.kill())))
        else:
            bench.switches = Switches(discharge=not bench.switches.discharge, charge=True)
        wish = bench.state.wish
        if wish is not None and wish.until is not None:
            assert bench.now().local < wish.until + timedelta(seconds=3)
        assert bench.exported_today_wh <= 900 + 10


def _config(**changes: Any) -> Any:

    return dataclasses.replace(CONFIG, **changes)
