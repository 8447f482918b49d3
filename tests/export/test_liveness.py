"""
Liveness on both data paths: what is believed, what is noticed, and who yields.

Each promise is tried on the registers behind Core and on the path of one hop, with the cadence of
either. Source: control.md T6 and T10, cases 13 to 15, 27 and 35; `docs/cases.md` has the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from agent.export.freshness import Thresholds
from agent.export.lease import DIRECT
from agent.export.requests import RequestKind
from agent.export.snapshot import ErrorState
from agent.export.states import GuardConfig
from agent.house.alphaess import RESET_BLOCK
from agent.house.port import WriteStatus
from agent.house.readings import Quality, Reading
from agent.simulator.plant import Plant
from tests.export.bench import CONFIG, Bench

FOREIGN_4KW = [1, 0, 36000, 0, 32000, 2, 51, 0, 7200]
FOREIGN_500W = [1, 0, 32500, 0, 32000, 2, 51, 0, 7200]
NOTICED_WITHIN_S = 15
BRIDGE = replace(
    CONFIG,
    path=DIRECT,
    exported_rules=replace(CONFIG.exported_rules, poll_s=6),
    produced_rules=replace(CONFIG.produced_rules, poll_s=6),
    readback_poll_s=6,
    thresholds=Thresholds(stale_after_s=18),
)
STOPPED_WITHIN_S = {"bridge": 30, "ha_register": 60}
"""T6: by then the inverter is seen to have stopped, whatever an input does."""
BRIDGE_POLLS_S = {"soc_percent": 2, "exported_wh": 6, "produced_wh": 6, "dispatch": 6}


def house(path: str, config: GuardConfig | None = None, **options: Any) -> Bench:
    """Return a house on one of the two data paths."""
    if path == "ha_register":
        return Bench(config or CONFIG, **options)
    given = config or BRIDGE
    bench = Bench(replace(given, path=DIRECT, readback_poll_s=6), **options)
    bench.polls_s |= BRIDGE_POLLS_S
    bench.write_delay_s = 1.0
    return bench


def running(bench: Bench) -> Bench:
    """Start, and wait until it is well under way."""
    assert bench.start().accepted
    bench.run_until(lambda: bench.plant.battery_w > 1000, 60)
    bench.run(40)
    return bench


both_paths = pytest.mark.parametrize("path", ["ha_register", "bridge"])


def gone(reading: Reading) -> Reading:
    return Reading(None, Quality.UNAVAILABLE, reading.source, reading.changed_s)


@both_paths
@pytest.mark.parametrize(
    "name", ["grid_w", "battery_w", "soc_percent", "exported_wh", "produced_wh", "start"]
)
def test_every_required_value_has_a_freshness_of_its_own(path: str, name: str) -> None:
    """T6: one value is lost while all others arrive; the stop is seen at the inverter."""
    bench = running(house(path, produced_wh=9000))
    bench.twists[name] = gone
    assert bench.run_until(lambda: not bench.dispatching, 60) <= STOPPED_WITHIN_S[path]


@both_paths
@pytest.mark.parametrize("name", ["grid_w", "battery_w"])
def test_a_frozen_power_is_latched_until_it_moves(path: str, name: str) -> None:
    """Case 13: re-reported as if it were new; a rest of ten minutes does not make it true."""
    bench = running(house(path, produced_wh=9000))
    bench.frozen.add(name)
    assert bench.run_until(lambda: not bench.dispatching, 60) <= STOPPED_WITHIN_S[path]
    leases = bench.kinds().count("lease")
    bench.run(600)
    assert bench.kinds().count("lease") == leases
    assert name.replace("_w", "_power_frozen") in {reason.code for reason in bench.state.lost}
    charged_wh = bench.state.ledger.exported_wh - bench.exported_today_wh
    assert charged_wh < 100, "what a frozen meter shows was charged for ten minutes"
    bench.frozen.clear()
    bench.run_until(lambda: bench.dispatching, 120)


@both_paths
def test_a_frozen_counter_is_found_by_the_power_and_costs_no_breach(path: str) -> None:
    """Case 13: the counter alone stands still, and looks fresh."""
    bench = running(house(path, produced_wh=700))
    bench.frozen.add("exported_wh")
    bench.run_until(lambda: not bench.dispatching, 300)
    for _ in range(30):
        bench.start()
        bench.run(60)
    assert bench.exported_today_wh <= 700 + 10


class Scaled(Bench):
    """A house whose export counter shows a share of what is true."""

    share = 0.5

    def _raw(self, name: str) -> float:
        if name == "exported_wh":
            return self.exported_today_wh * self.share // 10 * 10
        return super()._raw(name)


@pytest.mark.parametrize(("share", "most_wh"), [(0.5, 1000), (0.1, 400)])
def test_a_counter_that_disagrees_with_the_integral_of_the_power_ends_the_discharge(
    share: float, most_wh: float
) -> None:
    """It moves with every poll and looks healthy; only the sum tells."""
    Scaled.share = share
    bench = Scaled(produced_wh=9000)
    for _ in range(40):
        bench.start()
        bench.run(60)
    assert "exported_counter_disagrees" in {reason.code for reason in bench.state.lost}
    assert not bench.dispatching
    assert bench.exported_today_wh <= most_wh


@pytest.mark.parametrize("away_s", [5, 600])
def test_restarts_do_not_hand_back_what_a_disagreeing_counter_may_let_out(away_s: int) -> None:
    """The sums were forgotten, and each restart let out the slack anew."""
    Scaled.share = 0.5
    bench = Scaled(produced_wh=9000)
    for _ in range(8):
        for _ in range(6):
            bench.start()
            bench.run(60)
        journaled = json.loads(json.dumps(bench.kill()))
        bench.run(away_s)
        bench.restart(journaled)
        bench.run(10)
    assert "exported_counter_disagrees" in {reason.code for reason in bench.state.lost}
    assert bench.exported_today_wh <= 1000 + 8 * 100  # and a lease for each time away


def test_what_a_counter_tells_of_a_time_unseen_does_not_vouch_for_it() -> None:
    """Else an hour of sun while the agent was away would hide a wrong scale for a day."""
    Scaled.share = 0.5
    bench = Scaled(produced_wh=9000)
    journaled = json.loads(json.dumps(bench.kill()))
    bench.plant.pv_override_w = 4000.0
    bench.plant.soc_percent = 100.0
    bench.run(3600)
    bench.plant.pv_override_w = 0.0
    bench.restart(journaled)
    before_wh = bench.exported_today_wh
    assert before_wh > 3000
    for _ in range(40):
        bench.start()
        bench.run(60)
    assert "exported_counter_disagrees" in {reason.code for reason in bench.state.lost}
    assert bench.exported_today_wh - before_wh <= 1000


def test_a_counter_that_lags_or_comes_in_steps_does_not_disagree() -> None:
    """Steps of 100 Wh and a minute of lag are honest."""

    class Coarse(Bench):
        def _raw(self, name: str) -> float:
            step_wh = 100 if name == "exported_wh" else 1
            return super()._raw(name) // step_wh * step_wh

    rules = replace(CONFIG.exported_rules, step_wh=100)
    bench = Coarse(replace(CONFIG, exported_rules=rules), produced_wh=3000)
    bench.start()
    bench.run(2400)
    assert "exported_counter_disagrees" not in [e.data.get("code") for e in bench.events]
    assert bench.exported_today_wh > 1500


@both_paths
@pytest.mark.parametrize("block", [FOREIGN_500W, FOREIGN_4KW], ids=["500 W", "4 kW"])
def test_a_foreign_controller_is_noticed_within_15_s_at_whatever_moment(
    path: str, block: list[int]
) -> None:
    """T10: at rest; at each second of the read-back's cadence."""
    slowest_s = 0.0
    for phase_s in range(6):
        bench = house(path, produced_wh=9000)
        bench.run(phase_s)
        bench.plant.dispatch.write(0, block)
        slowest_s = max(
            slowest_s,
            bench.run_until(lambda b=bench: "foreign_dispatch" in b.kinds(), 60),  # type: ignore[misc]
        )
    assert slowest_s <= NOTICED_WITHIN_S


@both_paths
def test_a_foreign_controller_that_takes_a_running_lease_over_is_noticed_within_15_s(
    path: str,
) -> None:
    """T10: whatever the moment between two renewals; what it has seen it does not write over."""
    slowest_s = 0.0
    for phase_s in range(0, 20, 2):
        bench = running(house(path, produced_wh=9000))
        bench.run(phase_s)
        written = len(bench.writes)
        bench.run_until(lambda b=bench: not b.pending, 5)  # type: ignore[misc]
        begun_s = bench.now_s
        while "foreign_dispatch" not in bench.kinds():
            if bench.plant.dispatch.power_w != 500:
                # A renewal that was under way may overwrite it once; it insists, as they do.
                bench.plant.dispatch.write(0, FOREIGN_500W)
            bench.run(1)
        slowest_s = max(slowest_s, bench.now_s - begun_s)
        bench.run(60)
        assert len(bench.writes) - written <= 1
        assert bench.plant.dispatch.power_w == 500, "the agent fought for it"
    assert slowest_s <= NOTICED_WITHIN_S


@both_paths
def test_beyond_the_limit_a_foreign_controller_gets_one_stop_then_the_alarm_and_is_left_alone(
    path: str,
) -> None:
    """T10: at most one counter-write per 10 s and three per event, however stubborn it is."""
    config = replace(CONFIG if path == "ha_register" else BRIDGE, export_limit_w=1000)
    bench = house(path, config, produced_wh=9000)
    bench.fate = lambda _: (False, WriteStatus.DELIVERED)  # It overwrites us at once.
    for _ in range(60):
        if not bench.dispatching or bench.plant.dispatch.power_w != 4000:
            bench.plant.dispatch.write(0, FOREIGN_4KW)
        bench.run(10)
    times = [at_s for at_s, _ in bench.writes]
    assert 1 <= len(times) <= 3
    assert all(after - before >= 10 for before, after in pairwise(times))
    assert all(not block.start for _, block in bench.writes)
    assert bench.state.error is ErrorState.FOREIGN_CONTROLLER
    assert bench.view().latched


class Onlooker(Plant):
    """The same plant as another agent's; only one of them moves its time."""

    def __init__(self, plant: Plant) -> None:
        self.__dict__ = plant.__dict__

    def step(self, dt_s: float) -> None:
        """Leave time to the other one."""


def two_hosts(first: GuardConfig = CONFIG, second: GuardConfig = CONFIG) -> tuple[Bench, Bench]:
    """Return two agents with journals of their own that command one inverter."""
    a = Bench(first, produced_wh=3000)
    b = Bench(second, produced_wh=3000)
    b.plant = Onlooker(a.plant)
    b.base = a.base
    b.poll_everything()
    return a, b


def together(
    agents: tuple[Bench, Bench], seconds: int, done: Callable[[], bool] | None = None
) -> None:
    """Let both live through the same seconds."""
    for _ in range(seconds):
        for agent in agents:
            agent.run(1)
        if done is not None and done():
            return


def test_case_35_of_two_agents_on_two_hosts_the_second_sees_the_first_and_stays_away() -> None:
    """Case 35: no lock reaches the other host; the registers do."""
    a, b = agents = two_hosts()
    assert a.start().accepted
    together(agents, 60)
    assert a.plant.battery_w > 1000
    assert b.start().code == "foreign_controller"
    together(agents, 600)
    assert b.writes == []
    assert a.dispatching
    assert "reset_by_other" not in a.kinds()


def test_case_35_two_agents_that_start_in_the_same_second_do_not_play_ping_pong() -> None:
    """Case 35: each finds the other's block where its own should be, and yields."""
    a, b = agents = two_hosts(CONFIG, replace(CONFIG, target_export_w=2000))
    assert a.start().accepted
    assert b.start().accepted
    together(agents, 180)
    written = len(a.writes) + len(b.writes)
    together(agents, 600)
    active = [agent for agent in agents if agent.state.wish is not None]
    assert len(active) <= 1
    if not active:
        assert len(a.writes) + len(b.writes) == written
        assert not a.dispatching
    for agent in agents:
        assert sum(not block.start for _, block in agent.writes) <= 3
    assert a.exported_today_wh <= 3000 + 10


def test_case_35_an_agent_with_a_lower_limit_stops_the_other_once_and_then_leaves_it() -> None:
    """Case 35: two settings for one connection; the stricter one alarms, and nobody fights."""
    a, b = agents = two_hosts(CONFIG, replace(CONFIG, export_limit_w=1000))
    assert a.start().accepted
    together(agents, 900)
    stops = [at_s for at_s, block in b.writes if not block.start]
    assert len(stops) == 1
    assert not [block for _, block in b.writes if block.start]
    assert b.state.error is ErrorState.FOREIGN_CONTROLLER
    assert a.kinds().count("reset_by_other") <= 1
    b.ask(RequestKind.ACKNOWLEDGE)
    together(agents, 60)
    assert len(b.writes) <= 2


def test_a_reset_by_somebody_else_is_answered_no_more_than_three_times_an_hour() -> None:
    """T10: and never two answers within ten seconds."""
    bench = running(Bench(produced_wh=9000))
    begun = len(bench.writes)
    for _ in range(100):
        if bench.dispatching:
            bench.plant.dispatch.write(0, RESET_BLOCK.registers())
        bench.run(6)
    starts = [at_s for at_s, block in bench.writes[begun:] if block.start]
    assert all(after - before >= 10 for before, after in pairwise(starts))
    assert bench.kinds().count("reset_by_other") == 3
    assert bench.state.wish is None
