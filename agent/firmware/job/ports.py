"""
What a job needs of the rest of the house, each as a small protocol.

The composition binds them: the guard, the gates with the policy, the store of images, the uploader
and the connections to the bridges. An adapter carries and says what it found; whether a job goes
on is decided in `step.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.firmware.job.cable_models import Trouble
from agent.firmware.job.models import BuildId, Check, FileWord, ReleaseRef, Request, UploadEnd
from agent.firmware.serial.boot_log import BootReport
from agent.firmware.serial.models import FlashPlan, Progress, SerialDevice
from agent.fleet.contact import ContactState
from agent.fleet.identity import Mac

Told = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


class SafeMoment(Protocol):
    """The guard's word on when a bridge may go away."""

    async def hold(self, mac: Mac) -> str:
        """
        Ask the guard to let go of the bridge; return "" once it has, else why it has not yet.

        From then on the guard treats the bridge as gone, until `release`. Asking again is free.
        """

    def release(self, mac: Mac) -> None:
        """Give the bridge back; also of one that was never held."""


class Checks(Protocol):
    """Gates and policy for one bridge and one digest, evaluated now."""

    async def check(self, request: Request) -> Check:
        """Return what speaks against it at this moment, and what the bridge runs."""


class Images(Protocol):
    """The store of images."""

    async def fetch(self, release: ReleaseRef, told: Told) -> FileWord:
        """Have the image in the store; free if it is there. Works offline then."""

    async def verify(self, request: Request) -> FileWord:
        """Hash the bytes, read what they say of themselves, and ask the policy with that."""

    async def contains(self, release: ReleaseRef, text: str) -> bool | None:
        """Return whether the image has this text in its bytes; `None` without the image."""


class Uploader(Protocol):
    """The way of the bytes to the bridge."""

    async def upload(self, request: Request, told: Told) -> UploadEnd:
        """
        Send the image once, to the address at which this MAC was last seen by itself.

        Never raises for what bridge or network do; never tries again after the last block.
        """


@dataclass(frozen=True, slots=True)
class Seen:
    """What a connection says of its bridge at one moment."""

    state: ContactState
    since_s: float
    """Since when, on our monotonic clock."""
    build: BuildId | None = None
    """By itself, on this connection; `None` without one."""
    shows: frozenset[str] = frozenset()
    """Entities by domain and object id that show a value now."""
    log_read: bool = False
    """Its log is subscribed to on this connection."""


class Watching(Protocol):
    """One bridge that is being watched."""

    def look(self) -> Seen:
        """Return how it stands now."""

    def end(self) -> None:
        """Watch it no more."""


class Watcher(Protocol):
    """The connection to a bridge, as it comes and goes."""

    def watch(
        self, mac: Mac, tell: Callable[[Seen], None], hear: Callable[[str], None]
    ) -> Watching:
        """
        Tell how it stands after every change, and each line of its log.

        The log is asked for with the configuration dump: that is where safe mode says its part.
        """


Hear = Callable[[Progress], None]


class Cable(Protocol):
    """
    The way over the cable; every method but `forget` may take minutes.

    Whatever they are cancelled in, the port is free when they end.
    """

    looks: bool
    """Somebody can see whether a bridge is on the network."""

    async def identify(self, request: Request, hear: Hear) -> SerialDevice:
        """
        Return what is on the port; nothing on it is changed.

        Raises:
            SerialError: nothing answers.
        """

    async def plan(self, request: Request, device: SerialDevice) -> FlashPlan | Trouble:
        """
        Ask policy and guards about this chip; return how it would be written, or why not.

        Raises:
            SerialError: the guards say no.
        """

    async def holds(self, request: Request, plan: FlashPlan, hear: Hear) -> bool:
        """Return whether all of the plan is on the flash already; False where it cannot be told."""

    async def backup(self, request: Request, device: SerialDevice, hear: Hear) -> None:
        """
        Copy what the request says into a file that nobody else may read.

        Raises:
            SerialError: it cannot be read or not be kept.
        """

    async def write(self, request: Request, plan: FlashPlan, hear: Hear) -> None:
        """
        Carry the plan out.

        Raises:
            SerialError: it failed; `touched` says whether the bridge needs flashing.
        """

    async def verify(self, request: Request, plan: FlashPlan, hear: Hear) -> None:
        """
        Compare the flash with the image after a fresh start.

        Raises:
            SerialError: it differs, or cannot be asked.
        """

    async def observe(self, request: Request, hear: Hear) -> BootReport:
        """
        Start the bridge and hear how that goes.

        Raises:
            SerialError: the port is not to be had.
        """

    async def restart(self, request: Request) -> None:
        """Let the bridge start its program again, if that can be done."""

    def forget(self, request: Request) -> None:
        """Delete the copy of the bridge, which holds secrets."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All of them."""

    moment: SafeMoment
    checks: Checks
    images: Images
    uploader: Uploader
    watcher: Watcher
    cable: Cable | None = None
    """`None` where there are no serial ports."""
