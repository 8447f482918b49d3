"""
The agent's process is killed at each of the thirteen boundaries of a flash, and started again.

SIGKILL leaves nothing but the journal. The next process on the same directory finds the verdict,
sends nothing twice, and no lock is left to stop it.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from agent.firmware.job.models import KIND, Stage
from agent.firmware.job.replay import replay
from agent.flash_models import Exit
from agent.instance import sole_owner
from agent.journal import Journal
from agent.simulator.ota_boot import Fate
from tests.firmware.job.killable import JOB, Told, ran, shown
from tests.firmware.job.simulated import Bridge
from tests.firmware.ota.between import Between, Trouble
from tests.flash_help import Bench, as_an_esp32, begun, flashed
from tests.peers.esphome_firmware import TRIAL, firmware
from tests.peers.esphome_trial import TrialDevice, image

STAGES = ("preflight", "download", "verify", "upload", "postcheck")


def boundaries(last: str) -> list[str]:
    """Return the thirteen: behind the wish, and on both sides of each line after it."""
    lines = [f"the line stage {it}" for it in (*STAGES, last)]
    return [
        "after the line asked",
        *(f"{side} {it}" for it in lines for side in ("before", "after")),
    ]


async def story(directory: Path, number: int, fate: Fate, kill_at: str) -> tuple[Any, ...]:
    """Flash, die there, start again; return exit codes, uploads, what runs, and all lines."""
    async with Bridge(number) as bridge, shown(bridge) as state_port:
        told = (directory, bridge.mac, bridge.port, state_port, fate)
        first = await ran(Told(*told, kill_at))
        second = await ran(Told(*told, ""))
        with sole_owner(directory):
            async with await Journal.open(directory / "journal.sqlite3") as journal:
                lines = await journal.events(kinds=[KIND], after_id=0, limit=1000)
        return first, second, bridge.uploads, bridge.flash.running.version, lines


@pytest.mark.parametrize("fate", [Fate.GOOD, Fate.CRASHES])
async def test_killed_at_each_of_the_thirteen_boundaries_the_next_process_tells_the_truth(
    tmp_path: Path, fate: Fate
) -> None:
    points = boundaries("complete" if fate is Fate.GOOD else "failed")
    assert len(points) == 13
    held = "confirmed" if fate is Fate.GOOD else "rolled_back"
    where = [tmp_path / str(at) for at in range(len(points))]
    for each in where:
        each.mkdir()
    ends = await asyncio.gather(
        *(story(where[at], at, fate, point) for at, point in enumerate(points))
    )
    for point, (first, second, uploads, version, lines) in zip(points, ends, strict=True):
        # What starts processes for multiprocessing says 255 where it has missed how one ended.
        assert first in {-signal.SIGKILL, 255}, point
        assert second == 0, point
        jobs = replay((it.at, it.data) for it in lines)
        assert (jobs.unread, jobs.open) == (0, ()), point
        verdict = jobs.by_id[JOB].verdict
        assert verdict is not None
        # Announced and never sent: nobody could tell, so it is not sent again.
        never_sent = point == "after the line stage upload"
        assert uploads == (0 if never_sent else 1), point
        assert verdict.result == ("unchanged" if never_sent else held), f"{point}: {verdict}"
        assert version == ("1.1.0" if verdict.result == "confirmed" else "1.0.0"), point
        whats = [it.data["stage"] for it in lines if it.data["line"] == "stage"]
        last = Stage.COMPLETE if verdict.result == "confirmed" else Stage.FAILED
        assert whats == [*STAGES, last], f"{point}: {whats}"  # each once, whoever wrote it
        assert lines[0].data["line"] == "asked"
        story_end = jobs.by_id[JOB].upload
        assert story_end is not None
        assert story_end.how == ("interrupted" if never_sent else "sent"), point


@pytest.mark.peers("esphome")
async def test_a_command_killed_on_a_real_bridge_is_told_by_the_next(tmp_path: Path) -> None:
    if firmware(TRIAL) is None:
        pytest.skip("no ESPHome firmware: run script/setup")
    with as_an_esp32():
        await asyncio.gather(
            real_story(tmp_path / "upload", "upload", Exit.UNCHANGED, []),
            real_story(tmp_path / "trial", "postcheck", Exit.CONFIRMED, ["staged", "confirmed"]),
        )


async def real_story(where: Path, at: str, end: Exit, events: list[str]) -> None:
    """Kill the command in that stage, ask again, and look at what it says and what happened."""
    device = TrialDevice(where / "device", name="killed", mac=f"02005e40ff{len(at):02x}")
    bench = Bench(where, device)
    bench.publish("1.1.0", image("1.1.0"))
    trouble = [Trouble(up_bytes=60_000, stalls=True)] * 20 if at == "upload" else []
    try:
        await asyncio.to_thread(device.start)
        async with Between(device.ota_port, *trouble) as between:
            words = bench.words("1.1.0", "--port", str(between.port))
            first = begun(*words)
            await asyncio.to_thread(_wait, first, at)
            first.kill()
            await asyncio.to_thread(first.communicate)
            assert first.returncode == -signal.SIGKILL
            second = await asyncio.to_thread(flashed, words)
    finally:
        device.kill()
    assert second.code == end, second
    assert "end of an earlier flash" in second.end["text"]
    assert second.end["evidence"]
    assert device.events == events
    async with await Journal.open(bench.data / "journal.sqlite3") as journal:
        lines = await journal.events(kinds=[KIND], after_id=0, limit=1000)
    jobs = replay((it.at, it.data) for it in lines)
    assert (len(jobs.by_id), jobs.open, jobs.unread) == (1, (), 0)


def _wait(process: Any, stage: str) -> None:
    for line in process.stderr:
        if f" {stage}" in line:
            return
    raise AssertionError(f"it ended before {stage}")
