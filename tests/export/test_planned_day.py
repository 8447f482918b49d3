"""A day of the simulated house under real plans: made, followed and made anew at each half hour."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.clock import Instant
from agent.export.planner import Plan, make_plan
from agent.export.snapshot import GuardSnapshot
from agent.house.series import Series
from agent.journal import Journal, Sample
from agent.load_learning import LoadLearner
from agent.planning import Planning
from agent.settings import Settings
from agent.simulator.made_up import MadeUp
from tests.export.bench import CONFIG, LONDON, Bench

LOAD_W = 400.0
HALF_HOUR_S = 1800.0
CHOSEN = Settings(
    mode="control",
    enable_auto_discharge=True,
    enable_auto_charge=True,
    export_limit_w=3680,
    target_export_w=3000,
    safety_margin_kwh=0,
    charge_window_start="22:00",
)


class Flat(LoadLearner):
    """A house that needs the same at all times."""

    def expected(self, now: datetime, *_: object) -> Series:
        return super().expected(now, LONDON, [Sample(0, load_w=LOAD_W)])


class House:
    """The bench, seen as the planning task sees the guard."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def now(self) -> Instant:
        return self._bench.now()

    def bare(self) -> GuardSnapshot:
        return self._bench.view()

    def history(self, _: float) -> list[Sample]:
        return []

    def wake(self) -> None:
        self._bench.look()


async def quick(problem: object, running: object) -> Plan:
    return make_plan(problem, running=running)  # type: ignore[arg-type]


@pytest.fixture
async def learner(tmp_path: Path) -> AsyncIterator[LoadLearner]:
    journal = await Journal.open(tmp_path / "journal.sqlite3")
    yield Flat(journal)
    await journal.close()


class PlannedDay:
    """Plant, guard, planning task and one settings object, in virtual time."""

    def __init__(self, learner: LoadLearner, begin_hour: int = 17, **house: float) -> None:
        begin = datetime(2026, 7, 1, begin_hour, tzinfo=LONDON).astimezone(UTC)
        self.bench = Bench(
            replace(CONFIG, charge_power_w=3680),
            begin=begin, load_w=LOAD_W, **{"produced_wh": 9000.0, "soc_percent": 90.0, **house},
        )  # fmt: skip
        self.house = House(self.bench)
        self.sources = MadeUp(begin - timedelta(hours=begin_hour))
        self.planning = Planning(
            lambda: CHOSEN, self.house, lambda: LONDON, self.sources, learner, quick
        )
        self.bench.advise = lambda now: self.planning.advice(Instant(self.bench.now_s, now))
        self.exported: list[tuple[datetime, float]] = []
        self.begun_with_percent: list[float] = []

    def asked(self) -> set[object]:
        """Return who has started anything."""
        events = self.bench.events
        return {each.data.get("by") for each in events if each.kind.startswith("start_")}

    async def pass_by(self, hours: float) -> None:
        for _ in range(round(hours * 3600 / HALF_HOUR_S)):
            await self.planning._turn(self.house)
            self.begun_with_percent.append(self.bench.plant.soc_percent)
            at, before_wh = self.bench.now().local, self.bench.plant.true_exported_wh
            sun = self.sources.known(at).pv.at(at)
            self.bench.plant.pv_override_w = sun.value if sun else 0.0
            self.bench.run(HALF_HOUR_S - (self.bench.now_s - 1000) % HALF_HOUR_S + 3)
            self.exported.append((at, self.bench.plant.true_exported_wh - before_wh))


async def test_an_evening_is_exported_when_the_grid_is_dirtiest(learner: LoadLearner) -> None:
    day = PlannedDay(learner)
    await day.pass_by(3.5)
    by_hour = {hour: sum(wh for at, wh in day.exported if at.hour == hour) for hour in (17, 18, 19)}
    assert by_hour[18] + by_hour[19] > 3000 > by_hour[17]
    assert day.bench.exported_today_wh <= day.bench.produced_today_wh + 10
    below = [
        wh for (_, wh), soc in zip(day.exported, day.begun_with_percent, strict=True) if soc < 20
    ]
    assert sum(below) < 1  # the house itself may go on
    assert day.bench.plant.soc_percent > 18
    assert day.asked() == {"plan"}


async def test_a_night_charges_when_the_grid_is_cleanest(learner: LoadLearner) -> None:
    day = PlannedDay(learner, begin_hour=2, soc_percent=25.0)
    await day.pass_by(2.5)
    assert day.bench.plant.soc_percent > 45
    assert day.bench.exported_today_wh < 10
    assert day.asked() == {"plan"}


async def test_plans_keep_to_an_allowance_that_is_nearly_used(learner: LoadLearner) -> None:
    day = PlannedDay(learner, produced_wh=800.0)
    await day.pass_by(3)
    assert 300 < day.bench.exported_today_wh <= day.bench.produced_today_wh + 10
