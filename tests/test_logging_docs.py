"""Every kind of event that guard and fleet can write is documented, and nothing else is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.export.commitments import Purpose
from agent.fleet.events import EventKind
from agent.house.port import WriteStatus

ROOT = Path(__file__).parents[1]
VALUES = {
    # What stands behind the braces of a kind that is put together.
    "status.value": {each.value for each in WriteStatus} - {WriteStatus.DELIVERED.value},
    "purpose.value": {Purpose.DISCHARGE.value, Purpose.CHARGE.value},
    "wish.purpose.value": {each.value for each in Purpose} - {Purpose.COMMISSIONING.value},
}


def kinds_of(expression: ast.expr) -> Iterator[str]:
    """Yield the kinds that an expression can be; fails for what cannot be read off."""
    match expression:
        case ast.Constant(value=str(kind)):
            yield kind
        case ast.IfExp(body=one, orelse=other):
            yield from kinds_of(one)
            yield from kinds_of(other)
        case ast.JoinedStr(values=parts):
            found = [""]
            for part in parts:
                more = (
                    VALUES[ast.unparse(part.value)]
                    if isinstance(part, ast.FormattedValue)
                    else set(kinds_of(part))
                )
                found = [f"{head}{tail}" for head in found for tail in sorted(more)]
            yield from found
        case _:
            raise AssertionError(f"which kind is {ast.unparse(expression)}?")


def said() -> set[str]:
    found: set[str] = set()
    for path in sorted((ROOT / "agent" / "export").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            hands_on = ast.unparse(node.args[0]) in {"kind", "action"} if node.args else True
            if node.func.attr in {"say", "did"} and not hands_on:
                found |= set(kinds_of(node.args[0]))
    return found


def documented(of: str = "guard") -> set[str]:
    text = (ROOT / "docs" / "logging.md").read_text()
    table = text.partition(f"## Events of the {of}")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_every_kind_is_documented_and_every_documented_kind_exists() -> None:
    assert len(said()) > 25
    assert documented() == said()


def test_every_kind_of_the_fleet_is_documented_and_nothing_else_is() -> None:
    assert documented("fleet") == {str(kind) for kind in EventKind}


def test_a_kind_that_nobody_can_read_off_fails_here() -> None:
    with pytest.raises(AssertionError, match="which kind"):
        list(kinds_of(ast.parse("f(x)", mode="eval").body))


def test_every_notification_is_documented() -> None:
    from agent.surface.notification_rules import KINDS  # noqa: PLC0415 - the other test needs none

    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert {kind.id for kind in KINDS.values() if f"| `{kind.id}` |" not in text} == set()
