"""A look in a process of its own: it answers, it ends, and it never holds up the agent."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agent.firmware.trust.models import Freshness
from agent.firmware.trust.source import TrustError
from agent.firmware.trust.worker import look_in_worker, release_in_worker
from tests.firmware.https import Hang
from tests.firmware.repo import PROJECT, Repo
from tests.firmware.trust.house import House, Mirror, bundle
from tests.test_footprint_imports import loaded_by


async def test_a_look_and_a_release_come_back_from_the_worker_as_they_are(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    known = await look_in_worker(home.question(mirror.carrier))
    assert known.freshness is Freshness.FRESH
    assert known == home.look(mirror.carrier)
    found = await release_in_worker(home.question(mirror.carrier), "stable", PROJECT, "1.0.0")
    assert found == home.release(mirror.carrier)
    assert not [it for it in psutil.Process().children() if "trust.worker" in str(it.cmdline())]


async def test_what_cannot_be_verified_comes_back_as_the_same_error(home: House) -> None:
    with pytest.raises(TrustError, match="cannot be verified"):
        await release_in_worker(home.question(), "stable", PROJECT, "1.0.0")


async def test_two_looks_at_once_wait_for_each_other_and_both_are_right(
    home: House, repo: Repo, tmp_path: Path
) -> None:
    question = home.question(bundle(repo, tmp_path / "bundle"))
    known = await asyncio.gather(*(look_in_worker(question) for _ in range(3)))
    assert [it.freshness for it in known] == [Freshness.FRESH] * 3
    assert len([it for it in home.place.iterdir() if it.name.startswith("set-")]) == 1


async def test_a_worker_that_hangs_is_ended_at_its_deadline_while_the_loop_goes_on(
    home: House, mirror: Mirror
) -> None:
    mirror.fails("metadata/2.root.json", Hang())
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    beating = asyncio.create_task(beat())
    began_s = time.monotonic()
    with pytest.raises(TrustError, match=r"took longer than 1\.5 s and was ended"):
        await look_in_worker(home.question(mirror.carrier), deadline_s=1.5)
    beating.cancel()
    assert time.monotonic() - began_s < 10
    assert beats > 20
    assert home.look().freshness is Freshness.NONE, "the dead worker still holds the folder"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("/nowhere/python",), "could not be started"),
        ((sys.executable, "-c", "import os; os._exit(3)"), "ended with code 3 and no answer"),
        ((sys.executable, "-c", "print('hello')"), "ended with code 0 and no answer"),
    ],
)
async def test_a_worker_that_breaks_says_so(
    home: House, command: tuple[str, ...], said: str
) -> None:
    with pytest.raises(TrustError, match=said):
        await look_in_worker(home.question(), command=command)


def test_an_orphaned_worker_ends_by_itself(home: House) -> None:
    """Whoever started it was killed: its own timer is what is left."""
    asked = pickle.dumps((0.0, ("look", home.question())))
    lock = os.open(_made(home.place) / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "agent.firmware.trust.worker"],
            input=asked,
            timeout=30,
            check=False,
            capture_output=True,
            cwd=Path(__file__).parents[3],
        )
    finally:
        os.close(lock)
    assert ended.returncode != 0
    assert ended.stdout == b""


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_who_starts_a_worker_does_not_pay_for_what_it_loads() -> None:
    heavy = {"tuf", "securesystemslib", "urllib3", "cryptography"}
    assert not heavy & loaded_by("import agent.firmware.trust.worker")
