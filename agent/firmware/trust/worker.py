"""
Looks in a process of their own, which is gone afterwards.

python-tuf and its cryptography take a third of a second to load and 25 MB to keep, and they wait
for mirrors and disks: none of that may happen in the agent. Question and answer travel as pickles
between a parent and the child that it started itself; nobody else can write into that pipe. Who
asks twice at once gets two processes, the second of which waits for the first one's folder.

Source: ARCHITECTURE, "heavy libraries live in worker processes"; signing.md 4.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import copyreg
import os
import pickle
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agent.firmware.manifest.models import Release
from agent.firmware.trust.models import ReleaseName, SourceKnowledge
from agent.firmware.trust.pickled import read_only_parts
from agent.firmware.trust.source import Online, Question, TrustError

GRACE_S = 30.0
"""What a look may take beside its mirrors: loading, the disk, and waiting for another look."""
_COMMAND = (sys.executable, "-m", "agent.firmware.trust.worker")


async def look_in_worker(
    question: Question, deadline_s: float | None = None, command: tuple[str, ...] = _COMMAND
) -> SourceKnowledge:
    """
    Return what a worker process finds out about a source.

    Args:
        question: which source, where, and when.
        deadline_s: after this the worker is killed; if not said, the mirrors' budgets and 30 s.
        command: how to start it; another one in tests.

    Raises:
        TrustError: the worker could not start, took too long or broke; what is known stays.
    """
    answer = await _ask(("look", question), _deadline(question, deadline_s), command)
    if not isinstance(answer, SourceKnowledge):
        raise TrustError("The worker answered with something else than what is known.")
    return answer


async def release_in_worker(
    question: Question,
    channel: str,
    project: str,
    version: str,
    deadline_s: float | None = None,
    command: tuple[str, ...] = _COMMAND,
) -> Release:
    """
    Return one verified release, as `client.release` does, from a worker process.

    Raises:
        TrustError: as `client.release` and `look_in_worker`.
    """
    asked = ("release", question, channel, project, version)
    answer = await _ask(asked, _deadline(question, deadline_s), command)
    if not isinstance(answer, Release):
        raise TrustError("The worker answered with something else than a release.")
    return answer


async def releases_in_worker(
    question: Question,
    names: Sequence[ReleaseName],
    deadline_s: float | None = None,
    command: tuple[str, ...] = _COMMAND,
) -> tuple[Release | TrustError, ...]:
    """
    Return each of these releases or why there is none, as `client.releases` does, from one worker.

    Raises:
        TrustError: as `look_in_worker`; nothing is known of any of them then.
    """
    asked = ("releases", question, tuple(names))
    answer = await _ask(asked, _deadline(question, deadline_s), command)
    if (
        not isinstance(answer, tuple)
        or len(answer) != len(names)
        or not all(isinstance(it, Release | TrustError) for it in answer)
    ):
        raise TrustError("The worker answered with something else than these releases.")
    return answer


def _deadline(question: Question, given_s: float | None) -> float:
    mirrors = sum(isinstance(it, Online) for it in question.source.carriers)
    return given_s or GRACE_S + mirrors * question.mirror_budget_s


async def _ask(asked: tuple[Any, ...], deadline_s: float, command: tuple[str, ...]) -> object:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise TrustError(f"The worker for releases could not be started: {error}.") from error
    try:
        async with asyncio.timeout(deadline_s):
            answer, _ = await process.communicate(pickle.dumps((deadline_s, asked)))
    except TimeoutError:
        raise TrustError(
            f"The look at releases took longer than {deadline_s:g} s and was ended. What was known "
            "before still holds; look again later."
        ) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _read(answer, process.returncode)


def _read(answer: bytes, code: int | None) -> object:
    try:
        found: object = pickle.loads(answer)  # noqa: S301 - from the child that we started
    except Exception as error:  # a child that died leaves half an answer, or none
        raise TrustError(
            f"The worker for releases ended with code {code} and no answer. Look again; if it "
            "happens each time, look into the memory and the disk of this machine."
        ) from error
    if isinstance(found, TrustError):
        raise found
    return found


def _answer(asked: tuple[Any, ...]) -> object:
    # Only here: whoever starts a worker does not pay for what it loads.
    from agent.firmware.trust import client  # noqa: PLC0415

    what, *rest = asked
    answers: dict[str, Callable[..., object]] = {
        "look": client.look,
        "release": client.release,
        "releases": client.releases,
    }
    try:
        return answers[what](*rest)
    except TrustError as error:
        return error


def main() -> None:
    """Answer the one question on standard input."""
    deadline_s, asked = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    # The parent may be killed before it can end us.
    signal.setitimer(signal.ITIMER_REAL, deadline_s + 1)
    # A library that prints must not write into the answer.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answer, Path(os.devnull).open("w") as no:
        os.dup2(no.fileno(), sys.stdout.fileno())
        copyreg.pickle(MappingProxyType, read_only_parts)
        answer.write(pickle.dumps(_answer(asked)))


if __name__ == "__main__":
    main()
