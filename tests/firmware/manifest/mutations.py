"""Documents with something changed in them, anywhere."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from tests.firmware.manifest.documents import RELEASE, Document

_TEXTS = st.sampled_from(
    ["", "ota", "1.2.0", "1.10", "a" * 64, "../x", "x\n", "esp32c3", "stable/a.b/1.json", "\u202e"]
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10),
    st.integers(2**30, 2**70),
    st.sampled_from([0.5, 1e300, -0.0]),
    _TEXTS,
    st.text(max_size=6),
    st.builds(list),
    st.builds(dict),
    st.builds(lambda: [1]),
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[Any, ...]] = []
    for key, it in inner:
        found.append((*at, key))
        if isinstance(it, dict | list):
            found += _places(it, (*at, key))
    return found


@st.composite
def mutated(draw: st.DrawFn, document: Document) -> Document:
    """Return the document with one to three places replaced, removed, doubled or added to."""
    changed = deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = _places(changed)
        if not places:
            break
        *way, last = draw(st.sampled_from(places))
        around: Any = changed
        for key in way:
            around = around[key]
        match draw(st.sampled_from(["replace", "remove", "double", "add"])):
            case "replace":
                around[last] = draw(VALUES)
            case "remove":
                del around[last]
            case "double" if isinstance(around, list):
                around.append(deepcopy(around[last]))
            case _ if isinstance(around, dict):
                around[draw(st.text(max_size=6))] = draw(VALUES)
    return changed


@st.composite
def proper_releases(draw: st.DrawFn) -> bytes:
    """Return the bytes of a proper release manifest with optional fields, notes and images."""
    changed = deepcopy(RELEASE)
    optional = ["min_version", "hw", "boards", "min_chip_revision", "trusts", "source", "esphome"]
    for key in draw(st.sets(st.sampled_from([*optional, "notes_url", "security"]))):
        del changed[key]
    if draw(st.booleans()):
        del changed["images"][draw(st.integers(0, 1))]
    notes = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1)
    changed["notes"] = draw(notes)
    changed["rollback_index"] = draw(st.integers(0, 2**31 - 1))
    return json.dumps(changed, ensure_ascii=draw(st.booleans())).encode()
