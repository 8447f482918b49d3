"""What the journal acknowledged stays, whatever dies; what it could not keep, it says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import sqlite3
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.journal import Journal, JournalError, JournalLimits, Sample
from agent.journal_codec import decode
from agent.journal_samples import SAMPLES_NAME
from tests.journal_help import NOON, PATIENCE_S, contents, everything, until

REPOSITORY = Path(__file__).parents[1]

WRITER = """
import asyncio, os, sys
from datetime import UTC, datetime
from pathlib import Path
from agent.journal import Journal

async def write(journal, writer):
    for n in range(100_000):
        key = f"{writer}-{n}"
        states = {f"writer{writer}": {"last": n}}
        await journal.record(states, [("decision", {"key": key})], datetime.now(UTC))
        os.write(1, f"{key}\\n".encode())

async def main():
    journal = await Journal.open(Path(sys.argv[1]))
    await asyncio.gather(*(write(journal, sys.argv[2] + str(w)) for w in range(4)))

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    async with await Journal.open(path) as opened:
        yield opened


# --- the promise ---------------------------------------------------------------------------


async def test_a_killed_process_loses_nothing_that_was_acknowledged(path: Path) -> None:
    acknowledged: set[str] = set()
    for kill in range(5):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(path), f"k{kill}w",
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        assert child.stdout
        for _ in range(1 + 37 * kill):
            line = await asyncio.wait_for(child.stdout.readline(), PATIENCE_S)
            acknowledged.add(line.decode().strip())
        child.kill()
        tail, _ = await child.communicate()
        acknowledged |= set(tail.decode().rpartition("\n")[0].split())
        assert child.returncode == -9
        async with await Journal.open(path) as journal:
            assert journal.recovered is None
            stored = [str(data["key"]) for data in await everything(journal)]
            assert len(set(stored)) == len(stored)
            assert acknowledged <= set(stored)
            for writer in {key.partition("-")[0] for key in stored}:
                # States and events of one call are there together or not at all.
                own = [int(key.partition("-")[2]) for key in stored if key.startswith(f"{writer}-")]
                assert own == list(range(len(own)))
                assert await journal.load_state(f"writer{writer}") == {"last": own[-1]}
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(acknowledged) > 300


async def test_every_commit_is_synced_to_the_disk(journal: Journal) -> None:
    """A killed process cannot tell FULL from OFF, so the setting itself is asked."""

    def ask(db: sqlite3.Connection) -> tuple[object, object]:
        names = "synchronous", "journal_mode"
        return tuple(db.execute(f"PRAGMA {name}").fetchone()[0] for name in names)

    assert await journal._submit("ask", ask, durable=False) == (2, "wal")


async def test_concurrent_calls_share_commits_and_keep_their_order(journal: Journal) -> None:
    before = journal.commits
    ids = await asyncio.gather(*(journal.append("n", {"n": n}, NOON) for n in range(500)))
    assert ids == sorted(ids)
    assert len(set(ids)) == 500
    assert [data["n"] for data in await everything(journal)] == list(range(500))
    assert journal.commits - before <= 50


async def test_one_record_is_one_commit(journal: Journal) -> None:
    before = journal.commits
    ids = await journal.record(
        {"ledger": {"wh": 1}, "lease": {"w": 2}}, [("a", {}), ("b", {})], NOON
    )
    assert len(ids) == 2
    assert journal.commits == before + 1


async def test_a_state_is_the_last_one_saved_and_none_before(journal: Journal, path: Path) -> None:
    assert await journal.load_state("ledger") is None
    await journal.save_state("ledger", {"exported_wh": 1.0}, NOON)
    await journal.save_state("ledger", {"exported_wh": 0.1 + 0.2}, NOON)
    await journal.close()
    async with await Journal.open(path) as again:
        assert await again.load_state("ledger") == {"exported_wh": 0.30000000000000004}
        assert not again.created


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


moments = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    timezones=st.sampled_from([UTC, ZoneInfo("Europe/London"), ZoneInfo("Asia/Kolkata")]),
)


def test_data_and_time_always_come_back_bit_for_bit(path: Path) -> None:
    async def there_and_back(
        journal: Journal, put: list[tuple[dict[str, object], datetime]]
    ) -> None:
        # Together they share a commit, so that many examples need few turns of the disk.
        calls = (journal.record({"s": data}, [("decision", data)], at) for data, at in put)
        keys = [key for (key,) in await asyncio.gather(*calls)]
        events = await journal.events(limit=len(put))
        assert [event.id for event in events] == keys
        for event, (data, at) in zip(events, put, strict=True):
            assert event.kind == "decision"
            assert repr(event.data) == repr(data)  # repr tells -0.0 from 0.0
            # Not `==`: in an hour that the clocks repeat, that is false across zones.
            assert event.at.timestamp() == at.timestamp()
            assert event.at.utcoffset() == at.utcoffset()
        assert repr(await journal.load_state("s")) == repr(put[-1][0])

    with asyncio.Runner() as runner:
        journal = runner.run(Journal.open(path))

        records = st.tuples(st.dictionaries(st.text(), json_values, max_size=4), moments)

        @given(put=st.lists(records, min_size=1, max_size=8))
        @settings(deadline=None, max_examples=25)
        def always(put: list[tuple[dict[str, object], datetime]]) -> None:
            runner.run(there_and_back(journal, put))

        always()
        runner.run(journal.close())


async def test_the_numbers_of_a_broken_sensor_come_back_too(journal: Journal) -> None:
    await journal.append("decision", {"a": math.inf, "b": -math.inf, "c": math.nan}, NOON)
    (data,) = await everything(journal)
    assert data["a"] == math.inf
    assert data["b"] == -math.inf
    assert struct.pack("d", data["c"]) == struct.pack("d", math.nan)


async def test_data_that_is_not_json_is_refused_to_its_caller_alone(journal: Journal) -> None:
    calls = [
        journal.append("good", {"day": NOON.date()}, NOON),
        journal.append("bad", {"what": object()}, NOON),
        journal.append("\ud800", {}, NOON),
        journal.append("naive", {}, NOON.replace(tzinfo=None)),
        journal.append("good", {}, NOON),
    ]
    good, *bad, last = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(good, int)
    assert isinstance(last, int)
    assert [type(each) for each in bad] == [TypeError, UnicodeEncodeError, ValueError]
    assert await everything(journal) == [{"day": "2026-06-01"}, {}]


async def test_work_that_fails_is_undone_and_the_thread_lives_on(journal: Journal) -> None:
    def fail(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO states VALUES ('half', 'done', '{}')")
        raise ZeroDivisionError

    with pytest.raises(JournalError, match=r"could not fail.*ZeroDivisionError"):
        await journal._submit("could not fail", fail, durable=True)
    assert await journal.load_state("half") is None
    assert await journal.append("x", {}, NOON) > 0


async def test_a_cancelled_caller_disturbs_nobody(journal: Journal) -> None:
    cancelled = asyncio.create_task(journal.append("a", {}, NOON))
    other = asyncio.create_task(journal.append("b", {}, NOON))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await other > 0
    assert journal.stuck_for_s(time.monotonic() + 100) == 0


async def test_events_are_found_by_time_kind_and_position(journal: Journal) -> None:
    for n in range(10):
        kind = "even" if n % 2 == 0 else "odd"
        await journal.append(kind, {"n": n}, NOON + timedelta(seconds=n))
    assert [event.data["n"] for event in await journal.events(limit=3)] == [7, 8, 9]
    even = await journal.events(since=NOON + timedelta(seconds=4), kinds={"even"})
    assert [event.data["n"] for event in even] == [4, 6, 8]
    assert await journal.events(kinds=()) == []
    seen: list[int] = []
    last = 0
    while page := await journal.events(limit=4, after_id=last):
        seen += [event.data["n"] for event in page]
        last = page[-1].id
    assert seen == list(range(10))


# --- a disk that hangs -----------------------------------------------------------------------


async def test_the_event_loop_runs_on_and_health_sees_a_hanging_disk(path: Path) -> None:
    now_s = [1000.0]
    async with await Journal.open(path, monotonic=lambda: now_s[0]) as journal:
        released = threading.Event()
        hanging = asyncio.create_task(
            journal._submit("hang", lambda _: released.wait(PATIENCE_S), durable=True)
        )
        waiting = asyncio.create_task(journal.append("x", {}, NOON))
        try:
            await asyncio.sleep(0)
            now_s[0] = 1007.0
            assert journal.stuck_for_s(now_s[0]) == 7.0
            assert not waiting.done()
        finally:
            released.set()
        assert await hanging is True
        assert await waiting > 0
        assert journal.stuck_for_s(now_s[0]) == 0.0


async def test_closing_does_not_wait_for_ever_on_a_hanging_disk(path: Path) -> None:
    journal = await Journal.open(path)
    released = threading.Event()
    hanging = asyncio.create_task(
        journal._submit("hang", lambda _: released.wait(PATIENCE_S), durable=True)
    )
    await asyncio.sleep(0)
    try:
        await asyncio.wait_for(journal.close(deadline_s=0.05), PATIENCE_S / 2)
    finally:
        released.set()
    assert await hanging is True
    await journal.close()


async def test_closing_writes_what_is_in_line_and_refuses_the_rest(path: Path) -> None:
    journal = await Journal.open(path)
    calls = [asyncio.create_task(journal.append("x", {}, NOON)) for _ in range(20)]
    await asyncio.sleep(0)
    await journal.close()
    assert len(await asyncio.gather(*calls)) == 20
    assert not journal.alive
    with pytest.raises(JournalError, match="is closed") as caught:
        await journal.append("late", {}, NOON)
    assert caught.value.code == "closed"
    journal.note_sample(Sample(1.0))  # never raises
    await journal.close()
    assert set(contents(path.parent)) == {path.name}


# --- samples ---------------------------------------------------------------------------------


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def test_samples_are_seen_at_once_and_written_in_one_commit(path: Path) -> None:
    noted = [Sample(float(n), grid_w=-float(n), soc_percent=n / 10) for n in range(300)]
    async with await Journal.open(path) as journal:
        before = journal.commits
        for sample in noted:
            journal.note_sample(sample)
        assert await journal.samples(at(0), at(300)) == noted
        assert await journal.samples(at(10), at(12)) == noted[10:12]
        assert journal.commits == before
        await journal.close()
        assert journal.commits == before + 1
    async with await Journal.open(path) as journal:
        assert await journal.samples(at(0), at(300)) == noted


async def test_samples_reach_the_file_by_themselves_and_never_more_often_than_said(
    path: Path,
) -> None:
    limits = JournalLimits(flush_samples_s=0.2)
    async with await Journal.open(path, limits) as journal:
        file = path.with_name(SAMPLES_NAME)

        def written() -> int:
            with contextlib.closing(sqlite3.connect(file)) as other:
                blocks = other.execute("SELECT data FROM blocks").fetchall()
            return sum(len(decode(data)) for (data,) in blocks)

        began_s = time.monotonic()
        noted = 0
        while journal.commits < 3:
            assert time.monotonic() < began_s + PATIENCE_S
            journal.note_sample(Sample(float(noted)))
            noted += 1
            await asyncio.sleep(0.002)
        assert time.monotonic() - began_s >= 3 * 0.2
        await until(lambda: written() == noted, "every sample is written")


# --- what a record costs -----------------------------------------------------------------------


async def test_a_record_writes_little_more_than_itself_and_the_log_does_not_grow(
    path: Path,
) -> None:
    """Five hundred records of 1.4 kB; with whole pages of 4 kB each would write 27 kB."""
    state = {f"name{n}": n * 1.1 for n in range(60)}
    record_bytes, written_bytes = 0, 0
    async with await Journal.open(path) as journal:
        for n in range(500):
            state["name7"] = 7 ** (n % 20)
            event = {"text": f"Renewed {n}", "pad": "y" * 180}
            record_bytes += len(json.dumps([state, event]))
            before = journal.commits
            await journal.record({"guard": state}, [(f"kind{n % 15}", event)], NOON)
            if n == 100:
                log_bytes = len(contents(path.parent)[f"{path.name}-wal"])
                written_bytes = log_bytes // (journal.commits)
            assert journal.commits == before + 1
        log = contents(path.parent)[f"{path.name}-wal"]
    assert record_bytes > 500 * 1200
    assert written_bytes < 5500
    assert len(log) < 1_500_000  # without tidying: twice this
