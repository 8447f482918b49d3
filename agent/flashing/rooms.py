"""
Everything about flashing in one hand: jobs, campaigns, and what they need of the running agent.

The composition root builds this, has it recall the journal before any guard looks at the house,
and runs it beside the bridges. A bridge that is being flashed is gone for the guard, and must not
be restarted; both are said from here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.bridge_rooms import BridgeRooms
from agent.clock import SystemClock
from agent.export.snapshot import GuardSnapshot, Reason
from agent.firmware.campaign.models import Plan, World
from agent.firmware.campaign.runner import CampaignDesk
from agent.firmware.image.models import ImageFacts
from agent.firmware.image.store import BlobStore
from agent.firmware.job.models import Patience, Request, Stage, Way
from agent.firmware.job.observer import FleetWatcher, build_of
from agent.firmware.job.over_the_air import OverTheAir, Place
from agent.firmware.job.ports import Ports
from agent.firmware.job.preflight import Preflight
from agent.firmware.job.recovery import in_safe_mode, may_send, own_addresses
from agent.firmware.job.runner import FlashJobs
from agent.firmware.manifest.agree import brakes_of
from agent.firmware.manifest.models import Brakes
from agent.firmware.ota.driver import PATIENT, Limits
from agent.firmware.ota.models import Secrets
from agent.firmware.policy.models import Decision
from agent.firmware.serial.driver import SerialDriver
from agent.firmware.trust.source import Online
from agent.flashing.desk import FlashDesk, digests
from agent.flashing.images import StoredImages
from agent.flashing.looking import UPLOAD_PORT, Lookout
from agent.flashing.moments import BridgeMoments, Moment, moment, path_of
from agent.fleet.identity import Mac
from agent.fleet.keys import KeyFile
from agent.fleet.record import BridgeRecord
from agent.fleet.sighting import Source
from agent.journal import Journal, JournalError
from agent.recovery.cable import AgentCable
from agent.recovery.desk import Writing
from agent.recovery.policy import CableLookout
from agent.releases.builds import BLOBS
from agent.releases.rooms import ReleaseRooms
from agent.releases.service import Setup
from agent.settings import SettingsStore
from agent.surface.flash_notifications import flashes_due
from agent.surface.notification_rules import Notification
from agent.watchdog_thread import Holds

LOG = logging.getLogger(__name__)
DRAIN_S = 60.0
"""Longest wait for a running upload at the end; a cut one leaves the bridge as it was."""
PRODUCES_W = 50.0
MIB = 1 << 20
FAULT = (
    "The journal of earlier updates cannot be read, so nobody knows what is on trial, and nothing "
    "is flashed. Look at the disk and restart the agent."
)
BROKEN = (
    "What flashes bridges has failed, and nothing is flashed until the agent is restarted. The "
    "guard goes on. Please report it, with the log."
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What flashing stands on."""

    setup: Setup
    store: SettingsStore
    journal: Journal
    clock: SystemClock
    keys: KeyFile
    holds: Holds = field(default_factory=Holds)
    """Takes what another process writes over USB, so that the watchdog does not cut it off."""


class FlashRooms:
    """The rooms of flashing; `recall` first, then `run`."""

    def __init__(
        self,
        ground: Ground,
        bridges: BridgeRooms,
        releases: ReleaseRooms,
        *,
        patience: Patience | None = None,
        limits: Limits = PATIENT,
    ) -> None:
        store, journal, clock = ground.store, ground.journal, ground.clock
        self._store = store
        self._clock = clock
        self._keys = ground.keys
        self._bridges = bridges
        self._releases = releases.service
        self.moments = BridgeMoments(self._moments_changed)
        self.moments.ask = self._moment
        bridges.bridges.lent = lambda: self.moments.gone
        local = lambda: clock.now().local  # noqa: E731 - a name for one line
        work, fleet = bridges.work, bridges.bridges
        self._lookout = Lookout(
            fleet,
            self._releases,
            work.rules,
            bridges.through,
            local,
            lambda: self.jobs.jobs,
            lambda: {mac: self._secrets(mac) for mac in ground.keys.ring.kept},
        )
        room = int(store.current.flashing.keep_mib) * MIB
        blobs = BlobStore(ground.setup.data_dir / BLOBS, limit=room)
        self._images = StoredImages(
            blobs,
            ground.setup.bundle,
            self._mirrors,
            self._judge,
            self._kept,
        )
        cable = self.cable = AgentCable(
            SerialDriver(),
            blobs,
            ground.setup.data_dir,
            CableLookout(self._lookout, lambda: fleet.fleet, lambda: self.jobs.jobs),
            self._job_of,
            ground.holds,
        )
        watcher = FleetWatcher(self._record, fleet.bridge, fleet.subscribe, time.monotonic)
        air = OverTheAir(self._place, self._secrets, self._images.payload, limits=limits)
        checks = Preflight(self._lookout.gather)
        ports = Ports(self.moments, checks, self._images, air, watcher, cable)
        places = store.current.flashing.parallel
        self.jobs = FlashJobs(journal, ports, clock, places=places, patience=patience)
        self.campaigns = CampaignDesk(journal, self.jobs, clock, self._world)
        self.desk = FlashDesk(
            self.jobs,
            self.campaigns,
            self._lookout,
            lambda: fleet.fleet,
            lambda: store.current.flashing,
            self._images.names,
        )
        work.flashes = self.desk
        self.notice: Callable[[tuple[Reason, ...]], None] = lambda _: None
        """Shows beside the guard's problems that a bridge is away; set when there is a guard."""

    def set_rival(self, rival: Callable[[], str]) -> None:
        """Refuse every update while `rival` says in words that somebody else flashes bridges."""
        self._lookout.rival = rival

    async def recall(self) -> None:
        """Read the journal, before anybody looks at the house; what is on trial stays gone."""
        try:
            jobs = await self.jobs.recall()
            await self.campaigns.recall()
        except JournalError as error:
            LOG.error("nothing is flashed: %s", error)  # noqa: TRY400 - its words are enough
            self.desk.fault = FAULT
            return
        self.moments.recall(jobs.flashing)

    async def run(self, stopping: asyncio.Event) -> None:
        """Carry jobs and campaigns until cancelled; from `stopping` on, begin nothing."""
        if self.desk.fault:
            return
        try:
            await self._carry(stopping)
        except Exception:  # a bug of ours here may not cost the guard
            LOG.exception("flashing failed; nothing is flashed until the next start")
            self.desk.fault = BROKEN
            self._bridges.work.wake()

    async def _carry(self, stopping: asyncio.Event) -> None:
        ends = (
            self.jobs.subscribe(self._jobs_changed),
            self._bridges.bridges.subscribe(self.campaigns.wake),
            self._releases.subscribe(self.campaigns.wake),
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.jobs.run())
                tasks.create_task(self.campaigns.run())
                await stopping.wait()
                await self.drain()
        finally:
            for end in ends:
                end()

    async def drain(self) -> None:
        """
        Begin nothing more, and wait for what runs: an upload for a while, a write to its end.

        A write over the cable has a deadline of its own, and leaves a bridge without firmware if
        it is broken off; a person can still do that, on the page.
        """
        while not await self.jobs.drain(DRAIN_S):
            if (who := self.busy()) is None:
                LOG.warning("an upload still runs; the bridge is asked after the next start")
                return
            LOG.warning("the agent ends when it is written: %s", who)

    def busy(self) -> str | None:
        """Return who is writing a bridge over the cable, `None` if nobody is: do not end it now."""
        return next(
            (f"job {it.id} for {it.request.by}" for it in self.jobs.jobs.open if it.writes), None
        )

    def writing(self) -> Writing:
        """Return what a recovery over the cable stands on."""
        return Writing(
            self.jobs,
            self.cable,
            self._images.names,
            self._channel_of,
            self._waits,
            lambda: self.desk.fault,
        )

    def wake(self) -> None:
        """Take note that what is shown of cables has changed."""
        self._bridges.work.wake()

    def uploading(self) -> str:
        """Return the bridge to which bytes are being sent; "" for none."""
        sent = (str(it.mac) for it in self.jobs.jobs.open if it.stage is Stage.UPLOAD)
        return next(sent, "")

    def notifications(self) -> dict[str, Notification]:
        """Return what a person should be told now, by the id on the wall."""
        records = self._bridges.bridges.fleet.records
        titles = {mac: it.title for mac, it in records.items()}
        return flashes_due(self.desk.view().bridges, titles)

    # What jobs ask.

    def _moment(self, mac: Mac) -> Moment:
        picture = self._picture()
        return moment(
            mac,
            self._bridges.commanded(),
            self._bridges.through(),
            path_of(picture),
            self._store.current.paths,
        )

    def _picture(self) -> GuardSnapshot | None:
        guard = self._bridges.guard
        return guard.snapshot() if guard else None

    async def _judge(self, request: Request, facts: ImageFacts) -> Decision | str:
        by_cable = request.way == Way.SERIAL
        return await (self.cable if by_cable else self._lookout).judge(request, facts)

    def _channel_of(self, mac: Mac) -> str:
        return self._store.current.releases.channel_of(mac)

    def _waits(self, mac: Mac) -> str:
        """Return why a bridge may not be reset now, "" if it may."""
        if mac in self.jobs.jobs.on_trial:
            return "An image is on trial there, and a restart would confirm it."
        return self._moment(mac).waits

    def _job_of(self, mac: Mac) -> str:
        job = self.jobs.jobs.lock(mac)
        return job.id if job else ""

    def _kept(self) -> frozenset[str]:
        return self.jobs.jobs.keep()

    def _record(self, mac: Mac) -> BridgeRecord | None:
        return self._bridges.bridges.fleet.records.get(mac)

    def _place(self, mac: Mac) -> Place | None:
        record = self._record(mac)
        if record is None:
            return None
        port = record.told.upload_port or UPLOAD_PORT
        if in_safe_mode(record):
            others = self._bridges.bridges.fleet.records.values()
            own = own_addresses(record, others) if may_send(self.jobs.jobs, mac) else ()
            return Place(own, port, in_safe_mode=True)
        word = record.sightings.get(Source.CONNECTION)
        if word is None or build_of(record) is None:
            return None
        return Place(word.addresses or record.told.addresses, port)

    def _secrets(self, mac: Mac) -> Secrets:
        ring = self._keys.ring
        return Secrets(ring.upload_password(mac), ring.api_key(mac))

    def _mirrors(self, source: str) -> tuple[Online, ...]:
        question = self._releases.question(source)
        carriers = question.source.carriers if question else ()
        return tuple(it for it in carriers if isinstance(it, Online))

    def _world(self, plan: Plan) -> World:
        records = self._bridges.bridges.fleet.records
        online = frozenset(
            mac for mac, it in records.items() if it.contact is not None and it.contact.online
        )
        picture = self._picture()
        pv_w = picture.power.pv_w if picture else None
        return World(
            online=online,
            zone=self._clock.zone,
            gone=frozenset(it.mac for it in plan.members) - online,
            producing=None if pv_w is None else pv_w > PRODUCES_W,
            brakes=self._brakes(plan),
        )

    def _brakes(self, plan: Plan) -> Brakes:
        shelf = self._releases.shelf(plan.release.channel)
        known = shelf.knowledge if shelf else None
        if known is None or known.channel is None:
            return Brakes(paused=True, reason="Its channel is not known or not trusted now.")
        return brakes_of(known.channel, known.halt, halt_role=known.halt_role)

    # What changes.

    def _moments_changed(self) -> None:
        gone = self.moments.gone & {self._bridges.commanded()}
        text = "The bridge to the inverter is being updated; nothing is started through it."
        self.notice((Reason("bridge_update", text),) if gone else ())

    def _jobs_changed(self) -> None:
        self._images.forget(digests(self.jobs.jobs.by_id))
        self._bridges.work.wake()
