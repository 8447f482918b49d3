"""The published schemas and the parser are of one mind, as far as a schema can say it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from agent.firmware.manifest import grammar
from agent.firmware.manifest.models import ManifestError
from agent.firmware.manifest.parse import parse_channel, parse_halt, parse_release
from tests.firmware.manifest.documents import CHANNEL, HALT, RELEASE, A, Document, text
from tests.firmware.manifest.mutations import mutated

FOLDER = Path(__file__).parents[3] / "firmware_manifests/schema"
BEYOND_A_SCHEMA = re.compile(
    r"more than its slot|reaches beyond|same chip and kind|same file name|above its own version"
    r"|day of the calendar|outside of its channel|not among the releases|version is in it twice"
    r"|have to rise|last share has to be 1|it is -?\d+\.0, it has to be a whole number"
)
"""What only the parser can say; a schema takes 1.0 for a whole number."""


def _ends_at_the_end(
    _: object, pattern: str, value: object, __: object
) -> Iterator[ValidationError]:
    # In JSON Schema's regular expressions "$" is the very end; Python's also fits before a newline.
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield ValidationError(f"{value!r} does not match")


Validator = extend(Draft202012Validator, {"pattern": _ends_at_the_end})
KINDS: dict[str, tuple[Callable[[bytes], object], Document]] = {
    "manifest": (parse_release, RELEASE),
    "channel": (lambda data: parse_channel(data, "stable"), CHANNEL),
    "halt": (parse_halt, HALT),
}
SCHEMAS = {kind: json.loads((FOLDER / f"{kind}.schema.json").read_text()) for kind in KINDS}
VALIDATORS = {kind: Validator(schema) for kind, schema in SCHEMAS.items()}


def agreed(kind: str, document: Any) -> bool:
    """Return whether both take the document; fail if only one of them does."""
    fits = VALIDATORS[kind].is_valid(document)
    try:
        KINDS[kind][0](json.dumps(document).encode())
    except ManifestError as error:
        refusal = str(error)
        assert not fits or BEYOND_A_SCHEMA.search(refusal), refusal
        return False
    assert fits, list(VALIDATORS[kind].iter_errors(document))
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_one_and_takes_what_the_parser_takes(kind: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[kind])
    assert agreed(kind, KINDS[kind][1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_texts_of_a_schema_look_as_the_grammar_says(kind: str) -> None:
    said = {name: it["pattern"] for name, it in SCHEMAS[kind]["$defs"].items() if "pattern" in it}
    assert said == {name: f"^(?:{getattr(grammar, name.upper()).pattern})$" for name in said}


OTA, FACTORY = RELEASE["images"]
ENTRY = CHANNEL["projects"]["acme.bridge"]["releases"][0]


@pytest.mark.parametrize(
    ("kind", "fields", "good"),
    [
        ("manifest", {"images": [OTA]}, True),
        ("manifest", {"images": [FACTORY]}, True),
        ("manifest", {"images": [OTA, {**OTA, "chip": "esp32c3", "file": "c3.bin"}]}, True),
        ("manifest", {"images": []}, False),
        ("manifest", {"images": [{**OTA, "kind": "factory"}]}, False),
        ("manifest", {"images": [{**OTA, "exec": "sh"}]}, False),
        ("manifest", {"images": [{**OTA, "size": 2**25 + 1}]}, False),
        ("manifest", {"images": [{**FACTORY, "parts": []}]}, False),
        ("manifest", {"hw": []}, True),
        ("manifest", {"hw": ["a", "a"]}, False),
        ("manifest", {"hw": ["a\n"]}, False),
        ("manifest", {"notes": ""}, False),
        ("manifest", {"notes": "x" * 16_384}, True),
        ("manifest", {"notes": "x" * 16_385}, False),
        ("manifest", {"notes": "Grün \U0001f600\n"}, True),
        ("manifest", {"notes": "bell \u0007"}, False),
        ("manifest", {"min_chip_revision": 65_536}, False),
        ("manifest", {"schema": 2}, False),
        ("manifest", {"schema": True}, False),
        ("manifest", {"project": "a." + "b" * 118}, True),
        ("manifest", {"project": "a." + "b" * 119}, False),
        ("channel", {"projects": {}}, True),
        ("channel", {"projects": {"a.b": {"latest": "1", "releases": []}}}, False),
        ("channel", {"projects": {"a.b": {"latest": "1.0.0", "releases": [ENTRY]}}}, True),
        ("channel", {"projects": {"a": {"latest": "1.0.0", "releases": [ENTRY]}}}, False),
        ("channel", {"policy": {}}, False),
        ("halt", {"revoked": []}, True),
        ("halt", {"revoked": [A, A]}, False),
        ("halt", {"paused": None}, False),
        ("halt", {"reason": "x" * 501}, False),
    ],
)
def test_schema_and_parser_agree_on_what_is_good_and_what_is_bad(
    kind: str, fields: Document, good: bool
) -> None:
    assert agreed(kind, {**KINDS[kind][1], **fields}) is good


@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_schema_and_parser_agree_whatever_is_changed(data: st.DataObject, kind: str) -> None:
    agreed(kind, data.draw(mutated(KINDS[kind][1])))


def test_the_table_of_what_a_schema_cannot_say_is_not_too_wide() -> None:
    """A refusal that a schema could have said must not hide behind the exceptions."""
    for spoil in ('"exec": 1', '"schema": 1.5', '"version": "x"'):
        with pytest.raises(ManifestError) as caught:
            parse_release(text(RELEASE)[:-1] + f", {spoil}}}".encode())
        assert not BEYOND_A_SCHEMA.search(str(caught.value))
