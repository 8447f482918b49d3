"""What a job over the cable does next, and what becomes of it, decided without a cable."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agent.firmware.job import replay
from agent.firmware.job.cable_models import CableFacts, Trouble
from agent.firmware.job.cable_step import next_cable_step
from agent.firmware.job.cable_verdict import ended_of
from agent.firmware.job.models import (
    ORDER,
    Blame,
    Facts,
    FileWord,
    How,
    JobState,
    Line,
    Patience,
    ReleaseRef,
    Request,
    Result,
    Stage,
    UploadEnd,
    Verdict,
    Way,
)
from agent.firmware.job.step import Act, Do, Wait
from agent.firmware.job.watch import Runs, Sight, Watch
from agent.firmware.serial.boot_log import BootReport, Start
from agent.firmware.serial.models import FlashPlan, Partition, SerialDevice, Span
from agent.fleet.contact import ContactState
from agent.fleet.identity import Mac

MAC = Mac("a0b7651c2d3e")
AT = datetime(2026, 11, 22, tzinfo=UTC)
RELEASE = ReleaseRef("pv-edge.alphaess-bridge", "1.1.0", 3, "a" * 64, 1000, "esp32c3")
REQUEST = Request(MAC, RELEASE, "somebody", "recovery", reason="dead", way=Way.SERIAL, port="p")
NVS = Partition(1, 2, 0x9000, 0x5000, "nvs")
DEVICE = SerialDevice("esp32c3", MAC, flash_size=4 << 20, table=(NVS,), app_version="1.0.0")
PLAN = FlashPlan(MAC, "esp32c3", "a" * 64, 1000, 4 << 20, ())
HEARD = BootReport(Start.CONNECTED, "It starts.", "")
KNOWN = Facts(
    slot_free=True,
    moment="",
    fetched=FileWord(True),
    verified=FileWord(True),
    cable=CableFacts(device=DEVICE, plan=PLAN, backed_up=True, proven=True, boot=HEARD),
)
PATIENCE = Patience()
BEFORE = (Stage.INIT, Stage.CONNECT, Stage.IDENTIFY, Stage.CHECK, Stage.BACKUP)


def at(stage: Stage, **more: object) -> JobState:
    began = stage not in BEFORE
    state = JobState("j", REQUEST, stage, AT, upload_began=began)
    return replace(state, **more)  # type: ignore[arg-type]


def step(state: JobState, facts: Facts = KNOWN, now_s: float = 0.0) -> Act | Wait | Verdict:
    return next_cable_step(state, facts, now_s, PATIENCE)


def learnt(**more: object) -> Facts:
    assert KNOWN.cable
    return replace(KNOWN, cable=replace(KNOWN.cable, **more))  # type: ignore[arg-type]


def test_each_transition_is_written_before_its_act_and_leads_to_the_next_stage() -> None:
    entered = []
    jobs = replay.after(replay.Jobs(), AT, replay.data_of(replay.asked("j", REQUEST)))
    for _ in range(20):
        state = jobs.by_id["j"]
        facts = KNOWN
        if state.stage is Stage.OBSERVE:
            break
        if state.stage is Stage.WRITE and state.upload is None:
            # The act of the line before; only a run that carries on can know how it ended.
            line = replay.uploaded("j", UploadEnd(How.SENT, "Well."))
        else:
            found = step(state, facts)
            assert isinstance(found, Act)
            assert found.line, f"{found.do} at {state.stage} without a line"
            line = found.line
            entered.append((str(line.data["stage"]), found.do))
        jobs = replay.after(jobs, AT, replay.data_of(line))
    assert entered == [
        ("connect", Do.HOLD), ("identify", Do.IDENTIFY), ("check", Do.FETCH),
        ("backup", Do.BACKUP), ("write", Do.WRITE), ("verify", Do.PROVE), ("reset", Do.LISTEN),
        ("observe", Do.OBSERVE),
    ]  # fmt: skip


@pytest.mark.parametrize("stage", ORDER[Way.SERIAL][:-2])
def test_after_a_restart_it_is_told_for_what_it_left_and_never_goes_on(stage: Stage) -> None:
    found = step(at(stage), Facts())
    assert isinstance(found, Verdict)
    assert found.code == "restarted"
    assert found.result is (Result.UNCHANGED if stage in BEFORE else Result.LOST)
    assert ("needs flashing" in found.text) == (stage not in BEFORE)


def test_after_a_restart_a_write_that_was_done_is_not_called_broken() -> None:
    state = at(Stage.VERIFY, upload=UploadEnd(How.SENT, "All of it was written."))
    found = step(state, Facts())
    assert isinstance(found, Verdict)
    assert found.result is Result.AMBIGUOUS
    assert "not written twice" in found.text


@pytest.mark.parametrize("stage", BEFORE)
def test_it_can_be_cancelled_at_each_stage_before_the_write(stage: Stage) -> None:
    found = step(at(stage, cancelled_by="Ann"))
    assert isinstance(found, Verdict)
    assert (found.result, found.code) == (Result.UNCHANGED, "cancelled")


def test_somebody_else_on_the_cable_is_refused_before_the_image_is_even_fetched() -> None:
    found = step(at(Stage.IDENTIFY), learnt(device=replace(DEVICE, mac=Mac("b8d61a000001"))))
    assert isinstance(found, Verdict)
    assert (found.result, found.code) == (Result.UNCHANGED, "wrong-device")
    assert "A0:B7:65:1C:2D:3E was meant" in found.text


def test_what_is_there_already_is_neither_copied_nor_written() -> None:
    found = step(at(Stage.CHECK), learnt(same=True))
    assert isinstance(found, Act)
    assert found.do is Do.LISTEN
    assert found.line
    assert found.line.data["stage"] == Stage.RESET


def test_the_policy_is_asked_again_when_a_long_backup_has_made_its_word_old() -> None:
    found = step(at(Stage.BACKUP), now_s=PATIENCE.check_fresh_s + 1)
    assert found == Act(Do.PLAN)


def test_settings_are_erased_in_a_stage_of_their_own_only_if_that_was_asked_for() -> None:
    facts = learnt(plan=replace(PLAN, blank=(Span(0x9000, 0x5000),)))
    asked = at(Stage.BACKUP, request=replace(REQUEST, erase_settings=True))
    assert isinstance(erase := step(asked, facts), Act)
    assert erase.do is Do.ERASE
    assert isinstance(write := step(at(Stage.BACKUP), facts), Act)
    assert write.do is Do.WRITE
    # Broken off between the two: nothing goes on as if nobody had said so.
    stopped = step(replace(asked, stage=Stage.ERASE, upload_began=True, cancelled_by="Ann"), facts)
    assert isinstance(stopped, Verdict)
    assert stopped.result is Result.LOST


@pytest.mark.parametrize(
    ("trouble", "result", "blame"),
    [
        (Trouble("line-broke", "Broke.", touched=True), Result.LOST, Blame.NETWORK),
        (Trouble("line-broke", "Broke."), Result.UNCHANGED, Blame.NETWORK),
        (Trouble("image-changed", "Swapped."), Result.UNCHANGED, Blame.HELD_BACK),
    ],
)
def test_a_write_that_fails_is_lost_only_if_it_had_touched_something(
    trouble: Trouble, result: Result, blame: Blame
) -> None:
    found = step(at(Stage.WRITE, upload=ended_of(trouble)))
    assert isinstance(found, Verdict)
    assert (found.result, found.blame, found.code) == (result, blame, trouble.code)


WELL = UploadEnd(How.SENT, "All of it was written.")


@pytest.mark.parametrize(
    ("start", "runs", "result", "code"),
    [
        (Start.RUNNING, Runs.NEW, Result.CONFIRMED, "confirmed"),
        (Start.SILENT, Runs.UNKNOWN, Result.CONFIRMED, "confirmed"),
        (Start.CONNECTED, Runs.OTHER, Result.AMBIGUOUS, "other-build"),
        (Start.CONNECTED, None, Result.CONFIRMED, "confirmed"),
        (Start.RUNNING, None, Result.AMBIGUOUS, "start-running"),
        (Start.BROWNOUT, None, Result.AMBIGUOUS, "start-brownout"),
        (Start.NO_PROGRAM, Runs.NEW, Result.LOST, "no-program"),
        (Start.CRASHED, None, Result.LOST, "crashed"),
    ],
)
def test_what_is_heard_and_seen_of_it_makes_the_verdict(
    start: Start, runs: Runs | None, result: Result, code: str
) -> None:
    state = at(Stage.OBSERVE, upload=WELL)
    there = ContactState.KEY_MISSING if runs is Runs.UNKNOWN else ContactState.ONLINE
    seen = Sight(5.0, there if runs else ContactState.UNREACHABLE, 5.0, runs or Runs.UNKNOWN)
    facts = replace(learnt(boot=BootReport(start, "Heard.", "Do.")), watch=Watch(0.0, last=seen))
    early = step(state, facts, 6.0)
    if result is not Result.LOST and code != "other-build":
        assert isinstance(early, Wait), "nothing was waited for"
    late = step(state, facts, PATIENCE.network_s + 1)
    assert isinstance(late, Verdict)
    assert (late.result, late.code) == (result, code)


def test_who_has_no_wifi_settings_is_not_waited_for_and_is_told_to_set_them_up() -> None:
    facts = learnt(device=replace(DEVICE, table=()), boot=BootReport(Start.RUNNING, "Runs.", ""))
    found = step(at(Stage.OBSERVE, upload=WELL), replace(facts, watch=Watch(0.0)), 1.0)
    assert isinstance(found, Verdict)
    assert found.result is Result.CONFIRMED
    assert "set up its Wi-Fi" in found.text


def told(job: str, request: Request, *lines: Line) -> list[tuple[datetime, dict[str, object]]]:
    return [(AT, replay.data_of(it)) for it in (replay.asked(job, request), *lines)]


def enters(job: str, stage: Stage) -> Line:
    return Line(job, "stage", {"stage": str(stage)})


def test_a_bridge_is_marked_until_a_flash_of_it_is_confirmed() -> None:
    lost = Verdict(Result.LOST, "It broke off.", (), Blame.NETWORK, "unplugged")
    unchanged = Verdict(Result.UNCHANGED, "Nobody answers.", (), Blame.NETWORK, "no-answer")
    well = Verdict(Result.CONFIRMED, "Well.", (), code="confirmed")
    lines = told("a", REQUEST, enters("a", Stage.WRITE))
    assert replay.replay(lines).needs_flashing == {MAC}, "an agent that died has said nothing"
    lines += [(AT, replay.data_of(replay.ended("a", lost)))]
    lines += told("b", REQUEST, enters("b", Stage.WRITE), replay.ended("b", unchanged))
    assert replay.replay(lines).needs_flashing == {MAC}
    lines += told("c", REQUEST, replay.ended("c", well))
    jobs = replay.replay(lines)
    assert not jobs.needs_flashing
    assert jobs.unread == 0
    assert jobs.by_id["a"].request == REQUEST
    assert jobs.before(MAC) is None, "a factory image cannot go back over the air"


def test_the_stages_of_one_way_are_not_those_of_the_other() -> None:
    jobs = replay.replay(told("a", REQUEST, enters("a", Stage.UPLOAD)))
    assert jobs.unread == 1
