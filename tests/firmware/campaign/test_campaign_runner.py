"""Campaigns over simulated bridges, with the real uploader and the journal on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.clock import SystemClock
from agent.firmware.campaign import step
from agent.firmware.campaign.models import (
    CampaignState,
    Member,
    Plan,
    Standing,
    Status,
    World,
)
from agent.firmware.campaign.order import ordered
from agent.firmware.campaign.runner import CampaignDesk
from agent.firmware.job.runner import FlashJobs, Refused
from agent.fleet.identity import Mac
from agent.simulator.ota_boot import Fate
from tests.firmware.job.simulated import Bridge, Site, made, release_of

ZONE = ZoneInfo("Europe/London")
MANIFEST = "ef" * 32


@asynccontextmanager
async def desk(site: Site) -> AsyncIterator[tuple[CampaignDesk, FlashJobs]]:
    """Run an agent with campaigns on what the journal holds; leaving it is its sudden end."""
    async with site.agent() as jobs:
        online = frozenset(site.bridges)
        it = CampaignDesk(jobs._journal, jobs, SystemClock(ZONE), lambda _plan: World(online, ZONE))
        await it.recall()
        running = asyncio.create_task(it.run())
        try:
            yield it, jobs
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def becomes(it: CampaignDesk, holds: Callable[[], object]) -> None:
    changed = asyncio.Event()
    end = it.subscribe(changed.set)
    try:
        async with asyncio.timeout(30):
            while not holds():
                changed.clear()
                await changed.wait()
    finally:
        end()


def plan_of(site: Site, image: bytes, version: str = "1.1.0") -> Plan:
    site.store.put(image)
    members = tuple(Member(mac) for mac in site.bridges)
    release = release_of(image, version)
    now = datetime.now(UTC)
    return Plan("c1", release, MANIFEST, members, "Ada", now, parallel=4, soak_s=0.0)


@asynccontextmanager
async def bridges(directory: Path, count: int) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        made_up = [await stack.enter_async_context(Bridge(number)) for number in range(count)]
        yield Site(directory, {it.mac: it for it in made_up})


async def test_a_campaign_reaches_everybody_though_the_agent_dies_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An upload that a kill has interrupted is the network's fault and tried again; soon, here.
    monkeypatch.setattr(step, "RETRY", (timedelta(seconds=0.05),) * 3)
    async with bridges(tmp_path, 7) as site:
        told = plan_of(site, made("1.1.0"))
        for done in (2, 4):
            async with desk(site) as (campaigns, _):
                if "c1" not in campaigns.view():
                    assert isinstance(await campaigns.plan(told), CampaignState)
                await until_uploads(site, done)
        async with desk(site) as (campaigns, jobs):
            await becomes(campaigns, lambda: campaigns.view()["c1"].state.status is Status.FINISHED)
            shown = campaigns.view()["c1"]
            assert {it.standing for it in shown.places.values()} == {Standing.CONFIRMED}
            assert jobs.jobs.open == ()
        assert {it.flash.running.version for it in site.bridges.values()} == {"1.1.0"}


async def until_uploads(site: Site, count: int) -> None:
    changed = asyncio.Event()
    for bridge in site.bridges.values():
        bridge.wakes.append(changed.set)
    while sum(it.uploads for it in site.bridges.values()) < count:
        changed.clear()
        await changed.wait()
    for bridge in site.bridges.values():
        bridge.wakes.remove(changed.set)


async def test_pv09_the_first_failure_stops_it_until_a_person_resumes(tmp_path: Path) -> None:
    """There were no stages, no stop at a failure, and one press flashed."""
    async with bridges(tmp_path, 5) as site:
        told = plan_of(site, made("1.1.0", Fate.CRASHES))
        first = ordered(told.members, MANIFEST)[0].mac
        async with desk(site) as (campaigns, jobs):
            await campaigns.plan(told)
            await becomes(campaigns, lambda: campaigns.view()["c1"].state.status is Status.STOPPED)
            assert "1 of 1 failed" in campaigns.view()["c1"].state.text
            assert [it.mac for it in jobs.jobs.by_id.values()] == [first]
            again = await campaigns.plan(replace(told, id="c2"))
            assert isinstance(again, Refused)
            assert "another campaign" in again.text
        async with desk(site) as (campaigns, jobs):  # a restart resumes nothing by itself
            assert campaigns.view()["c1"].state.status is Status.STOPPED
            await campaigns.resume("c1", "Ada")
            await becomes(campaigns, lambda: campaigns.view()["c1"].state.status is Status.STOPPED)
            assert len(jobs.jobs.by_id) == 3
            await campaigns.abort("c1", "Ada")
            await becomes(campaigns, lambda: campaigns.view()["c1"].state.status is Status.FINISHED)
            late = await campaigns.resume("c1", "Ada")
            assert isinstance(late, Refused)
        versions = [it.flash.running.version for it in site.bridges.values()]
        assert versions == ["1.0.0"] * 5


async def test_a_pause_lets_jobs_end_and_none_begin(tmp_path: Path) -> None:
    async with bridges(tmp_path, 3) as site:
        async with desk(site) as (campaigns, jobs):
            await campaigns.plan(plan_of(site, made("1.1.0")))
            await until_uploads(site, 1)
            paused = await campaigns.pause("c1", "Ada")
            assert isinstance(paused, CampaignState)
            assert paused.status is Status.PAUSED
            changed = asyncio.Event()
            jobs.subscribe(changed.set)
            while jobs.jobs.open:
                changed.clear()
                await changed.wait()
            assert len(jobs.jobs.by_id) == 1
            await campaigns.resume("c1", "Ada")
            await becomes(campaigns, lambda: campaigns.view()["c1"].state.status is Status.FINISHED)
        uploads = {Mac(mac): it.uploads for mac, it in site.bridges.items()}
        assert set(uploads.values()) == {1}
