"""An agent that is away for a while loses no more of a fleet than one that is always there."""

from __future__ import annotations

import random
from datetime import time, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.firmware.campaign.calendar import may_begin
from agent.firmware.campaign.models import (
    Begin,
    Calendar,
    CampaignState,
    Entrant,
    Sleep,
    Status,
    Window,
    World,
)
from agent.firmware.campaign.step import next_acts
from agent.firmware.job.models import Result
from tests.firmware.campaign.fleet_sim import BEGIN, LONDON, Sim, drawn, mac, plan

COUNT = 70
BY_DAY = Calendar((Window(time(8), time(18)),))


def told_to_restart(seed: int, longest_h: float) -> tuple[frozenset[int], dict[int, timedelta]]:
    """Return twenty kills, and how long the agent is away after each."""
    dice = random.Random(seed)  # noqa: S311 - a simulation
    turns = frozenset(dice.sample(range(2, 120), 20))
    return turns, {it: timedelta(hours=dice.uniform(0, longest_h)) for it in turns}


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    share=st.sampled_from([0.0, 0.01, 0.03, 0.3, 1.0]),
    parallel=st.integers(1, 6),
    longest_h=st.sampled_from([0.1, 3.0, 30.0]),
    by_day=st.booleans(),
)
def test_however_long_it_is_away_no_more_is_lost_than_the_stop_rule_allows(
    seed: int, share: float, parallel: int, longest_h: float, by_day: bool
) -> None:
    calendar = BY_DAY if by_day else Calendar()
    restarts, away = told_to_restart(seed, longest_h)
    dies = drawn(COUNT, share, seed)
    sim = Sim(
        plan(COUNT, parallel, seed, calendar=calendar, deadline=timedelta(days=90)),
        dies,
        restarts=restarts,
        away=away,
    )
    state = sim.run()
    for done, lost, size in sim.opened:
        # No batch begins while more have failed than is tolerated; each is as small as ever.
        assert lost == 0 if done < 50 else lost <= 0.02 * done
        assert size <= parallel
    _, before, size = sim.opened[-1]
    assert sim.lost() <= before + size
    assert sim.most_at_once <= parallel
    assert all(may_begin(calendar, at, LONDON) for at in sim.began_at.values())
    if not dies:
        assert state.status is Status.FINISHED
        assert set(sim.outcomes().values()) == {Result.CONFIRMED}
        assert len(sim.outcomes()) == COUNT


def test_a_batch_that_was_cut_short_waits_for_its_window_when_the_agent_is_back() -> None:
    """It was opened by day and the agent came back at night: the rest begins in the morning."""
    told = plan(4, calendar=BY_DAY)
    state = CampaignState(told, batch=(Entrant(mac(0), 1),))
    here = World(frozenset(it.mac for it in told.members), LONDON)
    night = BEGIN.replace(hour=23)
    (slept,) = next_acts(state, (), here, night)
    assert isinstance(slept, Sleep)
    assert slept.until == BEGIN.replace(hour=8) + timedelta(days=1)
    assert slept.until is not None
    (begun,) = next_acts(state, (), here, slept.until)
    assert isinstance(begun, Begin)
