"""
`flash serial` with real esptool and a virtual chip: each end has its exit code and its journal.

The cases run at once, each on a chip and a data directory of its own.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.firmware.job.models import Result
from agent.firmware.serial.pace import LADDER
from agent.firmware.serial.ports import Usb, holders
from agent.flash_arguments import CABLE_ACKS
from agent.flash_models import MEANS_CABLE, Exit
from agent.simulator.esp_rom_chips import Specimen
from agent.simulator.esp_rom_faults import RomFaults
from tests.cable_help import MAC, PLUGGED, VERSION, CableBench, cable_bench, listed, plugged
from tests.firmware.esp_images import KIB
from tests.firmware.serial.boards import SETTINGS
from tests.flash_help import Shown

DOCS = Path(__file__).parents[1] / "docs"
FREE_S = 1.0
pytestmark = pytest.mark.peers("esptool", "esp32")


@pytest.fixture(autouse=True)
def _ports() -> Iterator[None]:
    with plugged():
        yield


async def run(bench: CableBench, *more: str) -> Shown:
    return await asyncio.to_thread(bench.run, *bench.words(*more))


async def free_again(bench: CableBench) -> float:
    """Wait until nobody has the port open, and return how long that took."""
    began = time.monotonic()
    while holders(bench.port.node):
        assert time.monotonic() < began + 5, "the port is never freed"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


WRITTEN = ["connect", "identify", "check", "backup", "write", "verify", "reset", "observe"]


async def test_each_chip_is_recovered_keeps_its_settings_and_is_correct_the_second_time(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        benches = []
        for chip in ("esp32", "esp32c3", "esp32s3"):
            (tmp_path / chip).mkdir()
            benches.append(await stack.enter_async_context(cable_bench(tmp_path / chip, chip)))
        first = await asyncio.gather(*(run(it) for it in benches))
        for shown, it in zip(first, benches, strict=True):
            assert (shown.code, shown.end["code"], shown.end["mac"]) == (0, "confirmed", MAC), shown
            assert shown.end["ran"] == "alphaess-bridge 1.0.0"
            assert it.flashed
            assert it.settings == SETTINGS
            assert await it.stages() == [*WRITTEN, "complete"]
            assert not list((it.data / "backups").iterdir()), "a copy with secrets was left"
        percents = [int(it) for it in re.findall(r"^ *(\d+) %", first[0].err, re.MULTILINE)]
        assert percents == sorted(percents)
        assert len(percents) > len(WRITTEN)
        packets = [it.esp.packets for it in benches]
        second = await asyncio.gather(*(run(it) for it in benches[:2]))
        assert {(it.code, it.end["code"]) for it in second} == {(0, "already-correct")}, second
        assert "known here" in second[0].err
        assert [it.esp.packets for it in benches] == packets, "it was written again"


@dataclass
class Case:
    """What is wrong, and how that ends."""

    code: Exit
    word: str
    said: str
    faults: RomFaults = field(default_factory=RomFaults)
    specimen: Specimen | None = None
    made_for: str | None = None
    words: tuple[str, ...] = ("--mac", MAC)
    prepare: Callable[[CableBench], object] = lambda _: None
    needs: bool = False
    starts: bool = True


def truncate(bench: CableBench) -> None:
    bench.image.write_bytes(bench.content[:-1000])


def hold(bench: CableBench) -> None:
    os.open(bench.port.path, os.O_RDWR | os.O_NOCTTY)


CASES = {
    "nothing answers": Case(Exit.UNCHANGED, "no-answer", "Hold BOOT", RomFaults(mute=True)),
    "secure boot": Case(
        Exit.REFUSED, "secure-boot", "secure boot", specimen=Specimen("esp32", secure_boot=True)),
    "secure download": Case(
        Exit.REFUSED, "secure-download", "cannot be written",
        specimen=Specimen("esp32c3", secure_download=True)),
    "wrong chip": Case(Exit.REFUSED, "wrong-chip", "esp32s3", made_for="esp32s3"),
    "wrong mac": Case(
        Exit.REFUSED, "wrong-device", "was meant", words=("--mac", "B8:D6:1A:00:00:01")),
    "not confirmed": Case(
        Exit.REFUSED, "not-confirmed", "Nobody said yes", words=("--keep-backup",)),
    "small flash": Case(
        Exit.REFUSED, "flash-too-small", "2097152",
        specimen=Specimen("esp32c3", flash_size=2 << 20)),
    "truncated": Case(Exit.UNCHANGED, "download", "could not be fetched", prepare=truncate),
    "held": Case(Exit.UNCHANGED, "port-busy", "uses the port", prepare=hold),
    "pulled": Case(
        Exit.NEEDS_FLASHING, "unplugged", "needs flashing",
        RomFaults(unplugged_after=1_000), needs=True),
    "worn": Case(
        Exit.NEEDS_FLASHING, "not-kept", "needs flashing", RomFaults(worn_sector=0x11), needs=True),
    "forgets": Case(
        Exit.NEEDS_FLASHING, "not-kept", "needs flashing", RomFaults(forgets=True), needs=True),
    "silent": Case(Exit.AMBIGUOUS, "start-silent", "not seen to start", starts=False),
}  # fmt: skip


async def played(name: str, case: Case, folder: Path) -> tuple[Shown, CableBench, float, Any]:
    made = cable_bench(
        folder, faults=case.faults, specimen=case.specimen, made_for=case.made_for,
        starts=case.starts, ladder=LADDER[:1],
    )  # fmt: skip
    async with made as bench:
        held = case.prepare(bench)
        before = bytes(bench.esp.flash.data)
        shown = await run(bench, *case.words, "--backup", "none")
        freed_s = 0.0 if name == "held" else await free_again(bench)
        del held
        jobs = await bench.jobs()
        unchanged = bytes(bench.esp.flash.data) == before
        return shown, bench, freed_s, (jobs, unchanged)


async def test_what_goes_wrong_has_its_verdict_its_mark_and_a_free_port(tmp_path: Path) -> None:
    few = asyncio.Semaphore(4)
    for number in range(len(CASES)):
        (tmp_path / str(number)).mkdir()

    async def one(number: int, name: str) -> tuple[str, Any]:
        async with few:
            return name, await played(name, CASES[name], tmp_path / str(number))

    ends = dict(await asyncio.gather(*(one(*it) for it in enumerate(CASES))))
    for name, (shown, _bench, freed_s, (jobs, unchanged)) in ends.items():
        case = CASES[name]
        told = shown.end
        assert (shown.code, told["code"]) == (case.code, case.word), (name, shown)
        assert case.said in told["text"], (name, shown)
        assert jobs.open == (), name
        assert jobs.unread == 0, name
        marked = bool(jobs.needs_flashing)
        assert marked == case.needs, (name, jobs.needs_flashing)
        began = any(it.upload_began for it in jobs.by_id.values())
        assert unchanged or began, f"{name}: something was written that the journal does not know"
        assert freed_s < FREE_S, name


async def begun(bench: CableBench, stage: str, *more: str) -> tuple[subprocess.Popen[str], str]:
    process = bench.begin(*bench.words(*more))
    return process, await asyncio.to_thread(_until, process, f" {stage} ")


async def test_an_agent_that_is_killed_while_it_writes_leaves_a_mark_and_the_next_run_recovers(
    tmp_path: Path,
) -> None:
    async with cable_bench(tmp_path, size=64 * KIB) as bench:
        process, _ = await begun(bench, "write", "--mac", MAC, "--backup", "none")
        bench.port.paced = True
        await asyncio.wait_for(_touched(bench), 30)
        process.kill()
        await asyncio.to_thread(process.communicate)
        assert await free_again(bench) < FREE_S
        (job,) = (jobs := await bench.jobs()).open
        assert job.upload_began
        assert jobs.needs_flashing == {job.mac}
        bench.port.paced = False
        await asyncio.wait_for(bench.port.closed.wait(), 10)
        shown = await run(bench, "--mac", MAC, "--backup", "none")
        assert (shown.code, shown.end["code"]) == (0, "confirmed"), shown
        assert "The agent ended while it wrote" in shown.err
        assert bench.flashed
        jobs = await bench.jobs()
        results = [it.verdict.result for it in jobs.by_id.values() if it.verdict]
        assert results == [Result.LOST, Result.CONFIRMED]
        assert not jobs.needs_flashing
        assert not jobs.open


async def test_ctrl_c_ends_it_before_a_write_and_in_one_it_takes_two(tmp_path: Path) -> None:
    async with cable_bench(tmp_path, size=64 * KIB) as bench:
        before = bytes(bench.esp.flash.data)
        process, _ = await begun(bench, "backup")
        bench.port.paced = True
        process.send_signal(signal.SIGINT)
        shown = await asyncio.to_thread(_ended, process)
        assert (shown.code, shown.end["code"]) == (Exit.CANCELLED, "cancelled"), shown
        assert bytes(bench.esp.flash.data) == before
        assert await free_again(bench) < FREE_S
        await asyncio.wait_for(bench.port.closed.wait(), 10)

        bench.port.paced = False
        process, _ = await begun(bench, "write", "--mac", MAC, "--backup", "none")
        bench.port.paced = True
        await asyncio.wait_for(_touched(bench), 30)
        process.send_signal(signal.SIGINT)
        said = await asyncio.to_thread(_until, process, "Ctrl-C again")
        assert "leaves it without firmware" in said
        assert holders(bench.port.node), "the first one has ended the write"
        process.send_signal(signal.SIGINT)
        shown = await asyncio.to_thread(_ended, process)
        assert (shown.code, shown.end["code"]) == (Exit.NEEDS_FLASHING, "cancelled"), shown
        assert await free_again(bench) < FREE_S
        assert len((await bench.jobs()).needs_flashing) == 1


async def test_settings_go_only_when_that_was_asked_for_and_a_kept_copy_has_them(
    tmp_path: Path,
) -> None:
    async with cable_bench(tmp_path) as bench:
        shown = await run(bench, "--yes", "--erase-settings", "--keep-backup")
        assert shown.code == Exit.CONFIRMED, shown
        assert bench.flashed
        assert bench.settings == b"\xff" * len(SETTINGS)
        assert "erase" in await bench.stages()
        (copy,) = (bench.data / "backups").iterdir()
        assert copy.stat().st_mode & 0o777 == 0o600
        assert SETTINGS in copy.read_bytes()
        assert str(copy) in shown.end["evidence"][-1]
        assert "password" not in shown.out + shown.err


async def test_of_two_ports_none_is_taken_and_a_radio_stick_never(tmp_path: Path) -> None:
    stick = listed("/dev/ttyUSB9", Usb(0x10C4, 0xEA60, "7", "ITead", "Sonoff Zigbee 3.0"))
    other = listed("/dev/ttyUSB8")
    async with cable_bench(tmp_path) as bench:
        words = [it for it in bench.words() if it not in {"--port", bench.port.path}]
        PLUGGED.extend((stick, other))
        try:
            open_choice = await asyncio.to_thread(bench.run, *words)
            at_stick = await asyncio.to_thread(bench.run, *words, "--port", "/dev/ttyUSB9")
            asked = await asyncio.to_thread(bench.run, "flash", "identify", "--json")
            shown = await asyncio.to_thread(bench.run, "flash", "ports", "--json")
        finally:
            PLUGGED[:] = [it for it in PLUGGED if it not in {stick, other}]
        assert (open_choice.code, open_choice.end["code"]) == (Exit.USAGE, "port-ambiguous")
        assert (at_stick.code, at_stick.end["code"]) == (Exit.REFUSED, "wrong-device")
        assert asked.code == Exit.USAGE
        assert [it["adapter"] for it in shown.end["ports"]] == [
            "usb-to-serial",
            "stick",
            "usb-to-serial",
        ]
        assert not bench.esp.commands, "a port was spoken to that nobody chose"
        named = await asyncio.to_thread(bench.run, "flash", "identify", "--json")
        assert (named.code, named.end["chip"], named.end["mac"]) == (0, "esp32c3", MAC)
        assert not bench.esp.packets


def test_a_recovery_without_a_reason_is_told_before_anything_is_touched(tmp_path: Path) -> None:
    words = ["flash", "serial", "--release", VERSION, "--data", str(tmp_path / "d"), "--json"]
    bench = CableBench.__new__(CableBench)
    bench.port, bench.ladder, bench.starts = None, (), False  # type: ignore[assignment]
    shown = bench.run(*words)
    assert (shown.code, shown.end["code"]) == (Exit.USAGE, "reason-missing")
    assert not (tmp_path / "d").exists()


def test_every_end_of_a_recovery_is_in_the_docs() -> None:
    told = (DOCS / "recovery.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", told, re.MULTILINE))
    assert rows == {
        str(int(it)): f"`{it.name.lower()}` | {means}" for it, means in MEANS_CABLE.items()
    }
    for ack in CABLE_ACKS:
        assert f"`--ack-{ack}`" in told


async def _touched(bench: CableBench) -> None:
    """Wait until content has reached the flash."""
    packets = bench.esp.packets
    while bench.esp.packets <= packets:  # noqa: ASYNC110 - the chip tells nobody
        await asyncio.sleep(0.01)


def _until(process: subprocess.Popen[str], word: str) -> str:
    """Return what it said, up to the line with that word."""
    assert process.stderr is not None
    said = ""
    for each in process.stderr:
        said += each
        if word in each:
            return said
    raise AssertionError(f"it ended without {word!r}: {said}")


def _ended(process: subprocess.Popen[str]) -> Shown:
    out, err = process.communicate(timeout=60)
    return Shown(process.returncode, out, err)
