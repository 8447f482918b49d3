"""
One flash over the air without Home Assistant: the agent's own rooms around a single bridge.

Job, journal, gates, policy, trust worker and uploader are those of the running agent; only the
guard is missing. The data directory is held meanwhile, so that no agent of this house runs beside
it. A job that an earlier run left behind gets its verdict first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from agent.clock import SystemClock
from agent.firmware.image.download import Downloader
from agent.firmware.image.models import ImageFacts
from agent.firmware.image.store import BlobStore
from agent.firmware.job.models import Patience, ReleaseRef, Request
from agent.firmware.job.observer import FleetWatcher
from agent.firmware.job.over_the_air import OverTheAir
from agent.firmware.job.ports import Ports
from agent.firmware.job.preflight import Looked, Preflight
from agent.firmware.job.runner import FlashJobs, Refused
from agent.firmware.manifest.models import Release, ReleaseImage
from agent.firmware.ota.driver import PATIENT, Limits
from agent.firmware.policy.models import Decision
from agent.firmware.trust.hosts import GITHUB_HOSTS, origin
from agent.flash_bridge import OneBridge
from agent.flash_images import Places, StoredImages
from agent.flash_models import Ended, Exit, FlashError, FlashWish, ended
from agent.flash_release import Choosing, Chosen, decided, image_for, sentences
from agent.flash_terminal import Screen
from agent.fleet.gate_models import Rules
from agent.fleet.identity import Mac, written
from agent.fleet.record import BridgeRecord
from agent.instance import sole_owner
from agent.journal import Journal
from agent.place import Place
from agent.releases.builds import BLOBS, OwnBuilds
from agent.releases.memory import Memory, recalled
from agent.releases.rooms import ReleaseRooms, release_setup
from agent.releases.service import STATE
from agent.releases.sources import LOCAL
from agent.setting_releases import hosts, mirrors
from agent.settings import SettingsStore

T = TypeVar("T")


class FlashAlone:
    """One wish, from the first word of the bridge to a verdict."""

    def __init__(
        self,
        wish: FlashWish,
        screen: Screen,
        journal: Journal,
        patience: Patience,
        limits: Limits,
    ) -> None:
        self._wish = wish
        self._screen = screen
        self._journal = journal
        self._store = SettingsStore(wish.data)
        self._clock = SystemClock(ZoneInfo(self._store.current.time_zone or "UTC"))
        self._bridge = OneBridge(wish)
        self._blobs = BlobStore(wish.data / BLOBS)
        allowed = {*hosts(self._store.current.releases.hosts), *GITHUB_HOSTS}
        allowed |= {origin(it) for it in self._bases()}
        self._downloader = Downloader(self._blobs, allowed)
        self._images = StoredImages(self._blobs, self._downloader, self._places, self._judge)
        self._stop_upload = asyncio.Event()
        self._given_up = asyncio.Event()
        self._jobs = self._make_jobs(patience, limits)
        self._job = ""
        self._chosen: Chosen | None = None
        self._memory = Memory()
        self._cancelling: asyncio.Task[Any] | None = None

    async def run(self) -> Ended:
        """
        Return what became of it.

        Raises:
            FlashError: it cannot be done; nothing was sent.
            JournalError, OSError: the disk; the text says what.
        """
        async with self._downloader, running(self._bridge.run()):
            mac = await self._unless_given_up(self._bridge.found())
            await self._jobs.recall()
            await self._put_away(mac)
            async with running(self._jobs.run()):
                return await self._flash(mac)

    def stop(self) -> None:
        """End it as safely as it can be ended now, and say how."""
        state = self._jobs.jobs.by_id.get(self._job)
        if state is None or not state.upload_began:
            self._screen.say("Stopping; nothing was sent to the bridge.")
        elif state.upload is None:
            self._screen.say(
                "Stopping the upload; the bridge keeps what it runs, unless all of it was on its "
                "way. The verdict follows. Ctrl-C again leaves at once, without one."
            )
        else:
            self._screen.say(
                "The upload is over and the bridge itself decides now; waiting does no harm. "
                "Ctrl-C again leaves without a verdict, and the next flash tells it."
            )
        self._stop_upload.set()
        self._given_up.set()
        if state is not None and state.open and not state.upload_began:
            self._cancelling = asyncio.ensure_future(self._jobs.cancel(state.id, self._wish.by))

    def leave(self) -> bool:
        """Whether it ends in order although a person insists; nothing of it has to."""
        return False

    async def _flash(self, mac: Mac) -> Ended:
        if left := self._jobs.jobs.lock(mac):
            if left.upload_began:
                self._screen.say(f"An earlier flash of {written(mac)} has no verdict yet; looking.")
            earlier = await self._followed(left.id)
            if left.upload_began:
                text = f"This is the end of an earlier flash; ask again for yours. {earlier.text}"
                return replace(earlier, text=text)
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            self._memory = recalled(await self._journal.load_state(STATE) or {})
        chosen = await self._unless_given_up(self._choose(mac))
        release = chosen.release
        self._screen.say(f"{release.project} {release.version} from {chosen.source}.")
        await self._unless_given_up(self._bridge.stable(mac, self._screen.say))
        acks = tuple(sorted(str(it) for it in self._wish.acks))
        wish = Request(mac, chosen.ref, self._wish.by, "person", acks, self._wish.reason)
        asked = await self._jobs.start(wish)
        if isinstance(asked, Refused):
            raise FlashError(Exit.REFUSED, asked.code, asked.text)
        return await self._followed(asked.id)

    async def _put_away(self, mac: Mac) -> None:
        """Cancel what an earlier run had not begun to send; keep to this one bridge."""
        others = [it for it in self._jobs.jobs.open if it.mac != mac]
        if others:
            text = (
                f"This data directory has an open flash of {written(others[0].mac)}. Flash that "
                "one first, or start the agent; or give this flash another --data."
            )
            raise FlashError(Exit.REFUSED, "other-job", text)
        for state in self._jobs.jobs.open:
            if not state.upload_began:
                await self._jobs.cancel(state.id, self._wish.by)

    async def _choose(self, mac: Mac) -> Chosen:
        wish = self._wish
        setup = release_setup(Place(wish.data, bundle=wish.bundle))
        rooms = ReleaseRooms(setup, self._store, self._journal, lambda: self._clock.now().local)
        channel = wish.channel or self._store.current.releases.channel_of(mac)
        chosen = self._chosen = await self._look(rooms, wish, mac, channel)
        if chosen.file is not None and chosen.manifest:
            await asyncio.to_thread(self._blobs.add, chosen.file)
        elif chosen.file is not None:
            await self._vouch(mac, chosen, chosen.file, rooms.builds)
            # From here on it is a signed release like any other, and is looked up like one.
            release = chosen.release
            named = replace(wish, source=LOCAL, release=f"{release.project}@{release.version}")
            signed = await self._look(rooms, named, mac, LOCAL)
            images = {it.sha256: it for it in signed.release.images}
            image = images[chosen.image.sha256]
            chosen = self._chosen = replace(signed, image=image, brakes=chosen.brakes)
        return chosen

    async def _look(self, rooms: ReleaseRooms, wish: FlashWish, mac: Mac, channel: str) -> Chosen:
        sources = await asyncio.to_thread(rooms.sources)
        now = self._clock.now().local.astimezone(UTC)
        choosing = Choosing(wish, now, sources, self._pick())
        return await choosing.release(self._record(mac), channel)

    async def _vouch(self, mac: Mac, chosen: Chosen, file: bytes, builds: OwnBuilds) -> None:
        """Sign an own build as this house's, once nothing else speaks against it."""
        facts = await builds.show(file)
        if refused := self._decided(mac, facts).refusals:
            raise FlashError(Exit.REFUSED, str(refused[0].code), sentences(refused))
        try:
            self._screen.say(await builds.accept(facts.sha256, self._wish.by))
        except ValueError as error:
            raise FlashError(Exit.REFUSED, "bad-image", str(error)) from error

    async def _followed(self, job: str) -> Ended:
        """Show a job until it has ended."""
        self._job = job
        if self._given_up.is_set():
            self.stop()
        changed = asyncio.Event()
        end = self._jobs.subscribe(changed.set)
        try:
            while (state := self._jobs.jobs.by_id[job]).open:
                changed.clear()
                if progress := self._jobs.view().progress.get(job):
                    self._screen.progress(state.stage, progress)
                await changed.wait()
        finally:
            end()
        return ended(state, written(state.mac))

    async def _unless_given_up(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what comes of it, unless somebody stops it before."""
        doing, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._given_up.wait())
        try:
            await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
        finally:
            stopped.cancel()
            doing.cancel()
            await asyncio.gather(doing, stopped, return_exceptions=True)
        raise FlashError(Exit.CANCELLED, "cancelled", "Stopped before anything was sent.")

    def _make_jobs(self, patience: Patience, limits: Limits) -> FlashJobs:
        bridge = self._bridge
        watcher = FleetWatcher(
            bridge.record, bridge.keeper.bridge, bridge.subscribe, time.monotonic
        )
        air = OverTheAir(
            bridge.place,
            bridge.secrets,
            self._images.payload,
            limits=limits,
            cancel=self._stop_upload,
        )
        ports = Ports(bridge, Preflight(self._gather), self._images, air, watcher)
        return FlashJobs(self._journal, ports, self._clock, patience=patience)

    async def _gather(self, request: Request) -> Looked | str:
        chosen, mac = self._chosen, request.mac
        evidence = await self._bridge.evidence(mac, lambda: self._clock.now().local)
        if chosen is None or evidence is None:
            return f"{written(mac)} is not connected any more. Try again."
        facts = self._images.facts(request.release.digest)
        decision = self._decided(mac, facts)
        rules = Rules(self._store.current.strict_gates, stable_s=self._wish.stable_s)
        return Looked(evidence, chosen.release, chosen.image, decision, rules, evidence.at_s)

    def _judge(self, request: Request, facts: ImageFacts) -> Decision:
        return self._decided(request.mac, facts)

    def _decided(self, mac: Mac, facts: ImageFacts | None) -> Decision:
        """Return the policy's word on what was chosen."""
        assert self._chosen is not None  # noqa: S101 - a job of this run
        return decided(self._chosen, self._record(mac), self._floors(mac), self._wish, facts)

    def _record(self, mac: Mac) -> BridgeRecord:
        return self._bridge.record(mac)

    def _pick(self) -> Callable[[Release, str | None], ReleaseImage]:
        return image_for

    def _places(self, release: ReleaseRef) -> Places:
        chosen, bundle = self._chosen, self._wish.bundle
        if chosen is None or chosen.image.sha256 != release.digest:
            return Places("")
        folders = (*self._wish.images, *([bundle / "images"] if bundle else []))
        file = chosen.image.file
        return Places(file, folders, tuple(f"{it}/{file}" for it in self._bases()))

    def _bases(self) -> tuple[str, ...]:
        given = mirrors(self._wish.files_at) if self._wish.files_at else ()
        known = mirrors(self._store.current.releases.mirrors)
        return (*given, *(f"{it}/images" for it in known))

    def _floors(self, mac: Mac) -> dict[str, int]:
        floors = dict(self._memory.floors.get(mac, {}))
        for state in self._jobs.jobs.confirmed(mac):
            release = state.request.release
            floors[release.project] = max(floors.get(release.project, 0), release.rollback_index)
        return floors


CableMaker = Callable[[FlashWish, Screen, Journal, Patience, Limits], FlashAlone]


@asynccontextmanager
async def alone(
    wish: FlashWish,
    screen: Screen,
    patience: Patience | None = None,
    limits: Limits = PATIENT,
    cable: CableMaker | None = None,
) -> AsyncIterator[FlashAlone]:
    """
    Hold the data directory and its journal for one flash; `cable` makes that of a cable instead.

    Raises:
        AlreadyRunningError: an agent or another flash uses the directory; nothing was touched.
        JournalError, OSError: the disk.
    """
    wish.data.mkdir(parents=True, exist_ok=True)
    with sole_owner(wish.data):
        async with await Journal.open(wish.data / "journal.sqlite3") as journal:
            make = cable or FlashAlone
            yield make(wish, screen, journal, patience or Patience(), limits)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have it run meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
