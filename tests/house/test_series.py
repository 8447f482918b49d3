"""What is not known is never zero, and a day is as long as the site's clock makes it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import local_day
from agent.house.series import Stretch, empty, series

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
LONDON = ZoneInfo("Europe/London")


def stretch(number: int, value: float, length: int = 1) -> Stretch:
    begins = NOON + number * HALF_HOUR
    return Stretch(begins, begins + length * HALF_HOUR, value)


def test_a_stretch_ends_just_before_its_end() -> None:
    made = series("W", "test", [stretch(0, 100), stretch(1, 200)])
    assert made.at(NOON + HALF_HOUR).value == 200  # type: ignore[union-attr]
    assert made.at(NOON + 2 * HALF_HOUR) is None
    assert made.at(NOON - timedelta(seconds=1)) is None


def test_a_gap_makes_the_average_unknown() -> None:
    made = series("W", "test", [stretch(0, 100), stretch(2, 100)])
    assert made.mean(NOON, NOON + HALF_HOUR)
    assert made.mean(NOON, NOON + 3 * HALF_HOUR) is None
    assert made.energy_wh(NOON + HALF_HOUR, NOON + 2 * HALF_HOUR) is None


def test_energy_is_power_over_time() -> None:
    made = series("W", "test", [stretch(0, 1000), stretch(1, 3000)])
    assert made.energy_wh(NOON, NOON + 2 * HALF_HOUR) == 2000


def test_a_time_that_runs_backwards_is_an_error() -> None:
    with pytest.raises(ValueError, match="no time from"):
        empty("W", "test", "none").mean(NOON, NOON)


@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2026, 3, 29), 23), (date(2026, 6, 1), 24), (date(2026, 10, 25), 25)],
)
def test_case_02_a_local_day_has_23_24_or_25_hours(day: date, hours: int) -> None:
    begins, ends = local_day(day, LONDON)
    assert ends - begins == timedelta(hours=hours)
    assert local_day(day + timedelta(days=1), LONDON)[0] == ends


def test_prices_not_yet_published_are_taken_to_be_like_the_day_before() -> None:
    made = series("GBP/kWh", "test", [stretch(number, number) for number in range(48)])
    longer = made.repeated(NOON + timedelta(hours=36))
    assert longer.ends == NOON + timedelta(hours=36)
    assert longer.at(NOON + timedelta(hours=25)).value == 2  # type: ignore[union-attr]
    assert made.stretches == longer.stretches[:48]


def test_a_second_series_fills_only_what_the_first_does_not_know() -> None:
    first = series("W", "one", [stretch(1, 10)])
    both = first.then(series("W", "two", [stretch(0, 20, length=3)]))
    assert [each.value for each in both.stretches] == [20, 10, 20]


@given(
    st.lists(
        st.tuples(
            st.integers(-50, 50),
            st.integers(-2, 6),
            st.one_of(st.floats(-10, 10), st.just(float("nan")), st.just(float("inf"))),
        )
    )
)
def test_case_38_never_an_overlap_whatever_came(rows: list[tuple[int, int, float]]) -> None:
    """Duplicate, late, overlapping and empty rows in any order."""
    made = series("W", "test", [stretch(number, value, length) for number, length, value in rows])
    for before, after in zip(made.stretches, made.stretches[1:], strict=False):
        assert before.ends <= after.begins
    assert all(each.begins < each.ends for each in made.stretches)
    assert bool(made) or made.reason
    for each in made.stretches:
        assert made.at(each.begins) is each
        assert made.mean(each.begins, each.ends).value == pytest.approx(each.value)  # type: ignore[union-attr]
