"""
What looks like an attack on the releases, as notifications: one for each source and kind.

A wrong answer is never taken for no answer, so somebody is told. It stays until a person puts it
away, or until that source was looked at again and everything was right.

Source: signing.md 4.5.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.firmware.trust.models import EventKind, SecurityEvent
from agent.surface.notification_rules import Kind, Notification, plain

ID_PREFIX = "pv_edge_release_"
TITLE_PREFIX = "⚠️ Firmware: "
_NEXT = (
    "Nothing of it was used. Look at *Firmware* on the agent's page; if a mirror of your own is "
    "named there, check it, else tell the publisher."
)
_TITLES = {
    EventKind.WRONG_SIGNATURE: "A Signature Is Wrong",
    EventKind.LYING_MIRROR: "A Mirror Lies",
    EventKind.ROLLBACK: "Older Releases Were Offered",
}
"""What is worth a person's attention; a clock that is behind shows as stale knowledge."""

Alarms = Mapping[tuple[str, EventKind], SecurityEvent]
"""The newest event of each source and kind that nothing good has followed."""


def tells(kind: EventKind) -> bool:
    """Whether a person is told of it by a notification."""
    return kind in _TITLES


def releases_due(alarms: Alarms) -> dict[str, Notification]:
    """Return a notification for every alarm, by its id."""
    found: dict[str, Notification] = {}
    for (source, event), told in alarms.items():
        if event not in _TITLES:
            continue
        suffix = f"{event.value}_{_slug(source)}"
        kind = Kind(suffix, _TITLES[event], _NEXT, ID_PREFIX, TITLE_PREFIX)
        what = f"{plain(source)}, {plain(told.carrier)}: {plain(told.text)}"
        found[kind.id] = Notification(kind, f"{what}\n\n**Next:** {_NEXT}", event.value)
    return found


def _slug(name: str) -> str:
    return "".join(it if it.isascii() and it.isalnum() else "_" for it in name.lower())[:40]
