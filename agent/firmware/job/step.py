"""
One step of a flash job at a time, decided from what is journaled and what is known.

A transition is written into the journal before the act that it announces, so whoever reads the
journal later knows what may have happened: a job whose line `upload` is there may have sent the
image, whether it did or not. Such a job never uploads again; the bridge itself is asked what it
runs. Nothing here waits, reads a clock or touches a bridge.

Pure functions.

Source: pvautonomy.md 4.2, defects D-01, D-19, D-20; signing.md 4.5 for the order of the checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.firmware.job.models import (
    Blame,
    BuildId,
    Facts,
    FileWord,
    How,
    JobState,
    Line,
    Patience,
    Stage,
    UploadEnd,
    Verdict,
)
from agent.firmware.job.verdict import NotYet, concluded, not_sent

STEP_S = 3600.0
"""Longest sleep of a job that waits for others; whatever it waits for wakes it."""


class Do(StrEnum):
    """What can be done for a job."""

    IDENTIFY = "identify"
    """Ask the chip on the cable who it is."""
    PLAN = "plan"
    """Ask policy and guards about this chip, and look whether all of it is there already."""
    BACKUP = "backup"
    ERASE = "erase"
    WRITE = "write"
    PROVE = "prove"
    """Compare the flash with the image after a fresh start of the chip."""
    LISTEN = "listen"
    """Start the bridge, and hear what it says on the cable."""
    HOLD = "hold"
    """Ask the guard to let go of the bridge."""
    CHECK = "check"
    """Ask gates and policy about this bridge and this digest."""
    FETCH = "fetch"
    VERIFY = "verify"
    """Hash the file, read what it says of itself, ask the policy again."""
    UPLOAD = "upload"
    OBSERVE = "observe"
    """Watch the bridge from now on."""


@dataclass(frozen=True, slots=True)
class Act:
    """Do this; if there is a line, it has to be on disk before."""

    do: Do
    line: Line | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until then, unless something is seen before."""

    until_s: float
    why: str
    done: float = 0.0
    """How far the stage is, from 0 to 1."""


Step = Act | Wait | Verdict


def next_step(state: JobState, facts: Facts, now_s: float, patience: Patience) -> Step:
    """
    Return what is to be done for an open job.

    Args:
        state: what its lines say.
        facts: what is known beyond them, gathered since the agent's start.
        now_s: our monotonic clock.
        patience: how long to wait for what.

    Raises:
        ValueError: the job has ended; there is nothing left to decide.
    """
    if state.cancelled_by and not state.upload_began:
        return not_sent(f"{state.cancelled_by} cancelled it.", "cancelled", Blame.HELD_BACK)
    decide = _OF_STAGE.get(state.stage)
    if decide is None:
        raise ValueError(f"job {state.id} has ended as {state.stage}")
    return decide(state, facts, now_s, patience)


def _init(state: JobState, facts: Facts, now_s: float, _patience: Patience) -> Step:
    if not facts.slot_free:
        return Wait(now_s + STEP_S, "It waits for its turn.")
    return Act(Do.HOLD, enter(state, Stage.PREFLIGHT))


def _preflight(state: JobState, facts: Facts, now_s: float, patience: Patience) -> Step:
    if blocked := safe_moment(facts, now_s, patience):
        return blocked
    if facts.check is None:
        return Act(Do.CHECK)
    if not facts.check.allowed:
        return _refused(facts)
    return Act(Do.FETCH, enter(state, Stage.DOWNLOAD))


def _download(state: JobState, facts: Facts, now_s: float, patience: Patience) -> Step:
    if blocked := safe_moment(facts, now_s, patience):
        return blocked
    if facts.fetched is None:
        return Act(Do.FETCH)
    if not facts.fetched.well:
        return bad_file(facts.fetched)
    return Act(Do.VERIFY, enter(state, Stage.VERIFY))


def _verify(state: JobState, facts: Facts, now_s: float, patience: Patience) -> Step:
    if blocked := safe_moment(facts, now_s, patience):
        return blocked
    if facts.verified is None:
        return Act(Do.VERIFY)
    if not facts.verified.well:
        return bad_file(facts.verified)
    return _last_look(state, facts, now_s, patience)


def _last_look(state: JobState, facts: Facts, now_s: float, patience: Patience) -> Step:
    check = facts.check
    if check is None or not 0 <= now_s - check.at_s <= patience.check_fresh_s:
        return Act(Do.CHECK)  # what was true before the download need not be true now
    if not check.allowed:
        return _refused(facts)
    if check.before is None:
        text = "The bridge does not say what it runs; without that nobody could tell an update."
        return not_sent(text, "build-unknown", Blame.HELD_BACK)
    more = {"safe_mode": True} if check.safe_mode else {}
    return Act(Do.UPLOAD, enter(state, Stage.UPLOAD, before=build_data(check.before), **more))


def _upload(state: JobState, facts: Facts, now_s: float, _patience: Patience) -> Step:
    if state.upload is None and facts.uploading:
        return Wait(now_s + STEP_S, "The image is being sent.")
    # Without an end and without an upload of ours under way, the agent was gone meanwhile.
    end = state.upload or UploadEnd(
        How.INTERRUPTED, "The agent ended while it sent the image, or just before."
    )
    return Act(Do.OBSERVE, enter(state, Stage.POSTCHECK, upload=end_data(end)))


def _postcheck(state: JobState, facts: Facts, now_s: float, patience: Patience) -> Step:
    if facts.watch is None:
        return Act(Do.OBSERVE)
    found = concluded(state, facts.watch, now_s, patience)
    return Wait(found.until_s, found.why, found.done) if isinstance(found, NotYet) else found


_OF_STAGE = {
    Stage.INIT: _init,
    Stage.PREFLIGHT: _preflight,
    Stage.DOWNLOAD: _download,
    Stage.VERIFY: _verify,
    Stage.UPLOAD: _upload,
    Stage.POSTCHECK: _postcheck,
}


def safe_moment(facts: Facts, now_s: float, patience: Patience) -> Step | None:
    """Return what is in the way of the safe moment, `None` if the guard holds it for us."""
    if facts.moment == "":
        return None
    if facts.moment is None or facts.moment_asked_s is None or facts.moment_told_s is None:
        return Act(Do.HOLD)
    if now_s - facts.moment_asked_s >= patience.moment_s:
        text = f"No safe moment in {patience.moment_s / 60:.0f} min: {facts.moment}"
        return not_sent(text, "no-safe-moment", Blame.HELD_BACK)
    again_s = facts.moment_told_s + patience.moment_every_s
    return Wait(again_s, facts.moment) if now_s < again_s else Act(Do.HOLD)


def _refused(facts: Facts) -> Verdict:
    check = facts.check
    assert check is not None  # noqa: S101 - it is what refused
    return not_sent(
        " ".join(check.refusals), check.code or "refused", Blame.HELD_BACK, check.refusals
    )


def bad_file(word: FileWord) -> Verdict:
    """Return the verdict of a job whose file is not to be had or not the right one."""
    whose = Blame.NETWORK if word.network else Blame.RELEASE
    return not_sent(word.text, word.code or "bad-file", whose)


def enter(state: JobState, stage: Stage, **more: Any) -> Line:
    """Return the line with which a job enters a stage."""
    return Line(state.id, "stage", {"stage": str(stage), **more})


def build_data(build: BuildId) -> dict[str, object]:
    """Return a build as a line holds it."""
    return {"project": build.project, "version": build.version, "built": build.built}


def end_data(end: UploadEnd) -> dict[str, object]:
    """Return the end of an upload as a line holds it."""
    return {"how": str(end.how), "text": end.text, "code": end.code, "network": end.network}
