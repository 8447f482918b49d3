"""
Makes plans and keeps them: gathers what is known, asks the worker, tells the guard and the surface.

A task of its own beside the guard. The guard asks it what the plan wants at each look and gets an
answer from memory; everything that takes time or can fail happens here, and whatever fails ends as
a plan that commands nothing, with the reason.

Source: control.md, cases 38 to 40.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from agent.clock import Clock, Instant
from agent.export import plan_due, plan_view
from agent.export.advice import Advice
from agent.export.plan_advice import Standing, advice_of
from agent.export.plan_due import Wants, next_plan
from agent.export.plan_problem import Problem
from agent.export.plan_rollout import Proposal
from agent.export.plan_view import SlotTrack
from agent.export.plan_worker import plan_in_worker
from agent.export.planner import (
    Plan,
    by_rule_of_thumb,
    carried_on,
    goes_on,
    no_plan,
    running_in,
)
from agent.export.snapshot import GuardSnapshot, PlanPicture, PlanSource, PlanView
from agent.house.series import Series
from agent.journal import Sample
from agent.load_learning import LoadLearner
from agent.plan_inputs import Known
from agent.plan_preview import turned_outlook, turned_settings
from agent.plan_question import planned, question, remark, switches
from agent.settings import Settings

START_S = 6.0
"""Before the first plan: a start has better to do."""
RECENT_S = 600.0
_RESTS_S = 60.0
_NOT_YET = frozenset({"soc_unknown", "no_forecast", "nothing_priced", "plan_failed"})
_log = logging.getLogger(__name__)

Make = Callable[[Problem, Proposal | None], Awaitable[Plan]]
_WORKER_FAILED = frozenset({"planner_not_started", "planner_too_slow", "planner_crashed"})


class PreviewBusyError(Exception):
    """One preview at a time: each takes a processor for a second."""


class Sources(Protocol):
    """Where forecasts come from."""

    def known(self, now: datetime) -> Known:
        """Return what is known at this moment; no I/O."""
        ...

    async def refresh(self, now: datetime) -> datetime | None:
        """Ask what has to be asked; return when there is something to ask next."""
        ...

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call when a forecast has changed; return what ends that."""
        ...


class House(Protocol):
    """The guard, as far as plans need it."""

    def bare(self) -> GuardSnapshot:
        """Return the guard's newest picture, without a plan."""
        ...

    def history(self, seconds: float) -> list[Sample]:
        """Return the last seconds, oldest first."""
        ...

    def wake(self) -> None:
        """Have the guard look again now."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """One plan with everything that is shown of it."""

    standing: Standing
    picture: PlanPicture
    carbon: Series


async def in_worker(problem: Problem, running: Proposal | None) -> Plan:
    """Return the plan of a worker process; by rule of thumb where that fails. Never raises."""
    plan = await plan_in_worker(problem, running)
    if plan.reason.code in _WORKER_FAILED:
        _log.warning("%s Planned by rule of thumb", plan.reason.text)
        return by_rule_of_thumb(problem, running, plan.reason.text.rstrip("."))
    return plan


class Planning:
    """Plans while anything is to be planned, and answers what the newest plan wants."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        clock: Clock,
        zone: Callable[[], ZoneInfo],
        sources: Sources,
        learner: LoadLearner,
        make: Make = in_worker,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._zone = zone
        self._sources = sources
        self._learner = learner
        self._make = make
        self._made: _Made | None = None
        self._track: SlotTrack | None = None
        self._wants = Wants()
        self._wake = asyncio.Event()
        self._told = ""
        self._viewed: tuple[tuple[object, ...], PlanView] | None = None
        self._previewing = False

    # What others ask; all of it from memory.

    def advice(self, now: Instant) -> Advice | None:
        """Return what the plan wants at a moment; the guard asks at each look."""
        settings = self._settings()
        wanted = planned(settings)
        if not wanted.discharge and not wanted.charge:
            return Advice()
        standing = self._made.standing if self._made else None
        return advice_of(standing, now.local, switches(settings))

    def adorn(self, picture: GuardSnapshot) -> GuardSnapshot:
        """Return the guard's picture with what is planned."""
        made = self._made
        if made is None:
            return picture
        exported_wh, now = picture.energy.exported_wh, picture.at
        self._track = plan_view.tracked(self._track, made.standing.plan, now, exported_wh)
        view = self._view(made, now)
        slot = plan_view.slot_view(self._track, now, exported_wh)
        return replace(picture, plan=replace(view, slot=slot), outlook=made.picture)

    def _view(self, made: _Made, now: datetime) -> PlanView:
        """Return what the entities show; made once a minute, because it is asked at each look."""
        chosen = switches(self._settings())
        key = (made, chosen, now.replace(second=0, microsecond=0))
        if self._viewed is None or self._viewed[0] != key:
            view = plan_view.plan_view(made.standing, chosen, now.date(), made.carbon, now)
            self._viewed = (key, view)
        return self._viewed[1]

    def calculate(self) -> None:
        """Plan again now: a person has asked for it."""
        self._want(asked=True)

    def settings_changed(self, _: Settings) -> None:
        """Plan again soon."""
        self._want(settings=True)

    def _want(self, **what: bool) -> None:
        self._wants = replace(self._wants, **what)
        self._wake.set()

    # What takes time.

    async def run(self, house: House) -> None:
        """Plan until cancelled; no failure ends it, and none reaches the guard."""
        await asyncio.sleep(START_S)
        end = self._sources.subscribe(lambda: self._want(inputs=True))
        try:
            while True:
                try:
                    wait_s = await self._turn(house)
                except Exception as error:  # noqa: BLE001 - it must not end the planner
                    self._tell(error)
                    self._show(house, _failed(error), None, ())
                    wait_s = _RESTS_S
                await self._until_woken(wait_s)
        finally:
            end()

    def _tell(self, error: Exception) -> None:
        """Log where it failed, once for each kind of failure: it may come again every minute."""
        if repr(error) != self._told:
            self._told = repr(error)
            _log.error("Planning failed; the guard is not affected", exc_info=error)

    async def _turn(self, house: House) -> float:
        """Plan if it is time; return the seconds until something is due."""
        settings, now = self._settings(), self._clock.now().local
        await self._learner.learn(now, self._zone())
        wanted = planned(settings)
        if not wanted.discharge and not wanted.charge:
            self._forget(house)
            return plan_due.seconds(now, next_plan(now, None, Wants(), now))
        asks_at = await self._sources.refresh(now)
        due = self._due(now)
        if due <= now:
            await self._plan(house)
            now = self._clock.now().local
            due = self._due(now)
        if asks_at is not None:
            due = min(due, asks_at)
        return plan_due.seconds(now, due)

    def _due(self, now: datetime) -> datetime:
        made = self._made
        if made is None:
            return now
        standing = made.standing
        slot_ends = standing.plan.steps[0].slot.ends if standing.plan.steps else None
        failed = standing.plan.reason.code in _NOT_YET
        return next_plan(standing.made, slot_ends, self._wants, now, failed=failed)

    async def _plan(self, house: House) -> None:
        self._wants = Wants()
        settings, zone = self._settings(), self._zone()
        picture = house.bare()
        now = picture.at
        known = self._sources.known(now)
        load = self._learner.expected(now, zone, house.history(RECENT_S))
        asked = question(settings, picture, known, load, zone)
        sources = _sources(known, load)
        if isinstance(asked, Plan):
            self._show(house, asked, None, sources, known.carbon)
            return
        plan = await self._answer(asked, now)
        text = f"{plan.reason.text} {remark(settings)}".strip()
        plan = replace(plan, reason=replace(plan.reason, text=text))
        _log.info("planned %d windows (%s): %s", len(plan.windows), plan.method, plan.reason.text)
        self._show(house, plan, asked, sources, known.carbon)

    async def _answer(self, asked: Problem, now: datetime) -> Plan:
        before = self._made.standing.plan if self._made else None
        asked = replace(asked, goes_on=goes_on(before, now))
        return carried_on(await self._make(asked, running_in(before, now)), before, now)

    async def preview(self, house: House, changes: Mapping[str, object]) -> PlanPicture:
        """
        Return what would be planned now if this were otherwise; nothing of it stays.

        Raises:
            SettingError: something cannot be turned, or not so far.
            PreviewBusyError: another preview is being made.
        """
        if self._previewing:
            raise PreviewBusyError
        settings, zone, picture = (
            turned_settings(self._settings(), changes),
            self._zone(),
            house.bare(),
        )
        now = picture.at
        load = self._learner.expected(now, zone, house.history(RECENT_S))
        known, load = turned_outlook(self._sources.known(now), load, changes)
        asked = question(settings, picture, known, load, zone)
        self._previewing = True
        try:
            plan = asked if isinstance(asked, Plan) else await self._answer(asked, now)
        finally:
            self._previewing = False
        problem = None if isinstance(asked, Plan) else asked
        standing, sources = Standing(plan, now), _sources(known, load)
        return plan_view.picture(standing, problem, sources, settings.currency)

    def _show(
        self,
        house: House,
        plan: Plan,
        problem: Problem | None,
        sources: Sequence[PlanSource],
        carbon: Series | None = None,
    ) -> None:
        standing = Standing(plan, self._clock.now().local)
        picture = plan_view.picture(standing, problem, sources, self._settings().currency)
        self._made = _Made(standing, picture, carbon or Series("", ""))
        house.wake()

    def _forget(self, house: House) -> None:
        if self._made is not None:
            self._made = None
            house.wake()

    async def _until_woken(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()


def _sources(known: Known, load: Series) -> list[PlanSource]:
    named = {"pv": known.pv, "load": load, "carbon": known.carbon, "buy": known.buy}
    return [plan_view.source_of(name, it) for name, it in {**named, "sell": known.sell}.items()]


def _failed(error: Exception) -> Plan:
    text = f"Planning failed ({type(error).__name__}); see the log, and report it."
    return no_plan("plan_failed", text)
