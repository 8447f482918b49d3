"""Two years of decisions stay, whatever the clocks do; then they go."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.journal import Journal, JournalLimits
from agent.journal_bounds import FIRST_ID_SINCE, MARK_EVERY_S, Bounds
from agent.journal_file import INSERT_EVENT, open_file
from tests.journal_help import NOON, everything

DAY_S = 86_400
TWO_YEARS_S = 2 * 366 * DAY_S


class House:
    """A journal's file, and two clocks that the test owns."""

    def __init__(self, path: Path, keep_events: int = 10_000) -> None:
        self.path = path
        self.keep_events = keep_events
        self.wall_s = NOON.timestamp()
        self.monotonic_s = 0.0
        self.db = open_file(path, 1).db
        self.db.execute("PRAGMA synchronous=OFF")  # years in seconds
        self.start()

    def start(self) -> None:
        self.bounds = Bounds(
            self.keep_events, TWO_YEARS_S, lambda: self.monotonic_s, lambda: self.wall_s
        )
        self.bounds.begin(self.db)

    def restart(self, *, marked: bool) -> None:
        if marked:
            self.bounds.mark(self.db)
        self.monotonic_s = 3.0  # a monotonic clock begins anew with the machine
        self.start()

    def live(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.wall_s += seconds

    def write(self, name: str) -> None:
        iso = datetime.fromtimestamp(self.wall_s, UTC).isoformat()
        self.db.execute(INSERT_EVENT, (self.wall_s, iso, name, "{}"))

    def tidy(self) -> None:
        if self.bounds.due():
            self.bounds.mark(self.db)
        while self.bounds.let_go(self.db):
            pass

    def kept(self) -> list[str]:
        return [row[0] for row in self.db.execute("SELECT kind FROM events ORDER BY id")]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "journal.sqlite3")
    yield house
    house.db.close()


def live_days(house: House, days: int) -> None:
    for _ in range(days):
        house.live(DAY_S)
        house.tidy()


def test_an_event_stays_two_years_and_then_goes(house: House) -> None:
    house.write("old")
    for day in range(740):
        house.live(DAY_S)
        house.write(f"day {day}")
        house.tidy()
        if day < 731:
            assert "old" in house.kept()
    assert "old" not in house.kept()
    assert 730 <= len(house.kept()) <= 735


@pytest.mark.parametrize("jump_years", [10, -10, 60])
def test_a_wall_clock_that_jumps_erases_nothing(house: House, jump_years: int) -> None:
    live_days(house, 3)
    house.write("before")
    live_days(house, 2)
    house.wall_s += jump_years * 365 * DAY_S
    for n in range(20):
        live_days(house, 1)
        house.write(f"in a wrong time {n}")
        house.tidy()
    house.restart(marked=True)
    house.tidy()
    assert len(house.kept()) == 21
    house.wall_s -= jump_years * 365 * DAY_S
    live_days(house, 10)
    house.write("after")
    house.tidy()
    assert len(house.kept()) == 22


def test_events_of_a_clock_that_was_never_set_stay_two_lived_years(house: House) -> None:
    """A Raspberry Pi without network believes that it is 1970."""
    right_s, house.wall_s = house.wall_s, 60.0
    house.write("1970")
    live_days(house, 5)
    house.wall_s = right_s
    for _ in range(700):
        house.write("x")
        live_days(house, 1)
    assert "1970" in house.kept()
    for _ in range(40):
        house.write("x")
        live_days(house, 1)
    assert "1970" not in house.kept()


def test_an_event_of_a_clock_that_ran_ahead_stays_until_the_wall_clock_agrees(
    house: House,
) -> None:
    house.wall_s += 4 * 365 * DAY_S
    house.write("ahead")
    house.wall_s -= 4 * 365 * DAY_S
    house.write("right")
    for _ in range(740):
        live_days(house, 1)
        house.write("x")
    assert house.kept()[:2] == ["ahead", "x"]


def test_time_in_which_nobody_looked_does_not_count(house: House) -> None:
    house.write("before the break")
    live_days(house, 1)
    house.restart(marked=True)
    house.wall_s += 5 * 365 * DAY_S
    house.write("after the break")
    live_days(house, 30)
    assert house.kept() == ["before the break", "after the break"]


def test_lived_time_goes_on_over_restarts_and_a_kill_costs_an_hour_at_most(house: House) -> None:
    for _ in range(48):
        house.live(MARK_EVERY_S)
        house.tidy()
        house.live(MARK_EVERY_S - 1)
        house.restart(marked=False)
    assert 48 * MARK_EVERY_S <= house.bounds.lived_s <= 2 * 48 * MARK_EVERY_S


def test_marks_do_not_pile_up(house: House) -> None:
    for _ in range(900):
        house.live(DAY_S)
        house.write("x")
        house.tidy()
    (marks,) = house.db.execute("SELECT COUNT(*) FROM marks").fetchone()
    assert marks <= 735


async def test_a_flood_is_bounded_by_count_and_the_newest_stay(tmp_path: Path) -> None:
    limits = JournalLimits(keep_events=50)
    path = tmp_path / "journal.sqlite"
    for _ in range(2):
        async with await Journal.open(path, limits) as journal:
            await asyncio.gather(*(journal.append("x", {"n": n}, NOON) for n in range(200)))
    async with await Journal.open(path, limits) as journal:
        assert [data["n"] for data in await everything(journal)] == list(range(150, 200))
        assert await journal.append("ids are never used again", {}, NOON) == 401


async def test_a_running_journal_lets_go_by_itself(tmp_path: Path) -> None:
    """The whole way: the clocks of the journal, its marks, a restart, the deletion."""
    clock = {"monotonic_s": 0.0, "wall_s": NOON.timestamp()}
    path = tmp_path / "journal.sqlite"

    def opened() -> contextlib.AbstractAsyncContextManager[Journal]:
        return _opened(path, clock)

    async with opened() as journal:
        await journal.append("old", {"n": 0}, NOON)
        await journal.append("as old", {"n": 1}, NOON)
        clock["monotonic_s"] += MARK_EVERY_S + 1
    for name in clock:
        clock[name] += TWO_YEARS_S + DAY_S
    async with opened() as journal:
        now = NOON + timedelta(seconds=TWO_YEARS_S + DAY_S)
        await journal.append("new", {"n": 2}, now)
        assert len(await everything(journal)) == 3  # the break was not lived
        clock["monotonic_s"] += TWO_YEARS_S
        clock["wall_s"] += TWO_YEARS_S
        await journal.append("newest", {"n": 3}, now + timedelta(seconds=TWO_YEARS_S))
    async with opened() as journal:
        assert [event.kind for event in await journal.events()] == ["new", "newest"]


@contextlib.asynccontextmanager
async def _opened(path: Path, clock: dict[str, float]) -> AsyncIterator[Journal]:
    async with await Journal.open(
        path, monotonic=lambda: clock["monotonic_s"], wall=lambda: clock["wall_s"]
    ) as journal:
        yield journal


steps = st.lists(
    st.tuples(st.sampled_from(["write", "mark"]), st.integers(-20, 20)), min_size=1, max_size=30
)


@given(steps=steps)
@example(steps=[("write", 9), ("mark", 1), ("write", -5), ("mark", 1)])
@settings(deadline=None, max_examples=60)
def test_a_search_by_time_always_finds_what_a_plain_filter_finds(
    steps: list[tuple[str, int]],
) -> None:
    """Marks skip what lies before; they must never skip too much, also when the clock jumps."""
    begin_s = 1_780_000_000.0
    times: list[float] = []

    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, at_s REAL)")
        db.execute("CREATE TABLE marks (lived_s INTEGER PRIMARY KEY, last_id, latest_s)")
        clock = {"wall_s": begin_s, "monotonic_s": 0.0}
        bounds = Bounds(10**9, 1e12, lambda: clock["monotonic_s"], lambda: clock["wall_s"])
        bounds.begin(db)
        for what, hours in steps:
            clock["wall_s"] += hours * 3600
            clock["monotonic_s"] += abs(hours) * 3600
            if what == "write":
                db.execute("INSERT INTO events (at_s) VALUES (?)", (clock["wall_s"],))
                times.append(clock["wall_s"])
            else:
                bounds.mark(db)
        for since_s in {begin_s, *times, *(each + 1 for each in times)}:
            assert found_since(db, since_s) == [each for each in times if each >= since_s]


def found_since(db: sqlite3.Connection, since_s: float) -> list[float]:
    query = f"SELECT at_s FROM events WHERE id > {FIRST_ID_SINCE} AND at_s >= ? ORDER BY id"  # noqa: S608 - constants
    return [row[0] for row in db.execute(query, (since_s, since_s))]


async def test_events_are_found_by_time_after_marks(tmp_path: Path) -> None:
    clock = {"monotonic_s": 0.0, "wall_s": NOON.timestamp()}
    async with _opened(tmp_path / "journal.sqlite", clock) as journal:
        for n in range(30):
            clock["monotonic_s"] += MARK_EVERY_S
            await journal.append("x", {"n": n}, NOON + timedelta(hours=n))

        async def found(since: datetime, after_id: int | None = None) -> list[int]:
            events = await journal.events(since, after_id=after_id)
            return [int(event.data["n"]) for event in events]

        middle = NOON + timedelta(hours=10)
        assert await found(since=middle) == list(range(10, 30))
        assert await found(since=middle + timedelta(seconds=1)) == list(range(11, 30))
        assert await found(since=middle, after_id=20) == list(range(20, 30))
        assert await found(since=NOON - timedelta(days=1)) == list(range(30))
