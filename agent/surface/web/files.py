"""
The page's files: which there are, as what they leave, and how long a browser may keep them.

Every file has a route of its own, made when the server starts; no path of a request ever becomes
a path of a file. The bundle's names hold a hash of what is in them, so they may be kept for ever;
`index.html` names them and is asked for anew each time. aiohttp sends the compressed sibling of a
file to whoever takes it; through ingress nobody does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

BUNDLE = Path(__file__).with_name("dist")
"""Made by `script/page build`; not in the repository."""
CONTENT_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_ANEW = "no-cache"
_NOT_BUILT = "The page was not built. Run script/setup, or script/page build, and load this again."

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(bundle: Path = BUNDLE) -> list[web.RouteDef]:
    """Return the routes of the page; without a bundle, one that says how to build it."""
    index = bundle / "index.html"
    if not index.is_file():
        return [web.get("/", _not_built)]
    found = [web.get("/", _serve(index, _ASK_ANEW))]
    for path in sorted(bundle.rglob("*")):
        if path.is_file() and path.suffix in CONTENT_TYPES:
            name = path.relative_to(bundle)
            kept = _FOR_EVER if name.parts[0] == "assets" else _ASK_ANEW
            found.append(web.get(f"/{name.as_posix()}", _serve(path, kept)))
    return found


def _serve(path: Path, kept: str) -> Handler:
    kind = f"{CONTENT_TYPES[path.suffix]}; charset=utf-8"

    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.FileResponse(path, headers={"Content-Type": kind, "Cache-Control": kept})

    return handler


async def _not_built(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=503, text=_NOT_BUILT)
