"""The shapes of what is told of old integrations, in JSON's words; values come with their units."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on


class OldEntryView(TypedDict):
    """One entry of an old integration in Home Assistant."""

    entry_id: str
    name: str
    title: str
    standing: str
    """`agent.migration.models.Standing`."""
    state: str
    """Home Assistant's own word."""
    accepted: bool
    can_be_turned_off: bool


class LingeringView(TypedDict):
    """Actions that an old integration has left behind."""

    name: str
    text: str


class ProposalView(TypedDict):
    """One setting that can be taken over."""

    key: str
    value: str
    now: str
    old_key: str
    old_value: str
    text: str
    chosen: bool
    """Ticked unless a person has to think first."""


class LeftView(TypedDict):
    """One old setting that is not taken over, and why."""

    old_key: str
    old_value: str
    text: str


class OldPlanView(TypedDict):
    """What can be taken over, what is left, and what is different from now on."""

    proposals: list[ProposalView]
    left: list[LeftView]
    changes: list[str]


class OldSettings(TypedDict):
    """What is there of old integrations, and what they keep from being done."""

    locked: list[str]
    doubt: str
    entries: list[OldEntryView]
    lingering: list[LingeringView]
    plan: OldPlanView | None
    """What can be taken over; `None` until their settings were read."""
