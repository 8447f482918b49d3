"""
Which bridges need a person, as notifications: one for each, while its condition holds.

A house has ESPHome devices that are none of ours, and nobody wants to be told of their keys. A
bridge is told of when it is ours by its firmware, was written down by a person, or has a key here.
"""

from __future__ import annotations

from collections.abc import Collection

from agent.fleet.contact import ContactState
from agent.fleet.identity import Kind, Mac, written
from agent.fleet.record import BridgeRecord
from agent.fleet.sighting import Source
from agent.surface.fleet_view import FleetView
from agent.surface.notification_rules import Kind as NotificationKind
from agent.surface.notification_rules import Notification, plain

ID_PREFIX = "pv_edge_bridge_"
TITLE_PREFIX = "⚠️ Bridge: "
PATIENCE_S = 10.0
"""A bridge that restarts may look like another thing for a moment."""
_TITLES = {
    ContactState.WRONG_KEY: "The Key Does Not Fit",
    ContactState.KEY_MISSING: "Wants a Key",
    ContactState.NOT_ENCRYPTED: "Speaks in the Clear",
    ContactState.WRONG_DEVICE: "Another Device Answers",
    ContactState.HUNG: "Hangs",
    ContactState.SAFE_MODE: "In Safe Mode",
}


def bridges_due(view: FleetView, keyed: Collection[Mac]) -> dict[str, Notification]:
    """
    Return a notification for every bridge that needs a person now, by its id.

    Args:
        view: all bridges.
        keyed: those whose key is here.
    """
    found: dict[str, Notification] = {}
    for mac, record in view.fleet.records.items():
        state = record.contact.state if record.contact else None
        if state is not None and state in _TITLES and _concerns(view, record, keyed):
            found[f"{ID_PREFIX}{mac}"] = _notification(view, record, state)
    return found


def _concerns(view: FleetView, record: BridgeRecord, keyed: Collection[Mac]) -> bool:
    ours = view.projects.kind(record.told.project_name) in {Kind.FACTORY, Kind.PRODUCTION}
    return ours or Source.MANUAL in record.sightings or record.mac in keyed


def _notification(view: FleetView, record: BridgeRecord, state: ContactState) -> Notification:
    found = view.remarkable.get(record.mac, ())
    step = found[0].text if found else "Look at it on the agent's page."
    kind = NotificationKind(record.mac, _TITLES[state], step, ID_PREFIX, TITLE_PREFIX)
    message = f"{plain(record.title)} ({written(record.mac)})\n\n**Next:** {step}"
    return Notification(kind, message, state.value, PATIENCE_S)
