"""
When to discharge and when to charge, planned together for all hours that are known.

A plan is advice to the guard, never a permission: limits, allowance and leases are decided where
they always are. The solver's plan is taken when it is there in time, the rule of thumb when it is
not, and self-consumption when neither helps; never the plan of before. Each is run through the
same rollout and the cheapest wins, so by its own forecast a plan never does worse than nothing.

Source: control.md 4.7, cases 38 to 40; D-31, D-33, D-34.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from agent.export import plan_greedy, plan_highs
from agent.export.plan_problem import Costs, Problem, costs
from agent.export.plan_rollout import KEEP_OFF, Action, Proposal, Step, cost_of, rollout
from agent.export.plan_session import SolverError
from agent.export.plan_words import Window, commanded_runs, windows
from agent.export.snapshot import Reason

Solver = Callable[[Problem, Sequence[Costs], float], Sequence[Proposal]]
Fallback = Callable[[Problem, Sequence[Costs]], Sequence[Proposal]]
SOLVER_LIMIT_S = 2.0
"""Longest single run of the solver; usual is a few hundredths."""
_WORTH_IT = 1e-6
_SAME_WH = 0.5
_NEW = timedelta(minutes=1)


class Method(StrEnum):
    """How a plan was made."""

    SOLVER = "solver"
    GREEDY = "greedy"
    SELF_CONSUMPTION = "self_consumption"
    """Nothing is commanded."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the battery should do in the hours to come, and why."""

    method: Method
    reason: Reason
    """Why it was made this way, or why there is none."""
    steps: tuple[Step, ...] = ()
    """One per slot, in the order of time; the first contains the present."""
    windows: tuple[Window, ...] = ()
    """Runs of equal commands, in the order of time, each with its reason."""
    gain: float = 0.0
    """What it saves against self-consumption by its own forecast, in the unit of the objective."""

    def step_at(self, moment: datetime) -> Step | None:
        """Return what was planned for this moment, or `None`."""
        return next((s for s in self.steps if s.slot.begins <= moment < s.slot.ends), None)

    def window_at(self, moment: datetime) -> Window | None:
        """Return the window that contains this moment, or `None`: then nothing is commanded."""
        return next((w for w in self.windows if w.begins <= moment < w.ends), None)


def no_plan(code: str, text: str) -> Plan:
    """Return a plan that commands nothing, with the reason why."""
    return Plan(Method.SELF_CONSUMPTION, Reason(code, text))


def unpriced() -> Plan:
    """Return the plan of a question in which no slot has a price or a carbon intensity."""
    text = "No slot has what the aim needs: carbon intensity, or both prices; check the sources."
    return no_plan("nothing_priced", text)


def make_plan(
    problem: Problem,
    *,
    running: Proposal | None = None,
    solver: Solver = plan_highs.solve,
    fallback: Fallback = plan_greedy.propose,
    time_limit_s: float = SOLVER_LIMIT_S,
) -> Plan:
    """
    Return the best plan that can be made; never raises.

    Args:
        problem: the question.
        running: what is commanded in the first slot already, see `running_in`: it is kept, so
            that a plan made within a slot does not switch the battery to and fro.
        solver: finds the best proposals; another one in tests.
        fallback: the rule of thumb for when it fails.
        time_limit_s: for each of the solver's few runs.
    """
    if not problem.slots:
        return no_plan("no_forecast", "There is no forecast to plan with; the sources say why.")
    try:
        priced = costs(problem)
        if not any(cost.known for cost in priced):
            return unpriced()
        return _best(problem, priced, running, (solver, fallback), time_limit_s)
    except Exception as error:  # noqa: BLE001 - a failed plan must never be more than no plan
        return no_plan(
            "plan_failed", f"Planning failed ({type(error).__name__}: {error}); report it."
        )


def by_rule_of_thumb(problem: Problem, running: Proposal | None, why: str) -> Plan:
    """Return the plan that is made without the solver, because of `why`; never raises."""

    def none(*_: object) -> Sequence[Proposal]:
        raise SolverError(why)

    return make_plan(problem, running=running, solver=none)


def _best(
    problem: Problem,
    priced: Sequence[Costs],
    running: Proposal | None,
    makers: tuple[Solver, Fallback],
    time_limit_s: float,
) -> Plan:
    head = [] if running is None else [running]
    rest = problem if running is None else _after_first(problem, running, priced)
    rest_priced = priced[len(head) :]
    solver, fallback = makers
    method, proposals = Method.SOLVER, None
    reason = Reason("solved", "The best plan for this forecast.")
    try:
        found = solver(rest, rest_priced, time_limit_s) if rest.slots else ()
        proposals = _checked(rest, found)
    except Exception as error:  # noqa: BLE001 - whatever ails the solver, there is a fallback
        method = Method.GREEDY
        reason = Reason("solver_failed", f"Planned by rule of thumb, because {error}.")
    if proposals is None:
        proposals = _checked(rest, fallback(rest, rest_priced))
    idle = rollout(problem, head + [KEEP_OFF] * len(rest.slots), priced)
    steps = _without_small_windows(problem, [*head, *proposals], priced, running)
    gain = cost_of(problem, idle, priced) - cost_of(problem, steps, priced)
    if gain <= _WORTH_IT:
        steps, gain = idle, 0.0
    if all(step.action is Action.SELF_CONSUMPTION for step in steps):
        text = "Self-consumption is the best for this forecast."
        better = Reason("nothing_better", text) if method is Method.SOLVER else reason
        return Plan(Method.SELF_CONSUMPTION, better, steps)
    return Plan(method, reason, steps, windows(problem, steps, priced), gain)


def _without_small_windows(
    problem: Problem,
    proposals: Sequence[Proposal],
    priced: Sequence[Costs],
    running: Proposal | None,
) -> tuple[Step, ...]:
    """Return the rollout without windows for which the inverter would start in vain."""
    kept = list(proposals)
    while True:
        steps = rollout(problem, kept, priced)
        going = running is not None or (steps and steps[0].action.value == problem.goes_on)
        energy_wh = {
            tuple(run): sum(_moved_wh(steps[index]) for index in run)
            for run in commanded_runs(steps)
            if not (going and run[0] == 0)
        }
        smallest = min(energy_wh, key=energy_wh.__getitem__, default=())
        if not smallest or energy_wh[smallest] >= problem.site.least_window_wh - _SAME_WH:
            return steps
        # One at a time: what one does not take may make the next one large enough.
        for index in smallest:
            kept[index] = KEEP_OFF


def _moved_wh(step: Step) -> float:
    """Return what a command moves between battery and grid; rest and sun take no least energy."""
    if step.action is Action.DISCHARGE:
        return step.battery_export_wh
    return step.bought_wh if step.action is Action.CHARGE else float("inf")


def _after_first(problem: Problem, running: Proposal, priced: Sequence[Costs]) -> Problem:
    """Return the question that is left when the first slot is given."""
    first = replace(problem, slots=problem.slots[:1])
    (step,) = rollout(first, [running], priced[:1])
    site = problem.site
    if len(problem.slots) > 1 and problem.slots[1].day == step.slot.day:
        produced_wh = site.produced_wh + step.slot.counted_pv_w * step.slot.hours
        site = replace(
            site, produced_wh=produced_wh, exported_wh=site.exported_wh + step.exported_wh
        )
    else:
        site = replace(site, produced_wh=0.0, exported_wh=0.0)
    battery = replace(problem.battery, stored_wh=step.stored_wh)
    return replace(problem, slots=problem.slots[1:], battery=battery, site=site)


def _checked(problem: Problem, proposals: Sequence[Proposal]) -> Sequence[Proposal]:
    if len(proposals) != len(problem.slots):
        raise SolverError(f"it answered for {len(proposals)} of {len(problem.slots)} slots")
    if not all(abs(each.battery_w) < float("inf") for each in proposals):
        raise SolverError("it answered with a power that is no number")
    return proposals


def running_in(before: Plan | None, now: datetime) -> Proposal | None:
    """
    Return what the plan of before commands in the running slot; `None` when that slot is new.

    A slot is new for a minute: then a plan made from newer figures may still choose differently.

    Args:
        before: the plan that is carried out, if there is one.
        now: the present moment.
    """
    step = before.step_at(now) if before else None
    if step is None or now - step.slot.begins < _NEW:
        return None
    return Proposal(step.action, step.battery_w)


def goes_on(before: Plan | None, now: datetime) -> str:
    """Return the name of the action that the plan of before has had carried out until now."""
    step = (before.step_at(now - _NEW) or before.step_at(now)) if before else None
    return step.action.value if step else ""


def carried_on(plan: Plan, before: Plan | None, now: datetime) -> Plan:
    """
    Return the new plan with the begin of the window that is running already.

    A plan made within a window knows only what is left of it. Its identity, the begin, is the
    old one's as long as the same command goes on without a break, so that nobody counts it twice.

    Args:
        plan: the new plan.
        before: the plan of before, `None` at the first.
        now: the moment at which the new one replaces it.
    """
    running = before.window_at(now) if before else None
    current = plan.window_at(now)
    if running is None or current is None or running.action is not current.action:
        return plan
    longer = replace(current, begins=min(running.begins, current.begins))
    return replace(plan, windows=tuple(longer if w is current else w for w in plan.windows))
