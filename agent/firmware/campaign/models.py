"""
What a campaign is made of.

Its plan and what people did with it are lines in the journal; how each bridge stands follows from
the flash jobs that carry its name. So nothing is counted twice, and nothing is lost by a restart.
Times are aware datetimes: a campaign lasts for days and survives the agent.

Source: signing.md 6.3; pvautonomy.md D-09 and 8 item 6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from agent.firmware.job.models import Blame, JobState, ReleaseRef, Result
from agent.firmware.manifest.models import Brakes, Wave
from agent.fleet.identity import Mac

KIND = "flash_campaign"
"""Kind of the journal's events that make up the campaigns."""
EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Window:
    """A span of the local day in which jobs may begin: half-open, and it may wrap midnight."""

    begins: time
    ends: time
    """Equal to `begins`: the whole day."""
    days: frozenset[int] = EVERY_DAY
    """Weekdays on which it begins, Monday is 0."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """When jobs may begin."""

    windows: tuple[Window, ...] = ()
    """Any of them; none: always."""
    blackout: frozenset[date] = frozenset()
    """Local days on which nothing begins."""
    not_while_producing: bool = False
    """Not while the inverter produces; if nobody knows whether it does, it counts as producing."""


@dataclass(frozen=True, slots=True)
class Member:
    """One bridge of a campaign."""

    mac: Mac
    canary: bool = False
    """A person has labelled it as one that goes first."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, as it was asked for."""

    id: str
    release: ReleaseRef
    manifest_sha256: str
    """Of the release manifest: with the MAC it makes the order."""
    members: tuple[Member, ...]
    by: str
    planned_at: datetime
    parallel: int = 1
    """Jobs at once: 1 in a house, 4 in an installer's fleet."""
    soak_s: float = 3600.0
    """How long each of the first three stages is watched; 24 h where security does not press."""
    calendar: Calendar = field(default_factory=Calendar)
    automatic: bool = False
    """Nobody looks: the signed waves count, and the policy takes fresh knowledge only."""
    released: datetime | None = None
    waves: tuple[Wave, ...] = ()
    deadline: timedelta = timedelta(days=14)
    """After it, a bridge that was never there is given up."""
    acks: tuple[str, ...] = ()
    reason: str = ""


class Status(StrEnum):
    """How a campaign stands."""

    RUNNING = "running"
    PAUSED = "paused"
    """By a person."""
    STOPPED = "stopped"
    """By its own rule, or by the publisher's brake; a person may resume it."""
    ABORTED = "aborted"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Entrant:
    """One place in a batch."""

    mac: Mac
    attempt: int

    def job(self, campaign: str) -> str:
        """Return the name of its job; the same after every restart."""
        return f"{campaign}-{self.mac}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class CampaignState:
    """One campaign, the fold of its lines."""

    plan: Plan
    status: Status = Status.RUNNING
    batch: tuple[Entrant, ...] = ()
    """Who was let begin last, all together."""
    accepted: frozenset[Mac] = frozenset()
    """Failures that a person has accepted by resuming."""
    text: str = ""
    """Why it is paused, stopped or over, for people."""
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One job of the campaign, as far as the campaign has to know it."""

    mac: Mac
    number: int
    job: str
    ended_at: datetime | None = None
    result: Result | None = None
    blame: Blame = Blame.NONE
    code: str = ""


def attempt_of(state: JobState) -> Attempt:
    """Return a flash job as the attempt of its campaign."""
    verdict = state.verdict
    return Attempt(
        state.mac,
        state.request.attempt,
        state.id,
        state.ended_at,
        verdict.result if verdict else None,
        verdict.blame if verdict else Blame.NONE,
        verdict.code if verdict else "",
    )


@dataclass(frozen=True, slots=True)
class World:
    """What is known of the fleet at this moment."""

    online: frozenset[Mac]
    zone: tzinfo
    locked: frozenset[Mac] = frozenset()
    """Bridges that a job of somebody else holds."""
    gone: frozenset[Mac] = frozenset()
    """Bridges that were confirmed and are not there, or not well, now."""
    producing: bool | None = None
    brakes: Brakes = field(default_factory=Brakes)


class Standing(StrEnum):
    """How a bridge stands in its campaign."""

    READY = "ready"
    RUNNING = "running"
    RESTING = "resting"
    """It failed by the network, or was held back, and is tried again later."""
    BOXED = "boxed"
    """It failed too often and takes no place for a day."""
    CONFIRMED = "confirmed"
    FAILED = "failed"
    LEFT_OUT = "left_out"
    """A person took it out."""
    GIVEN_UP = "given_up"
    """It was not to be had before the deadline."""


FINAL = frozenset({Standing.CONFIRMED, Standing.FAILED, Standing.LEFT_OUT, Standing.GIVEN_UP})


@dataclass(frozen=True, slots=True)
class Place:
    """A bridge's standing, and until when it stays so by itself."""

    standing: Standing
    until: datetime | None = None
    attempts: int = 0
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """Let these begin, all together; journaled before any of them does."""

    batch: tuple[Entrant, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """Ask for the job of this one; it is in the journal's batch."""

    entrant: Entrant


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a job that has not begun to send."""

    job: str


@dataclass(frozen=True, slots=True)
class Stop:
    """No more begin until a person has looked."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Every bridge has come to an end."""

    text: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Nothing to do until then, unless jobs or bridges change before."""

    until: datetime | None
    why: str


Act = Open | Begin | Cancel | Stop | Finish | Sleep
