"""What the surface asks of those who look after bridges on cables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from agent.surface.cable_shown import CablesView
from agent.surface.desk import FlashAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class CableWish:
    """A release for the bridge on a port, as a person asks for it; texts as they came."""

    port: str
    mac: str = ""
    """Of the chip that the person was shown."""
    channel: str = ""
    project: str = ""
    version: str = ""
    digest: str = ""
    """Of the image that was checked; a write of another one is refused."""
    reason: str = ""
    acks: tuple[str, ...] = ()
    erase_settings: bool = False
    typed: str = ""
    """The MAC, typed by whoever wants settings erased."""
    backup: str = "quick"
    keep_backup: bool = False
    insist: bool = False
    """What looks like a radio stick, or is in use, is a bridge all the same."""


class RecoveryDesk(Protocol):
    """Bridges on cables, as the page meets them; each wish ends in words."""

    def shown(self) -> CablesView:
        """Return everything that the page shows, in JSON's words."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the event loop when it may have changed; the result ends it."""
        ...

    async def identify(self, port: str, by: str, *, insist: bool) -> FlashAnswer:
        """Begin to ask the chip on a port who it is; nothing on it is changed."""
        ...

    async def check(self, wish: CableWish, by: str) -> dict[str, Any]:
        """
        Ask the policy about a release for that chip; nothing is written.

        Returns:
            `accepted`, `code`, `text` (the question to confirm, or why not), `refusals`, `digest`.
        """
        ...

    async def write(self, wish: CableWish, by: str) -> FlashAnswer:
        """Write what was checked and confirmed."""
        ...

    async def cancel(self, job: str, by: str, *, insist: bool) -> FlashAnswer:
        """End a job; one that writes only if the person insists."""
        ...

    def log(self, job: str) -> str | None:
        """Return what was said during a job, without secrets; `None` if nobody knows any more."""
        ...
