"""
Bridges on USB cables over HTTP: who is there, identify, check, write, cancel, and the log.

What there is to see is everybody's; to ask a chip, to check and to write is an administrator's and
audited with its outcome. How far everything is comes with the stream; a refusal says why and what
to do (409).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from agent.surface.cable_desk import CableWish, RecoveryDesk
from agent.surface.cable_shown import CablesView
from agent.surface.desk import FlashAnswer
from agent.surface.web.auth import Access, Allowed, Refused
from agent.surface.web.operations import (
    Cable,
    CableCancel,
    CableChecked,
    FlashTold,
    OnPort,
    described,
)

Audit = Callable[[str, str, str], None]
Admit = Callable[[web.Request, Access, str], Awaitable[Allowed]]
Body = Callable[[web.Request], Awaitable[dict[str, Any]]]
LONGEST_ACTION = 500
LONGEST_WORD = 256
MOST_ACKS = 16
_TEXTS = ("port", "mac", "channel", "project", "version", "digest", "reason", "typed", "backup")
_FLAGS = ("erase_settings", "keep_backup", "insist")
_JOB = {"job": {"type": "string", "description": "Which job's."}}


@dataclass(frozen=True, slots=True)
class RecoveryApi:
    """The handlers and what they work on."""

    desk: RecoveryDesk | None
    admit: Admit
    audit: Audit
    body: Body
    refuse: Callable[[Refused], Any]

    def routes(self) -> list[web.RouteDef]:
        """Return every route about cables; none where nobody looks at ports."""
        if self.desk is None:
            return []
        return [
            web.get("/api/recovery", self.shown),
            web.get("/api/recovery/log", self.log),
            web.post("/api/recovery/identify", self.identify),
            web.post("/api/recovery/check", self.check),
            web.post("/api/recovery/write", self.write),
            web.post("/api/recovery/cancel", self.cancel),
        ]

    @described(Access.VIEW, CablesView)
    async def shown(self, _request: web.Request) -> web.Response:
        """Return ports and jobs as the stream tells them."""
        return web.json_response(self._desk.shown())

    @described(Access.VIEW, "text/plain", query=_JOB)
    async def log(self, request: web.Request) -> web.Response:
        """Return what was said during a job as a file, without secrets."""
        job = _text(request.query.get("job"))
        text = self._desk.log(job)
        if text is None:
            said = "The log of that job is not there any more; the journal has its stages."
            self.refuse(Refused("unknown", 400, said))
        name = "".join(it for it in job if it.isalnum())
        disposition = f'attachment; filename="pv-edge-agent-recovery-{name}.txt"'
        headers = {"Content-Disposition": disposition}
        return web.Response(text=text, content_type="text/plain", headers=headers)

    @described(Access.ADMIN, FlashTold, OnPort)
    async def identify(self, request: web.Request) -> web.Response:
        """Ask the chip on one port who it is."""
        body = await self.body(request)
        port, insist = _text(body.get("port")), body.get("insist") is True
        action = f"identify what is on {port}{_insists(insist)}"
        return await self._act(
            request, action, lambda by: self._desk.identify(port, by, insist=insist)
        )

    @described(Access.ADMIN, CableChecked, Cable)
    async def check(self, request: web.Request) -> web.Response:
        """Ask the policy about a release for that chip."""
        wish = wish_of(await self.body(request))
        action = f"check {wish.project} {wish.version} for {wish.mac}"[:LONGEST_ACTION]
        allowed = await self.admit(request, Access.ADMIN, action)
        told = await self._desk.check(wish, allowed.by)
        self.audit(allowed.by, action, f"{told['code']}: {told['text']}"[:LONGEST_ACTION])
        return web.json_response(told)

    @described(Access.ADMIN, FlashTold, Cable)
    async def write(self, request: web.Request) -> web.Response:
        """Write what the person has confirmed."""
        wish = wish_of(await self.body(request))
        erases = ", erasing its settings" if wish.erase_settings else ""
        accepts = f", accepting {', '.join(wish.acks)}" if wish.acks else ""
        what = f"write {wish.project} {wish.version} to {wish.mac} on {wish.port}"
        action = f"{what}{erases}{accepts}{_insists(wish.insist)}: {wish.reason}"
        return await self._act(request, action, lambda by: self._desk.write(wish, by))

    @described(Access.ADMIN, FlashTold, CableCancel)
    async def cancel(self, request: web.Request) -> web.Response:
        """End a job, or a question to a chip."""
        body = await self.body(request)
        job, insist = _text(body.get("job")), body.get("insist") is True
        action = f"cancel the recovery {job}{_insists(insist)}"
        return await self._act(
            request, action, lambda by: self._desk.cancel(job, by, insist=insist)
        )

    @property
    def _desk(self) -> RecoveryDesk:
        assert self.desk is not None  # noqa: S101 - else there is no route that asks
        return self.desk

    async def _act(
        self, request: web.Request, action: str, act: Callable[[str], Awaitable[FlashAnswer]]
    ) -> web.Response:
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


def wish_of(body: dict[str, Any]) -> CableWish:
    """Return what was asked for; texts are cut to what they can be, all else counts as not said."""
    acks = body.get("acks")
    told: dict[str, Any] = {it: _text(body[it]) for it in _TEXTS if it in body}
    told |= {it: body.get(it) is True for it in _FLAGS}
    told["acks"] = tuple(map(_text, acks[:MOST_ACKS])) if isinstance(acks, list) else ()
    return CableWish(**{"port": "", **told})


def _text(value: object) -> str:
    return str(value)[:LONGEST_WORD]


def _insists(insist: bool) -> str:
    return ", insisting" if insist else ""
