"""
`python -m agent replay`: the record in a data directory, decided again.

Reads only, also while an agent writes there. Exit 0 when everything recorded led to the same, bit
for bit; 1 when a look did not, or could not be read; 2 when there is nothing to replay.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from agent.export.provenance import present
from agent.export.record import opens_chapter, read
from agent.export.recorder import DECISIONS_NAME
from agent.export.replay import Report, replay

EXIT_DIFFERENT = 1
EXIT_NOTHING = 2


def command(folder: Path, since: datetime | None, *, as_json: bool) -> int:
    """Replay for the command line, print what came of it, and return the exit code."""
    path = folder / DECISIONS_NAME
    if not path.exists():
        return _nothing(f"no decisions are recorded in {folder}: {DECISIONS_NAME} is not there")
    try:
        report = replay(read(pages(path, since)))
    except sqlite3.Error as error:
        return _nothing(f"{path} cannot be read ({error}); copy it elsewhere and try again")
    if not report.looks and not report.unreadable:
        return _nothing(f"{path} holds no decision yet; an agent at rest writes every five minutes")
    sys.stdout.write((json.dumps(told(report)) if as_json else table(report)) + "\n")
    return 0 if report.exact else EXIT_DIFFERENT


def pages(path: Path, since: datetime | None = None) -> Iterator[tuple[int, bytes]]:
    """
    Yield number and bytes of each page, oldest first.

    Args:
        path: the file of the record.
        since: begin with the chapter that holds this moment; `None` begins with the oldest.

    Raises:
        sqlite3.Error: the file cannot be read.
    """
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        first = 0
        if since is not None:
            query = "SELECT id, substr(data, 1, 2) FROM blocks WHERE first_s <= ? ORDER BY id"
            begins = db.execute(query, (since.timestamp(),))
            first = max((number for number, head in begins if opens_chapter(head)), default=0)
        yield from db.execute("SELECT id, data FROM blocks WHERE id >= ? ORDER BY id", (first,))


def told(report: Report) -> dict[str, object]:
    """Return a report as plain data."""
    return {
        "exact": report.exact,
        "looks": report.looks,
        "differences": report.differences,
        "first_difference": asdict(report.first) if report.first else None,
        "unreadable_pages": [asdict(each) for each in report.unreadable],
        "chapters": report.chapters,
        "gaps": report.gaps,
        "commands": report.commands,
        "events": report.events,
        "from": report.first_at,
        "to": report.last_at,
        "recorded_by": [asdict(each) for each in report.recorded_by],
        "replayed_by": asdict(present()),
    }


def table(report: Report) -> str:
    """Return a report for people."""
    span = f"from {report.first_at or '-'} to {report.last_at or '-'}"
    anew = "begin anew (a start of the agent, or looks that were not recorded)"
    lines = [
        f"{report.looks} looks {span}, {report.commands} commands, {report.events} events",
        f"{report.chapters} chapters, {report.gaps} of them {anew}",
    ]
    lines += [
        f"other code: recorded by {each}; replayed by {present()}. Differences may come from that."
        for each in report.other_code
    ]
    lines += [f"page {each.page} and the rest of its chapter cannot be replayed: {each.why}"
              for each in report.unreadable]  # fmt: skip
    if report.first is not None:
        first = report.first
        lines.append(
            f"{report.differences} looks differ, the first is look {first.look} at {first.at} "
            f"(page {first.page}): {first.what}"
        )
    elif not report.unreadable:
        lines.append("every look led to the same commands, events and state, bit for bit")
    return "\n".join(lines)


def _nothing(text: str) -> int:
    sys.stderr.write(f"pv-edge-agent: {text}\n")
    return EXIT_NOTHING
