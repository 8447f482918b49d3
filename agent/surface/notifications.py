"""
What Home Assistant calls a person for on our behalf: raised with a need, gone when it is over.

Which notifications belong on the wall is a function of the guard's picture, so none can be
forgotten there. A loop compares that with what was told: each is told once, not again while it
stands, and a person who puts one away is not nagged. A restart of Core forgets them all, so what
is still true then is told again. The agent guards the same with nobody to tell.

Ids and titles of the first five are those of the production guide; export_monitor.md section 1.7.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agent.export.snapshot import ErrorState, GuardSnapshot, Mode, Reason
from agent.homeassistant.errors import CoreError
from agent.homeassistant.link import Link

ID_PREFIX = "export_monitor_"
TITLE_PREFIX = "⚠️ Export Monitor: "
PATIENCE_S = 30.0
"""A lost input that stops nothing is told when it stays lost: at a start every input is."""
CALM_S = 5.0
"""A condition has to be over this long before its notification is taken away."""
RETRY_S = 5.0
SPACING_S = 1.0
"""Shortest time between two looks; the guard looks several times a second."""
LONGEST_TEXT = 600
_LOOK_AGAIN_S = 60.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """One notification that there can be: its id, its title and what a person should do."""

    suffix: str
    title: str
    next_step: str

    @property
    def id(self) -> str:
        """The id in Home Assistant."""
        return ID_PREFIX + self.suffix


KINDS = {
    kind.suffix: kind
    for kind in (
        Kind(
            "soc_read_failed",
            "SOC Sensor Failed",
            "Check that the inverter is online and that the entity of the state of charge shows a "
            "number from 0 to 100 %. Discharge cannot start before.",
        ),
        Kind(
            "stale_data",
            "Stale Data Detected",
            "Check the inverter's Modbus connection and Home Assistant's load. Nothing is started "
            "on old values.",
        ),
        Kind(
            "discharge_power_failed",
            "Discharge Power Set Failed",
            "Check that the power entity is available and takes the wanted power; start again.",
        ),
        Kind(
            "discharge_start_failed",
            "Discharge Start Failed",
            "Check the Modbus connection to the inverter (`doctor` does it for you), then start "
            "again. Nothing is retried by itself.",
        ),
        Kind(
            "discharge_stop_failed",
            "Discharge Stop Failed (CRITICAL)",
            "Look at the battery now. If it still discharges, stop it in the inverter's own app. "
            "The inverter ends a dispatch of this agent by its own timer.",
        ),
        Kind(
            "lost_input",
            "Input Lost",
            "Look at the inputs on the agent's page and repair the source. A discharge that was "
            "stopped goes on by itself when all inputs are good again.",
        ),
        Kind(
            "over_export",
            "Over-Export",
            "More was exported than the day allows. Look at the journal, raise the safety margin "
            "if it was too small, then press Acknowledge.",
        ),
        Kind(
            "foreign_controller",
            "Another Controller Runs the Battery",
            "Find the app, automation or integration that commands the battery and switch it off "
            "(`doctor` lists the known ones). If a safety stop waits, press Acknowledge.",
        ),
        Kind(
            "verification_failed",
            "Inverter Does Not Follow",
            "The inverter did not show what was commanded. Look at the battery, check the Modbus "
            "connection and run the commissioning test before the next start.",
        ),
        Kind(
            "target_is_zero",
            "Target Export Is Zero",
            "Set the target export, for example to 3000 W; at 0 W there is nothing to discharge "
            "for, and every start is refused.",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification that belongs on the wall now."""

    kind: Kind
    message: str
    news: str = ""
    """Told again only when this changes; ages in the text change all the time."""
    after_s: float = 0.0
    """How long the condition has to hold before it is worth a person's attention."""

    @property
    def title(self) -> str:
        """The title as Home Assistant shows it."""
        return TITLE_PREFIX + self.kind.title


_INPUT_ERRORS = frozenset(
    {
        ErrorState.SOC_READ_FAILED,
        ErrorState.STALE_DATA,
        ErrorState.NO_DATA,
        ErrorState.LOST_INPUT,
    }
)
"""One of these says already which input is lost."""
_UNVERIFIED = frozenset({"start_unverified", "no_effect", "stop_unverified", "timer_ignored"})
_OF_ERROR = {
    ErrorState.SOC_READ_FAILED: "soc_read_failed",
    ErrorState.STALE_DATA: "stale_data",
    ErrorState.NO_DATA: "lost_input",
    ErrorState.DISCHARGE_POWER_SET_FAILED: "discharge_power_failed",
    ErrorState.DISCHARGE_START_FAILED: "discharge_start_failed",
    ErrorState.DISCHARGE_STOP_FAILED: "discharge_stop_failed",
    ErrorState.LOST_INPUT: "lost_input",
    ErrorState.FOREIGN_CONTROLLER: "foreign_controller",
    ErrorState.OVER_EXPORT: "over_export",
}
_INPUTS = (
    "link_down",
    "grid_power_",
    "battery_power_",
    "soc_",
    "exported_",
    "produced_",
    "dispatch_",
)
_STILL_GOOD = "grid_power_late"


def due(picture: GuardSnapshot) -> dict[str, Notification]:
    """Return every notification whose condition holds in this picture, by its id."""
    wanted: dict[str, Notification] = {}

    def want(suffix: str, reason: Reason | None, news: str = "", after_s: float = 0.0) -> None:
        kind = KINDS[suffix]
        if kind.id not in wanted:
            wanted[kind.id] = Notification(kind, _message(kind, reason), news, after_s)

    error = picture.error_state
    error_reason = picture.problems[0] if picture.problems else None
    if error is not ErrorState.NONE:
        want(_OF_ERROR[error], error_reason, error_reason.code if error_reason else error.value)
        if error_reason is not None and error_reason.code in _UNVERIFIED:
            want("verification_failed", error_reason, error_reason.code)
    if picture.energy.breach and picture.latched:
        want("over_export", _of_code((picture.reason, *picture.problems), "over_export"))
    if foreign := _of_code(picture.problems, "foreign_dispatch", "foreign_controller"):
        want("foreign_controller", foreign, foreign.code)
    for lost in () if error in _INPUT_ERRORS else picture.problems:
        if lost.code.startswith(_INPUTS) and lost.code != _STILL_GOOD:
            want(_suffix_of(lost), lost, after_s=PATIENCE_S)
    zero = _of_code((picture.reason, *picture.blockers), "target_is_zero")
    if zero and picture.mode is Mode.CONTROL and picture.commissioning.passed:
        want("target_is_zero", zero)
    return wanted


def _suffix_of(lost: Reason) -> str:
    if lost.code.startswith("soc_"):
        return "soc_read_failed"
    if lost.code.endswith(("_stale", "_frozen")):
        return "stale_data"
    return "lost_input"


def _of_code(reasons: tuple[Reason, ...], *codes: str) -> Reason | None:
    return next((reason for reason in reasons if reason.code in codes), None)


def _message(kind: Kind, reason: Reason | None) -> str:
    what = f"{plain(reason.text)}\n\n" if reason is not None else ""
    return f"{what}**Next:** {kind.next_step}"


_MARKDOWN = re.compile(r"([\\`*\[\]<>#~|!])")


def plain(text: str) -> str:
    """Return outside text so that Home Assistant's Markdown shows it and does nothing else."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    cut = line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}…"
    return _MARKDOWN.sub(r"\\\1", cut)


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
    ) -> None:
        self._desk = desk
        self._core = core
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
        for key, wanted in due(self._desk.snapshot()).items():
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
        wanted = due(self._desk.snapshot())
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

    async def _take_stock(self) -> None:
        """See what Core shows after a connect; what it has forgotten is told again."""
        there = await self._core.command("persistent_notification/get")
        shown = {str(each.get("notification_id")) for each in there if isinstance(each, Mapping)}
        ours = {kind.id for kind in KINDS.values()}
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
