"""Strict reading of signed documents."""

from __future__ import annotations

from agent.firmware.manifest.models import Channel, Halt, Release


def parse_release(data: bytes) -> Release:
    """Return what a release manifest says."""
    raise NotImplementedError


def parse_channel(data: bytes, channel: str) -> Channel:
    """Return what a channel says."""
    raise NotImplementedError


def parse_halt(data: bytes) -> Halt:
    """Return what a halt says."""
    raise NotImplementedError
