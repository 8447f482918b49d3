"""
Plans in a process of its own, which is gone afterwards.

The solver and numpy take 0.2 s to load and 20 MB to keep, and a solver is a large piece of
foreign code: here it can be slow, run out of memory or crash without the guard noticing more than
that there is no plan. Question and answer travel as pickles between a parent and the child that
it started itself; nobody else can write into that pipe.

Source: control.md, case 39; the promise of 1 s to start and 90 MB at rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys
from pathlib import Path

from agent.export.plan_problem import Problem
from agent.export.plan_rollout import Proposal
from agent.export.planner import Plan, make_plan, no_plan

DEADLINE_S = 30.0
"""Longest wait for a plan: loading on a small busy machine takes most of it."""
_COMMAND = (sys.executable, "-m", "agent.export.plan_worker")


async def plan_in_worker(
    problem: Problem,
    running: Proposal | None = None,
    deadline_s: float = DEADLINE_S,
    command: tuple[str, ...] = _COMMAND,
) -> Plan:
    """
    Return the plan that a worker process makes; without one, the reason why. Never raises.

    Args:
        problem: the question.
        running: what is commanded in the first slot already.
        deadline_s: after this the worker is killed.
        command: how to start it; another one in tests.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        return no_plan("planner_not_started", f"The planner could not be started: {error}.")
    try:
        async with asyncio.timeout(deadline_s):
            answer, _ = await process.communicate(pickle.dumps((problem, running)))
    except TimeoutError:
        return no_plan("planner_too_slow", f"The planner took longer than {deadline_s:g} s.")
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _read(answer, process.returncode)


def _read(answer: bytes, code: int | None) -> Plan:
    try:
        plan = pickle.loads(answer)  # noqa: S301 - from the child that we started
    except Exception:  # noqa: BLE001 - a child that died leaves half an answer, or none
        plan = None
    if not isinstance(plan, Plan):
        return no_plan("planner_crashed", f"The planner ended with code {code} and no plan.")
    return plan


def main() -> None:
    """Answer the one question on standard input."""
    problem, running = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    # A library that prints must not write into the answer.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answer, Path(os.devnull).open("w") as no:
        os.dup2(no.fileno(), sys.stdout.fileno())
        answer.write(pickle.dumps(make_plan(problem, running=running)))


if __name__ == "__main__":
    main()
