"""
The shapes of what is told of bridges on cables, in JSON's words.

What chips, programs and people say is passed on as it is; the page sets it as text. Moments are
ISO 8601 with an offset, sizes and offsets are bytes.
"""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from agent.surface.shown import JobView


class PartView(TypedDict):
    """One part of the flash, as the chip's own table tells it."""

    label: str
    offset: int
    size: int
    app: bool


class CableReleaseView(TypedDict):
    """A release that could be written to a chip."""

    channel: str
    project: str
    version: str


class ChipView(TypedDict):
    """What a chip has told of itself, and what is known of it here."""

    at: str | None
    text: str
    chip: str
    description: str
    revision: str | None
    mac: str
    """Empty where the chip hides it."""
    flash_size: int | None
    locks: list[str]
    table: list[PartView]
    app: str
    known: str
    """As what it is known here, empty for a stranger."""
    needs_flashing: bool
    channel: str
    releases: list[CableReleaseView]


class PortView(TypedDict):
    """One serial port, and how the question to its chip stands."""

    port: str
    node: str
    socket: str
    title: str
    kind: str
    stick: bool
    """It looks like a radio stick or a meter."""
    mac: str
    used_by: list[str]
    phase: str
    """What goes on while its chip is asked; empty if nothing does."""
    code: str
    text: str
    """Why the question came to nothing."""
    device: ChipView | None


class CableJobView(JobView):
    """One recovery over a cable."""

    log: list[str]
    """The newest lines of what was said, while it goes on."""
    has_log: bool


class CablesView(TypedDict):
    """All ports and recoveries."""

    writes: bool
    fault: str
    """Why nothing may be written; empty while all is well."""
    ports: list[PortView]
    jobs: list[CableJobView]
    needs_flashing: list[str]
    """MACs."""
