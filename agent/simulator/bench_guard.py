"""
The guard's own decisions behind the small interface that the bench steps.

What runs is `agent.export.decide.step`, unmodified, with the time of the bench. Its journal is
kept as the real loop keeps it: before a command leaves, and every ten seconds while the account
moves; a kill finds exactly that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from agent.clock import Instant
from agent.export import memory
from agent.export.decide import step
from agent.export.inputs import SAMPLES_BEFORE_COMMAND
from agent.export.requests import Request, RequestKind
from agent.export.states import Command, Event, GuardConfig, GuardState, Look, Reply, Step
from agent.export.turn import Turn
from agent.house.readings import HouseSample
from agent.simulator.bench_site import COMMISSIONED

Decide = Callable[[GuardState, Look, GuardConfig], Step]
_ASK_AGAIN_S = 60.0
_SAVE_EVERY_S = 10.0


class Controller(Protocol):
    """What the bench steps: our guard, or the policy that it replaces."""

    wake_s: float
    """Monotonic: look again by then, even if nothing happens."""

    @property
    def busy(self) -> bool:
        """Something runs or is wanted, so that every reading counts."""
        ...

    @property
    def leased(self) -> bool:
        """A discharge of ours runs, or may still run."""
        ...

    @property
    def ready(self) -> bool:
        """It knows what runs, and could command."""
        ...

    @property
    def left_wh(self) -> float:
        """What the controller believes to be left of the allowance."""
        ...

    def look(
        self, now: Instant, sample: HouseSample, replies: tuple[Reply, ...], *, window: bool
    ) -> tuple[tuple[Command, ...], tuple[Event, ...]]:
        """Decide once; `window` says that a discharge is wanted now."""
        ...

    def restart(self, now: Instant) -> None:
        """Go on after a kill, from what was on disk."""
        ...


class GuardController:
    """`decide.step` with a simple wish: discharge in the window whenever it is worth it."""

    def __init__(self, config: GuardConfig, now: Instant, decide: Decide = step) -> None:
        self.config = config
        self._decide = decide
        self.state = replace(memory.fresh(now), commissioning=COMMISSIONED)
        self._saved = (self.state, now)
        self.wake_s = now.monotonic_s
        self._asked_s = -_ASK_AGAIN_S
        self._look: Look | None = None

    @property
    def busy(self) -> bool:
        """Something runs, is wanted, or has to be found out."""
        state = self.state
        return bool(
            state.wish is not None
            or state.stopping is not None
            or state.commitments
            or state.foreign is not None
            or state.adopting
        )

    @property
    def leased(self) -> bool:
        """A discharge of ours may run."""
        leases = self.state.commitments
        return bool(leases) and any(lease.block.power_w > 0 for lease in leases)

    @property
    def ready(self) -> bool:
        """What was found is judged, and the inputs are good for a command."""
        state = self.state
        enough = state.good_samples >= SAMPLES_BEFORE_COMMAND
        return enough and not state.adopting and not state.lost

    @property
    def left_wh(self) -> float:
        """What was left of the allowance at the last look."""
        if self._look is None:
            return 0.0
        return Turn(self._look, self.config, self.state).left_wh()

    def look(
        self, now: Instant, sample: HouseSample, replies: tuple[Reply, ...], *, window: bool
    ) -> tuple[tuple[Command, ...], tuple[Event, ...]]:
        """Decide once, and keep what the journal would hold."""
        look = Look(now, sample, self._requests(now, window=window), replies)
        result = self._decide(self.state, look, self.config)
        self.state, self.wake_s = result.state, result.wake_s
        self._look = look
        old = now.monotonic_s - self._saved[1].monotonic_s >= _SAVE_EVERY_S
        if result.events or result.commands or old:
            self._saved = (self.state, now)
        return result.commands, result.events

    def _requests(self, now: Instant, *, window: bool) -> tuple[Request, ...]:
        wish = self.state.wish
        if not window:
            return (Request(RequestKind.STOP_DISCHARGE, "bench"),) if wish is not None else ()
        rested = now.monotonic_s - self._asked_s >= _ASK_AGAIN_S
        if wish is not None or not rested or self.left_wh <= 0:
            return ()
        self._asked_s = now.monotonic_s
        return (Request(RequestKind.START_DISCHARGE, "bench"),)

    def restart(self, now: Instant) -> None:
        """Recall what the journal holds, through JSON as on disk."""
        state, at = self._saved
        data: dict[str, Any] = json.loads(json.dumps(memory.journaled(state, at)))
        self.state = memory.recalled(data, now, self.config)
        self._saved = (self.state, now)
        self.wake_s = now.monotonic_s
