"""The table that a person downloads says what happened, and runs nothing."""

from __future__ import annotations

import csv as table
import io
import json
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.history_csv import csv, harmless
from agent.journal import Journal, JournalLimits, Sample
from tests.journal_help import NOON

EVER = datetime(1971, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with await Journal.open(tmp_path / "journal.sqlite3") as opened:
        yield opened


async def rows(
    journal: Journal, what: str, since: datetime = EVER[0], until: datetime = EVER[1]
) -> list[dict[str, str]]:
    pieces = [piece async for piece in csv(journal, what, since, until)]  # type: ignore[arg-type]
    assert all(piece.endswith("\r\n") for piece in pieces)
    return list(table.DictReader(io.StringIO("".join(pieces), newline="")))


async def test_samples_have_units_in_their_columns_and_iso_times(journal: Journal) -> None:
    journal.note_sample(
        Sample(NOON.timestamp() + 0.5, grid_w=-1234567.0, soc_percent=55.5, exported_wh=0.0)
    )
    (row,) = await rows(journal, "samples", NOON, NOON + timedelta(seconds=1))
    assert row == {
        "at": "2026-06-01T12:00:00.500+01:00",
        "grid_w": "-1234567", "battery_w": "", "pv_w": "", "load_w": "", "limit_w": "",
        "commanded_w": "", "soc_percent": "55.5", "exported_wh": "0", "allowance_wh": "",
    }  # fmt: skip
    assert await rows(journal, "samples", NOON, NOON + timedelta(seconds=0.5)) == []


async def test_events_have_their_sentence_and_their_figures(journal: Journal) -> None:
    data = {"text": 'Said "stop", then\nleft.', "left_wh": 12.5}
    key = await journal.append("stop", data, NOON)
    (row,) = await rows(journal, "events")
    assert row["id"] == str(key)
    assert row["at"] == "2026-06-01T12:00:00.000+01:00"
    assert row["kind"] == "stop"
    assert row["text"] == data["text"]
    assert json.loads(row["data_json"]) == {"left_wh": 12.5}
    await journal.append("lease", {}, NOON)
    some = [piece async for piece in csv(journal, "events", *EVER, ("lease", "renewal"))]
    assert [it["kind"] for it in table.DictReader(io.StringIO("".join(some)))] == ["lease"]


async def test_every_event_of_the_span_is_there_once_over_all_pages(journal: Journal) -> None:
    states: dict[str, dict[str, object]] = {}
    for start in range(0, 1300, 100):
        times = NOON + timedelta(seconds=start)
        await journal.record(states, [("n", {"n": n}) for n in range(start, start + 100)], times)
    since, until = NOON + timedelta(seconds=100), NOON + timedelta(seconds=1200)
    found = [
        json.loads(row["data_json"])["n"] for row in await rows(journal, "events", since, until)
    ]
    assert found == list(range(100, 1200))


async def test_an_empty_journal_still_gives_the_header(journal: Journal) -> None:
    for what, first in (("events", "id,at,kind,text,data_json\r\n"), ("samples", "at,grid_w,")):
        pieces = [piece async for piece in csv(journal, what, *EVER)]  # type: ignore[arg-type]
        assert len(pieces) == 1
        assert pieces[0].startswith(first)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "\uff1d1",
        "=cmd|' /C calc'!A0",
    ],
)
async def test_a_text_that_looks_like_a_formula_is_not_one(journal: Journal, text: str) -> None:
    await journal.append(text, {"text": text}, NOON)
    (row,) = await rows(journal, "events")
    assert row["kind"] == row["text"] == f"'{text}"


@given(st.text(st.characters()))
def test_no_text_ever_begins_a_formula_or_breaks_the_encoding(text: str) -> None:
    made = harmless(text)
    made.encode()
    assert not made.lstrip(" ").startswith(tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))
    if text[:1].isalnum() and text.isascii() and text.isprintable():
        assert made == text


async def test_texts_that_no_encoding_takes_are_replaced(journal: Journal) -> None:
    await journal.append("odd", {"text": "a\ud800b\0c", "name": "\ud800"}, NOON)
    (row,) = await rows(journal, "events")
    assert row["text"] == "a?b\ufffdc"


async def test_a_wrong_name_or_a_time_without_zone_is_refused(journal: Journal) -> None:
    with pytest.raises(ValueError, match="ask for 'events' or 'samples'"):
        await rows(journal, "secrets")
    with pytest.raises(ValueError, match="know its zone"):
        await rows(journal, "events", NOON.replace(tzinfo=None))


async def test_a_long_history_needs_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    path, begin_s = tmp_path / "journal.sqlite3", NOON.timestamp()
    async with await Journal.open(path, JournalLimits(unwritten_samples=15_000)) as journal:
        for n in range(12 * 720):
            journal.note_sample(Sample(begin_s + 5 * n, grid_w=float(n % 7000), soc_percent=50.0))
    async with await Journal.open(path) as journal:
        short_lines, short_bytes = await exported(journal, hours=3)
        long_lines, long_bytes = await exported(journal, hours=12)
    assert (short_lines, long_lines) == (3 * 720 + 1, 12 * 720 + 1)
    assert long_bytes < 1.5 * short_bytes


async def exported(journal: Journal, hours: int) -> tuple[int, int]:
    """Return the lines of so many hours, and the most memory they took."""
    tracemalloc.start()
    lines = 0
    async for piece in csv(journal, "samples", NOON, NOON + timedelta(hours=hours)):
        lines += piece.count("\r\n")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return lines, peak_bytes
