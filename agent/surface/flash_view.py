"""
What entities and notifications show of updates: the newest flash of each bridge.

Source: pvautonomy.md 1.3 for the words of the attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from agent.fleet.identity import Mac
from agent.fleet.operations import Operation
from agent.surface.recovery_view import RecoveryView


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeFlash:
    """The newest flash of one bridge."""

    job: str
    stage: str
    """`agent.firmware.job.models.Stage`."""
    version: str
    """That it is to run."""
    percent: int = 0
    running: bool = False
    result: str | None = None
    """`agent.firmware.job.models.Result`; `None` without a verdict."""
    text: str = ""
    """What it waits for, or the verdict."""
    next_step: str = ""
    sent: bool = False
    """The image, or a part of it, left for the bridge."""
    by_cable: bool = False
    cancelled: bool = False
    """A person has ended it."""


@dataclass(frozen=True, slots=True)
class FlashView:
    """All flashes, as entities show them."""

    bridges: Mapping[Mac, BridgeFlash] = field(default_factory=lambda: MappingProxyType({}))
    operation: Operation | None = None
    """The flash that was asked for last, in the words of the old contract."""
    mqtt_install: bool = False
    """Home Assistant may install."""
    recovery: RecoveryView = field(default_factory=RecoveryView)
    """What is done over the cable."""
