"""
What was seen of a bridge makes a verdict, or it does not yet.

`confirmed` needs all of it: the bridge rebooted, the new build runs, it has stood without a break
for the firmware's own good-boot time and a margin, it shows every entity that the release
promises, and its log tells of no crash and no rollback. Whatever falls short of that after the
deadline is told as what it is; nothing becomes a success by the absence of an error.

Pure functions.

Source: pvautonomy.md 8 item 2 and the defects D-01, D-08, D-18; esphome.md 5 and 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.firmware.job.models import (
    MAYBE_TAKEN,
    Blame,
    BuildId,
    How,
    JobState,
    Patience,
    Request,
    Result,
    UploadEnd,
    Verdict,
)
from agent.firmware.job.recovery import NEEDS_A_PERSON
from agent.firmware.job.watch import SENTENCES, Mark, Runs, Watch
from agent.fleet.contact import ContactState

NOT_THE_RELEASE = frozenset(
    {
        "wrong_password",
        "wrong_key",
        "no_password",
        "weak_auth",
        "not_encrypted",
        "encryption_required",
        "unproven",
    }
)
"""`agent.firmware.ota.models.Reason`: the bridge and we do not agree on a secret; neither the
image nor the way is at fault."""
BAD_MARKS = frozenset({Mark.CRASH_LOGGED, Mark.ROLLBACK_LOGGED})
NOT_SENT = "No byte of the image was sent to it; it runs what it ran."


@dataclass(frozen=True, slots=True)
class NotYet:
    """No verdict so far."""

    until_s: float
    """When to look again, on our monotonic clock, if nothing is seen before."""
    why: str
    """For people."""
    done: float = 0.0
    """How far the trial is, from 0 to 1."""


def runs(
    told: BuildId | None, request: Request, before: BuildId | None, in_image: bool | None
) -> Runs:
    """
    Return what a device runs by its own word.

    Args:
        told: what it says.
        request: what was to be flashed.
        before: what it ran before the upload; `None` if nobody knows.
        in_image: whether its build string stands in the bytes that were sent; `None` without them.
    """
    if told is None or (told.version is None and told.built is None):
        return Runs.UNKNOWN
    release = request.release
    fits = (told.project, told.version) == (release.project, release.version)
    if fits and in_image is not False:
        return Runs.SAME if told == before else Runs.NEW
    return Runs.OLD if _is(told, before) else Runs.OTHER


def _is(told: BuildId, before: BuildId | None) -> bool:
    if before is None or before.built is not None:
        return told == before
    return (told.project, told.version) == (before.project, before.version)


def concluded(state: JobState, watch: Watch, now_s: float, patience: Patience) -> Verdict | NotYet:
    """Return the verdict that what was seen of the bridge allows, or what is waited for."""
    end = state.upload or UploadEnd(How.INTERRUPTED, "The agent ended during the upload.")
    ends_s = watch.began_s + patience.deadline_s
    sight = watch.last
    if sight is None or not sight.online:
        if sight is not None and sight.state is ContactState.SAFE_MODE:
            return _in_safe_mode(state, end, watch, now_s, patience)
        if now_s < ends_s:
            return NotYet(ends_s, "Waiting for it to come back.")
        return _lost(state, end, watch)
    for_s = now_s - watch.since_s
    match sight.runs:
        case Runs.NEW:
            found = _on_trial(state, watch, for_s, now_s, patience)
        case Runs.SAME if Mark.LEFT in watch.marks:
            found = _on_trial(state, watch, for_s, now_s, patience)
        case Runs.OLD | Runs.SAME:
            found = _as_before(end, watch, for_s, now_s, patience)
        case _:
            found = None
    if found is not None and (isinstance(found, Verdict) or found.until_s > now_s):
        return found
    if now_s < ends_s:
        return NotYet(ends_s, "Waiting for what it does next.")
    return _ambiguous(watch, f"It answers and runs {sight.told or 'what it does not tell'}.")


def _on_trial(
    state: JobState, watch: Watch, for_s: float, now_s: float, patience: Patience
) -> Verdict | NotYet | None:
    sight = watch.last
    assert sight is not None  # noqa: S101 - it is what was looked at
    trial_s = state.request.release.confirm_after_s + patience.margin_s
    ends_s = watch.began_s + patience.deadline_s
    if for_s < trial_s:
        # A trial that began in time may end after it: it is sure to end.
        if watch.since_s < ends_s:
            return NotYet(watch.since_s + trial_s, "Its new firmware is on trial.", for_s / trial_s)
        return None
    if bad := watch.marks & BAD_MARKS:
        return _ambiguous(watch, " ".join(SENTENCES[it] for it in sorted(bad)))
    waits = "" if sight.log_read else "Its log could not be read."
    if sight.missing:
        waits = f"It shows no value for {', '.join(sight.missing)}."
    if waits:
        return NotYet(ends_s, waits, 1.0) if now_s < ends_s else _ambiguous(watch, waits)
    evidence = (
        f"It runs {sight.told}.",
        *_marks(watch),
        f"It has run it for {for_s:.0f} s without a break; the trial is {trial_s:.0f} s.",
        "Every entity that the release promises shows a value.",
        "Its log was read and tells of no crash and no rollback.",
    )
    return Verdict(Result.CONFIRMED, "The update is confirmed.", evidence, code="confirmed")


def _as_before(
    end: UploadEnd, watch: Watch, for_s: float, now_s: float, patience: Patience
) -> Verdict | NotYet | None:
    left, sent = Mark.LEFT in watch.marks, end.how is How.SENT
    seen_new = bool(watch.marks & {Mark.NEW, Mark.ROLLBACK_LOGGED})
    # Who took the image boots it at once: the old build alone shows nothing before that is over.
    sure = left or seen_new or end.how not in MAYBE_TAKEN
    needs_s = patience.settle_s if sure else patience.return_s
    if for_s < needs_s:
        return NotYet(watch.since_s + needs_s, "It runs the old build; waiting whether it stays.")
    told = watch.last.told if watch.last else ""
    evidence = (f"It runs {told}, as before, and has for {for_s:.0f} s.", end.text, *_marks(watch))
    if watch.last is not None and watch.last.runs is Runs.SAME and end.how in MAYBE_TAKEN:
        return _ambiguous(watch, "The release is what it ran before, and no reboot was seen.")
    if seen_new or (sent and (left or watch.resumed)):
        text = "It took the image and went back to the build before: the new one did not hold."
        return Verdict(Result.ROLLED_BACK, text, evidence, Blame.RELEASE, "rolled-back")
    if sent:
        text = "It said that it had taken the image and never booted it. Restart it, and look."
        return Verdict(Result.UNCHANGED, text, evidence, Blame.RELEASE, "not-booted")
    text = f"It runs what it ran before. {end.text}"
    return Verdict(Result.UNCHANGED, text, evidence, blame(end), end.code or str(end.how))


def blame(end: UploadEnd) -> Blame:
    """Return whose fault it was that an upload did not go through."""
    if end.code in {*NOT_THE_RELEASE, NEEDS_A_PERSON}:
        return Blame.HELD_BACK
    if end.network or end.how in {How.CUT, How.CUT_LATE, How.INTERRUPTED}:
        return Blame.NETWORK
    return Blame.HELD_BACK if end.how is How.NOT_BEGUN else Blame.RELEASE


def not_sent(text: str, code: str, whose: Blame, evidence: tuple[str, ...] = ()) -> Verdict:
    """Return the verdict of a job that ended before the first byte."""
    return Verdict(Result.UNCHANGED, text, (*evidence, NOT_SENT), whose, code)


def by_our_fault(state: JobState) -> Verdict:
    """Return the verdict of a job that a defect of the agent has ended."""
    text = "It ended by a fault of the agent; the log says more."
    if not state.upload_began:
        return not_sent(text, "fault", Blame.HELD_BACK)
    next_step = "Look at what the bridge runs before anything else is flashed to it."
    return Verdict(Result.AMBIGUOUS, f"{text} {next_step}", (text,), Blame.RELEASE, "fault")


def _lost(state: JobState, end: UploadEnd, watch: Watch) -> Verdict:
    sight = watch.last
    how = f"It is {sight.state.replace('_', ' ')}." if sight else "It was not seen since."
    evidence = (how, end.text, *_marks(watch))
    taken = end.how in MAYBE_TAKEN
    whose = Blame.RELEASE if taken else Blame.NETWORK
    if sight is not None and sight.state is ContactState.SAFE_MODE:
        text = "It is in safe mode and takes uploads only. Install a release that worked on it now."
    elif sight is not None and sight.state is ContactState.WRONG_DEVICE:
        text = "Another device answers at its address. Look which one was flashed."
    elif taken:
        text = "It does not answer since the upload. Look at its power, then flash it by cable."
    else:
        text = "It does not answer, and no image was complete. Look at its power and its network."
    return Verdict(Result.LOST, text, evidence, whose, "lost")


def _in_safe_mode(
    state: JobState, end: UploadEnd, watch: Watch, now_s: float, patience: Patience
) -> Verdict | NotYet:
    """
    Return what safe mode means once it stands.

    It lasts five minutes and ends with the next boot of what brought it there. So it is told while
    it can be used; nobody comes out of it before by itself.
    """
    came_s = watch.last.since_s if watch.last else watch.began_s
    # Who was in safe mode before the upload is taken to be so until it has booted the image.
    stale = came_s <= watch.began_s and end.how in MAYBE_TAKEN
    needs_s = patience.return_s if stale else patience.settle_s
    sure_s = watch.since_s + needs_s
    if now_s < sure_s:
        return NotYet(sure_s, "It is in safe mode; waiting whether it stays.")
    if not state.from_safe_mode or end.how in MAYBE_TAKEN:
        return _lost(state, end, watch)
    evidence = ("It was in safe mode before, and is now.", end.text, *_marks(watch))
    text = f"It is still in safe mode, as before. {end.text}"
    code = end.code or str(end.how)
    return Verdict(Result.UNCHANGED, text, evidence, blame(end), code)


def _ambiguous(watch: Watch, text: str) -> Verdict:
    next_step = "Look at the bridge before anything else is flashed to it."
    evidence = (text, *_marks(watch))
    return Verdict(Result.AMBIGUOUS, f"{text} {next_step}", evidence, Blame.RELEASE, "ambiguous")


def _marks(watch: Watch) -> tuple[str, ...]:
    return tuple(SENTENCES[it] for it in Mark if it in watch.marks)
