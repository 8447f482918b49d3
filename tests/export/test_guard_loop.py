"""The loop around the decisions: real Modbus, real journal, real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.clock import SystemClock
from agent.export import memory
from agent.export.commissioning import Commissioning, Stage
from agent.export.guard import STATE_NAME, Guard
from agent.export.record import read
from agent.export.recorder import DECISIONS_NAME, Recorder
from agent.export.replay import replay
from agent.export.requests import Request, RequestKind
from agent.export.snapshot import GuardSnapshot
from agent.export.states import GuardConfig
from agent.house.alphaess import DispatchBlock
from agent.house.embedded import EmbeddedHouse, PollPeriods
from agent.house.port import WriteOutcome, WriteStatus
from agent.journal import Journal, JournalError
from agent.replaying import pages
from agent.settings import Settings
from agent.simulator.inverter import Inverter
from agent.simulator.plant import Plant, PlantSettings
from agent.site import guard_config

QUICK = PollPeriods(power_s=0.3, pv_s=0.5, counters_s=0.5, dispatch_s=0.5)
IDENTITY = "direct test"
SETTINGS = Settings(mode="control", export_limit_w=3680, target_export_w=3000, safety_margin_kwh=0)


@dataclass
class Rig:
    guard: Guard
    house: EmbeddedHouse
    inverter: Inverter
    journal: Journal

    async def until(self, condition: Callable[[], bool], within_s: float = 20) -> None:
        woken = asyncio.Event()
        end = self.guard.subscribe(woken.set)
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    await woken.wait()
                    woken.clear()
        finally:
            end()

    def ask(self, kind: RequestKind) -> str:
        return self.guard.request(Request(kind, "test")).code

    async def kinds(self) -> list[str]:
        return [event.kind for event in await self.journal.events(limit=500)]


@asynccontextmanager
async def rig(data: Path, inverter: Inverter, *, commissioned: bool = True) -> AsyncIterator[Rig]:
    plant = inverter.plant
    day_base = (plant.true_exported_wh, plant.true_produced_wh - 3000)
    house = EmbeddedHouse("127.0.0.1", inverter.port, day_base=day_base, periods=QUICK)
    journal = await Journal.open(data / "journal.sqlite3")
    clock = SystemClock(ZoneInfo("Europe/London"))
    passed = Commissioning(
        Stage.PASSED, path=IDENTITY, delay_s=2, exit_lag_s=1, gain=1.0, at=clock.now().local
    )

    def configure(test: Commissioning) -> GuardConfig:
        return guard_config(SETTINGS, house.traits, test, IDENTITY)

    if commissioned and await journal.load_state(STATE_NAME) is None:
        begun = replace(memory.fresh(clock.now()), commissioning=passed)
        now = clock.now()
        await journal.save_state(STATE_NAME, memory.journaled(begun, now), now.local)
    recorder = Recorder(data)
    guard = Guard(house, house, journal, clock, configure, note=recorder.note)
    await guard.recall()
    tasks = [asyncio.create_task(house.run()), asyncio.create_task(guard.run())]
    try:
        yield Rig(guard, house, inverter, journal)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(recorder.close)
        await journal.close()


def evening() -> Inverter:
    plant = Plant(PlantSettings(soc_percent=80))
    plant.pv_override_w, plant.load_override_w = 0.0, 400.0
    return Inverter(plant)


async def test_all_who_look_after_a_look_see_one_picture_and_a_request_is_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with evening() as inverter, rig(tmp_path, inverter) as house:
        guard = house.guard
        await house.until(lambda: not guard.snapshot().blockers)
        seen: list[tuple[GuardSnapshot, GuardSnapshot]] = []
        end = guard.subscribe(lambda: seen.append((guard.snapshot(), guard.snapshot())))
        await house.until(lambda: len(seen) >= 3)
        end()
        assert all(first is second for first, second in seen)
        assert len({id(first) for first, _ in seen}) == len(seen)
        assert guard.snapshot().last_action is None
        assert house.ask(RequestKind.START_DISCHARGE) == "accepted"
        last = guard.snapshot().last_action
        assert last is not None
        assert last.action == "start_discharge"
        monkeypatch.setattr("agent.export.guard._PICTURE_FOR_S", -1.0)  # however old it is
        assert guard.snapshot() is not guard.snapshot()


async def test_a_discharge_runs_and_is_given_back_at_the_end(tmp_path: Path) -> None:
    async with evening() as inverter, rig(tmp_path, inverter) as house:
        await house.until(lambda: not house.guard.snapshot().blockers)
        assert house.ask(RequestKind.START_DISCHARGE) == "accepted"
        await house.until(lambda: inverter.plant.battery_w > 2000)
        assert await house.guard.release(15)
        assert not inverter.plant.dispatch.active
        kinds = await house.kinds()
        assert kinds.index("lease") < kinds.index("discharge_started") < kinds.index("stop")
        assert "stop_verified" in kinds


async def test_a_second_agent_adopts_what_the_first_one_left_running(tmp_path: Path) -> None:
    async with evening() as inverter:
        async with rig(tmp_path, inverter) as first:
            await first.until(lambda: not first.guard.snapshot().blockers)
            first.ask(RequestKind.START_DISCHARGE)
            await first.until(lambda: inverter.plant.battery_w > 2000)
        async with rig(tmp_path, inverter) as second:
            await second.until(lambda: not second.guard.state.adopting)
            assert await second.guard.release(15)
            kinds = await second.kinds()
            assert "adopted" in kinds
            assert "found_idle" not in kinds[kinds.index("discharge_started") :]


async def test_case_35_two_agents_on_two_hosts_see_each_other_over_the_wire(tmp_path: Path) -> None:
    """Case 35: each with a journal of its own, both on one inverter; the second keeps away."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with (
        evening() as inverter,
        rig(tmp_path / "a", inverter) as first,
        rig(tmp_path / "b", inverter) as second,
    ):
        await first.until(lambda: not first.guard.snapshot().blockers)
        await second.until(lambda: not second.guard.snapshot().blockers)
        assert first.ask(RequestKind.START_DISCHARGE) == "accepted"
        await first.until(lambda: inverter.plant.battery_w > 2000)
        begun_s = inverter.plant.time_s
        await second.until(
            lambda: second.guard.state.foreign is not None and second.guard.state.foreign.announced
        )
        assert inverter.plant.time_s - begun_s <= 15
        assert second.ask(RequestKind.START_DISCHARGE) == "foreign_controller"
        assert await first.guard.release(15)
        await second.until(lambda: second.guard.state.foreign is None)
        kinds = await second.kinds()
        assert "foreign_gone" in kinds
        assert not {"lease", "stop"} & set(kinds)


async def test_what_both_of_them_decided_comes_out_the_same_when_it_is_decided_again(
    tmp_path: Path,
) -> None:
    """Real clocks, real Modbus, real files: every bit of every decision, across the restart."""
    async with evening() as inverter:
        async with rig(tmp_path, inverter) as house:
            await house.until(lambda: not house.guard.snapshot().blockers)
            house.ask(RequestKind.START_DISCHARGE)
            await house.until(lambda: inverter.plant.battery_w > 2000)
            assert await house.guard.release(15)
        async with rig(tmp_path, inverter) as house:
            await house.until(lambda: house.house.sample().linked)
            house.ask(RequestKind.CALCULATE)
            assert await house.guard.release(15)
            events = await house.journal.events(limit=500)
        again: list[tuple[str, str]] = []
        report = replay(
            read(pages(tmp_path / DECISIONS_NAME)),
            watch=lambda looked, result: again.extend(
                (looked.look.now.local.isoformat(), event.kind) for event in result.events
            ),
        )
    assert report.exact, (report.first, report.unreadable)
    assert (report.chapters, report.gaps) == (2, 2)
    assert report.commands >= 2
    journaled = [(event.at.isoformat(), event.kind) for event in events]
    assert len(journaled) > 8
    assert again[: len(journaled)] == journaled


async def test_a_command_is_on_disk_before_it_leaves(tmp_path: Path) -> None:
    """Looks into the journal from inside the write: the lease must already be there."""
    async with evening() as inverter, rig(tmp_path, inverter) as house:
        seen: list[list[int]] = []
        really = house.house.write

        async def write(block: DispatchBlock, deadline_s: float) -> WriteOutcome:
            state = await house.journal.load_state(STATE_NAME) or {}
            seen.append([c["block"]["power_w"] for c in state["commitments"]])
            return await really(block, deadline_s)

        house.house.write = write  # type: ignore[method-assign]
        await house.until(lambda: not house.guard.snapshot().blockers)
        house.ask(RequestKind.START_DISCHARGE)
        await house.until(lambda: inverter.plant.battery_w > 2000)
        assert seen
        assert all(powers and powers[-1] > 1000 for powers in seen)


async def test_without_a_journal_nothing_starts_but_a_stop_leaves(tmp_path: Path) -> None:
    async with evening() as inverter, rig(tmp_path, inverter) as house:
        await house.until(lambda: not house.guard.snapshot().blockers)
        house.ask(RequestKind.START_DISCHARGE)
        await house.until(lambda: inverter.plant.battery_w > 2000)
        starts = sum(write.values[0] for write in inverter.writes)

        async def broken(*_: object) -> list[int]:
            raise JournalError("full", "the disk is full")

        house.journal.record = broken  # type: ignore[method-assign]
        house.ask(RequestKind.EMERGENCY_STOP)
        await house.until(lambda: not inverter.plant.dispatch.active)
        house.ask(RequestKind.ACKNOWLEDGE)
        await house.until(lambda: house.guard.state.stopping is None)
        house.ask(RequestKind.START_DISCHARGE)
        await house.until(lambda: house.guard.state.error_reason is not None)
        assert "disk is full" in (house.guard.state.error_reason or None).text  # type: ignore[union-attr]
        assert sum(write.values[0] for write in inverter.writes) == starts


async def test_a_lost_journal_locks_until_a_person_has_looked(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite3").write_bytes(b"this is no database" * 500)
    async with evening() as inverter:
        async with rig(tmp_path, inverter, commissioned=False) as house:
            await house.until(lambda: house.guard.state.good_samples > 2)
            assert house.ask(RequestKind.COMMISSION) == "latched"
            assert house.guard.snapshot().latched
        async with rig(tmp_path, inverter, commissioned=False) as again:
            assert again.guard.state.hold is not None, "a restart does not release it"
            assert again.ask(RequestKind.ACKNOWLEDGE) == "accepted"


async def test_a_call_that_never_returns_counts_as_unconfirmed(tmp_path: Path) -> None:
    async with evening() as inverter, rig(tmp_path, inverter) as house:
        await house.until(lambda: not house.guard.snapshot().blockers)
        house.house.write = lambda *_: asyncio.sleep(3600)  # type: ignore[method-assign,assignment]
        house.guard._configure = _with_deadline(house.guard._configure, -4.9)
        house.ask(RequestKind.START_DISCHARGE)
        await house.until(lambda: bool(house.guard.state.commitments))
        await house.until(
            lambda: house.guard.state.commitments[0].status.value == WriteStatus.UNCONFIRMED.value
        )


def _with_deadline(
    configure: Callable[[Commissioning], GuardConfig], deadline_s: float
) -> Callable[[Commissioning], GuardConfig]:
    return lambda test: replace(configure(test), write_deadline_s=deadline_s)
