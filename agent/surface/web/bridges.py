"""
The bridges over HTTP: keys come in, and what is asked of one bridge is answered in words.

Everything here is an administrator's. A key or a file is handed on and never repeated, neither in
an answer nor in the audit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from agent.fleet.operations import Op, Operation, OpState
from agent.surface.desk import BridgeDesks, Upload
from agent.surface.web.auth import Access, Allowed
from agent.surface.web.operations import Ask, Key, OfBridge, Said, Secrets, described
from agent.surface.web.shapes import Told

Audit = Callable[[str, str, str], None]
Admit = Callable[[web.Request, Access, str], Awaitable[Allowed]]
Body = Callable[[web.Request], Awaitable[dict[str, Any]]]
LONGEST_ACTION = 500
_DONE = {
    Op.DISCOVER: "Every source was asked who is there.",
    Op.RUN_GATES: "Its gates were run: {result}.",
    Op.RESTART: "It restarted and is back.",
    Op.FLASH: "It runs the new firmware.",
}


@dataclass(frozen=True, slots=True)
class BridgesApi:
    """The handlers and what they work on."""

    desks: BridgeDesks | None
    admit: Admit
    audit: Audit
    body: Body

    def routes(self) -> list[web.RouteDef]:
        """Return every route about bridges; none where there can be no bridge."""
        if self.desks is None:
            return []
        return [
            web.post("/api/bridges/key", self.enter_key),
            web.post("/api/bridges/ask-key", self.ask_key),
            web.post("/api/bridges/secrets", self.upload),
            web.post("/api/bridges/forget", self.forget),
            web.post("/api/bridges/ask", self.ask),
        ]

    @described(Access.ADMIN, Said, Key)
    async def enter_key(self, request: web.Request) -> web.Response:
        """Take the encryption key of a bridge; it is never shown again, here or anywhere."""
        return await self._key(request, "key of the bridge", asked=False)

    @described(Access.ADMIN, Said, OfBridge)
    async def ask_key(self, request: web.Request) -> web.Response:
        """Ask Home Assistant for the key of a bridge: whoever presses that has agreed to it."""
        return await self._key(request, "Home Assistant's key of the bridge", asked=True)

    async def _key(self, request: web.Request, what: str, *, asked: bool) -> web.Response:
        body = await self.body(request)
        action, mac = f"{what} {body.get('mac')}"[:LONGEST_ACTION], str(body.get("mac"))
        allowed = await self.admit(request, Access.ADMIN, action)
        keys = self._desks.keys
        try:
            if asked:
                await keys.ask_key(mac, allowed.by)
            else:
                await keys.enter_key(mac, str(body.get("key")))
        except (ValueError, OSError) as error:
            return self._refused(allowed, action, error)
        self.audit(allowed.by, action, "entered")
        return web.json_response({"text": "The key was stored; the bridge is asked again now."})

    @described(Access.ADMIN, dict[str, Any], Secrets)
    async def upload(self, request: web.Request) -> web.Response:
        """Take the secrets of a bridge from files of ESPHome, or ask whose they are."""
        body = await self.body(request)
        action = f"ESPHome files for {body.get('mac') or 'a bridge'}"[:LONGEST_ACTION]
        allowed = await self.admit(request, Access.ADMIN, action)
        names = ("configuration", "secrets", "mac", "name")
        given = {it: str(body[it]) for it in names if body.get(it)}
        try:
            answer = await self._desks.keys.upload(Upload(**given))
        except (ValueError, OSError) as error:
            return self._refused(allowed, action, error)
        stored = answer.get("stored")
        self.audit(allowed.by, action, f"stored for {stored}" if stored else "asked whose it is")
        return web.json_response(answer)

    @described(Access.ADMIN, Said, OfBridge)
    async def forget(self, request: web.Request) -> web.Response:
        """Remove a bridge from the list."""
        body = await self.body(request)
        action = f"forget the bridge {body.get('mac')}"[:LONGEST_ACTION]
        allowed = await self.admit(request, Access.ADMIN, action)
        try:
            await self._desks.bridges.forget(str(body.get("mac")))
        except ValueError as error:
            return self._refused(allowed, action, error)
        self.audit(allowed.by, action, "forgotten")
        return web.json_response({"text": "It is off the list until somebody speaks of it again."})

    @described(Access.ADMIN, Told, Ask)
    async def ask(self, request: web.Request) -> web.Response:
        """Ask for something about one bridge, and tell what became of it (409: it was refused)."""
        body = await self.body(request)
        op, mac = str(body.get("op")), body.get("mac")
        action = f"{op} of the bridge {mac}"[:LONGEST_ACTION]
        allowed = await self.admit(request, Access.ADMIN, action)
        if op not in set(Op):
            text = f"op must be one of: {', '.join(Op)}."
            return web.json_response({"code": "bad_request", "text": text}, status=400)
        asked = await self._desks.work.ask(Op(op), str(mac) if mac else None, allowed.by)
        return web.json_response(told(asked), status=200 if asked.error is None else 409)

    @property
    def _desks(self) -> BridgeDesks:
        assert self.desks is not None  # noqa: S101 - else there is no route that asks
        return self.desks

    def _refused(self, allowed: Allowed, action: str, error: Exception) -> web.Response:
        self.audit(allowed.by, action, "refused")
        status = 400 if isinstance(error, ValueError) else 503
        return web.json_response({"code": "invalid", "text": f"{error}."}, status=status)


def told(asked: Operation) -> dict[str, Any]:
    """Return what became of an operation, for a person."""
    well = asked.state is OpState.SUCCESS
    text = asked.error or _DONE[asked.op].format(result=asked.result)
    return {"accepted": well, "code": asked.block or asked.result, "text": text}
