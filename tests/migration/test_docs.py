"""docs/migration.md tells of every old setting what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.migration.mapping import EXPORT_MONITOR, NOT_OURS, PVAUTONOMY_OPS

GUIDE = (Path(__file__).parents[2] / "docs/migration.md").read_text()
RULES = {**EXPORT_MONITOR, **PVAUTONOMY_OPS}


def row_of(old_key: str) -> list[str]:
    """Return the cells of the table's row that names an old setting first."""
    rows = [line.strip("| ").split(" | ") for line in GUIDE.splitlines() if line.startswith("| `")]
    return next((cells for cells in rows if f"`{old_key}`" in cells[0]), [])


@pytest.mark.parametrize("old_key", sorted(RULES))
def test_the_row_of_an_old_setting_names_what_it_becomes(old_key: str) -> None:
    new = row_of(old_key)[1]
    rule = RULES[old_key]
    summed_up = "`entities.…` of the same purpose" in new or "the same" in new
    assert f"`{rule.key}`" in new or summed_up
    assert ("not ticked" in new) is not rule.chosen


@pytest.mark.parametrize("old_key", sorted(NOT_OURS))
def test_what_is_left_stands_there_as_left(old_key: str) -> None:
    assert row_of(old_key)[1] == "-"
