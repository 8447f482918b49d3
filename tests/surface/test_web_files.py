"""Which files leave, as what, and for how long a browser keeps them."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from agent.surface.web import files
from tests.surface.conftest import FRONTEND, House

LARGEST_BYTES = 150_000


async def test_the_bundle_is_kept_for_ever_and_its_index_is_asked_for_anew(
    bundle: Path, house: House
) -> None:
    async with house.client.get("/") as answer:
        index = await answer.text()
        assert answer.headers["Cache-Control"] == "no-cache"
        assert "script-src" not in answer.headers["Content-Security-Policy"]  # default-src holds
    script = re.search(r'src="\./(assets/[^"]+-[\w-]{8}\.js)"', index)
    assert script, index
    async with house.client.get(f"/{script[1]}") as answer:
        assert (answer.status, answer.content_type) == (200, "text/javascript")
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "<style" not in index
    assert not re.search(r"<script(?![^>]*\bsrc=)", index)


def _script(bundle: Path) -> Path:
    (found,) = bundle.glob("assets/index-*.js")
    return found


async def test_who_takes_it_compressed_gets_it_so(bundle: Path, house: House) -> None:
    script = _script(bundle)
    path = f"/assets/{script.name}"
    for wanted, sent in (("gzip", "gzip"), ("identity", None)):
        async with house.client.get(path, headers={"Accept-Encoding": wanted}) as answer:
            assert answer.headers.get("Content-Encoding") == sent
            assert answer.content_type == "text/javascript"
            assert await answer.read() == script.read_bytes()


async def test_what_is_no_file_of_the_bundle_is_not_found(bundle: Path, house: House) -> None:
    for path in (".digest", "assets/", "..%2fserver.py", "%2e%2e/server.py"):
        async with house.client.get(f"/{path}") as answer:
            assert answer.status == 404, path


async def test_a_page_that_was_not_built_says_what_to_run(tmp_path: Path) -> None:
    application = web.Application()
    application.add_routes(files.routes(tmp_path))
    async with TestClient(TestServer(application)) as client:
        answer = await client.get("/")
        assert answer.status == 503
        assert "script/page build" in await answer.text()


def test_the_bundle_is_small(bundle: Path) -> None:
    sent = [path for path in bundle.rglob("*") if path.suffix in files.CONTENT_TYPES]
    sizes = {path.name: len(gzip.compress(path.read_bytes(), mtime=0)) for path in sent}
    assert len(sizes) > 3
    assert sum(sizes.values()) < LARGEST_BYTES, sizes


def test_the_packages_are_pinned_and_no_registry_is_named() -> None:
    package = json.loads((FRONTEND / "package.json").read_text())
    wanted = {**package["dependencies"], **package["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values()), wanted
    lock = json.loads((FRONTEND / "package-lock.json").read_text())
    assert all("resolved" not in each for each in lock["packages"].values())
    assert all("integrity" in each for name, each in lock["packages"].items() if name)
