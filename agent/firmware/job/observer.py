"""
Watches a bridge through the connection that the fleet keeps to exactly this MAC.

No name and no neighbour is involved: what another device does is another device's. What runs is
the device's own word on the standing connection, never an announcement and never a memory.

Source: pvautonomy.md, defects D-08 and D-24; esphome.md 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.firmware.job.models import BuildId
from agent.firmware.job.ports import Seen
from agent.fleet.contact import Contact, ContactState
from agent.fleet.identity import Mac
from agent.fleet.record import BridgeRecord
from agent.fleet.sighting import Source

if TYPE_CHECKING:
    from agent.fleet.bridge import Bridge
    from agent.fleet.panel import Panel

_AWAY = frozenset(
    {
        ContactState.CONNECTING,
        ContactState.RESTARTING,
        ContactState.CRASHED,
        ContactState.UNREACHABLE,
        ContactState.SAFE_MODE,
    }
)
Subscribe = Callable[[Callable[[], None]], Callable[[], None]]


class FleetWatcher:
    """`Watcher`: over the fleet's own connections."""

    def __init__(
        self,
        record: Callable[[Mac], BridgeRecord | None],
        bridge: Callable[[Mac], Bridge | None],
        subscribe: Subscribe,
        now_s: Callable[[], float],
    ) -> None:
        """
        Prepare.

        Args:
            record: what the fleet knows of a bridge.
            bridge: the connection to it; `None` while there is no address for it.
            subscribe: calls back whenever a record or a connection may have changed.
            now_s: our monotonic clock, the one of the contacts.
        """
        self._record = record
        self._bridge = bridge
        self._subscribe = subscribe
        self._now_s = now_s

    def watch(
        self, mac: Mac, tell: Callable[[Seen], None], hear: Callable[[str], None]
    ) -> _Watching:
        """Watch one bridge; see `Watcher`."""
        return _Watching(self, mac, tell, hear)

    def seen(self, mac: Mac) -> Seen:
        """Return how a bridge stands now."""
        record, bridge = self._record(mac), self._bridge(mac)
        nowhere = Contact(ContactState.UNREACHABLE, self._now_s())
        contact = bridge.contact if bridge else nowhere
        if record is None or bridge is None or not contact.online:
            return Seen(contact.state, contact.since_s)
        return Seen(
            contact.state,
            contact.since_s,
            build_of(record),
            frozenset(it.entity for it in bridge.panel.values.values() if it.value is not None),
            bridge.panel.log_read,
        )

    def hurry(self, mac: Mac) -> None:
        """Try to connect now: a build that lives for two seconds is to be seen in them."""
        bridge = self._bridge(mac)
        if bridge is not None and bridge.contact.state in _AWAY:
            bridge.seen()

    def panel(self, mac: Mac) -> Panel | None:
        """Return the panel of the connection there is now."""
        bridge = self._bridge(mac)
        return bridge.panel if bridge else None

    def on_change(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call back whenever something may have changed."""
        return self._subscribe(wake)


class _Watching:
    def __init__(
        self,
        watcher: FleetWatcher,
        mac: Mac,
        tell: Callable[[Seen], None],
        hear: Callable[[str], None],
    ) -> None:
        self._watcher = watcher
        self._mac = mac
        self._tell = tell
        self._hear = hear
        self._last: Seen | None = None
        self._panel: Panel | None = None
        self._unhear: Callable[[], None] = lambda: None
        self._end = watcher.on_change(self._changed)
        self._changed()

    def look(self) -> Seen:
        """Return how it stands now; one that is away is tried again at once."""
        self._listen()
        self._watcher.hurry(self._mac)
        return self._watcher.seen(self._mac)

    def end(self) -> None:
        """Watch it no more."""
        self._end()
        self._unhear()

    def _changed(self) -> None:
        self._listen()
        now = self._watcher.seen(self._mac)
        if self._last is None or (now.state, now.since_s) != (self._last.state, self._last.since_s):
            self._last = now
            self._tell(now)

    def _listen(self) -> None:
        """Hear the log of the connection there is now: the fleet may have made another one."""
        panel = self._watcher.panel(self._mac)
        if panel is not self._panel:
            self._unhear()
            self._panel = panel
            self._unhear = panel.hear(self._hear) if panel is not None else lambda: None


def build_of(record: BridgeRecord) -> BuildId | None:
    """Return what a bridge says it runs, on the connection that stands; else `None`."""
    own = record.sightings.get(Source.CONNECTION)
    if own is None or Source.CONNECTION not in record.live:
        return None
    return BuildId(own.project_name, own.project_version, own.built)
