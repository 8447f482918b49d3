"""
Moving from an old integration over HTTP: what is there, what was chosen, what is taken over.

Choosing and taking over are an administrator's. What is taken over are the values that the agent
has read itself; a request only names them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from agent.settings import SettingError
from agent.surface.migration_shown import OldSettings
from agent.surface.web.auth import Access, Allowed
from agent.surface.web.operations import Choose, Said, Take, described

Audit = Callable[[str, str, str], None]
Admit = Callable[[web.Request, Access, str], Awaitable[Allowed]]
Body = Callable[[web.Request], Awaitable[dict[str, Any]]]
LONGEST_ACTION = 500
MOST_KEYS = 100


class MigrationDesk(Protocol):
    """The old integrations, as seen from the page; refusals are `ValueError` or `OSError`."""

    def shown(self) -> OldSettings:
        """Return everything that the page shows, in JSON's words."""
        ...

    async def look(self) -> OldSettings:
        """Read the old settings and return the same with what can be taken over."""
        ...

    async def take(self, keys: Iterable[str], by: str) -> str:
        """Take these proposals over, all or none; raises `SettingError` too."""
        ...

    async def choose(self, entry_id: str, choice: str, by: str) -> str:
        """Turn an old integration off, accept that it stays, or take that back."""
        ...


@dataclass(frozen=True, slots=True)
class MigrationApi:
    """The handlers and what they work on."""

    desk: MigrationDesk | None
    admit: Admit
    audit: Audit
    body: Body

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; none where there is no Home Assistant."""
        if self.desk is None:
            return []
        return [
            web.get("/api/migration", self.shown),
            web.post("/api/migration/look", self.look),
            web.post("/api/migration/choose", self.choose),
            web.post("/api/migration/take", self.take),
        ]

    @described(Access.VIEW, OldSettings)
    async def shown(self, _request: web.Request) -> web.Response:
        """Return what is there."""
        return web.json_response(self._desk.shown())

    @described(Access.ADMIN, OldSettings)
    async def look(self, request: web.Request) -> web.Response:
        """Read the old settings; nothing is changed."""
        action = "read the settings of old integrations"
        allowed = await self.admit(request, Access.ADMIN, action)
        return await self._told(allowed, action, self._desk.look())

    @described(Access.ADMIN, Said, Choose)
    async def choose(self, request: web.Request) -> web.Response:
        """Turn an old integration off, accept it, or take that back."""
        body = await self.body(request)
        entry, choice = str(body.get("entry_id")), str(body.get("choice"))
        action = f"{choice} the old integration {entry}"[:LONGEST_ACTION]
        allowed = await self.admit(request, Access.ADMIN, action)
        return await self._told(allowed, action, self._desk.choose(entry, choice, allowed.by))

    @described(Access.ADMIN, Said, Take)
    async def take(self, request: web.Request) -> web.Response:
        """Take settings over by their names."""
        given = (await self.body(request)).get("keys")
        keys = [str(each) for each in given[:MOST_KEYS]] if isinstance(given, list) else []
        action = f"take over {', '.join(sorted(keys))}"[:LONGEST_ACTION]
        allowed = await self.admit(request, Access.ADMIN, action)
        return await self._told(allowed, action, self._desk.take(keys, allowed.by))

    async def _told(self, allowed: Allowed, action: str, work: Awaitable[Any]) -> web.Response:
        try:
            answer = await work
        except (ValueError, SettingError, OSError) as error:
            self.audit(allowed.by, action, "refused")
            status = 503 if isinstance(error, OSError) else 400
            return web.json_response({"code": "refused", "text": f"{error}."}, status=status)
        self.audit(allowed.by, action, "done")
        return web.json_response(answer if isinstance(answer, dict) else {"text": answer})

    @property
    def _desk(self) -> MigrationDesk:
        assert self.desk is not None  # noqa: S101 - else there is no route that asks
        return self.desk
