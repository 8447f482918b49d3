"""
The web server: one door, one policy, one set of headers.

Every request passes the gate before anything reads its body, and every answer, also an error,
leaves with the same strict headers: the page runs on Home Assistant's own origin, where a single
injected script would own the house. URLs are relative, because ingress serves us under a prefix
that changes. Nothing here logs a request: its cookie opens the ingress session.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

from aiohttp import web

from agent.surface.desk import GuardDesk, SettingsDesk
from agent.surface.web.api import HEARTBEAT_S, Api, Audit, Desks, refuse
from agent.surface.web.auth import Access, Gate, Refused
from agent.surface.web.feed import Feed

STATIC = Path(__file__).with_name("static")
CONTENT_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
LARGEST_BODY_BYTES = 65_536
LEAVE_S = 5.0
HEADERS = {
    # Framing stays allowed for our own origin: the panel is an iframe in Home Assistant's page.
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebServer:
    """Serves page and API until stopped."""

    def __init__(
        self,
        guard: GuardDesk,
        settings: SettingsDesk,
        gate: Gate,
        audit: Audit,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        desks: Desks | None = None,
    ) -> None:
        self._gate = gate
        others = desks or Desks()
        self._feed = Feed(guard, others.bridges, others.releases, others.flashing, others.recovery)
        self._api = Api(guard, settings, gate, audit, self._feed, heartbeat_s, others)
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """
        Listen, and return the port, which for 0 the system chose.

        Raises:
            ValueError: outside the Supervisor, at an address that others can reach, without token.
            OSError: the address cannot be used.
        """
        policy = self._gate.policy
        if not (policy.supervised or policy.token or _is_loopback(host)):
            raise ValueError(
                f"The page would be open to everybody who reaches {host}; "
                "listen on 127.0.0.1 or set an access token. Nothing was started."
            )
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=LEAVE_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self._feed.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """End every stream and close."""
        self._feed.close()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._door], client_max_size=LARGEST_BODY_BYTES)
        application.on_response_prepare.append(_add_headers)
        application.add_routes(self._api.routes())
        application.add_routes(_static_routes())
        return application

    @web.middleware
    async def _door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        # A write is let to its handler as the weakest write there is; what it wants is in its body.
        if request.path == "/health":
            access = Access.HEALTH
        elif request.method in {"GET", "HEAD"}:
            access = Access.VIEW if request.path.startswith("/api/") else Access.PAGE
        else:
            access = Access.STOP
        verdict = await self._gate.admit(request.remote, request.headers, access)
        if isinstance(verdict, Refused):
            refuse(verdict)
        return await handler(request)


def _static_routes() -> list[web.RouteDef]:
    """Return one route per file; no path of a request ever becomes a path of a file."""

    def serve(path: Path) -> Handler:
        async def handler(_request: web.Request) -> web.StreamResponse:
            kind = CONTENT_TYPES[path.suffix]
            headers = {"Content-Type": f"{kind}; charset=utf-8", "Cache-Control": "no-cache"}
            return web.FileResponse(path, headers=headers)

        return handler

    files = [path for path in sorted(STATIC.iterdir()) if path.suffix in CONTENT_TYPES]
    routes = [web.get(f"/{path.name}", serve(path)) for path in files]
    return [web.get("/", serve(STATIC / "index.html")), *routes]


async def _add_headers(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "pv-edge-agent"  # instead of every library's version


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
