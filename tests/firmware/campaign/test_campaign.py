"""A campaign loses little to a bad release, waits for what is not there, and survives restarts."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.firmware.campaign import replay
from agent.firmware.campaign.calendar import may_begin, next_opening
from agent.firmware.campaign.models import (
    Act,
    Attempt,
    Calendar,
    CampaignState,
    Cancel,
    Finish,
    Member,
    Open,
    Plan,
    Sleep,
    Standing,
    Status,
    Stop,
    Window,
    World,
)
from agent.firmware.campaign.order import ordered, soaks, stage_end, stops
from agent.firmware.campaign.step import next_acts, standings
from agent.firmware.job.models import Blame, Result
from agent.firmware.manifest.models import Brakes, Wave
from agent.firmware.manifest.rollout import wave_position
from tests.firmware.campaign.fleet_sim import BEGIN, LONDON, RELEASE, Sim, drawn, mac, plan


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


@pytest.mark.parametrize(("kills", "seeds"), [(0.0, 1), (0.004, 2), (0.3, 20)])
def test_restarts_at_random_change_no_outcome(kills: float, seeds: int) -> None:
    for seed in range(seeds):
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
    order = ordered(tuple(members), digest)
    assert {it.mac for it in order[: len(canaries)]} == {mac(number) for number in canaries}
    lot = [wave_position(it.mac, digest) for it in order[len(canaries) :]]
    assert lot == sorted(lot)


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
    gaps = [after - before - job for before, after in itertools.pairwise(begun)]
    minutes = [1, 5, 30, 24 * 60]
    assert gaps == [timedelta(minutes=it) for it in minutes]
    assert sim.outcomes() == {mac(0): Result.CONFIRMED}


def test_after_the_last_retry_a_bridge_is_boxed_and_no_longer_resting() -> None:
    def failed(times: int) -> Standing:
        tries = [
            Attempt(mac(0), it + 1, f"j{it}", BEGIN, Result.UNCHANGED, Blame.NETWORK)
            for it in range(times)
        ]
        return standings(plan(1), tries, BEGIN)[mac(0)].standing

    assert [failed(it) for it in range(1, 6)] == [
        Standing.RESTING,
        Standing.RESTING,
        Standing.RESTING,
        Standing.BOXED,
        Standing.RESTING,
    ]


def test_a_bridge_that_somebody_else_flashes_is_left_to_him() -> None:
    told = plan(2)
    first, second = ordered(told.members, told.manifest_sha256)
    (opened,) = acts(told, replace(HERE, locked=frozenset({first.mac})), BEGIN)
    assert isinstance(opened, Open)
    assert [it.mac for it in opened.batch] == [second.mac]


def test_what_was_accepted_stays_accepted() -> None:
    lines = [replay.planned(plan(4))]
    for number in (1, 2):
        lines += [
            replay.word("c1", "stopped", "A failure."),
            replay.resumed("c1", "Ada", frozenset({mac(number)})),
        ]
    (state,) = replay.replay([(BEGIN, json.loads(json.dumps(it))) for it in lines]).values()
    assert state.accepted == {mac(1), mac(2)}
    assert state.status is Status.RUNNING


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


def acts(told: Plan, world: World, now: datetime, *attempts: Attempt) -> tuple[Act, ...]:
    return next_acts(CampaignState(told), attempts, world, now)


def confirmed(number: int, at: datetime = BEGIN) -> Attempt:
    return Attempt(mac(number), 1, f"c1-{mac(number)}-1", at, Result.CONFIRMED)


HERE = World(frozenset(mac(number) for number in range(4)), LONDON)


def test_a_channel_that_is_paused_begins_nothing_and_a_revoked_image_stops_it() -> None:
    paused = replace(HERE, brakes=Brakes(paused=True, reason="A bad batch."))
    (slept,) = acts(plan(4), paused, BEGIN)
    assert isinstance(slept, Sleep)
    assert "A bad batch." in slept.why
    revoked = replace(HERE, brakes=Brakes(revoked=frozenset({RELEASE.digest})))
    (stopped,) = acts(plan(4), revoked, BEGIN)
    assert isinstance(stopped, Stop)
    assert "revoked" in stopped.text
    assert isinstance(acts(plan(4), HERE, BEGIN)[0], Open)


def test_after_the_soak_everybody_who_was_confirmed_must_still_be_there() -> None:
    first = ordered(plan(4).members, plan(4).manifest_sha256)[0].mac
    done = Attempt(first, 1, "j", BEGIN, Result.CONFIRMED)
    soaked = BEGIN + timedelta(hours=1)
    (waits,) = acts(plan(4), HERE, soaked - timedelta(seconds=1), done)
    assert isinstance(waits, Sleep)
    assert waits.until == soaked
    assert isinstance(acts(plan(4), HERE, soaked, done)[0], Open)
    (stopped,) = acts(plan(4), replace(HERE, gone=frozenset({first})), soaked, done)
    assert isinstance(stopped, Stop)
    assert "not there any more" in stopped.text


def test_waves_count_for_who_looks_at_nothing_and_for_nobody_else() -> None:
    waves = (Wave(1, 0.25), Wave(24, 1.0))
    told = plan(40, automatic=True, waves=waves, released=BEGIN)
    here = World(frozenset(mac(number) for number in range(40)), LONDON)
    (early,) = acts(told, here, BEGIN)
    assert isinstance(early, Sleep)
    assert early.until == BEGIN + timedelta(hours=1)
    (opened,) = acts(told, here, BEGIN + timedelta(hours=2))
    assert isinstance(opened, Open)
    assert all(wave_position(it.mac, told.manifest_sha256) < 0.25 for it in opened.batch)
    assert isinstance(acts(replace(told, automatic=False), here, BEGIN)[0], Open)
    late = BEGIN + timedelta(hours=25)
    early_half = {
        it.mac for it in told.members if wave_position(it.mac, told.manifest_sha256) < 0.25
    }
    rest = replace(here, online=here.online - early_half)
    assert isinstance(acts(told, rest, BEGIN + timedelta(hours=2))[0], Sleep)
    assert isinstance(acts(told, rest, late)[0], Open)


def test_an_abort_ends_what_has_not_begun_to_send_and_keeps_what_is_done() -> None:
    state = replace(CampaignState(plan(4)), status=Status.ABORTED)
    under_way = Attempt(mac(2), 1, "j2")
    told = next_acts(state, (confirmed(1), under_way), HERE, BEGIN)
    assert Cancel("j2") in told
    (ended,) = next_acts(state, (confirmed(1),), HERE, BEGIN)
    assert isinstance(ended, Finish)
    assert "1 confirmed" in ended.text


def test_who_was_held_back_is_asked_again_and_who_was_cancelled_is_left_out() -> None:
    held = Attempt(mac(1), 1, "j", BEGIN, Result.UNCHANGED, Blame.HELD_BACK, "GATE-008")
    left = Attempt(mac(2), 1, "k", BEGIN, Result.UNCHANGED, Blame.HELD_BACK, "cancelled")
    told = standings(plan(4), (held, left), BEGIN + timedelta(minutes=1))
    assert told[mac(1)].standing is Standing.RESTING
    assert told[mac(2)].standing is Standing.LEFT_OUT
    later = standings(plan(4), (held, left), BEGIN + timedelta(hours=1))
    assert later[mac(1)].standing is Standing.READY


NIGHT = Calendar((Window(time(23), time(5)),))


@pytest.mark.parametrize(
    ("local", "inside"),
    [((22, 59), False), ((23, 0), True), ((0, 0), True), ((4, 59), True), ((5, 0), False)],
)
def test_a_window_is_half_open_and_wraps_midnight(local: tuple[int, int], inside: bool) -> None:
    at = datetime(2026, 11, 22, *local, tzinfo=LONDON)
    assert may_begin(NIGHT, at, LONDON) is inside


def test_past_midnight_a_window_still_belongs_to_the_day_on_which_it_began() -> None:
    friday = Calendar((Window(time(23), time(5), frozenset({4})),))
    saturday_night = datetime(2026, 11, 28, 2, tzinfo=LONDON)
    assert may_begin(friday, saturday_night, LONDON)
    assert not may_begin(friday, saturday_night - timedelta(days=1), LONDON)


def test_a_blackout_date_is_a_local_day() -> None:
    closed = replace(NIGHT, blackout=frozenset({date(2026, 12, 25)}))
    assert not may_begin(closed, datetime(2026, 12, 25, 0, 30, tzinfo=LONDON), LONDON)
    assert may_begin(closed, datetime(2026, 12, 26, 0, 30, tzinfo=LONDON), LONDON)
    eve = datetime(2026, 12, 24, 23, 59, tzinfo=LONDON)
    assert may_begin(closed, eve, LONDON)


def test_the_repeated_hour_is_in_a_window_twice_and_the_skipped_one_never() -> None:
    hour = Calendar((Window(time(1), time(2)),))
    autumn = [datetime(2026, 10, 25, 0, 30, tzinfo=UTC) + timedelta(hours=it) for it in range(3)]
    assert [may_begin(hour, at, LONDON) for at in autumn] == [True, True, False]
    day = datetime(2026, 3, 29, tzinfo=UTC)
    spring = [day + timedelta(minutes=10 * it) for it in range(20)]
    assert not any(may_begin(hour, at, LONDON) for at in spring)
    assert next_opening(hour, day, LONDON) == datetime(2026, 3, 30, 0, tzinfo=UTC)


def test_a_window_that_begins_in_the_skipped_hour_opens_when_that_is_over() -> None:
    told = Calendar((Window(time(1, 30), time(4)),))
    opening = next_opening(told, datetime(2026, 3, 29, tzinfo=UTC), LONDON)
    assert opening == datetime(2026, 3, 29, 1, tzinfo=UTC)


@settings(max_examples=60, deadline=None)
@given(
    begins=st.times(),
    ends=st.times(),
    days=st.frozensets(st.integers(0, 6), min_size=1),
    hours=st.floats(0, 17_000),
)
def test_the_next_opening_is_open_and_nothing_before_it_is(
    begins: time, ends: time, days: frozenset[int], hours: float
) -> None:
    told = Calendar((Window(begins, ends, days),))
    now = BEGIN + timedelta(hours=hours)
    opening = next_opening(told, now, LONDON)
    assert opening is not None
    assert opening >= now
    assert may_begin(told, opening, LONDON)
    steps = int((opening - now) / timedelta(minutes=29))
    for number in range(min(steps, 400)):
        assert not may_begin(told, now + number * timedelta(minutes=29), LONDON)


def test_a_calendar_that_never_opens_has_no_next_opening() -> None:
    days = frozenset(date(2026, 11, 1) + timedelta(days=it) for it in range(90))
    assert next_opening(Calendar(blackout=days), BEGIN, LONDON) is None


def test_outside_of_its_window_nothing_begins_and_the_opening_is_waited_for() -> None:
    (slept,) = acts(plan(4, calendar=NIGHT), HERE, BEGIN)
    assert isinstance(slept, Sleep)
    assert slept.until == datetime(2026, 11, 22, 23, tzinfo=UTC)


@pytest.mark.parametrize(("producing", "begins"), [(True, False), (None, False), (False, True)])
def test_not_while_the_inverter_produces_nor_while_nobody_knows(
    producing: bool | None, begins: bool
) -> None:
    told = plan(4, calendar=Calendar(not_while_producing=True))
    (act,) = acts(told, replace(HERE, producing=producing), BEGIN)
    assert isinstance(act, Open) is begins
