"""The report says what was recorded, names breaches with their cause, and guesses nothing."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from agent.compliance import MOST_BREACHES, PATH_S, DayReport, Tally
from agent.journal import Event, Sample

LONDON = ZoneInfo("Europe/London")
DAY = date(2026, 6, 21)
MIDNIGHT = datetime(2026, 6, 21, tzinfo=LONDON)
LIMIT_W = 3680.0


def at(hour: float) -> float:
    return (MIDNIGHT + timedelta(hours=hour)).timestamp()


def exported(
    begin_s: float, seconds: float, export_w: float | None, **more: float | None
) -> list[Sample]:
    grid_w = None if export_w is None else -export_w
    told: dict[str, Any] = {"limit_w": LIMIT_W, **more}
    return [
        Sample(begin_s + step * 5.0, grid_w=grid_w, **told) for step in range(int(seconds / 5) + 1)
    ]


def event(kind: str, hour: float, **data: Any) -> Event:
    return Event(1, MIDNIGHT + timedelta(hours=hour), kind, data)


def reported(samples: list[Sample], *events: Event, days: int = 1) -> list[DayReport]:
    tally = Tally([DAY + timedelta(days=day) for day in range(days)], LONDON)
    tally.samples(samples)
    for each in events:
        tally.event(each)
    return tally.reports()


def test_a_day_without_a_record_is_told_as_unknown_and_not_as_good() -> None:
    (day,) = reported([])
    assert day.recorded_s == 0
    assert day.limit_w is day.margin_w is day.margin_wh is day.exported_wh is None
    assert day.breaches == []


def test_limit_and_margins_are_those_of_the_record() -> None:
    (day,) = reported(
        exported(at(12), 600, 3000, exported_wh=4000, allowance_wh=9000)
        + exported(at(13), 600, 3500, exported_wh=4600, allowance_wh=9500)
        + exported(at(14), 600, 0, exported_wh=5100, allowance_wh=9300)
    )
    assert (day.limit_w, day.most_export_w, day.margin_w) == (LIMIT_W, 3500, 180)
    assert (day.exported_wh, day.allowance_wh, day.margin_wh) == (5100, 9300, 4200)
    assert day.recorded_s == 1800
    assert day.over_limit_s == 0


def test_what_lies_above_the_limit_for_long_is_a_breach_with_its_cause() -> None:
    long_s = PATH_S + 5
    (day,) = reported(
        exported(at(10), PATH_S, 4000)  # the path may need so long
        + exported(at(11), 5, 3000)
        + exported(at(12), long_s, 4100, commanded_w=500.0)
        + exported(at(12.5), 5, 3000)
        + exported(at(13), long_s, 4200)
        + exported(at(14), 5, 3000)
        + exported(at(15), long_s, LIMIT_W + 40)  # the meter's noise
    )
    told = [(it.at.hour, it.of, it.cause, it.seconds, it.most_w) for it in day.breaches]
    assert told == [(12, "power", "dispatch", long_s, 4100), (13, "power", "sun", long_s, 4200)]
    assert day.over_limit_s == PATH_S + 2 * long_s
    assert day.margin_w == LIMIT_W - 4200


def test_a_gap_ends_a_stretch_because_nobody_knows_what_was_in_it() -> None:
    (day,) = reported(exported(at(10), 50, 4000) + exported(at(10.05), 50, 4000))
    assert day.breaches == []
    assert day.recorded_s == 100
    (day,) = reported(
        [*exported(at(10), 50, 4000), Sample(at(10) + 55), *exported(at(10) + 60, 50, 4000)]
    )
    assert day.breaches == []


def test_days_are_the_sites_also_when_clocks_change() -> None:
    autumn = datetime(2026, 10, 25, tzinfo=LONDON)
    tally = Tally([autumn.date(), autumn.date() + timedelta(days=1)], LONDON)
    tally.samples(exported(autumn.timestamp() + 24.5 * 3600, 10, 100))  # 25 hours long
    tally.samples(exported(autumn.timestamp() + 25 * 3600, 10, 200))
    assert [day.most_export_w for day in tally.reports()] == [100, 200]


def test_operations_stops_and_faults_are_counted_by_their_cause() -> None:
    (day, next_day) = reported(
        [],
        event("discharge_started", 17),
        event("discharge_started", 18),
        event("charge_started", 2),
        event("stop", 17.5, reason="headroom", by="guard"),
        event("stop", 18.5, reason="over_export", by="guard", text="5.20 kWh were exported."),
        event("stop_verified", 18.6, reason="over_export"),
        event("input_lost", 9, code="stale"),
        event("breaker_opened", 24.5),
        event("renewal", 18),
        event("discharge_started", -1),
        days=2,
    )
    assert day.operations == {"discharge_started": 2, "charge_started": 1}
    assert day.stops == {"headroom": 1, "over_export": 1}
    assert day.stops_verified == 1
    assert day.faults == {"input_lost: stale": 1}
    assert next_day.faults == {"breaker_opened": 1}
    (breach,) = day.breaches
    assert (breach.of, breach.cause, breach.text) == (
        "energy", "over_export", "5.20 kWh were exported.",
    )  # fmt: skip


def test_a_day_full_of_breaches_stays_readable_and_tells_their_number() -> None:
    broken = [event("stop", hour / 10, reason="over_export") for hour in range(MOST_BREACHES + 7)]
    (day,) = reported([], *broken)
    assert (len(day.breaches), day.breaches_left_out) == (MOST_BREACHES, 7)
