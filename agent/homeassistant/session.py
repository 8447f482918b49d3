"""
One authenticated websocket to Core, from its handshake to its end.

Numbers the commands, brings answers and events to whoever waits for them, and pings, because a
peer that is gone without a word looks like a house where nothing changes. A session never comes
back; `websocket.CoreConnection` starts the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

from agent.homeassistant.address import CoreAddress
from agent.homeassistant.errors import (
    CallRefusedError,
    CallTimeoutError,
    CallUnconfirmedError,
)

LOG = logging.getLogger(__name__)

HANDSHAKE_S = 10.0
ADVICE = (
    "create a long-lived access token of an administrator on your Home Assistant profile page "
    "and set it as ha_token"
)
REFUSED_STATUS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

EventHandler = Callable[[Mapping[str, Any]], None]


class LostError(Exception):
    """There is no websocket, or no longer; the message says why."""


class TokenRefusedError(Exception):
    """Core does not want this token; the message says what to do."""


async def open_session(
    http: aiohttp.ClientSession, address: CoreAddress, token: str
) -> aiohttp.ClientWebSocketResponse:
    """
    Connect and authenticate.

    Raises:
        LostError: nobody there, or not ready.
        TokenRefusedError: the token is not accepted.
    """
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            ws = await http.ws_connect(
                address.websocket,
                max_msg_size=0,  # one stock-taking of a big house exceeds the default of 4 MB
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            )
            try:
                await _authenticate(ws, token)
            except BaseException:
                await ws.close()
                raise
    except TimeoutError:
        raise LostError(f"{address.websocket} did not answer within {HANDSHAKE_S:.0f} s") from None
    except aiohttp.WSServerHandshakeError as error:
        raise _handshake_error(error.status, address) from None
    except (aiohttp.ClientError, OSError) as error:
        raise LostError(f"{address.websocket}: {error}") from None
    return ws


def _handshake_error(status: int, address: CoreAddress) -> Exception:
    if status in REFUSED_STATUS:
        return TokenRefusedError(
            f"{address.websocket} answered {status}: not allowed to speak to Home Assistant; "
            "in an app, `homeassistant_api` must be granted; else look for a ban of this "
            "machine's address in Home Assistant"
        )
    if status == HTTPStatus.BAD_GATEWAY:
        return LostError("Home Assistant Core is not running yet (502); waiting for its start")
    return LostError(f"{address.websocket} answered {status}; is this the address of Core?")


async def _authenticate(ws: aiohttp.ClientWebSocketResponse, token: str) -> None:
    try:
        hello = await ws.receive_json()
        if hello.get("type") == "auth_required":
            await ws.send_json({"type": "auth", "access_token": token})
            hello = await ws.receive_json()
        kind, words = hello.get("type"), hello.get("message", "")
    except (TypeError, ValueError, AttributeError, ConnectionError):
        raise LostError("the peer closed or does not speak Home Assistant's language") from None
    if kind == "auth_invalid":
        raise TokenRefusedError(f"Home Assistant refused the token ({words}); {ADVICE}")
    if kind != "auth_ok":
        raise LostError(f"unexpected answer {kind!r} to the authentication")


class Session:
    """Commands and events over one open websocket."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, ping_s: float, pong_s: float) -> None:
        self._ws = ws
        self._ping_s = ping_s
        self._pong_s = pong_s
        self._last_id = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._handlers: dict[int, EventHandler] = {}
        self.broken = ""
        """Why the session ended; empty while it stands."""

    async def command(self, kind: str, timeout_s: float, **fields: Any) -> Any:
        """Send one command and return its result; raises as `CoreConnection.command` does."""
        self._last_id += 1
        return await self._exchange(self._last_id, kind, timeout_s, fields)

    async def subscribe(self, kind: str, handler: EventHandler, **fields: Any) -> int:
        """Subscribe; the handler gets every event. Returns the number to unsubscribe with."""
        self._last_id += 1
        number = self._last_id
        self._handlers[number] = handler  # before sending: the first event may come with the result
        await self._exchange(number, kind, 10.0, fields)
        return number

    async def unsubscribe(self, number: int) -> None:
        """End a subscription; a Core that has forgotten it already is no failure."""
        self._handlers.pop(number, None)
        with contextlib.suppress(CallRefusedError):
            await self.command("unsubscribe_events", 10.0, subscription=number)

    async def serve(self) -> None:
        """
        Read until the end.

        Raises:
            LostError: always, with the reason.
        """
        pinger = asyncio.create_task(self._ping())
        try:
            async for frame in self._ws:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    continue
                content = json.loads(frame.data)
                for message in content if isinstance(content, list) else (content,):
                    self._take(message)
            error = self._ws.exception()
            reason = str(error) if error else f"closed by the peer ({self._ws.close_code})"
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            LOG.warning("unreadable frame from Home Assistant: %s", type(error).__name__)
            reason = "Home Assistant sent a frame that cannot be read"
        finally:
            pinger.cancel()
        self.broken = self.broken or reason
        raise LostError(self.broken)

    async def abort(self, reason: str) -> None:
        """End the session from our side; `serve` then raises with this reason."""
        self.broken = self.broken or reason
        await self._ws.close()

    async def close(self) -> None:
        """Close the socket and tell everybody who still waits that no answer will come."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(
                    CallUnconfirmedError(
                        "the link to Home Assistant broke before the answer: the call may have "
                        "run; look at what it should have changed"
                    )
                )
        self._waiting.clear()
        self._handlers.clear()
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await self._ws.close()

    async def _exchange(
        self, number: int, kind: str, timeout_s: float, fields: Mapping[str, Any]
    ) -> Any:
        what = f"{fields['domain']}.{fields['service']}" if kind == "call_service" else kind
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(timeout_s):
                await self._ws.send_json({"id": number, "type": kind, **fields})
                return await answer
        except TimeoutError:
            raise CallTimeoutError(
                f"Home Assistant did not answer {what} within {timeout_s:.1f} s: it may still run"
            ) from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise CallUnconfirmedError(
                f"the link broke while {what} was being sent ({error}): it may have run"
            ) from None
        finally:
            self._waiting.pop(number, None)

    def _take(self, message: Mapping[str, Any]) -> None:
        kind, number = message["type"], message.get("id")
        if kind == "event":
            if handler := self._handlers.get(message["id"]):
                handler(message["event"])
        elif kind in {"result", "pong"} and (answer := self._waiting.get(message["id"])):
            if answer.done():
                return
            if message.get("success", True):
                answer.set_result(message.get("result"))
            else:
                error = message.get("error") or {}
                answer.set_exception(
                    CallRefusedError(
                        str(error.get("code", "unknown_error")), str(error.get("message", ""))
                    )
                )
        else:
            LOG.debug("nobody waits for message %s of type %s", number, kind)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._ping_s)
            try:
                await self.command("ping", self._pong_s)
            except CallTimeoutError:
                await self.abort(f"no answer to a ping within {self._pong_s:.0f} s")
                return
            except CallUnconfirmedError:
                return  # the reader knows
