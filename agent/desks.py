"""
What page and MQTT meet instead of the guard itself.

The desk outlives the guard: when the path to the inverter is changed, a new guard takes its
seat and every open page stays connected. It also keeps the last hour in memory for the chart.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from agent.export.guard import Guard
from agent.export.requests import Answer, Request, RequestKind
from agent.export.snapshot import GuardSnapshot, PlanPicture, Reason
from agent.journal import Journal, JournalError
from agent.planning import Planning, PreviewBusyError
from agent.setting_fields import SettingError
from agent.settings import SettingsStore
from agent.surface.desk import HistoryPoint, PlanRefusedError
from agent.surface.web.thinning import thinned

HISTORY_EVERY_S = 5.0
_HISTORY_POINTS = 17_280
"""A day at one point every five seconds."""
_EARLIER_EVERY_S = 60.0
"""What lies before the start is only drawn, and a day of it would take seconds to read in full."""
_log = logging.getLogger(__name__)


class Reception:
    """`GuardDesk`: hands requests to the guard in its seat and pictures to whoever looks."""

    def __init__(self, guard: Guard, journal: Journal, planning: Planning | None = None) -> None:
        self._journal = journal
        self._planning = planning
        self._wakes: list[Callable[[], None]] = []
        self._history: deque[HistoryPoint] = deque(maxlen=_HISTORY_POINTS)
        self._notices: dict[str, tuple[Reason, ...]] = {}
        self._guard = guard
        self._end = guard.subscribe(self._looked)

    def seat(self, guard: Guard) -> None:
        """Let another guard answer from now on."""
        self._end()
        self._guard = guard
        self._end = guard.subscribe(self._looked)

    def wake(self) -> None:
        """Have the house looked at now; something outside it has changed."""
        self._guard.wake()

    def snapshot(self) -> GuardSnapshot:
        """Return the newest picture, with the plan."""
        picture = self.bare()
        return picture if self._planning is None else self._planning.adorn(picture)

    def bare(self) -> GuardSnapshot:
        """Return the newest picture without the plan."""
        picture = self._guard.snapshot()
        notices = [reason for reasons in self._notices.values() for reason in reasons]
        if not notices:
            return picture
        return replace(picture, problems=(*picture.problems, *notices))

    def notice(self, problems: tuple[Reason, ...], about: str = "ids") -> None:
        """Show these beside the guard's own problems, in place of what was said `about` it."""
        if self._notices.get(about, ()) != problems:
            self._notices[about] = problems
            self.wake()

    def request(self, request: Request) -> Answer:
        """Hand in a wish."""
        if request.kind is RequestKind.CALCULATE and self._planning is not None:
            self._planning.calculate()
        return self._guard.request(request)

    async def preview(self, changes: Mapping[str, object]) -> PlanPicture:
        """Return what would be planned if this were otherwise; nothing of it stays."""
        if self._planning is None:
            raise PlanRefusedError("not_here", "Nothing plans here.")
        try:
            return await self._planning.preview(self, changes)
        except SettingError as error:
            raise PlanRefusedError("invalid", str(error)) from error
        except PreviewBusyError:
            text = "Another preview is being made; try again in a second."
            raise PlanRefusedError("busy", text) from None

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` after every look; return a function that ends it."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake) if wake in self._wakes else None

    def history(self, seconds: float) -> list[HistoryPoint]:
        """Return the last `seconds`, oldest first."""
        if not self._history:
            return []
        since = self._history[-1].at - seconds
        return [point for point in self._history if point.at >= since]

    def healthy(self) -> tuple[bool, str]:
        """Tell whether loop and journal are alive."""
        return self._guard.healthy()

    def remember(self) -> None:
        """Note one point of the history; called every five seconds."""
        picture = self._guard.snapshot()
        power, energy = picture.power, picture.energy
        point = HistoryPoint(
            at=picture.at.timestamp(),
            grid_w=power.grid_w,
            battery_w=power.battery_w,
            pv_w=power.pv_w,
            load_w=power.load_w,
            limit_w=power.limit_w,
            commanded_w=power.commanded_w,
            soc_percent=picture.soc_percent,
            exported_wh=energy.exported_wh,
            allowance_wh=energy.allowance_wh,
        )
        self._history.append(point)
        self._journal.note_sample(point)

    def recall(self, points: list[HistoryPoint]) -> None:
        """Fill the chart with what the journal still has."""
        self._history.extend(points)

    async def recall_day(self, now: datetime) -> None:
        """Fill in what is older than that, a point a minute, as charts of the day show it."""
        known = self._history[0].at if self._history else now.timestamp()
        until, earlier = datetime.fromtimestamp(known, now.tzinfo), list[HistoryPoint]()
        try:
            async for block in self._journal.sample_blocks(until - timedelta(days=1), until):
                earlier += thinned(block, _EARLIER_EVERY_S)
        except JournalError as error:
            _log.warning("The day's history is not complete: %s", error)
        self._history.extendleft(sorted(earlier, key=lambda point: -point.at))

    def _looked(self) -> None:
        for wake in tuple(self._wakes):
            wake()


class SettingsCounter:
    """`SettingsDesk` over the settings store."""

    def __init__(self, store: SettingsStore, changed: Callable[[], None]) -> None:
        self._store = store
        self._changed = changed

    def current(self) -> dict[str, Any]:
        """Return every setting by its key."""
        return self._store.values()

    def describe(self) -> list[dict[str, Any]]:
        """Return what each setting is."""
        return self._store.describe()

    async def update(self, changes: Mapping[str, Any], by: str) -> dict[str, Any]:
        """Change settings together; raises `SettingError` and changes nothing."""
        await self._store.update(changes, by)
        self._changed()
        return self._store.values()
