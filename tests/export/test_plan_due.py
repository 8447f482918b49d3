"""Plans come with the slots, soon after a change, and never in a hurry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.export.plan_due import Wants, next_plan, seconds

LAST = datetime(2026, 7, 1, 16, 40, 7, tzinfo=UTC)
ENDS = datetime(2026, 7, 1, 17, 0, tzinfo=UTC)


def test_the_first_plan_is_due_at_once() -> None:
    assert next_plan(None, None, Wants(), LAST) == LAST


@pytest.mark.parametrize("slot_ends", [ENDS, None])
def test_the_next_plan_comes_with_the_next_slot(slot_ends: datetime | None) -> None:
    assert next_plan(LAST, slot_ends, Wants(), LAST) == ENDS + timedelta(seconds=2)


@pytest.mark.parametrize(
    ("wants", "wait_s"),
    [(Wants(asked=True), 5), (Wants(settings=True), 15), (Wants(inputs=True), 300),
     (Wants(inputs=True, asked=True), 5)],
)  # fmt: skip
def test_what_has_changed_waits_as_long_as_it_can(wants: Wants, wait_s: float) -> None:
    assert next_plan(LAST, ENDS, wants, LAST) == LAST + timedelta(seconds=wait_s)


def test_a_plan_that_failed_is_tried_again_soon() -> None:
    assert next_plan(LAST, None, Wants(), LAST, failed=True) == LAST + timedelta(seconds=20)


def test_a_clock_that_was_set_back_does_not_wait_for_the_future() -> None:
    now = LAST - timedelta(hours=5)
    assert next_plan(LAST, ENDS, Wants(), now) == now


def test_waits_are_bounded_both_ways() -> None:
    assert seconds(LAST, LAST - timedelta(days=1)) == 1
    assert seconds(LAST, LAST + timedelta(days=1)) == 1800
