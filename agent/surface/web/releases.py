"""
Firmware releases over HTTP: what is known, looking again, own builds, other publishers.

Reading is for everybody; everything else is an administrator's, asked before a byte of a file is
read, and audited with its outcome. Nothing here writes to a bridge.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from agent.surface.desk import NewSource, ReleasesDesk
from agent.surface.shown import ReleasesView, SourceView
from agent.surface.web.auth import Access, Allowed, Refused
from agent.surface.web.operations import Channel, Digest, Said, Source, SourceName, described

Audit = Callable[[str, str, str], None]
Admit = Callable[[web.Request, Access, str], Awaitable[Allowed]]
Body = Callable[[web.Request], Awaitable[dict[str, Any]]]
LARGEST_FILE_BYTES = 8 * 1024 * 1024
"""A firmware file or a bundle of signed documents; the largest slot of an ESP32 is smaller."""
LONGEST_ACTION = 500
_CHUNK_BYTES = 65_536
_FILE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class ReleasesApi:
    """The handlers and what they work on."""

    desk: ReleasesDesk | None
    admit: Admit
    audit: Audit
    body: Body
    refuse: Callable[[Refused], Any]

    def routes(self) -> list[web.RouteDef]:
        """Return every route about releases; none where nobody keeps them."""
        if self.desk is None:
            return []
        return [
            web.get("/api/releases", self.shown),
            web.post("/api/releases/look", self.look),
            web.post("/api/releases/bundle", self.take_bundle),
            web.post("/api/releases/own", self.show_build),
            web.post("/api/releases/own/accept", self.accept_build),
            web.get("/api/releases/sources", self.sources),
            web.post("/api/releases/sources", self.add_source),
            web.delete("/api/releases/sources", self.remove_source),
            web.put("/api/releases/channel", self.choose_channel),
        ]

    @described(Access.VIEW, ReleasesView)
    async def shown(self, _request: web.Request) -> web.Response:
        """Return what is known of releases and what each bridge is offered."""
        return web.json_response(self._desk.shown())

    @described(Access.VIEW, dict[str, list[SourceView]])
    async def sources(self, _request: web.Request) -> web.Response:
        """Return the sources alone."""
        return web.json_response({"sources": self._desk.shown()["sources"]})

    @described(Access.ADMIN, Said)
    async def look(self, request: web.Request) -> web.Response:
        """Look at every source again, and tell what became of it."""
        return await self._act(request, "look for releases", self._desk.look)

    @described(Access.ADMIN, Said, _FILE)
    async def take_bundle(self, request: web.Request) -> web.Response:
        """Take a bundle of signed documents; whoever brought it, the signatures decide."""
        allowed = await self.admit(request, Access.ADMIN, "bundle of releases")
        archive = await self._file(request, allowed, "bundle of releases")
        return await self._told(
            allowed, "bundle of releases", self._desk.take_bundle(archive, allowed.by)
        )

    @described(Access.ADMIN, dict[str, Any], _FILE)
    async def show_build(self, request: web.Request) -> web.Response:
        """Return what a firmware file says of itself; nothing is accepted by that."""
        action = "upload of an own build"
        allowed = await self.admit(request, Access.ADMIN, action)
        file = await self._file(request, allowed, action)
        try:
            build = await self._desk.show_build(file, allowed.by)
        except (ValueError, OSError) as error:
            return self._refused(allowed, action, error)
        self.audit(allowed.by, action, f"shown: SHA-256 {build.get('sha256')}")
        return web.json_response(build)

    @described(Access.ADMIN, Said, Digest)
    async def accept_build(self, request: web.Request) -> web.Response:
        """Accept a build that was shown."""
        digest = str((await self.body(request)).get("sha256"))
        action = f"accept the own build {digest}"[:LONGEST_ACTION]
        return await self._act(request, action, lambda by: self._desk.accept_build(digest, by))

    @described(Access.ADMIN, Said, Source)
    async def add_source(self, request: web.Request) -> web.Response:
        """Trust another publisher, by the fingerprint that he told."""
        body = await self.body(request)
        given = {
            it: str(body.get(it) or "").strip()
            for it in ("name", "mirror", "fingerprint", "channel")
        }
        action = f"trust the source {given['name']} ({given['fingerprint']})"[:LONGEST_ACTION]
        wanted = NewSource(**given)
        return await self._act(request, action, lambda by: self._desk.add_source(wanted, by))

    @described(Access.ADMIN, Said, SourceName)
    async def remove_source(self, request: web.Request) -> web.Response:
        """Trust a publisher no more."""
        name = str((await self.body(request)).get("name"))
        action = f"remove the source {name}"[:LONGEST_ACTION]
        return await self._act(request, action, lambda by: self._desk.remove_source(name, by))

    @described(Access.ADMIN, Said, Channel)
    async def choose_channel(self, request: web.Request) -> web.Response:
        """Choose the channel of one bridge or of all; JSON's null gives a bridge the rest's."""
        body = await self.body(request)
        mac, channel = body.get("mac"), body.get("channel")
        whose, which = (None if it is None else str(it) for it in (mac, channel))
        action = f"channel {which} for {whose or 'all bridges'}"[:LONGEST_ACTION]
        return await self._act(
            request, action, lambda by: self._desk.choose_channel(whose, which, by)
        )

    async def _act(
        self, request: web.Request, action: str, act: Callable[[str], Awaitable[str]]
    ) -> web.Response:
        allowed = await self.admit(request, Access.ADMIN, action)
        return await self._told(allowed, action, act(allowed.by))

    async def _told(self, allowed: Allowed, action: str, act: Awaitable[str]) -> web.Response:
        try:
            text = await act
        except (ValueError, OSError) as error:
            return self._refused(allowed, action, error)
        self.audit(allowed.by, action, text[:LONGEST_ACTION])
        return web.json_response({"text": text})

    async def _file(self, request: web.Request, allowed: Allowed, action: str) -> bytes:
        """Return the body as it is, or end the request where it is too large or empty."""
        found = bytearray()
        async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
            found += chunk
            if len(found) > LARGEST_FILE_BYTES:
                self.audit(allowed.by, action, "too large")
                most = LARGEST_FILE_BYTES // (1024 * 1024)
                self.refuse(Refused("too_large", 400, f"The file is larger than {most} MiB."))
        if not found:
            self.audit(allowed.by, action, "empty")
            self.refuse(Refused("bad_request", 400, "The file is empty; choose another one."))
        return bytes(found)

    @property
    def _desk(self) -> ReleasesDesk:
        assert self.desk is not None  # noqa: S101 - else there is no route that asks
        return self.desk

    def _refused(self, allowed: Allowed, action: str, error: Exception) -> web.Response:
        text = str(error) or "It could not be done; the log says more."
        self.audit(allowed.by, action, f"refused: {text}"[:LONGEST_ACTION])
        status = 400 if isinstance(error, ValueError) else 503
        return web.json_response({"code": "invalid", "text": text}, status=status)
