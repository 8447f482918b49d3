"""
What may be forgotten, and when: after two years, by two clocks that both say so.

A wall clock that jumps must not erase evidence, so age is also counted in lived time: seconds
that this journal has really been open, added up over all starts. An event goes when two years
have been lived since it was written and the wall clock, too, has it two years behind both now and
the newest event. Lived time is never more than real time, so whatever jumps, nothing goes early.
A bound by count is the safety net against a flood.

Every hour a mark notes how far the ids had come and the latest time among them. Marks tell which
ids are old, and let a search by time skip what lies before without an index on every event.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

FIRST_ID_SINCE = (
    "COALESCE((SELECT last_id FROM marks WHERE latest_s < ? ORDER BY lived_s DESC LIMIT 1), 0)"
)
"""Events up to this id are all older than the time that is put in."""
MARK_EVERY_S = 3600
_WORTH_A_MARK_S = 60
"""Lived since the last mark; less is not worth a commit at the end."""
_AT_ONCE = 2000
"""Deleted in one go; several times what can come in between two tidyings."""
_BY_COUNT = (
    "DELETE FROM events WHERE id IN (SELECT id FROM events "
    "WHERE id <= (SELECT MAX(id) FROM events) - ? ORDER BY id LIMIT ?)"
)
_BY_AGE = (
    "DELETE FROM events WHERE id IN "
    "(SELECT id FROM events WHERE id <= ? AND at_s < ? ORDER BY id LIMIT ?)"
)


class Bounds:
    """Counts lived time and lets go of what is beyond the bounds."""

    def __init__(
        self,
        keep_events: int,
        keep_events_s: float,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._keep_events = keep_events
        self._keep_events_s = keep_events_s
        self._monotonic = monotonic
        self._wall = wall
        self._began_s = monotonic()
        self._lived_before_s = 0.0
        self._marked_s = 0.0

    def begin(self, db: sqlite3.Connection) -> None:
        """Go on counting where the last start ended."""
        self._began_s = self._monotonic()
        (lived_s,) = db.execute("SELECT COALESCE(MAX(lived_s), 0) FROM marks").fetchone()
        self._lived_before_s = self._marked_s = float(lived_s)

    @property
    def lived_s(self) -> float:
        """Seconds that this journal has been open, over all starts."""
        return self._lived_before_s + max(0.0, self._monotonic() - self._began_s)

    def due(self, *, ending: bool = False) -> bool:
        """Return True when it is time for a mark."""
        return self.lived_s - self._marked_s >= (_WORTH_A_MARK_S if ending else MARK_EVERY_S)

    def too_many(self, db: sqlite3.Connection) -> bool:
        """Return True when the count is beyond its bound."""
        row = db.execute("SELECT (SELECT MAX(id) FROM events) - (SELECT MIN(id) FROM events)")
        return int(row.fetchone()[0] or 0) >= self._keep_events

    def mark(self, db: sqlite3.Connection) -> None:
        """Note how far ids and times have come; inside a transaction."""
        lived_s = int(self.lived_s)
        before = db.execute(
            "SELECT last_id, latest_s FROM marks ORDER BY lived_s DESC LIMIT 1"
        ).fetchone()
        last_id, latest_s = before or (0, None)
        newest, latest_new_s = db.execute(
            "SELECT MAX(id), MAX(at_s) FROM events WHERE id > ?", (last_id,)
        ).fetchone()
        times = [each for each in (latest_s, latest_new_s) if each is not None]
        db.execute(
            "INSERT OR REPLACE INTO marks (lived_s, last_id, latest_s) VALUES (?, ?, ?)",
            (lived_s, newest or last_id, max(times, default=None)),
        )
        self._marked_s = float(lived_s)

    def put_off(self) -> None:
        """Try again in an hour: the disk does not take it now."""
        self._marked_s = self.lived_s

    def let_go(self, db: sqlite3.Connection) -> bool:
        """Delete what is beyond the bounds; True when there may be more; inside a transaction."""
        gone = db.execute(_BY_COUNT, (self._keep_events, _AT_ONCE)).rowcount
        old = db.execute(
            "SELECT lived_s, last_id FROM marks WHERE lived_s <= ? ORDER BY lived_s DESC LIMIT 1",
            (self.lived_s - self._keep_events_s,),
        ).fetchone()
        if old is not None:
            (newest_s,) = db.execute(
                "SELECT COALESCE((SELECT at_s FROM events ORDER BY id DESC LIMIT 1), 0)"
            ).fetchone()
            oldest_s = min(newest_s, self._wall()) - self._keep_events_s
            gone = max(gone, db.execute(_BY_AGE, (old[1], oldest_s, _AT_ONCE)).rowcount)
            db.execute("DELETE FROM marks WHERE lived_s < ?", (old[0],))
        return gone >= _AT_ONCE
