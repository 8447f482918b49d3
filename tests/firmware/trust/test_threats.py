"""Every threat that this room answers has a test with its number, so that none gets lost."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

THREATS = (
    *(f"a{n:02}" for n in range(9)),  # arbitrary and changed documents
    *(f"a{n:02}" for n in range(10, 14)),  # rollback
    *(f"a{n:02}" for n in range(20, 26)),  # freeze
    *(f"a{n:02}" for n in range(30, 35)),  # thresholds and channels
    *(f"a{n:02}" for n in range(40, 48)),  # rotation, revocation, fast-forward
    *(f"a{n:02}" for n in range(50, 54)),  # mix and match, role confusion
    *(f"a{n:02}" for n in range(60, 66)),  # hostile bytes, hostile sticks
    *(f"n{n:02}" for n in range(12)),  # network
    *(f"x{n:02}" for n in range(1, 10)),  # resources and crashes; x10 is the image store's
    "r01", "r02",  # redirects
    *(f"p{n:02}" for n in range(1, 16)),  # time
)  # fmt: skip


@cache
def ids_of_tests() -> set[str]:
    found: set[str] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found |= set(re.findall(r"(?<=_)[anxrp]\d\d(?=_)", node.name))
    return found


@pytest.mark.parametrize("threat", THREATS)
def test_a_threat_has_its_test(threat: str) -> None:
    assert threat in ids_of_tests()


def test_no_test_names_a_threat_that_is_not_in_the_table() -> None:
    assert ids_of_tests() <= set(THREATS)
