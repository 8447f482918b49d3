"""
Updates that did not end well, as notifications: one for each bridge, until the next one.

An update that was held back before anything was sent is told where it was asked for; one that
touched the bridge and was not confirmed has to be seen by a person, whoever asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.fleet.identity import Mac, written
from agent.surface.flash_view import BridgeFlash
from agent.surface.notification_rules import Kind, Notification, plain

ID_PREFIX = "pv_edge_flash_"
TITLE_PREFIX = "⚠️ Update: "
TITLES = {
    "rolled_back": "The Bridge Went Back",
    "unchanged": "Nothing Has Changed",
    "lost": "The Bridge Does Not Answer",
    "ambiguous": "It Is Not Certain",
}


def flashes_due(
    flashes: Mapping[Mac, BridgeFlash], titles: Mapping[Mac, str]
) -> dict[str, Notification]:
    """
    Return a notification for every bridge whose last update needs a person, by its id.

    Args:
        flashes: the newest of each bridge.
        titles: what the bridges are called.
    """
    found: dict[str, Notification] = {}
    for mac, flash in flashes.items():
        title = TITLES.get(flash.result or "")
        if title is None or not flash.sent:
            continue
        kind = Kind(mac, title, flash.next_step, ID_PREFIX, TITLE_PREFIX)
        who = f"{plain(titles.get(mac, ''))} ({written(mac)})".strip()
        what = f"{who}, {plain(flash.version)}: {plain(flash.text)}"
        message = f"{what}\n\n**Next:** {flash.next_step}"
        found[kind.id] = Notification(kind, message, flash.job)
    return found
