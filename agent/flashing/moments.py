"""
The guard's word on when a bridge may go away for an update.

A bridge through which a dispatch runs is not taken: its commands go over to the other path where
a person has named one, and else the update waits until the dispatch is over. From the moment on
that a bridge is taken, the guard sees it as gone: its values are no readings and nothing is
started through it, until the job gives it back. What was taken when the agent died is taken again
before the next guard looks at anything.

Source: the rules of the house on where the roads of energy and firmware meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agent.export.snapshot import GuardSnapshot
from agent.fleet.identity import Mac

NOBODY_SAYS = "The guard does not say yet whether a dispatch runs through it."
RUNS = "A dispatch runs through it; the update waits until it has ended."
GOES_OVER = "A dispatch runs through it; the commands go over to the other path first."


@dataclass(frozen=True, slots=True)
class Moment:
    """Whether a bridge may be taken now."""

    waits: str = ""
    """Why not yet; "" if it may."""
    leaves: bool = False
    """The other path is to be used meanwhile."""


def moment(
    mac: Mac,
    commanded: Mac | None,
    through: frozenset[Mac] | None,
    in_use: str,
    paths: tuple[str, ...],
) -> Moment:
    """
    Return whether a bridge may be taken away from the guard now.

    Args:
        mac: the bridge.
        commanded: the one that the path `bridge` leads through, if there is one.
        through: bridges through which a dispatch runs; `None` if nobody can say.
        in_use: the path that commands take.
        paths: all that a person allows.
    """
    if mac != commanded:
        return Moment()
    if in_use != "bridge":
        return Moment()
    if through is None:
        return Moment(NOBODY_SAYS)
    if mac in through:
        other = any(path != in_use for path in paths)
        return Moment(GOES_OVER if other else RUNS, other)
    return Moment()


class BridgeMoments:
    """`SafeMoment` over the guard's pictures; what it has taken is `gone`."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """
        Prepare; set what there is to ask before anything is.

        Args:
            changed: called after each change of `gone`, so that the guard looks anew.
        """
        self._changed = changed
        self._leaving: set[Mac] = set()
        self.gone: frozenset[Mac] = frozenset()
        """The guard has to treat these as not there."""
        self.ask: Callable[[Mac], Moment] = lambda _: Moment(NOBODY_SAYS)

    def recall(self, flashing: Iterable[Mac]) -> None:
        """Take what was taken when the agent ended; before the guard looks at anything."""
        self.gone = frozenset(flashing)

    @property
    def leaving(self) -> frozenset[Mac]:
        """Bridges that the commands should not go through any longer, where there is a choice."""
        return self.gone | self._leaving

    async def hold(self, mac: Mac) -> str:
        """Take a bridge if it may be; see `SafeMoment`."""
        if mac in self.gone:
            return ""
        found = self.ask(mac)
        if found.leaves:
            self._leaving.add(mac)
        if not found.waits:
            # Nothing is awaited between the guard's word and this.
            self.gone |= {mac}
        self._changed()
        return found.waits

    def release(self, mac: Mac) -> None:
        """Give a bridge back."""
        self._leaving.discard(mac)
        self.gone -= {mac}
        self._changed()


def path_of(picture: GuardSnapshot | None) -> str:
    """Return the path that commands take; "bridge" while nobody can say, the careful answer."""
    return picture.path if picture is not None else "bridge"
