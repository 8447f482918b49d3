"""
Everything about releases in one hand: the sources, the knowledge of them, what the page asks.

The composition root builds this and runs its service; the bridges ask the service what they are
offered, and the page meets the desk.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from agent.journal import Journal
from agent.place import Place
from agent.releases.builds import OwnBuilds
from agent.releases.bundles import FOLDER
from agent.releases.desk import ReleaseDesk
from agent.releases.service import Found, ReleaseService, Setup
from agent.releases.sources import SourceBook, added, official, own
from agent.settings import SettingsStore

INSTALLED = Path("/usr/share/pv-edge-agent/firmware_manifests")
"""Where the image of the app has its bundle."""
BESIDE = Path(__file__).parents[2] / "firmware_manifests"
"""Where a checkout has it."""


def release_setup(place: Place) -> Setup:
    """Return where a process finds its releases; only the demo takes a development root."""
    found = place.bundle or next((it for it in (BESIDE, INSTALLED) if it.is_dir()), None)
    return Setup(place.data_dir, found, allow_development=place.demo is not None)


class ReleaseRooms:
    """The rooms of the releases; the caller runs `service`."""

    def __init__(
        self, setup: Setup, store: SettingsStore, journal: Journal, now: Callable[[], datetime]
    ) -> None:
        self._setup = setup
        self._store = store
        self._book = SourceBook(setup.data_dir)
        self.builds = OwnBuilds(setup.data_dir, now)
        self.service = ReleaseService(setup, store, journal, now, self.sources)
        self.desk = ReleaseDesk(setup, self.service, self._book, self.builds, store)

    def sources(self) -> list[Found]:
        """Return every source with the prefix of its projects; reads the disk."""
        setup, chosen = self._setup, self._store.current.releases
        brought = setup.data_dir / FOLDER
        publisher = official(setup.bundle, brought, chosen, setup.cafile)
        found = [(publisher, "")] if publisher else []
        found += [(added(it, chosen, setup.cafile), it.prefix) for it in self._book.publishers]
        house = own(setup.data_dir)
        return [*found, (house, "")] if house else found
