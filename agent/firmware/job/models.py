"""
What a flash job is made of.

A job is what its lines in the journal say, nothing more: `JobState` is the fold of them
(`replay.py`). What is only known while the agent runs - the look at the gates, the file, what the
bridge shows - are `Facts`, and they are gathered anew after a restart. Times inside of facts are
seconds on our monotonic clock; times in the journal are aware datetimes, for people.

Source: pvautonomy.md 4.2 (stages) and 8 (verdicts); esphome.md 7 (trial and rollback).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.firmware.job.cable_models import CableFacts
from agent.firmware.job.watch import Mark, Watch
from agent.fleet.identity import Mac

KIND = "flash_job"
"""Kind of the journal's events that make up the jobs."""


class Way(StrEnum):
    """How a job reaches the bridge; the values of `agent.firmware.policy.models.Way`."""

    OTA = "ota"
    SERIAL = "serial"


class Stage(StrEnum):
    """How far a job is; over the air in the words of PVAutonomy Ops."""

    INIT = "init"
    PREFLIGHT = "preflight"
    DOWNLOAD = "download"
    VERIFY = "verify"
    """Over the air before the upload, of the file; over the cable after the write, of the flash."""
    UPLOAD = "upload"
    POSTCHECK = "postcheck"
    CONNECT = "connect"
    IDENTIFY = "identify"
    CHECK = "check"
    BACKUP = "backup"
    ERASE = "erase"
    WRITE = "write"
    RESET = "reset"
    OBSERVE = "observe"
    COMPLETE = "complete"
    FAILED = "failed"


_LAST = (Stage.COMPLETE, Stage.FAILED)
ORDER = {
    Way.OTA: (
        *(Stage.INIT, Stage.PREFLIGHT, Stage.DOWNLOAD, Stage.VERIFY, Stage.UPLOAD),
        *(Stage.POSTCHECK, *_LAST),
    ),
    Way.SERIAL: (
        *(Stage.INIT, Stage.CONNECT, Stage.IDENTIFY, Stage.CHECK, Stage.BACKUP, Stage.ERASE),
        *(Stage.WRITE, Stage.VERIFY, Stage.RESET, Stage.OBSERVE, *_LAST),
    ),
}
"""A job only ever moves to the right in the order of its way."""
BEGINS = frozenset({Stage.UPLOAD, Stage.ERASE, Stage.WRITE})
"""With the line of one of them, the bridge may not be any more what it was."""
ENDED = frozenset({Stage.COMPLETE, Stage.FAILED})


class Result(StrEnum):
    """What became of the bridge, as it was observed."""

    CONFIRMED = "confirmed"
    """It runs the new build, and still did after the time in which a bad one is taken back."""
    ROLLED_BACK = "rolled_back"
    """It took the new image and runs the old build again."""
    UNCHANGED = "unchanged"
    """It runs what it ran before; the image was refused, or never was complete, or never sent."""
    LOST = "lost"
    """It took or may have taken the image, and does not answer."""
    AMBIGUOUS = "ambiguous"
    """It answers, and what was seen of it proves neither success nor failure."""


class Blame(StrEnum):
    """Whose fault a job's failure is: what a campaign makes of it depends on that."""

    NONE = "none"
    NETWORK = "network"
    """The way to the bridge or to the file; worth another try."""
    HELD_BACK = "held_back"
    """Gates, policy, guard or a person said no; nothing was sent."""
    RELEASE = "release"
    """The image did harm, or this bridge will never take it: trying again changes nothing."""


@dataclass(frozen=True, slots=True)
class BuildId:
    """What a device says it runs, in its own words; `None` where it does not say."""

    project: str | None
    version: str | None
    built: str | None = None
    """ESPHome's `compilation_time`, as `2026-11-21 17:25:11 +0000`: the best there is."""

    def __str__(self) -> str:
        """Return it for people."""
        built = f", built {self.built}" if self.built else ""
        return f"{self.project or 'no project'} {self.version or 'without a version'}{built}"


@dataclass(frozen=True, slots=True)
class ReleaseRef:
    """One image of one release, as far as a job has to know it to find it again."""

    project: str
    version: str
    rollback_index: int
    digest: str
    """SHA-256 of the OTA image, lower-case hexadecimal; its place in the store."""
    size_bytes: int
    chip: str
    source: str = ""
    """Which source of releases it came from."""
    channel: str = ""
    manifest: str = ""
    """Target path of the release manifest."""
    confirm_after_s: int = 60
    """How long the firmware is on trial after its boot; `health.confirm_after_s`."""
    expect_entities: tuple[str, ...] = ()
    """Entities by domain and object id that must show a value; `health.expect_entities`."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody wants flashed; never holds a secret."""

    mac: Mac
    release: ReleaseRef
    by: str
    """Who, for people."""
    asker: str = "person"
    """`agent.firmware.policy.models.Asker`."""
    acks: tuple[str, ...] = ()
    """`agent.firmware.policy.models.Ack`, what a person has accepted."""
    reason: str = ""
    campaign: str = ""
    """The campaign it belongs to; "" for a single flash."""
    attempt: int = 1
    """Which try of the campaign on this bridge."""
    goes_back: bool = False
    """It puts back what the bridge ran before."""
    way: str = Way.OTA
    port: str = ""
    """Where it is plugged in; over the cable only, as what follows."""
    erase_settings: bool = False
    """Wi-Fi and keys are to be erased."""
    backup: str = "quick"
    """`quick` copies the settings first, `full` all of the flash, `none` nothing."""
    keep_backup: bool = False
    """The copy is not deleted after a success."""


class How(StrEnum):
    """How an upload ended."""

    SENT = "sent"
    """The device said that it has committed the image (0x45): it boots it next."""
    REFUSED = "refused"
    """The device said no, with a code; it keeps what it runs."""
    NOT_BEGUN = "not_begun"
    """Nothing of the image left: no connection, no login."""
    CUT = "cut"
    """The connection ended while the image was sent; it cannot be complete."""
    CUT_LATE = "cut_late"
    """The connection ended after the last block: it may be committed, and may not."""
    INTERRUPTED = "interrupted"
    """The agent ended while it sent; nobody knows how far it came."""
    SAME = "same"
    """It was there already, byte for byte; nothing was written. Over the cable only."""


MAYBE_TAKEN = frozenset({How.SENT, How.CUT_LATE, How.INTERRUPTED})
"""Afterwards the image may be on trial: nothing is uploaded or restarted until a verdict."""


@dataclass(frozen=True, slots=True)
class UploadEnd:
    """How an upload ended, in the words of the uploader."""

    how: How
    text: str
    """A sentence, without secrets."""
    code: str = ""
    """Why, in a word that stays: `agent.firmware.ota.models.Reason`, or `deadline`, `fault`."""
    network: bool = False
    """The way was at fault, not the image nor the key: another try may help."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a job ended, with everything that was seen for it."""

    result: Result
    text: str
    """A sentence, and what to do."""
    evidence: tuple[str, ...]
    blame: Blame = Blame.NONE
    code: str = ""

    @property
    def stage(self) -> Stage:
        """Return where the job ends with it."""
        return Stage.COMPLETE if self.result is Result.CONFIRMED else Stage.FAILED


@dataclass(frozen=True, slots=True)
class JobState:
    """One job, the fold of its lines."""

    id: str
    request: Request
    stage: Stage
    asked_at: datetime
    before: BuildId | None = None
    """What the bridge ran when the upload was about to begin."""
    upload: UploadEnd | None = None
    upload_began: bool = False
    """The line before the first byte is written; without an end, it was interrupted."""
    from_safe_mode: bool = False
    """The bridge was in safe mode when the upload was about to begin."""
    marks: frozenset[Mark] = frozenset()
    """What was seen after the upload: `Mark`, for whoever looks again after a restart."""
    cancelled_by: str = ""
    failed_in: Stage | None = None
    """In which stage it failed; the stage itself is `failed` then."""
    verdict: Verdict | None = None
    ended_at: datetime | None = None

    @property
    def mac(self) -> Mac:
        """Return whose job it is."""
        return self.request.mac

    @property
    def open(self) -> bool:
        """True until it has a verdict: it holds the bridge's lock."""
        return self.stage not in ENDED

    @property
    def holds_slot(self) -> bool:
        """True while it takes up one of the places for jobs that are under way."""
        return self.open and self.stage is not Stage.INIT

    @property
    def writes(self) -> bool:
        """True while it writes over the cable: that can be broken off, and ruins the bridge."""
        began = self.open and self.upload_began and self.upload is None
        return began and self.request.way == Way.SERIAL

    @property
    def on_trial(self) -> bool:
        """True while an image of it may be on trial: a restart would confirm it."""
        if not self.open or not self.upload_began:
            return False
        return self.upload is None or self.upload.how in MAYBE_TAKEN


@dataclass(frozen=True, slots=True)
class Check:
    """What gates and policy said about this bridge and this image at one moment."""

    at_s: float
    refusals: tuple[str, ...]
    """Sentences; empty if it may be flashed now."""
    before: BuildId | None = None
    """What it runs at this moment, from itself."""
    code: str = ""
    """The first reason's word, for the journal."""
    safe_mode: bool = False
    """It is in safe mode, and what it runs is told by the journal; see `recovery.py`."""

    @property
    def allowed(self) -> bool:
        """True if nothing speaks against it."""
        return not self.refusals


@dataclass(frozen=True, slots=True)
class FileWord:
    """What became of a download or a check of the file."""

    well: bool
    text: str = ""
    """A sentence; empty while all is well."""
    network: bool = False
    """No answer, rather than a wrong one: another try may help."""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known outside of the journal; `None` where nobody has looked yet."""

    cable: CableFacts | None = None
    """Of a job over the cable that was asked for since the agent's start."""
    slot_free: bool = False
    """There is a place among the jobs under way, and it is this one's turn."""
    moment: str | None = None
    """"" if the guard has let go of the bridge, else why it has not."""
    moment_asked_s: float | None = None
    """When it was asked for the first time."""
    moment_told_s: float | None = None
    """When it answered last."""
    check: Check | None = None
    fetched: FileWord | None = None
    verified: FileWord | None = None
    uploading: bool = False
    """An upload of this very run is about to begin or under way."""
    watch: Watch | None = None
    """What was seen of the bridge since the upload has ended."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a job waits for what; judgement unless a source is named."""

    moment_s: float = 900.0
    """For the guard to let go of the bridge."""
    moment_every_s: float = 5.0
    check_fresh_s: float = 30.0
    """How old the last look at gates and policy may be when the first byte leaves."""
    margin_s: float = 15.0
    """Beyond the firmware's own good-boot time: its timer starts later than our view of it."""
    settle_s: float = 10.0
    """How long the old build must stand after a reboot to be taken for the end of it."""
    return_s: float = 90.0
    """In which a device that has committed an image must have rebooted; it does so at once."""
    network_s: float = 120.0
    """For a bridge that was written by cable to appear on the network: boot, Wi-Fi, discovery."""
    deadline_s: float = 600.0
    """From the end of the upload to a verdict, whatever happens (signing.md 6.3)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that a job writes into the journal."""

    job: str
    what: str
    """`asked`, `stage`, `uploaded`, `seen`, `cancelled`."""
    data: dict[str, object] = field(default_factory=dict)
