"""
The shapes of what the page is sent beside the guard's snapshot.

They are written here once: the type checker holds the server to them, and `types.py` makes the
page's own types of them. Where a desk still hands over whatever it likes, the shape says `Any`,
and the page has to look before it believes.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from agent.surface.cable_shown import CablesView
from agent.surface.shown import FlashingView, ReleasesView, VerdictView


class OfBridges(TypedDict):
    """What is told of bridges and their firmware, as it is due."""

    bridges: list[dict[str, Any]]
    """Fields of `BridgeView`, and `keys`."""
    gates: dict[str, VerdictView]
    """By MAC, as people write it."""
    releases: ReleasesView | None
    flashing: FlashingView | None
    recovery: CablesView | None
    """What stands on cables, as `/api/recovery` tells it."""


class Beside(OfBridges):
    """What stands beside the snapshot in `/api/state` and in the stream."""

    zone: str
    """IANA name of the site's time zone; empty where it is only an offset."""


class Told(TypedDict):
    """The answer to any wish, taken or not; a fault of the request too."""

    accepted: bool
    code: str
    """Stable, for programs."""
    text: str
    """One sentence, and what to do next."""


class SettingField(TypedDict):
    """One setting: what it is and what it is now."""

    key: str
    group: str
    kind: str
    unit: str
    minimum: float | None
    maximum: float | None
    step: float | None
    choices: list[str | float] | None
    example: Any
    default: Any
    value: Any
    sentence: str


class SettingsTold(TypedDict):
    """The answer of `/api/settings`."""

    values: dict[str, Any]
    fields: list[SettingField]


class History(TypedDict):
    """The answer of `/api/history`: columns of equal length, oldest first."""

    at: list[float]
    """Seconds since the epoch."""
    grid_w: list[float | None]
    battery_w: list[float | None]
    pv_w: list[float | None]
    load_w: list[float | None]
    limit_w: list[float | None]
    commanded_w: list[float | None]
    soc_percent: list[float | None]
    exported_wh: list[float | None]
    allowance_wh: list[float | None]


class Changes(TypedDict, total=False):
    """What a preview of the plan may turn, each within its setting's range."""

    target_export_w: float
    min_soc_percent: float
    charge_target_soc_percent: float
    charge_power_kw: float
    battery_capacity_kwh: float
    sun_percent: float
    """The forecast sun, of itself."""
    load_percent: float
