"""
Jobs over the cable end with the right verdict, a free port, and nothing else touched.

What a person meets at the command line as well is tried there, in `test_flash_serial_command`.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from agent.firmware.job.models import How, JobState, Result, Stage
from agent.firmware.job.runner import Refused
from agent.firmware.serial.driver import SerialDriver
from agent.firmware.serial.pace import LADDER, Rung
from agent.firmware.serial.ports import holders
from agent.fleet.identity import Mac
from agent.simulator.esp_rom_chips import Specimen
from agent.simulator.esp_rom_faults import RomFaults
from tests.firmware.job.scene import ended
from tests.firmware.serial.boards import (
    COMMAND,
    IMPATIENT,
    NVS,
    QUICK,
    SETTINGS,
    board,
)
from tests.firmware.serial.cable_site import CableSite, cable_site, freed_s, is_free

pytestmark = pytest.mark.peers("esptool", "esp32")
Record = Callable[[str, object], None]
AT_ONCE = 3
"""Cases on the machine at a time; each is a chain of processes."""
BEHIND = 0x100000
"""Of the flash, behind the image."""
FREE_S = 1.0
"""It takes some ms; a busy machine may need a while to look. Waiting for the chip takes 3 s."""
BLINDED = """
import sys
from agent.firmware.serial import worker
worker.holders = lambda _: ()
sys.exit(worker.main())
"""
BLIND = (
    *COMMAND[:-2],
    "-c",
    BLINDED,
)
"""The worker where other processes are hidden from it, as those of another container are."""


@dataclass
class Case:
    """What is wrong, and how that ends."""

    result: Result
    code: str
    said: str
    faults: RomFaults = field(default_factory=RomFaults)
    specimen: Specimen = field(default_factory=lambda: Specimen("esp32c3"))
    ladder: tuple[Rung, ...] = LADDER
    prepare: Callable[[CableSite, ExitStack], object] = lambda *_: None
    patience: Any = QUICK
    command: tuple[str, ...] = COMMAND
    erase: bool = False
    silent: bool = False
    """Nothing was sent to the chip."""


def truncate(it: CableSite, _: ExitStack) -> None:
    content = it.image.read_bytes()
    it.image.write_bytes(content[:-1000])


def swap(it: CableSite, _: ExitStack) -> None:
    other = it.board.content[:-1] + b"!"
    it.upon(Stage.WRITE, lambda: it.image.write_bytes(other))


def hold(it: CableSite, held: ExitStack) -> int:
    number = os.open(it.board.port.path, os.O_RDWR | os.O_NOCTTY)
    held.callback(os.close, number)
    return number


def lock(it: CableSite, held: ExitStack) -> None:
    fcntl.flock(hold(it, held), fcntl.LOCK_EX)


def hold_before_the_write(it: CableSite, held: ExitStack) -> None:
    it.upon(Stage.WRITE, lambda: hold(it, held))


def plug_in_again(it: CableSite, held: ExitStack) -> None:
    port = it.board.port

    async def work() -> None:
        await port.gone.wait()
        # The name that it had is somebody else's now.
        for number in os.openpty():
            held.callback(os.close, number)
        before = port.node
        port.plug_in()
        assert port.node != before

    held.callback(asyncio.ensure_future(work()).result)


def kill_worker(it: CableSite, held: ExitStack) -> None:
    async def work() -> None:
        await it.until(lambda: it.board.esp.packets > 0)
        for worker in holders(it.board.port.node):
            os.kill(worker.pid, signal.SIGKILL)

    held.callback(asyncio.ensure_future(work()).result)


def fail_to_look(it: CableSite, held: ExitStack) -> None:
    full = OSError(errno.EAGAIN, "no more processes")
    held.enter_context(mock.patch.object(it.board.driver, "holds", side_effect=full))


WELL, UNCHANGED, LOST = Result.CONFIRMED, Result.UNCHANGED, Result.LOST
FAST, ROM = LADDER[:1], LADDER[3:]
CASES = {
    "boot log instead of sync": Case(
        UNCHANGED, "not-downloading", "no boot loader", RomFaults(runs_its_program=True),
        patience=IMPATIENT),
    "no hello": Case(
        WELL, "confirmed", "recovered", RomFaults(no_greeting=True),
        patience=replace(QUICK, greeting_s=0.5)),
    "one lost packet": Case(WELL, "confirmed", "recovered", RomFaults(lost_packet=1)),
    "spoilt packet": Case(WELL, "confirmed", "recovered", RomFaults(spoilt_packet=1)),
    "spoilt packet, by the ROM": Case(
        LOST, "rejected", "needs flashing", RomFaults(spoilt_packet=1), ladder=ROM),
    "a checksum that lies": Case(
        LOST, "not-kept", "needs flashing", RomFaults(wrong_md5=True), ladder=FAST),
    "pulled and back under another name": Case(
        WELL, "confirmed", "recovered", RomFaults(unplugged_after=1_000), prepare=plug_in_again),
    "locked by who is hidden": Case(
        UNCHANGED, "port-busy", "Another program uses the port", prepare=lock, command=BLIND,
        silent=True),
    "flash encryption": Case(
        UNCHANGED, "flash-encryption", "encrypts",
        specimen=Specimen("esp32s3", flash_encryption=True)),
    "truncated": Case(UNCHANGED, "image-changed", "", prepare=truncate),
    "swapped": Case(UNCHANGED, "image-changed", "not the one that was checked", prepare=swap),
    "no process to look": Case(WELL, "confirmed", "recovered", prepare=fail_to_look),
    "worker killed": Case(WELL, "confirmed", "recovered", prepare=kill_worker),
    "worker killed, once": Case(
        LOST, "worker-died", "needs flashing", prepare=kill_worker, ladder=FAST),
    "held once its settings were gone": Case(
        LOST, "port-busy", "needs flashing", prepare=hold_before_the_write, erase=True),
}  # fmt: skip


@dataclass
class End:
    """What was left."""

    state: JobState
    marked: bool
    unchanged: bool
    kept: bool
    """Its settings, and all of the flash that the image does not name."""
    spoken: bool
    free: bool
    held: set[Mac]
    flashed: bool


def end_of(site: CableSite, state: JobState, before: bytes) -> End:
    it = site.board
    after, behind, settings = bytes(it.esp.flash.data), len(it.content), NVS[2]
    erased = state.request.erase_settings
    return End(
        state,
        marked=site.jobs.jobs.needs_flashing == {state.mac},
        unchanged=after == before,
        kept=after[behind:] == before[behind:]
        and (erased or after[settings : settings + len(SETTINGS)] == SETTINGS),
        spoken=bool(it.esp.commands),
        free=is_free(it.port.node),
        held=set(site.moments.held),
        flashed=it.flashed,
    )


async def played(case: Case, folder: Path) -> End:
    async with AsyncExitStack() as stack:
        made = board(folder, faults=case.faults, specimen=case.specimen, ladder=case.ladder)
        it = await stack.enter_async_context(made)
        it.driver = SerialDriver(case.patience, case.ladder, case.command)
        it.esp.flash.load(BEHIND, b"somebody's")
        site = await stack.enter_async_context(cable_site(it, folder))
        before = bytes(it.esp.flash.data)
        with ExitStack() as held:
            case.prepare(site, held)
            state = await site.run(site.wish(erase=case.erase))
        return end_of(site, state, before)


async def test_what_goes_wrong_has_its_verdict_its_mark_and_a_free_port(tmp_path: Path) -> None:
    few = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, case: Case) -> End:
        async with few:
            return await played(case, made(tmp_path / str(number)))

    ends = await asyncio.gather(*(one(*it) for it in enumerate(CASES.values())))
    for (name, case), end in zip(CASES.items(), ends, strict=True):
        told = end.state.verdict
        assert told, name
        assert (told.result, told.code) == (case.result, case.code), (name, told)
        assert case.said in told.text, (name, told)
        assert end.marked is (case.result is LOST), name
        assert end.kept, f"{name}: something else was touched"
        if case.result is UNCHANGED:
            assert end.unchanged, f"{name}: the flash is not what it was"
        if case.result is WELL:
            assert end.flashed, name
        assert not (case.silent and end.spoken), f"{name}: it was spoken to"
        # The process is gone before the verdict is told, so the first look finds it free.
        assert end.free, f"{name}: the port is still held"
        assert not end.held, f"{name}: the guard did not get the bridge back"


BEFORE = (Stage.CONNECT, Stage.IDENTIFY, Stage.CHECK, Stage.BACKUP)
WRITING = (Stage.ERASE, Stage.WRITE)
AFTER = (Stage.VERIFY,)


async def cancelled(stage: Stage, folder: Path) -> tuple[End, float, list[object]]:
    """Cancel a job in the middle of a stage; return its end, and how long the port was held."""
    async with board(folder, size=60_000) as it, cable_site(it, folder) as site:
        site.moments.waits = {site.mac: "It discharges."} if stage is Stage.CONNECT else {}
        before, said, held_s = bytes(it.esp.flash.data), [], 0.0
        restart = mock.AsyncMock(wraps=it.driver.restart)
        it.driver.restart = restart  # type: ignore[method-assign]
        job = await site.begin(site.wish(erase=stage is Stage.ERASE, backup="quick"))
        await site.at(job, stage)
        if stage in AFTER:
            said.append(await site.jobs.cancel(job, "Ann", force=True))
        else:
            if stage in WRITING:
                await site.until(lambda: it.esp.packets > 0)
            # From here on nothing answers: what is being done cannot end by itself.
            it.esp.faults = RomFaults(mute=True)
            if stage in WRITING:
                said.append(await site.jobs.cancel(job, "Ann"))
            assert isinstance(await site.jobs.cancel(job, "Ann", force=stage in WRITING), JobState)
            held_s = await freed_s(it.port.node)
        end = end_of(site, await ended(site.jobs, job), before)
        plugged = stage in BEFORE and stage is not Stage.CONNECT
        assert restart.await_count == plugged, f"{stage}: it waits in its boot loader for nothing"
        return end, held_s, said


async def test_a_job_can_be_cancelled_at_each_stage_and_in_a_write_only_by_force(
    tmp_path: Path, record_property: Record
) -> None:
    few = asyncio.Semaphore(AT_ONCE)

    async def one(stage: Stage) -> tuple[End, float, list[object]]:
        async with few:
            return await cancelled(stage, made(tmp_path / stage))

    stages = (*BEFORE, *WRITING, *AFTER)
    longest_s = 0.0
    for stage, (end, held_s, said) in zip(
        stages, await asyncio.gather(*map(one, stages)), strict=True
    ):
        told = end.state.verdict
        assert told, stage
        longest_s = max(longest_s, held_s)
        assert held_s < FREE_S, stage
        assert end.free, stage
        assert end.kept, stage
        assert not end.held, stage
        if stage in BEFORE:
            assert (told.result, told.code, end.marked) == (UNCHANGED, "cancelled", False), stage
            assert end.unchanged, stage
        elif stage in WRITING:
            assert (told.result, told.code, end.marked) == (LOST, "cancelled", True), stage
            assert "Ann broke the write off" in told.text
        else:
            assert (told.result, end.marked) == (WELL, False), (stage, told)
            assert end.flashed, stage
        assert len(said) == (0 if stage in BEFORE else 1)
        assert all(isinstance(it, Refused) and it.code == "under-way" for it in said), said
    record_property("a cancelled job leaves the port free after", longest_s)


async def test_an_agent_that_stops_lets_a_write_end(tmp_path: Path) -> None:
    async with board(tmp_path, size=60_000) as it, cable_site(it, tmp_path) as site:
        job = await site.begin()
        await site.at(job, Stage.WRITE)
        await site.until(lambda: it.esp.packets > 0)
        assert not it.flashed
        await site.stop()
        state = site.jobs.jobs.by_id[job]
        assert state.open, "nobody has proven it yet"
        assert state.upload
        assert state.upload.how is How.SENT
        assert it.flashed
        assert is_free(it.port.node)


async def test_a_second_run_says_already_correct_after_less_than_two_seconds_of_work(
    tmp_path: Path, record_property: Record
) -> None:
    async with board(tmp_path, "esp32") as it, cable_site(it, tmp_path) as site:
        site.backups.mkdir()
        for left in ("bin", "before.bin", "bin.part"):
            (site.backups / f"{site.mac}.{left}").write_bytes(SETTINGS)
        first = await site.run()
        assert first.verdict
        assert first.verdict.code == "confirmed", first.verdict
        assert not os.listdir(site.backups), "a copy with secrets was left"  # noqa: PTH208
        before, packets = bytes(it.esp.flash.data), it.esp.packets
        began_s, used_s = time.monotonic(), children_s()
        second = await site.run(site.wish(backup="quick"))
        record_property("already correct on a virtual chip after", time.monotonic() - began_s)
        assert second.verdict
        assert (second.verdict.result, second.verdict.code) == (WELL, "already-correct")
        assert (bytes(it.esp.flash.data), it.esp.packets) == (before, packets)
        assert not os.listdir(site.backups), "what is not written needs no copy"  # noqa: PTH208
        # Of the processor: how long the clock shows depends on what else the machine does.
        assert children_s() - used_s < 2.0


async def test_what_was_copied_before_a_write_broke_off_is_not_copied_over(
    tmp_path: Path,
) -> None:
    async with board(tmp_path) as it, cable_site(it, tmp_path) as site:
        for settings in (SETTINGS, b"half written", b"later"):
            it.esp.flash.load(NVS[2], settings)
            await site.cable.backup(site.wish(backup="quick"), it.device, lambda _: None)
        first, last = (site.backups / f"{site.mac}{end}" for end in (".before.bin", ".bin"))
        assert SETTINGS in first.read_bytes()
        assert b"later" in last.read_bytes()
        assert {file.stat().st_mode & 0o777 for file in (first, last)} == {0o600}


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
