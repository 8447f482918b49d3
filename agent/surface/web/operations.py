"""
What each address of the API takes and gives, written at its handler.

The page's gate and the document of the API (`openapi.py`) read the same words, so a route without
them cannot be served. Shapes that leave or come as JSON are types here: pydantic makes schemas of
them, and nobody writes a schema by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypeVar

from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from agent.export.requests import RequestKind
from agent.surface.shown import AgainstView
from agent.surface.web.auth import Access
from agent.surface.web.shapes import SettingsTold, Told

Handler = TypeVar("Handler", bound=Callable[..., Any])
_NAME = "described"


@dataclass(frozen=True, slots=True)
class Described:
    """One operation, as far as its handler's first sentence does not say it."""

    access: Access
    """The least that it takes."""
    answer: Any
    """What it gives with 200: a type that leaves as JSON, or the media type of something else."""
    body: Any = None
    """What it takes: a type that comes as JSON, the media type of a file, or nothing."""
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Parameters of the address by their names, each with its schema and a `description`."""
    also: Mapping[int, Any] = field(default_factory=dict)
    """Answers beside those of the gate: status and type."""


def described(
    access: Access,
    answer: Any,
    body: Any = None,
    query: Mapping[str, Mapping[str, Any]] | None = None,
    also: Mapping[int, Any] | None = None,
) -> Callable[[Handler], Handler]:
    """Write at a handler what `Described` says."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, _NAME, Described(access, answer, body, query or {}, also or {}))
        return handler

    return mark


def description(handler: object) -> Described:
    """
    Return what stands at a handler.

    Raises:
        LookupError: nothing does; the text names it.
    """
    found: Described | None = getattr(handler, _NAME, None)
    if found is None:
        name = getattr(handler, "__qualname__", handler)
        raise LookupError(f"{name} has no @described; say what it takes and gives")
    return found


class Refusal(TypedDict):
    """Why something was not done."""

    code: str
    """Stable, for programs."""
    text: str
    """One sentence, and what to do."""
    accepted: NotRequired[bool]
    key: NotRequired[str]
    """The setting that it is about."""


class Said(TypedDict):
    """What became of something, in a sentence."""

    text: str


class FlashTold(Told):
    """What became of a wish about updates."""

    job: str
    """The job or the campaign; empty where there is none."""
    missing: list[str]
    """What a person would have to accept, by name."""


class Health(TypedDict):
    """Whether loop and journal are alive."""

    status: str
    text: str


class Wish(TypedDict):
    """What is asked of the guard."""

    kind: RequestKind


class Imported(SettingsTold):
    """The same after an import."""

    text: str


class SettingsFile(TypedDict):
    """An export of the settings."""

    format: str
    format_version: int
    agent: NotRequired[str]
    settings: dict[str, Any]


class OfBridge(TypedDict):
    """The bridge that is meant."""

    mac: str


class Key(OfBridge):
    """The encryption key of a bridge, in base64 as ESPHome writes it."""

    key: str


class Secrets(TypedDict, total=False):
    """Texts of ESPHome's files, and what they do not say."""

    configuration: str
    secrets: str
    mac: str
    name: str


class Ask(TypedDict):
    """Something about one bridge."""

    op: str
    mac: NotRequired[str | None]


class Install(OfBridge):
    """An update of one bridge."""

    version: NotRequired[str | None]
    """The one that the person has seen."""
    acks: NotRequired[list[str]]
    """What the person accepts, by name."""
    own: NotRequired[bool]


class GoBack(OfBridge):
    """Back to what was confirmed before."""

    acks: NotRequired[list[str]]


class Cancel(TypedDict):
    """The job that is meant."""

    job: str


class Plan(TypedDict):
    """An update of many bridges."""

    macs: list[str]
    canaries: NotRequired[list[str]]
    acks: NotRequired[list[str]]


class Steer(TypedDict):
    """The campaign that is meant, and `pause`, `resume` or `abort`."""

    campaign: str
    what: str


class Digest(TypedDict):
    """An own build by its SHA-256."""

    sha256: str


class Source(TypedDict):
    """A publisher beside that of the app."""

    name: str
    mirror: str
    fingerprint: str
    channel: str


class SourceName(TypedDict):
    """The publisher that is meant."""

    name: str


class Channel(TypedDict):
    """A channel for one bridge, or without `mac` for all that have none of their own."""

    mac: NotRequired[str | None]
    channel: str | None


class OnPort(TypedDict):
    """The port that is meant."""

    port: str
    insist: NotRequired[bool]
    """What looks like a radio stick, or is in use, is a bridge all the same."""


class Cable(OnPort):
    """A release for the bridge on a port; `CableWish` tells what each is."""

    mac: str
    channel: str
    project: str
    version: str
    digest: NotRequired[str]
    reason: NotRequired[str]
    acks: NotRequired[list[str]]
    erase_settings: NotRequired[bool]
    typed: NotRequired[str]
    backup: NotRequired[str]
    keep_backup: NotRequired[bool]


class CableChecked(Told):
    """What the policy says about that release, and what to confirm."""

    refusals: list[AgainstView]
    digest: NotRequired[str]
    """SHA-256 of the image, which a write repeats; absent where there is none."""


class CableCancel(Cancel):
    """The job that is meant, or the port of a chip that is being asked."""

    insist: NotRequired[bool]
    """Also where the bridge is being written, and stays without firmware."""


class Choose(TypedDict):
    """An old integration, and `turn_off`, `accept` or `undo`."""

    entry_id: str
    choice: str


class Take(TypedDict):
    """The names of settings that were offered."""

    keys: list[str]
