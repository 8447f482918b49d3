"""
From one path to the inverter to another, and never both.

There is one guard, and it commands through one path. When another path takes over, the old guard
has stopped what ran or could not; what may still run, or come late out of Core's queue, is known
to the last command. Until it has surely ended, or a stop of what had surely arrived was seen,
nothing is started through the new path, and what it can let out is charged. A stop may go through
the new path at once: two stops hurt nobody.

A late stop of the old path can end a dispatch of the new one. That is a reset by somebody else,
and is answered as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.export.commitments import UNCONFIRMED_HORIZON_S, Commitment, Commitments
from agent.export.lease import CommandPath
from agent.export.snapshot import Reason


@dataclass(frozen=True, slots=True)
class Handover:
    """What the path before has left behind."""

    before: str
    """Name of that path."""
    until_s: float
    """Monotonic: by then the inverter has surely ended all of it."""
    certain: bool
    """Every command has surely arrived: an idle inverter proves that all of it is over."""
    worst_w: float
    """Strongest discharge that it may be carrying out."""

    def over(self, commitments: Commitments, now_s: float) -> bool:
        """Return True when nothing of the path before can run any more."""
        return now_s >= self.until_s or (self.certain and not commitments)

    def reason(self, now_s: float) -> Reason:
        """Return why nothing is started yet."""
        return Reason(
            "path_handover",
            f"The path {self.before} was left with a command that may still run; nothing is "
            f"started on the new path for another {max(0.0, self.until_s - now_s):.0f} s, or until "
            "it is seen to be over.",
        )


@dataclass(frozen=True, slots=True)
class Left:
    """A path as it was left: what is needed to say when a command of it is over."""

    name: str
    command_delay_s: float
    exit_lag_s: float
    gain: float


def left(path: CommandPath | None) -> dict[str, Any] | None:
    """Return of a path what a journal keeps."""
    if path is None:
        return None
    names = ("name", "command_delay_s", "exit_lag_s", "gain")
    return {name: getattr(path, name) for name in names}


def of_journal(data: Mapping[str, Any] | None) -> Left | None:
    """Return the path that a journal was written on; `None` for one that did not say."""
    return None if data is None else Left(**data)


def taken_over(
    commitments: Commitments, before: Left, path: CommandPath, now_s: float
) -> tuple[Commitments, Handover | None]:
    """
    Return the commands of another path as this one has to see them, and until when to wait.

    Args:
        commitments: what the other path may still be carrying out, as it was journaled.
        before: that path.
        path: the one that takes over.
        now_s: the moment, in monotonic seconds.
    """
    lag_s = max(0.0, before.exit_lag_s - path.exit_lag_s)

    def seen(each: Commitment) -> Commitment:
        # Of an answer that never came nobody knows when the call left Core's queue.
        arrived_s = max(each.sent_s + before.command_delay_s, each.answered_s or 0.0)
        arrived_s = arrived_s if each.certain else now_s
        return replace(each, answered_s=arrived_s + lag_s, confirmed_s=None)

    known = tuple(seen(each) for each in commitments)
    open_ = tuple(each for each in known if each.ends_by_s(path, now_s) > now_s)
    if not open_:
        return (), None
    worst_w = max(max(0, each.block.power_w) for each in open_) * max(1.0, before.gain)
    until_s = max(each.ends_by_s(path, now_s) for each in open_)
    certain = all(each.certain for each in open_)
    return open_, Handover(before.name, until_s, certain, worst_w)


def later(one: Handover | None, other: Handover | None) -> Handover | None:
    """Return both as one: a path that was left again before the one before it was over."""
    if one is None or other is None:
        return one or other
    return Handover(
        other.before,
        max(one.until_s, other.until_s),
        one.certain and other.certain,
        max(one.worst_w, other.worst_w),
    )


def journaled(handover: Handover | None, now_s: float) -> dict[str, Any] | None:
    """Return what a journal keeps of it."""
    if handover is None:
        return None
    return {
        "before": handover.before,
        "left_s": handover.until_s - now_s,
        "certain": handover.certain,
        "worst_w": handover.worst_w,
    }


def recalled(data: Mapping[str, Any] | None, now_s: float, away_s: float) -> Handover | None:
    """
    Return a journaled one.

    A wall clock that went on while we were away is believed no further than the longest that a
    command can wait.
    """
    if data is None:
        return None
    left_s = data["left_s"] - min(away_s, UNCONFIRMED_HORIZON_S)
    return Handover(data["before"], now_s + left_s, data["certain"], data["worst_w"])
