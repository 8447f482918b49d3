"""
How a recovery over the cable ended, in the same verdicts as over the air.

`confirmed` is an observation here too: the flash holds the signed bytes after a fresh start of the
chip, and the bridge was seen on the network by its MAC, or said on the cable that it is. A write
that broke off is `lost` whatever the cause: the bridge needs flashing.

Pure functions.
"""

from __future__ import annotations

from agent.firmware.job.cable_models import CableFacts, Trouble
from agent.firmware.job.models import (
    Blame,
    Facts,
    How,
    JobState,
    Patience,
    Result,
    UploadEnd,
    Verdict,
)
from agent.firmware.job.verdict import NotYet, not_sent
from agent.firmware.job.watch import Runs
from agent.firmware.serial.boot_log import BootReport, Start
from agent.fleet.contact import REFUSED, ContactState

NEEDS = "It needs flashing: leave it plugged in and write the release again."
_STARTED = {Start.CONNECTED, Start.RUNNING}
_BROKEN = {Start.NO_PROGRAM, Start.CRASHED}
_THERE = frozenset({ContactState.ONLINE, *REFUSED}) - {ContactState.WRONG_DEVICE}
"""What only the device with this MAC can be seen as."""


def not_begun(trouble: Trouble) -> Verdict:
    """Return the verdict of a job that failed before anything was changed."""
    whose = Blame.NETWORK if trouble.way else Blame.HELD_BACK
    return not_sent(trouble.text, trouble.code, whose)


def ended_of(trouble: Trouble) -> UploadEnd:
    """Return how a write ended that did not succeed."""
    if trouble.touched:
        return UploadEnd(How.CUT, trouble.text, trouble.code, network=trouble.way)
    how = How.NOT_BEGUN if trouble.way else How.REFUSED
    return UploadEnd(how, trouble.text, trouble.code, network=trouble.way)


def broke_off(end: UploadEnd) -> Verdict:
    """Return the verdict of a write that came to no good end."""
    if end.how in {How.NOT_BEGUN, How.REFUSED}:
        return not_begun(Trouble(end.code, end.text))
    whose = Blame.NETWORK if end.network else Blame.HELD_BACK
    return Verdict(Result.LOST, f"{end.text} {NEEDS}", (end.text,), whose, end.code or "broke-off")


def broken_by(state: JobState, *, touched: bool) -> UploadEnd:
    """Return the end of a write that a person has broken off."""
    text = f"{state.cancelled_by or 'Somebody'} broke the write off."
    return UploadEnd(How.CUT if touched else How.NOT_BEGUN, text, "cancelled", network=True)


def left_behind(state: JobState) -> Verdict:
    """Return the verdict of a job that a restart of the agent has ended."""
    if not state.upload_began:
        text = "The agent was restarted before anything was written. Ask again."
        return not_sent(text, "restarted", Blame.HELD_BACK)
    end = state.upload
    if end is None:
        text = "The agent ended while it wrote."
        return broke_off(UploadEnd(How.INTERRUPTED, text, "restarted", network=True))
    if end.how is not How.SENT:
        return broke_off(end)
    text = (
        "All of it was written, and the agent ended before it was proven. Ask again: what is there "
        "already is not written twice."
    )
    return Verdict(Result.AMBIGUOUS, text, (end.text,), Blame.NETWORK, "restarted")


def not_proven(trouble: Trouble) -> Verdict:
    """Return the verdict of a write after which the flash did not show what it should hold."""
    if trouble.code == "not-kept":
        return Verdict(
            Result.LOST, f"{trouble.text} {NEEDS}", (trouble.text,), Blame.NETWORK, trouble.code
        )
    text = f"It was written, and could not be proven. {trouble.text}"
    return Verdict(Result.AMBIGUOUS, text, (trouble.text,), Blame.NETWORK, trouble.code)


def observed(
    state: JobState, facts: Facts, cable: CableFacts, now_s: float, patience: Patience
) -> Verdict | NotYet:
    """Return the verdict that start and network allow, or what is waited for."""
    boot = cable.boot
    assert boot is not None  # noqa: S101 - it is what was heard
    evidence = (_written(state), *([boot.text] if boot.text else ()))
    if boot.start in _BROKEN:
        text = f"{boot.text} {boot.next_step}".strip()
        return Verdict(Result.LOST, f"{text} {NEEDS}", evidence, Blame.RELEASE, str(boot.start))
    watch = facts.watch
    sight = watch.last if watch else None
    if cable.looks and watch is not None:
        ends_s = watch.began_s + patience.network_s
        if sight is not None and sight.state in _THERE:
            if sight.online and sight.runs is Runs.OTHER:
                text = f"It is on the network and runs {sight.told}, which is not what was written."
                step = "Look which bridge is plugged in, and write it again."
                return Verdict(
                    Result.AMBIGUOUS, f"{text} {step}", evidence, Blame.RELEASE, "other-build"
                )
            for_s = now_s - max(watch.began_s, sight.since_s)
            if for_s < patience.settle_s:
                until_s = now_s + patience.settle_s - for_s
                return NotYet(until_s, "It is on the network; waiting whether it stays.", 0.5)
            seen = f"It is on the network by its MAC, and has been for {for_s:.0f} s."
            return _well(state, (*evidence, seen))
        if now_s < ends_s and not _waits_for_wifi(state, cable, boot):
            return NotYet(ends_s, "Waiting for it to appear on the network.")
    return _by_cable(state, cable, boot, evidence)


def _by_cable(
    state: JobState, cable: CableFacts, boot: BootReport, evidence: tuple[str, ...]
) -> Verdict:
    if boot.start is Start.CONNECTED:
        return _well(state, evidence)
    if _waits_for_wifi(state, cable, boot):
        text = "It has no Wi-Fi settings: set up its Wi-Fi now."
        return _well(state, (*evidence, text), text)
    where = " and was not seen on the network" if cable.looks else ""
    start = "It starts" if boot.start in _STARTED else "It was not seen to start"
    text = f"The release is on its flash. {start}{where}. {boot.next_step}".strip()
    return Verdict(Result.AMBIGUOUS, text, evidence, Blame.NETWORK, f"start-{boot.start}")


def _well(state: JobState, evidence: tuple[str, ...], then: str = "") -> Verdict:
    if state.upload is not None and state.upload.how is How.SAME:
        text, code = "It was already correct; nothing was written.", "already-correct"
    else:
        text, code = "The bridge is recovered.", "confirmed"
    return Verdict(Result.CONFIRMED, f"{text} {then}".strip(), evidence, code=code)


def _waits_for_wifi(state: JobState, cable: CableFacts, boot: BootReport) -> bool:
    """Whether nobody can expect it on the network: it runs, and has nothing to log in with."""
    had = cable.device is not None and any(it.keeps_settings for it in cable.device.table)
    return boot.start is Start.RUNNING and (state.request.erase_settings or not had)


def _written(state: JobState) -> str:
    if state.upload is not None and state.upload.how is How.SAME:
        return "Its flash held the signed image already, byte for byte, outside of its settings."
    return "Its flash holds the signed image, compared after a fresh start of the chip."
