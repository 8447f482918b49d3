"""The planning task: it plans in time, tells everybody, and its failures stay its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent import planning as planning_module
from agent.clock import Instant
from agent.export.advice import Advice
from agent.export.commitments import Purpose
from agent.export.plan_problem import Problem, allowance_starts_wh
from agent.export.plan_rollout import Action, Proposal
from agent.export.planner import Method, Plan, make_plan, no_plan
from agent.export.snapshot import GuardSnapshot
from agent.journal import Journal, Sample
from agent.load_learning import LoadLearner
from agent.plan_inputs import Known
from agent.planning import Planning, in_worker
from agent.settings import Settings
from agent.simulator.made_up import MadeUp
from tests.surface.desks import QUIET

LONDON = ZoneInfo("Europe/London")
BEGIN = datetime(2026, 7, 1, 16, 40, tzinfo=UTC)
CHOSEN = Settings(
    enable_ci_planning=True,
    enable_charge_planning=True,
    enable_auto_discharge=True,
    export_limit_w=3680,
    target_export_w=3000,
)


class House:
    """A house that stands still, seen through the guard's picture."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.picture = QUIET
        self.wakes = 0
        self.woken = asyncio.Event()

    def bare(self) -> GuardSnapshot:
        return replace(self.picture, at=self.clock.now().local)

    def history(self, seconds: float) -> list[Sample]:
        assert seconds > 0
        return [Sample(self.clock.now().local.timestamp(), load_w=400.0)]

    def wake(self) -> None:
        self.wakes += 1
        self.woken.set()


class HandClock:
    def __init__(self) -> None:
        self.at = BEGIN

    def now(self) -> Instant:
        return Instant((self.at - BEGIN).total_seconds(), self.at.astimezone(LONDON))


class Made(MadeUp):
    """Made-up forecasts that can be broken."""

    def __init__(self) -> None:
        super().__init__(BEGIN - timedelta(hours=17, minutes=40))
        self.error: Exception | None = None
        self.changed: Callable[[], None] = lambda: None

    def known(self, now: datetime) -> Known:
        if self.error is not None:
            raise self.error
        return super().known(now)

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        self.changed = changed
        return lambda: None


async def quick(problem: Problem, running: Proposal | None) -> Plan:
    return make_plan(problem, running=running)


class Scene:
    """A planning task with everything around it in the test's hand."""

    def __init__(self, journal: Journal, make: Any) -> None:
        self.settings = CHOSEN
        self.clock = HandClock()
        self.house = House(self.clock)
        self.sources = Made()
        self.asked: list[Problem] = []

        async def noted(problem: Problem, running: Proposal | None) -> Plan:
            self.asked.append(problem)
            found: Plan = await make(problem, running)
            return found

        self.planning = Planning(
            lambda: self.settings,
            self.clock,
            lambda: LONDON,
            self.sources,
            LoadLearner(journal),
            noted,
        )

    def shown(self) -> GuardSnapshot:
        return self.planning.adorn(self.house.bare())

    async def told(self) -> None:
        async with asyncio.timeout(30):
            await self.house.woken.wait()
        self.house.woken.clear()

    def advice(self) -> Advice | None:
        return self.planning.advice(self.clock.now())

    async def later(self, **by: float) -> None:
        """Let time pass, and whatever is due be done."""
        self.clock.at += timedelta(**by)
        self.planning._wake.set()
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = await Journal.open(tmp_path / "journal.sqlite3")
    yield journal
    await journal.close()


@asynccontextmanager
async def running(journal: Journal, make: Any = quick, **changes: Any) -> AsyncIterator[Scene]:
    scene = Scene(journal, make)
    scene.settings = scene.settings.model_copy(update=changes)
    task = asyncio.create_task(scene.planning.run(scene.house))
    try:
        yield scene
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning_module, "START_S", 0.0)


async def test_a_plan_is_made_shown_and_told_to_the_guard(journal: Journal) -> None:
    async with running(journal) as scene:
        assert scene.advice() is None
        await scene.told()
        shown = scene.shown()
        assert shown.plan is not None
        assert shown.outlook is not None
        assert shown.plan.today
        assert shown.outlook.windows[0].why.text
        assert {each.name for each in shown.outlook.sources} == {
            "pv", "load", "carbon", "buy", "sell",
        }  # fmt: skip
        first = shown.plan.today[0]
        scene.clock.at = first.begins + timedelta(minutes=5)
        assert scene.house.wakes == 1
        scene.planning.calculate()
        await scene.told()
        advice = scene.advice()
        assert advice is not None
        assert advice.purpose is Purpose.DISCHARGE
        assert 0 < advice.power_w <= 3000


async def test_the_running_slots_figures_count_from_its_begin(journal: Journal) -> None:
    async with running(journal) as scene:
        await scene.told()
        plan = scene.planning._made
        assert plan is not None
        step = next(s for s in plan.standing.plan.steps if s.action is Action.DISCHARGE)
        scene.clock.at = step.slot.begins + timedelta(seconds=1)
        shown = scene.shown().plan
        assert shown is not None
        assert shown.slot is not None
        assert shown.slot.exported_wh == 0
        assert shown.slot.target_wh == pytest.approx(step.exported_wh)
        energy = replace(QUIET.energy, exported_wh=QUIET.energy.exported_wh + 120)
        scene.house.picture = replace(QUIET, energy=energy)
        scene.clock.at += timedelta(seconds=600)
        later = scene.shown().plan
        assert later is not None
        assert later.slot is not None
        assert later.slot.exported_wh == 120
        assert later.slot.remaining_s < shown.slot.remaining_s


async def test_each_slot_begins_with_a_new_plan_and_a_restless_forecast_does_not(
    journal: Journal,
) -> None:
    async with running(journal) as scene:
        await scene.told()
        for _ in range(5):
            scene.sources.changed()
            await scene.later(seconds=30)
        assert len(scene.asked) == 1
        await scene.later(seconds=200)
        await scene.told()
        assert len(scene.asked) == 2
        await scene.later(minutes=14, seconds=20)
        await scene.told()
        assert [problem.slots[0].begins.minute for problem in scene.asked] == [40, 45, 0]


async def test_a_plan_knows_what_has_been_carried_out_until_now(journal: Journal) -> None:
    async with running(journal) as scene:
        await scene.told()
        assert scene.asked[0].goes_on == ""
        assert scene.planning._made is not None
        plan = scene.planning._made.standing.plan
        selling = next(w for w in plan.windows if w.action is Action.DISCHARGE)
        scene.clock.at = selling.begins + timedelta(minutes=5)
        scene.planning.calculate()
        await scene.told()
        assert scene.asked[1].goes_on == "discharge"


async def test_nothing_is_planned_or_shown_while_every_switch_is_off(journal: Journal) -> None:
    off = dict.fromkeys(
        ("enable_ci_planning", "enable_charge_planning", "enable_auto_discharge"), False
    )
    async with running(journal) as scene:
        await scene.told()
        scene.settings = scene.settings.model_copy(update=off)
        scene.planning.settings_changed(scene.settings)
        await scene.told()
        assert scene.shown().plan is None
        assert scene.advice() == Advice()


async def test_a_bad_forecast_ends_the_plan_and_says_why(journal: Journal) -> None:
    async with running(journal) as scene:
        await scene.told()
        scene.sources.error = RuntimeError("a payload from hell")
        scene.planning.calculate()
        await scene.later(seconds=6)
        await scene.told()
        shown = scene.shown().plan
        assert shown is not None
        assert shown.reason is not None
        assert shown.reason.code == "plan_failed"
        assert scene.advice() == Advice()
        scene.sources.error = None
        await scene.later(seconds=61)
        await scene.told()
        assert scene.shown().plan.today  # type: ignore[union-attr]


async def test_without_a_charge_there_is_a_reason_and_no_worker(journal: Journal) -> None:
    async with running(journal) as scene:
        scene.house.picture = replace(QUIET, soc_percent=None)
        await scene.told()
        shown = scene.shown().plan
        assert shown is not None
        assert shown.reason is not None
        assert shown.reason.code == "soc_unknown"
        assert not scene.asked


@pytest.mark.parametrize("code", ["planner_not_started", "planner_too_slow", "planner_crashed"])
async def test_a_worker_that_fails_leaves_the_rule_of_thumb(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    async def broken(*_: object) -> Plan:
        return no_plan(code, "The planner is gone.")

    monkeypatch.setattr(planning_module, "plan_in_worker", broken)
    async with running(journal, in_worker) as scene:
        await scene.told()
        outlook = scene.shown().outlook
        assert outlook is not None
        assert outlook.method == Method.GREEDY
        assert "The planner is gone" in outlook.reason.text


async def test_a_planner_that_raises_costs_the_plan_and_nothing_else(journal: Journal) -> None:
    async def raises(*_: object) -> Plan:
        raise MemoryError

    async with running(journal, raises) as scene:
        await scene.told()
        outlook = scene.shown().outlook
        assert outlook is not None
        assert outlook.reason.code == "plan_failed"
        assert scene.advice() == Advice()


async def test_a_plan_never_asks_beyond_what_the_guard_will_allow(journal: Journal) -> None:
    async with running(journal, min_soc_percent=30, target_export_w=1200) as scene:
        await scene.told()
        (asked,) = scene.asked
        assert asked.site.export_limit_w == 1200
        assert asked.site.can_hold
        assert asked.battery.reserve_wh == pytest.approx(3100)
        assert asked.site.exported_wh == QUIET.energy.exported_upper_wh
        assert asked.site.margin_wh == 500


async def test_a_rest_is_planned_only_where_it_is_switched_on(journal: Journal) -> None:
    async with running(journal, enable_rest=False) as scene:
        await scene.told()
        (asked,) = scene.asked
        assert not asked.site.can_hold


async def test_only_what_is_switched_on_is_planned(journal: Journal) -> None:
    async with running(journal, enable_charge_planning=False) as scene:
        await scene.told()
        (asked,) = scene.asked
        assert not any(slot.may_charge for slot in asked.slots)
        assert any(slot.may_discharge for slot in asked.slots)


async def test_a_price_that_comes_late_is_not_waited_for_until_the_next_slot(
    journal: Journal,
) -> None:
    async with running(journal, plan_aim="money") as scene:
        known = scene.sources.known

        def without_prices(now: datetime) -> Known:
            found = known(now)
            return replace(found, buy=replace(found.buy, stretches=()))

        scene.sources.known = without_prices  # type: ignore[method-assign]
        await scene.told()
        shown = scene.shown().plan
        assert shown is not None
        assert shown.reason is not None
        assert shown.reason.code == "nothing_priced"
        assert not scene.asked
        scene.sources.known = known  # type: ignore[method-assign]
        await scene.later(seconds=21)
        await scene.told()
        assert scene.shown().plan.reason.code == "solved"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"export_limit_w": None}, "before export_limit_w is set"),
     ({"target_export_w": 0}, "while target_export_w"), ({}, "")],
)  # fmt: skip
async def test_a_plan_without_discharge_says_which_setting_forbids_it(
    journal: Journal, changes: dict[str, Any], said: str
) -> None:
    async with running(journal, **changes) as scene:
        await scene.told()
        shown = scene.shown().plan
        assert shown is not None
        assert shown.reason is not None
        assert said in shown.reason.text
        assert bool(shown.today) is not bool(changes)


async def test_what_the_guard_holds_back_is_not_planned(journal: Journal) -> None:
    async with running(journal) as scene:
        scene.house.picture = replace(QUIET, energy=replace(QUIET.energy, left_wh=250.0))
        await scene.told()
        (asked,) = scene.asked
        today = asked.slots[0].day
        assert allowance_starts_wh(asked)[today] == pytest.approx(250)
