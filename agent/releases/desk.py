"""
What the page asks of releases: to look, to take what a person brings, to trust or not to trust.

Each act says in a sentence what became of it. Nothing here writes to a bridge, and what was
uploaded counts for nothing before its signatures, or a person who accepts it, say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from agent.fleet.identity import Mac, mac_of, written
from agent.fleet.record import Fleet
from agent.releases.builds import OwnBuilds
from agent.releases.bundles import FOLDER, unpack
from agent.releases.roots import fetch_root
from agent.releases.service import ReleaseService, Setup
from agent.releases.sources import Book, fitting, keep_root, read_book, root_of, write_book
from agent.releases.sources import wanted as source_of
from agent.releases.views import build_json, builds_json, channels_of, picture
from agent.setting_releases import CHANNELS, bridge_channels, channels_text
from agent.settings import SettingError, SettingsStore
from agent.surface.desk import NewSource
from agent.surface.shown import BuildShown, ReleasesView


class ReleaseDesk:
    """`ReleasesDesk` over the service, the sources and the own builds."""

    def __init__(
        self,
        setup: Setup,
        service: ReleaseService,
        builds: OwnBuilds,
        store: SettingsStore,
    ) -> None:
        self._setup = setup
        self._service = service
        self._builds = builds
        self._store = store
        self._changing = asyncio.Lock()
        self._shown: ReleasesView | None = None
        self._shown_of: Fleet | None = None
        service.subscribe(self._forget)

    def shown(self) -> ReleasesView:
        """Return everything that the page shows."""
        service = self._service
        fleet = service.fleet()
        if self._shown is None or self._shown_of is not fleet:
            self._shown_of, offers = fleet, service.offers()
            known = picture(service.trust, fleet, offers, self._store.current.releases)
            self._shown = {
                **known,
                "looking": service.looking,
                "warning": service.problem,
                "builds": builds_json(service.shelves),
            }
        return self._shown

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever it may have changed; return what ends that."""
        return self._service.subscribe(wake)

    async def look(self, by: str) -> str:
        """Look at every source again."""
        del by  # the audit has it
        return await self._service.look()

    async def take_bundle(self, archive: bytes, by: str) -> str:
        """Take a bundle and look; raises `ValueError` and `OSError` in words."""
        del by
        async with self._changing:
            folder = self._setup.data_dir / FOLDER
            count = await asyncio.to_thread(unpack, archive, folder)
        return f"{count} documents were taken. {await self._service.look()}"

    async def show_build(self, file: bytes, by: str) -> BuildShown:
        """Return what a firmware file says of itself; raises `ValueError` in words."""
        del by
        return build_json(await self._builds.show(file))

    async def accept_build(self, sha256: str, by: str) -> str:
        """Accept what was shown; raises `ValueError` and `OSError` in words."""
        async with self._changing:
            told = await self._builds.accept(sha256, by)
        await self._service.look()
        return told

    async def add_source(self, wanted: NewSource, by: str) -> str:
        """Trust another publisher; raises `ValueError` and `OSError` in words."""
        del by
        data_dir = self._setup.data_dir
        made = source_of(wanted.name, wanted.mirror, wanted.channel, wanted.fingerprint)
        async with self._changing:
            app, book = await self._book()
            every = (*book.added, made)
            await asyncio.to_thread(fitting, every, app)
            root = await fetch_root(made.carriers[0], self._setup.cafile)
            await asyncio.to_thread(keep_root, data_dir, made, root)
            await asyncio.to_thread(write_book, data_dir, every, app)
        words = await self._service.look()
        beside = " beside the publisher of the app" if made.threshold > 1 else ""
        return f"{made.name} is trusted for the channel {wanted.channel}{beside}. {words}"

    async def remove_source(self, name: str, by: str) -> str:
        """Trust a publisher no more; raises `ValueError` and `OSError` in words."""
        del by
        async with self._changing:
            app, book = await self._book()
            left = [it for it in book.added if it.name != name]
            if len(left) == len(book.added):
                raise ValueError(
                    "There is no such source that was added; that of the app cannot be removed."
                )
            await asyncio.to_thread(write_book, self._setup.data_dir, left, app)
        await self._service.look()
        return f"{name} is not trusted any more; what it has installed stays as it is."

    async def _book(self) -> tuple[bytes | None, Book]:
        """Return the root of the app and who was added; raises `ValueError` where it is damaged."""
        app = await asyncio.to_thread(root_of, self._setup.bundle)
        book = await asyncio.to_thread(read_book, self._setup.data_dir, app)
        if book.damaged:
            raise ValueError(book.damaged)
        return app, book

    async def choose_channel(self, mac: str | None, channel: str | None, by: str) -> str:
        """Choose the channel of a bridge, or of all; raises `ValueError` in words."""
        whose = mac_of(mac)
        if mac is not None and whose is None:
            raise ValueError("This is no MAC; choose a bridge.")
        known = CHANNELS if whose is None else channels_of(self._service.trust)
        if channel not in known and not (channel is None and whose is not None):
            raise ValueError(f"The channel has to be one of: {', '.join(known)}.")
        try:
            await self._store.update(self._choice(whose, channel), by)
        except SettingError as error:
            raise ValueError(f"{error}.") from error
        if whose is None:
            return f"Bridges are offered what comes to {channel}."
        now = self._store.current.releases.channel_of(whose)
        return f"{written(whose)} is offered what comes to {now}."

    def _choice(self, whose: Mac | None, channel: str | None) -> dict[str, Any]:
        if whose is None:
            return {"releases.channel": channel}
        own = dict(bridge_channels(self._store.current.releases.channels))
        own.pop(whose, None)
        if channel is not None:
            own[whose] = channel
        return {"releases.channels": channels_text(own)}

    def _forget(self) -> None:
        self._shown = None
