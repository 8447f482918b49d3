"""
STAND-IN for the Supervisor: own code, not the real thing.

The real one needs Docker and a whole host. This answers the few paths the agent uses with the
paths, statuses, envelopes and websocket handshake that the real one was seen to give (ha_e2e.md
section 5, ha_platform.md section 6), in front of a real Core or of nothing, which is a 502.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

LOOPBACK = "127.0.0.1"
BROKER = {
    "addon": "core_mosquitto",
    "host": "core-mosquitto",
    "port": 1883,
    "ssl": False,
    "username": "addons",
    "password": "broker-secret",
    "protocol": "3.1.1",
}


class SupervisorStandIn:
    """Serves `url` on loopback; its attributes are the switches a test may throw."""

    host = LOOPBACK
    port = 0
    """Of the system's choice; a test with a network of its own gives it the real address."""

    def __init__(self, core_url: str | None = None, core_token: str = "") -> None:
        self.core_url = core_url
        """The Core that is proxied to; `None` is a Core that does not run."""
        self.core_token = core_token
        self.token = secrets.token_hex(28)
        """What the app finds in SUPERVISOR_TOKEN."""
        self.broker: dict[str, Any] | None = dict(BROKER)
        self.mqtt_declared = True
        self.ready = True
        self.answers: tuple[int, str] | None = None
        """Status and text of every answer, as of a Supervisor that is being replaced."""
        self.options: dict[str, Any] = {"log_level": "info"}
        self.requests: list[str] = []
        self.url = ""
        self._open: set[web.WebSocketResponse] = set()

    async def drop_websockets(self) -> None:
        """Close what is open, as the real one does at once when Core shuts down."""
        for ws in tuple(self._open):
            await ws.close()

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._gate])
        app.router.add_get("/addons/self/info", self._info)
        app.router.add_post("/addons/self/options", self._set_options)
        app.router.add_get("/services/mqtt", self._mqtt)
        app.router.add_get("/core/info", self._core_info)
        app.router.add_get("/info", self._versions)
        app.router.add_get("/core/websocket", self._core_websocket)
        app.router.add_route("*", "/core/api/{path:.*}", self._core_api)
        app.router.add_route("*", "/{other:.*}", self._not_for_this_role)
        self._http = aiohttp.ClientSession()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.url = f"http://{self.host}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.drop_websockets()
        await self._runner.cleanup()
        await self._http.close()

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        if self.answers is not None:
            return web.Response(status=self.answers[0], text=self.answers[1])
        if not self.ready:
            return _error("System is not ready with state: setup", 400)
        if request.path == "/core/websocket":  # its token comes inside
            return await handler(request)
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        given = given or request.headers.get("X-Supervisor-Token", "")
        if given != self.token:
            raise web.HTTPUnauthorized
        return await handler(request)

    async def _info(self, _: web.Request) -> web.Response:
        return _ok(
            {
                "name": "PV Edge Agent",
                "slug": "local_pv_edge_agent",
                "hostname": "local-pv-edge-agent",
                "state": "started",
                "version": "0.1.0",
                "options": self.options,
                "ingress": True,
                "ingress_entry": "/api/hassio_ingress/abc",
                "ingress_url": "/api/hassio_ingress/abc/",
                "ingress_port": 8099,
            }
        )

    async def _set_options(self, request: web.Request) -> web.Response:
        options = (await request.json()).get("options")
        if not isinstance(options, dict) or "log_level" not in options:
            return _error("Missing option 'log_level' in root in PV Edge Agent", 400)
        self.options = options
        return _ok({})

    async def _mqtt(self, _: web.Request) -> web.Response:
        if not self.mqtt_declared:
            return _error("No permission to use mqtt service", 403)
        return _error("Service not enabled", 400) if self.broker is None else _ok(self.broker)

    async def _core_info(self, _: web.Request) -> web.Response:
        return _ok({"version": "2026.11.0", "ip_address": LOOPBACK, "port": 8123, "ssl": False})

    async def _versions(self, _: web.Request) -> web.Response:
        return _ok({"supervisor": "2026.08.0", "homeassistant": "2026.11.0", "arch": "amd64"})

    async def _not_for_this_role(self, _: web.Request) -> web.Response:
        return _error("Not allowed for the default role", 403)

    async def _core_running(self) -> bool:
        if self.core_url is None:
            return False
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
            async with self._http.get(
                f"{self.core_url}/api/core/state",
                headers={"Authorization": f"Bearer {self.core_token}"},
                timeout=aiohttp.ClientTimeout(total=5),
            ) as answer:
                return answer.status == 200 and (await answer.json())["state"] == "RUNNING"
        return False

    async def _core_api(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if path.startswith(("hassio/", "hassio_")):
            raise web.HTTPForbidden
        if not await self._core_running():
            raise web.HTTPBadGateway
        headers = {"Authorization": f"Bearer {self.core_token}"}
        if "Content-Type" in request.headers:
            headers["Content-Type"] = request.headers["Content-Type"]
        async with self._http.request(
            request.method,
            f"{self.core_url}/api/{path}",
            headers=headers,
            params=request.query,
            data=await request.read(),
        ) as answer:
            return web.Response(
                body=await answer.read(), status=answer.status, content_type=answer.content_type
            )

    async def _core_websocket(self, request: web.Request) -> web.StreamResponse:
        if not await self._core_running():
            raise web.HTTPBadGateway
        ours = web.WebSocketResponse(heartbeat=30)
        await ours.prepare(request)
        address = f"{self.core_url}/api/websocket".replace("http", "ws", 1)
        async with self._http.ws_connect(address, max_msg_size=0) as core:
            version = (await core.receive_json())["ha_version"]
            await ours.send_json({"type": "auth_required", "ha_version": version})
            given = await ours.receive_json(timeout=10)
            if given.get("access_token") != self.token:
                await ours.send_json({"type": "auth_invalid", "message": "Invalid access"})
                await ours.close()
                return ours
            await core.send_json({"type": "auth", "access_token": self.core_token})
            await core.receive_json()
            await ours.send_json({"type": "auth_ok", "ha_version": version})
            self._open.add(ours)
            pumps = [
                asyncio.ensure_future(_pump(core, ours)),
                asyncio.ensure_future(_up(ours, core)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            self._open.discard(ours)
            await ours.close()
        return ours


async def _pump(core: aiohttp.ClientWebSocketResponse, ours: web.WebSocketResponse) -> None:
    async for message in core:
        if message.type is aiohttp.WSMsgType.TEXT:
            await ours.send_str(message.data)


async def _up(ours: web.WebSocketResponse, core: aiohttp.ClientWebSocketResponse) -> None:
    async for message in ours:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        command = json.loads(message.data)
        if str(command.get("type", "")).startswith(("supervisor/", "hassio/")):
            error = {"code": "unauthorized", "message": "Unauthorized"}
            refusal = {"id": command.get("id"), "type": "result", "success": False, "error": error}
            await ours.send_json(refusal)
        else:
            await core.send_str(message.data)


def _ok(data: dict[str, Any]) -> web.Response:
    return web.json_response({"result": "ok", "data": data})


def _error(message: str, status: int) -> web.Response:
    return web.json_response({"result": "error", "message": message}, status=status)
