"""A journal that is damaged, or whose disk does not take it, says so and loses nothing quietly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent import journal_file
from agent.journal import (
    LOSS_ACCEPTED_KIND,
    RECOVERED_KIND,
    Journal,
    JournalError,
    JournalLimits,
    Sample,
)
from agent.journal_worker import Worker
from tests.journal_help import NOON, contents, everything, modes, put, set_mode, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    async with await Journal.open(path) as opened:
        yield opened


# --- damage --------------------------------------------------------------------------------


def tear(path: Path, how: str) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        if how == "overwritten":
            file.write(b"not a database at all, " * 50)
        elif how == "truncated":
            file.truncate(size // 2 + 100)
        elif how == "emptied":
            file.truncate(0)
        else:
            file.seek(size // 2)
            file.write(os.urandom(4096))
    if how == "main file gone":
        path.rename(path.with_name("journal.sqlite-wal"))


@pytest.mark.parametrize(
    "how", ["overwritten", "truncated", "emptied", "garbled", "main file gone"]
)
async def test_a_damaged_file_is_kept_aside_and_its_loss_is_told(path: Path, how: str) -> None:
    async with await Journal.open(path) as journal:
        await asyncio.gather(*(journal.append("x", {"pad": "y" * 500}, NOON) for _ in range(200)))
        await journal.save_state("ledger", {"wh": 1}, NOON)
    tear(path, how)
    (damaged,) = contents(path.parent).values()
    async with await Journal.open(path) as journal:
        assert journal.created
        assert journal.recovered
        assert journal.recovered.kept_as == "journal.sqlite.broken-1"
        assert await journal.load_state("ledger") is None
        (first,) = await journal.events()
        assert first.kind == RECOVERED_KIND
        assert first.data["kept_as"] == "journal.sqlite.broken-1"
        await journal.append("goes on", {}, NOON)
    assert damaged in contents(path.parent).values()


async def test_the_loss_is_told_at_each_start_until_it_is_accepted(path: Path) -> None:
    put(path, b"junk" * 2000)
    for _ in range(2):
        async with await Journal.open(path) as journal:
            assert journal.recovered
            await journal.save_state("somebody else's", {}, NOON)
    async with await Journal.open(path) as journal:
        assert journal.recovered
        await journal.record({"ledger": {"worst": True}}, [(LOSS_ACCEPTED_KIND, {})], NOON)
    async with await Journal.open(path) as journal:
        assert journal.recovered is None


async def test_the_loss_is_told_when_the_recovery_itself_was_cut_short(path: Path) -> None:
    put(path.with_name(f"{path.name}.broken-1"), b"junk" * 2000)
    async with await Journal.open(path) as journal:
        assert journal.recovered
        assert journal.recovered.kept_as == "journal.sqlite.broken-1"


async def test_a_second_damage_keeps_the_first_file(path: Path) -> None:
    for content in (b"first" * 999, b"second" * 999):
        put(path, content)
        await (await Journal.open(path)).close()
    found = contents(path.parent)
    assert found["journal.sqlite.broken-1"] == b"first" * 999
    assert found["journal.sqlite.broken-2"] == b"second" * 999


async def test_a_first_start_is_no_loss_and_is_private(journal: Journal, path: Path) -> None:
    assert journal.created
    assert journal.recovered is None
    await journal.append("x", {}, NOON)
    assert set(contents(path.parent)) == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    assert modes(path.parent) == {0o600}


async def test_a_leftover_of_an_unfinished_first_start_does_not_matter(path: Path) -> None:
    put(path.with_name("journal.sqlite.new"), b"half")
    async with await Journal.open(path) as journal:
        assert journal.recovered is None


async def test_the_file_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    await (await Journal.open(path)).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = contents(path.parent)
    with pytest.raises(JournalError, match=r"newer version.*update the agent") as caught:
        await Journal.open(path)
    assert caught.value.code == "newer"
    assert contents(path.parent) == before


def test_a_call_that_comes_after_a_failed_opening_learns_why_it_failed(path: Path) -> None:
    put(path, b"")
    put(path.with_name(f"{path.name}.new"), b"")
    path.with_name(f"{path.name}.new-wal").mkdir()  # the fresh one cannot be built
    worker = Worker(path, JournalLimits())
    worker.start()
    worker.join()
    assert not worker.submit(Sample(1.0))
    assert worker.closed_error().code == "readonly"


async def test_an_older_file_is_migrated_with_its_content(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await Journal.open(path) as journal:
        await journal.append("old", {"n": 1}, NOON)
    steps = (*journal_file.MIGRATIONS, ("ALTER TABLE events ADD COLUMN extra TEXT",))
    monkeypatch.setattr(journal_file, "MIGRATIONS", steps)
    monkeypatch.setattr(journal_file, "SCHEMA_VERSION", len(steps))
    async with await Journal.open(path) as journal:
        assert await everything(journal) == [{"n": 1}]
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(steps),)
        assert db.execute("SELECT extra FROM events").fetchall() == [(None,)]


# --- a disk that does not take it ------------------------------------------------------------


@contextlib.contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Make the kernel refuse writes beyond this size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_write_that_the_disk_refuses_is_an_error_and_the_next_one_works(
    journal: Journal, path: Path
) -> None:
    await journal.append("before", {}, NOON)
    with largest_file(len(contents(path.parent)[f"{path.name}-wal"])):
        with pytest.raises(JournalError, match=r"could not record lost.*disk") as caught:
            await journal.append("lost", {}, NOON)
        with pytest.raises(JournalError):
            await journal.record({"ledger": {"wh": 1}}, [("lost", {})], NOON)
    assert caught.value.code == "io"
    await journal.append("after", {}, NOON)
    assert [event.kind for event in await journal.events()] == ["before", "after"]
    assert await journal.load_state("ledger") is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:  # noqa: S603 - fixed words
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)  # noqa: S603, S607 - fixed words


async def fill(journal: Journal) -> tuple[int, JournalError]:
    for stored in range(10_000):
        try:
            await journal.append("fill", {"pad": "x" * 1000}, NOON)
        except JournalError as error:
            return stored, error
    raise AssertionError("the disk never got full")


async def test_a_full_disk_is_named_and_nothing_half_written_stays(small_disk: Path) -> None:
    path = small_disk / "journal.sqlite"
    async with await Journal.open(path) as journal:
        stored, error = await fill(journal)
        assert "free space on the data disk" in str(error)
        assert error.code == "full"
        assert len(await everything(journal)) == stored > 20
    async with await Journal.open(path) as journal:
        assert journal.recovered is None
        assert len(await everything(journal)) == stored


@pytest.fixture
def unprivileged_folder() -> Iterator[Path]:
    """A folder that this process, for now not root, owns and can be refused."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


async def test_a_read_only_folder_is_an_error_with_words(unprivileged_folder: Path) -> None:
    set_mode(unprivileged_folder, 0o500)
    with pytest.raises(JournalError, match="make the data directory writable") as caught:
        await Journal.open(unprivileged_folder / "journal.sqlite")
    assert caught.value.code == "readonly"


async def test_an_existing_journal_in_a_read_only_folder_is_not_called_damaged(
    unprivileged_folder: Path,
) -> None:
    path = unprivileged_folder / "journal.sqlite"
    async with await Journal.open(path) as journal:
        await journal.append("x", {}, NOON)
    set_mode(path, 0o400)
    set_mode(unprivileged_folder, 0o500)
    with pytest.raises(JournalError, match="make the data directory writable"):
        await Journal.open(path)
    assert set(contents(unprivileged_folder)) == {"journal.sqlite"}


async def test_another_program_that_writes_is_named(path: Path) -> None:
    async with await Journal.open(path, JournalLimits(other_writer_s=0.05)) as journal:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalError, match="close the other program") as caught:
                await journal.append("x", {}, NOON)
            other.execute("ROLLBACK")
        assert caught.value.code == "busy"
        await journal.append("y", {}, NOON)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def journal_says(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return any(words in record.getMessage() for record in caplog.records)


async def test_samples_wait_for_a_disk_that_refuses_and_the_oldest_go_first(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = JournalLimits(flush_samples_s=0.02, unwritten_samples=50)
    async with await Journal.open(path, limits) as journal:
        with largest_file(4096):
            for n in range(60):
                journal.note_sample(Sample(float(n)))
            await until(lambda: journal.samples_lost == 10, "ten samples are given up")
            await until(lambda: journal_says(caplog, "waits in memory"), "the refusal is told")
            with pytest.raises(JournalError):
                await journal.append("x", {"pad": "y" * 4096}, NOON)
        before = journal.commits
        await until(lambda: journal.commits > before, "the rest is written")
        kept = await journal.samples(at(0), at(100))
        assert [sample.at for sample in kept] == [float(n) for n in range(10, 60)]
