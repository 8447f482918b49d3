"""The benchmark of replays can miss its targets, and says which."""

from __future__ import annotations

import pytest

from benchmarks.replay import missed

FOUND = {
    "looks": 100,
    "looks_replayed": 100,
    "differences": 0,
    "unreadable_pages": 0,
    "two_weeks_bytes": 10,
    "bound_bytes": 20,
}


def test_a_run_without_a_difference_misses_nothing() -> None:
    assert missed(FOUND) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("looks_replayed", 99, "99 of 100 looks were replayed"),
        ("differences", 1, "1 looks differ"),
        ("unreadable_pages", 1, "1 pages unreadable"),
        ("two_weeks_bytes", 21, "two weeks take 21 bytes"),
    ],
)
def test_what_is_not_as_it_has_to_be_is_told(name: str, value: int, words: str) -> None:
    (text,) = missed({**FOUND, name: value})
    assert words in text
