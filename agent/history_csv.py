"""
The journal as a table that any spreadsheet opens, and none of them runs.

Events and samples leave page by page, so a year of history needs no more memory than an hour.
Times are ISO with their offset, units stand in the names of the columns. Names of devices and
people reach the texts of events; a spreadsheet takes a text that begins like a formula for one,
so such a text gets an apostrophe in front.

Source: OWASP, "CSV Injection"; RFC 4180.
"""

from __future__ import annotations

import csv as table
import io
import json
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import datetime
from typing import Literal

from agent.journal import Event, Journal, Sample
from agent.journal_codec import SAMPLE_COLUMNS

What = Literal["events", "samples"]
EVENT_COLUMNS = ("id", "at", "kind", "text", "data_json")
_EVENTS_PER_PIECE = 500
_FORMULA_SIGNS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""The last four are the full-width forms, which a spreadsheet may take too."""


async def csv(
    journal: Journal,
    what: What,
    since: datetime,
    until: datetime,
    kinds: Collection[str] | None = None,
) -> AsyncIterator[str]:
    """
    Yield a header and then the rows of a half-open span, in pieces of whole lines.

    Events come in the order they were recorded, with the offset they were recorded with; samples
    in the order they were noted, with the offset of `since`. With `kinds`, only events of these.

    Raises:
        JournalError: the journal cannot be read (any further).
        ValueError: a time does not know its zone, or there is no table of that name.
    """
    if since.tzinfo is None or until.tzinfo is None:
        raise ValueError(f"a span must know its zone: {since.isoformat()} to {until.isoformat()}")
    if what == "events":
        yield _lines([EVENT_COLUMNS])
        last_id = 0
        # The end is looked for here: in SQL, the last page would read all that came after it,
        # and whatever has to be on disk would wait for that. Clocks jump: none is the last.
        while page := await journal.events(since, kinds, _EVENTS_PER_PIECE, last_id):
            last_id = page[-1].id
            if rows := [_event_row(event) for event in page if event.at < until]:
                yield _lines(rows)
    elif what == "samples":
        yield _lines([SAMPLE_COLUMNS])
        async for block in journal.sample_blocks(since, until):
            yield _lines(_sample_row(sample, since) for sample in block)
    else:
        raise ValueError(f"there is no table {what!r}; ask for 'events' or 'samples'")


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula, and that every encoding takes."""
    encodable = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return f"'{encodable}" if encodable.lstrip(" ").startswith(_FORMULA_SIGNS) else encodable


def _event_row(event: Event) -> Sequence[object]:
    data = dict(event.data)
    text = data.pop("text", "")
    at = event.at.isoformat(timespec="milliseconds")
    return (event.id, at, harmless(event.kind), harmless(str(text)), json.dumps(data))


def _sample_row(sample: Sample, since: datetime) -> Sequence[object]:
    at = datetime.fromtimestamp(sample.at, since.tzinfo).isoformat(timespec="milliseconds")
    values = (getattr(sample, name) for name in SAMPLE_COLUMNS[1:])
    return (at, *(_number(value) for value in values))


def _number(value: float | None) -> float | None:
    return int(value) if value is not None and value.is_integer() else value


def _lines(rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO(newline="")
    table.writer(buffer).writerows(rows)
    return buffer.getvalue()
