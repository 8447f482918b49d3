"""Which of two paths is used, and when it is changed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.export.failover import BACK_AFTER_S, LEAVE_AFTER_S, THERE_FOR_S, Ways, there, watched
from agent.house.readings import missing
from tests.export.bench import Bench

WAYS = Ways(("bridge", "ha_register"), "bridge")


def after(
    ways: Ways, seconds: float, *, up: bool, other: bool, busy: bool = False, from_s: float = 0.0
) -> Ways:
    now_s = from_s
    while now_s <= from_s + seconds:
        ways = watched(ways, now_s, up=up, other_up=other, busy=busy)
        now_s += 2.0
    return ways


def test_a_path_that_is_away_for_a_minute_is_left_for_one_that_is_there() -> None:
    assert after(WAYS, LEAVE_AFTER_S - 2, up=False, other=True).in_use == "bridge"
    assert after(WAYS, LEAVE_AFTER_S, up=False, other=True, busy=True).in_use == "ha_register"


def test_a_short_absence_changes_nothing() -> None:
    ways = WAYS
    for begin_s in range(0, 600, 60):
        ways = after(ways, 50, up=False, other=True, from_s=begin_s)
        ways = after(ways, 4, up=True, other=True, from_s=begin_s + 54)
    assert ways.in_use == "bridge"


def test_nothing_is_left_for_a_path_that_is_away_too_or_has_just_come() -> None:
    ways = after(WAYS, 600, up=False, other=False)
    assert ways.in_use == "bridge"
    ways = after(ways, THERE_FOR_S - 2, up=False, other=True, from_s=602)
    assert ways.in_use == "bridge"
    assert after(ways, 4, up=False, other=True, from_s=612).in_use == "ha_register"


def test_the_wanted_path_is_taken_again_when_it_has_been_back_and_nothing_runs() -> None:
    away = Ways(WAYS.paths, "ha_register")
    assert away.problems()[0].code == "path_fallback"
    assert after(away, BACK_AFTER_S - 4, up=True, other=True).in_use == "ha_register"
    assert after(away, 2 * BACK_AFTER_S, up=True, other=True, busy=True).in_use == "ha_register"
    back = after(away, BACK_AFTER_S + 2, up=True, other=True)
    assert back.in_use == "bridge"
    assert back.problems() == ()


def test_one_path_alone_is_never_left() -> None:
    alone = Ways(("bridge",), "bridge")
    assert after(alone, 3600, up=False, other=True) == alone


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=400))
def test_it_never_changes_oftener_than_once_a_minute_both_ways(
    looks: list[tuple[bool, bool, bool]],
) -> None:
    ways, changes = WAYS, []
    for number, (up, other_up, busy) in enumerate(looks):
        before = ways
        ways = watched(ways, number * 5.0, up=up, other_up=other_up, busy=busy)
        if ways.in_use != before.in_use:
            changes.append(number * 5.0)
    assert all(b - a >= LEAVE_AFTER_S for a, b in pairwise(changes))


def test_a_path_is_there_when_powers_and_registers_are_fresh() -> None:
    bench = Bench()
    bench.run(20)
    sample = bench.sample()
    assert there(sample, bench.now_s)
    assert not there(sample, bench.now_s + 70)
    assert not there(replace(sample, linked=False), bench.now_s)
    assert not there(replace(sample, grid_w=missing("grid")), bench.now_s)
