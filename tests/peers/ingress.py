"""
STAND-IN for the ingress of Home Assistant: own code, not the real thing.

The real one is Core and Supervisor in a row and needs Docker. This does in one hop what both were
seen to do (ha_platform.md section 5): it lets in who bears a session, takes the prefix off, tells
the app who it is and nothing that a browser claims about that, cuts parameters off content types,
forgets lengths, refuses some addresses with 400, and holds whole bodies in memory up to 16 MiB
unless POSTs are streamed. It calls the app from an address of its own, as the Supervisor does, so
that the app can tell it from everybody else on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import unquote

import aiohttp
from aiohttp import web

LOOPBACK = "127.0.0.1"
PEER = "127.30.32.2"
"""Where it calls from: 172.30.32.2 as far as a machine without that network can."""
COOKIE = "ingress_session"
ROOT = "/api/hassio_ingress"
LARGEST_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 65_536
_REFUSED = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (r"\.\./", r"<[^>]*script", r"union.*select.*\(", r"concat.*\(", r"\w=/\w+/")
)
_NOT_TAKEN_ON = frozenset(
    {"content-length", "content-encoding", "accept-encoding", "transfer-encoding", "connection",
     "keep-alive", "upgrade", "host", "x-hass-source", "x-ingress-path"}
)  # fmt: skip
_HIS = "x-remote-user-"
_SOCKET = frozenset({"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"})


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who is logged in at Home Assistant."""

    id: str
    name: str = ""
    display_name: str = ""

    def headers(self) -> dict[str, str]:
        told = {"Id": self.id, "Name": self.name, "Display-Name": self.display_name}
        return {f"X-Remote-User-{what}": text for what, text in told.items() if text}


class IngressStandIn:
    """Serves `panel` on loopback; its attributes are the switches a test may throw."""

    def __init__(self, app_url: str, *, streamed: bool = False) -> None:
        self.app_url = app_url
        self.streamed = streamed
        """The app asked for `ingress_stream`."""
        self.forwarded: dict[str, str] = {}
        """What a reverse proxy in front of Core says of itself, for instance its host."""
        self.sessions: dict[str, User] = {}
        self.token = secrets.token_urlsafe(32)
        self.url = ""

    @property
    def prefix(self) -> str:
        return f"{ROOT}/{self.token}"

    @property
    def panel(self) -> str:
        """Where the app's page is now."""
        return f"{self.url}{self.prefix}/"

    def log_in(self, user: User) -> dict[str, str]:
        """Return the cookie of a session for that user; without an id nobody is named."""
        session = secrets.token_hex(32)
        self.sessions[session] = user
        return {COOKIE: session}

    def move(self) -> str:
        """Give the app another prefix, as a new installation gets; return the one before."""
        before, self.token = self.prefix, secrets.token_urlsafe(32)
        return before

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=LARGEST_BYTES)
        app.router.add_get("/panel{path:(/.*)?}", self._frame)
        app.router.add_route("*", f"{ROOT}/{{token}}/{{path:.*}}", self._ingress)
        connector = aiohttp.TCPConnector(local_addr=(PEER, 0), limit=0)
        self._http = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        self.url = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()
        await self._runner.cleanup()

    async def _frame(self, request: web.Request) -> web.Response:
        """Return what the frontend is for us: a page of the same origin that frames the panel."""
        path = request.match_info["path"] or "/"
        fills = (
            "body { margin: 0 } iframe { border: 0; width: 100%; height: 100vh; display: block }"
        )
        text = (
            f"<!doctype html><title>Home</title><style>{fills}</style>"
            f'<iframe src="{self.prefix}{path}"></iframe>'
        )
        return web.Response(text=text, content_type="text/html")

    async def _ingress(self, request: web.Request) -> web.StreamResponse:
        if any(each.search(unquote(request.raw_path)) for each in _REFUSED):
            raise web.HTTPBadRequest
        user = self.sessions.get(request.cookies.get(COOKIE, ""))
        if user is None:
            raise web.HTTPUnauthorized
        if request.match_info["token"] != self.token:
            raise web.HTTPServiceUnavailable
        address = self.app_url + request.raw_path.removeprefix(self.prefix)
        headers = self._told(request, user)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request, address, headers)
        return await self._passed(request, address, headers)

    def _told(self, request: web.Request, user: User) -> dict[str, str]:
        theirs = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _NOT_TAKEN_ON and not name.lower().startswith(_HIS)
        }
        return {
            **theirs,
            "Host": request.host,
            "X-Ingress-Path": self.prefix,
            "X-Hass-Source": "core.ingress",
            "X-Forwarded-For": request.remote or "",
            "X-Forwarded-Host": request.host,
            "X-Forwarded-Proto": request.scheme,
            **self.forwarded,
            **user.headers(),
        }

    async def _body(self, request: web.Request) -> bytes | AsyncIterator[bytes] | None:
        if request.method in {"GET", "HEAD", "OPTIONS"}:
            return None
        if self.streamed and request.method == "POST":
            return request.content.iter_chunked(_CHUNK_BYTES)
        return await request.read()  # 413 beyond 16 MiB

    async def _passed(
        self, request: web.Request, address: str, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        body = await self._body(request)
        try:
            async with self._http.request(
                request.method,
                _encoded(address),
                headers=headers,
                data=body,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
                timeout=aiohttp.ClientTimeout(total=None),
            ) as answer:
                return await _handed_on(request, answer)
        except aiohttp.ClientConnectionError as error:
            raise web.HTTPBadGateway from error

    async def _socket(
        self, request: web.Request, address: str, headers: Mapping[str, str]
    ) -> web.WebSocketResponse:
        wanted = [it.strip() for it in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        protocols = [it for it in wanted if it]
        rest = {name: value for name, value in headers.items() if name.lower() not in _SOCKET}
        try:
            app = await self._http.ws_connect(
                _encoded(address),
                headers=rest,
                protocols=protocols,
                max_msg_size=LARGEST_BYTES,
                autoping=False,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise web.HTTPBadGateway from error
        browser = web.WebSocketResponse(
            protocols=protocols, autoping=False, max_msg_size=LARGEST_BYTES
        )
        await browser.prepare(request)
        ways = [asyncio.create_task(_pour(browser, app)), asyncio.create_task(_pour(app, browser))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await app.close()
        await browser.close()
        return browser


def _encoded(address: str) -> aiohttp.client.URL:
    return aiohttp.client.URL(address, encoded=True)


async def _handed_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = {
        name: value for name, value in answer.headers.items() if name.lower() not in _NOT_TAKEN_ON
    }
    if "Content-Type" in headers:
        headers["Content-Type"] = headers["Content-Type"].partition(";")[0].strip()
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    with contextlib.suppress(ConnectionResetError, aiohttp.ClientPayloadError):
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    return response


_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pour(source: _Socket, into: _Socket) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            await into.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await into.send_bytes(message.data)
        elif message.type is aiohttp.WSMsgType.PING:
            await into.ping(message.data)
        elif message.type is aiohttp.WSMsgType.PONG:
            await into.pong(message.data)
