"""
Updates that did not end well, as notifications: one for each bridge, until the next one.

An update that was held back before anything was sent is told where it was asked for; one that
touched the bridge and was not confirmed has to be seen by a person, whoever asked for it. Over the
cable every end but a good one is told: a bridge on a cable is in nobody's way until it is back.
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
CABLE_TITLES = {
    "unchanged": "Nothing Was Written",
    "lost": "The Bridge Needs Flashing",
    "ambiguous": "It Is Not Certain",
}
"""Of a recovery over the cable, where the person who holds it may have left the page."""


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
        title = (CABLE_TITLES if flash.by_cable else TITLES).get(flash.result or "")
        # Who has ended it, or stood at the page that refused it, knows.
        told = flash.sent or (flash.by_cable and not flash.cancelled)
        if title is None or not told:
            continue
        prefix = "⚠️ Recovery: " if flash.by_cable else TITLE_PREFIX
        kind = Kind(mac, title, flash.next_step, ID_PREFIX, prefix)
        who = f"{plain(titles.get(mac, ''))} ({written(mac)})".strip()
        what = f"{who}, {plain(flash.version)}: {plain(flash.text)}"
        message = f"{what}\n\n**Next:** {flash.next_step}"
        found[kind.id] = Notification(kind, message, flash.job)
    return found
