"""
What `flash ota` is asked, and how it ends.

Each verdict has an exit code of its own, so that a script never has to read sentences. The codes
are a promise: docs/flash.md has the same table, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from agent.firmware.job.models import JobState, Result, Way
from agent.firmware.policy.models import Ack
from agent.fleet.identity import Mac


class Exit(IntEnum):
    """How the command ends."""

    CONFIRMED = 0
    FAILED = 1
    USAGE = 2
    BUSY = 3
    REFUSED = 4
    UNCHANGED = 5
    ROLLED_BACK = 6
    LOST = 7
    AMBIGUOUS = 8
    CANCELLED = 9
    NEEDS_FLASHING = 10
    LEFT = 130


MEANS = {
    Exit.CONFIRMED: "the new firmware runs and held through its trial",
    Exit.FAILED: "a fault of the agent or of its disk; the text says what to look at",
    Exit.USAGE: "the command is wrong, or a file it names cannot be used; nothing was done",
    Exit.BUSY: "another agent owns the data directory; nothing was done",
    Exit.REFUSED: "gates, policy, signatures, password or key said no; the bridge is unchanged",
    Exit.UNCHANGED: "the bridge runs what it ran: the network failed, or it took no image",
    Exit.ROLLED_BACK: "the bridge took the image, which did not hold, and runs the old one again",
    Exit.LOST: "the bridge does not answer since the upload",
    Exit.AMBIGUOUS: "the bridge answers, and what was seen proves neither success nor failure",
    Exit.CANCELLED: "Ctrl-C ended it in time; the bridge is unchanged",
    Exit.LEFT: "a second Ctrl-C left it without a verdict; ask again to learn what became of it",
}
"""For the help and the docs."""
MEANS_CABLE = {
    Exit.CONFIRMED: "the release is on its flash and the bridge runs, or it was there already",
    Exit.FAILED: MEANS[Exit.FAILED],
    Exit.USAGE: "the command is wrong, or more than one port could be meant; nothing was done",
    Exit.BUSY: MEANS[Exit.BUSY],
    Exit.REFUSED: "policy, signatures, the chip's locks or you said no; the bridge is unchanged",
    Exit.UNCHANGED: "port, cable or bridge did not answer; nothing was written",
    Exit.AMBIGUOUS: "the release was written, and the bridge was not seen to be well",
    Exit.CANCELLED: "Ctrl-C ended it before anything was written; the bridge is unchanged",
    Exit.NEEDS_FLASHING: "a write broke off, or what is on the bridge does not start: write again",
    Exit.LEFT: "a second Ctrl-C left it without a verdict; the release is written, ask again",
}
"""For `flash serial` and `flash identify`."""
OF_RESULT = {
    Result.CONFIRMED: Exit.CONFIRMED,
    Result.ROLLED_BACK: Exit.ROLLED_BACK,
    Result.UNCHANGED: Exit.UNCHANGED,
    Result.LOST: Exit.LOST,
    Result.AMBIGUOUS: Exit.AMBIGUOUS,
}


@dataclass(frozen=True, slots=True)
class Given:
    """Secrets of the bridge that were handed over with the command."""

    api_key: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    allow_md5: bool = False
    allow_plaintext: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashWish:
    """One flash as it was asked for."""

    host: str
    release: str
    """`project@version`, a version, or the path of a file."""
    data: Path
    by: str
    api_port: int = 6053
    upload_port: int = 3232
    source: str = ""
    channel: str = ""
    bundle: Path | None = None
    images: tuple[Path, ...] = ()
    """Folders with image files, by the names that manifests give them."""
    files_at: str = ""
    """Base address of image files; only their hash is trusted."""
    allow_development_root: bool = False
    acks: frozenset[Ack] = frozenset()
    reason: str = ""
    given: Given = field(default_factory=Given)
    bench: bool = False
    """Nothing is connected to the bridge: no inverter has to answer."""
    stable_s: float = 10.0
    """How long it must be connected without a break before it is flashed."""
    find_s: float = 20.0
    """How long it may take to answer and to let us in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CableWish:
    """What is asked beside that of a flash over the cable."""

    port: str | None = None
    """`None` takes the only one there is."""
    allow_stick: bool = False
    mac: Mac | None = None
    """The bridge that is meant; that confirms it."""
    yes: bool = False
    """Whatever bridge is there is meant."""
    erase_settings: bool = False
    backup: str = "quick"
    keep_backup: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of it."""

    exit: Exit
    code: str
    """A word that stays, as in the journal."""
    text: str
    evidence: tuple[str, ...] = ()
    mac: str = ""
    job: str = ""
    ran: str = ""
    """What the bridge ran before, in its own words."""
    release: str = ""


class FlashError(Exception):
    """It cannot be done; nothing was sent to the bridge."""

    def __init__(self, exit_code: Exit, code: str, text: str) -> None:
        super().__init__(text)
        self.exit = exit_code
        self.code = code


def ended(state: JobState, mac: str) -> Ended:
    """
    Return how a job that has its verdict ends the command.

    A bridge that said no to a password or a signature is as unchanged as one that was not
    reached, but another attempt brings nothing: those are refusals.
    """
    verdict = state.verdict
    assert verdict is not None  # noqa: S101 - it has ended
    exit_code = OF_RESULT[verdict.result]
    if state.request.way == Way.SERIAL and exit_code is Exit.LOST:
        exit_code = Exit.NEEDS_FLASHING
    if exit_code is Exit.UNCHANGED:
        if verdict.code == "cancelled":
            exit_code = Exit.CANCELLED
        elif verdict.code == "fault":
            exit_code = Exit.FAILED
        elif _said_no(state):
            exit_code = Exit.REFUSED
    release = state.request.release
    return Ended(
        exit_code,
        verdict.code,
        verdict.text,
        verdict.evidence,
        mac,
        state.id,
        str(state.before) if state.before else "",
        f"{release.project} {release.version}",
    )


def _said_no(state: JobState) -> bool:
    verdict = state.verdict
    if verdict is None:
        return False
    if state.upload is not None:
        return str(state.upload.how) == "refused"
    return str(verdict.blame) != "network"
