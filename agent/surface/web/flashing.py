"""
Updates of bridges over HTTP: install, go back, cancel, and the update of many.

All of it is an administrator's and audited with its outcome. What a person accepts is sent by
name, and how far everything is comes with the stream; a refusal says why and what to do (409).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from agent.surface.desk import FlashAnswer, FlashingDesk
from agent.surface.shown import FlashingView
from agent.surface.web.auth import Access, Allowed
from agent.surface.web.operations import (
    Cancel,
    FlashTold,
    GoBack,
    Install,
    Plan,
    Steer,
    described,
)

Audit = Callable[[str, str, str], None]
Admit = Callable[[web.Request, Access, str], Awaitable[Allowed]]
Body = Callable[[web.Request], Awaitable[dict[str, Any]]]
LONGEST_ACTION = 500
MOST_BRIDGES = 2000
Act = Callable[[str], Awaitable[FlashAnswer]]


@dataclass(frozen=True, slots=True)
class FlashingApi:
    """The handlers and what they work on."""

    desk: FlashingDesk | None
    admit: Admit
    audit: Audit
    body: Body

    def routes(self) -> list[web.RouteDef]:
        """Return every route about updates; none where nobody flashes."""
        if self.desk is None:
            return []
        return [
            web.get("/api/flashing", self.shown),
            web.post("/api/flashing/install", self.install),
            web.post("/api/flashing/back", self.go_back),
            web.post("/api/flashing/cancel", self.cancel),
            web.post("/api/flashing/campaigns", self.plan),
            web.post("/api/flashing/campaigns/steer", self.steer),
        ]

    @described(Access.VIEW, FlashingView)
    async def shown(self, _request: web.Request) -> web.Response:
        """Return all jobs and campaigns as the stream tells them."""
        return web.json_response(self._desk.shown())

    @described(Access.ADMIN, FlashTold, Install)
    async def install(self, request: web.Request) -> web.Response:
        """Install on one bridge the version that the person has seen."""
        body = await self.body(request)
        mac, acks, own = _text(body.get("mac")), names(body.get("acks")), body.get("own") is True
        version = _text(body.get("version")) if body.get("version") is not None else None
        build = "the own build" if own else "firmware"
        action = f"install {build} {version or 'as offered'} on {mac}{_accepts(acks)}"
        return await self._act(
            request, action, lambda by: self._desk.install(mac, version, acks, by, own=own)
        )

    @described(Access.ADMIN, FlashTold, GoBack)
    async def go_back(self, request: web.Request) -> web.Response:
        """Put back what was confirmed on a bridge before."""
        body = await self.body(request)
        mac, acks = _text(body.get("mac")), names(body.get("acks"))
        action = f"go back on {mac}{_accepts(acks)}"
        return await self._act(request, action, lambda by: self._desk.go_back(mac, acks, by))

    @described(Access.ADMIN, FlashTold, Cancel)
    async def cancel(self, request: web.Request) -> web.Response:
        """End a job that has not begun to send."""
        job = _text((await self.body(request)).get("job"))
        action = f"cancel the update {job}"
        return await self._act(request, action, lambda by: self._desk.cancel(job, by))

    @described(Access.ADMIN, FlashTold, Plan)
    async def plan(self, request: web.Request) -> web.Response:
        """Update many bridges in stages."""
        body = await self.body(request)
        macs, canaries = names(body.get("macs")), names(body.get("canaries"))
        acks = names(body.get("acks"))
        action = f"update of {len(macs)} bridges: {', '.join(macs)}{_accepts(acks)}"
        return await self._act(
            request, action, lambda by: self._desk.plan(macs, acks, by, canaries)
        )

    @described(Access.ADMIN, FlashTold, Steer)
    async def steer(self, request: web.Request) -> web.Response:
        """Pause, resume or abort the update of many."""
        body = await self.body(request)
        campaign, what = _text(body.get("campaign")), _text(body.get("what"))
        action = f"{what} the update {campaign} of many"
        return await self._act(request, action, lambda by: self._desk.steer(campaign, what, by))

    @property
    def _desk(self) -> FlashingDesk:
        assert self.desk is not None  # noqa: S101 - else there is no route that asks
        return self.desk

    async def _act(self, request: web.Request, action: str, act: Act) -> web.Response:
        action = action[:LONGEST_ACTION]
        allowed = await self.admit(request, Access.ADMIN, action)
        told = await act(allowed.by)
        self.audit(allowed.by, action, f"{told.code}: {told.text}"[:LONGEST_ACTION])
        body = {
            "accepted": told.accepted,
            "code": told.code,
            "text": told.text,
            "job": told.job,
            "missing": list(told.missing),
        }
        return web.json_response(body, status=200 if told.accepted else 409)


def names(value: object) -> tuple[str, ...]:
    """Return the texts of a list, each cut to what a name can be; none for anything else."""
    if not isinstance(value, list):
        return ()
    return tuple(_text(it) for it in value[:MOST_BRIDGES])


def _text(value: object) -> str:
    return str(value)[:64]


def _accepts(acks: tuple[str, ...]) -> str:
    return f", accepting {', '.join(acks)}" if acks else ""
