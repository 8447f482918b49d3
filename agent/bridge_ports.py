"""What the work on bridges asks of releases and of updates, in the smallest words that do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from agent.fleet.identity import Mac
from agent.fleet.operations import Operation
from agent.fleet.record import BridgeRecord
from agent.surface.flash_view import FlashView
from agent.surface.release_view import BridgeOffer, TrustView


class Releases(Protocol):
    """What is known of releases; `ReleaseService` is one."""

    @property
    def trust(self) -> TrustView:
        """What is known of all sources."""
        ...

    def offer(self, record: BridgeRecord) -> BridgeOffer:
        """Return what one bridge is offered."""
        ...

    def offers(self) -> Mapping[Mac, BridgeOffer]:
        """Return what each bridge is offered."""
        ...


class Flashes(Protocol):
    """What is known of updates; `FlashDesk` is one."""

    @property
    def on_trial(self) -> frozenset[Mac]:
        """Bridges that must not be restarted."""
        ...

    def busy(self, mac: Mac) -> str | None:
        """Return who flashes a bridge now, `None` if nobody does."""
        ...

    def view(self) -> FlashView:
        """Return what entities show."""
        ...

    def press(self, target: Mac | None, by: str, start: Callable[[Any], object]) -> Operation:
        """Install what a bridge is offered."""
        ...
