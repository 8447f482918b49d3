"""
Help over HTTP: the doctor, the diagnostics, the settings as a file, the notifications.

All of it is for administrators. What takes long tells its progress line by line, so that nobody
stares at a page that seems dead. An imported file is taken as a whole or not at all, and it never
switches the agent to control: that stays a decision of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, Protocol

from aiohttp import web

from agent import __version__
from agent.settings import SettingError
from agent.surface.desk import SettingsDesk
from agent.surface.web.auth import Access, Allowed, Refused
from agent.surface.web.operations import Imported, Said, SettingsFile, described
from agent.surface.web.records import KINDS, some_kinds

FORMAT = "pv-edge-agent settings"
FORMAT_VERSION = 1
_LOG = logging.getLogger(__name__)

MOST_DAYS = 800
_DAYS = {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_DAYS, "default": 7}
_TABLE: dict[str, dict[str, Any]] = {
    "what": {
        "enum": ["events", "samples"],
        "default": "events",
        "description": "What the table holds: events, or the chart's points.",
    },
    "days": {**_DAYS, "description": "How far back."},
    "kinds": KINDS,
}
Table = Literal["events", "samples"]
Admit = Callable[[web.Request, Access, str], Awaitable[Allowed]]
Note = Callable[[str, str, str], None]


class SupportDesk(Protocol):
    """What helps a person, as seen from the page."""

    async def doctor(self, progress: Callable[[str, float], None]) -> dict[str, Any]:
        """Examine the set-up and return the report as JSON; tells its progress."""
        ...

    async def diagnostics(self) -> dict[str, Any]:
        """Return the redacted document for a report."""
        ...

    async def clear_notifications(self) -> int:
        """Put every notification away; raises `OSError` in words when Core cannot be asked."""
        ...

    def csv(
        self, what: Table, days: float, kinds: tuple[str, ...] | None = None
    ) -> AsyncIterator[str]:
        """Yield a table of the journal's last days, in pieces of whole lines; all or some kinds."""
        ...


@dataclass(slots=True)
class SupportApi:
    """The handlers and what they work on."""

    desk: SupportDesk | None
    settings: SettingsDesk
    admit: Admit
    audit: Note
    refuse: Callable[[Refused], NoReturn]
    _examining: asyncio.Lock = field(default_factory=asyncio.Lock)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; those that need a desk only where there is one."""
        always = [
            web.get("/api/settings/export", self.export_settings),
            web.post("/api/settings/import", self.import_settings),
        ]
        if self.desk is None:
            return always
        return [
            *always,
            web.get("/api/doctor", self.doctor),
            web.get("/api/diagnostics", self.diagnostics),
            web.get("/api/journal.csv", self.csv),
            web.post("/api/notifications/clear", self.clear_notifications),
        ]

    @described(Access.ADMIN, "application/x-ndjson")
    async def doctor(self, request: web.Request) -> web.StreamResponse:
        """Examine the set-up; one JSON object per line, progress first and the report last."""
        allowed = await self.admit(request, Access.ADMIN, "doctor")
        if self._examining.locked():
            text = "The doctor is at work already; wait for its report."
            self.refuse(Refused("busy", 503, text))
        self.audit(allowed.by, "doctor", "begun")
        async with self._examining:
            return await self._examine(request)

    async def _examine(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "application/x-ndjson", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        def progress(doing: str, percent: float) -> None:
            lines.put_nowait({"doing": doing, "percent": percent})

        async def examine() -> None:
            assert self.desk is not None  # noqa: S101 - else there is no such route
            lines.put_nowait({"report": await self.desk.doctor(progress)})

        work = asyncio.create_task(examine())
        work.add_done_callback(lambda _: lines.put_nowait({}))
        try:
            while line := await lines.get():
                await response.write(json.dumps(line).encode() + b"\n")
            if error := work.exception():
                _LOG.error("The doctor failed", exc_info=error)
                failed = {"failed": "The check-up failed; see the agent's log."}
                await response.write(json.dumps(failed).encode() + b"\n")
        except ConnectionResetError:
            pass  # who asked has left; nobody needs the report
        finally:
            work.cancel()
        return response

    @described(Access.ADMIN, dict[str, Any])
    async def diagnostics(self, request: web.Request) -> web.Response:
        """Return the redacted document as a file."""
        allowed = await self.admit(request, Access.ADMIN, "diagnostics")
        assert self.desk is not None  # noqa: S101 - else there is no such route
        self.audit(allowed.by, "diagnostics", "downloaded")
        return _file("pv-edge-agent-diagnostics.json", await self.desk.diagnostics())

    @described(Access.ADMIN, "text/csv", query=_TABLE)
    async def csv(self, request: web.Request) -> web.StreamResponse:
        """Return events or samples of the last days as a table for a spreadsheet."""
        allowed = await self.admit(request, Access.ADMIN, "journal.csv")
        assert self.desk is not None  # noqa: S101 - else there is no such route
        what: Table = "samples" if request.query.get("what") == "samples" else "events"
        try:
            days = float(request.query.get("days", "7"))
        except ValueError:
            days = math.nan
        if not 0 < days <= MOST_DAYS:
            text = f"days must be above 0 and at most {MOST_DAYS}; for example 7."
            self.refuse(Refused("bad_request", 400, text))
        try:
            kinds = some_kinds(request.query)
        except ValueError as error:
            self.refuse(Refused("bad_request", 400, f"{error}."))
        self.audit(allowed.by, f"{what}.csv", "downloaded")
        headers = {
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="pv-edge-agent-{what}.csv"',
        }
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):  # who asked has left
            async for piece in self.desk.csv(what, days, kinds):
                await response.write(piece.encode())
        return response

    @described(Access.ADMIN, SettingsFile)
    async def export_settings(self, request: web.Request) -> web.Response:
        """Return every setting as a file that the import takes."""
        allowed = await self.admit(request, Access.ADMIN, "export settings")
        self.audit(allowed.by, "export settings", "downloaded")
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "agent": __version__,
            "settings": self.settings.current(),
        }
        return _file("pv-edge-agent-settings.json", document)

    @described(Access.ADMIN, Imported, SettingsFile)
    async def import_settings(self, request: web.Request) -> web.Response:
        """Take every setting of a file, or none."""
        allowed = await self.admit(request, Access.ADMIN, "import settings")
        try:
            wanted, left_out = self._wanted(await request.read())
            values = await self.settings.update(wanted, by=allowed.by)
        except SettingError as error:
            self.audit(allowed.by, "import settings", f"invalid: {error.key}")
            body = {"code": "invalid", "key": error.key, "text": str(error)}
            return web.json_response(body, status=400)
        self.audit(allowed.by, "import settings", f"{len(wanted)} settings")
        text = f"{len(wanted)} settings were imported."
        if left_out:
            text += " The mode stays observe: switch to control yourself when you have checked."
        return web.json_response(
            {"text": text, "values": values, "fields": self.settings.describe()}
        )

    def _wanted(self, raw: bytes) -> tuple[dict[str, Any], bool]:
        """Return the settings of a file, and whether its mode was left out."""
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, Mapping) or document.get("format") != FORMAT:
            raise SettingError(
                "", "This is no file of exported settings; export one on this page. Nothing changed"
            )
        if document.get("format_version") != FORMAT_VERSION:
            raise SettingError(
                "", "The file was made by another version of the agent; update it. Nothing changed"
            )
        settings = document.get("settings")
        if not isinstance(settings, Mapping) or not settings:
            raise SettingError("", "The file holds no settings; export it again. Nothing changed")
        wanted = dict(settings)
        switches_on = (
            wanted.get("mode") == "control" and self.settings.current()["mode"] != "control"
        )
        if switches_on:
            del wanted["mode"]
        return wanted, switches_on

    @described(Access.ADMIN, Said)
    async def clear_notifications(self, request: web.Request) -> web.Response:
        """Put every notification of ours away."""
        allowed = await self.admit(request, Access.ADMIN, "clear notifications")
        assert self.desk is not None  # noqa: S101 - else there is no such route
        try:
            await self.desk.clear_notifications()
        except OSError as error:
            self.audit(allowed.by, "clear notifications", "failed")
            return web.json_response({"code": "no_link", "text": str(error)}, status=503)
        self.audit(allowed.by, "clear notifications", "cleared")
        return web.json_response({"text": "The agent's notifications were put away."})


def _file(name: str, document: dict[str, Any]) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.json_response(
        document, headers=headers, dumps=lambda value: json.dumps(value, indent=1)
    )
