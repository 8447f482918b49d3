"""
A bridge as a timeline, and a job driven over it in virtual time, with kills wherever one likes.

Nothing of our wire code is replaced here: what is driven is the pure core alone, and what a bridge
does after an upload is the list of moments at which it can be seen doing something else.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from agent.firmware.job import replay
from agent.firmware.job.models import (
    ORDER,
    BuildId,
    Check,
    Facts,
    FileWord,
    How,
    JobState,
    Line,
    Patience,
    ReleaseRef,
    Request,
    Stage,
    UploadEnd,
    Verdict,
    Way,
)
from agent.firmware.job.replay import Jobs
from agent.firmware.job.step import Act, Do, Wait, next_step
from agent.firmware.job.verdict import runs
from agent.firmware.job.watch import Sight, Watch, heard, saw
from agent.fleet.contact import ContactState
from agent.fleet.identity import Mac

MAC = Mac("02005e100001")
NEW = BuildId("pv-edge.alphaess-bridge", "1.1.0", "2026-11-21 17:25:11 +0000")
OLD = BuildId("pv-edge.alphaess-bridge", "1.0.0", "2026-03-01 09:00:00 +0000")
THIRD = BuildId("pv-edge.alphaess-bridge", "0.9.9", "2025-03-01 09:00:00 +0000")
RELEASE = ReleaseRef(
    project="pv-edge.alphaess-bridge",
    version="1.1.0",
    rollback_index=3,
    digest="ab" * 32,
    size_bytes=1_200_000,
    chip="esp32",
    expect_entities=("sensor.grid_power",),
)
REQUEST = Request(MAC, RELEASE, "Ada")
PATIENCE = Patience()
EPOCH = datetime(2026, 11, 22, 9, tzinfo=UTC)
ROLLBACK = "[W][safe_mode:079]: OTA rollback detected! Rolled back from partition 'app1'"
CRASH = "[E][esp32.crash:436]: *** CRASH DETECTED ON PREVIOUS BOOT ***"


@dataclass(frozen=True, slots=True)
class At:
    """From that moment on, in seconds after the end of the upload, it is so."""

    after_s: float
    state: ContactState
    build: BuildId | None = None
    shows: bool = True
    log: str = ""


OFF = ContactState.UNREACHABLE
ON = ContactState.ONLINE


class Fate(Enum):
    """What the bridge does: how the upload ends for whoever sends it, and what comes then."""

    GOOD = How.SENT, (At(0.1, OFF), At(8, ON, NEW))
    ROLLS_BACK = (
        How.SENT,
        (At(0.1, OFF), At(8, ON, NEW), At(11, OFF), At(20, ON, OLD, log=ROLLBACK)),
    )
    ROLLS_BACK_UNSEEN = How.SENT, (At(0.1, OFF), At(14, ON, OLD))
    ROLLS_BACK_LATE = How.SENT, (At(0.1, OFF), At(8, ON, NEW), At(73, OFF), At(82, ON, OLD))
    DIES = How.SENT, (At(0.1, OFF),)
    DIES_LATE = How.SENT, (At(0.1, OFF), At(8, ON, NEW), At(40, OFF))
    HANGS = How.SENT, (At(0.1, OFF), At(8, ON, NEW), At(20, ContactState.HUNG))
    SAFE_MODE = How.SENT, (At(0.1, OFF), At(30, ContactState.SAFE_MODE))
    SAFE_MODE_THEN_OLD = (
        How.SENT,
        (At(0.1, OFF), At(30, ContactState.SAFE_MODE), At(330, OFF), At(340, ON, OLD)),
    )
    NEVER_BOOTS = How.SENT, (At(0, ON, OLD),)
    BOOTS_LATE = How.SENT, (At(0, ON, OLD), At(30, OFF), At(40, ON, NEW))
    CRASHED_ONCE = How.SENT, (At(0.1, OFF), At(8, ON, NEW), At(12, OFF), At(20, ON, NEW, log=CRASH))
    SICK = How.SENT, (At(0.1, OFF), At(8, ON, NEW, shows=False))
    THIRD_BUILD = How.SENT, (At(0.1, OFF), At(8, ON, THIRD))
    ANOTHER_DEVICE = How.SENT, (At(0.1, OFF), At(8, ContactState.WRONG_DEVICE))
    REFUSED = How.REFUSED, (At(0, ON, OLD),)
    NOT_BEGUN = How.NOT_BEGUN, (At(0, ON, OLD),)
    CUT = How.CUT, (At(0, ON, OLD),)
    POWER_CUT = How.CUT, (At(0, OFF), At(25, ON, OLD))
    POWER_GONE = How.CUT, (At(0, OFF),)
    CUT_LATE_TAKEN = How.CUT_LATE, (At(0.1, OFF), At(8, ON, NEW))
    CUT_LATE_NOT_TAKEN = How.CUT_LATE, (At(0, OFF), At(20, ON, OLD))

    @property
    def how(self) -> How:
        """How the upload ends."""
        return self.value[0]

    @property
    def story(self) -> tuple[At, ...]:
        """What comes after it."""
        return self.value[1]

    @property
    def runs_new_for_good(self) -> bool:
        """Whether every evidence for a success is there."""
        return self in {Fate.GOOD, Fate.CUT_LATE_TAKEN, Fate.BOOTS_LATE}


@dataclass(slots=True)
class Drive:
    """One job over one fate; `kills` are the boundaries at which the agent dies."""

    fate: Fate
    kills: frozenset[int] = frozenset()
    moment_after_s: float = 0.0
    refusals: tuple[str, ...] = ()
    refused_at: int = 99
    """The look at the gates that says no, counted from 0."""
    fetched: FileWord = field(default_factory=lambda: FileWord(True))
    verified: FileWord = field(default_factory=lambda: FileWord(True))
    away_s: float = 1.0
    """How long a killed agent stays away."""
    before: BuildId | None = OLD

    lines: list[tuple[datetime, dict[str, object]]] = field(default_factory=list)
    jobs: Jobs = field(default_factory=Jobs)
    now_s: float = 1000.0
    boundaries: int = 0
    uploads: int = 0
    looks: int = 0
    ended_s: float | None = None
    """When the upload ended, for the bridge."""
    taken: bool = False
    _agent_s: float = 1000.0
    _facts: Facts = field(default_factory=Facts)
    _sent_here: bool = False
    _fed_s: float = 0.0

    class KilledError(Exception):
        """The agent is gone."""

    def run(self) -> JobState:
        """Drive the job to its end, through every kill, and return what its lines say."""
        self._write(replay.asked("job", REQUEST), guarded=False)
        for _ in range(2000):
            try:
                state = self.jobs.by_id["job"]
                if not state.open:
                    return self.reread().by_id["job"]
                self._step(state)
            except Drive.KilledError:
                self.now_s += self.away_s
                self._agent_s, self._fed_s = self.now_s, self.now_s
                self._facts, self._sent_here = Facts(), False
                self.jobs = self.reread()
        raise AssertionError(f"no verdict after 2000 steps: {self.lines}")

    def reread(self) -> Jobs:
        """Return what the journal says, read as after a restart."""
        told = [(at, json.loads(json.dumps(data))) for at, data in self.lines]
        found = replay.replay(told)
        assert found == self.jobs, "the journal says something else than the memory"
        return found

    def stages(self) -> list[Stage]:
        """Return the stages in the order in which they were entered."""
        return [Stage(str(it["stage"])) for _, it in self.lines if it["line"] == "stage"]

    def _boundary(self) -> None:
        self.boundaries += 1
        if self.boundaries in self.kills:
            raise Drive.KilledError

    def _write(self, line: Line, *, guarded: bool = True) -> None:
        if guarded:
            self._boundary()
        at, data = EPOCH + timedelta(seconds=self.now_s), replay.data_of(line)
        self.jobs = replay.after(self.jobs, at, data)
        self.lines.append((at, data))
        if guarded:
            self._boundary()

    def _step(self, state: JobState) -> None:
        self._see(state)
        facts = replace(self._facts, slot_free=self.jobs.turn("job", 1))
        step = next_step(state, facts, self.now_s, PATIENCE)
        if isinstance(step, Verdict):
            self._write(replay.ended("job", step))
        elif isinstance(step, Wait):
            assert step.until_s > self.now_s, f"{step.why} waits for the past"
            self.now_s = min(step.until_s, self.now_s + 20.0)
        else:
            self._act(step)

    def _act(self, step: Act) -> None:
        if step.line is not None:
            self._write(step.line)
        match step.do:
            case Do.HOLD:
                asked_s = self._facts.moment_asked_s
                free = self.now_s - 1000.0 >= self.moment_after_s
                self._facts = replace(
                    self._facts,
                    moment="" if free else "A discharge runs through it.",
                    moment_asked_s=self.now_s if asked_s is None else asked_s,
                    moment_told_s=self.now_s,
                )
            case Do.CHECK:
                no = self.refusals if self.looks >= self.refused_at else ()
                self.looks += 1
                self._facts = replace(self._facts, check=Check(self.now_s, no, self.before, "no"))
            case Do.FETCH:
                self.now_s += 40  # longer than a check is fresh
                self._facts = replace(self._facts, fetched=self.fetched)
            case Do.VERIFY:
                self._facts = replace(self._facts, verified=self.verified)
            case Do.UPLOAD:
                self._upload()
            case Do.OBSERVE:
                watch = Watch(self.now_s, not self._sent_here, marks=self.jobs.by_id["job"].marks)
                self._facts = replace(self._facts, watch=watch)
                self._fed_s = self.now_s
        self._boundary()

    def _upload(self) -> None:
        self._boundary()
        state = self.jobs.by_id["job"]
        assert not self.taken, "a second upload over an image that may be on trial"
        assert state.stage is Stage.UPLOAD, "an upload that no line announced"
        self.uploads += 1
        self.now_s += 12
        self.ended_s, self.taken, self._sent_here = self.now_s, True, True
        self._boundary()
        end = UploadEnd(self.fate.how, f"It ended as {self.fate.how}.", network=False)
        self._write(replay.uploaded("job", end))

    def _see(self, state: JobState) -> None:
        """Show the watch everything that has happened since the last look."""
        if self._facts.watch is None:
            return
        begun_s = self.ended_s
        story = self.fate.story if begun_s is not None else (At(-1000, ON, OLD),)
        zero_s = begun_s if begun_s is not None else 1000.0
        segments = [At(-1000, ON, OLD), *story] if story[0].after_s > 0 else list(story)
        for at, following in zip(segments, [*segments[1:], None], strict=True):
            from_s = zero_s + at.after_s
            to_s = zero_s + following.after_s if following else float("inf")
            if to_s <= self._fed_s or from_s > self.now_s:
                continue
            since_s = max(from_s, self._agent_s)
            self._feed(at, max(since_s, self._fed_s), since_s, state)
        self._fed_s = self.now_s

    def _feed(self, at: At, at_s: float, since_s: float, state: JobState) -> None:
        assert self._facts.watch is not None
        sight = Sight(
            at_s=at_s,
            state=at.state,
            since_s=since_s,
            runs=runs(at.build, state.request, state.before, at.build == NEW if at.build else None),
            told=str(at.build) if at.build else "",
            missing=() if at.shows else RELEASE.expect_entities,
            log_read=at.state is ON,
        )
        watch = saw(self._facts.watch, sight)
        if at.log:
            watch = heard(watch, at.log)
        self._facts = replace(self._facts, watch=watch)
        for mark in sorted(watch.marks - self.jobs.by_id["job"].marks):
            self._write(replay.seen("job", mark, ""))


def never_back(stages: list[Stage]) -> bool:
    """Whether stages only ever went on."""
    places = [ORDER[Way.OTA].index(it) for it in stages]
    return all(one < two for one, two in itertools.pairwise(places))
