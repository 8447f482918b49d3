"""A copy of the data, made while the agent writes, opens as what it was and loses nothing."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from agent import backup, journal_worker
from agent.__main__ import main
from agent.backup import LOCK_NAME, LONGEST_S
from agent.journal import Journal
from tests.journal_help import NOON, everything
from tests.test_instance import demo, said_where_it_is

MAIN, LOG = "journal.sqlite3", "journal.sqlite3-wal"
WRITES = 40
"""Between the copy of one file and that of the other; a checkpoint is due at every fifth."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_worker, "_CHECKPOINT_COMMITS", 5)
    monkeypatch.setattr(journal_worker, "_CHECKPOINT_COMMITS_BUSY", 5)


async def write(journal: Journal, first: int, count: int = WRITES) -> None:
    for number in range(first, first + count):
        await journal.record({"guard": {"n": number}}, [("x", {"n": number})], NOON)


@pytest.mark.parametrize("order", [(MAIN, LOG), (LOG, MAIN)], ids=["file first", "log first"])
async def test_a_copy_made_between_begin_and_end_is_whole_whatever_is_copied_first(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    data.mkdir()
    copy.mkdir()
    async with await Journal.open(data / MAIN) as journal:
        await write(journal, 0)
        assert main(["backup", "begin", "--data", str(data)]) == 0
        for done, name in enumerate(order):
            shutil.copy(data / name, copy / name)
            await write(journal, WRITES * (done + 1))
        held = (data / MAIN).read_bytes() == (copy / MAIN).read_bytes()
        assert main(["backup", "end", "--data", str(data)]) == 0
        await write(journal, WRITES * 3)
        assert held, "something was moved into the file while it was copied"
        assert (data / MAIN).read_bytes() != (copy / MAIN).read_bytes(), "nothing is moved any more"
    async with await Journal.open(copy / MAIN) as restored:
        assert restored.recovered is None
        told = [event["n"] for event in await everything(restored)]
        assert told == list(range(len(told)))
        assert len(told) >= WRITES, "what was written before the backup is in it"
        assert await restored.load_state("guard") == {"n": told[-1]}


def test_a_backup_that_never_ended_is_forgotten(tmp_path: Path) -> None:
    def free() -> bool:
        with backup.between_backups(tmp_path) as nobody:
            return nobody

    assert free()
    backup.begin(tmp_path)
    assert not free()
    for until_s in (time.time() - 1, time.time() + 2 * LONGEST_S):
        (tmp_path / LOCK_NAME).write_text(f"{until_s:.0f}\n")
        assert free(), "over, or of a clock that was wrong"
    (tmp_path / LOCK_NAME).write_bytes(b"\xff nonsense")
    assert free()
    backup.begin(tmp_path)
    backup.end(tmp_path)
    assert free()


def test_a_place_that_is_none_of_ours_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backup", "begin", "--data", str(tmp_path / "nowhere")]) == 1
    assert "Is " in capsys.readouterr().err


async def test_a_backup_waits_for_what_is_being_moved(tmp_path: Path) -> None:
    with backup.between_backups(tmp_path) as free:
        assert free
        begun = asyncio.create_task(asyncio.to_thread(backup.begin, tmp_path))
        await asyncio.sleep(0.1)
        assert not begun.done()
    await asyncio.wait_for(begun, 5)


def test_the_data_of_a_started_agent_restored_from_a_tar_start_another_one(tmp_path: Path) -> None:
    data, restored = tmp_path / "data", tmp_path / "restored"
    data.mkdir()
    agent = demo(data)
    try:
        assert "open http://" in said_where_it_is(agent)
        command = [sys.executable, "-m", "agent", "backup"]
        subprocess.run([*command, "begin", "--data", str(data)], check=True)  # noqa: S603
        with tarfile.open(tmp_path / "backup.tar", "w") as archive:
            archive.add(data, ".")
        subprocess.run([*command, "end", "--data", str(data)], check=True)  # noqa: S603
    finally:
        agent.kill()
        agent.communicate(timeout=60)
    with tarfile.open(tmp_path / "backup.tar") as archive:
        archive.extractall(restored, filter="data")
    again = demo(restored)
    try:
        assert "open http://" in said_where_it_is(again)
        assert not list(restored.glob("*.broken-*"))
    finally:
        again.kill()
        _, said = again.communicate(timeout=60)
    assert "damaged" not in said, said
    assert not (restored / MAIN).stat().st_mode & 0o077
