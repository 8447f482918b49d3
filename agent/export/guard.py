"""
The one loop that ties the guard together: sample, decide, journal, command, verify.

Decisions are `decide.step`; this room only carries them. Every step that commands something is
on disk before the command leaves; only a stop leaves even when the disk fails, because a stop
that is not recorded is better than a discharge that is not stopped. Readings, answers and
requests wake the loop at once; deadlines wake it when nothing else does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from agent.clock import Clock, Instant
from agent.export import memory, view
from agent.export.advice import Advice
from agent.export.commissioning import Commissioning
from agent.export.decide import step
from agent.export.following import SHUTDOWN
from agent.export.record import Decision
from agent.export.requests import Answer, Request, RequestKind
from agent.export.snapshot import GuardSnapshot
from agent.export.states import Command, Event, GuardConfig, GuardState, Look, Reply
from agent.house.port import BatteryActuator, SiteMeter, WriteOutcome, WriteStatus
from agent.journal import LOSS_ACCEPTED_KIND, Journal, JournalError

STATE_NAME = "guard"
_SAVE_EVERY_S = 10.0
_STUCK_S = 90.0
"""A guard at rest looks every minute at the latest."""
_JOURNAL_STUCK_S = 30.0
_ANSWER_GRACE_S = 5.0
_PICTURE_FOR_S = 0.5
"""Page, MQTT and notifications look one after the other; one picture serves them all."""
_log = logging.getLogger(__name__)

Configure = Callable[[Commissioning], GuardConfig]
"""The site's choices as they are now, with what commissioning has measured."""
Note = Callable[[Decision], None]
"""Takes each decision for the record; never waits, never raises."""
Advise = Callable[[Instant], Advice | None]
"""What the plan wants at a moment; it only reads memory."""


def nobody(_: Instant) -> Advice | None:
    """Advise nothing: there is no planner."""
    return None


class Guard:
    """Owns the guard's state and the only way to the battery."""

    def __init__(
        self,
        meter: SiteMeter,
        actuator: BatteryActuator,
        journal: Journal,
        clock: Clock,
        configure: Configure,
        advise: Advise = nobody,
        note: Note = lambda _: None,
    ) -> None:
        self._meter = meter
        self._actuator = actuator
        self._journal = journal
        self._clock = clock
        self._configure = configure
        self._advise = advise
        self._note = note
        self._state: GuardState = memory.fresh(clock.now())
        self._wake = asyncio.Event()
        self._wake_s = 0.0
        self._replies: list[Reply] = []
        self._listeners: list[Callable[[], None]] = []
        self._outbox: asyncio.Queue[_Parcel] = asyncio.Queue()
        self._writes: set[asyncio.Task[None]] = set()
        self._looked_s = clock.now().monotonic_s
        self._saved_s = 0.0
        self._journal_failed = ""
        self._closing = False
        self._picture: tuple[float, GuardSnapshot] | None = None
        """When it was taken, monotonic; none since the newest look."""

    async def recall(self) -> None:
        """Take up what the journal holds; if that was lost, nothing starts unacknowledged."""
        now = self._clock.now()
        data = await self._journal.load_state(STATE_NAME)
        recovery = self._journal.recovered
        if data is not None:
            try:
                config = self._configure(memory.fresh(now).commissioning)
                self._state = memory.recalled(data, now, config)
            except (KeyError, ValueError, TypeError) as error:
                _log.exception("The journaled state cannot be read")
                await self._accept_loss(f"the journaled state cannot be read ({error!r})")
        elif recovery is not None:
            await self._accept_loss(
                f"the journal was damaged ({recovery.reason}) and is kept as {recovery.kept_as}"
            )

    async def _accept_loss(self, why: str) -> None:
        now = self._clock.now()
        self._state = memory.lost(now, why)
        states = {STATE_NAME: memory.journaled(self._state, now)}
        event = (LOSS_ACCEPTED_KIND, {"text": why})
        await self._journal.record(states, [event], now.local)

    async def run(self) -> None:
        """Guard until cancelled; raises only for a defect of its own."""
        end = self._meter.subscribe(self.wake)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._deliver(), name="guard-outbox")
                while True:
                    self.look()
                    await self._until_woken()
        finally:
            end()

    def wake(self) -> None:
        """Have the house looked at as soon as the event loop is free."""
        self._wake.set()

    async def _until_woken(self) -> None:
        wait_s = max(0.0, self._wake_s - self._clock.now().monotonic_s)
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def look(self, *requests: Request) -> tuple[Answer, ...]:
        """Look at the house once, decide, and hand over what has to be written."""
        self._picture = None
        look = self._look(requests, tuple(self._replies))
        self._replies.clear()
        before = self._state
        config = self._configure(before.commissioning)
        result = step(before, look, config)
        self._note(Decision(before, look, config, result))
        self._state, self._wake_s = result.state, result.wake_s
        self._looked_s = look.now.monotonic_s
        for event in result.events:
            _log.info("%s: %s", event.kind, event.text)
        old = look.now.monotonic_s - self._saved_s >= _SAVE_EVERY_S
        if result.events or result.commands or (old and _moved(before, result.state)):
            self._saved_s = look.now.monotonic_s
            parcel = _Parcel(
                memory.journaled(result.state, look.now),
                result.events,
                result.commands,
                look.now.local,
            )
            self._outbox.put_nowait(parcel)
        for listener in tuple(self._listeners):
            listener()
        return result.answers

    def _look(self, requests: tuple[Request, ...] = (), replies: tuple[Reply, ...] = ()) -> Look:
        now = self._clock.now()
        advice = None if self._closing else self._advise(now)
        return Look(now, self._meter.sample(), requests, replies, advice)

    async def _deliver(self) -> None:
        """Journal each parcel, then let its commands leave, in order."""
        while True:
            parcel = await self._outbox.get()
            await self._record(parcel)
            for command in parcel.commands:
                if self._journal_failed and command.block.start:
                    detail = "Not sent, because the journal cannot be written: "
                    self._reply(
                        command, WriteOutcome(WriteStatus.REFUSED, detail + self._journal_failed)
                    )
                    continue
                task = asyncio.create_task(self._write(command), name=f"write-{command.number}")
                self._writes.add(task)
                task.add_done_callback(self._writes.discard)
            self._outbox.task_done()

    async def _record(self, parcel: _Parcel) -> None:
        events = [(event.kind, {"text": event.text, **event.data}) for event in parcel.events]
        try:
            await self._journal.record({STATE_NAME: parcel.state}, events, parcel.at)
            self._journal_failed = ""
        except JournalError as error:
            self._journal_failed = str(error)
            _log.error("Nothing new is started: %s", error)

    async def _write(self, command: Command) -> None:
        deadline_s = self._configure(self._state.commissioning).write_deadline_s
        try:
            async with asyncio.timeout(deadline_s + _ANSWER_GRACE_S):
                outcome = await self._actuator.write(command.block, deadline_s)
        except TimeoutError:
            outcome = WriteOutcome(
                WriteStatus.UNCONFIRMED, f"No answer within {deadline_s:.0f} s; it may still run."
            )
        self._reply(command, outcome)
        if outcome.status is WriteStatus.DELIVERED:
            await self._actuator.refresh()

    def _reply(self, command: Command, outcome: WriteOutcome) -> None:
        self._replies.append(Reply(command.number, outcome))
        self.wake()

    def request(self, request: Request) -> Answer:
        """Decide on a request at once; its effect is seen in the snapshots that follow."""
        if self._closing and request.kind is not RequestKind.EMERGENCY_STOP:
            return Answer(False, "shutting_down", "The agent is shutting down; try again soon.")
        (answer,) = self.look(request)
        self.wake()
        return answer

    def snapshot(self) -> GuardSnapshot:
        """Return the picture of the newest look, half a second old at most."""
        now_s = self._clock.now().monotonic_s
        if self._picture is None or now_s - self._picture[0] > _PICTURE_FOR_S:
            config = self._configure(self._state.commissioning)
            self._picture = now_s, view.snapshot(self._state, self._look(), config)
        return self._picture[1]

    @property
    def busy(self) -> bool:
        """True while something runs, may run, or is wanted to."""
        state = self._state
        wanted = state.wish is not None or state.stopping is not None
        return wanted or bool(state.commitments) or state.commissioning.busy

    @property
    def state(self) -> GuardState:
        """What is remembered; read only."""
        return self._state

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` after every look; return a function that ends it."""
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)

    def healthy(self) -> tuple[bool, str]:
        """Return False with the reason when the loop or the journal is stuck."""
        now_s = self._clock.now().monotonic_s
        if now_s - self._looked_s > _STUCK_S:
            return (
                False,
                f"the guard has not looked at the house for {now_s - self._looked_s:.0f} s",
            )
        if not self._journal.alive:
            return False, "the journal has ended"
        stuck_s = self._journal.stuck_for_s(now_s)
        if stuck_s > _JOURNAL_STUCK_S:
            return False, f"the journal has not answered for {stuck_s:.0f} s"
        return True, "ok"

    async def release(self, deadline_s: float) -> bool:
        """
        Give the battery back to the inverter's own control, and return whether it was seen.

        Ends when the stop is verified, or after the deadline; the lease then ends by itself.
        """
        self._closing = True
        if self._state.commitments or self._state.wish or self._state.stopping:
            self.look(Request(RequestKind.STOP_DISCHARGE, SHUTDOWN))
        done = asyncio.Event()
        end = self.subscribe(lambda: done.set() if self._released() else None)
        try:
            async with asyncio.timeout(deadline_s):
                if not self._released():
                    await done.wait()
                await self._outbox.join()
        except TimeoutError:
            _log.warning("The stop could not be verified in time; the lease ends by itself")
        finally:
            end()
        return self._released()

    async def close(self) -> None:
        """
        Leave this path: nothing is sent on it any more, and what is open is on disk.

        A write in several frames would else go on beside the path that comes after.
        """
        for task in tuple(self._writes):
            task.cancel()
        await asyncio.gather(*self._writes, return_exceptions=True)
        now = self._clock.now()
        await self._record(_Parcel(memory.journaled(self._state, now), (), (), now.local))

    def _released(self) -> bool:
        return self._state.stopping is None and not self._state.commitments


def _moved(before: GuardState, after: GuardState) -> bool:
    """Return True when the energy account has moved and is worth saving."""
    return (
        before.ledger.exported.tick_s != after.ledger.exported.tick_s
        or before.ledger.produced.tick_s != after.ledger.produced.tick_s
        or after.ledger.unverified_wh > 0
    )


class _Parcel:
    """What one look hands over: to the disk first, then to the battery."""

    __slots__ = ("at", "commands", "events", "state")

    def __init__(
        self,
        state: dict[str, object],
        events: tuple[Event, ...],
        commands: tuple[Command, ...],
        at: datetime,
    ) -> None:
        self.state = state
        self.events = events
        self.commands = commands
        self.at = at
