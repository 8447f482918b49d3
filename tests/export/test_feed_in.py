"""The inverter's own feed-in limit is borrowed, never owned."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from aiohttp import ClientSession
from hypothesis import given
from hypothesis import strategies as st

from agent import houses
from agent.app import Demo, Place, opened
from agent.clock import SystemClock
from agent.export.feed_in import TRIES, FeedIn, Situation, decide, journaled, recalled
from agent.export.feed_in_keeper import STATE_NAME, FeedInKeeper
from agent.export.snapshot import Reason
from agent.house.alphaess import MAX_FEED_PERCENT, DispatchBlock
from agent.house.embedded import EmbeddedHouse
from agent.house.feed_in import EmbeddedFeedIn
from agent.journal import Journal
from agent.options import Options
from agent.settings import Settings, SettingsStore
from agent.simulator.inverter import Inverter
from agent.simulator.plant import Plant, PlantSettings
from agent.site import wanted_feed_in
from agent.surface.web.auth import WRITE_HEADER, WRITE_HEADER_VALUE
from tests.house.embedded_scene import FAST
from tests.settings_help import refusal
from tests.simulator.waiting import until

REGISTER = MAX_FEED_PERCENT.address
INVERTER = "direct test"


@dataclass
class Rig:
    """One keeper over real Modbus TCP; a second one on the same journal is the next start."""

    inverter: Inverter
    keeper: FeedInKeeper
    journal: Journal
    house: EmbeddedHouse
    wanted: list[float | None]
    problems: list[tuple[Reason, ...]] = field(default_factory=list)

    @property
    def percent(self) -> int:
        return self.inverter.registers.read(REGISTER, 1)[0]

    @property
    def written(self) -> list[int]:
        return [w.values[0] for w in self.inverter.writes if w.address == REGISTER]

    def want(self, percent: float | None) -> None:
        self.wanted[0] = percent
        self.keeper.wake()

    async def until(self, condition: Callable[[], bool], within_s: float = 10) -> None:
        moved = asyncio.Event()
        end = self.house.subscribe(moved.set)
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    moved.clear()
                    await moved.wait()
        finally:
            end()

    async def kinds(self) -> list[str]:
        return [event.kind for event in await self.journal.events()]


@asynccontextmanager
async def inverter_at(percent: int) -> AsyncIterator[Inverter]:
    plant = Plant(PlantSettings(noise_w=0.0))
    async with Inverter(plant, speed=0) as inverter:
        inverter.registers.write(REGISTER, [percent])
        yield inverter


@asynccontextmanager
async def rig(data: Path, inverter: Inverter, wanted: float | None) -> AsyncIterator[Rig]:
    house = EmbeddedHouse("127.0.0.1", inverter.port, periods=FAST)
    async with await Journal.open(data / "journal.sqlite3") as journal:
        clock, wish = SystemClock(ZoneInfo("UTC")), [wanted]
        problems: list[tuple[Reason, ...]] = []
        keeper = FeedInKeeper(
            EmbeddedFeedIn(house, INVERTER),
            house,
            journal,
            clock,
            lambda: wish[0],
            problems.append,
            pending_s=0.05,
        )
        running = asyncio.create_task(house.run())
        keeping: asyncio.Task[None] | None = None
        try:
            found = Rig(inverter, keeper, journal, house, wish, problems)
            await found.until(lambda: house.sample().dispatch.start.good)
            keeping = asyncio.create_task(keeper.run())
            yield found
        finally:
            for task in filter(None, (keeping, running)):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def test_it_is_saved_lowered_and_put_back(tmp_path: Path) -> None:
    async with inverter_at(80) as inverter, rig(tmp_path, inverter, 60) as house:
        await house.until(lambda: house.percent == 60)
        assert (await house.journal.load_state(STATE_NAME) or {})["saved_percent"] == 80
        assert await house.keeper.restore(5)
        assert house.percent == 80
        assert house.written == [60, 80]
        assert await house.kinds() == ["feed_in_write", "feed_in_write", "feed_in_restored"]


async def test_what_was_set_there_is_never_exceeded(tmp_path: Path) -> None:
    async with inverter_at(50) as inverter, rig(tmp_path, inverter, 90) as house:
        await house.until(lambda: bool(house.keeper.state and house.keeper.state.ours))
        house.want(70)
        house.want(40)
        await house.until(lambda: house.percent == 40)
        house.want(100)
        await house.until(lambda: house.percent == 50)
        assert max(house.written) == 50


async def test_switched_off_it_asks_the_inverter_nothing(tmp_path: Path) -> None:
    async with inverter_at(80) as inverter, rig(tmp_path, inverter, None) as house:
        house.keeper.wake()
        assert await house.keeper.look()
        assert house.written == []
        assert await house.journal.load_state(STATE_NAME) is None
        assert await house.keeper.restore(1) is True


async def test_switching_the_option_off_puts_it_back(tmp_path: Path) -> None:
    async with inverter_at(80) as inverter, rig(tmp_path, inverter, 60) as house:
        await house.until(lambda: house.percent == 60)
        house.want(None)
        await house.until(lambda: house.percent == 80)


async def test_after_a_crash_the_first_value_is_still_known(tmp_path: Path) -> None:
    """A keeper that saved again would save its own value, and the real one would be lost."""
    async with inverter_at(80) as inverter:
        async with rig(tmp_path, inverter, 60) as first:
            await first.until(lambda: first.percent == 60)
        async with rig(tmp_path, inverter, 60) as second:
            await second.until(lambda: second.keeper.state is not None)
            assert await second.keeper.look()
            assert second.written == [60], "set on change only"
            assert await second.keeper.restore(5)
            assert second.percent == 80


async def test_after_a_crash_an_option_that_is_off_puts_it_back(tmp_path: Path) -> None:
    async with inverter_at(80) as inverter:
        async with rig(tmp_path, inverter, 60) as first:
            await first.until(lambda: first.percent == 60)
        async with rig(tmp_path, inverter, None) as second:
            await second.until(lambda: second.percent == 80)


async def test_what_somebody_else_sets_is_left_and_told(tmp_path: Path) -> None:
    async with inverter_at(80) as inverter, rig(tmp_path, inverter, 60) as house:
        await house.until(lambda: house.percent == 60)
        assert await house.keeper.look()
        inverter.registers.write(REGISTER, [70])
        assert await house.keeper.look()
        assert house.percent == 70
        assert house.problems[-1][0].code == "feed_in_left"
        assert await house.keeper.restore(5)
        assert house.percent == 70, "80 would be over somebody's decision"
        assert house.written == [60]


async def test_the_value_is_on_disk_before_it_is_changed(tmp_path: Path) -> None:
    async with inverter_at(80) as inverter, rig(tmp_path, inverter, None) as house:
        found: list[object] = []
        really = house.house.write_registers

        async def write(*at: object) -> object:
            found.append(((await house.journal.load_state(STATE_NAME)) or {}).get("saved_percent"))
            return await really(*at)  # type: ignore[arg-type]

        house.house.write_registers = write  # type: ignore[method-assign,assignment]
        house.want(60)
        await house.until(lambda: house.percent == 60)
        assert found == [80]


async def test_an_inverter_that_does_not_take_it_is_tried_three_times(tmp_path: Path) -> None:
    async with inverter_at(80) as inverter, rig(tmp_path, inverter, None) as house:
        inverter.faults.lose_writes = True
        register = EmbeddedFeedIn(house.house, INVERTER)
        state, now_s = FeedIn(INVERTER), time.monotonic()
        for n in range(TRIES + 2):
            step = decide(state, Situation(now_s + 20.0 * n, 60, house.percent, False))
            state = step.state
            if step.write_percent is not None:
                await register.write(step.write_percent, 5)
        assert house.written == [60] * TRIES
        assert step.problem is not None
        assert step.problem.code == "feed_in_refused"


async def test_nothing_is_written_while_a_dispatch_runs(tmp_path: Path) -> None:
    async with inverter_at(80) as inverter:
        inverter.write_local(DispatchBlock(True, 1000, 20, 60).registers())
        async with rig(tmp_path, inverter, 60) as house:
            assert not await house.keeper.look()
            assert house.written == []
            inverter.advance(61)
            await house.until(lambda: house.percent == 60)


def test_another_inverters_value_is_not_put_here() -> None:
    theirs = FeedIn("another", 80, (60,))
    assert recalled(journaled(theirs), INVERTER) == FeedIn(INVERTER)
    assert recalled(journaled(theirs), "another") == theirs


def test_in_observe_it_is_not_touched() -> None:
    assert wanted_feed_in(Settings(feed_in_limit_percent=60)) is None
    assert wanted_feed_in(Settings(feed_in_limit_percent=60, mode="control")) == 60


async def test_the_path_of_helpers_refuses_it_with_a_sentence(tmp_path: Path) -> None:
    error = await refusal(SettingsStore(tmp_path), feed_in_limit_percent=60, path="ha_helpers")
    assert error.key == "feed_in_limit_percent"
    assert "use the path ha_register" in str(error)


@given(
    first=st.integers(0, 100),
    looks=st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(0, 100)),
            st.one_of(st.none(), st.just(-1), st.integers(0, 100)),
        ),
        max_size=30,
    ),
)
def test_no_sequence_ever_writes_more_than_was_there(
    first: int, looks: list[tuple[int | None, int | None]]
) -> None:
    """`None` cannot be read, -1 is untouched by others, anything else is somebody's new value."""
    state, percent, allowed, now_s = FeedIn("x"), first, first, 0.0
    for wanted, other in looks:
        now_s += 20
        if other is not None and other >= 0:
            if other != percent:
                allowed = max(allowed, other)
            percent = other
        seen = None if other is None else percent
        step = decide(state, Situation(now_s, wanted, seen, closing=False))
        state = step.state
        if step.write_percent is not None:
            assert step.write_percent <= allowed
            assert state.saved_percent is not None
            assert step.write_percent <= state.saved_percent
            percent = step.write_percent


@pytest.mark.parametrize("closing", [False, True])
def test_what_cannot_be_read_is_not_written(closing: bool) -> None:
    held = FeedIn("x", 80, (60,))
    step = decide(held, Situation(0, None, None, closing))
    assert step.write_percent is None
    assert step.state == held
    assert not step.settled


@asynccontextmanager
async def agent_with(
    inverter: Inverter, data: Path, patch: pytest.MonkeyPatch
) -> AsyncIterator[str]:
    """Run a whole agent at this inverter until the block ends; gives its address."""

    @asynccontextmanager
    async def simulated(_clock: SystemClock, _seed: int) -> AsyncIterator[houses.House]:
        adapter = EmbeddedHouse("127.0.0.1", inverter.port, periods=FAST)
        limit = EmbeddedFeedIn(adapter, INVERTER)
        yield houses.House(adapter, adapter, lambda: INVERTER, adapter.run, feed_in=limit)

    patch.setattr(houses, "simulated", simulated)
    wishes = {"mode": "control", "export_limit_w": 3680, "feed_in_limit_percent": 60}
    await SettingsStore(data).update(wishes, "test")
    ports: list[int] = []
    async with opened(Options(), Place(data, port=0, demo=Demo())) as app:
        running = asyncio.create_task(app.run(ports.append))
        await until(lambda: bool(ports) and inverter.registers.read(REGISTER, 1) == [60])
        yield f"http://127.0.0.1:{ports[0]}"
        app.stopping.set()
        await asyncio.wait_for(running, 30)


async def test_an_agent_that_is_stopped_gives_it_back_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with inverter_at(80) as inverter:
        async with agent_with(inverter, tmp_path, monkeypatch):
            pass
        assert inverter.registers.read(REGISTER, 1) == [80]


async def test_somebody_elses_value_is_told_on_the_page_and_outlives_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with inverter_at(80) as inverter:
        async with (
            agent_with(inverter, tmp_path, monkeypatch) as url,
            ClientSession(url, headers={WRITE_HEADER: WRITE_HEADER_VALUE}) as http,
        ):
            inverter.registers.write(REGISTER, [70])
            # A changed setting has it looked at now, not within five minutes.
            answer = await http.patch("/api/settings", json={"minimum_off_s": 30})
            assert answer.status == 200
            codes: set[str] = set()
            async with asyncio.timeout(20):
                while "feed_in_left" not in codes:
                    state = await (await http.get("/api/state")).json()
                    codes = {problem["code"] for problem in state["problems"]}
                    await asyncio.sleep(0.02)
        assert inverter.registers.read(REGISTER, 1) == [70]
