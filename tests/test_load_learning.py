"""The usual load is learned from the history once, kept, and continued after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.export.load_profile import HalfHours
from agent.journal import Journal, Sample
from agent.load_learning import STATE_NAME, LoadLearner

LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 7, 1, 12, 40, tzinfo=UTC)  # 13:40 in London


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = await Journal.open(tmp_path / "journal.sqlite3")
    yield journal
    await journal.close()


def note(journal: Journal, begins: datetime, load_w: float, minutes: int = 30) -> None:
    for number in range(minutes * 12):
        at = begins.timestamp() + 5 * number
        journal.note_sample(Sample(at, load_w=load_w))


async def test_each_half_hour_is_learned_once_and_kept(journal: Journal) -> None:
    note(journal, NOW - timedelta(minutes=70), 300)
    note(journal, NOW - timedelta(minutes=40), 500)
    note(journal, NOW - timedelta(minutes=10), 9000, minutes=10)
    learner = LoadLearner(journal)
    await learner.learn(NOW, LONDON)
    assert learner.profile.usual_w[25:28] == (300, 500, None)
    again = LoadLearner(journal)
    await again.learn(NOW + timedelta(minutes=5), LONDON)
    assert again.profile == learner.profile
    note(journal, NOW, 700, minutes=20)
    await again.learn(NOW + timedelta(minutes=20), LONDON)
    assert again.profile.usual_w[27] == pytest.approx((9000 * 120 + 700 * 240) / 360)


async def test_a_record_that_cannot_be_read_begins_anew(journal: Journal) -> None:
    await journal.save_state(STATE_NAME, {"usual_w": "?", "until": 7}, NOW)
    note(journal, NOW - timedelta(minutes=40), 500)
    learner = LoadLearner(journal)
    await learner.learn(NOW, LONDON)
    assert learner.profile.usual_w[26] == 500


async def test_the_load_of_now_is_known_before_anything_was_learned(journal: Journal) -> None:
    learner = LoadLearner(journal)
    assert not learner.expected(NOW, LONDON, [])
    load = learner.expected(NOW, LONDON, [Sample(0, load_w=200), Sample(5), Sample(9, load_w=400)])
    first = load.at(NOW)
    assert first is not None
    assert first.value == 300


def test_half_hours_that_were_hardly_seen_teach_nothing() -> None:
    seen = HalfHours()
    for number in range(179):
        seen.add(5.0 * number, 100.0)
    seen.add(1800.0, None)
    assert list(seen.means()) == []
    seen.add(1700.0, 100.0)
    assert list(seen.means()) == [(datetime.fromtimestamp(0, UTC), 100.0)]
