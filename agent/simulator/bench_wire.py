"""
The way of a command from a controller to the inverter's registers, with what can happen on it.

Commands wait in one queue, in order. Some are lost without a word, some are answered too late and
run all the same; faults lose more of them. On the helper path the package's toggle and sliders
stand between: only a change writes, each slider in a frame of its own.

Source: control.md case 24; export_monitor.md 4.4 and 4.6; ARCHITECTURE, paths to the inverter.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from agent.export.states import Command, Reply
from agent.house.alphaess import RESET_BLOCK, DispatchBlock
from agent.house.port import WriteOutcome, WriteStatus
from agent.simulator.bench_faults import Fault
from agent.simulator.bench_site import Day
from agent.simulator.dispatch import Dispatch

_LOST_SHARE = 0.01
"""Commands that go wrong on a good day (control.md, section 4.1)."""
_WAITS_S = 30.0
"""Longest that a command which is not answered waits somewhere, on a bad day of any path."""
_FRAME_S = 1.0
_OFFSETS = {"cutoff": 6, "power": 1, "duration": 7}


@dataclass(frozen=True, slots=True)
class _Frame:
    """Registers on their way."""

    at_s: float
    offset: int
    words: list[int]


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer on its way back."""

    at_s: float
    reply: Reply


class Wire:
    """Carries blocks to the dispatch registers; seconds count from midnight."""

    def __init__(self, dispatch: Dispatch, day: Day, source: random.Random) -> None:
        self._dispatch = dispatch
        self._day = day
        self._random = source
        self._frames: list[_Frame] = []
        self._answers: list[_Answer] = []
        self._queue_s = 0.0
        self._outage = False
        self._loss = _LOST_SHARE
        self._waits_s = day.way.waits_s
        self._down = False
        self._package = Package(dispatch) if day.way.name == "ha_helpers" else None

    @property
    def idle(self) -> bool:
        """True when nothing is under way."""
        return not self._frames and not self._answers

    def bend(self, active: Iterable[Fault]) -> None:
        """Take over which faults are active now."""
        faults = tuple(active)
        broken = ("link_down", "core_restart") if self._day.way.through_core else ("link_down",)
        self._down = any(fault.kind in broken for fault in faults)
        self._outage = any(fault.kind == "command_outage" for fault in faults)
        self._loss = max([_LOST_SHARE, *(f.amount for f in faults if f.kind == "command_loss")])
        self._waits_s = _WAITS_S if self._loss > _LOST_SHARE else self._day.way.waits_s

    def send(self, command: Command, now_s: float) -> bool:
        """Take a command of the controller; return whether it leaves at all."""
        if self._down:
            self._answer(command, now_s + 1, WriteStatus.REFUSED)
            return False
        at_s = max(self._queue_s, now_s + round(self._random.uniform(*self._day.way.answer_s)))
        status, runs = WriteStatus.DELIVERED, True
        if self._outage or self._random.random() < self._loss:
            runs = False
            if self._random.random() < 0.5:  # noqa: PLR2004 - silently, or without an answer
                status = WriteStatus.UNCONFIRMED
                if not self._outage and self._random.random() < 0.5:  # noqa: PLR2004 - as above
                    runs, at_s = True, at_s + self._random.uniform(0, self._waits_s)
        if runs:
            self._queue_s = at_s
            done_s = self._run(command.block, at_s)
            if done_s is None:
                status, done_s = WriteStatus.UNCONFIRMED, at_s
            at_s = done_s
        late_s = self._day.way.write_deadline_s if status is WriteStatus.UNCONFIRMED else 0.0
        self._answer(command, max(at_s, now_s + late_s), status)
        return True

    def put(self, words: list[int], at_s: float, offset: int = 0) -> None:
        """Write registers past the controller's queue: a foreign master, Core's package."""
        self._frames.append(_Frame(at_s, offset, words))

    def arrive(self, now_s: float) -> tuple[int, list[Reply]]:
        """Carry out what is due; return how many frames arrived, and the answers."""
        if not self._frames and not self._answers and self._package is None:
            return 0, []
        due = [frame for frame in self._frames if frame.at_s <= now_s]
        if due:
            self._frames = [frame for frame in self._frames if frame.at_s > now_s]
            for frame in sorted(due, key=lambda frame: frame.at_s):
                self._dispatch.write(frame.offset, frame.words)
        replies = [answer.reply for answer in self._answers if answer.at_s <= now_s]
        if replies:
            self._answers = [answer for answer in self._answers if answer.at_s > now_s]
        if self._package is not None:
            self._package.tick(now_s, quiet=not self._frames)
        return len(due), replies

    def die(self, *, commands_leave: bool) -> None:
        """The controller is gone: no answer finds it, and what it had not sent stays."""
        self._answers.clear()
        if not commands_leave:
            self._frames.clear()

    def core_started(self, now_s: float) -> None:
        """Core's package resets the dispatch at its start, and its toggles are off."""
        if self._package is not None:
            self._package.toggle = False
        self.put(RESET_BLOCK.registers(), now_s + 3)

    def _run(self, block: DispatchBlock, at_s: float) -> float | None:
        if self._package is None:
            self._frames.append(_Frame(at_s, 0, block.registers()))
            return at_s
        frames = self._package.follow(block)
        if frames is None:
            return None
        for n, (offset, words) in enumerate(frames):
            self._frames.append(_Frame(at_s + n * _FRAME_S, offset, words))
        return at_s + max(0, len(frames) - 1) * _FRAME_S

    def _answer(self, command: Command, at_s: float, status: WriteStatus) -> None:
        detail = "" if status is WriteStatus.DELIVERED else f"bench: {status.value}"
        self._answers.append(_Answer(at_s, Reply(command.number, WriteOutcome(status, detail))))


class Package:
    """Toggle and sliders of the Hillview package: only changes write, and nobody reads back."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._sliders: dict[str, int] = {}
        self._timer_s: float | None = None
        self._length_s = 0
        self.toggle = False

    def follow(self, block: DispatchBlock) -> list[tuple[int, list[int]]] | None:
        """
        Return the frames that a command becomes; `None` when it would write nothing.

        The adapter gives that back as an error: a renewal of the same length reaches nobody.
        """
        words = block.registers()
        if not block.start:
            self._timer_s = None
            was_on, self.toggle = self.toggle, False
            return [(0, words)] if was_on or self._dispatch.active else []
        wanted = {"cutoff": words[6], "power": words[2], "duration": words[8]}
        changed = [name for name in _OFFSETS if self._sliders.get(name) != wanted[name]]
        running = self.toggle and self._dispatch.active
        if running and "duration" not in changed:
            return None
        self._sliders = wanted
        self._length_s, self._timer_s = block.duration_s, None
        if not running:
            self.toggle = True
            return [(0, words)]
        slices = {"cutoff": words[6:7], "power": words[1:3], "duration": words[7:9]}
        return [(_OFFSETS[name], slices[name]) for name in changed]

    def tick(self, now_s: float, *, quiet: bool) -> None:
        """Run the package's timer, which ends with the inverter's."""
        if not self.toggle or not quiet:
            return
        if self._timer_s is None:
            self._timer_s = now_s + self._length_s
        if now_s >= self._timer_s:
            self.toggle, self._timer_s = False, None
            self._dispatch.write(0, RESET_BLOCK.registers())
