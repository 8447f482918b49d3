"""
One step of a recovery over the cable at a time, decided from what is journaled and what is known.

As over the air, a transition is in the journal before the act that it announces. Unlike there, a
job that a restart of the agent has met is not carried on: a person holds the cable, and what hangs
on the port now may be another device. It is told for what it left behind.

Pure functions.

Source: esptool.md, section 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.firmware.job.cable_models import CableFacts, Trouble
from agent.firmware.job.cable_verdict import (
    broke_off,
    broken_by,
    left_behind,
    not_begun,
    not_proven,
    observed,
)
from agent.firmware.job.models import (
    Blame,
    BuildId,
    Facts,
    How,
    JobState,
    Patience,
    Stage,
    UploadEnd,
)
from agent.firmware.job.step import (
    STEP_S,
    Act,
    Do,
    Step,
    Wait,
    bad_file,
    build_data,
    end_data,
    enter,
    safe_moment,
)
from agent.firmware.job.verdict import NotYet, not_sent
from agent.firmware.serial.checks import another_device, lock_refusals
from agent.firmware.serial.models import SerialDevice
from agent.fleet.identity import written

SAME = UploadEnd(How.SAME, "The flash held all of it already; nothing was written.")


def next_cable_step(state: JobState, facts: Facts, now_s: float, patience: Patience) -> Step:
    """
    Return what is to be done for an open job over the cable; as `step.next_step`.

    Raises:
        ValueError: the job has ended; there is nothing left to decide.
    """
    cable = facts.cable
    if cable is None:
        return left_behind(state)
    if state.cancelled_by and not state.upload_began:
        return not_sent(f"{state.cancelled_by} cancelled it.", "cancelled", Blame.HELD_BACK)
    if cable.trouble is not None and not state.upload_began:
        return not_begun(cable.trouble)
    decide = _OF_STAGE.get(state.stage)
    if decide is None:
        raise ValueError(f"job {state.id} has ended as {state.stage}")
    return decide(state, facts, cable, _Now(now_s, patience))


@dataclass(frozen=True, slots=True)
class _Now:
    s: float
    patience: Patience


def _init(state: JobState, facts: Facts, _cable: CableFacts, now: _Now) -> Step:
    if not facts.slot_free:
        return Wait(now.s + STEP_S, "It waits for its turn.")
    return Act(Do.HOLD, enter(state, Stage.CONNECT))


def _connecting(state: JobState, facts: Facts, _cable: CableFacts, now: _Now) -> Step:
    blocked = safe_moment(facts, now.s, now.patience)
    return blocked or Act(Do.IDENTIFY, enter(state, Stage.IDENTIFY))


def _identified(state: JobState, _facts: Facts, cable: CableFacts, _now: _Now) -> Step:
    device = cable.device
    if device is None:
        return Act(Do.IDENTIFY)
    for why in lock_refusals(device):
        return not_begun(Trouble(str(why.code), f"{why.text} {why.next_step}"))
    if device.mac != state.mac:
        why = another_device(device.mac, state.mac)
        return not_begun(Trouble(str(why.code), f"{why.text} {why.next_step}"))
    return Act(Do.FETCH, enter(state, Stage.CHECK, found=_found(device)))


def _checked(state: JobState, facts: Facts, cable: CableFacts, _now: _Now) -> Step:
    for word, do in ((facts.fetched, Do.FETCH), (facts.verified, Do.VERIFY)):
        if word is None:
            return Act(do)
        if not word.well:
            return bad_file(word)
    if cable.plan is None:
        return Act(Do.PLAN)
    if cable.same:
        return Act(Do.LISTEN, enter(state, Stage.RESET, upload=end_data(SAME)))
    return Act(Do.BACKUP, enter(state, Stage.BACKUP))


def _ready(state: JobState, _facts: Facts, cable: CableFacts, now: _Now) -> Step:
    if not cable.backed_up:
        return Act(Do.BACKUP)
    plan, device = cable.plan, cable.device
    assert plan is not None  # noqa: S101 - the check made it
    assert device is not None  # noqa: S101 - as above
    if not 0 <= now.s - cable.planned_s <= now.patience.check_fresh_s:
        return Act(Do.PLAN)  # what was allowed before a long backup need not be allowed now
    before = build_data(BuildId(device.app_name or None, device.app_version or None))
    if plan.blank and state.request.erase_settings:
        return Act(Do.ERASE, enter(state, Stage.ERASE, before=before))
    return Act(Do.WRITE, enter(state, Stage.WRITE, before=before))


def _writing(state: JobState, facts: Facts, cable: CableFacts, now: _Now) -> Step:
    if state.upload is not None:
        if state.upload.how is not How.SENT:
            return broke_off(state.upload)
        return Act(Do.PROVE, enter(state, Stage.VERIFY))
    if facts.uploading:
        return Wait(now.s + STEP_S, "It is being written; do not pull the cable.")
    if state.cancelled_by:
        return broke_off(broken_by(state, touched=True))
    if state.stage is Stage.ERASE and cable.erased:
        return Act(Do.WRITE, enter(state, Stage.WRITE))
    return left_behind(state)


def _proving(state: JobState, _facts: Facts, cable: CableFacts, _now: _Now) -> Step:
    if cable.trouble is not None:
        return not_proven(cable.trouble)
    if not cable.proven:
        return Act(Do.PROVE)
    return Act(Do.LISTEN, enter(state, Stage.RESET))


def _starting(state: JobState, facts: Facts, cable: CableFacts, now: _Now) -> Step:
    if cable.boot is None:
        return Act(Do.LISTEN)
    if state.stage is Stage.RESET:
        said = {"start": str(cable.boot.start), "text": cable.boot.text}
        return Act(Do.OBSERVE, enter(state, Stage.OBSERVE, boot=said))
    if facts.watch is None:
        return Act(Do.OBSERVE)
    found = observed(state, facts, cable, now.s, now.patience)
    return Wait(found.until_s, found.why, found.done) if isinstance(found, NotYet) else found


_OF_STAGE = {
    Stage.INIT: _init,
    Stage.CONNECT: _connecting,
    Stage.IDENTIFY: _identified,
    Stage.CHECK: _checked,
    Stage.BACKUP: _ready,
    Stage.ERASE: _writing,
    Stage.WRITE: _writing,
    Stage.VERIFY: _proving,
    Stage.RESET: _starting,
    Stage.OBSERVE: _starting,
}


def _found(device: SerialDevice) -> dict[str, object]:
    """Return what the journal keeps of a chip."""
    return {
        "mac": written(device.mac) if device.mac else "",
        "chip": device.chip,
        "revision": device.revision,
        "flash_size": device.flash_size,
        "app_version": device.app_version,
    }
