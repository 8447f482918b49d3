"""The record takes what it can, says what it lost, and never stands in the guard's way."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.export.record import Decision, opens_chapter, read
from agent.export.recorder import DECISIONS_BYTES, DECISIONS_NAME, Recorder
from agent.export.replay import Report, replay
from agent.export.states import Event
from agent.replaying import pages
from tests.export.record_cases import taken
from tests.journal_help import PATIENCE_S, contents, modes, put

REPOSITORY = Path(__file__).parents[2]
TURN_S = 0.01
CHILD = """
import sys, time
from pathlib import Path
from agent.export.recorder import Recorder
from tests.export.record_cases import taken

recorder = Recorder(Path(sys.argv[1]), turn_s=0.01)
for decision in taken(1200):
    recorder.note(decision)
    while recorder.waiting > 20:
        time.sleep(0.002)
    print(recorder.looks, flush=True)
print("end", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def decisions() -> list[Decision]:
    return taken(400)


def until(condition: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, f"gave up waiting: {what}"
        time.sleep(0.002)


def note_all(recorder: Recorder, decisions: list[Decision]) -> None:
    for decision in decisions:
        recorder.note(decision)
    until(lambda: not recorder.waiting, "the thread takes them")


def recorded(folder: Path, decisions: Sequence[Decision]) -> Recorder:
    """Note these with a recorder that is closed afterwards."""
    recorder = Recorder(folder)
    for decision in decisions:
        recorder.note(decision)
    recorder.close()
    return recorder


def replayed(folder: Path) -> Report:
    return replay(read(pages(folder / DECISIONS_NAME)))


def test_what_was_noted_is_replayed_after_a_close(
    tmp_path: Path, decisions: list[Decision]
) -> None:
    recorder = recorded(tmp_path, decisions)
    report = replayed(tmp_path)
    assert report.exact
    assert report.looks == recorder.looks == len(decisions) > 300
    assert report.chapters == 1


def test_a_killed_process_loses_the_page_in_the_making_and_no_more(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, text=True,
    ) as child:  # fmt: skip
        assert child.stdout
        written = 0
        while written < 300:
            written = int(child.stdout.readline())
        child.kill()
    report = replayed(tmp_path)
    assert report.exact
    assert report.looks >= written
    assert report.chapters == 1


def test_a_disk_that_takes_nothing_for_a_while_costs_nothing(
    tmp_path: Path, decisions: list[Decision], caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / DECISIONS_NAME
    in_the_way.mkdir()
    recorder = Recorder(tmp_path, turn_s=TURN_S)
    note_all(recorder, decisions[:200])
    until(lambda: "Decisions are not recorded" in caplog.text, "the trouble is told")
    in_the_way.rmdir()
    note_all(recorder, decisions[200:])
    recorder.close()
    report = replayed(tmp_path)
    assert report.exact
    assert report.looks == len(decisions)
    assert caplog.text.count("Decisions are not recorded") == 1, "once, not each turn"


def test_a_disk_that_takes_nothing_for_long_costs_looks_and_the_record_says_so(
    tmp_path: Path, decisions: list[Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.export.recorder._WAITING_PAGES", 3)
    in_the_way = tmp_path / DECISIONS_NAME
    in_the_way.mkdir()
    recorder = Recorder(tmp_path, turn_s=TURN_S)
    note_all(recorder, decisions[:300])
    until(lambda: recorder.lost > 0, "pages are given up")
    in_the_way.rmdir()
    note_all(recorder, decisions[300:])
    recorder.close()
    report = replayed(tmp_path)
    assert report.exact, "what is there is right"
    assert report.looks == len(decisions) - recorder.lost > 0
    assert report.gaps == 1


def test_a_full_disk_is_told_and_stops_nothing(
    tmp_path: Path, decisions: list[Decision], caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path, turn_s=TURN_S)
    note_all(recorder, decisions[:100])
    until(lambda: recorder.looks > 0, "something is written")
    with closing(sqlite3.connect(tmp_path / DECISIONS_NAME)) as other:
        other.execute("BEGIN IMMEDIATE")
        note_all(recorder, decisions[100:200])
        until(lambda: "Decisions are not recorded" in caplog.text, "the trouble is told")
        other.execute("ROLLBACK")
    note_all(recorder, decisions[200:])
    recorder.close()
    assert replayed(tmp_path).looks == len(decisions)


def test_a_thread_that_is_stuck_delays_nobody_and_the_oldest_looks_give_way(
    tmp_path: Path, decisions: list[Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.export.recorder._WAITING_LOOKS", 50)
    recorder = Recorder(tmp_path, turn_s=3600)
    began_s = time.monotonic()
    for decision in decisions:
        recorder.note(decision)
    assert time.monotonic() - began_s < 1
    assert recorder.waiting == 50
    recorder.close()
    report = replayed(tmp_path)
    assert report.exact
    assert report.looks == 50


def test_looks_that_were_never_taken_begin_a_new_chapter(
    tmp_path: Path, decisions: list[Decision]
) -> None:
    recorded(tmp_path, [*decisions[:100], *decisions[150:]])
    report = replayed(tmp_path)
    assert report.exact
    assert (report.chapters, report.gaps) == (2, 2)
    assert report.looks == len(decisions) - 50


def test_a_decision_that_no_record_can_hold_costs_that_look_alone(
    tmp_path: Path, decisions: list[Decision], caplog: pytest.LogCaptureFixture
) -> None:
    odd = Event("odd", "A number that JSON does not know.", {"value": 1j})
    broken = replace(decisions[50], result=replace(decisions[50].result, events=(odd,)))
    recorded(tmp_path, [*decisions[:50], broken, *decisions[51:]])
    report = replayed(tmp_path)
    assert report.exact
    assert report.looks == len(decisions) - 1
    assert "cannot hold complex" in caplog.text


@pytest.mark.parametrize("content", [b"not a database at all, " * 500, b"SQLite format 3\0"])
def test_a_damaged_record_is_begun_anew(
    tmp_path: Path, decisions: list[Decision], content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / DECISIONS_NAME, content)
    recorded(tmp_path, decisions)
    assert replayed(tmp_path).looks == len(decisions)
    assert "record of decisions begins anew" in caplog.text


def test_the_record_never_takes_more_than_its_bound_and_the_oldest_chapters_go(
    tmp_path: Path, decisions: list[Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.export.record.LOOKS_PER_CHAPTER", 60)
    limit_bytes = 1_020_000
    recorder = Recorder(tmp_path, limit_bytes, turn_s=TURN_S)
    largest = 0
    for _ in range(5):
        note_all(recorder, decisions)
        sizes = [each.stat().st_size for each in tmp_path.glob(f"{DECISIONS_NAME}*")]
        largest = max(largest, sum(sizes))
    recorder.close()
    assert largest < limit_bytes
    kept = list(pages(tmp_path / DECISIONS_NAME))
    assert kept[0][0] > 1, "the oldest are gone"
    assert sum(opens_chapter(data) for _, data in kept) > 2
    report = replay(read(kept))
    assert report.exact
    assert 0 < report.looks < 5 * len(decisions)


def test_two_weeks_of_two_looks_a_second_fit_into_the_usual_bound(
    tmp_path: Path, decisions: list[Decision]
) -> None:
    recorded(tmp_path, decisions)
    per_look = len(contents(tmp_path)[DECISIONS_NAME]) / len(decisions)
    assert per_look * 2 * 14 * 86_400 < DECISIONS_BYTES


def test_a_second_agent_goes_on_after_the_pages_of_the_first(
    tmp_path: Path, decisions: list[Decision]
) -> None:
    for _ in range(2):
        recorded(tmp_path, decisions[:50])
    report = replayed(tmp_path)
    assert report.exact
    assert (report.looks, report.gaps) == (100, 2)


def test_nothing_noted_makes_no_file_and_what_is_made_is_private(
    tmp_path: Path, decisions: list[Decision]
) -> None:
    Recorder(tmp_path).close()
    assert contents(tmp_path) == {}
    recorder = Recorder(tmp_path)
    recorder.note(decisions[0])
    recorder.close()
    assert modes(tmp_path) == {0o600}


def test_a_record_can_be_replayed_while_it_is_written(
    tmp_path: Path, decisions: list[Decision]
) -> None:
    recorder = Recorder(tmp_path, turn_s=TURN_S)
    note_all(recorder, decisions[:300])
    until(lambda: recorder.looks > 0, "something is written")
    report = replayed(tmp_path)
    assert report.exact
    assert report.looks > 0
    note_all(recorder, decisions[300:])
    recorder.close()
    assert replayed(tmp_path).looks == len(decisions)


def test_a_record_copied_without_its_log_is_replayed_as_far_as_it_goes(
    tmp_path: Path, decisions: list[Decision]
) -> None:
    recorded(tmp_path, decisions)
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / DECISIONS_NAME, tmp_path / "copy")
    assert replayed(tmp_path / "copy").exact


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
