"""
What was seen of a bridge after an upload, folded into what a verdict needs.

An upload that went well proves nothing: the bootloader takes a bad image back within a minute,
and the bridge then runs the old build as if nothing had happened. So the bridge is watched: that
it left, who came back, since when that one has stayed, what its log says of the boot before, and
whether the entities that the release promises show values. The device's own build string must
stand in the bytes that were sent, where those are at hand: no version number is as telling.

A restart of the agent loses the watch and not the marks, which are journaled as they are made.

Source: esphome.md 7, "How a manager can tell, in order of strength".
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from agent.fleet.contact import ContactState


class Runs(StrEnum):
    """What the bridge runs, measured against the release and what it ran before."""

    NEW = "new"
    OLD = "old"
    SAME = "same"
    """The release is what it ran before: only a reboot tells the two apart."""
    OTHER = "other"
    UNKNOWN = "unknown"


class Mark(StrEnum):
    """Something that was seen once and stays true; journaled as `seen`."""

    LEFT = "left"
    """Its connection ended after the upload: it has rebooted."""
    NEW = "new_build"
    NEW_LEFT = "new_build_left"
    """It ran the new build and went away again."""
    OLD = "old_build_back"
    """It ran the old build after it had left."""
    OTHER = "other_build"
    SAFE_MODE = "safe_mode"
    ROLLBACK_LOGGED = "rollback_logged"
    CRASH_LOGGED = "crash_logged"
    QUICK_RESET_LOGGED = "quick_reset_logged"
    NO_RECOVERY_LOGGED = "no_ota_logged"
    GOOD_BOOT_LOGGED = "good_boot_logged"


SENTENCES = {
    Mark.LEFT: "It left after the upload, as a reboot does.",
    Mark.NEW: "It came back with the new build.",
    Mark.NEW_LEFT: "It ran the new build and went away again.",
    Mark.OLD: "It came back with the old build.",
    Mark.OTHER: "It runs a build that is neither the old nor the new one.",
    Mark.SAFE_MODE: "It was in safe mode: it takes uploads and nothing else.",
    Mark.ROLLBACK_LOGGED: "Its log says that the bootloader took the image back.",
    Mark.CRASH_LOGGED: "Its log says that the boot before ended in a crash.",
    Mark.QUICK_RESET_LOGGED: "Its log says that the boot before ended too soon.",
    Mark.NO_RECOVERY_LOGGED: "Its log says that uploads are impossible; it needs a cable.",
    Mark.GOOD_BOOT_LOGGED: "Its log says that the boot was successful.",
}
LOG_MARKS = (
    ("OTA rollback detected", Mark.ROLLBACK_LOGGED),
    ("CRASH DETECTED ON PREVIOUS BOOT", Mark.CRASH_LOGGED),
    ("Last reset too quick", Mark.QUICK_RESET_LOGGED),
    ("OTA updates are impossible", Mark.NO_RECOVERY_LOGGED),
    ("Boot seems successful", Mark.GOOD_BOOT_LOGGED),
)
"""ESPHome 2026.10, `components/safe_mode` and `components/esp32/crash_handler.cpp`."""


def log_mark(line: str) -> Mark | None:
    """Return what a line of the device's log means for the verdict; the line itself is hostile."""
    return next((mark for text, mark in LOG_MARKS if text in line), None)


@dataclass(frozen=True, slots=True)
class Sight:
    """The bridge at one moment."""

    at_s: float
    """On our monotonic clock, as the other one."""
    state: ContactState
    since_s: float
    """When this connection, or this absence, began."""
    runs: Runs = Runs.UNKNOWN
    """Of the standing connection."""
    told: str = ""
    """What it says it runs, for people."""
    missing: tuple[str, ...] = ()
    """What of the release's health list shows no value."""
    log_read: bool = False
    """Its log is subscribed to on this connection."""

    @property
    def online(self) -> bool:
        """True while the device itself speaks."""
        return self.state is ContactState.ONLINE


@dataclass(frozen=True, slots=True)
class Watch:
    """Everything seen since the upload ended, or since the agent took up the job again."""

    began_s: float
    resumed: bool = False
    """The agent was not there when the upload ended."""
    last: Sight | None = None
    marks: frozenset[Mark] = field(default_factory=frozenset)

    @property
    def since_s(self) -> float:
        """Return since when the build that runs now has been seen without a break."""
        return self.began_s if self.last is None else max(self.began_s, self.last.since_s)


def saw(watch: Watch, sight: Sight) -> Watch:
    """Return the watch after another look at the bridge."""
    before = watch.last
    marks = set(watch.marks)
    # Another connection than the last one: between the two it was away, however shortly.
    ended = before is not None and before.online and sight.since_s > before.since_s
    # A device in an upload answers nobody: one that lets us in anew has come back from somewhere.
    # After a restart of the agent every connection is new and tells nothing.
    back = sight.online and not watch.resumed and sight.since_s > watch.began_s
    if back or (ended and sight.since_s > watch.began_s):
        marks.add(Mark.LEFT)
    if ended and before is not None and before.runs is Runs.NEW:
        marks.add(Mark.NEW_LEFT)
    if sight.state is ContactState.SAFE_MODE:
        marks.add(Mark.SAFE_MODE)
    if sight.online:
        marks |= _told_by(sight, Mark.LEFT in marks)
    return replace(watch, last=sight, marks=frozenset(marks))


def heard(watch: Watch, line: str) -> Watch:
    """Return the watch after a line of the device's log."""
    mark = log_mark(line)
    return watch if mark is None else replace(watch, marks=watch.marks | {mark})


def _told_by(sight: Sight, left: bool) -> set[Mark]:
    if sight.runs is Runs.NEW:
        return {Mark.NEW, Mark.LEFT}  # another program runs: it has booted
    if sight.runs is Runs.OLD and left:
        return {Mark.OLD}
    return {Mark.OTHER} if sight.runs is Runs.OTHER else set()
