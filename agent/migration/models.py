"""
What Home Assistant has of the two integrations that the agent replaces, and what follows from it.

An integration that is loaded acts by itself: Export Monitor starts and stops the battery,
PVAutonomy Ops flashes bridges. Two owners of one battery undo each other's commands, so the agent
commands nothing until a person has chosen between them.

Source: export_monitor.md 1.2, 1.6 and D-06; pvautonomy.md 1.1, 1.5 and 1.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Domain(StrEnum):
    """The integrations, by Home Assistant's name for them."""

    EXPORT_MONITOR = "export_monitor"
    PVAUTONOMY_OPS = "pvautonomy_ops"


NAMES: Mapping[Domain, str] = MappingProxyType(
    {
        Domain.EXPORT_MONITOR: "Energy Export Monitor",
        Domain.PVAUTONOMY_OPS: "PVAutonomy Ops",
    }
)


class Standing(StrEnum):
    """Whether an entry can act."""

    ACTIVE = "active"
    """Loaded, or about to be: Home Assistant tries again by itself."""
    ASLEEP = "asleep"
    """Not running now, and it may be after the next start of Home Assistant."""
    OFF = "off"
    """Disabled by a person."""


_AWAKE = frozenset({"loaded", "setup_in_progress", "setup_retry", "failed_unload"})
"""States of a config entry in Core in which its integration acts, or is about to."""


@dataclass(frozen=True, slots=True)
class OldEntry:
    """One config entry of an old integration."""

    domain: Domain
    entry_id: str
    title: str
    state: str
    """Core's own word: `loaded`, `not_loaded`, `setup_error`, ..."""
    disabled: bool = False
    starting: bool = False
    """Home Assistant itself is still starting, so what is not loaded yet soon will be."""
    known: bool = True
    """False where only its actions were seen: then it has no entry that could be disabled."""

    @property
    def standing(self) -> Standing:
        """Return whether it can act."""
        if self.disabled:
            return Standing.OFF
        soon = self.starting and self.state == "not_loaded"
        return Standing.ACTIVE if soon or self.state in _AWAKE else Standing.ASLEEP

    @property
    def active(self) -> bool:
        """Return whether it acts, or is about to."""
        return self.standing is Standing.ACTIVE


@dataclass(frozen=True, slots=True)
class Found:
    """What Core has of them now."""

    entries: tuple[OldEntry, ...] = ()
    lingering: tuple[Domain, ...] = ()
    """Their actions are registered though no entry is active: Export Monitor leaves them behind."""
    doubt: str = ""
    """Why the entries could not be read; then `entries` tells what the actions show."""


@dataclass(frozen=True, slots=True)
class OldState:
    """One entity of Home Assistant."""

    state: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Old:
    """Everything that could be read of one entry."""

    entry: OldEntry
    form: Mapping[str, Any] = field(default_factory=dict)
    """What its own form shows, by the integration's keys."""
    ids: Mapping[str, str] = field(default_factory=dict)
    """Entity id by the suffix of its unique id, as `target_export`."""
    unread: str = ""
    """Why its form could not be read."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One setting that can be taken over."""

    key: str
    """Of ours."""
    value: Any
    old_key: str
    old_value: str
    """As the old integration shows it, with its unit."""
    text: str = ""
    """What differs; empty where nothing does."""
    chosen: bool = True
    """Ticked unless a person has to think first."""


@dataclass(frozen=True, slots=True)
class Left:
    """One old setting that is not taken over."""

    old_key: str
    old_value: str
    text: str
    """Why, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What can be taken over of everything that was found."""

    proposals: tuple[Proposal, ...] = ()
    left: tuple[Left, ...] = ()
    changes: tuple[str, ...] = ()
    """What is different from now on, in sentences."""
