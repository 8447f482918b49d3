"""A clone, one command, a page; Ctrl-C, and nothing is left but the clone and the cache."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.acceptance.conftest import Figure
from tests.acceptance.parts import ROOT, Process, eventually
from tests.peers.process import free_port

FIRST_PAGE_WITHIN_S = 240
"""With an empty cache the packages come from the network first."""
GUARDED_WITHIN_S = 240
"""The commissioning test comes first, and a cloud may spoil it."""
GONE_WITHIN_S = 30


@pytest.mark.peers("inverter")
async def test_clone_run_look_and_leave_without_a_trace(tmp_path: Path, figure: Figure) -> None:
    clone, home, scratch = (tmp_path / name for name in ("clone", "home", "tmp"))
    home.mkdir()
    scratch.mkdir()
    await asyncio.to_thread(_git, "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone))
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PV_EDGE_", "PYTEST_"))},
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "XDG_CACHE_HOME": cache,
    }
    port = free_port()
    newcomer = Process(tmp_path / "run.log")
    began_s = time.monotonic()
    newcomer.spawn([str(clone / "script" / "run"), "--port", str(port)], environment)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            await eventually(
                lambda: _answers(http, newcomer), FIRST_PAGE_WITHIN_S, "the page", newcomer.tail
            )
            figure("clone to the page, packages in the cache", "demo", time.monotonic() - began_s)

            async def discharging() -> bool:
                async with http.get("/api/state") as answer:
                    state = await answer.json()
                tested = state["commissioning"]["passed"]
                return tested and state["phase"] == "DISCHARGE_ACTIVE"

            await eventually(discharging, GUARDED_WITHIN_S, "a guarded discharge", newcomer.tail)
            async with http.get("/api/releases") as answer:
                releases = await answer.json()
            assert releases["state"] == "fresh"
            assert [it["development"] for it in releases["sources"]] == [True]
            figure("clone to a guarded discharge", "demo", time.monotonic() - began_s)
        code, seconds = await newcomer.interrupted(GONE_WITHIN_S)
        figure("Ctrl-C to exit", "demo", seconds)
        assert code == 0, newcomer.log.read_text()
    finally:
        newcomer.kill()
    assert _processes_in(clone) == []
    assert [*home.rglob("*"), *scratch.rglob("*")] == []
    assert _git("-C", str(clone), "status", "--porcelain") == ""


async def _answers(http: aiohttp.ClientSession, newcomer: Process) -> bool:
    assert newcomer.popen is not None
    assert newcomer.popen.poll() is None, newcomer.log.read_text()
    try:
        async with http.get("/") as page, http.get("/health") as health:
            return page.status == 200 and "<html" in await page.text() and health.status == 200
    except aiohttp.ClientError:
        return False


def _git(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607 - the newcomer's own
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def _processes_in(directory: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        told = " ".join([*(process.info["cmdline"] or []), process.info["cwd"] or ""])
        if str(directory) in told:
            found.append(told)
    return found
