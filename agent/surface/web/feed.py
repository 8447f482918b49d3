"""
The event stream: the whole picture once, then only what changed.

Each delta carries the next number. A client that misses one, or comes back, gets the whole picture
again; there is no log to replay, because only the present matters. A client that reads too slowly
is cut off rather than waited for: it comes back by itself, and the others never notice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

from pydantic import TypeAdapter

from agent.export.snapshot import GuardSnapshot, PlanPicture
from agent.surface.cable_desk import RecoveryDesk
from agent.surface.desk import BridgeDesks, FlashingDesk, GuardDesk, ReleasesDesk
from agent.surface.web.shapes import OfBridges

SPACING_S = 0.25
"""Shortest time between two deltas; what comes faster is told together."""
BRIDGES_EVERY_S = 1.0
"""Shortest time between two lists of the bridges: they are long, and of many one always moves."""
BRIDGES_AGE_S = 60.0
"""The list tells how long ago things were, so it is looked at though nothing changed."""
LONGEST_QUEUE = 64
MOST_LISTENERS = 64
_SNAPSHOT = TypeAdapter(GuardSnapshot)
_OUTLOOK = TypeAdapter(PlanPicture | None)


def picture(snapshot: GuardSnapshot) -> dict[str, Any]:
    """
    Return the snapshot as JSON values: ISO times, words for enums, `None` for not-a-number.

    The name of the site's zone stands beside it, empty where the time has only an offset.
    """
    # By way of the text, because only there pydantic makes null of what JSON cannot say.
    text = _SNAPSHOT.dump_json(snapshot, exclude={"outlook"})
    state = cast("dict[str, Any]", json.loads(text))
    # The page's clocks are the site's, wherever its reader is; an offset would be wrong across DST.
    zone = getattr(snapshot.at.tzinfo, "key", "")
    return {**state, "zone": zone, "outlook": _outlook(snapshot.outlook)}


class _Newest:
    """The newest plan in JSON: it is ten times the rest, and changes twice an hour."""

    outlook: PlanPicture | None = None
    state: Any = None


def _outlook(outlook: PlanPicture | None) -> Any:
    if outlook is not _Newest.outlook:
        _Newest.outlook, _Newest.state = outlook, json.loads(_OUTLOOK.dump_json(outlook))
    return _Newest.state


class TooManyListenersError(Exception):
    """More pages are open than a house has people; close one."""


class Listener:
    """One client: what it still has to be sent."""

    def __init__(self, cut_off: Callable[[], None]) -> None:
        self._cut_off = cut_off
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue(LONGEST_QUEUE)

    def offer(self, frame: bytes | None) -> None:
        """Queue a frame, `None` for the end; a full queue ends the client."""
        try:
            self._frames.put_nowait(frame)
        except asyncio.QueueFull:
            self._cut_off()

    async def next(self, heartbeat_s: float) -> bytes | None:
        """Return the next frame, a comment when there was none for a while, `None` at the end."""
        try:
            async with asyncio.timeout(heartbeat_s):
                return await self._frames.get()
        except TimeoutError:
            return b": heartbeat\n\n"


class Feed:
    """Watches guard and bridges and tells all listeners; does nothing while there are none."""

    def __init__(
        self,
        desk: GuardDesk,
        bridges: BridgeDesks | None = None,
        releases: ReleasesDesk | None = None,
        flashing: FlashingDesk | None = None,
        recovery: RecoveryDesk | None = None,
    ) -> None:
        self._desk = desk
        self._bridges = bridges
        self._releases = releases
        self._flashing = flashing
        self._recovery = recovery
        self._bridges_moved = True
        self._bridges_told_s = float("-inf")
        self._listeners: set[Listener] = set()
        self._state: dict[str, Any] = {}
        self._sequence = 0
        self._told_s = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._watching: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begin to watch; needs the running event loop."""
        self._watching = [self._desk.subscribe(self._wake)]
        if self._bridges is not None:
            self._watching.append(self._bridges.bridges.subscribe(self._wake_of_bridges))
            self._watching.append(self._bridges.work.subscribe(self._wake_of_bridges))
        if self._releases is not None:
            self._watching.append(self._releases.subscribe(self._wake_of_bridges))
        if self._flashing is not None:
            self._watching.append(self._flashing.subscribe(self._wake_of_bridges))
        if self._recovery is not None:
            self._watching.append(self._recovery.subscribe(self._wake_of_bridges))

    def state(self) -> dict[str, Any]:
        """Return the whole picture in JSON's words, with the bridges."""
        return {**picture(self._desk.snapshot()), **self._of_bridges()}

    def _of_bridges(self) -> OfBridges:
        bridges = self._bridges
        return {
            "bridges": bridges.bridges.shown() if bridges else [],
            "gates": bridges.work.verdicts() if bridges else {},
            "releases": self._releases.shown() if self._releases else None,
            "flashing": self._flashing.shown() if self._flashing else None,
            "recovery": self._recovery.shown() if self._recovery else None,
        }

    def close(self) -> None:
        """Stop watching and end every stream."""
        for unsubscribe in self._watching:
            unsubscribe()
        self._watching.clear()
        if self._timer:
            self._timer.cancel()
        for listener in self._listeners:
            listener.offer(None)

    def join(self, cut_off: Callable[[], None]) -> Listener:
        """
        Return a new listener with the whole picture already in its queue.

        Raises:
            TooManyListenersError: there is no room.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            raise TooManyListenersError
        self._bridges_told_s = float("-inf")  # whoever comes sees them as they are
        self._bridges_moved = True
        self._tell()  # the others first, so that one number means one state for everybody
        listener = Listener(cut_off)
        listener.offer(_frame("snapshot", self._sequence, self._state))
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget a listener."""
        self._listeners.discard(listener)

    def _wake(self) -> None:
        self._due(self._told_s + SPACING_S)

    def _wake_of_bridges(self) -> None:
        self._bridges_moved = True
        self._due(max(self._told_s + SPACING_S, self._bridges_told_s + BRIDGES_EVERY_S))

    def _due(self, at_s: float) -> None:
        if not self._listeners:
            return
        loop = asyncio.get_running_loop()
        at_s = max(loop.time(), at_s)
        if self._timer is not None:
            if self._timer.when() <= at_s:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at_s, self._tell)

    def _tell(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._told_s = asyncio.get_running_loop().time()
        state = {**picture(self._desk.snapshot()), **self._bridges_due()}
        missing = object()
        changed = {
            key: value for key, value in state.items() if self._state.get(key, missing) != value
        }
        if not changed:
            return
        self._state |= state
        self._sequence += 1
        frame = _frame("delta", self._sequence, changed)
        for listener in self._listeners:
            listener.offer(frame)

    def _bridges_due(self) -> OfBridges | dict[str, Any]:
        """Return the bridges if it is time to tell of them; else have it told in time."""
        age_s = self._told_s - self._bridges_told_s
        if not self._bridges_moved and age_s < BRIDGES_AGE_S:
            return {}
        if age_s < BRIDGES_EVERY_S:
            self._due(self._bridges_told_s + BRIDGES_EVERY_S)
            return {}
        self._bridges_moved, self._bridges_told_s = False, self._told_s
        return self._of_bridges()


def _frame(event: str, sequence: int, data: dict[str, Any]) -> bytes:
    text = json.dumps(data, separators=(",", ":"))  # one line: newlines are escaped
    return f"id: {sequence}\nevent: {event}\ndata: {text}\n\n".encode()
