"""
The records over HTTP: the journal page by page, the report of the days, the mapping of entities.

All of it is reading, for any user who is logged in. Kinds and times are the only filters, because
ingress refuses addresses that look like an attack, and free text may look like anything.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime
from typing import Any, NoReturn

from aiohttp import web
from typing_extensions import TypedDict

from agent.compliance import Breach, DayReport
from agent.entity_checks import EntityCheck
from agent.journal import Event, JournalError
from agent.surface.desk import RecordsDesk, Wanted
from agent.surface.web.auth import Access, Refused
from agent.surface.web.operations import Refusal, described

MOST_EVENTS = 500
MOST_DAYS = 92
LONGEST_DATA = 4000
"""Signs; what one event has beyond is left out and said so: the table has it all."""
_MOST_KINDS = 50
KINDS: dict[str, Any] = {
    "type": "string",
    "pattern": "^[a-z0-9_]+(,[a-z0-9_]+)*$",
    "maxLength": 1000,
    "description": "Kinds of events, with commas; all without. docs/logging.md names them.",
}
_JOURNAL: dict[str, dict[str, Any]] = {
    "kinds": KINDS,
    "since": {"type": "string", "format": "date-time", "description": "Not before this moment."},
    "until": {"type": "string", "format": "date-time", "description": "Before this moment."},
    "before": {
        "type": "integer",
        "minimum": 1,
        "maximum": 2**53,
        "description": "Before the event with this id: `next` of the page before.",
    },
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_EVENTS,
        "default": 100,
        "description": "At most so many.",
    },
}
_REPORT: dict[str, dict[str, Any]] = {
    "days": {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_DAYS,
        "default": 7,
        "description": "So many days, today included.",
    }
}


class Line(TypedDict):
    """One event."""

    id: int
    at: str
    kind: str
    text: str
    data: dict[str, Any]


class Lines(TypedDict):
    """A page of the journal, newest first; `next` leads to the one before, if there is one."""

    events: list[Line]
    next: int | None


class Report(TypedDict):
    """The days, oldest first, and the moment the report was made."""

    at: str
    days: list[DayReport]


class Checked(TypedDict):
    """Every entity setting, and what the detection could not settle."""

    entities: list[EntityCheck]
    findings: list[str]


@dataclass(slots=True)
class RecordsApi:
    """The handlers and what they work on."""

    desk: RecordsDesk | None
    now: Callable[[], datetime]
    refuse: Callable[[Refused], NoReturn]
    _reporting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def routes(self) -> list[web.RouteDef]:
        """Return every route about records; none where nobody keeps them."""
        if self.desk is None:
            return []
        return [
            web.get("/api/journal", self.journal),
            web.get("/api/report", self.report),
            web.get("/api/report.csv", self.report_csv),
            web.get("/api/settings/entities", self.entities),
        ]

    @described(Access.VIEW, Lines, query=_JOURNAL, also={503: Refusal})
    async def journal(self, request: web.Request) -> web.Response:
        """Return what happened, newest first, page by page."""
        try:
            wanted = _wanted(request.query)
        except ValueError as error:
            self.refuse(Refused("bad_request", 400, f"{error}."))
        try:
            found = await self._desk.events(wanted)
        except JournalError as error:
            self.refuse(Refused("journal", 503, f"{error}."))
        last = found[-1].id if len(found) == wanted.limit else None
        return web.json_response({"events": [_line(it) for it in found], "next": last})

    @described(Access.VIEW, Report, query=_REPORT, also={503: Refusal})
    async def report(self, request: web.Request) -> web.Response:
        """
        Return limit, margin, operations, breaches and their causes of each day.

        What was not recorded of a day is null.
        """
        days = await self._days(request)
        body = {"at": self.now().isoformat(), "days": [asdict(day) for day in days]}
        return web.json_response(body, dumps=_dumps)

    @described(Access.VIEW, "text/csv", query=_REPORT, also={503: Refusal})
    async def report_csv(self, request: web.Request) -> web.Response:
        """Return the same as a table for a spreadsheet, a line for each day."""
        buffer = io.StringIO(newline="")
        table = csv.writer(buffer)
        table.writerow([column.name for column in fields(DayReport)])
        for day in await self._days(request):
            table.writerow([_cell(getattr(day, column.name)) for column in fields(DayReport)])
        headers = {"Content-Disposition": 'attachment; filename="pv-edge-agent-report.csv"'}
        return web.Response(text=buffer.getvalue(), content_type="text/csv", headers=headers)

    @described(Access.VIEW, Checked)
    async def entities(self, _request: web.Request) -> web.Response:
        """Return which entity stands for what, and whether it can."""
        return web.json_response(self._desk.entities())

    async def _days(self, request: web.Request) -> list[DayReport]:
        try:
            days = _whole(request.query.get("days", "7"), "days", MOST_DAYS)
        except ValueError as error:
            self.refuse(Refused("bad_request", 400, f"{error}."))
        if self._reporting.locked():
            text = "A report is being made already; wait for it."
            self.refuse(Refused("busy", 503, text))
        async with self._reporting:
            try:
                return await self._desk.report(days)
            except JournalError as error:
                self.refuse(Refused("journal", 503, f"{error}."))

    @property
    def _desk(self) -> RecordsDesk:
        assert self.desk is not None  # noqa: S101 - else there is no route that asks
        return self.desk


def _wanted(query: Any) -> Wanted:
    """Return what an address asks for; raises `ValueError` in words."""
    before = query.get("before")
    return Wanted(
        kinds=some_kinds(query),
        since=_moment(query, "since"),
        until=_moment(query, "until"),
        before_id=None if before is None else _whole(before, "before", 2**53),
        limit=_whole(query.get("limit", "100"), "limit", MOST_EVENTS),
    )


def some_kinds(query: Any) -> tuple[str, ...] | None:
    """Return the kinds that an address asks for, `None` for all; raises `ValueError` in words."""
    kinds = tuple(query["kinds"].split(",")) if query.get("kinds") else None
    if kinds and len(kinds) > _MOST_KINDS:
        raise ValueError(f"kinds are at most {_MOST_KINDS}; ask for all and leave kinds out")
    return kinds


def _whole(text: str, name: str, most: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(most)) else 0
    if not 1 <= number <= most:
        raise ValueError(f"{name} must be a whole number from 1 to {most}")
    return number


def _moment(query: Any, name: str) -> datetime | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None and moment.timestamp():
            return moment
    except (ValueError, OverflowError, OSError):
        pass
    raise ValueError(f"{name} must be a moment with its zone; for example 2026-06-21T00:00:00Z")


def _line(event: Event) -> Line:
    data = dict(event.data)
    text = str(data.pop("text", "") or _sentence(event))
    whole = json.dumps(data)
    # The journal keeps what is no number bit for bit; JSON has no word for it.
    data = json.loads(whole, parse_constant=lambda _: None)
    if len(whole) > LONGEST_DATA:
        data = {"left_out": "Too long for the page; the table of events has it."}
    return {
        "id": event.id, "at": event.at.isoformat(), "kind": event.kind, "text": text, "data": data,
    }  # fmt: skip


def _sentence(event: Event) -> str:
    """Return a text for the events that have none of their own."""
    if event.kind == "audit":
        return f"{event.data.get('by')}: {event.data.get('action')}: {event.data.get('outcome')}"
    return ""


def _cell(value: object) -> object:
    """Return a cell of the table; what comes from outside is quoted as a text."""
    if isinstance(value, dict):
        return "; ".join(f"{name} {number}" for name, number in sorted(value.items()))
    if isinstance(value, list):
        return "; ".join(_breach(each) for each in value)
    if isinstance(value, float):
        return round(value, 1)
    return value


def _breach(breach: Breach) -> str:
    return f"{breach.at.isoformat(timespec='seconds')} {breach.of} ({breach.cause}): {breach.text}"


def _dumps(value: object) -> str:
    def other(each: object) -> object:
        return each.isoformat() if isinstance(each, date) else str(each)

    return json.dumps(value, default=other)
