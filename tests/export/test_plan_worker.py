"""A planner that crashes, hangs or talks nonsense costs the plan and nothing else."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from agent.export.plan_worker import plan_in_worker
from agent.export.planner import Method, make_plan
from tests.export.plan_cases import problem

PYTHON = (sys.executable, "-c")


async def test_the_worker_makes_the_very_plan_that_the_function_makes() -> None:
    assert await plan_in_worker(problem()) == make_plan(problem())


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "planner_crashed"),
        ("raise SystemExit(3)", "planner_crashed"),
        ("print('hello')", "planner_crashed"),
        ("import pickle, sys; sys.stdout.buffer.write(pickle.dumps(1))", "planner_crashed"),
    ],
)
async def test_case_39_a_crash_or_nonsense_is_no_plan(code: str, reason: str) -> None:
    plan = await plan_in_worker(problem(), command=(*PYTHON, code))
    assert plan.method is Method.SELF_CONSUMPTION
    assert plan.reason.code == reason
    assert not plan.windows


async def test_case_39_a_slow_solver_is_killed_at_its_deadline() -> None:
    began_s = time.monotonic()
    plan = await plan_in_worker(
        problem(), deadline_s=0.5, command=(*PYTHON, "import time; time.sleep(60)")
    )
    assert plan.reason.code == "planner_too_slow"
    assert time.monotonic() - began_s < 30


async def test_a_planner_that_cannot_be_started_is_no_plan() -> None:
    plan = await plan_in_worker(problem(), command=("/nonexistent/python",))
    assert plan.reason.code == "planner_not_started"


async def test_the_loop_goes_on_while_a_plan_is_made() -> None:
    beats = 0
    task = asyncio.create_task(plan_in_worker(problem()))
    while not task.done():
        await asyncio.sleep(0.005)
        beats += 1
    assert (await task).windows
    assert beats > 10
