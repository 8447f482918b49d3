"""No clock, ours or Core's, can make an old value look fresh."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.homeassistant.ages import AgeKeeper, Ages, parse
from agent.homeassistant.states import EntityState

X = "sensor.x"


def state(changed: float, arrived_s: float, *, live: bool) -> dict[str, EntityState]:
    return {X: EntityState(X, "1", {}, changed, changed, arrived_s, live)}


def look(keeper: AgeKeeper, sent_s: float, core_now: float, changed: float, report: float) -> None:
    rows = {X: Ages(changed, core_now - changed, report, core_now - report)}
    keeper.looked(sent_s, core_now, rows)


def test_a_value_found_at_the_connect_has_no_age_until_core_tells_it() -> None:
    keeper = AgeKeeper()
    keeper.told(state(1000, 50, live=False), [X])
    assert keeper.times(X) == (None, None)
    assert keeper.unknown([X])
    look(keeper, 51, core_now=1300, changed=1000, report=1298)
    assert keeper.times(X) == (51 - 300, 51 - 2)


def test_a_live_change_is_as_old_as_its_arrival() -> None:
    keeper = AgeKeeper()
    keeper.told(state(1000, 50, live=True), [X])
    assert keeper.times(X) == (50, None)


def test_a_change_that_was_held_up_on_the_way_is_older_than_its_arrival() -> None:
    keeper = AgeKeeper()
    keeper.told(state(1000, 50, live=False), [X])
    look(keeper, 50, core_now=1000, changed=1000, report=1000)
    keeper.told(state(1010, 80, live=True), [X])
    assert keeper.times(X)[0] == pytest.approx(60)


def test_a_report_counts_only_when_its_stamp_moves() -> None:
    keeper = AgeKeeper()
    keeper.told(state(1000, 50, live=False), [X])
    look(keeper, 50, core_now=1000, changed=1000, report=1000)
    look(keeper, 55, core_now=1005, changed=1000, report=1004)
    assert keeper.times(X)[1] == pytest.approx(54)
    look(keeper, 60, core_now=1010, changed=1000, report=1004)
    assert keeper.times(X)[1] == pytest.approx(54)


def test_a_stamp_in_the_future_is_no_proof_of_freshness() -> None:
    """Core's clock was set back by an hour while nobody listened."""
    keeper = AgeKeeper()
    keeper.told(state(4600, 50, live=False), [X])
    look(keeper, 50, core_now=1000, changed=4600, report=4600)
    assert keeper.times(X) == (50 - 3600, 50 - 3600)


def test_a_clock_set_forward_ages_a_report_by_one_look_at_most() -> None:
    keeper = AgeKeeper()
    keeper.told(state(1000, 50, live=False), [X])
    look(keeper, 50, core_now=1000, changed=1000, report=1000)
    look(keeper, 55, core_now=8205, changed=1000, report=1004)
    assert keeper.times(X)[1] == 50


def test_core_before_2024_8_tells_no_reports_but_a_made_answer_counts() -> None:
    keeper = AgeKeeper()
    keeper.told(state(1000, 50, live=False), [X])
    keeper.looked(50, 1000, {X: Ages(1000, 0, None, None)})
    assert keeper.times(X) == (50, None)
    keeper.vouched([X], 70)
    keeper.looked(75, 1025, {X: Ages(1000, 25, None, None)})
    assert keeper.times(X) == (50, 70)


def test_a_reconnect_does_not_rejuvenate_an_unchanged_value() -> None:
    keeper = AgeKeeper()
    keeper.told(state(1000, 50, live=True), [X])
    keeper.told(state(1000, 500, live=False), [X])
    assert keeper.times(X)[0] == 50


def test_the_two_ways_core_writes_one_stamp_are_one_stamp() -> None:
    """2026.11 keeps the float and rounds the datetime; both reach us."""
    keeper = AgeKeeper()
    keeper.told(state(1795290670.9137478, 50, live=False), [X])
    keeper.looked(51, 1795290680.0, {X: Ages(1795290670.913748, 9.1, None, None)})
    assert keeper.times(X)[0] == pytest.approx(51 - 9.1)


@given(
    steps=st.lists(
        st.tuples(st.floats(0.1, 10), st.floats(-7200, 7200), st.booleans(), st.booleans()),
        min_size=1,
        max_size=15,
    ),
    late=st.floats(0, 2),
)
def test_a_clock_that_jumps_never_makes_a_value_younger_than_its_last_report(
    steps: list[tuple[float, float, bool, bool]], late: float
) -> None:
    """Core's clock is set by up to two hours between the looks; the value is judged by ours."""
    keeper = AgeKeeper()
    now_s, wall = 100.0, 1e9
    changed = report = wall
    truly_reported_s = truly_changed_s = now_s
    keeper.told(state(changed, now_s, live=True), [X])
    look(keeper, now_s, wall, changed, report)
    last_look_s = now_s
    for seconds, jump, changes, reports in steps:
        now_s += seconds
        wall += seconds + jump
        if changes:
            changed = report = wall
            truly_changed_s = truly_reported_s = now_s
            keeper.told(state(changed, now_s + late, live=True), [X])
        elif reports:
            report = wall
            truly_reported_s = now_s
        now_s += late
        wall += late
        look(keeper, now_s, wall, changed, report)
        changed_s, reported_s = keeper.times(X)
        assert changed_s is not None
        assert reported_s is not None
        assert changed_s <= truly_changed_s + late + 1e-6
        # At most one look too young, and only in the very look in which a report was seen.
        newest_s = now_s if truly_reported_s > last_look_s else last_look_s
        assert reported_s <= max(newest_s, truly_reported_s + late) + 1e-6
        last_look_s = now_s


def test_the_answer_of_the_template_is_read() -> None:
    now, rows = parse(json.dumps({"now": 1000.5, "rows": {X: [990.0, 10.5, None, None]}}))
    assert (now, rows[X]) == (1000.5, Ages(990.0, 10.5, None, None))


@pytest.mark.parametrize("text", ["", "nope", "[]", '{"now": 1}', '{"now": NaN, "rows": {}}'])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own error is one too
        parse(text)
