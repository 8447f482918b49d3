"""
Everything the guard remembers between two looks at the house, and what it is told.

One frozen `GuardState`; `decide.step` returns the next one. What must survive a restart is the
part that `journaled` writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.clock import Instant
from agent.export.advice import Advice, Following
from agent.export.agreement import Agreement
from agent.export.allowance import AllowanceRule
from agent.export.breaker import Breaker
from agent.export.commissioning import Commissioning
from agent.export.commitments import Commitments, Purpose
from agent.export.day_clock import DayClock
from agent.export.freshness import SocWatch, Stillness, Thresholds
from agent.export.gain import Gain
from agent.export.handover import Handover
from agent.export.lease import CommandPath
from agent.export.ledger import CounterRules, Ledger
from agent.export.limiter import NetLoad
from agent.export.pace import WritePace
from agent.export.plausible import Watch
from agent.export.requests import Answer, Request
from agent.export.snapshot import ActionView, ErrorState, Mode, Reason, StatisticsView
from agent.house.alphaess import DispatchBlock
from agent.house.port import WriteOutcome
from agent.house.readings import HouseSample


@dataclass(frozen=True, slots=True)
class GuardConfig:
    """What the site has chosen, in the units that decisions use."""

    mode: Mode
    path: CommandPath
    path_identity: str
    """Path and inputs, as the commissioning record names them."""
    export_limit_w: float | None
    target_export_w: float
    min_soc_percent: float
    observe_reserve_soc: bool
    charge_power_w: float
    charge_target_soc_percent: float
    allowance: AllowanceRule
    thresholds: Thresholds
    exported_rules: CounterRules
    produced_rules: CounterRules
    readback_poll_s: float
    breaker_failures: int
    breaker_pause_s: float
    minimum_off_s: float
    write_deadline_s: float
    firmware: str = ""
    """Of the inverter, as far as it can be read; empty while it is not known."""
    foreign_requests: int = 0
    """Of a second master that was heard on the inverter's line of late."""
    rival: str = ""
    """Why another controller in Home Assistant forbids every command; empty while none does."""


class HoldKind(StrEnum):
    """Who may end a hold."""

    PAUSE = "pause"
    """Ends by itself when its cause has gone and the minimum off time has passed."""
    SAFETY = "safety"
    """A person has to acknowledge it."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing may be started for now."""

    kind: HoldKind
    reason: Reason
    since_s: float


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants the battery to do, until it is done or stopped."""

    purpose: Purpose
    by: str
    since_s: float
    at: datetime
    started: bool = False
    """A lease was confirmed at least once."""
    tried_s: float | None = None
    """When the first lease since the last idle was sent."""
    power_w: float | None = None
    """A plan's: what its slot asks for; `None` for a person's, which takes the settings."""
    until: datetime | None = None
    """A plan's: it ends then by itself; `None` for a person's, which ends when it is done."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """A stop that is not yet verified."""

    reason: Reason
    since_s: float
    attempts: int = 0
    number: int = 0
    """Of the newest stop command."""
    sent_s: float | None = None
    delivered_s: float | None = None
    writing: bool = False
    last_detail: str = ""
    reported: bool = False
    """It was reported that the stop could not be verified in time."""
    purpose: Purpose | None = None
    """What is being stopped; `None` when nothing of ours ran."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A dispatch that is not ours."""

    since_s: float
    power_w: float
    duration_s: float
    announced: bool = False
    stop_attempted: bool = False


@dataclass(frozen=True, slots=True)
class GuardState:
    """Everything that is remembered."""

    ledger: Ledger
    begun_s: float = 0.0
    day_clock: DayClock = field(default_factory=DayClock)
    agreement: Agreement = field(default_factory=Agreement)
    soc: SocWatch = field(default_factory=SocWatch)
    still: Stillness = field(default_factory=Stillness)
    plausible: Watch = field(default_factory=Watch)
    net: NetLoad = field(default_factory=NetLoad)
    gain: Gain = field(default_factory=Gain)
    breaker: Breaker = field(default_factory=Breaker)
    wish: Wish | None = None
    hold: Hold | None = None
    stopping: Stopping | None = None
    commitments: Commitments = ()
    numbers: int = 0
    foreign: Foreign | None = None
    commissioning: Commissioning = field(default_factory=Commissioning)
    resets_s: tuple[float, ...] = ()
    """When a reset by somebody else was answered with a renewal, within the last hour."""
    good_samples: int = 0
    sample_key: tuple[float, float] = (-1.0, -1.0)
    inputs_bad_s: float | None = None
    """Since when; counted by the breaker every ten seconds."""
    lost: tuple[Reason, ...] = ()
    settled_s: float = 0.0
    """When the last change of battery power has settled."""
    raised_s: float = 0.0
    pace: WritePace = field(default_factory=WritePace)
    weak_since_s: float | None = None
    """Since when the battery does not do what the confirmed lease says."""
    error: ErrorState = ErrorState.NONE
    error_reason: Reason | None = None
    completed: Reason | None = None
    last_action: ActionView | None = None
    statistics: StatisticsView = field(default_factory=StatisticsView)
    adopting: bool = True
    """Nothing is commanded until what was found at the start has been judged."""
    breach: bool = False
    """More left the house than may, and no person has acknowledged it yet; until the day ends."""
    following: Following = field(default_factory=Following)
    path: CommandPath | None = None
    """On which all of this was done; `None` before the first look."""
    handover: Handover | None = None
    """What the path before has left, until it is over."""
    other_tests: tuple[Commissioning, ...] = ()
    """Those that have passed on other paths, for when they are used again."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The outcome of one write, by the number of its command."""

    number: int
    outcome: WriteOutcome


@dataclass(frozen=True, slots=True)
class Look:
    """One moment: the house, and what has been asked and answered since the last."""

    now: Instant
    sample: HouseSample
    requests: tuple[Request, ...] = ()
    replies: tuple[Reply, ...] = ()
    advice: Advice | None = None
    """What the plan wants now; `None` while there is no planner, or none has spoken yet."""


@dataclass(frozen=True, slots=True)
class Command:
    """One block to write now."""

    number: int
    block: DispatchBlock
    why: str


@dataclass(frozen=True, slots=True)
class Event:
    """One line for the journal: a stable kind, a sentence, and the figures behind it."""

    kind: str
    text: str
    data: dict[str, object] = field(default_factory=dict)
    important: bool = True
    """Has to be on disk before any command of the same step leaves."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one look led to."""

    state: GuardState
    commands: tuple[Command, ...]
    events: tuple[Event, ...]
    answers: tuple[Answer, ...]
    """One per request, in their order."""
    wake_s: float
    """Monotonic: look again by then, even if nothing happens."""
