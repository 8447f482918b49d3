"""
What-if over HTTP: a plan with something turned, made once for whoever asked and then forgotten.

It changes nothing, so whoever may stop may ask for it, and no audit is written. It is a POST all
the same: it takes a processor for a second, which a foreign page must not be able to spend.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter

from agent.export.snapshot import PlanPicture
from agent.surface.desk import PlanDesk, PlanRefusedError
from agent.surface.web.auth import Access
from agent.surface.web.operations import described
from agent.surface.web.shapes import Changes

Body = Callable[[web.Request], Awaitable[dict[str, Any]]]
_PICTURE = TypeAdapter(PlanPicture)
_STATUS = {"invalid": 400}


@dataclass(frozen=True, slots=True)
class PlanApi:
    """The handler and what it works on."""

    desk: PlanDesk | None
    body: Body

    def routes(self) -> list[web.RouteDef]:
        """Return the route; none where nothing plans."""
        return [web.post("/api/plan/preview", self.preview)] if self.desk else []

    @described(Access.STOP, PlanPicture, Changes)
    async def preview(self, request: web.Request) -> web.Response:
        """Return the plan that these changes would make, as `outlook` in the state."""
        changes = await self.body(request)
        assert self.desk is not None  # noqa: S101 - there is no route without
        try:
            found = await self.desk.preview(changes)
        except PlanRefusedError as error:
            body = {"accepted": False, "code": error.code, "text": str(error)}
            return web.json_response(body, status=_STATUS.get(error.code, 409))
        return web.json_response(text=_PICTURE.dump_json(found).decode())
