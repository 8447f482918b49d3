"""
The guard and its settings over HTTP.

Reading is free of effects and answered from memory. A wish is handed to the guard as it is; the
answer says whether it was taken, and a refusal says why and what to do (409). Every wish and
every change, also a refused one, is handed to the audit with the name of its author. A change that
arrives a second time is refused; a stop never is.
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aiohttp import web

from agent.export.requests import STOPS, Request, RequestKind
from agent.export.snapshot import GuardSnapshot
from agent.settings import SettingError
from agent.surface.cable_desk import RecoveryDesk
from agent.surface.desk import (
    BridgeDesks,
    FlashingDesk,
    GuardDesk,
    HistoryPoint,
    PlanDesk,
    RecordsDesk,
    ReleasesDesk,
    SettingsDesk,
)
from agent.surface.web.auth import Access, Allowed, Gate, Refused
from agent.surface.web.bridges import BridgesApi
from agent.surface.web.feed import Feed, TooManyListenersError
from agent.surface.web.flashing import FlashingApi
from agent.surface.web.migration import MigrationApi, MigrationDesk
from agent.surface.web.noting import STRANGER, Noted
from agent.surface.web.once import ONCE_HEADER, Once
from agent.surface.web.operations import Health, Refusal, Wish, described
from agent.surface.web.plan import PlanApi
from agent.surface.web.records import RecordsApi
from agent.surface.web.recovery import RecoveryApi
from agent.surface.web.releases import ReleasesApi
from agent.surface.web.shapes import Beside, History, SettingsTold, Told
from agent.surface.web.support import SupportApi, SupportDesk
from agent.surface.web.thinning import thinned

HEARTBEAT_S = 15.0
LONGEST_HISTORY_S = 86_400.0
LONGEST_ACTION = 500
_SECONDS = {
    "seconds": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": LONGEST_HISTORY_S,
        "default": 3600,
        "description": "How far back.",
    },
    "every": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": LONGEST_HISTORY_S,
        "description": "At most one point in so many seconds.",
    },
}
HISTORY_COLUMNS = tuple(HistoryPoint.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Desks:
    """Who else there may be beside guard and settings."""

    support: SupportDesk | None = None
    bridges: BridgeDesks | None = None
    releases: ReleasesDesk | None = None
    flashing: FlashingDesk | None = None
    recovery: RecoveryDesk | None = None
    migration: MigrationDesk | None = None
    records: RecordsDesk | None = None
    plan: PlanDesk | None = None


@dataclass(frozen=True, slots=True)
class Api:
    """The handlers and what they work on."""

    guard: GuardDesk
    settings: SettingsDesk
    gate: Gate
    audit: Noted
    feed: Feed
    heartbeat_s: float = HEARTBEAT_S
    desks: Desks = field(default_factory=Desks)
    once: Once = field(default_factory=Once)
    written: dict[str, Any] = field(default_factory=dict)
    """The document of the API, once somebody has asked."""

    def routes(self) -> list[web.RouteDef]:
        """Return every route but the page's files."""
        support = SupportApi(self.desks.support, self.settings, self._admit, self.audit, refuse)
        bridges = BridgesApi(self.desks.bridges, self._admit, self.audit, json_object)
        releases = ReleasesApi(self.desks.releases, self._admit, self.audit, json_object, refuse)
        flashing = FlashingApi(self.desks.flashing, self._admit, self.audit, json_object)
        recovery = RecoveryApi(self.desks.recovery, self._admit, self.audit, json_object, refuse)
        migration = MigrationApi(self.desks.migration, self._admit, self.audit, json_object)
        records = RecordsApi(self.desks.records, lambda: self.guard.snapshot().at, refuse)
        return [
            *support.routes(),
            *records.routes(),
            web.get("/health", self.health),
            web.get("/api/openapi.json", self.openapi),
            web.get("/api/state", self.state),
            web.get("/api/stream", self.stream),
            web.get("/api/history", self.history),
            web.post("/api/requests", self.request),
            web.get("/api/settings", self.read_settings),
            web.patch("/api/settings", self.change_settings),
            *PlanApi(self.desks.plan, json_object).routes(),
            *bridges.routes(),
            *releases.routes(),
            *flashing.routes(),
            *recovery.routes(),
            *migration.routes(),
        ]

    @described(Access.HEALTH, Health, also={503: Health})
    async def health(self, _request: web.Request) -> web.Response:
        """Tell the watchdog whether loop and journal are alive; nothing else matters to it."""
        healthy, text = self.guard.healthy()
        body = {"status": "ok" if healthy else "failing", "text": text}
        return web.json_response(body, status=200 if healthy else 503)

    @described(Access.VIEW, dict[str, Any])
    async def openapi(self, _request: web.Request) -> web.Response:
        """Return this document."""
        from agent.surface.web.openapi import document  # noqa: PLC0415 - few ever ask

        if not self.written:  # a seventh of a second, which the guard must not wait for
            self.written.update(await asyncio.to_thread(document, self.routes()))
        return web.json_response(self.written)

    @described(Access.VIEW, (GuardSnapshot, Beside))
    async def state(self, _request: web.Request) -> web.Response:
        """Return the whole snapshot."""
        return web.json_response(self.feed.state())

    @described(Access.VIEW, "text/event-stream", also={503: Refusal})
    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send the snapshot and then its changes until somebody leaves."""

        def cut_off() -> None:
            if request.transport:
                request.transport.abort()

        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        try:
            listener = self.feed.join(cut_off)
        except TooManyListenersError:
            refuse(Refused("too_many", 503, "Too many pages are open; close one."))
        try:
            await response.prepare(request)
            while (frame := await listener.next(self.heartbeat_s)) is not None:
                await response.write(frame)
        except ConnectionResetError:
            pass  # the client left, or was cut off
        finally:
            self.feed.leave(listener)
        return response

    @described(Access.VIEW, History, query=_SECONDS)
    async def history(self, request: web.Request) -> web.Response:
        """Return the last seconds as columns: one list per value, all of the same length."""
        seconds = _bounded(request, "seconds", 3600.0)
        points = self.guard.history(seconds)
        if "every" in request.query:
            points = thinned(points, _bounded(request, "every", 60.0))
        columns = {name: [getattr(point, name) for point in points] for name in HISTORY_COLUMNS}
        return web.json_response(columns)

    @described(Access.STOP, Told, Wish)
    async def request(self, request: web.Request) -> web.Response:
        """Hand a wish to the guard."""
        body = await json_object(request)
        try:
            kind = RequestKind(str(body.get("kind")))
        except ValueError:
            kinds = ", ".join(RequestKind)
            refuse(Refused("bad_request", 400, f"kind must be one of: {kinds}."))
        allowed = await self._admit(request, Access.STOP if kind in STOPS else Access.ADMIN, kind)
        answer = self.guard.request(Request(kind, by=allowed.by))
        self.audit(allowed.by, kind.value, answer.code)
        body = {"accepted": answer.accepted, "code": answer.code, "text": answer.text}
        return web.json_response(body, status=200 if answer.accepted else 409)

    @described(Access.VIEW, SettingsTold)
    async def read_settings(self, _request: web.Request) -> web.Response:
        """Return the values and what each setting is."""
        return self._settings(self.settings.current())

    @described(Access.ADMIN, SettingsTold, dict[str, Any])
    async def change_settings(self, request: web.Request) -> web.Response:
        """Change settings together, or none of them."""
        changes = await json_object(request)
        action = self._described(changes)
        allowed = await self._admit(request, Access.ADMIN, action)
        try:
            values = await self.settings.update(changes, by=allowed.by)
        except SettingError as error:
            self.audit(allowed.by, action, f"invalid: {error}")
            body = {"code": "invalid", "key": error.key, "text": str(error)}
            return web.json_response(body, status=400)
        self.audit(allowed.by, action, "changed")
        return self._settings(values)

    def _described(self, changes: dict[str, Any]) -> str:
        # What we do not know may be a secret that lost its way; the audit gets its name only.
        known = self.settings.current()
        said = {key[:64]: value if key in known else "..." for key, value in changes.items()}
        return f"settings {json.dumps(said, sort_keys=True)}"[:LONGEST_ACTION]

    def _settings(self, values: dict[str, Any]) -> web.Response:
        return web.json_response({"values": values, "fields": self.settings.describe()})

    async def _admit(self, request: web.Request, access: Access, action: str) -> Allowed:
        verdict = await self.gate.admit(request.remote, request.headers, access)
        if isinstance(verdict, Allowed) and access is Access.ADMIN and request.method != "GET":
            verdict = self._first(request, verdict)
        if isinstance(verdict, Refused):
            self.turn_away(request, verdict, action)
        return verdict

    def _first(self, request: web.Request, allowed: Allowed) -> Allowed | Refused:
        key = request.headers.get(ONCE_HEADER)
        try:
            first = key is None or self.once.take(allowed.user_id, key)
        except ValueError as error:
            return Refused("bad_request", 400, f"{error}.", allowed.by)
        if first:
            return allowed
        text = (
            "This was asked before and is not done twice. Look at what became of it, and press "
            "again if you still want it."
        )
        return Refused("replayed", 409, text, allowed.by)

    def turn_away(self, request: web.Request, refused: Refused, action: str = "") -> NoReturn:
        """End a request and have it noted, with its author as far as he is known."""
        by = refused.by or f"{STRANGER}{request.remote}"
        self.audit.refused(by, action or f"{request.method} {request.path}", refused.code)
        refuse(refused)


def _bounded(request: web.Request, name: str, usual: float) -> float:
    """Return a number of seconds of the query; ends the request where it is none."""
    try:
        seconds = float(request.query.get(name, usual))
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST_HISTORY_S:
        text = f"{name} must be above 0 and at most {LONGEST_HISTORY_S:.0f}; for example {usual:g}."
        refuse(Refused("bad_request", 400, text))
    return seconds


def refuse(refused: Refused) -> NoReturn:
    """End the request with a refusal that programs and people can read."""
    reason = {
        400: web.HTTPBadRequest,
        401: web.HTTPUnauthorized,
        403: web.HTTPForbidden,
        409: web.HTTPConflict,
        503: web.HTTPServiceUnavailable,
    }[refused.status]
    body = {"accepted": False, "code": refused.code, "text": refused.text}
    raise reason(text=json.dumps(body), content_type="application/json")


async def json_object(request: web.Request) -> dict[str, Any]:
    """Return the body; ends the request when it is no JSON object."""
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):  # also bytes that are no UTF-8
        body = None
    if not isinstance(body, dict):
        refuse(Refused("bad_request", 400, "The body must be a JSON object."))
    return body
