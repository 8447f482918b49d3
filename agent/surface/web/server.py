"""
The web server: one door, one policy, one set of headers.

Every request passes the gate before anything reads its body, and every answer, also an error,
leaves with the same strict headers: the page runs on Home Assistant's own origin, where a single
injected script would own the house. URLs are relative, because ingress serves us under a prefix
that changes. Nothing here logs a request: its cookie opens the ingress session.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from aiohttp import web
from aiohttp.http import HttpProcessingError

from agent.surface.desk import GuardDesk, SettingsDesk
from agent.surface.web import files
from agent.surface.web.api import HEARTBEAT_S, Api, Desks
from agent.surface.web.auth import Access, Gate, Refused
from agent.surface.web.feed import Feed
from agent.surface.web.noting import Audit, Noted

LARGEST_BODY_BYTES = 65_536
JSON = "application/json"
_FIRST_FAULT = 400
_WORDS = {
    404: ("not_found", "There is nothing at this address; reload the page."),
    405: ("bad_method", "This address is not asked that way; reload the page."),
    413: ("too_large", f"The request is larger than {LARGEST_BODY_BYTES // 1024} KiB."),
}
_THEIRS = ("bad_request", "The request cannot be understood; reload the page.")
_FIRST_FAULT_OF_OURS = 500
_OURS = ("failed", "The agent could not do it, by a fault of its own; its log says which.")
_BEGUN = web.RequestKey("begun", bool)
"""Set once a part of the answer may have left."""
_LOG = logging.getLogger(__name__)
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
        self._api = Api(guard, settings, gate, Noted(audit), self._feed, heartbeat_s, others)
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
                "listen on 127.0.0.1 or set an access token (option access_token). "
                "Nothing was started."
            )
        self._runner = web.AppRunner(
            self._application(), access_log=None, logger=_http_log(), shutdown_timeout=LEAVE_S
        )
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
        application.add_routes(files.routes())
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
            self._api.turn_away(request, verdict)
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < _FIRST_FAULT or error.content_type == JSON:
                raise
            return _in_words(error)
        except ConnectionError:  # who asked has left
            raise
        except Exception:
            if _BEGUN in request:
                raise  # a stream can only be cut off
            _LOG.exception("%s %r went wrong", request.method, request.path)
            return _in_words(web.HTTPInternalServerError())


def _http_log() -> logging.Logger:
    """Return a log without those who do not speak HTTP: anybody can, as often as he likes."""
    log = logging.getLogger(f"{__name__}.http")

    def ours(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)

    log.filters = [ours]
    return log


def _in_words(error: web.HTTPException) -> web.Response:
    """Return what the library would say in plain text as every other refusal is said."""
    other = _OURS if error.status >= _FIRST_FAULT_OF_OURS else _THEIRS
    code, text = _WORDS.get(error.status, other)
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    body = {"accepted": False, "code": code, "text": text}
    return web.json_response(body, status=error.status, headers=headers)


async def _add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    request[_BEGUN] = True
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "pv-edge-agent"  # instead of every library's version


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
