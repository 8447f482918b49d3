"""docs/firmware.md names every stage, verdict and event of an update, and no others."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from agent.firmware.job.models import ORDER, Result, Stage, Way
from agent.flashing.bus import bus_events
from agent.flashing.views import CABLE_STEPS, NEXT_STEPS
from agent.surface.flash_notifications import CABLE_TITLES, TITLES
from tests.flashing import test_bus
from tests.releases.test_release_docs import DOCS, table


@pytest.mark.parametrize(
    ("file", "head", "words"),
    [
        ("firmware.md", "stage", ORDER[Way.OTA]),
        ("recovery.md", "stage", ORDER[Way.SERIAL]),
        ("firmware.md", "verdict", Result),
    ],
)
def test_every_word_is_explained_and_no_other(
    file: str, head: str, words: Iterable[Stage | Result]
) -> None:
    assert table(file, head) == {it.value for it in words}


def test_every_verdict_has_a_next_step_and_every_bad_one_a_notification() -> None:
    assert NEXT_STEPS.keys() == set(Result)
    assert TITLES.keys() == {it.value for it in Result} - {"confirmed"}
    by_cable = {Result.UNCHANGED, Result.LOST, Result.AMBIGUOUS}
    assert CABLE_STEPS.keys() == by_cable
    assert CABLE_TITLES.keys() == {it.value for it in by_cable}
    assert "`pv_edge_flash_…`" in (DOCS / "troubleshooting.md").read_text(encoding="utf-8")


def test_every_event_of_the_bus_is_documented() -> None:
    kinds = {kind for before, now in test_bus.pairs() for kind, _ in bus_events(before, now)}
    assert table("firmware.md", "event of the bus") == kinds
