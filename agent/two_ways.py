"""
Looks at both ways to the inverter while the guard commands through one of them.

Every two seconds: whether the way in use is there and whether the other one is, which decides
`failover`; and whether both tell the same, which decides `cross_check`. What follows is shown to a
person, or has another house built.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from agent.desks import Reception
from agent.export import cross_check
from agent.export.failover import Ways, there, watched
from agent.export.guard import Guard
from agent.houses import House
from agent.settings import Settings

LOOK_S = 2.0
LOG = logging.getLogger(__name__)


class TwoWays:
    """Knows which way is in use."""

    def __init__(
        self,
        settings: Settings,
        monotonic: Callable[[], float] = time.monotonic,
        leaves: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        Begin with the wanted way.

        Args:
            settings: which ways there are.
            monotonic: our clock, in seconds.
            leaves: whether the bridge is about to be taken away for an update.
        """
        self._monotonic = monotonic
        self._leaves = leaves
        self._ways = Ways(settings.paths, settings.path)

    @property
    def in_use(self) -> str:
        """The path that commands take."""
        return self._ways.in_use

    def choose(self, settings: Settings) -> None:
        """Begin with the wanted way: a person has chosen anew."""
        self._ways = Ways(settings.paths, settings.path)

    async def run(self, house: House, guard: Guard, desk: Reception, change: asyncio.Event) -> None:
        """Look until cancelled; sets `change` when another way is to be used."""
        other = house.other
        if other is None:
            desk.notice((), "ways")
            return
        watch: cross_check.Watch = {}
        while True:
            now_s = self._monotonic()
            own_sample, other_sample = house.meter.sample(), other.sample()
            watch = cross_check.compared(watch, own_sample, other_sample, now_s)
            before = self._ways
            self._ways = watched(
                before,
                now_s,
                up=there(own_sample, now_s),
                other_up=there(other_sample, now_s),
                busy=guard.busy,
                leaves=before.in_use == "bridge" and self._leaves(),
            )
            problems = cross_check.disagreements(watch, now_s)
            desk.notice((*self._ways.problems(), *problems), "ways")
            if self._ways.in_use != before.in_use:
                LOG.warning("path: from %s to %s", before.in_use, self._ways.in_use)
                change.set()
            await asyncio.sleep(LOOK_S)
