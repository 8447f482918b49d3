"""
Everything that helps to understand one installation, and nothing that opens it.

The document is made of what the agent knows anyway, and then searched: whatever contains a
secret goes as a whole, wherever it stands, since a secret in an unexpected place is exactly what
redaction is for. People who pressed a button become `person 1`. It can be shown to strangers.
"""

from __future__ import annotations

import base64
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import SecretStr

from agent import __version__
from agent.export.snapshot import GuardSnapshot
from agent.journal import Event
from agent.options import Options
from agent.setting_fields import bare, walk
from agent.surface.web.feed import picture

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

REDACTED = "***"
EVENTS = 200
SHORTEST_SECRET = 4
"""Shorter ones cannot be told from ordinary words; no field that holds one is ever included."""
_LIBRARIES = ("aiohttp", "paho-mqtt", "pydantic", "pymodbus", "pyyaml", "tzdata")
_TELLING_NAME = re.compile(
    r"token|passw|secret|credential|api_?key|authorization|cookie|^roof$", re.IGNORECASE
)
_TELLING_TEXT = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]{8,}|Bearer\s+\S+|[a-z][a-z\d+.-]*://[^\s/@:]+:[^\s/@]+@|\"roof\":",
    re.IGNORECASE,
)
"""A JSON web token, an authorization header, an address with a password in it, where one lives."""
_AUTHOR = "page: "
_NOBODY = frozenset({"local", "token"})


@dataclass(frozen=True, slots=True)
class Subject:
    """What is put into the document."""

    options: Options
    settings: Mapping[str, Any]
    settings_warnings: tuple[str, ...]
    snapshot: GuardSnapshot
    events: Iterable[Event]
    entities: DataclassInstance | None = None
    """The mapping in use, a dataclass; `None` where there is none."""
    findings: tuple[str, ...] = ()
    core_version: str = ""
    link: str = ""
    mqtt: str = ""
    healthy: tuple[bool, str] = (True, "")
    notifications: tuple[str, ...] = ()
    bridges: tuple[Mapping[str, Any], ...] = ()
    """The lines of the page, as far as they help to understand."""


_OF_BRIDGE = ("kind", "project", "version", "esphome", "board", "state", "since", "keys")


def document(subject: Subject, secrets: Iterable[str] = ()) -> dict[str, Any]:
    """
    Return the whole document, redacted.

    Args:
        subject: what is known.
        secrets: further secrets than those of the options, as the Supervisor's token.
    """
    healthy, words = subject.healthy
    whole: dict[str, Any] = {
        "pv_edge_agent": __version__,
        "made_at": datetime.now(UTC).isoformat(),
        "versions": _versions(subject.core_version),
        "options": {each.key: bare(each.value) for each in walk(Options, subject.options)},
        "settings": dict(subject.settings),
        "settings_warnings": list(subject.settings_warnings),
        "health": {"healthy": healthy, "text": words},
        "links": {"home_assistant": subject.link, "mqtt": subject.mqtt},
        "entities": asdict(subject.entities) if subject.entities else None,
        "findings": list(subject.findings),
        "notifications": list(subject.notifications),
        "bridges": [
            {name: line[name] for name in _OF_BRIDGE}
            | {"findings": [each["code"] for each in line["findings"]]}
            for line in subject.bridges
        ],
        "snapshot": picture(subject.snapshot),
        "events": [
            {"id": e.id, "at": e.at.isoformat(), "kind": e.kind, "data": e.data}
            for e in subject.events
        ],
    }
    clean: dict[str, Any] = redacted(whole, [*_secrets_of(subject.options), *secrets])
    return clean


def redacted(value: Any, secrets: Iterable[str]) -> Any:
    """Return JSON-like data without any of the secrets, tokens or names of people."""
    return _Redactor(secrets, _people(value)).clean(value)


class _Redactor:
    """Walks data once; remembers people, so that one person stays one person."""

    def __init__(self, secrets: Iterable[str], people: Iterable[str]) -> None:
        self._needles = {
            needle
            for secret in secrets
            if len(secret.strip()) >= SHORTEST_SECRET
            for needle in _forms(secret.strip())
        }
        self._people = {name: f"person {n}" for n, name in enumerate(people, start=1)}

    def clean(self, value: Any) -> Any:
        """Return the value without what must not be shown."""
        if isinstance(value, Mapping):
            pairs = ((self._person(str(key)), each) for key, each in value.items())
            return {key: self._named(key, each) for key, each in pairs if not self._betrays(key)}
        if isinstance(value, list | tuple):
            return [self.clean(each) for each in value]
        if isinstance(value, str):
            return REDACTED if self._betrays(value) else self._person(value)
        if value is None or isinstance(value, bool):
            return value
        if self._betrays(repr(value)):
            return REDACTED
        finite = not isinstance(value, float) or isfinite(value)
        return value if finite and isinstance(value, int | float) else str(value)

    def _named(self, key: str, value: Any) -> Any:
        """Return the value of a key; a telling name hides a text whatever it says."""
        if isinstance(value, str) and value and _TELLING_NAME.search(key):
            return REDACTED
        return self.clean(value)

    def _betrays(self, text: str) -> bool:
        return any(needle in text for needle in self._needles) or bool(_TELLING_TEXT.search(text))

    def _person(self, text: str) -> str:
        for name in sorted(self._people, key=len, reverse=True):
            text = text.replace(f"{_AUTHOR}{name}", f"{_AUTHOR}{self._people[name]}")
        return text


def _people(value: Any) -> list[str]:
    """Return the names of those who pressed buttons: texts that are an author and nothing else."""
    if isinstance(value, Mapping):
        return sorted({name for each in value.values() for name in _people(each)})
    if isinstance(value, list | tuple):
        return sorted({name for each in value for name in _people(each)})
    if isinstance(value, str) and value.startswith(_AUTHOR):
        name = value.removeprefix(_AUTHOR)
        return [] if name in _NOBODY or not name else [name]
    return []


def _forms(secret: str) -> set[str]:
    """Return how a secret may look in a text: as it is, quoted, encoded, or cut."""
    raw = secret.encode()
    encoded = {
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }
    forms = {secret, quote(secret), quote(secret, safe=""), repr(secret)[1:-1], ascii(secret)[1:-1]}
    long = len(secret) >= 3 * 8
    cut = {secret[:16], secret[-16:]} if long else set()
    return {form for form in forms | encoded | cut if len(form) >= SHORTEST_SECRET}


def _secrets_of(options: Options) -> list[str]:
    values = (getattr(options, name) for name in Options.model_fields)
    return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]


def _versions(core_version: str) -> dict[str, str]:
    found = {
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "home_assistant": core_version or "unknown",
    }
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
