"""
What the surface asks of the rooms below, in the smallest words that do.

Page and MQTT never meet the guard itself: they look at pictures, hand in wishes and wait to be
woken. So they can be tried with a desk made by hand, and cannot decide anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from agent.compliance import DayReport
from agent.export.requests import Answer, Request
from agent.export.snapshot import GuardSnapshot, PlanPicture
from agent.fleet.identity import Mac
from agent.fleet.operations import Op, Operation
from agent.journal import Event, Sample
from agent.surface.fleet_view import FleetView
from agent.surface.shown import BuildShown, FlashingView, ReleasesView, VerdictView

HistoryPoint = Sample
"""One moment of the chart: the very row that the journal keeps."""


class GuardDesk(Protocol):
    """The guard, as seen from outside. Everything answers at once and from memory."""

    def snapshot(self) -> GuardSnapshot:
        """Return the newest picture."""
        ...

    def request(self, request: Request) -> Answer:
        """Hand in a wish; the answer says whether it was taken, the snapshots what became of it."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the event loop after every new snapshot; the result ends it."""
        ...

    def history(self, seconds: float) -> list[HistoryPoint]:
        """Return the last `seconds`, oldest first, at most 5 s apart."""
        ...

    def healthy(self) -> tuple[bool, str]:
        """Tell whether loop and journal are alive, and in words what is wrong if not."""
        ...


class PlanRefusedError(Exception):
    """There is no such preview; the text says why and what to do."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class PlanDesk(Protocol):
    """The planner, as seen from outside."""

    async def preview(self, changes: Mapping[str, object]) -> PlanPicture:
        """
        Return what would be planned if this were otherwise; nothing of it stays.

        Raises:
            PlanRefusedError: a change cannot be, or another preview is being made.
        """
        ...


class BridgesDesk(Protocol):
    """The bridges, as seen from outside."""

    def shown(self) -> list[dict[str, Any]]:
        """Return one line per bridge in JSON's words: the fields of `BridgeView`, and `keys`."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the event loop when the list may have changed; the result ends it."""
        ...

    async def forget(self, mac: str) -> None:
        """Remove a bridge from the list; raises `ValueError` when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """What a person hands in: files' texts, and what he chose where they do not say it."""

    configuration: str | None = None
    """A device's own file."""
    secrets: str | None = None
    """The `secrets.yaml` beside it, or alone."""
    mac: str | None = None
    name: str | None = None
    """Of the secret in a `secrets.yaml` that is the key."""


class KeysDesk(Protocol):
    """Where secrets of bridges come in."""

    async def enter_key(self, mac: str, key: str) -> None:
        """
        Take the encryption key of a bridge.

        Raises:
            ValueError: it cannot be one; the text says why and does not repeat it.
            OSError: it could not be stored; nothing was changed.
        """
        ...

    async def ask_key(self, mac: str, by: str) -> None:
        """Ask Home Assistant for the key, because that person has said so; raises the same."""
        ...

    async def upload(self, it: Upload) -> dict[str, Any]:
        """
        Take the secrets that files of ESPHome hold; raises the same.

        Returns:
            `text`, and `stored` with the MAC; or `bridges`, and maybe `names`, to choose from.
        """
        ...


class WorkDesk(Protocol):
    """What can be asked of a bridge."""

    def verdicts(self) -> dict[str, VerdictView]:
        """Return the newest verdict of each bridge by its MAC, in JSON's words."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the event loop when there may be another verdict; the result ends it."""
        ...

    async def ask(self, op: Op, mac: str | None, by: str) -> Operation:
        """Ask for something, and wait for what becomes of it; a refusal is a record too."""
        ...


@dataclass(frozen=True, slots=True)
class BridgeDesks:
    """All desks of the bridges."""

    bridges: BridgesDesk
    keys: KeysDesk
    work: WorkDesk


@dataclass(frozen=True, slots=True)
class NewSource:
    """A publisher that a person wants to trust beside that of the app."""

    name: str
    mirror: str
    """Base address, https."""
    fingerprint: str
    """SHA-256 of its first root, as the publisher told it by another way."""
    channel: str
    """Of its own, `x-acme`; or one of the app's publisher, where both then have to sign."""


class ReleasesDesk(Protocol):
    """What is known of firmware releases; whatever is refused raises `ValueError` in words."""

    def shown(self) -> ReleasesView:
        """Return everything that the page shows, in JSON's words."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the event loop when it may have changed; the result ends it."""
        ...

    async def look(self, by: str) -> str:
        """Look at every source again, and say in a sentence what became of it."""
        ...

    async def take_bundle(self, archive: bytes, by: str) -> str:
        """Take signed documents that a person brings, and look; raises `OSError` too."""
        ...

    async def show_build(self, file: bytes, by: str) -> BuildShown:
        """Return what a firmware file says of itself; it is kept until it is accepted."""
        ...

    async def accept_build(self, sha256: str, by: str) -> str:
        """Accept a file that was shown as the house's own build; raises `OSError` too."""
        ...

    async def add_source(self, wanted: NewSource, by: str) -> str:
        """Trust another publisher from now on, if his root is the one that was confirmed."""
        ...

    async def remove_source(self, name: str, by: str) -> str:
        """Trust that publisher no more."""
        ...

    async def choose_channel(self, mac: str | None, channel: str | None, by: str) -> str:
        """
        Choose the channel of one bridge, or without a MAC of all that have none of their own.

        Without a channel the bridge has that of the rest again.
        """
        ...


class FlashAnswer(Protocol):
    """What became of a wish about updates."""

    @property
    def accepted(self) -> bool:
        """Whether it was taken."""
        ...

    @property
    def code(self) -> str:
        """Return a word that stays."""
        ...

    @property
    def text(self) -> str:
        """Return a sentence, and what to do."""
        ...

    @property
    def job(self) -> str:
        """Return the name of the job or the campaign; "" where there is none."""
        ...

    @property
    def missing(self) -> tuple[str, ...]:
        """Return what a person would have to accept, by name."""
        ...


class FlashingDesk(Protocol):
    """Updates of bridges, as the page meets them; each wish ends in words."""

    def shown(self) -> FlashingView:
        """Return everything that the page shows, in JSON's words."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the event loop when it may have changed; the result ends it."""
        ...

    async def install(
        self, mac: str | None, version: str | None, acks: Iterable[str], by: str, *, own: bool
    ) -> FlashAnswer:
        """Install what a bridge is offered, or an own build."""
        ...

    async def go_back(self, mac: str | None, acks: Iterable[str], by: str) -> FlashAnswer:
        """Put back what was confirmed on a bridge before."""
        ...

    async def cancel(self, job: str, by: str) -> FlashAnswer:
        """End a job that has not begun to send."""
        ...

    async def plan(
        self, macs: Iterable[str], acks: Iterable[str], by: str, canaries: Iterable[str]
    ) -> FlashAnswer:
        """Update many bridges in stages."""
        ...

    async def steer(self, campaign: str, what: str, by: str) -> FlashAnswer:
        """Pause, resume or abort the update of many."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events of the journal somebody wants to see: the newest of a half-open span."""

    kinds: tuple[str, ...] | None = None
    """All, where it is `None`."""
    since: datetime | None = None
    until: datetime | None = None
    before_id: int | None = None
    limit: int = 100


class RecordsDesk(Protocol):
    """What was recorded, and how the entities stand for the house."""

    async def events(self, wanted: Wanted) -> list[Event]:
        """Return events, newest first; raises `JournalError`."""
        ...

    async def report(self, days: int) -> list[DayReport]:
        """Return the last days, today included, oldest first; raises `JournalError`."""
        ...

    def entities(self) -> dict[str, Any]:
        """Return `entities`, each an `EntityCheck`, and `findings` in words."""
        ...


class FleetDesk(Protocol):
    """The bridges, as Home Assistant's entities show them. Everything answers at once."""

    def view(self) -> FleetView:
        """Return everything that entities show, now."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the event loop when the view may have changed; the result ends it."""
        ...

    def press(self, op: Op, by: str) -> Operation:
        """Ask for something about the chosen bridge."""
        ...

    def install(self, target: Mac, by: str) -> Operation:
        """Install what a bridge is offered, if Home Assistant may ask for that."""
        ...

    def choose(self, option: str, by: str) -> None:
        """Choose the bridge with that label; a refusal is in the view."""
        ...


class SettingsDesk(Protocol):
    """The settings, as seen from outside."""

    def current(self) -> dict[str, Any]:
        """Return every setting by its key."""
        ...

    def describe(self) -> list[dict[str, Any]]:
        """Return key, unit, range, default and sentence of every setting."""
        ...

    async def update(self, changes: Mapping[str, Any], by: str) -> dict[str, Any]:
        """
        Change settings together and return all of them as they are now.

        Raises:
            SettingError: a change is not possible; nothing was changed.
        """
        ...
