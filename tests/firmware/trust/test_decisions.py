"""The decisions alone: what time it is at least, and what that makes of a set."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.firmware.manifest.models import Channel, Halt
from agent.firmware.trust.floor import (
    CLOCK_SLACK,
    Floor,
    channel_floor,
    clock_behind,
    confirmed,
    effective_time,
    read_floor,
    time_floor,
    write_floor,
)
from agent.firmware.trust.models import Freshness, RoleState
from agent.firmware.trust.source import Source
from agent.firmware.trust.verdict import (
    ChannelView,
    Circumstances,
    View,
    channel_knowledge,
    worst,
)
from tests.firmware.repo import BUILT, day

MOMENTS = st.integers(-40_000, 40_000).map(day)
FLOORS = st.builds(Floor, st.none() | MOMENTS, st.dictionaries(st.sampled_from("ab"), MOMENTS))


@given(floor=FLOORS, built=MOMENTS, wall=MOMENTS)
def test_time_never_runs_below_what_is_known(floor: Floor, built: object, wall: object) -> None:
    now = effective_time(floor, built, wall)  # type: ignore[arg-type]
    assert now >= built  # type: ignore[operator]
    assert now >= wall  # type: ignore[operator]
    assert now >= (floor.online or now)
    after = confirmed(floor, now, ["a"])
    assert time_floor(after, built) == now  # type: ignore[arg-type]
    assert channel_floor(after, built, "b") == channel_floor(floor, built, "b")  # type: ignore[arg-type]


def test_a_clock_that_ntp_sets_back_a_little_is_not_behind() -> None:
    floor = Floor(day(5))
    assert not clock_behind(floor, BUILT, day(5) - CLOCK_SLACK)
    assert clock_behind(floor, BUILT, day(5) - CLOCK_SLACK - timedelta(seconds=1))
    assert effective_time(floor, BUILT, day(5) - CLOCK_SLACK) == day(5)


def test_a_floor_is_read_as_it_was_written(tmp_path: Path) -> None:
    floor = confirmed(Floor(), day(3), ["stable"])
    write_floor(tmp_path, floor)
    assert read_floor(tmp_path) == floor


def role(name: str, ends: float) -> RoleState:
    return RoleState(name, 1, day(ends))


@given(
    ends=st.lists(st.integers(0, 100), min_size=5, max_size=5),
    doubt=st.booleans(),
)
def test_fresh_means_that_nothing_has_ended_and_nothing_is_in_doubt(
    ends: list[int], doubt: bool
) -> None:
    *top, own = ends
    names = ("root", "timestamp", "snapshot", "targets")
    channel = ChannelView("stable", role=role("stable", own), channel=Channel({}))
    view = View(
        tuple(role(name, end) for name, end in zip(names, top, strict=True)), (channel,), False
    )
    about = Circumstances(day(50), day(9), ("The clock is wrong.",) if doubt else ())
    known = channel_knowledge(view, channel, about)
    good = min(ends) > 50 and not doubt
    assert known.freshness is (Freshness.FRESH if good else Freshness.STALE)
    assert (known.why == "") is good
    assert known.as_of == (day(50) if good else day(9))


def test_a_brake_that_is_pulled_stays_as_it_is_when_it_expires() -> None:
    pulled = Halt(True, "bad release", frozenset({"a"}))
    channel = ChannelView("stable", "", role("stable", 90), Channel({}), pulled, role("halt", 10))
    view = View((), (channel,), False)
    assert channel_knowledge(view, channel, Circumstances(day(50), day(9))).halt == pulled


def test_the_worst_channel_counts_and_none_is_none() -> None:
    assert worst([]) is Freshness.NONE


@pytest.mark.parametrize("name", ["", "..", "a/b", "Official", "a" * 41])
def test_a_source_whose_name_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a source"):
        Source(name, b"")
