"""
The inverter's own feed-in limit, lowered while the agent runs and given back at its end.

It bounds the sun, which no dispatch does, but slowly and on no proof: a second net, not the guard.
What was set there before belongs to the installer or the network operator. It is written down
before anything is changed, never exceeded, and put back. The register is kept in flash, so it is
written on change only, three times at most for one value. When somebody else changes it, that is
his decision: it is left, and nothing is put back over it.

Source: export_monitor.md 4.7 (trap and persistence); evcc #30053 (a limit wiped at start).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.export.replacing import replace
from agent.export.snapshot import Reason

TRIES = 3
AGAIN_S = 15.0
"""Between two tries; the package's sensor is read every 5 s."""


@dataclass(frozen=True, slots=True)
class FeedIn:
    """What is remembered of the limit; percent of what the inverter means by it."""

    name: str = ""
    """The inverter and the way to it."""
    saved_percent: int | None = None
    """What was set before us; `None` while nothing of ours stands."""
    written: tuple[int, ...] = ()
    """What we have written since, the last two; one of them may still be on its way."""
    left_to: int | None = None
    """The wish at which somebody else's change was left alone; it is not asked for again."""
    tries: int = 0
    tried_s: float | None = None

    @property
    def ours(self) -> bool:
        """True while something has to be put back."""
        return self.saved_percent is not None


@dataclass(frozen=True, slots=True)
class Situation:
    """What one decision is made of; there is none during a dispatch, which ignores the register."""

    now_s: float
    wanted_percent: int | None
    """The setting; `None` is off."""
    seen_percent: int | None
    """As it was just read; `None` where it could not be."""
    closing: bool
    """The agent ends, or leaves this inverter."""


@dataclass(frozen=True, slots=True)
class Step:
    """What follows: what is remembered, and has to be on disk before what is written."""

    state: FeedIn
    write_percent: int | None = None
    event: tuple[str, str] | None = None
    """Kind and sentence for the journal."""
    problem: Reason | None = None
    settled: bool = True
    """Nothing is left to do until something changes."""


def journaled(state: FeedIn) -> dict[str, Any]:
    """Return what has to survive, ready for JSON."""
    return {
        "name": state.name,
        "saved_percent": state.saved_percent,
        "written": list(state.written),
        "left_to": state.left_to,
    }


def recalled(data: Mapping[str, Any], name: str) -> FeedIn:
    """
    Return what was journaled, if it was of this inverter.

    Raises:
        KeyError, TypeError: the record is damaged.
    """
    if data["name"] != name:
        return FeedIn(name)
    return FeedIn(name, data["saved_percent"], tuple(data["written"]), data["left_to"])


def decide(state: FeedIn, now: Situation) -> Step:
    """Return what to do about the limit now."""
    active = now.wanted_percent is not None and not now.closing
    if not active and not state.ours:
        return Step(FeedIn(state.name))
    if active and state.left_to is not None and not state.ours:
        if state.left_to == now.wanted_percent:
            return Step(state, problem=_LEFT)
        state = FeedIn(state.name)
    if now.seen_percent is None:
        return Step(state, problem=_UNREAD, settled=False)
    if state.saved_percent is None:
        state = replace(state, saved_percent=now.seen_percent)
    elif now.seen_percent not in (state.saved_percent, *state.written):
        return _left(state, now)
    return _towards(state, now, active=active)


def _towards(state: FeedIn, now: Situation, *, active: bool) -> Step:
    """Bring the register to what is wanted, or back to what it was."""
    saved, seen = state.saved_percent or 0, now.seen_percent
    target = min(now.wanted_percent or 0, saved) if active else saved
    if seen == target:
        if active:
            return Step(replace(state, tries=0, tried_s=None))
        text = f"The inverter's feed-in limit is {saved} % again, as it was before."
        return Step(FeedIn(state.name), event=("feed_in_restored", text))
    fresh = not state.written or state.written[-1] != target
    tries = 0 if fresh else state.tries
    if tries >= TRIES:
        return Step(state, problem=_refused(target, seen or 0))
    waits = not fresh and state.tried_s is not None and now.now_s - state.tried_s < AGAIN_S
    if waits:
        return Step(state, settled=False)
    written = state.written if not fresh else (*state.written[-1:], target)
    state = replace(state, written=written, tries=tries + 1, tried_s=now.now_s)
    doing = "Lowering" if active else "Putting back"
    text = f"{doing} the inverter's feed-in limit from {seen} to {target} %; it was {saved} %."
    return Step(state, target, ("feed_in_write", text), settled=False)


def _left(state: FeedIn, now: Situation) -> Step:
    text = (
        f"Somebody set the inverter's feed-in limit to {now.seen_percent} %, where the agent had "
        f"{state.written[-1] if state.written else state.saved_percent} %. It is left so, and "
        f"the {state.saved_percent} % from before are not put back."
    )
    left = FeedIn(state.name, left_to=now.wanted_percent)
    return Step(left, event=("feed_in_left", text), problem=None if now.closing else _LEFT)


def _refused(target: int, seen: int) -> Reason:
    return Reason(
        "feed_in_refused",
        f"The inverter's feed-in limit stays at {seen} %, although {target} % was written {TRIES} "
        "times. Set it in the inverter's own settings, or switch feed_in_limit_percent off.",
    )


_LEFT = Reason(
    "feed_in_left",
    "Somebody else set the inverter's feed-in limit; the agent leaves it. Set "
    "feed_in_limit_percent to another value, or off and on, to have it set again.",
)
_UNREAD = Reason(
    "feed_in_unread",
    "The inverter's feed-in limit cannot be read, so it is not changed. Check that "
    "sensor.alphaess_max_feed_to_grid exists, or choose entities.feed_in_limit.",
)
