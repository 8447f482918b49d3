"""
The facts that the doctor's checks look at, and the findings they lead to.

Facts are gathered once, by reading only; a check never asks for more. So every finding can be
tried without a Home Assistant, and the same checks serve the command line and the page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from agent.homeassistant.link import LinkState
from agent.house.readings import Reading, SourceTraits
from agent.house.series import Series
from agent.plan_inputs import Known
from agent.settings import Settings
from agent.surface.mqtt import MqttState

NEEDS_CORE = "Needs Home Assistant, which does not answer."


class Verdict(StrEnum):
    """What a check found, in the order of what it takes."""

    OK = "ok"
    SKIPPED = "skipped"
    """It could not be made, or does not apply; the text says why."""
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's table."""

    code: str
    """Stable; docs/troubleshooting.md explains each."""
    title: str
    verdict: Verdict
    text: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class CoreFacts:
    """What Home Assistant says of itself."""

    url: str
    state: LinkState
    detail: str = ""
    answers: bool = True
    """Something speaks HTTP at the address, whatever it thinks of the token."""
    version: str = ""
    time_zone: str = ""
    running: bool = True
    admin: bool | None = None
    user: str = ""
    clock_offset_s: float | None = None
    """Core's wall clock minus ours; `None` where it could not be asked."""
    clock_doubt_s: float = 0.0
    """Half of the time that the question took."""
    actions: frozenset[str] | None = None
    """`domain.service`; `None` where they could not be asked."""
    components: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RivalFacts:
    """Who else could command the battery."""

    integrations: tuple[str, ...] = ()
    """Loaded: `export_monitor (Energy Export Monitor)`."""
    toggles_on: tuple[str, ...] = ()
    """Toggles of the inverter's package that are on now."""
    automations: tuple[str, ...] = ()
    """Enabled ones outside the package that use those toggles."""
    resets: tuple[str, ...] = ()
    """Enabled automations of the package that end any dispatch."""
    unasked: str = ""
    """Why it could not be found out."""
    taken_ids: tuple[str, ...] = ()
    """Entities of ours that got another id than documented, in words with the next step."""


@dataclass(frozen=True, slots=True)
class InputFacts:
    """One input over the time it was watched."""

    name: str
    """Field of the sample, with its unit: `grid_w`."""
    reading: Reading
    age_s: float | None
    reports: int = 0
    """Different report (or change) times that were seen."""


@dataclass(frozen=True, slots=True)
class WatchFacts:
    """What the house said while it was watched."""

    seconds: float
    inputs: tuple[InputFacts, ...] = ()
    powers: tuple[tuple[float, float, float], ...] = ()
    """Grid, battery and PV power of the same moment, in W."""
    traits: SourceTraits | None = None
    findings: tuple[str, ...] = ()
    """What the detection of entities could not settle."""


@dataclass(frozen=True, slots=True)
class AheadFacts:
    """What the planner's sources tell of the hours to come."""

    now: datetime
    """In the site's time."""
    zone: ZoneInfo
    known: Known
    load: Series | None = None
    """The expected load; `None` where it was not learned by who examines."""


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """The data directory."""

    path: str
    error: str = ""
    free_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the checks look at; `None` for what does not exist in this set-up."""

    settings: Settings
    disk: DiskFacts
    settings_warnings: tuple[str, ...] = ()
    core: CoreFacts | None = None
    rivals: RivalFacts = field(default_factory=RivalFacts)
    watch: WatchFacts | None = None
    ahead: AheadFacts | None = None
    helpers: tuple[tuple[str, str, str | None], ...] = ()
    """Setting, entity id and state of what the helper path writes; no state: no such entity."""
    broker: MqttState | None = None
    known_zone: bool = True
    """The site's time zone is known on this machine."""


def ok(code: str, title: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(code, title, Verdict.OK, text)


def skipped(code: str, title: str, text: str) -> Finding:
    """Return the finding of a check that could not be made, or need not be."""
    return Finding(code, title, Verdict.SKIPPED, text)


def warning(code: str, title: str, text: str, next_step: str) -> Finding:
    """Return a finding that does not stop the agent."""
    return Finding(code, title, Verdict.WARNING, text, next_step)


def failure(code: str, title: str, text: str, next_step: str) -> Finding:
    """Return a finding that has to be repaired first."""
    return Finding(code, title, Verdict.FAILURE, text, next_step)


def linked(facts: Facts) -> bool:
    """Return True when Home Assistant answers us."""
    return facts.core is not None and facts.core.state is LinkState.UP


def sentence(text: str) -> str:
    """Return a clause as a sentence; nothing stays nothing."""
    return f"{text[:1].upper()}{text[1:]}." if text else ""
