"""
Writes the page's types from the models of this package, so that neither can change alone.

    python -m agent.surface.web.types > agent/surface/web/frontend/src/api.ts

What the server sends always holds every field, so none is optional there; only what the page
sends may leave some out. A test compares the file with what would be written.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import is_typeddict

from agent.export.requests import RequestKind
from agent.export.snapshot import GuardSnapshot
from agent.fleet.views import BridgeView
from agent.surface.migration_shown import OldSettings
from agent.surface.shown import BuildShown
from agent.surface.web.operations import CableChecked
from agent.surface.web.records import Checked, Lines, Report
from agent.surface.web.shapes import Beside, Changes, History, SettingsTold, Told

MODELS: tuple[type, ...] = (
    GuardSnapshot,
    RequestKind,
    BridgeView,
    Beside,
    Told,
    SettingsTold,
    History,
    Changes,
    BuildShown,
    CableChecked,
    OldSettings,
    Lines,
    Report,
    Checked,
)
"""Whatever the page meets; what these are made of comes by itself."""
_HEAD = """\
// Made by `python -m agent.surface.web.types`; a change here is lost and fails a test.
"""
_WHOLE = "export type State = GuardSnapshot & Beside;"
_SCALARS = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
}


def written() -> str:
    """Return the text of `api.ts`."""
    shapes: dict[str, Mapping[str, Any]] = {}
    optional = {model.__name__ for model in MODELS if _may_miss(model)}
    for model in MODELS:
        schema = TypeAdapter(model).json_schema(mode="serialization")
        shapes |= schema.pop("$defs", {})
        shapes[model.__name__] = schema
    declared = (_declared(name, shapes[name], name in optional) for name in sorted(shapes))
    return "\n".join([_HEAD, _WHOLE, "", *declared])


def _may_miss(model: type) -> bool:
    return is_typeddict(model) and not getattr(model, "__total__", True)


def _declared(name: str, schema: Mapping[str, Any], optional: bool) -> str:
    if "properties" not in schema:
        return f"export type {name} = {_type(schema)};\n"
    mark = "?" if optional else ""
    lines = (f"  {key}{mark}: {_type(each)};\n" for key, each in schema["properties"].items())
    return f"export interface {name} {{\n{''.join(lines)}}}\n"


def _type(schema: Mapping[str, Any]) -> str:
    """Return a schema in TypeScript; what it does not say is `unknown`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema or "anyOf" in schema:
        words = [f'"{word}"' for word in schema.get("enum", ())]
        return " | ".join([*words, *(_type(each) for each in schema.get("anyOf", ()))])
    kind = schema.get("type")
    if kind == "array":
        inside = _type(schema["items"]) if "items" in schema else "unknown"
        return f"({inside})[]" if "|" in inside else f"{inside}[]"
    if kind == "object":
        more = schema.get("additionalProperties")
        return f"Record<string, {_type(more) if isinstance(more, dict) else 'unknown'}>"
    return _SCALARS.get(str(kind), "unknown")


if __name__ == "__main__":
    sys.stdout.write(written())
