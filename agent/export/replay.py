"""
Decides recorded looks again, by the very same code, and tells the first bit that differs.

What is compared: the commands one by one; events, answers and deadline by one digest; everything
remembered by another. A chapter starts from its own recorded state, so one difference does not
hide the next chapter; where a chapter goes on from the one before, the state in it has to be the
one that the replay has reached, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields

from agent.export.decide import step
from agent.export.provenance import Provenance, present
from agent.export.record import (
    Entry,
    Looked,
    Opened,
    Unreadable,
    outcome_digest,
    state_digest,
)
from agent.export.record_codec import same
from agent.export.states import Command, GuardConfig, GuardState, Look, Step

Decide = Callable[[GuardState, Look, GuardConfig], Step]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the replay left the record."""

    look: int
    """Counted from 1 over everything that was replayed."""
    page: int
    at: str
    """Local time of the look, ISO."""
    what: str
    """In words: what was recorded, and what was decided now."""


@dataclass(slots=True)
class Report:
    """What came of a replay."""

    looks: int = 0
    chapters: int = 0
    gaps: int = 0
    """Chapters that do not go on from the one before: starts of an agent, and looks lost."""
    commands: int = 0
    events: int = 0
    differences: int = 0
    """Looks that led to something else than was recorded."""
    first: Difference | None = None
    unreadable: list[Unreadable] = field(default_factory=list)
    first_at: str = ""
    last_at: str = ""
    recorded_by: list[Provenance] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """True when every recorded look was read and led to the same, bit for bit."""
        return not self.differences and not self.unreadable

    @property
    def other_code(self) -> list[Provenance]:
        """Return who recorded, where that was not the code that replays."""
        return [each for each in self.recorded_by if each != present()]


def replay(
    entries: Iterable[Entry],
    decide: Decide = step,
    watch: Callable[[Looked, Step], None] = lambda _looked, _result: None,
) -> Report:
    """
    Decide every recorded look again and return what came of it.

    Args:
        entries: the record, in order.
        decide: the code to decide with.
        watch: told each look, and what was decided now.
    """
    report = Report()
    state: GuardState | None = None
    for entry in entries:
        match entry:
            case Opened():
                _open(report, entry, state)
                state = entry.state
            case Unreadable():
                report.unreadable.append(entry)
                state = None
            case Looked() if state is not None:
                state = _again(report, entry, state, decide, watch)
    return report


def _open(report: Report, chapter: Opened, state: GuardState | None) -> None:
    report.chapters += 1
    if chapter.provenance not in report.recorded_by:
        report.recorded_by.append(chapter.provenance)
    if not chapter.goes_on or state is None:
        report.gaps += 1
    elif not same(state, chapter.state):
        names = [
            each.name
            for each in fields(GuardState)
            if not same(getattr(state, each.name), getattr(chapter.state, each.name))
        ]
        what = f"the state that a chapter goes on from differs in {', '.join(names)}"
        _differs(report, chapter.page, report.last_at, what)


def _again(
    report: Report,
    entry: Looked,
    state: GuardState,
    decide: Decide,
    watch: Callable[[Looked, Step], None],
) -> GuardState:
    at = entry.look.now.local.isoformat()
    report.looks += 1
    report.first_at = report.first_at or at
    report.last_at = at
    result = decide(state, entry.look, entry.config)
    report.commands += len(result.commands)
    report.events += len(result.events)
    watch(entry, result)
    what = _compared(entry, result)
    if what:
        _differs(report, entry.page, at, what)
    return result.state


def _compared(entry: Looked, result: Step) -> str:
    """Return in words what differs; empty when nothing does."""
    found = []
    if not same(entry.commands, result.commands):
        found.append(f"commands: recorded {_words(entry.commands)}, now {_words(result.commands)}")
    elif entry.outcome != outcome_digest(result):
        kinds = ", ".join(event.kind for event in result.events) or "none"
        found.append(f"events, answers or deadline (events now: {kinds})")
    if entry.state != state_digest(result.state):
        found.append("what is remembered afterwards")
    return "; ".join(found)


def _words(commands: tuple[Command, ...]) -> str:
    if not commands:
        return "none"
    return ", ".join(
        f"no. {c.number}: {c.block.power_w} W for {c.block.duration_s} s"
        if c.block.start
        else f"no. {c.number}: stop"
        for c in commands
    )


def _differs(report: Report, page: int, at: str, what: str) -> None:
    report.differences += 1
    if report.first is None:
        report.first = Difference(report.looks, page, at, what)
