"""
What a bridge does with an image after it was committed: run it, crash, come back with the old one.

The rules are those of ESP-IDF's bootloader and ESPHome's safe mode. A new image is on trial until
it has run for a while or restarted in order; dying on trial brings the other slot back, if the
bootloader can. An image that keeps dying ends in safe mode, which takes uploads and nothing else.

Source: esphome.md, sections 3 and 7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Fate(StrEnum):
    """How an image does once it is started."""

    GOOD = "good"
    NEVER_UP = "never_up"
    """Dies before its API listens."""
    CRASHES = "crashes"
    """Comes up, reports its version and dies on trial."""
    HANGS = "hangs"
    """Comes up, then stands still until the watchdog."""


class Cause(StrEnum):
    """Why a bridge starts, in ESPHome's words for the reset reason."""

    POWER = "power-on event"
    RESTART = "Reboot request from button"
    OTA = "Reboot request from esphome.ota"
    CRASH = "exception/panic"
    WATCHDOG = "task watchdog"


ORDERLY = frozenset({Cause.RESTART, Cause.OTA})


@dataclass(frozen=True, slots=True)
class Image:
    """One firmware."""

    sha256: str
    version: str = ""
    fate: Fate = Fate.GOOD


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one bridge; a test shrinks them all alike."""

    closes_s: float = 0.11
    """From the last answer of an upload to the restart."""
    boots_s: float = 0.5
    fails_after_s: float = 3.0
    """How long a crashing or hanging image is up."""
    watchdog_s: float = 20.0
    good_after_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Flash:
    """Both slots and what the bridge remembers of its starts."""

    running: Image
    other: Image | None = None
    on_trial: bool = False
    rollback: bool = True
    """The bootloader was built with rollback: not on bridges first flashed before 2026.1."""
    bad_boots: int = 0
    """In a row; ten of them end in safe mode."""
    safe_mode: bool = False
    boots: int = 0
    reset_reason: Cause = Cause.POWER
    rolled_back: bool = False
    """The last start brought the other slot back."""


BAD_BOOTS = 10


def confirmed(flash: Flash) -> Flash:
    """Return the flash after the running image has shown that it is good."""
    return replace(flash, on_trial=False, bad_boots=0)


def started(flash: Flash, cause: Cause, uploaded: Image | None = None) -> Flash:
    """
    Return the flash after the next start.

    Args:
        cause: why it starts.
        uploaded: an image that was committed since the last start; what ran is then in the other
            slot.
    """
    flash = replace(flash, boots=flash.boots + 1, reset_reason=cause, rolled_back=False)
    if uploaded is not None:
        fresh = replace(flash, running=uploaded, other=flash.running, on_trial=True)
        return replace(fresh, bad_boots=0, safe_mode=False)
    if cause in ORDERLY:
        return replace(confirmed(flash), safe_mode=False)
    if flash.on_trial and flash.rollback and flash.other is not None:
        back = replace(flash, running=flash.other, other=flash.running, rolled_back=True)
        return replace(confirmed(back), safe_mode=False)
    bad_boots = flash.bad_boots + 1
    return replace(flash, bad_boots=bad_boots, safe_mode=bad_boots >= BAD_BOOTS)
