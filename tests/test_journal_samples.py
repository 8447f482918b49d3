"""The history survives what it can, stays small, and never stands in the way of the journal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent import journal_file, journal_samples
from agent.journal import Journal, JournalError, JournalLimits, Sample
from agent.journal_codec import SAMPLE_COLUMNS, rounded
from agent.journal_samples import SAMPLES_NAME, SampleFile
from tests.journal_help import NOON, PATIENCE_S, contents, everything, modes, put, until

REPOSITORY = Path(__file__).parents[1]
AT_ONCE = JournalLimits(unwritten_samples=100_000)
"""For cases that note in a moment what a house notes in a day."""

NOTER = """
import asyncio, os, sys
from pathlib import Path
from agent.journal import Journal, JournalLimits, Sample

async def main():
    limits = JournalLimits(flush_samples_s=0.01)
    journal = await Journal.open(Path(sys.argv[1]), limits)
    for n in range(100_000):
        journal.note_sample(Sample(float(n), grid_w=float(n)))
        if n % 50 == 0:
            commits = journal.commits
            while journal.commits == commits:
                await asyncio.sleep(0.002)
            os.write(1, f"{n}\\n".encode())

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / SAMPLES_NAME


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def points(first: int, end: int) -> list[Sample]:
    return [
        Sample(float(n), grid_w=float(-n), soc_percent=n % 1000 / 10) for n in range(first, end)
    ]


async def note(path: Path, *noted: Sample) -> None:
    async with await Journal.open(path, AT_ONCE) as journal:
        for sample in noted:
            journal.note_sample(sample)


def obstruct(file: Path) -> None:
    file.mkdir()


def forget(file: Path) -> None:
    for each in file.parent.glob(f"{file.name}*"):
        each.unlink()


async def noted_in(path: Path) -> list[Sample]:
    async with await Journal.open(path) as journal:
        return await journal.samples(at(0), at(1e9))


async def test_a_killed_process_loses_only_what_was_not_flushed(path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", NOTER, str(path),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert child.stdout
    flushed = 0
    while flushed < 1000:
        line = await asyncio.wait_for(child.stdout.readline(), PATIENCE_S)
        flushed = int(line)
    child.kill()
    await child.communicate()
    assert child.returncode == -9
    kept = await noted_in(path)
    assert len(kept) > flushed
    assert kept == [Sample(float(n), grid_w=float(n)) for n in range(len(kept))]


async def test_a_block_goes_on_filling_after_a_restart(path: Path, file: Path) -> None:
    for start in range(0, 2000, 250):
        await note(path, *points(start, start + 250))
    assert await noted_in(path) == points(0, 2000)
    with contextlib.closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT COUNT(*) FROM blocks").fetchone() == (3,)


async def test_a_span_is_half_open_across_blocks_waiting_points_and_jumps(path: Path) -> None:
    """Against the plain list: a clock that jumps back makes blocks that overlap."""
    chance = random.Random(7)  # noqa: S311 - no secret
    noted, clock = [], 10_000.0
    for _ in range(3000):
        clock += 5 + (chance.choice([-4000, 4000]) if chance.random() < 0.003 else 0)
        noted.append(rounded(Sample(clock, grid_w=float(chance.randint(-9, 9)))))
    await note(path, *noted[:1000])
    async with await Journal.open(path, AT_ONCE) as journal:
        for sample in noted[1000:]:
            journal.note_sample(sample)
        for _ in range(20):
            begin, end = sorted(chance.choice(noted).at for _ in range(2))
            expected = [each for each in noted if begin <= each.at < end]
            found = await journal.samples(at(begin), at(end))
            assert found == sorted(expected, key=lambda each: each.at)
            blocks = [block async for block in journal.sample_blocks(at(begin), at(end))]
            assert [each for block in blocks for each in block] == expected


def lively(chance: random.Random, first: int) -> list[Sample]:
    """Points that no codec can shrink."""
    names = SAMPLE_COLUMNS[1:]
    return [
        Sample(float(n), *(float(chance.randint(-20_000, 20_000)) for _ in names))
        for n in range(first, first + 720)
    ]


def test_the_files_never_take_more_than_the_bound_and_the_oldest_go(file: Path) -> None:
    chance = random.Random(1)  # noqa: S311 - no secret
    limit_bytes = 1_150_000
    history = SampleFile(file, limit_bytes)
    largest_bytes = 0
    for hour in range(25):
        history.add(lively(chance, hour * 720))
        sizes = [each.stat().st_size for each in file.parent.glob(f"{SAMPLES_NAME}*")]
        largest_bytes = max(largest_bytes, sum(sizes))
    blocks, rest = history.span(0, 1e9)
    kept = [sample.at for number in blocks for sample in history.block(number, 0, 1e9)] + [
        sample.at for sample in rest
    ]
    history.close()
    assert largest_bytes <= limit_bytes
    assert kept == [float(n) for n in range(25 * 720 - len(kept), 25 * 720)]
    assert 4 * 720 < len(kept) < 15 * 720


def test_the_usual_bound_is_64_megabytes() -> None:
    assert JournalLimits().samples_bytes == 64_000_000


@pytest.mark.parametrize("content", [b"not a database at all, " * 500, b"", b"SQLite format 3\0"])
async def test_a_damaged_history_is_begun_anew_and_the_journal_does_not_mind(
    path: Path, file: Path, content: bytes
) -> None:
    await note(path, *points(0, 900))
    async with await Journal.open(path) as journal:
        await journal.append("kept", {"n": 1}, NOON)
    put(file, content)
    async with await Journal.open(path) as journal:
        assert journal.recovered is None
        assert await everything(journal) == [{"n": 1}]
        journal.note_sample(Sample(1000.0))
    assert await noted_in(path) == [Sample(1000.0)]


@pytest.mark.parametrize("whole_bytes", [100, 1024, 4096])
async def test_a_history_that_is_torn_beneath_a_running_journal_is_no_error(
    path: Path, file: Path, caplog: pytest.LogCaptureFixture, whole_bytes: int
) -> None:
    await note(path, *lively(random.Random(3), 0))  # noqa: S311 - no secret
    async with await Journal.open(path) as journal:
        whole = contents(path.parent)[SAMPLES_NAME]
        assert len(whole) > 15_000
        put(file, whole[:whole_bytes] + b"torn" * (len(whole) // 4))
        await journal.samples(at(0), at(1e9))  # whatever is left: no error
        await journal.append("still here", {}, NOON)
        journal.note_sample(Sample(5000.0))
    assert Sample(5000.0) in await noted_in(path)
    assert any(SAMPLES_NAME in record.getMessage() for record in caplog.records)


async def test_a_torn_block_is_left_out_and_the_others_stay(path: Path, file: Path) -> None:
    await note(path, *points(0, 2200))
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("UPDATE blocks SET data = substr(data, 1, length(data) - 3) WHERE id IN (2, 4)")
    await note(path, *points(3000, 3010))
    assert await noted_in(path) == [*points(0, 720), *points(1440, 2160), *points(3000, 3010)]


async def test_the_history_of_a_newer_version_is_left_alone_and_told(
    path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await note(path, *points(0, 10))
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA user_version = 99")
    before = contents(path.parent)[SAMPLES_NAME]
    caplog.set_level(logging.WARNING)
    async with await Journal.open(path) as journal:
        assert await journal.samples(at(0), at(99)) == []
        with pytest.raises(JournalError, match=r"samples.*newer version.*update the agent"):
            [block async for block in journal.sample_blocks(at(0), at(99))]
        journal.note_sample(Sample(50.0))
        await journal.append("x", {}, NOON)
    assert contents(path.parent)[SAMPLES_NAME] == before
    assert "update the agent" in caplog.text


async def test_a_history_that_may_not_be_opened_stops_nothing(path: Path, file: Path) -> None:
    obstruct(file)
    async with await Journal.open(path) as journal:
        journal.note_sample(Sample(50.0))
        await journal.append("x", {"n": 1}, NOON)
        assert await journal.samples(at(0), at(99)) == []
        assert await everything(journal) == [{"n": 1}]
    assert contents(file) == {}


async def test_a_fault_of_the_history_does_not_end_the_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(journal_samples, "encode", broken)
    async with await Journal.open(path, JournalLimits(flush_samples_s=0.01)) as journal:
        journal.note_sample(Sample(1.0))
        await until(lambda: "ZeroDivisionError" in caplog.text, "the fault is told")
        assert await journal.append("x", {}, NOON) > 0
        monkeypatch.undo()
        await until(lambda: journal.commits > 1, "the sample is written after all")
    assert await noted_in(path) == [Sample(1.0)]


async def test_another_program_that_holds_the_history_delays_no_record(
    path: Path, file: Path
) -> None:
    await note(path, Sample(1.0))
    async with await Journal.open(path, JournalLimits(flush_samples_s=0.01)) as journal:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for n in range(20):
                journal.note_sample(Sample(2.0 + n))
                await asyncio.wait_for(journal.append("x", {}, NOON), PATIENCE_S / 10)
                await asyncio.sleep(0.005)
            other.execute("ROLLBACK")
    assert len(await noted_in(path)) == 21


async def test_a_restored_backup_has_no_history_and_no_loss(path: Path, file: Path) -> None:
    """The history is out of backups: its files are simply not there afterwards."""
    await note(path, *points(0, 10))
    forget(file)
    async with await Journal.open(path) as journal:
        assert journal.recovered is None
        assert await journal.samples(at(0), at(99)) == []
    assert set(contents(path.parent)) == {path.name}  # nothing noted, nothing made


async def test_the_history_is_private(path: Path) -> None:
    async with await Journal.open(path) as journal:
        journal.note_sample(Sample(1.0))
    assert SAMPLES_NAME in contents(path.parent)
    assert modes(path.parent) == {0o600}


async def test_nonsense_is_dropped_and_counted(path: Path) -> None:
    async with await Journal.open(path) as journal:
        journal.note_sample(Sample(float("nan")))
        journal.note_sample(Sample("yesterday"))  # type: ignore[arg-type]
        journal.note_sample(Sample(1.0, grid_w=float("inf")))
        assert await journal.samples(at(0), at(99)) == [Sample(1.0)]
        assert journal.samples_lost == 2


async def test_an_older_journal_gives_its_samples_up_and_keeps_all_else(
    path: Path,
) -> None:
    steps = journal_file.MIGRATIONS
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in steps[0]:
            db.execute(statement)
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO samples (at, grid_w) VALUES (1.0, 2.0)")
        db.execute("INSERT INTO states VALUES ('guard', ?, '{\"wh\":1.5}')", (NOON.isoformat(),))
        db.execute(journal_file.INSERT_EVENT, (NOON.timestamp(), NOON.isoformat(), "old", "{}"))
    async with await Journal.open(path) as journal:
        assert await journal.load_state("guard") == {"wh": 1.5}
        (event,) = await journal.events(since=NOON)
        assert (event.kind, event.at) == ("old", NOON)
        assert await journal.samples(at(0), at(99)) == []
        await journal.save_state("guard", {"wh": 2}, NOON)
        assert await journal.load_state("guard") == {"wh": 2}
    assert set(contents(path.parent)) == {path.name}
