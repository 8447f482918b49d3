"""What the watchdog makes of the figures of a process; and that all of it ends within a minute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.export.guard import _JOURNAL_STUCK_S
from agent.watchdog import MIB, End, Facts, Hold, Illness, Limits, Watch, held, judge

LIMITS = Limits()
WELL = Facts(0, None, journal_ended=False, tasks=40, rss_bytes=70 * MIB)
SOON_S = 60.0
"""Noticed, ended and started again within this time."""


def lived(
    facts: Callable[[float], Facts], for_s: float, begin_s: float = 0.0, watch: Watch | None = None
) -> tuple[Watch, End | None, float]:
    """Look each second; return what is remembered, the end and when it came."""
    watch, end, now_s = watch or Watch(begin_s), None, begin_s
    while end is None and now_s < begin_s + for_s:
        now_s += LIMITS.every_s
        watch, end = judge(watch, facts(now_s), now_s, LIMITS)
    return watch, end, now_s - begin_s


def turning(facts: Facts = WELL) -> Callable[[float], Facts]:
    """Return the figures of a loop that turns."""
    return lambda now_s: replace(facts, beat=int(now_s))


def warm() -> tuple[Watch, float]:
    watch, end, now_s = lived(turning(), 2 * LIMITS.warm_up_s)
    assert end is None
    return watch, now_s


def test_a_process_that_is_well_is_left_alone_for_hours() -> None:
    _, end, _ = lived(turning(replace(WELL, tasks=999, rss_bytes=139 * MIB)), 10_800)
    assert end is None


def test_a_loop_that_does_not_turn_ends_the_process_without_asking_it() -> None:
    watch, now_s = warm()
    stuck = lambda _: replace(WELL, beat=7)  # noqa: E731 - a name for one line
    _, end, after_s = lived(stuck, 120, now_s, watch)
    assert end == End(Illness.LOOP, "the event loop has not turned for 30 s", orderly=False)
    assert after_s < SOON_S - 15


def test_a_journal_that_owes_an_answer_ends_the_process_after_health_has_said_so() -> None:
    watch, now_s = warm()
    since_s = now_s
    _, end, after_s = lived(turning(replace(WELL, journal_since=since_s)), 120, now_s, watch)
    assert end is not None
    assert (end.illness, end.orderly) == (Illness.JOURNAL, False)
    assert _JOURNAL_STUCK_S < after_s < SOON_S - 15


def test_a_journal_that_is_slow_with_each_of_its_answers_is_well() -> None:
    slow = lambda now_s: replace(WELL, beat=int(now_s), journal_since=now_s // 35 * 35)  # noqa: E731
    assert lived(slow, 3600)[1] is None


def test_a_journal_whose_thread_is_gone_ends_in_order_as_stops_still_leave() -> None:
    _, end, _ = lived(turning(replace(WELL, journal_ended=True)), 5)
    assert end is not None
    assert (end.illness, end.orderly) == (Illness.JOURNAL_ENDED, True)


@pytest.mark.parametrize(
    ("leak", "illness", "words"),
    [
        ({"tasks": 1000}, Illness.TASKS, "1000 tasks are at work, and 1000 are too many"),
        ({"rss_bytes": 140 * MIB}, Illness.MEMORY, "140 MiB of memory, and after its start it"),
    ],
)
def test_a_leak_that_lasts_ends_in_order(
    leak: dict[str, int], illness: Illness, words: str
) -> None:
    watch, now_s = warm()
    _, end, after_s = lived(turning(replace(WELL, **leak)), 120, now_s, watch)
    assert end is not None
    assert (end.illness, end.orderly) == (illness, True)
    assert words in end.text
    assert after_s + LIMITS.orderly_s < SOON_S


def test_a_file_that_passes_through_the_memory_is_no_leak() -> None:
    watch, now_s = warm()
    big = turning(replace(WELL, rss_bytes=300 * MIB))
    for _ in range(5):
        watch, end, more_s = lived(big, LIMITS.lasting_s - 2, now_s, watch)
        assert end is None
        watch, end, less_s = lived(turning(), 3, now_s + more_s, watch)
        assert end is None
        now_s += more_s + less_s


def test_what_it_takes_while_it_starts_is_what_it_needs() -> None:
    fleet = turning(replace(WELL, rss_bytes=120 * MIB))
    watch, end, now_s = lived(fleet, 2 * LIMITS.warm_up_s)
    assert end is None
    assert lived(turning(replace(WELL, rss_bytes=230 * MIB)), 300, now_s, watch)[1] is None
    assert lived(turning(replace(WELL, rss_bytes=241 * MIB)), 300, now_s, watch)[1] is not None


def test_a_system_that_tells_no_memory_has_no_leak() -> None:
    assert lived(turning(replace(WELL, rss_bytes=0)), 600)[1] is None


def test_a_machine_that_slept_for_an_hour_finds_its_loop_well() -> None:
    """The loop has not turned for an hour, and neither has the watchdog."""
    asked_s = 240.0
    watch, now_s = warm()
    asleep = replace(WELL, beat=7, journal_since=asked_s)
    watch, end, _ = lived(lambda _: asleep, 20, now_s, watch)
    assert end is None
    watch, end = judge(watch, asleep, now_s + 3620, LIMITS)
    assert end is None
    assert lived(turning(), 600, now_s + 3620, watch)[1] is None


def test_a_serial_write_outranks_every_illness_until_its_own_deadline() -> None:
    watch, now_s = warm()
    ill = Facts(
        7, 1.0, journal_ended=True, tasks=5000, rss_bytes=900 * MIB, held="writing bridge-1"
    )
    watch, end, _ = lived(lambda _: ill, 600, now_s, watch)
    assert end is None
    _, end, after_s = lived(lambda _: replace(ill, held=""), 60, now_s + 600, watch)
    assert end is not None
    assert after_s == 1


def test_an_update_over_the_air_outranks_a_leak_but_not_the_loop_that_sends_it() -> None:
    watch, now_s = warm()
    sending = replace(WELL, tasks=5000, journal_since=1.0, flashing="bridge-1")
    watch, end, _ = lived(turning(sending), 600, now_s, watch)
    assert end is None
    _, end, _ = lived(lambda _: replace(sending, beat=7), 60, now_s + 600, watch)
    assert end is not None
    assert end.illness is Illness.LOOP


def test_a_hold_counts_no_longer_than_it_said() -> None:
    """A loop that is stuck can never end it."""
    holds = (Hold("writing bridge-1", 100.0), Hold("writing bridge-2", 200.0))
    assert held(holds, 99.0) == "writing bridge-1"
    assert held(holds, 101.0) == "writing bridge-2"
    assert held(holds, 200.0) == ""
