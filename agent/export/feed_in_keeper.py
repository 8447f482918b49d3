"""
Carries out what `feed_in` decides: read, journal, write, look again.

Beside the guard's loop and never in its way; with the option off and nothing to put back it asks
the inverter nothing. What was there before is on disk before it is changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agent.clock import Clock
from agent.export import feed_in
from agent.export.feed_in import FeedIn, Situation
from agent.export.snapshot import Reason
from agent.house.feed_in import FeedInPort
from agent.house.port import SiteMeter
from agent.journal import Journal, JournalError

STATE_NAME = "feed_in"
_LOOK_AGAIN_S = 300.0
_PENDING_S = 2.0
_ANSWER_S = 10.0
_log = logging.getLogger(__name__)


class FeedInKeeper:
    """
    Owns the inverter's feed-in limit while one house is guarded.

    Args:
        port: the register.
        meter: tells whether a dispatch runs.
        journal: what was there before is kept here.
        clock: for times of the journal and between tries.
        wanted: the setting in percent; `None` is off.
        show: takes what is wrong, for the page.
        pending_s: between two looks while something is left to do.
    """

    def __init__(
        self,
        port: FeedInPort,
        meter: SiteMeter,
        journal: Journal,
        clock: Clock,
        wanted: Callable[[], float | None],
        show: Callable[[tuple[Reason, ...]], None],
        *,
        pending_s: float = _PENDING_S,
    ) -> None:
        self._port, self._meter = port, meter
        self._journal, self._clock = journal, clock
        self._wanted, self._show = wanted, show
        self._pending_s = pending_s
        self._state: FeedIn | None = None
        self._shown: Reason | None = None
        self._closing = False
        self._turn = asyncio.Lock()
        self._woken = asyncio.Event()

    @property
    def state(self) -> FeedIn | None:
        """What is remembered; `None` before the journal was read."""
        return self._state

    def wake(self) -> None:
        """Look at once; the setting may have changed."""
        self._woken.set()

    async def run(self) -> None:
        """Keep the limit until cancelled; never raises for inverter or disk."""
        while True:
            settled = await self.look()
            needless = self._wanted() is None and not (self._state and self._state.ours)
            pause_s = _LOOK_AGAIN_S if settled else self._pending_s
            await self._rest(None if settled and needless else pause_s)

    async def _rest(self, longest_s: float | None) -> None:
        """Wait until somebody wakes us, or so long at most."""
        try:
            async with asyncio.timeout(longest_s):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def restore(self, deadline_s: float) -> bool:
        """Put back what was there before, for good; return whether it is seen in time."""
        self._closing = True
        try:
            async with asyncio.timeout(deadline_s):
                while not await self.look():
                    await self._rest(min(1.0, self._pending_s))
        except TimeoutError:
            _log.warning("The feed-in limit could not be put back in time; the next start does it")
        return self._state is not None and not self._state.ours

    async def look(self) -> bool:
        """Decide once and carry it out; return True when nothing is left to do."""
        async with self._turn:
            try:
                state = await self._recalled()
                return await self._act(state, closing=self._closing)
            except JournalError as error:
                _log.error("The feed-in limit is not touched: %s", error)
                return False

    async def _recalled(self) -> FeedIn:
        if self._state is None:
            data = await self._journal.load_state(STATE_NAME)
            try:
                known = feed_in.recalled(data, self._port.name) if data else None
            except (KeyError, TypeError):
                _log.exception("What was journaled of the feed-in limit cannot be read")
                known = None
            self._state = known or FeedIn(self._port.name)
        return self._state

    async def _act(self, state: FeedIn, *, closing: bool) -> bool:
        wanted = self._wanted()
        if (wanted is None or closing) and not state.ours:
            self._tell(None)
            return True
        now = self._clock.now()
        start = self._meter.sample().dispatch.start
        if not start.good or start.value != 0:
            return False  # Nothing may be written now, so nothing has to be asked either.
        step = feed_in.decide(
            state,
            Situation(
                now_s=now.monotonic_s,
                wanted_percent=None if wanted is None else round(wanted),
                seen_percent=await self._port.read(_ANSWER_S),
                closing=closing,
            ),
        )
        if step.event is not None or feed_in.journaled(step.state) != feed_in.journaled(state):
            events = [(step.event[0], {"text": step.event[1]})] if step.event else []
            states = {STATE_NAME: feed_in.journaled(step.state)}
            await self._journal.record(states, events, now.local)
        self._state = step.state
        self._tell(step.problem)
        if step.event is not None:
            _log.info("%s: %s", *step.event)
        if step.write_percent is not None:
            outcome = await self._port.write(step.write_percent, _ANSWER_S)
            if outcome.detail:
                _log.warning("Feed-in limit: %s", outcome.detail)
        return step.settled

    def _tell(self, problem: Reason | None) -> None:
        if problem != self._shown:
            self._shown = problem
            self._show((problem,) if problem else ())
