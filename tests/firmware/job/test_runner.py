"""Jobs over the wire and on the disk: kills, refusals, secrets, turns, and the way back."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from agent.firmware.job.models import KIND, Blame, How, JobState, Request, Result, Stage
from agent.firmware.job.ports import Told
from agent.firmware.job.runner import FlashJobs, Refused
from agent.firmware.job.watch import Mark
from agent.firmware.ota.driver import upload
from agent.firmware.ota.models import Outcome, Secrets
from agent.firmware.ota.payload import Payload
from agent.fleet.identity import Mac
from agent.journal import Journal, JournalError
from agent.simulator.ota_boot import Fate
from agent.simulator.ota_rules import Auth, Failure, Fault, OtaRules
from agent.simulator.ota_rules import Stage as FaultStage
from tests.firmware.job.scene import becomes, ended
from tests.firmware.job.simulated import LOOPBACK, PATIENCE, Bridge, Site, made, release_of


def site_of(directory: Path, *bridges: Bridge, **said: object) -> Site:
    directory.mkdir(exist_ok=True)
    return Site(directory, {it.mac: it for it in bridges}, **said)  # type: ignore[arg-type]


def wish(site: Site, bridge: Bridge, version: str = "1.1.0", fate: Fate = Fate.GOOD) -> Request:
    image = made(version, fate)
    site.store.put(image)
    return Request(bridge.mac, release_of(image, version), "Ada")


async def flashed(jobs: FlashJobs, request: Request) -> JobState:
    asked = await jobs.start(request)
    assert isinstance(asked, JobState), asked
    return await ended(jobs, asked.id)


async def killed_at(directory: Path, point: int, fate: Fate) -> tuple[Site, Bridge, JobState]:
    """Flash one bridge, kill the agent at that boundary, start it again, and see it through."""
    async with Bridge(point) as bridge:
        site = site_of(directory, bridge, kill_at=point)
        request = wish(site, bridge, fate=fate)
        async with site.agent() as jobs:
            started = asyncio.ensure_future(jobs.start(request, "job"))
            died = asyncio.ensure_future(site.dead.wait())
            over = asyncio.ensure_future(_over(started, jobs))
            await asyncio.wait({died, over}, return_when=asyncio.FIRST_COMPLETED)
            for each in (started, died, over):
                each.cancel()
        site.kill_at = 0
        async with site.agent() as jobs:
            if "job" not in jobs.jobs.by_id:
                assert site.points[-1] == "before the line asked" or point == 1
                await jobs.start(request, "job")
            state = await ended(jobs, "job")
            assert jobs.jobs.open == ()
            assert jobs.jobs.lock(bridge.mac) is None
        assert site.moments.held == set()
        return site, bridge, state


async def _over(started: asyncio.Future[object], jobs: FlashJobs) -> None:
    await started
    await ended(jobs, "job")


async def points_of(directory: Path, fate: Fate) -> list[str]:
    site, _, _ = await killed_at(directory, 9999, fate)
    return site.points


@pytest.mark.parametrize("fate", [Fate.GOOD, Fate.CRASHES])
async def test_pv20_killed_at_each_boundary_the_next_start_finds_the_right_end(
    tmp_path: Path, fate: Fate
) -> None:
    points = await points_of(tmp_path / "whole", fate)
    assert len(points) >= 26  # before and after each of the seven lines and of the acts between
    ends = await asyncio.gather(
        *(killed_at(tmp_path / str(at), at, fate) for at in range(1, len(points) + 1))
    )
    for at, (_, bridge, state) in enumerate(ends, start=1):
        told = f"killed at {at}, {points[at - 1]}: {state.verdict}"
        assert state.verdict is not None, told
        assert bridge.uploads <= 1, told
        if bridge.uploads == 0:
            # Announced and never sent: it is not sent again either, and nothing has changed.
            assert points[at - 1] in {"after the line stage upload", "before upload"}, told
            assert state.verdict.result is Result.UNCHANGED, told
            assert bridge.flash.running.version == "1.0.0", told
        elif fate is Fate.GOOD:
            assert state.verdict.result is Result.CONFIRMED, told
            assert bridge.flash.running.version == "1.1.0", told
        else:
            assert state.verdict.result in {Result.ROLLED_BACK, Result.UNCHANGED}, told
            unknown_end = points[at - 1] in {"after upload", "before the line uploaded"}
            assert state.verdict.result is Result.ROLLED_BACK or unknown_end, told


@pytest.mark.parametrize(
    ("code", "words"), [(0x8D, "signature"), (0x93, "downgrade"), (0x89, "too_large")]
)
async def test_what_the_bridge_refuses_for_good_is_final_and_its_words_are_told(
    tmp_path: Path, code: int, words: str
) -> None:
    async with Bridge(1, OtaRules(verify=lambda _: code)) as bridge:
        site = site_of(tmp_path, bridge)
        async with site.agent() as jobs:
            state = await flashed(jobs, wish(site, bridge))
        assert state.verdict is not None
        assert state.verdict.result is Result.UNCHANGED
        assert (state.verdict.blame, state.verdict.code) == (Blame.RELEASE, words)
        assert f"0x{code:02X}" in state.verdict.text
        assert bridge.flash.running.version == "1.0.0"


async def test_pv07_each_bridge_is_opened_by_its_own_password(tmp_path: Path) -> None:
    """One key for every device failed on all but one, or went without."""
    rules = [OtaRules(auth=Auth.SHA256, password=f"of-{number}") for number in (1, 2)]
    async with Bridge(1, rules[0]) as one, Bridge(2, rules[1]) as two:
        site = site_of(tmp_path, one, two)
        site.secrets = {one.mac: Secrets(password="of-1"), two.mac: Secrets(password="of-2")}
        async with site.agent() as jobs:
            ends = await asyncio.gather(
                flashed(jobs, wish(site, one)), flashed(jobs, wish(site, two))
            )
            assert {it.verdict.result for it in ends if it.verdict} == {Result.CONFIRMED}
            site.secrets = {one.mac: Secrets(password="of-2"), two.mac: Secrets()}
            ends = await asyncio.gather(
                flashed(jobs, wish(site, one, "1.2.0")), flashed(jobs, wish(site, two, "1.2.0"))
            )
        codes = [it.verdict.code for it in ends if it.verdict]
        assert codes == ["wrong_password", "no_password"]
        assert "of-" not in str([it.verdict for it in ends])
        journaled = (tmp_path / "journal.sqlite3").read_bytes()
        assert b"of-1" not in journaled
        assert b"of-2" not in journaled


async def test_a_boot_loop_without_rollback_is_seen_to_end_in_safe_mode(tmp_path: Path) -> None:
    async with Bridge(1, rollback=False) as bridge:
        site = site_of(tmp_path, bridge, patience=replace(PATIENCE, deadline_s=2.0))
        async with site.agent() as jobs:
            state = await flashed(jobs, wish(site, bridge, fate=Fate.CRASHES))
        assert state.verdict is not None
        assert state.verdict.result is Result.LOST
        assert {Mark.NEW_LEFT, Mark.SAFE_MODE} <= state.marks
        assert "safe mode" in state.verdict.text


async def test_who_was_recovered_from_safe_mode_is_flashed_like_any_other(tmp_path: Path) -> None:
    async with Bridge(1, rollback=False) as bridge:
        site = site_of(tmp_path, bridge, patience=replace(PATIENCE, deadline_s=2.0))
        async with site.agent() as jobs:
            lost = await flashed(jobs, wish(site, bridge, fate=Fate.CRASHES))
            assert lost.verdict is not None
            assert lost.verdict.result is Result.LOST
            assert bridge.flash.safe_mode
            # As ESPHome's own tool does it; no job begins on a bridge that does not say who it is.
            back = asyncio.Event()
            bridge.wakes.append(lambda: back.set() if bridge.is_up else None)
            good = Payload(made("1.0.0"))
            sent = await upload([LOOPBACK], bridge.port, good, Secrets(), deadline_s=10)
            assert sent.outcome is Outcome.SENT
            async with asyncio.timeout(10):
                while bridge.flash.safe_mode or not bridge.is_up:
                    back.clear()
                    await back.wait()
            state = await flashed(jobs, wish(site, bridge, "1.2.0"))
        assert state.verdict is not None
        assert state.verdict.result is Result.CONFIRMED
        assert bridge.flash.running.version == "1.2.0"


async def test_pv09_what_was_confirmed_before_goes_back_in_one_action(tmp_path: Path) -> None:
    """No previous image was kept and there was no way back."""
    async with Bridge(1) as bridge:
        site = site_of(tmp_path, bridge)
        async with site.agent() as jobs:
            none = await jobs.go_back(bridge.mac, "Ada")
            assert isinstance(none, Refused)
            assert none.code == "nothing-to-go-back-to"
            first = await flashed(jobs, wish(site, bridge, "1.1.0"))
            await flashed(jobs, wish(site, bridge, "1.2.0"))
        async with site.agent() as jobs:  # known from the journal alone
            assert first.request.release.digest in jobs.jobs.keep()
            asked = await jobs.go_back(bridge.mac, "Ada", ("ack_downgrade",))
            assert isinstance(asked, JobState)
            assert (asked.request.goes_back, asked.request.acks) == (True, ("ack_downgrade",))
            back = await ended(jobs, asked.id)
        assert back.verdict is not None
        assert back.verdict.result is Result.CONFIRMED
        assert bridge.flash.running.version == "1.1.0"
        async with site.agent() as jobs:
            site.refusals[bridge.mac] = "The policy says no."
            asked = await jobs.go_back(bridge.mac, "Ada")
            assert isinstance(asked, JobState)
            refused = await ended(jobs, asked.id)
        assert refused.verdict is not None
        assert "The policy says no." in refused.verdict.text


async def test_after_a_loss_the_way_back_is_what_was_confirmed_last(tmp_path: Path) -> None:
    async with Bridge(1, rollback=False) as bridge:
        site = site_of(tmp_path, bridge, patience=replace(PATIENCE, deadline_s=2.0))
        async with site.agent() as jobs:
            good = await flashed(jobs, wish(site, bridge, "1.1.0"))
            await flashed(jobs, wish(site, bridge, "1.2.0", Fate.CRASHES))
            assert jobs.jobs.before(bridge.mac) == good.request.release
            assert jobs.jobs.floor(bridge.mac) == 1


async def test_a_bridge_has_one_job_and_the_house_so_many_at_once(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        bridges = [await stack.enter_async_context(Bridge(number)) for number in range(4)]
        site = site_of(tmp_path, *bridges, places=2)
        most = 0
        async with site.agent() as jobs:

            def count() -> None:
                nonlocal most
                most = max(most, sum(it.holds_slot for it in jobs.jobs.open))

            jobs.subscribe(count)
            asked = [await jobs.start(wish(site, it)) for it in bridges]
            again = await jobs.start(wish(site, bridges[0], "1.2.0"))
            assert isinstance(again, Refused)
            assert again.code == "locked"
            assert "is being flashed" in again.text
            ends = [await ended(jobs, it.id) for it in asked if isinstance(it, JobState)]
        assert {it.verdict.result for it in ends if it.verdict} == {Result.CONFIRMED}
        assert most == 2


async def test_a_wish_under_one_name_is_one_job(tmp_path: Path) -> None:
    async with Bridge(1) as bridge:
        site = site_of(tmp_path, bridge)
        async with site.agent() as jobs:
            first = await jobs.start(wish(site, bridge), "c1-1")
            second = await jobs.start(wish(site, bridge), "c1-1")
            assert isinstance(first, JobState)
            assert isinstance(second, JobState)
            assert first.id == second.id
            await ended(jobs, "c1-1")
            await jobs.start(wish(site, bridge), "c1-1")
        assert bridge.uploads == 1


async def test_a_job_that_waits_for_the_guard_is_cancelled_and_gives_the_bridge_back(
    tmp_path: Path,
) -> None:
    async with Bridge(1) as bridge:
        site = site_of(tmp_path, bridge)
        site.moments.waits[bridge.mac] = "A discharge runs through it."
        async with site.agent() as jobs:
            asked = await jobs.start(wish(site, bridge))
            assert isinstance(asked, JobState)
            await becomes(jobs, lambda: "discharge" in jobs.view().progress[asked.id].text)
            await jobs.cancel(asked.id, "Ada")
            state = await ended(jobs, asked.id)
        assert state.verdict is not None
        assert (state.verdict.code, bridge.uploads) == ("cancelled", 0)
        assert ("release", bridge.mac) in site.moments.log


async def test_an_upload_that_has_begun_is_not_cancelled(tmp_path: Path) -> None:
    async with Bridge(1) as bridge:
        site = site_of(tmp_path, bridge)
        async with site.agent() as jobs:
            asked = await jobs.start(wish(site, bridge))
            assert isinstance(asked, JobState)
            await becomes(jobs, lambda: jobs.jobs.by_id[asked.id].upload_began)
            refused = await jobs.cancel(asked.id, "Ada")
            assert isinstance(refused, Refused)
            assert "Wait for the verdict" in refused.text
            assert bridge.mac in jobs.jobs.on_trial
            state = await ended(jobs, asked.id)
        assert state.stage is Stage.COMPLETE


async def test_pv19_what_is_shown_of_progress_never_goes_back(tmp_path: Path) -> None:
    for fate in (Fate.GOOD, Fate.CRASHES):
        async with Bridge(1) as bridge:
            site = site_of(tmp_path / fate, bridge)
            shown: list[float] = []
            async with site.agent() as jobs:

                def note(jobs: FlashJobs = jobs, shown: list[float] = shown) -> None:
                    shown += [it.percent for it in jobs.view().progress.values()]

                jobs.subscribe(note)
                await flashed(jobs, wish(site, bridge, fate=fate))
            assert shown == sorted(shown)
            assert len(set(shown)) > 6
            assert 80 <= max(shown) <= 100


async def test_a_bridge_that_is_gone_for_the_guard_is_so_from_the_journal_after_a_restart(
    tmp_path: Path,
) -> None:
    async with Bridge(1) as bridge:
        site = site_of(tmp_path, bridge)
        request = wish(site, bridge)
        site.kill_at = 9999
        async with site.agent() as jobs:
            await jobs.start(request, "job")
            await becomes(jobs, lambda: jobs.jobs.by_id["job"].upload_began)
        site.moments.log.clear()
        async with site.agent() as jobs:
            assert jobs.jobs.flashing == {bridge.mac}
            assert bridge.mac in jobs.jobs.on_trial
            await ended(jobs, "job")
            assert jobs.jobs.flashing == frozenset()
        # The guard that has started with it was told, and told again when it was over.
        assert site.moments.log[0] == ("hold", bridge.mac)
        assert site.moments.log[-1] == ("release", bridge.mac)


async def test_an_agent_that_stops_sees_uploads_through_and_begins_none(tmp_path: Path) -> None:
    async with Bridge(1) as sending, Bridge(2) as waiting, Bridge(3) as late:
        site = site_of(tmp_path, sending, waiting, late)
        site.moments.waits[waiting.mac] = "A discharge runs through it."
        async with site.agent() as jobs:
            for each, name in ((sending, "one"), (waiting, "two")):
                await jobs.start(wish(site, each), name)
            await becomes(jobs, lambda: jobs.jobs.by_id["one"].upload_began)
            assert await jobs.drain(10)
            assert jobs.jobs.by_id["one"].upload is not None
            refused = await jobs.start(wish(site, late))
            assert isinstance(refused, Refused)
            assert (refused.code, late.uploads) == ("stopping", 0)
            del site.moments.waits[waiting.mac]
            await becomes(jobs, lambda: jobs.jobs.by_id["two"].stage is Stage.VERIFY)
            await ended(jobs, "one")  # as long as a whole trial takes
            assert not jobs.jobs.by_id["two"].upload_began
        async with site.agent() as jobs:
            state = await ended(jobs, "two")
        assert state.verdict is not None
        assert (state.verdict.result, waiting.uploads) == (Result.CONFIRMED, 1)


async def test_at_the_end_an_upload_that_runs_is_finished_and_nothing_else_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Bridge(1) as bridge, Bridge(2) as other:
        site = site_of(tmp_path, bridge, other, places=1)
        goes_on, send = asyncio.Event(), site.upload

        async def slow(request: Request, told: Told) -> object:
            await goes_on.wait()
            return await send(request, told)

        monkeypatch.setattr(site, "upload", slow)
        async with site.agent() as jobs:
            await jobs.start(wish(site, bridge), "sends")
            await jobs.start(wish(site, other), "waits")
            await becomes(jobs, lambda: jobs.jobs.by_id["sends"].upload_began)
            draining = asyncio.ensure_future(jobs.drain(20))
            await asyncio.sleep(0)  # it has begun
            refused = await jobs.start(wish(site, other, "1.2.0"))
            assert isinstance(refused, Refused)
            assert refused.code == "stopping"
            assert not draining.done()
            goes_on.set()
            assert await draining
            end = jobs.jobs.by_id["sends"].upload
            assert end is not None
            assert end.how is How.SENT
            await ended(jobs, "sends")  # its place is free, and nobody takes it
            assert jobs.jobs.by_id["waits"].stage is Stage.INIT
        async with site.agent() as jobs:
            state = await ended(jobs, "waits")
        assert state.stage is Stage.COMPLETE
        assert (bridge.uploads, other.uploads) == (1, 1)


async def test_an_upload_that_outlasts_the_grace_time_is_broken_off_and_classified_at_the_start(
    tmp_path: Path,
) -> None:
    stalls = Fault(FaultStage.DATA, Failure.STALL, after_bytes=20_000, times=1)
    rules = OtaRules(deflate=False, faults=(stalls,))
    async with Bridge(1, rules) as bridge:
        site = site_of(tmp_path, bridge)
        async with site.agent() as jobs:
            await jobs.start(wish(site, bridge), "job")
            await becomes(jobs, lambda: jobs.view().progress["job"].percent > 30)
            assert not await jobs.drain(0.05)
            assert jobs.jobs.by_id["job"].upload is None
        async with site.agent() as jobs:
            assert bridge.mac in jobs.jobs.on_trial
            state = await ended(jobs, "job")
        assert state.verdict is not None
        assert state.upload is not None
        assert (state.verdict.result, state.upload.how) == (Result.UNCHANGED, How.INTERRUPTED)
        assert state.verdict.blame is Blame.NETWORK
        assert bridge.uploads <= 1
        assert bridge.flash.running.version == "1.0.0"


async def test_a_fault_of_an_adapter_ends_the_job_with_words_and_frees_the_bridge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Bridge(1) as bridge:
        site = site_of(tmp_path, bridge)

        async def broken(*_: object) -> bool:
            raise ValueError("a defect of ours")

        monkeypatch.setattr(site, "verify", broken)
        async with site.agent() as jobs:
            state = await flashed(jobs, wish(site, bridge))
            assert jobs.jobs.lock(bridge.mac) is None
        assert state.verdict is not None
        assert "fault of the agent" in state.verdict.text
        assert "a defect of ours" not in state.verdict.text


async def test_what_the_disk_does_not_take_is_not_begun(tmp_path: Path) -> None:
    async with Bridge(1) as bridge:
        site = site_of(tmp_path, bridge)
        async with site.agent() as jobs:
            journal: Journal = jobs._journal  # the one that is on the disk
            await journal.close()
            with pytest.raises(JournalError):
                await jobs.start(wish(site, bridge))
            assert jobs.jobs.by_id == {}


async def test_bad_lines_are_counted_and_take_no_lock_away(tmp_path: Path) -> None:
    async with Bridge(1) as bridge, Bridge(2) as other:
        site = site_of(tmp_path, bridge, other)
        async with site.agent() as jobs:
            await flashed(jobs, wish(site, bridge))
        async with await Journal.open(tmp_path / "journal.sqlite3") as journal:
            at = (await journal.events(kinds=[KIND]))[0].at
            for bad in ({}, {"job": "x", "line": "stage"}, {"job": "y", "line": "asked"}):
                await journal.append(KIND, bad, at)
        async with site.agent() as jobs:
            assert jobs.jobs.unread == 3
            assert jobs.jobs.floor(bridge.mac) == 1
            assert jobs.jobs.floor(Mac("02005e30ffff")) == 0
