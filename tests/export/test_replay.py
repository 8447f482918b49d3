"""Decisions that were recorded as the agent does come out the same when decided again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.__main__ import main
from agent.export import provenance
from agent.export.decide import step
from agent.export.record import (
    Decision,
    Entry,
    Looked,
    Opened,
    Scribe,
    Unreadable,
    opens_chapter,
    read,
)
from agent.export.recorder import DECISIONS_BYTES, DECISIONS_NAME
from agent.export.replay import replay
from agent.export.states import GuardConfig, GuardState, Look, Step
from agent.journal_blocks import Block, BlockFile
from agent.replaying import pages
from benchmarks.replay import Recorded, record
from tests.journal_help import NOON
from tests.simulator.short_days import shortened

DAYS = ("kill", "restart", "storm")
"""In the tests; benchmarks/replay.py records and replays two weeks."""


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recorded]:
    """Days with short windows, as the running agent records them."""
    folder = tmp_path_factory.mktemp("days")
    return folder, record(folder, DAYS, "bridge", 3, lambda day: shortened(day, 0.3))


@pytest.fixture(scope="module")
def entries(days: tuple[Path, Recorded]) -> list[Entry]:
    return list(read(pages(days[0] / DECISIONS_NAME)))


@pytest.fixture(scope="module")
def busy(entries: list[Entry]) -> list[Decision]:
    """Three hundred decisions of one guard, around its first command."""
    taken = list(decisions(entries))
    for first, each in enumerate(taken):
        found = taken[first - 100 : first + 200]
        whole = len(found) == 300 and all(a.result.state is b.before for a, b in pairwise(found))
        if whole and each.result.commands:
            return found
    raise AssertionError("no guard ran on after its first command")


@pytest.fixture(scope="module")
def book(busy: list[Decision]) -> list[tuple[int, bytes]]:
    """The same as pages of twenty looks, in chapters of a hundred."""
    scribe = Scribe(provenance.present())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agent.export.record.LOOKS_PER_CHAPTER", 100)
        for n, decision in enumerate(busy):
            scribe.add(decision)
            if n % 20 == 19:
                scribe.cut()
    return list(enumerate((page.data for page in scribe.pages()), start=1))


def decisions(entries: Iterable[Entry]) -> Iterator[Decision]:
    """Decide again what the entries hold."""
    state: GuardState | None = None
    for entry in entries:
        if isinstance(entry, Opened):
            state = entry.state
        elif isinstance(entry, Looked) and state is not None:
            result = step(state, entry.look, entry.config)
            yield Decision(state, entry.look, entry.config, result)
            state = result.state


def shelved(folder: Path, book: Iterable[tuple[int, bytes]]) -> Path:
    """Put pages where an agent would have put them, an hour apart; return the folder."""
    file = BlockFile(folder / DECISIONS_NAME, 10_000_000, "record")
    hour_s = NOON.timestamp()
    file.put([Block(n, hour_s + n * 3600, hour_s + n * 3600 + 3599, data) for n, data in book])
    file.close()
    return folder


def test_days_with_faults_kills_and_restarts_come_out_the_same_bit_for_bit(
    days: tuple[Path, Recorded], entries: list[Entry]
) -> None:
    kinds: set[str] = set()
    report = replay(entries, watch=lambda _, result: kinds.update(e.kind for e in result.events))
    assert report.exact, (report.first, report.unreadable)
    assert report.looks == days[1].looks > 4000
    assert report.commands > 20
    assert report.gaps > len(DAYS), "restarts within a day begin a chapter too"
    assert {"renewal", "stop_verified", "input_lost", "inputs_back"} <= kinds
    assert report.other_code == []


def test_two_weeks_at_the_pace_of_a_house_fit_into_the_bound(days: tuple[Path, Recorded]) -> None:
    """A look every 2 s in six hours of discharge, every 10 s in the rest of the day."""
    looks = 14 * (6 * 1800 + 18 * 360)
    assert days[1].size_bytes / days[1].looks * looks < DECISIONS_BYTES / 3


def test_the_pages_of_a_book_are_replayed(book: list[tuple[int, bytes]]) -> None:
    report = replay(read(book))
    assert report.exact
    assert (report.looks, report.chapters, report.gaps) == (300, 3, 1)
    assert len(book) == 15
    assert [opens_chapter(data) for _, data in book] == [True, *[False] * 4] * 3


@given(st.data())
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=12)
def test_a_changed_byte_of_the_record_is_found_wherever_it_is(
    book: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    number, page = data.draw(st.sampled_from(book))
    place = data.draw(st.integers(0, len(page) - 1))
    other = data.draw(st.integers(1, 255))
    changed = page[:place] + bytes([page[place] ^ other]) + page[place + 1 :]
    report = replay(read((n, changed if n == number else each) for n, each in book))
    assert not report.exact


def test_a_torn_page_costs_its_chapter_and_no_other(book: list[tuple[int, bytes]]) -> None:
    report = replay(read((n, data[:-3] if n == 7 else data) for n, data in book))
    assert [each.page for each in report.unreadable] == [7]
    assert report.looks == 300 - 4 * 20
    assert report.differences == 0
    assert not report.exact


@pytest.mark.parametrize("missing", [2, 6, 9])
def test_a_page_that_was_taken_out_is_found(book: list[tuple[int, bytes]], missing: int) -> None:
    report = replay(read(each for each in book if each[0] != missing))
    assert [each.page for each in report.unreadable] == [missing + 1]


def test_pages_in_another_order_are_found(book: list[tuple[int, bytes]]) -> None:
    swapped = [*book[:2], (3, book[3][1]), (4, book[2][1]), *book[4:]]
    assert [each.page for each in replay(read(swapped)).unreadable] == [3]


def test_a_record_whose_oldest_pages_were_let_go_begins_with_the_next_chapter(
    book: list[tuple[int, bytes]],
) -> None:
    report = replay(read(book[2:]))
    assert report.exact
    assert (report.looks, report.chapters) == (200, 2)


def test_an_altered_look_is_found_where_it_stands(book: list[tuple[int, bytes]]) -> None:
    """Whoever could write valid pages still cannot pass off another grid power."""
    looked = [each for each in read(book) if isinstance(each, Looked)]
    target = next(n for n, each in enumerate(looked) if each.commands)

    def altered(entry: Entry) -> Entry:
        if entry is not looked[target]:
            return entry
        sample = looked[target].look.sample
        grid_w = replace(sample.grid_w, value=(sample.grid_w.value or 0.0) - 1.0)
        look = replace(looked[target].look, sample=replace(sample, grid_w=grid_w))
        return replace(looked[target], look=look)

    chapters = iter([each for each in read(book) if isinstance(each, Opened)])
    whole: list[Entry] = []
    for n, each in enumerate(looked):
        if n % 100 == 0:
            whole.append(next(chapters))
        whole.append(altered(each))
    report = replay(whole)
    assert report.first is not None
    assert report.first.look == target + 1
    assert report.first.at == looked[target].look.now.local.isoformat()


def test_code_that_decides_otherwise_is_found_at_its_first_other_command(
    book: list[tuple[int, bytes]],
) -> None:
    def weaker(state: GuardState, look: Look, config: GuardConfig) -> Step:
        return step(state, look, replace(config, export_limit_w=2000.0))

    report = replay(read(book), weaker)
    looked = [each for each in read(book) if isinstance(each, Looked)]
    first = next(n for n, each in enumerate(looked, start=1) if each.commands)
    assert report.first is not None
    assert report.first.look == first
    assert report.first.what.startswith("commands: recorded no. 1: ")
    assert ", now no. 1: " in report.first.what


def test_a_state_that_a_chapter_goes_on_from_is_compared(book: list[tuple[int, bytes]]) -> None:
    def forged(entry: Entry) -> Entry:
        if isinstance(entry, Opened) and entry.goes_on:
            return replace(entry, state=replace(entry.state, numbers=77))
        return entry

    report = replay(map(forged, read(book)))
    assert report.first is not None
    assert report.first.look == 100
    assert report.first.what == "the state that a chapter goes on from differs in numbers"


def test_the_command_says_that_all_is_the_same_and_ends_with_0(
    book: list[tuple[int, bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "--data", str(shelved(tmp_path, book)), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["exact"], found["looks"]) == (True, 300)
    assert found["recorded_by"] == [found["replayed_by"]]
    assert main(["replay", "--data", str(tmp_path)]) == 0
    assert "same commands, events and state, bit for bit" in capsys.readouterr().out


def test_the_command_begins_with_the_chapter_of_the_moment_it_is_told(
    book: list[tuple[int, bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moment = NOON + timedelta(hours=8.5)
    folder = str(shelved(tmp_path, book))
    assert main(["replay", "--data", folder, "--from", moment.isoformat(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["looks"] == 200


def test_the_command_names_what_cannot_be_replayed_and_ends_with_1(
    book: list[tuple[int, bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = [(n, data[:-3] if n == 4 else data) for n, data in book]
    assert main(["replay", "--data", str(shelved(tmp_path, torn))]) == 1
    assert "page 4 and the rest of its chapter cannot be replayed" in capsys.readouterr().out


def test_the_command_names_the_first_difference_and_ends_with_1(
    busy: list[Decision], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after an update: the record is whole, and the code decides otherwise."""
    scribe = Scribe(replace(provenance.present(), code="0badc0de"))
    for n, decision in enumerate(busy):
        wake_s = decision.result.wake_s + (1.0 if n == 150 else 0.0)
        scribe.add(replace(decision, result=replace(decision.result, wake_s=wake_s)))
    scribe.cut()
    shelved(tmp_path, enumerate((page.data for page in scribe.pages()), start=1))
    assert main(["replay", "--data", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "other code: recorded by version 0.1.0, code 0badc0de" in told
    assert "1 looks differ, the first is look 151 at " in told
    assert "events, answers or deadline" in told


def test_the_command_without_a_record_says_where_it_looked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "--data", str(tmp_path)]) == 2
    assert DECISIONS_NAME in capsys.readouterr().err


def test_a_record_whose_records_are_others_is_not_guessed_at(busy: list[Decision]) -> None:
    scribe = Scribe(replace(provenance.present(), version="9.9.9", shapes="other"))
    for decision in busy[:10]:
        scribe.add(decision)
    scribe.cut()
    found = list(read(enumerate((page.data for page in scribe.pages()), start=1)))
    (unreadable,) = found
    assert isinstance(unreadable, Unreadable)
    assert unreadable.foreign
    assert "9.9.9" in unreadable.why


def test_the_code_that_is_named_is_the_code_that_decides() -> None:
    names = provenance.deciding()
    assert {"agent.export.leasing", "agent.export.ledger", "agent.house.readings"} <= set(names)
    assert "agent.export.guard" not in names
    assert not [name for name in names if "plan" in name.rpartition(".")[2].split("_")]
