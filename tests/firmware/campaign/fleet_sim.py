"""A fleet in virtual time: the pure campaign over bridges whose fate is drawn beforehand."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from agent.firmware.campaign import replay
from agent.firmware.campaign.models import (
    Attempt,
    Begin,
    CampaignState,
    Cancel,
    Finish,
    Member,
    Open,
    Plan,
    Sleep,
    Status,
    Stop,
    World,
)
from agent.firmware.campaign.replay import Campaigns
from agent.firmware.campaign.step import next_acts
from agent.firmware.job.models import Blame, ReleaseRef, Result
from agent.fleet.identity import Mac

BEGIN = datetime(2026, 11, 22, 9, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")
RELEASE = ReleaseRef("pv-edge.alphaess-bridge", "1.1.0", 1, "cd" * 32, 1_000_000, "esp32")


def mac(number: int) -> Mac:
    return Mac(f"02005e{number:06x}")


def plan(count: int, parallel: int = 4, seed: int = 0, **said: object) -> Plan:
    members = tuple(Member(mac(number)) for number in range(count))
    told = Plan("c1", RELEASE, f"{seed:064x}", members, "Ada", BEGIN, parallel)
    return replace(told, **said)  # type: ignore[arg-type]


@dataclass(slots=True)
class Sim:
    """One campaign over one fleet; `restarts` are the turns at which the agent is killed."""

    plan: Plan
    dies: frozenset[Mac] = frozenset()
    drops: dict[Mac, int] = field(default_factory=dict)
    """Bridges that the network fails so often before it goes well."""
    offline_until: dict[Mac, datetime] = field(default_factory=dict)
    restarts: frozenset[int] = frozenset()
    away: dict[int, timedelta] = field(default_factory=dict)
    """For how long it is away after such a kill; not at all where none is told."""
    world: World = field(default_factory=lambda: World(frozenset(), LONDON))
    resumes: bool = False
    """A person resumes it whenever it has stopped."""

    now: datetime = BEGIN
    lines: list[tuple[datetime, str]] = field(default_factory=list)
    jobs: dict[str, Attempt] = field(default_factory=dict)
    ends: dict[str, tuple[datetime, Attempt]] = field(default_factory=dict)
    campaigns: Campaigns = field(default_factory=dict)
    most_at_once: int = 0
    turns: int = 0
    began_at: dict[str, datetime] = field(default_factory=dict)
    opened: list[tuple[int, int, int]] = field(default_factory=list)
    """Of each batch: how many had an end by the release, how many of those failed, its size."""

    def run(self, until: datetime | None = None) -> CampaignState:
        """Run it until it is over, has stopped, or the time has come."""
        if not self.lines:
            self._write(replay.planned(self.plan))
        while True:
            self.turns += 1
            assert self.turns < 50_000, "the campaign turns in circles"
            if self.turns in self.restarts:
                self.campaigns = self.reread()
                self._stay_away(self.away.get(self.turns, timedelta()))
            state = self.campaigns[self.plan.id]
            if state.status is Status.FINISHED or (until and self.now >= until):
                return state
            if state.status is Status.STOPPED and not self._running():
                if not self.resumes:
                    return state
                failed = frozenset(it.mac for it in self.jobs.values() if it.mac in self.dies)
                self._write(replay.resumed(self.plan.id, "Ada", failed | self.world.gone))
                continue
            self._turn(state, until)

    def reread(self) -> Campaigns:
        """Return what the journal says, as after a restart."""
        found = replay.replay([(at, json.loads(text)) for at, text in self.lines])
        assert found == self.campaigns, "the journal says something else than the memory"
        return found

    def outcomes(self) -> dict[Mac, Result]:
        """Return how each bridge that was reached ended last."""
        return {it.mac: it.result for it in self.jobs.values() if it.result}

    def lost(self) -> int:
        """Return how many the release has killed."""
        return sum(it is Result.LOST for it in self.outcomes().values())

    def _turn(self, state: CampaignState, until: datetime | None) -> None:
        online = frozenset(
            it.mac for it in self.plan.members if self.now >= self.offline_until.get(it.mac, BEGIN)
        )
        world = replace(self.world, online=online - self.world.gone)
        acts = next_acts(state, tuple(self.jobs.values()), world, self.now)
        for act in acts:
            match act:
                case Open(batch):
                    ends = [it for it in self.outcomes().values() if it is not Result.UNCHANGED]
                    self.opened.append((len(ends), ends.count(Result.LOST), len(batch)))
                    self._write(replay.batch(self.plan.id, batch))
                case Begin(entrant):
                    self._begin(entrant.mac, entrant.attempt, entrant.job(self.plan.id))
                    if self.turns % 3 == 0 and self.restarts:
                        return  # killed between two that belong together
                case Cancel(job):
                    self.ends[job] = (self.now, replace(self.ends[job][1], code="cancelled"))
                case Stop(text):
                    self._write(replay.word(self.plan.id, "stopped", text))
                case Finish(text):
                    self._write(replay.word(self.plan.id, "finished", text))
                case Sleep(wakes, _):
                    self._sleep(wakes, until)

    def _stay_away(self, for_: timedelta) -> None:
        """Let time pass with nobody there: what ends meanwhile is found out after the return."""
        if not for_:
            return
        self.now += for_
        found = self.now + timedelta(minutes=1)
        for job, (at, end) in self.ends.items():
            if at <= self.now:
                self.ends[job] = (found, replace(end, ended_at=found))

    def _begin(self, who: Mac, number: int, job: str) -> None:
        assert job not in self.jobs, f"{job} is begun twice"
        self.jobs[job] = Attempt(who, number, job)
        self.began_at[job] = self.now
        self.most_at_once = max(self.most_at_once, len(self._running()))
        if who in self.dies:
            end = (timedelta(minutes=12), Result.LOST, Blame.RELEASE)
        elif number <= self.drops.get(who, 0):
            end = (timedelta(minutes=2), Result.UNCHANGED, Blame.NETWORK)
        else:
            end = (timedelta(minutes=3, seconds=int(who[-2:], 16)), Result.CONFIRMED, Blame.NONE)
        at = self.now + end[0]
        self.ends[job] = (at, replace(self.jobs[job], ended_at=at, result=end[1], blame=end[2]))

    def _running(self) -> list[Attempt]:
        return [it for it in self.jobs.values() if it.result is None]

    def _sleep(self, wakes: datetime | None, until: datetime | None) -> None:
        comes = [at for at, _ in self.ends.values()]
        comes += [it for it in (wakes, until) if it is not None]
        comes += [it for it in self.offline_until.values() if it > self.now]
        assert comes, "it sleeps for ever"
        self.now = max(self.now, min(comes))
        for job, (at, ended) in list(self.ends.items()):
            if at <= self.now:
                self.jobs[job] = ended
                del self.ends[job]

    def _write(self, data: dict[str, object]) -> None:
        text = json.dumps(data)
        self.campaigns = replay.after(self.campaigns, self.now, json.loads(text))
        self.lines.append((self.now, text))


def drawn(count: int, share: float, seed: int) -> frozenset[Mac]:
    """Return which bridges a bad release kills."""
    dice = random.Random(seed)  # noqa: S311 - a simulation
    return frozenset(mac(number) for number in range(count) if dice.random() < share)
