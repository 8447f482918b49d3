"""Canonical JSON text of signed documents."""

from __future__ import annotations

from agent.firmware.manifest.models import Channel, Halt, Release


def write_release(release: Release) -> str:
    """Return the text of a release manifest."""
    raise NotImplementedError


def write_channel(channel: Channel) -> str:
    """Return the text of a channel."""
    raise NotImplementedError


def write_halt(halt: Halt) -> str:
    """Return the text of a halt."""
    raise NotImplementedError
