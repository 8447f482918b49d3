"""
One link to Home Assistant Core that comes back by itself.

Whoever needs Core shares this object: it authenticates, keeps a mirror of the wanted entity
states, carries service calls and says in words how the link is. A break is normal (Core restarts,
the Supervisor answers 502 until Core runs): everything subscribed is subscribed again and every
state is read afresh. A change in Core reaches the subscribers in the same turn of the event loop
that read its frame; nothing polls.

Source: Home Assistant's websocket API, read and run on Core 2024.1.0 and 2026.11.0.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp

from agent.homeassistant.address import CoreAddress
from agent.homeassistant.answers import (
    CoreConfig,
    CoreUser,
    core_config,
    find_user,
    template_error,
)
from agent.homeassistant.errors import (
    CallRefusedError,
    CallTimeoutError,
    CoreError,
    NotConnectedError,
)
from agent.homeassistant.link import Backoff, Link, LinkState
from agent.homeassistant.session import (
    ADVICE,
    EventHandler,
    LostError,
    Session,
    TokenRefusedError,
    open_session,
)
from agent.homeassistant.states import EntityMirror, EntityState

LOG = logging.getLogger(__name__)

T = TypeVar("T")
_STOPPED = Link(LinkState.DOWN, "the link to Home Assistant was stopped")
STEADY_S = 10.0
"""A link that stood this long was a good one: after it the waits start from the first again."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient the link is."""

    ping_s: float = 15.0
    pong_s: float = 10.0
    """A hang is noticed `ping_s + pong_s` after the last sign of life."""
    backoff: Backoff = field(default_factory=Backoff)
    refused_retry_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Stream:
    """Something that Core sends for as long as we listen."""

    kind: str
    callback: EventHandler
    fields: tuple[tuple[str, Any], ...] = ()
    refused: Callable[[CallRefusedError], None] | None = None
    """Told at each connect to a Core that has no such stream; without it, that breaks the link."""


class CoreConnection:
    """The link to Core; `run` keeps it alive, everything else may be called at any time."""

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        *,
        timing: Timing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = CoreAddress.of(url)
        self._token = token  # asked at every attempt: a token may be replaced while we run
        self._timing = timing or Timing()
        self._monotonic = monotonic
        self._link = Link(LinkState.DOWN, "not started")
        self._config: CoreConfig | None = None
        self._mirror = EntityMirror()
        self._wanted: frozenset[str] = frozenset()
        self._streams: list[Stream] = []
        self._dirty = asyncio.Event()
        self._session: Session | None = None
        self._http: aiohttp.ClientSession | None = None
        self._on_states: list[Callable[[frozenset[str]], None]] = []
        self._on_link: list[Callable[[Link], None]] = []

    @property
    def link(self) -> Link:
        """Return how the link is now."""
        return self._link

    @property
    def config(self) -> CoreConfig | None:
        """Return what Core said of itself at the last connect; `None` before the first."""
        return self._config

    @property
    def states(self) -> Mapping[str, EntityState]:
        """Return the mirror of the wanted entities; the last known ones while the link is down."""
        return self._mirror.states

    def watch(self, entity_ids: Iterable[str]) -> None:
        """Add entities to the mirror; ids that do not exist (yet) cost nothing."""
        wanted = self._wanted.union(entity_ids)
        if wanted != self._wanted:
            self._wanted = wanted
            self._dirty.set()

    def subscribe_states(self, callback: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call with the ids that changed, at once; return a function that ends it."""
        self._on_states.append(callback)
        return lambda: _forget(self._on_states, callback)

    def subscribe_link(self, callback: Callable[[Link], None]) -> Callable[[], None]:
        """Call at every change of the link; return a function that ends it."""
        self._on_link.append(callback)
        return lambda: _forget(self._on_link, callback)

    def subscribe_events(self, event_type: str, callback: EventHandler) -> Callable[[], None]:
        """Call with every event of that type on Core's bus, over reconnects too."""
        return self.subscribe(Stream("subscribe_events", callback, (("event_type", event_type),)))

    def subscribe(self, stream: Stream) -> Callable[[], None]:
        """Listen to a stream of Core's, over reconnects too; return a function that ends it."""
        self._streams.append(stream)
        self._dirty.set()

        def end() -> None:
            _forget(self._streams, stream)
            self._dirty.set()

        return end

    async def command(self, kind: str, timeout_s: float = 10.0, **fields: Any) -> Any:
        """
        Send one websocket command and return its result.

        Raises:
            NotConnectedError: nothing was sent.
            CallRefusedError: Core answered with an error.
            CallTimeoutError: sent, no answer in time.
            CallUnconfirmedError: sent, and the link broke before the answer.
        """
        if self._session is None or not self._link.up:
            raise NotConnectedError(self._link.detail or "no link to Home Assistant")
        return await self._session.command(kind, timeout_s, **fields)

    async def call_service(
        self,
        domain: str,
        service: str,
        data: Mapping[str, Any] | None = None,
        target: Mapping[str, Any] | None = None,
        timeout_s: float = 10.0,
    ) -> Any:
        """Call a service and return Core's result; raises as `command` does."""
        fields: dict[str, Any] = {"domain": domain, "service": service}
        fields["service_data"] = dict(data or {})
        if target:
            fields["target"] = dict(target)
        return await self.command("call_service", timeout_s, **fields)

    async def get_config(self) -> CoreConfig:
        """Ask Core for its version and time zone; raises as `command` does."""
        return core_config(await self.command("get_config"))

    async def get_states(self) -> list[dict[str, Any]]:
        """Return every state of Core in full, for choosing entities; raises as `command` does."""
        states: list[dict[str, Any]] = await self.command("get_states", 30.0)
        return states

    async def get_user(self, user_id: str) -> CoreUser | None:
        """Return one user, `None` if there is no such user; raises as `command` does."""
        return find_user(await self.command("config/auth/list"), user_id)

    async def notify(self, notification_id: str, title: str, message: str) -> None:
        """Raise or replace a persistent notification; raises as `command` does."""
        data = {"notification_id": notification_id, "title": title, "message": message}
        await self.call_service("persistent_notification", "create", data)

    async def dismiss(self, notification_id: str) -> None:
        """Take a persistent notification away; raises as `command` does."""
        data = {"notification_id": notification_id}
        await self.call_service("persistent_notification", "dismiss", data)

    async def render_template(self, text: str, timeout_s: float = 10.0) -> str:
        """
        Let Core render a template and return the text; needs an administrator's token.

        Raises:
            NotConnectedError: no link, or it broke; a template changes nothing, so try again.
            CallRefusedError: the template is wrong, or the token may not render.
            CallTimeoutError: no answer in time.
        """
        status, body = await self.rest("POST", "template", {"template": text}, timeout_s)
        if status == HTTPStatus.OK:
            return body
        raise template_error(status, body)

    async def rest(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float = 10.0
    ) -> tuple[int, str]:
        """
        Send one request to Core's REST API, for what the websocket has no command for.

        Args:
            method: `GET`, `POST` or `DELETE`.
            path: below `/api/`, as `template`.
            body: sent as JSON; `None` sends none.
            timeout_s: longest wait.

        Returns:
            Status and text of the answer, whatever the status is.

        Raises:
            NotConnectedError: no link, or it broke.
            CallTimeoutError: no answer in time.
        """
        if self._http is None or not self._link.up:
            raise NotConnectedError(self._link.detail or "no link to Home Assistant")
        url = self._address.api.joinpath(*path.split("/"))
        try:
            headers = {"Authorization": f"Bearer {self._read_token()}"}
            async with (
                asyncio.timeout(timeout_s),
                self._http.request(method, url, json=body, headers=headers) as response,
            ):
                return response.status, await response.text()
        except TimeoutError:
            text = f"Home Assistant did not answer {path} within {timeout_s:.1f} s"
            raise CallTimeoutError(text) from None
        except (aiohttp.ClientError, OSError, TokenRefusedError) as error:
            raise NotConnectedError(f"no answer to {path}: {error}") from None

    async def run(self) -> None:
        """Keep the link alive until cancelled; no failure of the network ends it."""
        failures = 0
        async with aiohttp.ClientSession() as http:
            self._http = http
            try:
                while True:
                    started_s = self._monotonic()
                    try:
                        await self._live(http)
                    except TokenRefusedError as error:
                        self._set_link(Link(LinkState.REFUSED, str(error)))
                        await asyncio.sleep(self._timing.refused_retry_s)
                    except LostError as error:
                        self._set_link(_down(str(error)))
                        steady = self._monotonic() - started_s > STEADY_S
                        failures = 1 if steady else failures + 1
                        await asyncio.sleep(self._timing.backoff.wait_s(failures))
            finally:
                self._http = None
                self._set_link(_STOPPED)

    async def _live(self, http: aiohttp.ClientSession) -> None:
        """Connect and serve until the link breaks, which is always told by an exception."""
        if self._link.state is not LinkState.REFUSED:
            self._set_link(Link(LinkState.CONNECTING, self._link.detail or "connecting"))
        ws = await open_session(http, self._address, self._read_token())
        session = self._session = Session(ws, self._timing.ping_s, self._timing.pong_s)
        subscriber = asyncio.create_task(self._keep_subscribed(session))
        try:
            await session.serve()
        finally:
            self._session = None
            self._set_link(_down(session.broken) if session.broken else _STOPPED)
            subscriber.cancel()
            await session.close()

    async def _keep_subscribed(self, session: Session) -> None:
        """Subscribe to what is wanted, at the start and whenever that changes."""
        entities: int | None = None
        listening: dict[Stream, int | None] = {}
        try:
            await session.command("supported_features", 10.0, features={"coalesce_messages": 1})
            self._config = core_config(await session.command("get_config", 10.0))
            while True:
                self._dirty.clear()
                for stream in set(listening) - set(self._streams):
                    if (number := listening.pop(stream)) is not None:
                        await session.unsubscribe(number)
                for stream in set(self._streams) - set(listening):
                    listening[stream] = await _listen(session, stream)
                if self._wanted:
                    older, entities = entities, await self._subscribe_entities(session)
                    if older is not None:
                        await session.unsubscribe(older)
                self._set_link(Link(LinkState.UP))
                await self._dirty.wait()
        except CoreError as error:
            await session.abort(f"Home Assistant did not let us subscribe: {error}")

    async def _subscribe_entities(self, session: Session) -> int:
        """Subscribe to the wanted entities and wait for their first full reading."""
        first = asyncio.Event()

        def take(event: Mapping[str, Any]) -> None:
            now_s = self._monotonic()
            if first.is_set():
                touched = self._mirror.apply(event, now_s)
            else:
                touched = self._mirror.replace(event, now_s)
                first.set()
            for callback in tuple(self._on_states):
                _shielded(callback, frozenset(touched))

        number = await session.subscribe(
            "subscribe_entities", take, entity_ids=sorted(self._wanted)
        )
        try:
            async with asyncio.timeout(10.0):
                await first.wait()
        except TimeoutError:
            raise CallTimeoutError("no first reading of the entities within 10 s") from None
        return number

    def _read_token(self) -> str:
        try:
            token = self._token().strip()
        except (OSError, ValueError, KeyError) as error:
            raise TokenRefusedError(
                f"the token cannot be read ({type(error).__name__}); {ADVICE}"
            ) from None
        if not token or not token.isascii() or not token.isprintable():
            raise TokenRefusedError(f"there is no usable token; {ADVICE}")
        return token

    def _set_link(self, link: Link) -> None:
        before, self._link = self._link, link
        if before == link:
            return
        if link.up:
            LOG.info("linked to Home Assistant %s", self._config.version if self._config else "?")
        elif link.state is LinkState.REFUSED and before.state is not LinkState.REFUSED:
            LOG.error("%s", link.detail)
        elif before.up:
            LOG.log(logging.INFO if link == _STOPPED else logging.WARNING, "%s", link.detail)
        for callback in tuple(self._on_link):
            _shielded(callback, link)


def _down(reason: str) -> Link:
    return Link(LinkState.DOWN, f"no link to Home Assistant: {reason}; trying again by itself")


def _forget(listeners: list[Any], listener: object) -> None:
    if listener in listeners:
        listeners.remove(listener)


async def _listen(session: Session, stream: Stream) -> int | None:
    """Subscribe; return the number, `None` where Core has no such stream and may be without."""
    try:
        return await session.subscribe(
            stream.kind, _guarded(stream.callback), **dict(stream.fields)
        )
    except CallRefusedError as error:
        if stream.refused is None:
            raise
        _shielded(stream.refused, error)
        return None


def _guarded(callback: EventHandler) -> EventHandler:
    return lambda event: _shielded(callback, event)


def _shielded(callback: Callable[[T], None], argument: T) -> None:
    """Call a subscriber; its bug may not cut everybody's link."""
    try:
        callback(argument)
    except Exception:
        LOG.exception("a subscriber to Home Assistant failed")
