"""
One declaration per setting feeds the check, the message, the page and the document.

A field is declared once with its unit, range, step, example and sentence. From that one place
come the refusal that a person reads ("export_limit_w: 99999 is outside 0 to 50000 W; for example
3680"), the form on the page and the tables in docs/settings.md, so they cannot disagree.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import time
from typing import Annotated, Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

_Model = TypeVar("_Model", bound=BaseModel)

_SAID = "said"
"""Type of an error that brings its own sentence, and the key it is about."""
_LONGEST_SHOWN = 60
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.]{1,60}")
# Home Assistant's own rule: no leading, trailing or double underscore.
_ENTITY_ID = re.compile(r"(?!.+__)(?!_)[\da-z_]+(?<!_)\.(?!_)[\da-z_]+(?<!_)")
_LONGEST_ENTITY_ID = 255

_EXPECTED = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "text": "a text of this form (numbers in quotes)",
    "secret": "a text (put it in quotes)",
    "time": "a time of day HH:MM",
    "zone": "a known IANA time zone",
    "entity": "an entity id",
    "entities": "an entity id or a list of different ones",
    "tariff": "a price per kWh, or times of day with prices and commas between them",
    "roof": "latitude, longitude, tilt, azimuth and peak power with commas between them",
    "region": "GB, the first part of a postcode, or a region from 1 to 17",
    "currency": "three letters",
    "bridges": "addresses with commas between them, each with :port/port and = MAC if needed",
    "mac": "a MAC, twelve hexadecimal digits as on the sticker",
    "networks": "all, or IPv4 addresses of this machine with commas between them",
    "channels": "MACs, each with = stable, = beta or = x-…, and commas between them",
    "mirrors": "https addresses without user or password, with commas between them",
    "hosts": "host names with commas between them",
    "windows": "spans of the day HH:MM-HH:MM with commas between them",
    "dates": "dates YYYY-MM-DD with commas between them",
    "url": "an address of the form http://host:port without user or password",
}


class SettingError(Exception):
    """A value that cannot be taken; the text names option, value, range and an example."""

    def __init__(self, key: str, message: str, every: tuple[SettingError, ...] = ()) -> None:
        super().__init__(message)
        self.key = key
        self.all: tuple[SettingError, ...] = every or (self,)
        """Every complaint about the same change, this one first."""


class Described(NamedTuple):
    """One declared field with its full key, as `entities.soc`."""

    key: str
    field: FieldInfo
    extra: Mapping[str, Any]
    value: Any


def said(key: str, message: str) -> PydanticCustomError:
    """Return an error for a validator to raise that already knows its key and sentence."""
    text = message.replace("{", "(").replace("}", ")")  # braces are pydantic's placeholders
    return PydanticCustomError(_SAID, text, {"key": key})


def _extra(group: str, kind: str, example: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "group": group, "example": example, **more}


class Group:
    """Declares the fields of one section of the page, so that each says its section once."""

    def __init__(self, title: str) -> None:
        self.title = title

    def number(
        self, default: float | None, span: tuple[float, float, float], unit: str, sentence: str,
        example: float | None = None,
    ) -> Any:  # fmt: skip
        """Declare a number; `span` is lowest, highest and step."""
        low, high, step = span
        shown = default if example is None else example
        more = {"unit": unit, "minimum": low, "maximum": high, "step": step}
        whole = unit == ""
        extra = _extra(self.title, "integer" if whole else "number", shown, more)
        return Field(default, ge=low, le=high, description=sentence, json_schema_extra=extra)

    def choice(self, default: Any, choices: tuple[Any, ...], sentence: str) -> Any:
        """Declare one of a few values; the annotation, or a validator, enforces them."""
        extra = _extra(self.title, "choice", default, {"choices": list(choices)})
        return Field(default, description=sentence, json_schema_extra=extra)

    def switch(self, sentence: str, example: str = "true", *, default: bool = False) -> Any:
        """Declare a switch; without a default it is off until a person turns it on."""
        extra = _extra(self.title, "boolean", example, {})
        return Field(default=default, description=sentence, json_schema_extra=extra)

    def other(self, kind: str, default: Any, example: str, sentence: str, **limits: Any) -> Any:
        """Declare a text, time, zone or entity; its annotation carries the check."""
        extra = _extra(self.title, kind, example, {})
        return Field(default, description=sentence, json_schema_extra=extra, **limits)


# What a value of each kind may look like. Strings are accepted for numbers, because MQTT only
# knows strings; booleans are not, because `true` watts is a mistake.


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a boolean is not a number")  # noqa: TRY004 - pydantic wants ValueError
    return value


def _time_of_day(value: Any) -> Any:
    text = str(value)
    parsed = time.fromisoformat(text)
    if ":" not in text or parsed.tzinfo or parsed.second or parsed.microsecond:
        raise ValueError("not HH:MM")
    return parsed.strftime("%H:%M")


def _zone(value: str) -> str:
    if value:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, OSError) as error:
            raise ValueError(str(error)) from error
    return value


def _entity(value: str) -> str:
    if len(value) > _LONGEST_ENTITY_ID or not _ENTITY_ID.fullmatch(value):
        raise ValueError("not an entity id")
    return value


def _empty_is_none(value: Any) -> Any:
    return None if value in ("", [], ()) else value


def _split(value: Any) -> Any:
    """A text field of the page holds several ids with commas between them."""
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    return _empty_is_none([] if parts == [""] else parts)


def _different(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if value and len(set(value)) < len(value):
        raise ValueError("the same entity twice would be counted twice")
    return value


def one_of(*choices: float) -> AfterValidator:
    """Return a validator for numbers that a `Literal` cannot hold."""

    def check(value: float) -> float:
        if value not in choices:
            raise ValueError("not a choice")
        return value

    return AfterValidator(check)


Number = Annotated[float, BeforeValidator(_no_boolean), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_no_boolean)]
TimeOfDay = Annotated[str, BeforeValidator(_time_of_day)]
Zone = Annotated[str, AfterValidator(_zone)]
_EntityId = Annotated[str, AfterValidator(_entity)]
OneEntity = Annotated[_EntityId | None, BeforeValidator(_empty_is_none)]
SomeEntities = Annotated[
    tuple[_EntityId, ...] | None, BeforeValidator(_split), AfterValidator(_different)
]


def walk(model: type[BaseModel], values: BaseModel | None, prefix: str = "") -> Iterator[Described]:
    """Yield every declared field of the model, nested ones under their dotted key."""
    for name, field in model.model_fields.items():
        value = None if values is None else getattr(values, name)
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            yield from walk(nested, value, f"{prefix}{name}.")
        else:
            extra = field.json_schema_extra
            yield Described(
                f"{prefix}{name}", field, extra if isinstance(extra, dict) else {}, value
            )


def keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Return every key of the model, in the order of the page."""
    return tuple(each.key for each in walk(model, None))


def checked(
    model: type[_Model], data: Mapping[str, Any], misplaced: Callable[[str], str | None]
) -> _Model:
    """
    Return the model of these values, or raise all complaints in words a person can act on.

    `misplaced` tells where a key lives that this model does not know, or `None`.

    Raises:
        SettingError: one or more values cannot be taken.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        known = {each.key: each for each in walk(model, None)}
        found = [_complaint(known, one, misplaced) for one in error.errors(include_url=False)]
    # Not chained: pydantic's own text repeats the input, and the input may be a secret.
    key, message = found[0]
    rest = tuple(SettingError(*each) for each in found[1:])
    first = SettingError(key, message)
    first.all = (first, *rest)
    raise first


def _complaint(
    known: Mapping[str, Described], error: ErrorDetails, misplaced: Callable[[str], str | None]
) -> tuple[str, str]:
    if error["type"] == _SAID:
        return str(error["ctx"]["key"]), error["msg"]
    key = ".".join(part for part in error["loc"] if isinstance(part, str) and part != "[key]")
    described = known.get(key)
    if described is None:
        if any(name.startswith(f"{key}.") for name in known):
            return key, f"{key}: is a group of settings, not a value; give it names and values"
        return key, unknown(key, tuple(known), misplaced)
    return key, _refusal(described, error["input"])


def unknown(key: str, known: tuple[str, ...], misplaced: Callable[[str], str | None]) -> str:
    """Return the sentence about a key that nobody declared; its value is never repeated."""
    shown = key if _PLAIN_KEY.fullmatch(key) else shorten(key)
    elsewhere = misplaced(key)
    if elsewhere:
        return f"{shown}: {elsewhere}"
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "docs/settings.md lists what there is"
    return f"{shown}: there is no such setting; {hint}"


def _refusal(described: Described, value: Any) -> str:
    key, extra = described.key, described.extra
    kind = extra["kind"]
    end = f"; for example {plain(extra['example'])}"
    if kind in {"secret", "url", "mirrors"}:  # each may hold a password
        return f"{key}: is not {_EXPECTED[kind]}{end}"
    shown = _cut(plain(value)) if _is_number(value) else shorten(value)
    if kind in {"number", "integer"}:
        span = range_words(extra)
        number = _as_number(value)
        if number is None:
            return f"{key}: {shown} is not {_EXPECTED[kind]} from {span}{end}"
        if extra["minimum"] <= number <= extra["maximum"]:
            return f"{key}: {shown} is not a whole number from {span}{end}"
        return f"{key}: {shown} is outside {span}{end}"
    if kind == "choice":
        choices = ", ".join(plain(each) for each in extra["choices"])
        return f"{key}: {shown} is not one of {choices}{end}"
    return f"{key}: {shown} is not {_EXPECTED[kind]}{end}"


def range_words(extra: Mapping[str, Any]) -> str:
    """Return "0 to 50000 W"."""
    return f"{plain(extra['minimum'])} to {plain(extra['maximum'])} {extra['unit']}".rstrip()


def plain(value: Any) -> str:
    """Return a value as a person writes it: 50000 and not 50000.0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def shorten(value: Any) -> str:
    """Return a hostile value as one short line without control characters."""
    return _cut(ascii(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if number != number else number  # noqa: PLR0124 - NaN is no number


def describe(model: type[BaseModel], values: BaseModel) -> list[dict[str, Any]]:
    """Return what the page needs to show and edit every field; JSON throughout."""
    return [
        {
            "key": each.key,
            "group": each.extra["group"],
            "kind": each.extra["kind"],
            "unit": each.extra.get("unit", ""),
            "minimum": each.extra.get("minimum"),
            "maximum": each.extra.get("maximum"),
            "step": each.extra.get("step"),
            "choices": each.extra.get("choices"),
            "example": each.extra["example"],
            "default": bare(each.field.default),
            "value": bare(each.value),
            "sentence": each.field.description,
        }
        for each in walk(model, values)
    ]


def bare(value: Any) -> Any:
    """Return a value as JSON can hold it; a secret only as whether it is set."""
    if isinstance(value, SecretStr):
        return "***" if value.get_secret_value() else ""
    return list(value) if isinstance(value, tuple) else value
