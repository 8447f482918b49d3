"""docs/firmware.md names every stage, verdict and event of an update, and no others."""

from __future__ import annotations

import pytest

from agent.firmware.job.models import Result, Stage
from agent.flashing.bus import bus_events
from agent.flashing.views import NEXT_STEPS
from agent.surface.flash_notifications import TITLES
from tests.flashing import test_bus
from tests.releases.test_release_docs import DOCS, table


@pytest.mark.parametrize(("head", "words"), [("stage", Stage), ("verdict", Result)])
def test_every_word_is_explained_and_no_other(head: str, words: type[Stage | Result]) -> None:
    assert table("firmware.md", head) == {it.value for it in words}


def test_every_verdict_has_a_next_step_and_every_bad_one_a_notification() -> None:
    assert NEXT_STEPS.keys() == set(Result)
    assert TITLES.keys() == {it.value for it in Result} - {"confirmed"}
    assert "`pv_edge_flash_…`" in (DOCS / "troubleshooting.md").read_text(encoding="utf-8")


def test_every_event_of_the_bus_is_documented() -> None:
    kinds = {kind for before, now in test_bus.pairs() for kind, _ in bus_events(before, now)}
    assert table("firmware.md", "event of the bus") == kinds
