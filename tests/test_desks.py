"""What the desk remembers of the day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.desks import Reception
from agent.journal import Journal, JournalLimits, Sample

NOW = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)
LIMITS = JournalLimits(unwritten_samples=100_000)
"""A day is noted in a moment here."""


class StillGuard:
    def subscribe(self, _wake: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


async def test_after_a_restart_the_day_is_there_a_point_a_minute_before_the_last_hour(
    tmp_path: Path,
) -> None:
    journal = await Journal.open(tmp_path / "journal.sqlite3", LIMITS)
    end = NOW.timestamp()
    for n in range(26 * 720):
        journal.note_sample(Sample(end - 5.0 * (26 * 720 - n), pv_w=float(n % 12)))
    hour_ago = NOW - timedelta(hours=1)
    desk = Reception(StillGuard(), journal)  # type: ignore[arg-type]
    desk.recall(await journal.samples(hour_ago, NOW))
    await desk.recall_day(NOW)
    points = desk.history(86_400)
    await journal.close()
    times = [point.at for point in points]
    assert times == sorted(times)
    assert len([at for at in times if at >= hour_ago.timestamp()]) == 720
    earlier = [point for point in points if point.at < hour_ago.timestamp()]
    assert 23 * 60 <= len(earlier) < 23 * 60 + 40  # a block of the journal may end within one
    assert earlier[-1].pv_w == 5.5  # the average of its minute
