"""
Time and day: cases 1 to 6 of control.md, where the guard itself has to be right.

What the planner owes them is in `test_plan_slots.py`; `docs/cases.md` has the whole table.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from agent.clock import Instant
from agent.export.allowance import AllowanceRule
from agent.export.plan_slots import slots
from agent.export.states import Look
from agent.export.turn import Turn
from tests.export.bench import CONFIG, LONDON, Bench
from tests.export.test_plan_slots import outlook

METER_WH = 10.0
TOLERANT = replace(CONFIG, allowance=AllowanceRule(safety_margin_wh=0, tolerance_wh=300))
"""A contract that grants 300 Wh each day: only the day can forbid a second helping."""


def greedy(bench: Bench, seconds: int) -> None:
    """Ask for a discharge each minute, as an automation would that never learns."""
    for _ in range(seconds // 60):
        bench.start()
        bench.run(60)


def test_case_01_at_half_past_eleven_utc_in_summer_ledger_and_plan_have_the_same_new_day() -> None:
    """Case 1: 23:30 UTC is 00:30 in London; the old plan looked for slots of yesterday."""
    begin = datetime(2026, 7, 1, 22, 50, tzinfo=UTC)
    bench = Bench(begin=begin, produced_wh=9000)
    assert bench.view().energy.day == "2026-07-01"
    greedy(bench, 50 * 60)
    now = bench.now().local.astimezone(UTC)
    assert (now.day, now.hour) == (1, 23)
    assert bench.view().energy.day == "2026-07-02"
    assert bench.exported_today_wh < METER_WH, "yesterday's sun was exported after midnight"
    assert slots(outlook(now), now, LONDON)[0].day == bench.state.ledger.day


def test_case_02_the_repeated_hour_grants_nothing_again() -> None:
    """Case 2: on 25 October 01:00 to 02:00 comes twice in London."""
    bench = Bench(TOLERANT, begin=datetime(2026, 10, 25, 0, 40, tzinfo=UTC), produced_wh=0)
    seen = set()
    for _ in range(85):
        greedy(bench, 60)
        seen.add((bench.now().local.hour, bench.now().local.fold))
        if len(seen) == 2:
            bench.restart(bench.kill())
    assert {(1, 0), (1, 1), (2, 0)} <= seen
    assert 200 < bench.exported_today_wh <= 300 + METER_WH


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 22.5), ("2026-10-25", 24.5)], ids=["23 hours", "25 hours"]
)
def test_case_02_a_day_of_a_clock_change_ends_once_and_at_its_midnight(
    day: str, hours: float
) -> None:
    early = datetime.fromisoformat(f"{day}T00:30").replace(tzinfo=LONDON)
    bench = Bench(begin=early.astimezone(UTC))
    look = Look(Instant(1.0, early), bench.sample())
    assert Turn(look, CONFIG, bench.state).day_left_s() == hours * 3600
    late = datetime.fromisoformat(f"{day}T23:58").replace(tzinfo=LONDON)
    bench = Bench(begin=late.astimezone(UTC))
    bench.run(180)
    assert bench.state.ledger.day == date.fromisoformat(day) + timedelta(days=1)
    assert bench.kinds().count("new_day") == 1


class InvertersOwnDay(Bench):
    """A house whose inverter begins its day by a clock of its own."""

    def __init__(self, ahead_min: int, names: tuple[str, ...], **house: Any) -> None:
        self.ahead = timedelta(minutes=ahead_min)
        self.names = names
        self.shown_day: date | None = None
        self.shown_base: dict[str, float] = {}
        super().__init__(**house)

    def _raw(self, name: str) -> float:
        if name not in self.names:
            return super()._raw(name)
        plant = self.plant
        total_wh = getattr(plant, f"true_{name}")
        day = (self.now().local + self.ahead).date()
        if self.shown_day is None:
            self.shown_day, self.shown_base = day, dict(self.base)
        if day != self.shown_day:
            self.shown_day = day
            self.shown_base = {
                "exported_wh": plant.true_exported_wh,
                "produced_wh": plant.true_produced_wh,
            }
        step_wh = 10 if name == "exported_wh" else 100
        return float((total_wh - self.shown_base[name]) // step_wh * step_wh)


@pytest.mark.parametrize(
    ("ahead_min", "begin", "names"),
    [
        (60, "22:50", ("exported_wh", "produced_wh")),
        (60, "22:50", ("exported_wh",)),
        (10, "23:40", ("exported_wh", "produced_wh")),
        (-60, "23:50", ("exported_wh", "produced_wh")),
    ],
)
def test_case_03_a_counter_that_resets_at_the_inverters_midnight_grants_nothing(
    ahead_min: int, begin: str, names: tuple[str, ...]
) -> None:
    """Case 3: "exported today" falls to 0 at 23:00; the old integration then had 12 kWh more."""
    local = datetime.fromisoformat(f"2026-07-01T{begin}").replace(tzinfo=LONDON)
    bench = InvertersOwnDay(
        ahead_min, names, begin=local.astimezone(UTC), produced_wh=9000, exported_wh=8700
    )
    while bench.now().local.day == 1:
        assert bench.exported_today_wh <= 9000 + METER_WH
        greedy(bench, 60)
    greedy(bench, 20 * 60 + max(0, -ahead_min) * 60)
    assert bench.view().energy.day == "2026-07-02"
    assert bench.exported_today_wh <= METER_WH


def test_case_04_what_is_not_verified_at_midnight_is_charged_to_both_days() -> None:
    """Case 4: the counter stands still over midnight while a lease runs."""
    bench = Bench(TOLERANT, begin=datetime(2026, 7, 1, 22, 55, tzinfo=UTC), produced_wh=9000)
    bench.start()
    bench.run_until(lambda: bench.now().local.strftime("%H:%M:%S") == "23:59:40", 600)
    assert bench.dispatching
    bench.frozen.add("exported_wh")
    before_wh = bench.state.ledger.unverified_wh
    assert before_wh > 0
    bench.run(25)
    assert bench.state.ledger.day == date(2026, 7, 2)
    assert bench.state.ledger.exported_upper_wh(METER_WH) >= before_wh + METER_WH


@pytest.mark.parametrize("jump_h", [2, -2])
def test_case_05_a_wall_clock_that_jumps_neither_lengthens_a_lease_nor_hides_it(
    jump_h: int,
) -> None:
    """Case 5: leases, ages and pauses are counted on the clock that never jumps."""
    bench = Bench(produced_wh=9000)
    bench.start()
    bench.run(60)
    bench.begin += timedelta(hours=jump_h)
    assert bench.run_until(lambda: not bench.dispatching, 60) <= 30
    assert "clock_jumped" in {reason.code for reason in bench.view().problems}
    bench.run_until(lambda: bench.dispatching, 400)
    assert max(block.duration_s for _, block in bench.writes) <= CONFIG.path.lease_s
    assert bench.view().energy.day == "2026-07-01"


def test_case_05_a_clock_set_forward_over_midnight_and_back_grants_no_second_day() -> None:
    """Case 5: the day may only advance after confirmation."""
    bench = Bench(TOLERANT, begin=datetime(2026, 7, 1, 20, 30, tzinfo=UTC), produced_wh=0)
    greedy(bench, 20 * 60)
    assert 200 < bench.exported_today_wh <= 300 + METER_WH
    bench.begin += timedelta(hours=3)
    greedy(bench, 4 * 60)
    bench.begin -= timedelta(hours=3)
    greedy(bench, 20 * 60)
    assert bench.now().local.date() == date(2026, 7, 1)
    assert bench.exported_today_wh <= 300 + METER_WH


def test_case_05_a_day_that_was_slept_through_begins_once_it_is_sure() -> None:
    """Case 5: a machine that was suspended over midnight wakes up with a jump that is true."""
    bench = Bench(begin=datetime(2026, 7, 1, 21, 30, tzinfo=UTC), produced_wh=9000)
    bench.begin += timedelta(hours=3)
    bench.run(20 * 60)
    assert bench.view().energy.day == "2026-07-02"
    assert not bench.view().problems
