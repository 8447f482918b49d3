"""Slots lie wholly inside or outside of windows and days, by the clock on the site's wall."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.clock import local_day
from agent.export.load_profile import LoadProfile, expected, learn
from agent.export.plan_problem import Slot
from agent.export.plan_slots import DailyWindow, Outlook, slots
from agent.house.series import Series, Stretch, empty, series

LONDON = ZoneInfo("Europe/London")
HALF_HOUR = timedelta(minutes=30)


def flat(value: float, begins: datetime, hours: float = 60.0) -> Series:
    return series("W", "test", [Stretch(begins, begins + timedelta(hours=hours), value)])


def outlook(now: datetime, **windows: DailyWindow) -> Outlook:
    begins = now.astimezone(UTC) - timedelta(hours=1)
    known = [flat(value, begins) for value in (1000, 400, 150, 0.2, 0.1)]
    return Outlook(*known, **windows)


def made(local: str, hours: float = 24, **windows: DailyWindow) -> tuple[Slot, ...]:
    now = datetime.fromisoformat(local).replace(tzinfo=LONDON)
    return slots(outlook(now, **windows), now, LONDON, timedelta(hours=hours))


def marked(found: tuple[Slot, ...], name: str) -> list[str]:
    """Return the local begins of the slots with this permission."""
    return [f"{s.begins.astimezone(LONDON):%H:%M}" for s in found if getattr(s, name)]


def test_d29_a_window_takes_no_slot_before_and_none_after() -> None:
    window = DailyWindow(time(16), time(19))
    found = marked(made("2026-07-01T00:00", discharge_window=window), "may_discharge")
    assert found == ["16:00", "16:30", "17:00", "17:30", "18:00", "18:30"]


def test_d29_a_window_that_begins_within_a_half_hour_cuts_it() -> None:
    window = DailyWindow(time(16, 10), time(16, 50))
    found = made("2026-07-01T00:00", discharge_window=window)
    assert marked(found, "may_discharge") == ["16:10", "16:30"]
    assert sum(slot.hours for slot in found if slot.may_discharge) == pytest.approx(40 / 60)


def test_d30_a_window_may_wrap_midnight() -> None:
    window = DailyWindow(time(22), time(2))
    found = marked(made("2026-07-01T12:00", discharge_window=window), "may_discharge")
    assert found == ["22:00", "22:30", "23:00", "23:30", "00:00", "00:30", "01:00", "01:30"]


def test_d30_a_slot_that_ends_at_midnight_belongs_to_a_window_that_does() -> None:
    window = DailyWindow(time(16), time())
    assert "23:30" in marked(made("2026-07-01T12:00", discharge_window=window), "may_discharge")


def test_d12_a_charge_window_is_in_the_sites_time_in_summer_too() -> None:
    found = marked(made("2026-07-01T00:00", charge_window=DailyWindow(time(), time(6))),
                   "may_charge")  # fmt: skip
    assert found[0] == "00:00"
    assert found[-1] == "05:30"


def test_d13_at_two_in_the_night_the_running_window_is_this_nights() -> None:
    window = DailyWindow(time(23), time(6))
    found = made("2026-07-01T02:00", 24, charge_window=window)
    first = [slot for slot in found if slot.may_charge and slot.begins < found[8].begins]
    assert len(first) == 8
    assert "11:00" not in marked(found, "may_charge")


@pytest.mark.parametrize("at", ["2026-07-01T00:10", "2026-07-01T00:50"])
def test_d14_case_01_just_after_local_midnight_the_whole_new_day_is_today(at: str) -> None:
    """In British summer the old integration saw one hour of the new day until 01:00."""
    found = made(at)
    today = [slot for slot in found if slot.day == date(2026, 7, 1)]
    assert today[-1].ends == local_day(date(2026, 7, 1), LONDON)[1]
    assert len(today) >= 46


@pytest.mark.parametrize(("day", "count"), [("2026-03-29", 46), ("2026-10-25", 50)])
def test_case_02_a_day_of_a_clock_change_has_every_half_hour_once(day: str, count: int) -> None:
    found = [s for s in made(f"{day}T00:00", 30) if s.day == date.fromisoformat(day)]
    assert len(found) == count
    assert all(before.ends == after.begins for before, after in pairwise(found))


def test_case_02_the_repeated_hour_is_in_the_window_both_times() -> None:
    found = made("2026-10-25T00:00", 6, charge_window=DailyWindow(time(1), time(2)))
    assert marked(found, "may_charge") == ["01:00", "01:30", "01:00", "01:30"]


def test_case_06_window_across_midnight_23_to_02() -> None:
    window = DailyWindow(time(23), time(2))
    assert len(marked(made("2026-07-01T12:00", discharge_window=window), "may_discharge")) == 6


def test_case_38_a_forecast_shorter_than_the_day_makes_a_shorter_plan() -> None:
    now = datetime(2026, 7, 1, 12, tzinfo=UTC)
    short = replace(outlook(now), pv=flat(1000, now, 3))
    found = slots(short, now, LONDON)
    assert found[-1].ends == now + timedelta(hours=3)
    assert slots(replace(short, pv=empty("W", "x", "none")), now, LONDON) == ()


def test_case_38_the_tariffs_own_slots_are_kept() -> None:
    now = datetime(2026, 7, 1, 12, tzinfo=UTC)
    quarter = timedelta(minutes=15)
    prices = [Stretch(now + n * quarter, now + (n + 1) * quarter, n / 10) for n in range(8)]
    found = slots(replace(outlook(now), buy=series("GBP/kWh", "x", prices)), now, LONDON)
    assert [slot.buy_per_kwh for slot in found[:8]] == [n / 10 for n in range(8)]
    assert found[8].buy_per_kwh is None


def test_case_20_a_missing_carbon_intensity_is_none_and_not_zero() -> None:
    now = datetime(2026, 7, 1, 12, tzinfo=UTC)
    found = slots(replace(outlook(now), carbon=empty("g", "x", "none")), now, LONDON)
    assert {slot.carbon_g_per_kwh for slot in found} == {None}


def test_a_cautious_outlook_counts_on_the_pessimistic_sun_and_expects_the_usual_one() -> None:
    now = datetime(2026, 7, 1, 12, tzinfo=UTC)
    pv = series("W", "x", [Stretch(now, now + HALF_HOUR, 1000, low=400)])
    (bold,) = slots(replace(outlook(now), pv=pv), now, LONDON)
    (careful,) = slots(replace(outlook(now), pv=pv, cautious=True), now, LONDON)
    assert (bold.pv_w, bold.counted_pv_w) == (1000, 1000)
    assert (careful.pv_w, careful.counted_pv_w) == (1000, 400)


def test_the_first_slot_is_what_is_left_of_the_running_half_hour() -> None:
    found = made("2026-07-01T12:10")
    assert found[0].hours == pytest.approx(20 / 60)


@settings(max_examples=60, deadline=None)
@given(
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - made aware below
    edges=st.lists(st.times(), min_size=4, max_size=4),
)
def test_never_a_slot_across_midnight_an_edge_or_a_gap(now: datetime, edges: list[time]) -> None:
    begin, end, charge, full = (edge.replace(second=0, microsecond=0) for edge in edges)
    aware = now.replace(tzinfo=UTC)
    windows = {
        "discharge_window": DailyWindow(begin, end),
        "charge_window": DailyWindow(charge, full),
    }
    found = slots(outlook(aware, **windows), aware, LONDON)
    assert all(before.ends == after.begins for before, after in pairwise(found))
    for slot in found:
        last = (slot.ends - timedelta(microseconds=1)).astimezone(LONDON)
        assert slot.begins.astimezone(LONDON).date() == last.date() == slot.day
        assert slot.hours <= 0.5
        if last.utcoffset() == slot.begins.astimezone(LONDON).utcoffset():
            assert slot.may_discharge is DailyWindow(begin, end).contains(last.time())
            assert slot.may_charge is DailyWindow(charge, full).contains(last.time())


def test_a_load_profile_learns_each_half_hour_by_the_wall_clock() -> None:
    evening = datetime(2026, 7, 1, 18, tzinfo=LONDON)
    profile = learn([(evening + timedelta(days=n), 1000.0) for n in range(3)], LONDON)
    assert profile.usual_w[36] == 1000
    assert sum(each is not None for each in profile.usual_w) == 1
    nights = learn([(evening, 1000.0), (evening - timedelta(hours=12), 200.0)], LONDON)
    now = evening - timedelta(hours=1)
    found = expected(nights, now, now + timedelta(hours=4), LONDON, None)
    assert found.at(evening.astimezone(UTC)).value == 1000  # type: ignore[union-attr]
    assert found.at(now.astimezone(UTC)).value == 600  # type: ignore[union-attr]


def test_without_any_load_seen_there_is_no_forecast_of_it() -> None:
    now = datetime(2026, 7, 1, tzinfo=UTC)
    assert "no load was seen" in expected(LoadProfile(), now, now + HALF_HOUR, LONDON, None).reason
    assert expected(LoadProfile(), now, now + HALF_HOUR, LONDON, 350.0)
    with pytest.raises(ValueError, match="half hour 48"):
        LoadProfile().learned(48, 1.0)
