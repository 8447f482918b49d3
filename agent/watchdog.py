"""
When the agent is so ill that only a new process helps.

A loop that no longer turns looks after nothing: it renews no lease, but answers nobody either, and
nobody may have switched the Supervisor's own watchdog on. So a thread of the agent looks at a few
figures once a second and asks `judge`, which is a pure function, what to make of them.

A stuck loop or journal ends the process at once: neither can command any more, and the battery is
given back by its own timer, which nobody renews. A leak ends it in order: the battery is released
first. Work that must not be cut off half-way outranks all of it, for as long as it may take.

Only time that the watchdog has lived itself counts. A machine that slept has no stuck loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

EXIT_ILL = 70
"""The agent has ended itself; whoever started it should start it again."""
MIB = 1 << 20


class Illness(StrEnum):
    """What is wrong with the process."""

    LOOP = "loop"
    JOURNAL = "journal"
    JOURNAL_ENDED = "journal_ended"
    MEMORY = "memory"
    TASKS = "tasks"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still healthy. All of it together keeps the end below a minute."""

    loop_s: float = 30.0
    """Longest that the event loop may be away."""
    processor_s: float = 25.0
    """Most processor time between two looks: more is a loop that lets no thread in."""
    journal_s: float = 40.0
    """Longest that the journal may owe an answer; `/health` complains before."""
    growth: float = 2.0
    """Memory may grow to this many times what it was when the agent had warmed up."""
    tasks: int = 1000
    """So many tasks are never at work at once here."""
    lasting_s: float = 15.0
    """How long a leak has to be seen: a file that passes through is none."""
    warm_up_s: float = 120.0
    """What it takes in this time after the start is what it needs."""
    every_s: float = 1.0
    """Between two looks."""
    orderly_s: float = 40.0
    """Longest for an orderly end, in which the battery is given back."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the thread has found at one look."""

    beat: int
    """Turns of the loop so far; only that it changes means anything."""
    journal_since: float | None
    """When the oldest of the open questions was put to the journal; `None` while there is none."""
    journal_ended: bool
    """Its thread is gone while the agent still works."""
    tasks: int
    rss_bytes: int
    """Of memory in use; 0 where the system does not say."""
    flashing: str = ""
    """What the loop itself is writing to a bridge; "" for nothing."""
    held: str = ""
    """What another process is writing, whatever becomes of the loop; "" for nothing."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What was seen so far; times in seconds that the watchdog has lived."""

    at_s: float
    lived_s: float = 0.0
    beat: int = -1
    silent_s: float = 0.0
    """Since the loop has turned."""
    journal_since: float | None = None
    journal_s: float = 0.0
    """Since that question is known to be open."""
    settled_bytes: int = 0
    """Most memory while it warmed up."""
    leak_s: float = 0.0
    """Since there is too much of something."""


@dataclass(frozen=True, slots=True)
class End:
    """That the process has to end, and how."""

    illness: Illness
    text: str
    orderly: bool
    """The loop can still give the battery back."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Work in another process that must not be cut off."""

    what: str
    until_s: float
    """Monotonic; it counts no longer, so that a loop that is stuck does not hold for ever."""


def held(holds: Iterable[Hold], now_s: float) -> str:
    """Return what must not be cut off now; "" if there is nothing."""
    return next((it.what for it in holds if now_s < it.until_s), "")


def judge(watch: Watch, facts: Facts, now_s: float, limits: Limits) -> tuple[Watch, End | None]:
    """
    Return what is remembered, and whether the process has to end.

    Args:
        watch: what was remembered after the look before.
        facts: of this look.
        now_s: monotonic.
        limits: what is still healthy.
    """
    # Frozen, or starved of its machine: the loop had no more time than this thread.
    passed_s = min(max(0.0, now_s - watch.at_s), 2 * limits.every_s)
    turned = facts.beat != watch.beat
    asked = facts.journal_since
    owes = asked is not None and asked == watch.journal_since
    warm = watch.lived_s >= limits.warm_up_s
    settled = watch.settled_bytes if warm else max(watch.settled_bytes, facts.rss_bytes)
    leak = _leak(facts, settled, limits) if warm else None
    watch = replace(
        watch,
        at_s=now_s,
        lived_s=watch.lived_s + passed_s,
        beat=facts.beat,
        silent_s=0.0 if turned else watch.silent_s + passed_s,
        journal_since=asked,
        journal_s=watch.journal_s + passed_s if owes else 0.0,
        settled_bytes=settled,
        leak_s=0.0 if leak is None else watch.leak_s + passed_s,
    )
    end = _end(watch, facts, leak, limits)
    if end is None or facts.held or (facts.flashing and end.illness is not Illness.LOOP):
        return watch, None
    return watch, end


def _end(watch: Watch, facts: Facts, leak: End | None, limits: Limits) -> End | None:
    if watch.silent_s >= limits.loop_s:
        text = f"the event loop has not turned for {watch.silent_s:.0f} s"
        return End(Illness.LOOP, text, orderly=False)
    if watch.journal_s >= limits.journal_s:
        text = f"the journal has not answered for {watch.journal_s:.0f} s"
        return End(Illness.JOURNAL, text, orderly=False)
    if facts.journal_ended:
        return End(Illness.JOURNAL_ENDED, "the journal's thread has ended", orderly=True)
    return leak if watch.leak_s >= limits.lasting_s else None


def _leak(facts: Facts, settled: int, limits: Limits) -> End | None:
    if facts.tasks >= limits.tasks:
        text = f"{facts.tasks} tasks are at work, and {limits.tasks} are too many"
        return End(Illness.TASKS, text, orderly=True)
    if settled and facts.rss_bytes >= limits.growth * settled:
        text = (
            f"it takes {facts.rss_bytes / MIB:.0f} MiB of memory, and after its start it took "
            f"{settled / MIB:.0f} MiB"
        )
        return End(Illness.MEMORY, text, orderly=True)
    return None
