"""
What one row of the table of entities is, and the few words that all rows share.

A row is data: what an entity is called, how Core shall dress it, and the function of the snapshot
that feeds it. A number or a switch is fed by a setting instead, and takes range and step from the
place where that setting is declared, so Core's form and the agent's check cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from agent.export.requests import RequestKind
from agent.export.snapshot import GuardSnapshot
from agent.setting_fields import walk
from agent.settings import Settings

Value = str | float | None
Attributes = Mapping[str, Any]
"""Ready for JSON."""
WH_PER_KWH = 1000
LONGEST_STATE = 255
"""Core shows `unknown` instead of a longer text (D-44)."""
ON, OFF = "ON", "OFF"
_CAPITALS = {"soc": "SOC", "pv": "PV"}


class Platform(StrEnum):
    """The Home Assistant platform of an entity."""

    SENSOR = "sensor"
    BINARY_SENSOR = "binary_sensor"
    BUTTON = "button"
    NUMBER = "number"
    SWITCH = "switch"
    SELECT = "select"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Span:
    """What may be entered, and how."""

    minimum: float
    maximum: float
    step: float
    mode: str
    """`box` or `slider`."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity: its identity, its clothes and what feeds it."""

    platform: Platform
    key: str
    """Object id without the prefix."""
    icon: str
    about: str
    """One sentence for the contract."""
    value: Callable[[GuardSnapshot], Value] | None = None
    attributes: Callable[[GuardSnapshot], Attributes] | None = None
    request: RequestKind | None = None
    """What pressing it asks of the guard."""
    setting: str | None = None
    """What it shows and changes."""
    span: Span | None = None
    unit: str | None = None
    device_class: str | None = None
    state_class: str | None = None
    category: str | None = None
    options: tuple[str, ...] = ()
    """All words that an enum sensor may show."""
    every_s: float = 1
    """Shortest time between two reports, so that a value that always moves does not fill the
    recorder's database. A change of phase or health is reported at once whatever this says."""

    @property
    def name(self) -> str:
        """Without the device's name, which Core puts in front; an id made of both is right too."""
        words = self.key.split("_")
        return " ".join(_CAPITALS.get(word, word.capitalize()) for word in words)

    @property
    def slot(self) -> str:
        """
        Name of its topics and end of its unique id.

        Two platforms may share a key (`minimum_soc` is shown by a sensor and set by a number).
        """
        plain = self.platform in {Platform.SENSOR, Platform.BUTTON}
        return self.key if plain else f"{self.platform.value}_{self.key}"

    @property
    def numeric(self) -> bool:
        """Whether Core expects a number, and may be told that there is none."""
        if self.platform is Platform.NUMBER:
            return True
        measured = bool(self.unit or self.state_class) or self.device_class not in {None, "enum"}
        return self.platform is Platform.SENSOR and measured

    @property
    def commands(self) -> bool:
        """Whether Home Assistant may tell it something."""
        return self.request is not None or self.setting is not None


sensor = partial(Entity, Platform.SENSOR)
"""Makes a row that shows something."""


def button(key: str, icon: str, request: RequestKind, about: str) -> Entity:
    """Return a row that asks something of the guard."""
    return Entity(Platform.BUTTON, key, icon, about, request=request)


def number(
    key: str,
    icon: str,
    setting: str,
    *,
    mode: str = "box",
    device_class: str | None = None,
    category: str | None = None,
) -> Entity:
    """Return a row that shows and changes a number among the settings."""
    declared = _DECLARED[setting]
    extra = declared.extra
    return Entity(
        Platform.NUMBER,
        key,
        icon,
        str(declared.field.description),
        setting=setting,
        span=Span(extra["minimum"], extra["maximum"], extra["step"], mode),
        unit=extra["unit"],
        device_class=device_class,
        category=category,
    )


def switch(key: str, icon: str, setting: str) -> Entity:
    """Return a row that shows and changes something that is on or off among the settings."""
    about = str(_DECLARED[setting].field.description)
    return Entity(Platform.SWITCH, key, icon, about, setting=setting)


def binary(
    key: str,
    icon: str,
    about: str,
    value: Callable[[GuardSnapshot], bool | None],
    *,
    device_class: str | None = None,
    category: str | None = None,
) -> Entity:
    """Return a row that is on, off or unknown."""

    def word(snapshot: GuardSnapshot) -> Value:
        return on_off(value(snapshot))

    return Entity(
        Platform.BINARY_SENSOR,
        key,
        icon,
        about,
        value=word,
        device_class=device_class,
        category=category,
    )


_DECLARED = {each.key: each for each in walk(Settings, None)}


def on_off(value: bool | None) -> str | None:
    """Return the word of Core's for it."""
    return None if value is None else ON if value else OFF


def rounded(value: float | None, digits: int) -> float | None:
    """Return a number that JSON and Core can hold, or none."""
    return None if value is None or not math.isfinite(value) else round(value, digits)


def kwh(wh: float | None, digits: int = 3) -> float | None:
    """Return kWh of Wh."""
    return None if wh is None else rounded(wh / WH_PER_KWH, digits)


def short(text: str) -> str:
    """Return a text that Core shows, cut with a mark where it is too long."""
    return text if len(text) <= LONGEST_STATE else f"{text[: LONGEST_STATE - 1]}…"
