"""Every threat of the table has a test with its number in its name, so that none gets lost."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest


def numbered(group: str, *ranges: tuple[int, int]) -> list[str]:
    """Return `a00`, `a01` … for ranges with both ends."""
    return [f"{group}{n:02}" for first, last in ranges for n in range(first, last + 1)]


THREATS = {
    "changed documents and images": numbered("a", (0, 8)),
    "rollback of metadata": numbered("a", (10, 13)),
    "freeze": numbered("a", (20, 25)),
    "thresholds and channels": numbered("a", (30, 34)),
    "rotation, revocation, fast-forward": numbered("a", (40, 47)),
    "mix and match, role confusion": numbered("a", (50, 53)),
    "hostile bytes, hostile sticks": numbered("a", (60, 65)),
    "network": numbered("n", (0, 11)),
    "resources and crashes": numbered("x", (1, 10)),
    "redirects": numbered("r", (1, 2)),
    "time and freshness": numbered("p", (1, 15)),
    "the decision": numbered("d", (1, 22), (99, 99)),
    "own builds and installers": numbered("l", (1, 8)),
    "documents": numbered("f", (1, 11)),
    "downloads": numbered("b", (1, 7)),
}
ALL = [threat for group in THREATS.values() for threat in group]


@cache
def in_names_of_tests() -> frozenset[str]:
    """Return the numbers that names of tests hold, here and where releases are offered."""
    found: set[str] = set()
    here = Path(__file__).parent
    for path in (*here.rglob("test_*.py"), *here.with_name("releases").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found |= set(re.findall(r"(?<=_)[a-z]\d\d(?=_)", f"{node.name}_"))
    return frozenset(found)


def test_the_table_has_a_hundred_and_thirty_threats() -> None:
    assert len(set(ALL)) == len(ALL) == 130


@pytest.mark.parametrize("threat", ALL)
def test_a_threat_has_its_test(threat: str) -> None:
    assert threat in in_names_of_tests()


def test_no_test_names_a_threat_that_is_not_in_the_table() -> None:
    assert in_names_of_tests() <= set(ALL)
