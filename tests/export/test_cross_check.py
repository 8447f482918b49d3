"""Two sources of one house: what is a difference of time, and what is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.export.cross_check import TOLD_AFTER_S, Watch, compared, disagreements
from agent.house.readings import HouseSample, Quality, Reading
from tests.export.bench import Bench

Shows = Callable[[float], float]
LATE_S = 30.0


def sample(bench: Bench, name: str, value: float, at_s: float) -> HouseSample:
    reading = Reading(value, Quality.GOOD, f"{name} of a source", at_s, at_s)
    return replace(bench.sample(), **{name: reading})


def compare(name: str, own: Shows, other: Shows, seconds: float = 600) -> tuple[Watch, float]:
    """Let both show a value; the other one comes half a minute late."""
    bench, watch = Bench(), {}
    bench.run(10)
    now_s = 0.0
    while now_s < seconds:
        now_s += 2.0
        mine = sample(bench, name, own(now_s), now_s)
        late_s = now_s - LATE_S
        theirs = sample(bench, name, other(late_s), late_s)
        watch = compared(watch, mine, theirs, now_s)
    return {name: watch[name]}, now_s


def load(at_s: float) -> float:
    """A kettle every three minutes."""
    return 2400.0 if at_s % 180 < 60 else 300.0


@pytest.mark.parametrize(
    ("name", "own", "other"),
    [
        ("grid_w", load, load),
        ("grid_w", load, lambda s: load(s) * 1.03 + 20),
        ("battery_w", lambda s: s * 4, lambda s: s * 4),
        ("soc_percent", lambda _: 71.4, lambda _: 73.0),
    ],
)
def test_two_that_differ_by_time_and_by_what_meters_are_off_agree(
    name: str, own: Shows, other: Shows
) -> None:
    watch, now_s = compare(name, own, other)
    assert disagreements(watch, now_s) == ()


@pytest.mark.parametrize(
    ("name", "own", "other", "words"),
    [
        ("grid_w", load, lambda s: -load(s), "Grid power: .* shows .* W, and .* W"),
        ("grid_w", lambda _: 1500.0, lambda _: 1.5, "Grid power"),
        ("battery_w", lambda _: 0.0, lambda _: 600.0, "Battery power"),
        ("soc_percent", lambda _: 71.4, lambda _: 38.0, "State of charge: .* 71 %, .* 38 %"),
    ],
)
def test_a_sign_a_unit_or_another_house_is_told_after_two_minutes(
    name: str, own: Shows, other: Shows, words: str
) -> None:
    watch, now_s = compare(name, own, other)
    (found,) = disagreements(watch, now_s)
    assert found.code == "sources_disagree"
    assert re.search(words, found.text)
    young, at_s = compare(name, own, other, seconds=TOLD_AFTER_S)
    assert disagreements(young, at_s) == ()


def test_one_that_is_silent_is_not_compared() -> None:
    watch, now_s = compare("battery_w", lambda _: 0.0, lambda _: 600.0)
    bench = Bench()
    mine = sample(bench, "battery_w", 0.0, now_s + 2)
    gone = replace(mine, battery_w=Reading(None, Quality.UNAVAILABLE, "theirs", detail="gone"))
    assert disagreements(compared(watch, mine, gone, now_s + 2), now_s + 2) == ()
