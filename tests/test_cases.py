"""Every case of the table of pitfalls has its tests, and none of them has vanished."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CASES = [str(number) for number in range(1, 41)]
DEFECTS = [f"D-{number:02}" for number in range(1, 50)]
OLD_BRIDGES = [f"PV-{number:02}" for number in (*range(1, 13), 14, 17, 18, 19, 20)]
NOT_APPLICABLE = ["PV-13", "PV-16", "PV-21"]
ROWS = {
    label: set(re.findall(r"`(test_\w+)`", tests))
    for label, tests in re.findall(
        r"^\| (\d+|(?:D|PV)-\d+) \|[^|]+\|([^|]*)\|$",
        (ROOT / "docs/cases.md").read_text(),
        re.MULTILINE,
    )
}


@cache
def functions() -> set[str]:
    """Return the names of all test functions."""
    sources = (path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py")))
    return {
        name
        for text in sources
        for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE)
    }


def test_the_table_has_every_case_once_and_in_order() -> None:
    assert list(ROWS) == CASES + DEFECTS + OLD_BRIDGES


@pytest.mark.parametrize("label", CASES + DEFECTS + OLD_BRIDGES)
def test_a_case_has_tests_that_exist(label: str) -> None:
    assert ROWS[label]
    assert ROWS[label] - functions() == set(), "a test of this case has vanished"


def test_what_does_not_apply_has_its_line() -> None:
    text = (ROOT / "docs/cases.md").read_text()
    assert re.findall(r"^- (PV-\d+): .+\.$", text, re.MULTILINE) == NOT_APPLICABLE
