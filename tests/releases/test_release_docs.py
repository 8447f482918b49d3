"""docs/firmware.md names every state, code and event that a user can meet, and no others."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

from agent.firmware.policy.models import Ack, Code
from agent.firmware.trust.models import EventKind, Freshness
from agent.releases.memory import ReleaseEvent
from agent.surface.release_notifications import tells
from agent.surface.release_view import Standing

DOCS = Path(__file__).parents[2] / "docs"


def table(file: str, head: str) -> set[str]:
    """Return the first words of a table, by the head of its first column."""
    text = (DOCS / file).read_text(encoding="utf-8")
    rows = text.partition(f"\n| {head} |")[2].partition("\n\n")[0]
    return set(re.findall(r"^\| `([\w-]+)` \|", rows, re.MULTILINE))


@pytest.mark.parametrize(
    ("head", "words"),
    [("state", Freshness), ("event", EventKind), ("update", Standing), ("code", Code)],
)
def test_every_word_is_explained_and_no_other(head: str, words: type[StrEnum]) -> None:
    assert table("firmware.md", head) == {it.value for it in words}


def test_every_acknowledgement_is_named() -> None:
    text = (DOCS / "firmware.md").read_text(encoding="utf-8")
    assert {it.value for it in Ack if f"`{it.value}`" not in text} == set()


def test_every_event_of_the_journal_and_every_notification_is_documented() -> None:
    text = (DOCS / "logging.md").read_text(encoding="utf-8")
    section = text.partition("## Events of releases")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(ReleaseEvent)
    wall = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    told = {it.value for it in EventKind if f"`pv_edge_release_{it.value}_…`" in wall}
    assert told == {it.value for it in EventKind if tells(it)}
