"""
What Home Assistant calls a person for on our behalf: raised with a need, gone when it is over.

A loop compares what belongs on the wall (`notification_rules`) with what was told: each is told
once, not again while it stands, and a person who puts one away is not nagged. A restart of Core
forgets them all, so what is still true then is told again. The agent guards the same with nobody
to tell.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agent.export.snapshot import GuardSnapshot
from agent.homeassistant.errors import CoreError
from agent.homeassistant.link import Link
from agent.surface.notification_rules import KINDS, Notification, due

CALM_S = 5.0
"""A condition has to be over this long before its notification is taken away."""
RETRY_S = 5.0
SPACING_S = 1.0
"""Shortest time between two looks; the guard looks several times a second."""
_LOOK_AGAIN_S = 60.0
_LOG = logging.getLogger(__name__)


Also = Callable[[], Mapping[str, Notification]]
"""Returns further notifications that belong on the wall now, by their id."""


class Watched(Protocol):
    """The guard, as far as it is watched here."""

    def snapshot(self) -> GuardSnapshot:
        """Return the newest picture."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` after every new picture; the result ends it."""
        ...


class Wall(Protocol):
    """Home Assistant, as far as notifications go; `CoreConnection` is one."""

    @property
    def link(self) -> Link:
        """How the link is now."""
        ...

    def subscribe_link(self, callback: Callable[[Link], None]) -> Callable[[], None]:
        """Call at every change of the link; the result ends it."""
        ...

    async def command(self, kind: str, timeout_s: float = 10.0, **fields: Any) -> Any:
        """Send one websocket command; raises `CoreError`."""
        ...

    async def notify(self, notification_id: str, title: str, message: str) -> None:
        """Raise or replace a notification; raises `CoreError`."""
        ...

    async def dismiss(self, notification_id: str) -> None:
        """Take a notification away; raises `CoreError`."""
        ...


@dataclass(slots=True)
class _Episode:
    """One condition from its begin to its end."""

    since_s: float
    last_s: float
    told: str | None = None
    """The news that was told; `None` before."""


class Notifier:
    """Keeps Home Assistant's notifications equal to what the guard's picture asks for."""

    def __init__(
        self,
        desk: Watched,
        core: Wall,
        *,
        calm_s: float = CALM_S,
        spacing_s: float = SPACING_S,
        monotonic: Callable[[], float] = time.monotonic,
        also: Also = dict,
        also_ids: str | tuple[str, ...] = (),
    ) -> None:
        """
        Prepare; `run` keeps the wall.

        Args:
            desk: the guard.
            core: the wall.
            calm_s: how long a condition has to be over.
            spacing_s: shortest time between two looks.
            monotonic: for tests.
            also: what else belongs there; asked at each look.
            also_ids: how the ids of that begin; one beginning, or several.
        """
        self._desk = desk
        self._core = core
        self._also = also
        self._also_ids = also_ids
        self._calm_s = calm_s
        self._spacing_s = spacing_s
        self._monotonic = monotonic
        self._episodes: dict[str, _Episode] = {}
        self._fresh_link = True
        """Nothing is known yet of what Core shows: it may have restarted."""
        self._leftovers: set[str] = set()
        """On the wall of Core, and put there by nobody in this run."""
        self._wake = asyncio.Event()

    @property
    def raised(self) -> frozenset[str]:
        """The ids of what was told and is not over."""
        return frozenset(key for key, episode in self._episodes.items() if episode.told is not None)

    async def run(self) -> None:
        """Keep the wall right until cancelled; no failure of Core ends it."""
        endings = [
            self._desk.subscribe(self._wake.set),
            self._core.subscribe_link(self._link_changed),
        ]
        try:
            while True:
                try:
                    wait_s = await self._look()
                except CoreError as error:
                    _LOG.debug("Home Assistant's notifications: %s", error)
                    wait_s = RETRY_S
                await self._pause(wait_s)
        finally:
            for end in endings:
                end()

    async def clear(self) -> int:
        """
        Put every notification of ours away, and return how many kinds were asked to go.

        What is still true is not told again before it was over, or Core was restarted.

        Raises:
            CoreError: Home Assistant could not be asked; try again when the link is up.
        """
        for kind in KINDS.values():
            await self._core.dismiss(kind.id)
        self._leftovers.clear()
        for key in self.raised - {kind.id for kind in KINDS.values()}:
            await self._core.dismiss(key)
        for key, wanted in self._wanted().items():
            now_s = self._monotonic()
            episode = self._episodes.setdefault(key, _Episode(now_s, now_s))
            episode.told = wanted.news
        return len(KINDS)

    def _link_changed(self, link: Link) -> None:
        if not link.up:
            self._fresh_link = True
        self._wake.set()

    async def _pause(self, wait_s: float) -> None:
        """Wait until woken or due, and at least as long as two looks are apart."""
        await asyncio.sleep(min(wait_s, self._spacing_s))
        try:
            async with asyncio.timeout(max(0.0, wait_s - self._spacing_s)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _look(self) -> float:
        """Bring the wall up to date; return how long nothing changes by itself."""
        now_s = self._monotonic()
        wanted = self._wanted()
        for key in wanted:
            self._episodes.setdefault(key, _Episode(now_s, now_s)).last_s = now_s
        if not self._core.link.up:
            return RETRY_S
        if self._fresh_link:
            await self._take_stock()
        await self._raise(wanted, now_s)
        await self._take_down(wanted, now_s)
        moving = self._leftovers or set(self._episodes) != (self.raised & set(wanted))
        return self._spacing_s if moving else _LOOK_AGAIN_S

    def _wanted(self) -> dict[str, Notification]:
        return {**due(self._desk.snapshot()), **self._also()}

    async def _take_stock(self) -> None:
        """See what Core shows after a connect; what it has forgotten is told again."""
        there = await self._core.command("persistent_notification/get")
        shown = {str(each.get("notification_id")) for each in there if isinstance(each, Mapping)}
        ours = {kind.id for kind in KINDS.values()}
        ours |= {key for key in shown if key.startswith(self._also_ids)}
        for key, episode in self._episodes.items():
            if key not in shown:
                episode.told = None
        self._leftovers = (shown & ours) - self.raised
        self._fresh_link = False

    async def _raise(self, wanted: Mapping[str, Notification], now_s: float) -> None:
        for key, notification in wanted.items():
            episode = self._episodes[key]
            if episode.told == notification.news or now_s - episode.since_s < notification.after_s:
                continue
            await self._core.notify(key, notification.title, notification.message)
            _LOG.info("notification_raised: %s", key)
            episode.told = notification.news
            self._leftovers.discard(key)

    async def _take_down(self, wanted: Mapping[str, Notification], now_s: float) -> None:
        over = [
            key
            for key, episode in self._episodes.items()
            if key not in wanted and now_s - episode.last_s >= self._calm_s
        ]
        for key in over:
            if self._episodes[key].told is not None:
                await self._core.dismiss(key)
                _LOG.info("notification_dismissed: %s", key)
            del self._episodes[key]
        for key in sorted(self._leftovers - set(wanted)):
            await self._core.dismiss(key)
            self._leftovers.discard(key)
