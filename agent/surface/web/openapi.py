"""
The document of the whole API, made of the routes themselves.

What an address takes and gives stands at its handler (`operations.py`), what it is for in the
handler's first sentence, and what the gate adds is the same for all: so the document cannot say
what the agent does not do. The agent serves it at `api/openapi.json`; the copy in the repository is
written by

    python -m agent.surface.web.openapi > docs/api.json

Source: OpenAPI Specification 3.1.1; JSON Schema 2020-12.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, cast

from aiohttp import web
from pydantic import TypeAdapter

from agent import __version__
from agent.surface.web.auth import WRITE_HEADER, WRITE_HEADER_VALUE, Access
from agent.surface.web.once import LONGEST_KEY, ONCE_HEADER
from agent.surface.web.operations import Described, Refusal, description

_SCHEMAS = "#/components/schemas/"
_JSON = "application/json"
_OUT, _IN = "serialization", "validation"
_WHO = {
    Access.HEALTH: "this machine, and the Supervisor",
    Access.VIEW: "any user who is logged in",
    Access.STOP: "any user who is logged in, for stops; else an administrator",
    Access.ADMIN: "an administrator of Home Assistant",
}
_REFUSALS = {
    400: "The request cannot be understood or taken; the text says why.",
    401: "Outside the Supervisor: the access token is missing or wrong.",
    403: "Who asks may not: `peer`, `no_user`, `not_admin`, `csrf`, `origin` or `host`.",
    409: "It was understood and is not done: `replayed`, or why the agent will not.",
    413: "The body is too large.",
    503: "It cannot be asked or done now, for instance `lookup_failed`; try again.",
}
_PREAMBLE = (
    "Addresses are relative to that of the page, whose prefix under ingress changes. Every refusal "
    "is a JSON object with a stable `code` and a sentence in `text`. Numbers that are not known "
    "are null. docs/api.md tells how to call it."
)


def document(routes: Iterable[web.RouteDef]) -> dict[str, Any]:
    """
    Return the OpenAPI document of these routes.

    Raises:
        LookupError: a handler does not say what it takes and gives, or two shapes share a name.
    """
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, description(route.handler), schemas)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    refusals = {
        f"Refusal{status}": {"description": text, "content": _content(Refusal, schemas, _OUT)}
        for status, text in _REFUSALS.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "PV Edge Agent", "version": __version__, "description": _PREAMBLE},
        "paths": paths,
        "components": {
            "responses": refusals,
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Outside the Supervisor, where the agent has an access token.",
                }
            },
        },
        "security": [{}, {"token": []}],
    }


def _operation(route: web.RouteDef, told: Described, schemas: dict[str, Any]) -> dict[str, Any]:
    summary, _, rest = (inspect.getdoc(route.handler) or "").partition("\n")
    made: dict[str, Any] = {
        "operationId": "_".join([route.method.lower(), *re.findall(r"\w+", route.path)]),
        "summary": summary,
        "description": f"{' '.join(rest.split())} For {_WHO[told.access]}.".strip(),
        "x-access": told.access.value,
        "responses": _responses(route, told, schemas),
    }
    if parameters := [*_headers(route, told.access), *_query(told.query)]:
        made["parameters"] = parameters
    if told.body is not None:
        made["requestBody"] = {
            "required": True,
            "content": _content(told.body, schemas, "validation"),
        }
    return made


def _responses(route: web.RouteDef, told: Described, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[int, Any] = {}
    if told.access is not Access.HEALTH:
        statuses = [401, 403]
        statuses += [400, 503] if told.access is Access.ADMIN else []
        statuses += [400, 409, 413, 503] if route.method != "GET" else []
        statuses += [400] if told.query else []
        found = dict.fromkeys(statuses, Refusal)
    found |= {200: told.answer, **told.also}
    made: dict[str, Any] = {}
    for status in sorted(found):
        if found[status] is Refusal:
            made[str(status)] = {"$ref": f"#/components/responses/Refusal{status}"}
            continue
        content = _content(found[status], schemas, _OUT)
        said = _REFUSALS.get(status, "It was done, or here it is.")
        made[str(status)] = {"description": said, "content": content}
    return made


def _content(what: Any, schemas: dict[str, Any], mode: str) -> dict[str, Any]:
    if isinstance(what, str):  # the media type of a file
        return {what: {"schema": {"type": "string"}}}
    if isinstance(what, tuple):
        parts = [_schema(each, schemas, mode) for each in what]
        return {_JSON: {"schema": {"allOf": parts}}}
    return {_JSON: {"schema": _schema(what, schemas, mode)}}


def _schema(what: Any, schemas: dict[str, Any], mode: str) -> dict[str, Any]:
    """Return a schema, or a reference to one with a name, which is put among `schemas`."""
    literal = cast("Any", mode)
    made = TypeAdapter(what).json_schema(mode=literal, ref_template=f"{_SCHEMAS}{{model}}")
    parts = made.pop("$defs", {})
    named = "title" in made and made.get("properties")
    for name, part in {**parts, **({made["title"]: made} if named else {})}.items():
        if schemas.setdefault(name, part) != part:
            raise LookupError(f"two shapes are called {name}; give one another name")
    if not named:
        return made
    return {"$ref": f"{_SCHEMAS}{made['title']}"}


def _headers(route: web.RouteDef, access: Access) -> Iterable[dict[str, Any]]:
    if access.writes:
        yield {
            "name": WRITE_HEADER,
            "in": "header",
            "required": True,
            "description": "What a page of another site cannot send.",
            "schema": {"const": WRITE_HEADER_VALUE, "type": "string"},
        }
    if access is not Access.VIEW and route.method not in {"GET", "HEAD"}:
        yield {
            "name": ONCE_HEADER,
            "in": "header",
            "required": False,
            "description": "New for each wish: a second one with the same is refused, but a stop.",
            "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY,
                       "pattern": "^[!-~]+$"},
        }  # fmt: skip


def _query(wanted: Mapping[str, Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for name, schema in wanted.items():
        rest = {key: value for key, value in schema.items() if key != "description"}
        yield {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema["description"],
            "schema": rest,
        }


def _whole() -> dict[str, Any]:
    """Return the document of every route there can be."""
    from agent.surface.web.api import Api, Desks  # noqa: PLC0415 - which asks for this document

    there = cast("Any", object())  # whoever it is, nobody is asked anything here
    desks = Desks(**{each.name: there for each in fields(Desks)})
    return document(Api(there, there, there, there, there, desks=desks).routes())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_whole(), indent=1) + "\n")
