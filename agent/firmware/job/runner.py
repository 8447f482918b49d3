"""
All flash jobs of the house, in the journal and under way.

What the page, the entities and the campaigns ask for: start, cancel, go back, and a view. The
journal is read once at the start; open jobs go on where they were, or are classified by what the
bridge shows. One job per bridge, and `places` at once in the house.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent.clock import Clock
from agent.firmware.job import replay
from agent.firmware.job.cable_carry import CableCarry
from agent.firmware.job.carry import Carry
from agent.firmware.job.models import BEGINS, KIND, JobState, Line, Patience, Request, Way
from agent.firmware.job.ports import Ports
from agent.firmware.job.progress import Progress, reached
from agent.firmware.job.replay import Jobs
from agent.firmware.job.verdict import by_our_fault
from agent.fleet.identity import Mac, written
from agent.journal import Journal, JournalError

LOG = logging.getLogger(__name__)
PAGE = 1000
DISK_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a wish about jobs is not followed; nothing was written or sent."""

    code: str
    """`locked`, `unknown`, `under-way`, `nothing-to-go-back-to`, `stopping`."""
    text: str
    """A sentence, and what to do."""


@dataclass(frozen=True, slots=True)
class JobsView:
    """Everything to show of the jobs."""

    jobs: Jobs
    progress: Mapping[str, Progress]
    """By job; complete for the open ones."""


class FlashJobs:
    """Owns the jobs; one per agent."""

    def __init__(
        self,
        journal: Journal,
        ports: Ports,
        clock: Clock,
        *,
        places: int = 1,
        patience: Patience | None = None,
        new_id: Callable[[], str] = lambda: secrets.token_hex(6),
    ) -> None:
        """
        Prepare; `run` takes up what the journal holds.

        Args:
            journal: where the jobs live.
            ports: the rest of the house.
            clock: both clocks.
            places: how many jobs may be beyond `init` at once.
            patience: how long to wait for what.
            new_id: makes the name of a job.
        """
        self._journal = journal
        self._ports = ports
        self._clock = clock
        self._places = places
        self._patience = patience or Patience()
        self._new_id = new_id
        self._jobs = Jobs()
        self._carries: dict[str, Carry] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._writing = asyncio.Lock()
        self._wakes: list[Callable[[], None]] = []
        self._stopping = False

    async def recall(self) -> Jobs:
        """
        Read the jobs out of the journal; call it before the guard and `run`.

        Raises:
            JournalError: it cannot be read; nothing may be flashed then.
        """
        last, lines = 0, []
        while page := await self._journal.events(kinds=[KIND], limit=PAGE, after_id=last):
            last = page[-1].id
            lines += [(it.at, it.data) for it in page]
        self._jobs = replay.replay(lines)
        if self._jobs.unread:
            LOG.warning("%d lines of flash jobs cannot be read", self._jobs.unread)
        return self._jobs

    async def run(self) -> None:
        """Carry the open jobs on, and new ones, until cancelled."""
        for state in self._jobs.open:
            LOG.info("flash_resumed: %s: job %s was at %s", state.mac, state.id, state.stage)
            self._carry(state.id, resumed=True)
        try:
            await asyncio.Event().wait()
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def start(self, request: Request, job: str | None = None) -> JobState | Refused:
        """
        Ask for a flash; it is in the journal when this returns.

        Args:
            request: what to flash, where, and who wants it.
            job: its name, where the caller must not ask twice for the same; a name that is known
                already is answered with its job.

        Raises:
            JournalError: it could not be written; nothing will happen.
        """
        async with self._writing:
            if job is not None and job in self._jobs.by_id:
                return self._jobs.by_id[job]
            if self._stopping:
                return Refused("stopping", "The agent is stopping. Ask again when it is back.")
            if other := self._jobs.lock(request.mac):
                text = (
                    f"{written(request.mac)} is being flashed: job {other.id} is at {other.stage}."
                )
                return Refused("locked", f"{text} Wait until it has ended.")
            job = job or self._new_id()
            await self._append(replay.asked(job, request))
        self._carry(job)
        self.changed()
        return self._jobs.by_id[job]

    async def cancel(self, job: str, by: str, *, force: bool = False) -> JobState | Refused:
        """
        End a job that has not begun to send; a later one goes on to its verdict.

        Args:
            job: its name.
            by: who.
            force: break off a write over the cable too; the bridge needs flashing then.

        Raises:
            JournalError: it could not be written; the job goes on.
        """
        async with self._writing:
            state = self._jobs.by_id.get(job)
            if state is None or not state.open:
                return Refused("unknown", "There is no such job under way.")
            if state.upload_began and not (force and state.writes):
                text = "The image is on its way or on trial; to stop now could leave it half done."
                return Refused("under-way", f"{text} Wait for the verdict, then go back.")
            await self._append(replay.cancelled(job, by))
        if carry := self._carries.get(job):
            carry.give_up_act()
        return self._jobs.by_id[job]

    async def go_back(
        self, mac: Mac, by: str, acks: tuple[str, ...] = (), reason: str = ""
    ) -> JobState | Refused:
        """
        Flash what was confirmed on the bridge before the last release; the policy is asked as ever.

        Works offline: the store keeps that image.

        Raises:
            JournalError: it could not be written; nothing will happen.
        """
        release = self._jobs.before(mac)
        if release is None:
            text = (
                f"Nothing is known that was confirmed on {written(mac)} before. Choose a release."
            )
            return Refused("nothing-to-go-back-to", text)
        return await self.start(Request(mac, release, by, "person", acks, reason, goes_back=True))

    async def drain(self, within_s: float) -> bool:
        """Take no more jobs and let running uploads end; return whether they did in time."""
        self._stopping = True
        ended = asyncio.Event()
        end = self.subscribe(lambda: None if self._sending() else ended.set())
        try:
            async with asyncio.timeout(within_s):
                if self._sending():
                    await ended.wait()
        except TimeoutError:
            return False
        finally:
            end()
        return True

    def view(self) -> JobsView:
        """Return everything to show."""
        progress = {job: carry.progress for job, carry in self._carries.items()}
        for state in self._jobs.open:
            blank = Progress(way=state.request.way)
            progress.setdefault(state.id, reached(blank, state.stage, 0.0))
        return JobsView(self._jobs, MappingProxyType(progress))

    @property
    def jobs(self) -> Jobs:
        """All jobs, and with them locks, trials and floors."""
        return self._jobs

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever the view may have changed; return a function that ends it."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake) if wake in self._wakes else None

    # What `Carry` asks of its book.

    def job(self, job: str) -> JobState:
        """Return the job as its lines say."""
        return self._jobs.by_id[job]

    def turn(self, job: str) -> bool:
        """Return whether a job that waits may begin."""
        return not self._stopping and self._jobs.turn(job, self._places)

    async def write(self, line: Line, seen: JobState | None = None) -> bool:
        """Have the line on disk, however long that takes; see `Book.write`."""
        while True:
            try:
                async with self._writing:
                    if seen is not None and self._jobs.by_id[line.job] is not seen:
                        return False
                    began = self._jobs.by_id[line.job].upload_began
                    if self._stopping and line.data.get("stage") in BEGINS and not began:
                        return False
                    await self._append(line)
            except JournalError as error:
                LOG.error("job %s waits for the journal: %s", line.job, error)  # noqa: TRY400 - a full disk has no traceback worth reading
                await asyncio.sleep(DISK_AGAIN_S)
                continue
            self.changed()
            return True

    def changed(self) -> None:
        """Tell whoever shows jobs."""
        for wake in tuple(self._wakes):
            wake()

    async def _append(self, line: Line) -> None:
        at = self._clock.now().local
        data = replay.data_of(line)
        now = replay.after(self._jobs, at, data)
        await self._journal.append(KIND, data, at)
        self._jobs = now

    def _sending(self) -> bool:
        return any(it.upload_began and it.upload is None for it in self._jobs.open)

    def _carry(self, job: str, *, resumed: bool = False) -> None:
        cable = self._jobs.by_id[job].request.way == Way.SERIAL
        kind = CableCarry if cable else Carry
        carry = kind(job, self, self._ports, self._clock, self._patience)
        if isinstance(carry, CableCarry) and not resumed:
            carry.begin()
        self._carries[job] = carry
        task = asyncio.get_running_loop().create_task(self._to_the_end(job, carry), name=job)
        self._tasks[job] = task

    async def _to_the_end(self, job: str, carry: Carry) -> None:
        try:
            await carry.run()
        except Exception:
            LOG.exception("flash job %s cannot be carried on", job)
            await self.write(replay.ended(job, by_our_fault(self._jobs.by_id[job])))
        finally:
            self._tasks.pop(job, None)
            self._carries.pop(job, None)
            for other in self._carries.values():
                other.wake()
