"""
Carries one job from where its journal says it is to its verdict.

It asks `next_step`, writes the line, does the act, and asks again. A line that the disk does not
take holds the job where it is: nothing is done that is not written. Whatever an adapter raises is
a fault of ours and ends the job with words; it never leaves a bridge locked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from agent.clock import Clock
from agent.firmware.job import replay
from agent.firmware.job.models import (
    Check,
    Facts,
    FileWord,
    How,
    JobState,
    Line,
    Patience,
    Stage,
    UploadEnd,
    Verdict,
)
from agent.firmware.job.ports import Ports, Seen, Watching
from agent.firmware.job.progress import Progress, Transfer, moving, reached
from agent.firmware.job.step import Act, Do, Step, Wait, next_step
from agent.firmware.job.verdict import runs
from agent.firmware.job.watch import SENTENCES, Sight, Watch, heard, log_mark, saw

LOG = logging.getLogger(__name__)
T = TypeVar("T")
FAULT = "It failed by a fault of the agent; the log says more."
LOOK_EVERY_S = 1.0
"""How often the bridge is looked at while it is watched, whether it says something or not."""
LOOK_AGAIN_S = 0.1
"""After a line that did not fit any more: somebody else has just written one."""
ACT_S = {
    Do.HOLD: 30.0,
    Do.CHECK: 60.0,
    Do.FETCH: 900.0,
    Do.VERIFY: 120.0,
    Do.UPLOAD: 1200.0,
    Do.IDENTIFY: 300.0,
    Do.PLAN: 300.0,
    Do.BACKUP: 3600.0,
    Do.ERASE: 3600.0,
    Do.WRITE: 7200.0,
    Do.PROVE: 600.0,
    Do.LISTEN: 120.0,
}
"""Deadlines behind those that the adapters have themselves."""


class Book(Protocol):
    """Where the jobs are written down."""

    def job(self, job: str) -> JobState:
        """Return the job as its lines say."""

    def turn(self, job: str) -> bool:
        """Return whether a job that waits may begin."""

    async def write(self, line: Line, seen: JobState | None = None) -> bool:
        """
        Have the line on disk; return False, having written nothing, if the job is not as seen.

        Tries again for as long as the disk does not take it.
        """

    def changed(self) -> None:
        """Tell whoever shows jobs."""


class Carry:
    """One job on its way; `run` ends with its verdict."""

    def __init__(
        self, job: str, book: Book, ports: Ports, clock: Clock, patience: Patience
    ) -> None:
        self._id = job
        self._book = book
        self._ports = ports
        self._clock = clock
        self._patience = patience
        self._facts = Facts()
        self._wake = asyncio.Event()
        self._came: deque[Seen | str] = deque(maxlen=1000)
        self._in_image: dict[str, bool | None] = {}
        self._watching: Watching | None = None
        self._acting: asyncio.Future[Any] | None = None
        self._sent_here = False
        self.progress = Progress()

    def wake(self) -> None:
        """Look again: a turn may have come, or a wish."""
        self._wake.set()

    def give_up_act(self) -> None:
        """End what is being done before the upload; somebody has cancelled the job."""
        if self._acting is not None:
            self._acting.cancel()
        self._wake.set()

    async def run(self) -> Verdict:
        """Carry the job to its verdict."""
        try:
            if self._state.upload_began:
                # After a restart the guard has to know that this bridge is not to be counted on.
                with contextlib.suppress(Exception):
                    await self._ports.moment.hold(self._state.mac)
            while True:
                state = self._state
                await self._take_in(state)
                found = await self._step(self._state)
                if found is not None:
                    return found
        finally:
            if self._watching is not None:
                self._watching.end()
            self._ports.moment.release(self._state.mac)
            self._book.changed()

    @property
    def _state(self) -> JobState:
        return self._book.job(self._id)

    @property
    def _now_s(self) -> float:
        return self._clock.now().monotonic_s

    async def _step(self, state: JobState) -> Verdict | None:
        self._wake.clear()
        facts = replace(self._facts, slot_free=self._book.turn(self._id))
        step = self._next(state, facts)
        if isinstance(step, Verdict):
            await self._closing(step)
            if not await self._book.write(replay.ended(self._id, step), state):
                await asyncio.sleep(LOOK_AGAIN_S)
                return None
            self.progress = reached(self.progress, step.stage, 1.0, step.text)
            LOG.info("flash_%s: %s: %s", step.result, state.mac, step.text)
            return step
        if isinstance(step, Wait):
            trial = state.stage is Stage.POSTCHECK and step.done > 0
            left_s = max(0.0, step.until_s - self._now_s) if trial else None
            self._show(state.stage, step.done, step.why, left_s)
            await self._sleep(step.until_s, state.stage)
            return None
        await self._act(step, state)
        return None

    async def _act(self, step: Act, state: JobState) -> None:
        if step.line is not None:
            if not await self._book.write(step.line, state):
                await asyncio.sleep(LOOK_AGAIN_S)
                return
            self._show(self._state.stage, 0.0, "")
        await self._do(step.do)

    async def _closing(self, verdict: Verdict) -> None:
        """Tidy up before the verdict is told; may be called again if another line comes first."""

    def _next(self, state: JobState, facts: Facts) -> Step:
        return next_step(state, facts, self._now_s, self._patience)

    async def _do(self, do: Do) -> None:
        if do is Do.UPLOAD:
            await self._upload()
        elif do is Do.OBSERVE:
            self._observe()
        else:
            await self._ask(do)

    async def _ask(self, do: Do) -> None:
        request = self._state.request
        ports, now_s = self._ports, self._now_s
        if do is Do.HOLD:
            why = await self._tried(do, ports.moment.hold(request.mac), lambda text: text)
            if why is not None:
                first_s = self._facts.moment_asked_s
                self._facts = replace(
                    self._facts,
                    moment=why,
                    moment_asked_s=now_s if first_s is None else first_s,
                    moment_told_s=self._now_s,
                )
        elif do is Do.CHECK:
            check = await self._tried(
                do,
                ports.checks.check(request),
                lambda text: Check(self._now_s, (text,), code="fault"),
            )
            self._facts = replace(self._facts, check=check or self._facts.check)
        elif do is Do.FETCH:
            told = self._counter(Stage.DOWNLOAD, 0.0)
            fetched = await self._tried(do, ports.images.fetch(request.release, told), _bad_file)
            self._facts = replace(self._facts, fetched=fetched)
        else:
            verified = await self._tried(do, ports.images.verify(request), _bad_file)
            self._facts = replace(self._facts, verified=verified)

    async def _tried(self, do: Do, work: Awaitable[T], fault: Callable[[str], T]) -> T | None:
        """Return what the work found; `None` if it was given up because the job was cancelled."""
        acting: asyncio.Future[T] = asyncio.ensure_future(work)
        self._acting = acting
        try:
            async with asyncio.timeout(ACT_S[do]):
                return await acting
        except asyncio.CancelledError:
            if self._state.cancelled_by and not self._state.upload_began:
                return None
            raise
        except TimeoutError:
            return fault(f"No answer within {ACT_S[do]:.0f} s ({do}). Try again.")
        except Exception:
            LOG.exception("%s of flash job %s failed", do, self._id)
            return fault(FAULT)
        finally:
            self._acting = None

    async def _upload(self) -> None:
        request = self._state.request
        self._facts = replace(self._facts, uploading=True)
        self._sent_here = True
        trial_s = request.release.confirm_after_s + self._patience.margin_s
        told = self._counter(Stage.UPLOAD, trial_s)
        try:
            async with asyncio.timeout(ACT_S[Do.UPLOAD]):
                end = await self._ports.uploader.upload(request, told)
        except TimeoutError:
            end = UploadEnd(How.INTERRUPTED, "The upload came to no end in time.", "deadline")
        except Exception:
            LOG.exception("the upload of flash job %s failed", self._id)
            end = UploadEnd(How.INTERRUPTED, FAULT, "fault")
        await self._book.write(replay.uploaded(self._id, end))
        self._facts = replace(self._facts, uploading=False)

    def _observe(self) -> None:
        marks = self._state.marks
        watch = Watch(self._now_s, not self._sent_here, None, marks)
        self._facts = replace(self._facts, watch=watch)
        self._watching = self._ports.watcher.watch(self._state.mac, self._tell, self._hear)

    def _tell(self, seen: Seen) -> None:
        self._came.append(seen)
        self._wake.set()

    def _hear(self, line: str) -> None:
        if log_mark(line) is not None:
            self._came.append(line)
            self._wake.set()

    async def _take_in(self, state: JobState) -> None:
        """Fold what was seen meanwhile into the watch, and write down what is new of it."""
        watch = self._facts.watch
        if self._watching is not None:
            self._came.append(self._watching.look())
        while self._came and watch is not None:
            came = self._came.popleft()
            watch = (
                heard(watch, came)
                if isinstance(came, str)
                else saw(watch, await self._sight(came, state))
            )
            self._facts = replace(self._facts, watch=watch)
            for mark in sorted(watch.marks - self._state.marks):
                LOG.info("flash_seen: %s: %s", state.mac, SENTENCES[mark])
                await self._book.write(replay.seen(self._id, mark, SENTENCES[mark]))

    async def _sight(self, seen: Seen, state: JobState) -> Sight:
        release = state.request.release
        in_image = None
        if seen.build is not None and seen.build.built:
            built = seen.build.built
            if built not in self._in_image:
                self._in_image[built] = await self._ports.images.contains(release, built)
            in_image = self._in_image[built]
        return Sight(
            at_s=self._now_s,
            state=seen.state,
            since_s=seen.since_s,
            runs=runs(seen.build, state.request, state.before, in_image),
            told=str(seen.build) if seen.build else "",
            missing=tuple(it for it in release.expect_entities if it not in seen.shows),
            log_read=seen.log_read,
        )

    def _counter(self, stage: Stage, then_s: float) -> Callable[[int, int], None]:
        began_s = self._now_s

        def told(done: int, total: int) -> None:
            transfer = Transfer(began_s, self._now_s, done, total)
            self.progress = moving(self.progress, stage, transfer, then_s)
            self._book.changed()

        return told

    def _show(self, stage: Stage, done: float, text: str, left_s: float | None = None) -> None:
        self.progress = replace(reached(self.progress, stage, done, text), left_s=left_s)
        self._book.changed()

    async def _sleep(self, until_s: float, stage: Stage) -> None:
        now_s = self._now_s
        if self._watching is not None:
            until_s = min(until_s, now_s + LOOK_EVERY_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until_s - now_s)):
                await self._wake.wait()


def _bad_file(text: str) -> FileWord:
    return FileWord(False, text, network=True, code="fault")
