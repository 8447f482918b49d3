"""
All campaigns of the house: what people ask of them, and the turns that follow from the journal.

It turns whenever a job, a bridge or a brake changes, and when the time comes that the campaign
itself has named. What it begins are ordinary flash jobs; those keep the locks and see to the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from agent.clock import Clock
from agent.firmware.campaign import replay
from agent.firmware.campaign.models import (
    KIND,
    Act,
    Attempt,
    Begin,
    CampaignState,
    Cancel,
    Finish,
    Open,
    Place,
    Plan,
    Sleep,
    Stop,
    World,
    attempt_of,
)
from agent.firmware.campaign.replay import OVER, Campaigns, LineError
from agent.firmware.campaign.step import failures, next_acts, standings
from agent.firmware.job.models import Request
from agent.firmware.job.runner import FlashJobs, Refused
from agent.fleet.identity import Mac
from agent.journal import Journal, JournalError

LOG = logging.getLogger(__name__)
PAGE = 1000
LOOK_EVERY_S = 60.0
"""Longest sleep: brakes, sun and bridges change without calling."""
DISK_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class CampaignView:
    """One campaign, to be shown."""

    state: CampaignState
    places: Mapping[Mac, Place]
    """Each bridge's standing, in the order in which they begin."""
    why: str
    """What it waits for, or how it ended."""


class CampaignDesk:
    """Owns the campaigns; one per agent."""

    def __init__(
        self,
        journal: Journal,
        jobs: FlashJobs,
        clock: Clock,
        world: Callable[[Plan], World],
    ) -> None:
        """
        Prepare; `run` takes up what the journal holds.

        Args:
            journal: where the campaigns live.
            jobs: what they are made of; recalled before this.
            clock: both clocks.
            world: the fleet, the sun and the brakes as they are now, for this plan's release.
        """
        self._journal = journal
        self._jobs = jobs
        self._clock = clock
        self._world = world
        self._campaigns: Campaigns = MappingProxyType({})
        self._why: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._wakes: list[Callable[[], None]] = []

    async def recall(self) -> None:
        """
        Read the campaigns out of the journal.

        Raises:
            JournalError: it cannot be read.
        """
        last, lines = 0, []
        while page := await self._journal.events(kinds=[KIND], limit=PAGE, after_id=last):
            last = page[-1].id
            lines += [(it.at, it.data) for it in page]
        self._campaigns = replay.replay(lines)

    async def run(self) -> None:
        """Turn the campaigns until cancelled."""
        end = self._jobs.subscribe(self._wake.set)
        try:
            while True:
                self._wake.clear()
                until_s = LOOK_EVERY_S
                for name, state in self._campaigns.items():
                    if state.status not in OVER:
                        until_s = min(until_s, await self._turned(name))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, until_s)):
                        await self._wake.wait()
        finally:
            end()

    def wake(self) -> None:
        """Look again: bridges, brakes or the sun have changed."""
        self._wake.set()

    async def plan(self, plan: Plan) -> CampaignState | Refused:
        """
        Begin a campaign; it is in the journal when this returns.

        Raises:
            JournalError: it could not be written; nothing will happen.
        """
        if not plan.members:
            return Refused("no-members", "There is no bridge to update. Choose at least one.")
        busy = {
            it.mac
            for state in self._campaigns.values()
            if state.status not in OVER
            for it in state.plan.members
        }
        if both := busy & {it.mac for it in plan.members}:
            text = f"{len(both)} of these bridges are in another campaign. End that one first."
            return Refused("in-another", text)
        return await self._said(replay.planned(plan))

    async def pause(self, campaign: str, by: str) -> CampaignState | Refused:
        """Let no more begin; jobs under way go on. Raises as `plan`."""
        return await self._asked(campaign, replay.word(campaign, "paused", f"{by} paused it.", by))

    async def resume(self, campaign: str, by: str) -> CampaignState | Refused:
        """Go on, accepting the failures so far. Raises as `plan`."""
        state = self._campaigns.get(campaign)
        if state is None or state.status in OVER:
            return _unknown()
        places = self._places(state)
        gone = self._world(state.plan).gone & places.keys()
        accepted = failures(state, places) | gone
        return await self._asked(campaign, replay.resumed(campaign, by, frozenset(accepted)))

    async def abort(self, campaign: str, by: str) -> CampaignState | Refused:
        """End it; what is done stays, what has not begun to send is cancelled. Raises as `plan`."""
        word = replay.word(campaign, "aborted", f"{by} aborted it.", by)
        return await self._asked(campaign, word)

    def view(self) -> Mapping[str, CampaignView]:
        """Return every campaign, the oldest first."""
        return {
            name: CampaignView(state, self._places(state), self._why.get(name, state.text))
            for name, state in self._campaigns.items()
        }

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever the view may have changed; return a function that ends it."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake) if wake in self._wakes else None

    async def _turned(self, name: str) -> float:
        """Do what is due for one campaign; return in how many seconds to look again."""
        state = self._campaigns[name]
        try:
            acts = next_acts(state, self._attempts(name), self._world_of(state), self._now())
            waits = [await self._do(state, act) for act in acts]
        except JournalError as error:
            LOG.error("campaign %s waits for the journal: %s", name, error)  # noqa: TRY400 - a full disk has no traceback worth reading
            return DISK_AGAIN_S
        return min((it for it in waits if it is not None), default=0.0)

    async def _do(self, state: CampaignState, act: Act) -> float | None:
        """Do one act; return in how many seconds to look again, `None` for at once."""
        plan = state.plan
        match act:
            case Sleep(until, why):
                self._why[plan.id] = why
                left_s = (until - self._now()).total_seconds() if until else LOOK_EVERY_S
                return max(0.0, left_s)
            case Begin(entrant):
                request = Request(
                    entrant.mac,
                    plan.release,
                    plan.by,
                    "automatic" if plan.automatic else "person",
                    plan.acks,
                    plan.reason,
                    plan.id,
                    entrant.attempt,
                )
                asked = await self._jobs.start(request, entrant.job(plan.id))
                return LOOK_EVERY_S if isinstance(asked, Refused) else None
            case Cancel(job):
                await self._jobs.cancel(job, f"Campaign {plan.id}")
                return LOOK_EVERY_S
            case Open(batch):
                await self._said(replay.batch(plan.id, batch))
            case Stop(text):
                LOG.warning("campaign %s stops: %s", plan.id, text)
                await self._said(replay.word(plan.id, "stopped", text))
            case Finish(text):
                self._why[plan.id] = text
                await self._said(replay.word(plan.id, "finished", text))
        return None

    async def _asked(self, campaign: str, data: dict[str, object]) -> CampaignState | Refused:
        if campaign not in self._campaigns:
            return _unknown()
        return await self._said(data)

    async def _said(self, data: dict[str, object]) -> CampaignState | Refused:
        """Write a line, unless the campaign is not there for it any more."""
        async with self._writing:
            at = self._clock.now().local
            try:
                now = replay.after(self._campaigns, at, data)
            except LineError as error:
                return Refused("not-under-way", f"{error}.")
            await self._journal.append(KIND, data, at)
            self._campaigns = now
        self._wake.set()
        for wake in tuple(self._wakes):
            wake()
        return self._campaigns[str(data["campaign"])]

    def _attempts(self, campaign: str) -> tuple[Attempt, ...]:
        jobs = self._jobs.jobs.by_id.values()
        return tuple(attempt_of(it) for it in jobs if it.request.campaign == campaign)

    def _world_of(self, state: CampaignState) -> World:
        told = self._world(state.plan)
        others = (it for it in self._jobs.jobs.open if it.request.campaign != state.plan.id)
        return replace(told, locked=told.locked | {it.mac for it in others})

    def _places(self, state: CampaignState) -> Mapping[Mac, Place]:
        return standings(state.plan, self._attempts(state.plan.id), self._now())

    def _now(self) -> datetime:
        return self._clock.now().local.astimezone(UTC)


def _unknown() -> Refused:
    return Refused("unknown", "There is no such campaign under way.")
