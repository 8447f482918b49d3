"""
The two protocols that an adapter to a house fulfils.

A `SiteMeter` tells what the house is doing; a `BatteryActuator` tells its battery what to do.
Adapters carry values and make no decision: whether a value is too old, or a command is wise,
is decided in `export`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from agent.house.alphaess import DispatchBlock
from agent.house.readings import HouseSample, SourceTraits


class WriteStatus(StrEnum):
    """What is known of a command after the attempt to write it; never that it took effect."""

    DELIVERED = "delivered"
    """The last hop we can see accepted it. The registers still have to show it."""
    REFUSED = "refused"
    """It was certainly not carried out, and will not be later."""
    UNCONFIRMED = "unconfirmed"
    """No answer in time: it may have run, or may still run later."""


class WritePart(StrEnum):
    """What of a command could not be written, where the path writes it in parts."""

    DISPATCH = "dispatch"
    """The dispatch itself, or no part can be told apart."""
    POWER = "power"
    """The power that it should have; nothing was started with another one."""


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """The answer to one written command."""

    status: WriteStatus
    detail: str = ""
    """For anything but delivered: what happened and what to do next."""
    part: WritePart = WritePart.DISPATCH
    """For anything but delivered: what failed."""


class SiteMeter(Protocol):
    """Delivers the newest values of the house."""

    @property
    def traits(self) -> SourceTraits:
        """Return what the values of this source can be expected to be."""
        ...

    def sample(self) -> HouseSample:
        """Return the newest value of everything; no I/O, cheap enough to call at any event."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the event loop after each new value; return a function that ends it."""
        ...

    async def run(self) -> None:
        """Keep the connection alive until cancelled; reconnects for ever, never raises for I/O."""
        ...


class BatteryActuator(Protocol):
    """Writes the dispatch block of the inverter."""

    async def write(self, block: DispatchBlock, deadline_s: float) -> WriteOutcome:
        """Write the whole block in one frame; return after `deadline_s` at the latest."""
        ...

    async def refresh(self) -> None:
        """Ask for an early read-back of the dispatch registers; best effort, never raises."""
        ...
