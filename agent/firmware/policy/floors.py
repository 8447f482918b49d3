"""
Below which rollback index a bridge is not taken back.

Our record of a bridge may be of an older backup of Home Assistant. What the bridge itself runs is
not: the index of its reported version is looked up in the channel, and the higher one counts.

Source: signing.md 4.5, "Floors".
"""

from __future__ import annotations

from agent.firmware.manifest.agree import entry_of
from agent.firmware.manifest.models import Channel


def device_floor(
    recorded: int | None, reported_version: str | None, channel: Channel | None, project: str
) -> int:
    """
    Return the device floor of a bridge for one project.

    Args:
        recorded: the highest rollback index confirmed on it, as far as the journal goes back.
        reported_version: what the bridge says that it runs; `None` unless that is this project.
        channel: the trusted channel that knows the project's releases.
        project: `vendor.model` of what it runs.
    """
    running = entry_of(channel, project, reported_version) if channel else None
    return max(recorded or 0, running.rollback_index if running else 0)
