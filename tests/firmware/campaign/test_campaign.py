"""A campaign loses little to a bad release, waits for what is not there, and survives restarts."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.firmware.campaign.calendar import may_begin, next_opening
from agent.firmware.campaign.models import (
    Attempt,
    Calendar,
    Cancel,
    Finish,
    Member,
    Open,
    Sleep,
    Standing,
    Status,
    Stop,
    Window,
    World,
)
from agent.firmware.campaign.order import ordered, position, share, soaks, stage_end, stops
from agent.firmware.campaign.step import next_acts, standings
from agent.firmware.job.models import Blame, Result
from agent.firmware.manifest.models import Brakes, Wave
from tests.firmware.campaign.fleet_sim import BEGIN, LONDON, RELEASE, Sim, drawn, mac, plan

EVERYBODY = frozenset(mac(number) for number in range(200))


def test_a_release_that_kills_a_third_costs_two_bridges_of_two_hundred() -> None:
    lost = []
    for seed in range(200):
        sim = Sim(plan(200, seed=seed), dies=drawn(200, 0.3, seed))
        state = sim.run()
        assert state.status is Status.STOPPED
        assert "failed" in state.text
        # The batch in which it shows is the most that can be reached before anybody knows.
        assert 1 <= sim.lost() <= sim.most_at_once <= 4
        lost.append(sim.lost())
    assert median(lost) <= 2


@pytest.mark.parametrize("kills", [0.0, 0.004, 0.3])
def test_restarts_at_random_change_no_outcome(kills: float) -> None:
    for seed in range(10):
        dies = drawn(200, kills, seed)
        told = plan(200, seed=seed)
        undisturbed = Sim(told, dies, resumes=kills < 0.1)
        undisturbed.run()
        dice = random.Random(seed)  # noqa: S311 - a simulation
        restarts = frozenset(dice.sample(range(1, max(21, undisturbed.turns)), 20))
        restarted = Sim(told, dies, restarts=restarts, resumes=kills < 0.1)
        restarted.run()
        assert restarted.outcomes() == undisturbed.outcomes()


def test_a_good_release_reaches_everybody_in_stages_that_double() -> None:
    sim = Sim(plan(30))
    assert sim.run().status is Status.FINISHED
    assert set(sim.outcomes().values()) == {Result.CONFIRMED}
    assert len(sim.outcomes()) == 30
    begun = sorted(sim.began_at.values())
    # One, then two after an hour of watching, then four after another.
    assert begun[1] - begun[0] >= timedelta(hours=1)
    assert begun[3] - begun[2] >= timedelta(hours=1)
    assert begun[7] - begun[6] >= timedelta(hours=1)
    assert begun[15] - begun[14] < timedelta(hours=1)
    assert sim.most_at_once == 4


def test_stages_double_and_the_first_three_are_watched() -> None:
    assert [stage_end(done) for done in (0, 1, 2, 3, 7, 15, 31)] == [1, 3, 3, 7, 15, 31, 63]
    assert [done for done in range(40) if soaks(done)] == [1, 3, 7]


def test_the_first_failure_stops_until_fifty_are_done_and_then_more_than_two_percent() -> None:
    assert stops(1, 1)
    assert stops(49, 1)
    assert not stops(49, 0)
    assert not stops(50, 1)
    assert not stops(100, 2)
    assert stops(100, 3)


@given(seed=st.integers(0, 2**64), canaries=st.frozensets(st.integers(0, 19), max_size=4))
def test_canaries_go_first_and_the_rest_by_lot(seed: int, canaries: frozenset[int]) -> None:
    members = [Member(mac(number), number in canaries) for number in range(20)]
    digest = f"{seed:064x}"
    order = ordered(members, digest)
    assert {it.mac for it in order[: len(canaries)]} == {mac(number) for number in canaries}
    lot = [position(it.mac, digest) for it in order[len(canaries) :]]
    assert lot == sorted(lot)
    assert all(0 <= it < 1 for it in lot)


def test_nobody_is_always_first() -> None:
    firsts = {ordered(plan(50).members, f"{seed:064x}")[0].mac for seed in range(40)}
    assert len(firsts) > 15


def test_offline_bridges_hold_nobody_and_are_updated_when_they_come_back() -> None:
    late = {mac(number): BEGIN + timedelta(days=3) for number in range(5)}
    sim = Sim(plan(20), offline_until=late)
    assert sim.run().status is Status.FINISHED
    assert len(sim.outcomes()) == 20
    ends = sorted(it for it in sim.began_at.values())
    assert ends[14] < BEGIN + timedelta(days=1)
    assert ends[15] >= BEGIN + timedelta(days=3)


def test_who_never_comes_back_is_given_up_after_fourteen_days() -> None:
    sim = Sim(plan(3), offline_until={mac(1): BEGIN + timedelta(days=99)})
    state = sim.run()
    assert state.status is Status.FINISHED
    assert "1 given up" in state.text
    assert sim.now == BEGIN + timedelta(days=14)


def test_the_network_is_tried_three_times_more_and_then_boxed_for_a_day() -> None:
    sim = Sim(plan(1), drops={mac(0): 4})
    sim.run()
    begun = list(sim.began_at.values())
    job = timedelta(minutes=2)
    gaps = [after - before - job for before, after in zip(begun, begun[1:], strict=False)]
    minutes = [1, 5, 30, 24 * 60]
    assert gaps == [timedelta(minutes=it) for it in minutes]
    assert sim.outcomes() == {mac(0): Result.CONFIRMED}


def test_a_boxed_bridge_takes_no_place_and_stops_nothing() -> None:
    sim = Sim(plan(8, parallel=1), drops={mac(number): 4 for number in range(2)})
    assert sim.run().status is Status.FINISHED
    healthy = [at for job, at in sim.began_at.items() if not job.startswith("c1-02005e00000")]
    assert all(at < BEGIN + timedelta(hours=12) for at in healthy)
    assert len(sim.outcomes()) == 8


def test_what_the_release_does_is_never_tried_again() -> None:
    sim = Sim(plan(1), dies=frozenset({mac(0)}), resumes=True)
    state = sim.run()
    assert (state.status, len(sim.jobs)) == (Status.FINISHED, 1)


def running(**said: object) -> Sim:
    """Return a campaign that has been planned, for looks at single decisions."""
    sim = Sim(plan(4, **said))  # type: ignore[arg-type]
    sim.run(until=BEGIN)
    return sim


def acts(sim: Sim, world: World, now: datetime, *attempts: Attempt) -> tuple[object, ...]:
    return next_acts(sim.campaigns["c1"], attempts, world, now)


HERE = World(frozenset(mac(number) for number in range(4)), LONDON)


def test_a_channel_that_is_paused_begins_nothing_and_a_revoked_image_stops_it() -> None:
    sim = Sim(plan(4))
    sim._write(__import__("agent.firmware.campaign.replay", fromlist=["x"]).planned(sim.plan))
    paused = replace(HERE, brakes=Brakes(paused=True, reason="A bad batch."))
    (slept,) = acts(sim, paused, BEGIN)
    assert isinstance(slept, Sleep)
    assert "A bad batch." in slept.why
    revoked = replace(HERE, brakes=Brakes(revoked=frozenset({RELEASE.digest})))
    (stopped,) = acts(sim, revoked, BEGIN)
    assert isinstance(stopped, Stop)
    assert "revoked" in stopped.text
    assert isinstance(acts(sim, HERE, BEGIN)[0], Open)
