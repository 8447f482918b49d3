"""The document of the API is whole, is the one in the docs, and is true about who may what."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from jsonschema import Draft202012Validator
from typing_extensions import TypedDict

from agent.fleet.operations import Op
from agent.surface.web import openapi
from agent.surface.web.auth import WRITE_HEADER, Access, Gate, Policy
from agent.surface.web.operations import described, description
from tests.surface.conftest import WRITES, House, make_house
from tests.surface.test_support import HandSupport

WRITTEN = Path(__file__).parents[2] / "docs" / "api.json"


async def test_every_address_that_is_served_stands_in_the_document(house: House) -> None:
    async with house.client.get("/api/openapi.json") as answer:
        assert answer.status == 200
        told = (await answer.json())["paths"]
    application = house.server._application()
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in application.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    of_api = {it for it in served if it[1].startswith("/api/") or it[1] == "/health"}
    assert of_api == {(method, path) for path, it in told.items() for method in it}
    assert ("get", "/") in served - of_api
    assert {method for method, _ in served - of_api} == {"get"}, "the page's files are only read"


def test_the_document_in_the_docs_is_the_one_that_is_made() -> None:
    made = json.dumps(openapi._whole(), indent=1) + "\n"
    assert WRITTEN.read_text() == made, "python -m agent.surface.web.openapi > docs/api.json"


def test_a_handler_that_says_nothing_of_itself_is_found() -> None:
    async def silent(_request: web.Request) -> web.Response:
        return web.Response()

    with pytest.raises(LookupError, match=r"silent has no @described"):
        openapi.document([web.get("/api/silent", silent)])


def test_two_shapes_of_one_name_are_found() -> None:
    Refusal = TypedDict("Refusal", {"why": str})  # noqa: UP013 - the name is what matters

    @described(Access.VIEW, Refusal)
    async def told(_request: web.Request) -> web.Response:
        """Tell."""
        return web.Response()

    with pytest.raises(LookupError, match=r"two shapes are called Refusal"):
        openapi.document([web.get("/api/told", told)])


def test_its_schemas_are_schemas_and_its_references_lead_somewhere() -> None:
    whole = openapi._whole()
    for schema in whole["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    names = [it["operationId"] for path in whole["paths"].values() for it in path.values()]
    assert len(names) == len(set(names))
    for reference in references(whole):
        place: Any = whole
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def references(of: Any) -> list[str]:
    if isinstance(of, dict):
        own = [of["$ref"]] if isinstance(of.get("$ref"), str) else []
        return own + [it for value in of.values() for it in references(value)]
    return [it for value in of for it in references(value)] if isinstance(of, list) else []


async def test_what_it_says_of_access_is_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.surface.web.auth.SUPERVISOR_PEER", "127.0.0.1")

    async def nobody(_user_id: str) -> bool:
        return False

    house = make_house(tmp_path, Gate(Policy(supervised=True), nobody), heartbeat_s=0.2)
    port = await house.server.start("127.0.0.1", 0)
    resident = {"X-Remote-User-Id": "u-ben", **WRITES}
    async with ClientSession(f"http://127.0.0.1:{port}") as http:
        for route in house.server._api.routes():
            access = description(route.handler).access
            if route.path == "/health":
                continue

            async def code(headers: dict[str, str], route: web.RouteDef = route) -> Any:
                async with http.request(
                    route.method, route.path, headers=headers, json={"kind": "emergency_stop"}
                ) as answer:
                    if answer.status == 200:
                        return "done"
                    return (await answer.json())["code"]

            where = f"{route.method} {route.path}"
            assert await code({}) == "no_user", where
            if access.writes:
                bare = {name: it for name, it in resident.items() if name != WRITE_HEADER}
                assert await code(bare) == "csrf", where
            assert (await code(resident) == "not_admin") == (access is Access.ADMIN), where
            assert await code(resident) not in {"no_user", "csrf", "peer"}, where
    await house.server.stop()


EVERYTHING = {
    "mac": "aa:bb:cc:dd:ee:ff", "key": "k", "op": Op.RESTART.value, "job": "a1b2", "macs": [],
    "acks": [], "campaign": "c", "what": "pause", "sha256": "0" * 64, "name": "acme", "mirror": "https://acme",
    "fingerprint": "0" * 64, "channel": "beta", "configuration": "esphome:", "format": "none",
}  # fmt: skip
"""A body that every handler finds its words in."""
BELOW = "/api/bridges/ask"
"""Noted by the room below, which is told the author, because it is asked over MQTT too."""


async def test_every_action_of_an_administrator_is_noted_with_its_author(tmp_path: Path) -> None:
    house = make_house(tmp_path, heartbeat_s=0.2)
    support: Any = HandSupport()
    house.server._api = replace(
        house.server._api, desks=replace(house.server._api.desks, support=support)
    )
    port = await house.server.start("127.0.0.1", 0)
    async with ClientSession(f"http://127.0.0.1:{port}", headers=WRITES) as http:
        for route in house.server._api.routes():
            if description(route.handler).access is not Access.ADMIN:
                continue
            house.audited.clear()
            async with http.request(route.method, route.path, json=EVERYTHING) as answer:
                await answer.read()
            if route.path == BELOW:
                assert house.bridges.asked[-1][2] == "page: local"
                continue
            authors = {by for by, _, _ in house.audited}
            assert authors == {"page: local"}, f"{route.method} {route.path}"
    await house.server.stop()
