"""
The page's files: which there are, as what they leave, and how long a browser may keep them.

Every file has a route of its own, made when the server starts; no path of a request ever becomes
a path of a file. The bundle's names hold a hash of what is in them, so they may be kept for ever;
`index.html` names them and is asked for anew each time. aiohttp sends the compressed sibling of a
file to whoever takes it; through ingress nobody does.

Two pages live here for a while: the one at the root, and its successor at `next/`, which moves to
the root when it has every view.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

STATIC = Path(__file__).with_name("static")
BUNDLE = Path(__file__).with_name("dist")
"""Made by `script/page build`; not in the repository."""
NEXT = "/next/"
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
    """Return the routes of both pages."""
    files = {path.name: path for path in STATIC.iterdir() if path.suffix in CONTENT_TYPES}
    old = [web.get(f"/{name}", _serve(path, _ASK_ANEW)) for name, path in sorted(files.items())]
    # Relative, because ingress does not rewrite where an answer sends the browser.
    home = web.get(NEXT.rstrip("/"), _elsewhere(NEXT.strip("/") + "/"))
    return [web.get("/", _serve(files["index.html"], _ASK_ANEW)), *old, home, *_built(bundle)]


def _built(bundle: Path) -> list[web.RouteDef]:
    index = bundle / "index.html"
    if not index.is_file():
        return [web.get(NEXT, _not_built)]
    found = [web.get(NEXT, _serve(index, _ASK_ANEW))]
    for path in sorted(bundle.rglob("*")):
        if path.is_file() and path.suffix in CONTENT_TYPES:
            name = path.relative_to(bundle)
            kept = _FOR_EVER if name.parts[0] == "assets" else _ASK_ANEW
            found.append(web.get(f"{NEXT}{name.as_posix()}", _serve(path, kept)))
    return found


def _serve(path: Path, kept: str) -> Handler:
    kind = f"{CONTENT_TYPES[path.suffix]}; charset=utf-8"

    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.FileResponse(path, headers={"Content-Type": kind, "Cache-Control": kept})

    return handler


def _elsewhere(relative: str) -> Handler:
    async def handler(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(relative)

    return handler


async def _not_built(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=503, text=_NOT_BUILT)
