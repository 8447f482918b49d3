"""A job ends with what the bridge was seen to do, wherever the agent was killed on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.firmware.job import replay
from agent.firmware.job.models import (
    Blame,
    BuildId,
    Check,
    Facts,
    FileWord,
    How,
    Result,
    Stage,
    UploadEnd,
    Verdict,
)
from agent.firmware.job.recovery import NEEDS_A_PERSON
from agent.firmware.job.step import next_step
from agent.firmware.job.verdict import NOT_THE_RELEASE, NotYet, blame, concluded, runs
from agent.firmware.job.watch import Mark, Runs, Sight, Watch, saw
from agent.firmware.ota.models import Reason
from agent.fleet.contact import ContactState
from tests.firmware.job.timeline import (
    EPOCH,
    MAC,
    NEW,
    OLD,
    PATIENCE,
    REQUEST,
    Drive,
    Fate,
    never_back,
)

SAID = {
    Fate.GOOD: Result.CONFIRMED,
    Fate.ROLLS_BACK: Result.ROLLED_BACK,
    Fate.ROLLS_BACK_UNSEEN: Result.ROLLED_BACK,
    Fate.ROLLS_BACK_LATE: Result.ROLLED_BACK,
    Fate.DIES: Result.LOST,
    Fate.DIES_LATE: Result.LOST,
    Fate.HANGS: Result.LOST,
    Fate.SAFE_MODE: Result.LOST,
    Fate.SAFE_MODE_THEN_OLD: Result.LOST,  # told while it can be mended, not five minutes later
    Fate.NEVER_BOOTS: Result.UNCHANGED,
    Fate.BOOTS_LATE: Result.CONFIRMED,
    Fate.CRASHED_ONCE: Result.AMBIGUOUS,
    Fate.SICK: Result.AMBIGUOUS,
    Fate.THIRD_BUILD: Result.AMBIGUOUS,
    Fate.ANOTHER_DEVICE: Result.LOST,
    Fate.REFUSED: Result.UNCHANGED,
    Fate.NOT_BEGUN: Result.UNCHANGED,
    Fate.CUT: Result.UNCHANGED,
    Fate.POWER_CUT: Result.UNCHANGED,
    Fate.POWER_GONE: Result.LOST,
    Fate.CUT_LATE_TAKEN: Result.CONFIRMED,
    Fate.CUT_LATE_NOT_TAKEN: Result.UNCHANGED,
}
STORY = [
    Stage.PREFLIGHT,
    Stage.DOWNLOAD,
    Stage.VERIFY,
    Stage.UPLOAD,
    Stage.POSTCHECK,
]


@pytest.mark.parametrize("fate", Fate, ids=lambda it: it.name.lower())
def test_every_fate_of_a_bridge_has_its_verdict_and_its_evidence(fate: Fate) -> None:
    drive = Drive(fate)
    state = drive.run()
    assert state.verdict is not None
    assert state.verdict.result is SAID[fate], state.verdict
    assert state.verdict.evidence
    assert drive.stages() == [*STORY, state.verdict.stage]
    assert drive.jobs.lock(MAC) is None
    assert drive.uploads == 1


def test_pv01_no_reboot_no_return_and_a_rollback_are_no_success() -> None:
    """The old flash said success after each of them."""
    for fate in (Fate.NEVER_BOOTS, Fate.DIES, Fate.ROLLS_BACK, Fate.ROLLS_BACK_LATE):
        state = Drive(fate).run()
        assert state.verdict is not None
        assert state.verdict.result is not Result.CONFIRMED
        assert (state.stage, state.failed_in) == (Stage.FAILED, Stage.POSTCHECK)


def test_a_rollback_in_the_last_moment_of_the_trial_is_seen() -> None:
    """ESPHome's own timer begins later than our view of the device: hence the margin."""
    state = Drive(Fate.ROLLS_BACK_LATE).run()
    assert state.verdict is not None
    assert state.verdict.result is Result.ROLLED_BACK
    assert {Mark.NEW, Mark.NEW_LEFT, Mark.OLD} <= state.marks


def test_a_release_that_is_already_there_is_confirmed_by_its_reboot_only() -> None:
    again = Drive(Fate.GOOD, before=NEW).run()
    assert again.verdict is not None
    assert again.verdict.result is Result.CONFIRMED
    never = Drive(Fate.NEVER_BOOTS, before=NEW).run()
    assert never.verdict is not None
    assert never.verdict.result is not Result.CONFIRMED


def trial(**said: Any) -> Verdict | NotYet:
    """Return what is concluded of a bridge that has run the new build for its whole trial."""
    state = replace(Drive(Fate.GOOD).run(), stage=Stage.POSTCHECK, verdict=None)
    good: dict[str, Any] = {"runs": Runs.NEW, "told": str(NEW), "log_read": True}
    sight = Sight(200.0, ContactState.ONLINE, 110.0, **{**good, **said})
    watch = saw(Watch(100.0, last=Sight(100.0, ContactState.ONLINE, 50.0, Runs.OLD)), sight)
    return concluded(state, watch, 110.0 + 75.0, PATIENCE)


@pytest.mark.parametrize(
    "lacks", [{"log_read": False}, {"missing": ("sensor.a",)}, {"runs": Runs.UNKNOWN}]
)
def test_each_evidence_alone_is_wanted_for_a_confirmation(lacks: dict[str, Any]) -> None:
    whole = trial()
    assert isinstance(whole, Verdict)
    assert whole.result is Result.CONFIRMED
    assert not isinstance(trial(**lacks), Verdict)


def test_a_build_whose_time_is_not_in_the_bytes_is_another_one() -> None:
    """A version number can be anybody's; the device's own build string is in the image or not."""
    told = BuildId(NEW.project, NEW.version, "2026-11-22 08:00:00 +0000")
    assert runs(told, REQUEST, OLD, in_image=False) is Runs.OTHER
    assert runs(told, REQUEST, OLD, in_image=True) is Runs.NEW
    assert runs(OLD, REQUEST, OLD, in_image=False) is Runs.OLD
    assert runs(BuildId(None, None), REQUEST, OLD, None) is Runs.UNKNOWN


def test_a_connection_that_is_new_because_the_agent_is_proves_no_reboot() -> None:
    old = Sight(101.0, ContactState.ONLINE, 101.0, Runs.OLD)
    assert Mark.LEFT in saw(Watch(100.0), old).marks
    assert saw(Watch(100.0, resumed=True), old).marks == frozenset()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({"line": "stage", "stage": "download"}, "would go back from postcheck to download"),
        ({"line": "stage", "stage": "postcheck"}, "would go back from postcheck to postcheck"),
        ({"line": "asked"}, "asked for twice"),
        ({"line": "other"}, "does not know"),
        ({"line": "stage", "stage": "verify", "job": "never"}, "nobody asked for"),
    ],
)
def test_a_line_that_would_take_a_job_back_is_refused(
    line: dict[str, object], complaint: str
) -> None:
    drive = Drive(Fate.GOOD)
    drive.run()
    lines = drive.lines[:-1]  # without the verdict
    jobs = replay.replay(lines)
    with pytest.raises(replay.LineError, match=complaint):
        replay.after(jobs, EPOCH, {"job": "job", **line})
    whole = replay.replay(drive.lines)
    with pytest.raises(replay.LineError, match="has ended"):
        replay.after(whole, EPOCH, drive.lines[-1][1])


def test_the_words_say_what_to_do() -> None:
    said = {fate: Drive(fate).run().verdict for fate in (Fate.SAFE_MODE, Fate.DIES, Fate.SICK)}
    texts = [it.text for it in said.values() if it]
    assert "safe mode" in texts[0]
    assert "by cable" in texts[1]
    assert "sensor.grid_power" in texts[2]


def boundaries_of(fate: Fate) -> int:
    drive = Drive(fate)
    drive.run()
    return drive.boundaries


@pytest.mark.parametrize("fate", Fate, ids=lambda it: it.name.lower())
def test_pv20_killed_at_any_boundary_it_is_classified_by_looking_at_the_bridge(fate: Fate) -> None:
    for at in range(1, boundaries_of(fate) + 1):
        drive = Drive(fate, kills=frozenset({at}))
        check(drive, f"killed at boundary {at}")


def check(drive: Drive, what: str) -> None:
    state = drive.run()
    verdict = state.verdict
    assert verdict is not None
    told = f"{what}: {drive.fate.name} ended as {verdict}"
    assert [it.get("verdict") is not None for _, it in drive.lines].count(True) == 1, told
    assert never_back(drive.stages()), told
    assert drive.jobs.lock(MAC) is None, told
    assert drive.uploads <= 1, told
    if verdict.result is Result.CONFIRMED:
        assert drive.taken, told
        assert drive.fate.runs_new_for_good or (
            # Nobody was there when the log told of the crash; it has stood for its whole trial.
            drive.fate is Fate.CRASHED_ONCE and drive.kills
        ), told
    if not drive.taken:
        assert verdict.result is Result.UNCHANGED, told
    elif drive.fate.runs_new_for_good:
        assert verdict.result is Result.CONFIRMED, told
    elif drive.fate is Fate.SAFE_MODE_THEN_OLD and verdict.result is not Result.LOST:
        # Nobody looked while it lay in safe mode; it has come out of it with its old firmware.
        assert drive.kills, told
        assert verdict.result in {Result.ROLLED_BACK, Result.UNCHANGED}, told
    elif verdict.result is not SAID[drive.fate]:
        # Without the word of the uploader an image that was taken back looks like one that never
        # was complete: it runs what it ran before, and more is not claimed.
        assert drive.kills, told
        assert {verdict.result, SAID[drive.fate]} in (
            {Result.UNCHANGED, Result.ROLLED_BACK},
            {Result.LOST, Result.AMBIGUOUS},
        ), told


@settings(max_examples=300, deadline=None)
@given(
    fate=st.sampled_from(Fate),
    kills=st.frozensets(st.integers(1, 40), max_size=6),
    moment_after_s=st.sampled_from([0.0, 3.0, 60.0, 2000.0]),
    refused_at=st.sampled_from([0, 1, 99]),
    fetched=st.sampled_from([FileWord(True), FileWord(False, "No answer.", network=True)]),
    verified=st.sampled_from([FileWord(True), FileWord(False, "It is damaged.")]),
    away_s=st.sampled_from([0.5, 30.0, 4000.0]),
)
def test_whatever_comes_there_is_one_verdict_no_way_back_and_no_lock_left(
    fate: Fate,
    kills: frozenset[int],
    moment_after_s: float,
    refused_at: int,
    fetched: FileWord,
    verified: FileWord,
    away_s: float,
) -> None:
    drive = Drive(
        fate,
        kills,
        moment_after_s,
        ("Its signal is too weak.",),
        refused_at,
        fetched,
        verified,
        away_s,
    )
    check(drive, f"{kills=}")


def test_before_the_first_byte_a_refusal_ends_it_with_its_own_words() -> None:
    weak = Drive(Fate.GOOD, refusals=("Its signal is too weak.",), refused_at=0).run()
    assert weak.verdict is not None
    assert (weak.verdict.result, weak.verdict.blame) == (Result.UNCHANGED, Blame.HELD_BACK)
    assert "signal is too weak" in weak.verdict.text
    assert weak.failed_in is Stage.PREFLIGHT


def test_gates_are_asked_again_at_the_moment_of_the_upload() -> None:
    """They were good before the download, and are not any more."""
    drive = Drive(Fate.GOOD, refusals=("A discharge runs through it.",), refused_at=1)
    state = drive.run()
    assert (state.failed_in, drive.uploads) == (Stage.VERIFY, 0)


def test_a_bridge_that_does_not_say_what_it_runs_gets_nothing() -> None:
    drive = Drive(Fate.GOOD)
    drive.run()
    stages = [data.get("stage") for _, data in drive.lines]
    state = replay.replay(drive.lines[: stages.index("verify") + 1]).by_id["job"]
    well = FileWord(True)
    facts = Facts(None, True, "", 0.0, 0.0, Check(1.0, ()), well, well)
    found = next_step(state, facts, 1.0, PATIENCE)
    assert isinstance(found, Verdict)
    assert (found.code, found.blame) == ("build-unknown", Blame.HELD_BACK)
    assert "does not say what it runs" in found.text


@pytest.mark.parametrize(
    ("end", "whose"),
    [
        *((UploadEnd(How.REFUSED, "", it), Blame.HELD_BACK) for it in sorted(NOT_THE_RELEASE)),
        (UploadEnd(How.NOT_BEGUN, "", NEEDS_A_PERSON), Blame.HELD_BACK),
        (UploadEnd(How.REFUSED, "", "signature"), Blame.RELEASE),
        (UploadEnd(How.REFUSED, "", "too_large"), Blame.RELEASE),
        (UploadEnd(How.NOT_BEGUN, "", "unreachable", network=True), Blame.NETWORK),
        (UploadEnd(How.NOT_BEGUN, "", "fault"), Blame.HELD_BACK),
        (UploadEnd(How.CUT, "", "lost"), Blame.NETWORK),
    ],
)
def test_a_secret_that_does_not_fit_is_no_fault_of_the_release(
    end: UploadEnd, whose: Blame
) -> None:
    assert blame(end) is whose


def test_every_secret_that_can_be_wrong_is_a_reason_of_the_upload() -> None:
    assert {str(it) for it in Reason} >= NOT_THE_RELEASE


def test_pv09_no_upload_begins_while_a_discharge_runs_through_the_bridge() -> None:
    waits = Drive(Fate.GOOD, moment_after_s=60)
    assert waits.run().stage is Stage.COMPLETE
    never = Drive(Fate.GOOD, moment_after_s=1e9)
    state = never.run()
    assert state.verdict is not None
    assert (state.verdict.code, never.uploads) == ("no-safe-moment", 0)


def test_pv19_progress_and_stages_only_go_on_and_a_failure_keeps_its_stage() -> None:
    for fate in Fate:
        drive = Drive(fate)
        state = drive.run()
        assert never_back(drive.stages())
        failed = drive.stages().count(Stage.FAILED)
        assert failed == (state.stage is Stage.FAILED)
        assert (state.failed_in is None) == (state.stage is Stage.COMPLETE)


def test_pv18_a_connection_lost_before_the_last_word_is_resolved_by_the_bridge() -> None:
    """It was told as a plain failure although the device may have committed the image."""
    taken, not_taken = Drive(Fate.CUT_LATE_TAKEN).run(), Drive(Fate.CUT_LATE_NOT_TAKEN).run()
    assert taken.upload is not None
    assert taken.upload.how is How.CUT_LATE
    assert taken.verdict is not None
    assert not_taken.verdict is not None
    assert taken.verdict.result is Result.CONFIRMED
    assert not_taken.verdict.result is Result.UNCHANGED
